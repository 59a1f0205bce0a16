"""What a sidecar shows of the ledger while nothing runs: how many are due, since when, and which schema there is."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from connector.ledger.store_backfill import HELD
from connector.ledger.tables import DUE, RECORD
from connector.ledger.upgrade import HEAD, version
from connector.ports import Pulse


def pulse(db: Connection, at: datetime) -> Pulse:
    """At this moment. Those whom a backfill holds until it has read all are not due."""
    due = (
        select(func.count(DUE.c.ref.distinct()), func.min(DUE.c.not_before))
        .join(RECORD, RECORD.c.ref == DUE.c.ref)
        .where(RECORD.c.kind == "person", DUE.c.not_before <= at, DUE.c.crm.not_like(f"{HELD}%"))
    )
    count, oldest = db.execute(due).one()
    return Pulse(count, oldest)


def schema(db: Connection) -> tuple[str, str]:
    """That of the database, and the one that this program knows."""
    return version(db) or "", HEAD
