"""Push: whether a write that arrived was one more turn in a tug of war. One commit with its receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select

from connector.core.tug import pulled, why_tugged
from connector.ledger.hot import where_in
from connector.ledger.store_decide import keep_holds, load_hold
from connector.ledger.store_gather import written_to
from connector.ledger.tables import HOLD, PLAN
from connector.ports import TUGGED, TUGS, Hold, PlanRow


def count_tugs(db: Connection, rows: Sequence[PlanRow], at: datetime) -> None:
    """Compare what is written now with what was written before; call it before that is replaced.

    A count ends when something else is written; one that has become a hold ends only by an admin.
    """
    last = written_to(db, [row.ref for row in rows])
    if not last:
        return
    names = [str(ref) for ref in last]
    found = where_in(db, select(HOLD).where(HOLD.c.kind == TUGGED), HOLD.c.ref, names)
    known = {(hold.ref, hold.field): hold for hold in map(load_hold, found)}
    plans = {row.plan for row in rows}
    runs = {row.id: row.run for row in where_in(db, select(PLAN.c.id, PLAN.c.run), PLAN.c.id, plans)}
    counted: list[Hold] = []
    for row in rows:
        for write in row.writes:
            before, hold = last.get(row.ref, {}).get(write.field), known.get((row.ref, write.field))
            times = pulled(write, before.value, hold) if before is not None else None
            if times is not None:
                text = why_tugged(times, write.before)
                counted.append(
                    Hold(
                        row.ref,
                        write.field,
                        TUGGED,
                        write.after,
                        runs[row.plan],
                        at,
                        text,
                        write.before,
                        times,
                    )
                )
            elif hold is not None and hold.times < TUGS:
                db.execute(
                    delete(HOLD).where(
                        HOLD.c.ref == str(row.ref), HOLD.c.field == write.field, HOLD.c.kind == TUGGED
                    )
                )
    keep_holds(db, counted, at)
