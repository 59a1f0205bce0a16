"""Let go of what is older than it is kept, a small batch a commit, so that nobody waits for long. Decides no age.

Everything here bears to be broken off anywhere and begun again. The lines of runs and plans stay, and whatever somebody
may still need: see each function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, func, or_, select, update

from connector.core.model import Outcome
from connector.ledger import codec, store_lease
from connector.ledger.hot import delete_in
from connector.ledger.tables import (
    BAR,
    LEASE,
    NOTICE,
    PLAN,
    PLAN_ROW,
    RECORD,
    REFUSAL,
    REQUEST,
    RUN,
)
from connector.ledger.tables_telling import DELIVERY
from connector.ports import Lease, request_lease

BATCH = 500  # rows a commit: a few hundredths of a second


def _count(db: Connection, query: Select[Any]) -> int:
    return db.execute(select(func.count()).select_from(query.subquery())).scalar() or 0


# -------------------------------------------------------------------------------------------------- a CRM's own values


def _payloads(before: datetime) -> Select[Any]:
    """Records whose own values are whole and were read first, as they are now, before this moment."""
    whole = func.substr(RECORD.c.vendor, 1, len(codec.LET_GO)) != codec.LET_GO
    return select(RECORD.c.ref, RECORD.c.vendor, RECORD.c.observed_at).where(
        RECORD.c.observed_at < before, whole, RECORD.c.vendor != "{}"
    )


def payloads(db: Connection, before: datetime) -> int:
    """How many records would lose their own values."""
    return _count(db, _payloads(before))


def old_payloads(db: Connection, before: datetime, after: str) -> list[tuple[str, str, datetime]]:
    """The next of them: (record, its values, since when)."""
    query = _payloads(before).where(RECORD.c.ref > after).order_by(RECORD.c.ref).limit(BATCH)
    return [(row.ref, row.vendor, row.observed_at) for row in db.execute(query)]


def let_payloads_go(
    db: Connection, rows: Sequence[tuple[str, str, datetime]], kept: Mapping[str, Sequence[str]], lease: Lease
) -> int:
    """Keep of these values a digest, by which they are known again when they are read the same, and the fields that
    plans are told by (`kept`, by `crm:object`). One that was read anew meanwhile stays whole."""
    store_lease.check(db, lease)
    same = (RECORD.c.ref == bindparam("its_ref"), RECORD.c.observed_at == bindparam("since"))
    change = update(RECORD).where(*same, RECORD.c.vendor == bindparam("was"))
    left = [
        {"its_ref": ref, "since": at, "was": vendor, "left": codec.let_go(vendor, kept.get(_object(ref), ()))}
        for ref, vendor, at in rows
    ]
    return db.execute(change.values(vendor=bindparam("left")), left).rowcount


def _object(ref: str) -> str:
    return ":".join(ref.split(":", 2)[:2])


# ------------------------------------------------------------------------------------------------------- before-images


def _outstanding() -> ColumnElement[bool]:
    """A row that is under way, or whose answer never came and that nobody has read back."""
    unanswered = exists().where(
        REFUSAL.c.ref == PLAN_ROW.c.ref,
        REFUSAL.c.kind == Outcome.UNKNOWN.value,
        REFUSAL.c.refused_at == PLAN_ROW.c.settled_at,
    )
    return or_(PLAN_ROW.c.status == "sending", and_(PLAN_ROW.c.status == Outcome.UNKNOWN.value, unanswered))


def _ended(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Plans older than this of which nothing is open, under way or outstanding."""
    busy = exists().where(PLAN_ROW.c.plan == PLAN.c.id, _outstanding())
    return PLAN.c.created_at < before, PLAN.c.status != "open", ~busy


def images(db: Connection, before: datetime) -> int:
    """How many planned writes would lose what stood there before them."""
    of = select(PLAN.c.id).where(PLAN.c.let_go_at.is_(None), *_ended(before))
    return _count(db, select(PLAN_ROW.c.id).where(PLAN_ROW.c.plan.in_(of)))


def plans_to_let_go(db: Connection, before: datetime) -> list[int]:
    """Plans whose before-images are to go; those that were begun last are among them, as nobody knows how far that
    came."""
    last = db.execute(select(func.max(PLAN.c.let_go_at))).scalar()
    fresh = and_(PLAN.c.let_go_at.is_(None), *_ended(before))
    begun = PLAN.c.let_go_at == last if last is not None else fresh
    return [row.id for row in db.execute(select(PLAN.c.id).where(or_(begun, fresh)).order_by(PLAN.c.id))]


def begin_plan(db: Connection, plan: int, before: datetime, lease: Lease, at: datetime) -> int | None:
    """From now on an undo of it is refused. How many rows that is of, 0: it was begun before; None: it is needed after
    all."""
    store_lease.check(db, lease)
    begun = update(PLAN).where(PLAN.c.id == plan, PLAN.c.let_go_at.is_(None), *_ended(before))
    if db.execute(begun.values(let_go_at=at)).rowcount:
        return _count(db, select(PLAN_ROW.c.id).where(PLAN_ROW.c.plan == plan))
    known = db.execute(select(PLAN.c.let_go_at).where(PLAN.c.id == plan)).scalar()
    return 0 if known is not None else None


def let_images_go(db: Connection, plan: int, after: int, lease: Lease) -> int:
    """The next rows of a plan that was begun lose what stood there before. The last of them; 0: there are no more."""
    store_lease.check(db, lease)
    query = select(PLAN_ROW.c.id, PLAN_ROW.c.writes, PLAN_ROW.c.held_back)
    rows = db.execute(
        query.where(PLAN_ROW.c.plan == plan, PLAN_ROW.c.id > after).order_by(PLAN_ROW.c.id).limit(BATCH)
    ).all()
    left = []
    for row in rows:
        writes = codec.dump_writes([replace(each, before=None) for each in codec.load_writes(row.writes)])
        held = codec.dump_held_back(
            [replace(each, before=None) for each in codec.load_held_back(row.held_back)]
        )
        if (writes, held) != (row.writes, row.held_back):
            left.append({"its_id": row.id, "left": writes, "held": held})
    if left:
        change = update(PLAN_ROW).where(PLAN_ROW.c.id == bindparam("its_id"))
        db.execute(change.values(writes=bindparam("left"), held_back=bindparam("held")), left)
    return rows[-1].id if rows else 0


# ------------------------------------------------------------------------------------------------- the details of runs


def _old_rows(before: datetime) -> Select[Any]:
    of = select(PLAN.c.id).where(PLAN.c.created_at < before, PLAN.c.status != "open")
    return select(PLAN_ROW.c.id).where(PLAN_ROW.c.plan.in_(of), ~_outstanding())


def _old_summaries(before: datetime) -> Select[Any]:
    return select(PLAN.c.id).where(
        PLAN.c.created_at < before, PLAN.c.status != "open", PLAN.c.summary != "{}"
    )


def _old_runs(before: datetime) -> Select[Any]:
    over = RUN.c.status.not_in(["running", "queued"])
    return select(RUN.c.id).where(RUN.c.started_at < before, over, RUN.c.document != "{}")


def _old_requests(before: datetime) -> Select[Any]:
    return select(REQUEST.c.id).where(REQUEST.c.changed_at < before, REQUEST.c.status.in_(["done", "failed"]))


def _old_bars(before: datetime) -> Select[Any]:
    """But for the last of each audience."""
    last = select(func.max(BAR.c.id)).group_by(BAR.c.audience)
    return select(BAR.c.id).where(BAR.c.at < before, BAR.c.id.not_in(last))


def _old_deliveries(before: datetime) -> Select[Any]:
    """But for those that are still to be delivered. The notices stay, so that nothing is told twice."""
    of = select(NOTICE.c.id).where(NOTICE.c.made_at < before)
    return select(DELIVERY.c.id).where(
        DELIVERY.c.notice.in_(of), DELIVERY.c.status.in_(["told", "said", "given_up"])
    )


_DETAILS: Mapping[str, Callable[[datetime], Select[Any]]] = {
    "plan_rows": _old_rows,
    "plan_summaries": _old_summaries,
    "run_documents": _old_runs,
    "requests": _old_requests,
    "bars": _old_bars,
    "deliveries": _old_deliveries,
}
DETAILS = tuple(_DETAILS)


def details(db: Connection, what: str, before: datetime) -> int:
    """How many of one of `DETAILS` would go."""
    return _count(db, _DETAILS[what](before))


def let_details_go(db: Connection, what: str, before: datetime, lease: Lease, at: datetime) -> int:
    """The next of one of `DETAILS`; 0: there are no more."""
    store_lease.check(db, lease)
    ids = [row.id for row in db.execute(_DETAILS[what](before).limit(BATCH))]
    if what == "plan_rows":
        plans = select(PLAN_ROW.c.plan).where(PLAN_ROW.c.id.in_(ids))
        db.execute(update(PLAN).where(PLAN.c.id.in_(plans), PLAN.c.let_go_at.is_(None)).values(let_go_at=at))
        delete_in(db, PLAN_ROW, PLAN_ROW.c.id, ids)
    elif what == "plan_summaries":
        db.execute(update(PLAN).where(PLAN.c.id.in_(ids)).values(summary="{}"))
    elif what == "run_documents":
        db.execute(update(RUN).where(RUN.c.id.in_(ids)).values(document="{}"))
    elif what == "requests":
        delete_in(db, LEASE, LEASE.c.name, [request_lease(each) for each in ids])
        delete_in(db, REQUEST, REQUEST.c.id, ids)
    elif what == "bars":
        delete_in(db, BAR, BAR.c.id, ids)
    else:
        delete_in(db, DELIVERY, DELIVERY.c.id, ids)
    return len(ids)
