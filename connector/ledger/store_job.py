"""Jobs by the clock: when each was begun and done last. Decides nothing about when one is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from connector.ledger import store_lease
from connector.ledger.tables import JOB
from connector.ports import JobRun, Lease


def jobs(db: Connection) -> Mapping[str, JobRun]:
    """All that were ever begun, by name."""
    return {
        row.name: JobRun(row.name, row.begun_at, row.done_at, row.failed) for row in db.execute(select(JOB))
    }


def begin(db: Connection, name: str, lease: Lease, at: datetime) -> None:
    """A try begins."""
    _keep(db, name, lease, begun_at=at, failed="")


def end(db: Connection, name: str, failed: str, lease: Lease, at: datetime) -> None:
    """It was done to its end, or `failed` says why not."""
    _keep(db, name, lease, **({"failed": failed} if failed else {"done_at": at, "failed": ""}))


def _keep(db: Connection, name: str, lease: Lease, **values: Any) -> None:
    store_lease.check(db, lease)  # whoever holds it is alone with the row
    if not db.execute(update(JOB).where(JOB.c.name == name).values(**values)).rowcount:
        db.execute(insert(JOB).values(name=name, **values))
