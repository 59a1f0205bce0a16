"""Undo: what a run wrote, whose write is our last to a field, and the planned rows that take it back.

What an arrived undo means for everything else that is kept is `store_restored`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, insert, or_, select

from connector.core.model import PlannedWrite, Ref
from connector.core.undo import Writer, images_gone
from connector.ledger import store_lease
from connector.ledger.hot import where_in
from connector.ledger.store_decide import plan_row
from connector.ledger.store_plan import infos
from connector.ledger.store_push import load_row
from connector.ledger.tables import PLAN, PLAN_ROW, WRITTEN
from connector.ports import Lease, PlanInfo, PlanRow


def plans_of(db: Connection, run: int) -> list[PlanInfo]:
    """The plans of a run, oldest first."""
    return infos(db, db.execute(select(PLAN).where(PLAN.c.run == run).order_by(PLAN.c.id)).all(), None)


def written_rows(
    db: Connection, run: int, crm: str, limit: int, *, after: Ref | None = None
) -> list[PlanRow]:
    """What a run wrote to the next so many records of a CRM, by record, each record's rows oldest first.

    Raises FixConfig where it is not known any more what stood there before: a before-image that is gone must not be
    taken for a blank."""
    found = db.execute(select(PLAN.c.id, PLAN.c.let_go_at).where(PLAN.c.run == run, PLAN.c.crm == crm)).all()
    gone = [row.let_go_at for row in found if row.let_go_at is not None]
    if gone:
        raise images_gone(run, crm, min(gone))
    plans = [row.id for row in found]
    # Of a rejected row some fields may have been written all the same; then they are last written by it.
    in_part = select(WRITTEN.c.plan_row).where(
        WRITTEN.c.ref == PLAN_ROW.c.ref, WRITTEN.c.plan_row == PLAN_ROW.c.id
    )
    arrived = or_(PLAN_ROW.c.status == "written", and_(PLAN_ROW.c.status == "rejected", in_part.exists()))
    of_run = PLAN_ROW.c.plan.in_(plans), arrived, PLAN_ROW.c.person >= 0  # below: of an erased person
    refs = (
        select(PLAN_ROW.c.ref)
        .where(*of_run, PLAN_ROW.c.ref > (str(after) if after is not None else ""))
        .distinct()
        .order_by(PLAN_ROW.c.ref)
        .limit(limit)
    )
    names = [row.ref for row in db.execute(refs)]
    rows = where_in(db, select(PLAN_ROW).where(*of_run), PLAN_ROW.c.ref, names)
    return [load_row(row) for row in sorted(rows, key=lambda row: (row.ref, row.id))]


def writers(db: Connection, rows: Iterable[int]) -> dict[int, Writer]:
    """By whom these planned writes were made."""
    query = select(PLAN_ROW.c.id, PLAN.c.run, PLAN.c.undoes).join(PLAN, PLAN.c.id == PLAN_ROW.c.plan)
    return {row.id: Writer(row.run, row.undoes) for row in where_in(db, query, PLAN_ROW.c.id, rows)}


def keep_undo(
    db: Connection, plan: int, rows: Sequence[tuple[int, PlannedWrite]], lease: Lease, at: datetime
) -> None:
    """Add rows to a plan: (person, what goes back or is left). Without `read_at`, so that they are read again before
    they leave, however soon that is."""
    store_lease.check(db, lease)
    if rows:
        db.execute(insert(PLAN_ROW), [plan_row(plan, person, planned) for person, planned in rows])
