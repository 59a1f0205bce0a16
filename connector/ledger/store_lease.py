"""Leases: who may do a piece of work, and the check that every writing transaction begins with."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from connector.errors import LeaseBusy
from connector.ledger.hot import insert_new, rows_by
from connector.ledger.tables import LEASE
from connector.ledger.types import EPOCH, time_to_db
from connector.ports import Lease

SPAN = timedelta(seconds=45)


def acquire(db: Connection, name: str, holder: str, at: datetime) -> Lease:
    """Take a lease that is free or has expired, epoch + 1. Raises LeaseBusy while another holder is alive."""
    # The row is made first, so that on PostgreSQL two takers meet at its lock instead of both inserting.
    _ensure(db, name)
    row = db.execute(select(LEASE).where(LEASE.c.name == name).with_for_update()).one()
    if row.holder != holder and row.expires_at > at:
        raise LeaseBusy(
            f"`{name}` is being done by {row.holder} until at least {row.expires_at:%Y-%m-%d %H:%M:%S} UTC.",
            next_step="Wait for it to finish; a holder that died is replaced after 45 seconds.",
            where="ledger",
        )
    lease = Lease(name, holder, row.epoch + 1, at + SPAN)
    db.execute(
        update(LEASE)
        .where(LEASE.c.name == name)
        .values(holder=holder, epoch=lease.epoch, expires_at=lease.expires_at)
    )
    return lease


def _ensure(db: Connection, name: str) -> None:
    known = db.execute(select(LEASE.c.name).where(LEASE.c.name == name)).first()
    if known is None:
        never = time_to_db(EPOCH, db.dialect.name)
        insert_new(db, LEASE, ("name", "holder", "epoch", "expires_at"), [(name, "", 0, never)], ("name",))


def renew(db: Connection, lease: Lease, at: datetime) -> Lease:
    """Extend by 45 s. Raises LeaseBusy when the epoch has moved on."""
    check(db, lease)
    db.execute(update(LEASE).where(LEASE.c.name == lease.name).values(expires_at=at + SPAN))
    return Lease(lease.name, lease.holder, lease.epoch, at + SPAN)


def release(db: Connection, lease: Lease) -> None:
    """Give it back at once; harmless when it was lost meanwhile. The epoch stays, so it never counts backward."""
    db.execute(
        update(LEASE)
        .where(LEASE.c.name == lease.name, LEASE.c.holder == lease.holder, LEASE.c.epoch == lease.epoch)
        .values(holder="", expires_at=EPOCH)
    )


def holder(db: Connection, name: str, at: datetime) -> str | None:
    """Who holds it and is alive."""
    query = select(LEASE.c.holder).where(LEASE.c.name == name, LEASE.c.expires_at > at, LEASE.c.holder != "")
    return db.execute(query).scalar()


def check(db: Connection, lease: Lease) -> None:
    """That nobody took the lease over, nor it was released. The row stays locked until the transaction ends."""
    row = next(rows_by(db, LEASE, ("holder", "epoch"), "name", [lease.name], lock=True), None)
    if row != (lease.holder, lease.epoch):
        now = f"{row[0] or 'nobody'} holds it" if row is not None else "it was never taken"
        raise LeaseBusy(
            f"lease lost: `{lease.name}` was {lease.holder}'s as number {lease.epoch}; now {now}.",
            next_step="Nothing of this step was saved. Run again; the work goes on from what is saved.",
            where="ledger",
        )
