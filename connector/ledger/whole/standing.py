"""What stands in a database before a ledger is copied from it or restored into it. Changes nothing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from connector.errors import LeaseBusy
from connector.ledger.tables import LEASE
from connector.ledger.whole.special import NOT_CARRIED
from connector.ledger.whole.tables import all_tables


def nobody_at_work(db: Connection, at: datetime) -> None:
    """Raises LeaseBusy while a sidecar or a command holds a lease on this ledger."""
    busy = db.execute(select(LEASE).where(LEASE.c.expires_at > at, LEASE.c.holder != "").limit(1)).first()
    if busy is not None:
        raise LeaseBusy(
            f"`{busy.name}` of the ledger that stands there is being done by {busy.holder}.",
            next_step="Stop every sidecar and command that uses it; a holder that died is let go after 45 seconds.",
            where="ledger",
        )


def rows_standing(db: Connection) -> int:
    """How many rows the ledger has; 0: it is empty."""
    return sum(
        int(db.execute(select(func.count()).select_from(table)).scalar() or 0)
        for table in all_tables()
        if table.name not in NOT_CARRIED
    )
