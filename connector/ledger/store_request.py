"""Work that commands left to the sidecar: asked for, taken up, answered. Does none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from connector.core.model import JsonValue
from connector.ledger import codec, store_lease
from connector.ledger.tables import LEASE, REQUEST
from connector.ports import OPEN_REQUEST, Lease, Request, request_lease

# ------------------------------------------------------------------------------------------------------- questions


def request(db: Connection, number: int) -> Request | None:
    """One request, as it stands now."""
    found = db.execute(select(REQUEST).where(REQUEST.c.id == number)).first()
    return _request(found) if found is not None else None


def open_requests(db: Connection) -> list[Request]:
    """Those that nobody has answered, the oldest first."""
    query = select(REQUEST).where(REQUEST.c.status.in_(OPEN_REQUEST)).order_by(REQUEST.c.id)
    return [_request(row) for row in db.execute(query)]


def page(db: Connection, limit: int, before: int | None = None) -> list[Request]:
    """The newest first; `before`: those with a smaller number."""
    query = select(REQUEST).order_by(REQUEST.c.id.desc()).limit(limit)
    rows = db.execute(query.where(REQUEST.c.id < before) if before is not None else query)
    return [_request(row) for row in rows]


def _request(row: Row[Any]) -> Request:
    return Request(
        id=row.id,
        kind=row.kind,
        crms=tuple(codec.loads(row.crms)),
        arguments=codec.loads(row.arguments),
        status=row.status,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        changed_at=row.changed_at,
        run=row.run,
        answer=codec.loads(row.answer),
    )


# ----------------------------------------------------------------------------------------------------------- steps


def ask(
    db: Connection,
    kind: str,
    crms: Sequence[str],
    arguments: Mapping[str, JsonValue],
    asked_by: str,
    at: datetime,
) -> Request:
    """A new request, queued."""
    values = {"kind": kind, "crms": codec.dumps(list(crms)), "arguments": codec.dumps(dict(arguments))}
    made = db.execute(
        insert(REQUEST)
        .values(**values, status="queued", asked_by=asked_by, asked_at=at, changed_at=at, answer="{}")
        .returning(REQUEST)
    ).one()
    return _request(made)


def take(db: Connection, number: int, lease: Lease, at: datetime) -> Request | None:
    """It is being worked on from now on, by whoever holds this lease (`request_lease`). None where it was answered or
    withdrawn meanwhile. One that a dead process was at is taken like one that nobody has begun."""
    store_lease.check(db, lease)
    changed = _change(db, number, at, status="running")
    return _request(changed) if changed is not None else None


def tell(db: Connection, number: int, line: str, lease: Lease, at: datetime) -> None:
    """How far it is, for whoever follows it."""
    store_lease.check(db, lease)
    _change(db, number, at, answer=codec.dumps({"progress": line}))


def settle(
    db: Connection, number: int, status: str, answer: Mapping[str, JsonValue], lease: Lease, at: datetime
) -> None:
    """What came of it: `done` or `failed` with the answer, `queued` where it is left to another process. Its lease is
    needed no more."""
    store_lease.check(db, lease)
    run = answer.get("run")
    _change(
        db,
        number,
        at,
        status=status,
        answer=codec.dumps(dict(answer)),
        run=run if isinstance(run, int) else None,
    )
    db.execute(delete(LEASE).where(LEASE.c.name == lease.name))


def withdraw(db: Connection, number: int, at: datetime) -> bool:
    """Nobody is to take it up any more. False where somebody is at it, or has answered it."""
    # The row first, as whoever takes it up does not have it yet: one of the two goes first.
    row = db.execute(select(REQUEST.c.status).where(REQUEST.c.id == number).with_for_update()).first()
    if row is None or row.status not in OPEN_REQUEST:
        return False
    if store_lease.holder(db, request_lease(number), at) is not None:
        return False
    _change(db, number, at, status="withdrawn")
    return True


def _change(db: Connection, number: int, at: datetime, **values: Any) -> Row[Any] | None:
    """Only what is open changes."""
    return db.execute(
        update(REQUEST)
        .where(REQUEST.c.id == number, REQUEST.c.status.in_(OPEN_REQUEST))
        .values(**values, changed_at=at)
        .returning(REQUEST)
    ).first()
