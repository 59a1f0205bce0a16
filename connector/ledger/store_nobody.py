"""Let go of what is nobody's and old: events whose ids were never tied to an address, and ids that lead to none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, distinct, func, or_, select, tuple_

from connector.core.tracking import APP, STREAM
from connector.ledger import store_lease
from connector.ledger.hot import delete_in
from connector.ledger.store_tracking import one_by_one
from connector.ledger.tables import ENGAGEMENT
from connector.ledger.tables_tracking import AWAITED, VISITOR
from connector.ports import Lease

BATCH = 500  # rows a commit: a few hundredths of a second
Place = tuple[str, str]
_NOBODYS = (
    ENGAGEMENT.c.crm == APP,
    ENGAGEMENT.c.stream == STREAM,
    ENGAGEMENT.c.about == "",
    ENGAGEMENT.c.email.is_(None),
)


def _events(before: datetime) -> Select[Any]:
    waits = and_(ENGAGEMENT.c.key == AWAITED.c.event, *_NOBODYS)
    return select(AWAITED).join(ENGAGEMENT, waits).where(ENGAGEMENT.c.known_at < before)


def events(db: Connection, before: datetime) -> int:
    """How many events that came before this moment are nobody's."""
    some = _events(before).subquery()
    return db.execute(select(func.count(distinct(some.c.event)))).scalar() or 0


def old_events(db: Connection, before: datetime, after: Place) -> list[Place]:
    """The next of them, each under an id that it came with: (id, event)."""
    place = tuple_(AWAITED.c.visitor, AWAITED.c.event)
    query = _events(before).where(place > after).order_by(AWAITED.c.visitor, AWAITED.c.event)
    return [(row.visitor, row.event) for row in db.execute(query.limit(BATCH))]


def let_events_go(db: Connection, rows: Sequence[Place], lease: Lease) -> int:
    """But for those that have become somebody's meanwhile. How many went."""
    store_lease.check(db, lease)
    one_by_one(db)
    keys = sorted({event for _, event in rows})
    gone = db.execute(delete(ENGAGEMENT).where(*_NOBODYS, ENGAGEMENT.c.key.in_(keys))).rowcount
    delete_in(db, AWAITED, AWAITED.c.event, keys)
    return gone


def let_ids_go(db: Connection, before: datetime, lease: Lease) -> int:
    """The next ids that only lead to one of which nothing is known, and of which nothing was said since; 0: there are
    no more."""
    store_lease.check(db, lease)
    one_by_one(db)
    other = VISITOR.alias()
    known = select(other.c.key).where(
        other.c.key == VISITOR.c.leads, or_(other.c.email.is_not(None), other.c.leads.is_not(None))
    )
    idle = select(VISITOR.c.key).where(
        VISITOR.c.email.is_(None), VISITOR.c.leads_at < before, ~known.exists()
    )
    keys = [row.key for row in db.execute(idle.limit(BATCH))]
    delete_in(db, VISITOR, VISITOR.c.key, keys)
    return len(keys)
