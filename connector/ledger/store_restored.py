"""What it means for everything else we keep that an undo has arrived in a CRM. Part of the commit of its receipts.

An undone field is held back until something else is wanted. The steps of people's stages that the undone run made are
marked, and their states put back where nothing came after. Taking an undo back does the opposite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from connector.core.model import MqlStatus, StageState
from connector.core.values import is_blank, same_value
from connector.ledger import codec
from connector.ledger.hot import mark_due, where_in
from connector.ledger.store_decide import end_hold, keep_holds
from connector.ledger.tables import PERSON, PLAN, PLAN_ROW, RECORD, STAGE_HISTORY
from connector.ports import UNDONE, Hold, PlanRow

_OF_STAGE = frozenset({"stage", "status"})


@dataclass(frozen=True, slots=True)
class _Undo:
    """A plan that takes a run back. `holds`: its fields are to be left alone; False where it takes back an undo."""

    run: int
    undoes: int
    by: str
    holds: bool

    @property
    def because(self) -> str:
        return f"undone: run {self.undoes} taken back by {self.by}"


def restored(db: Connection, written: Iterable[PlanRow], at: datetime) -> frozenset[tuple[int, str]]:
    """Keep what these written rows mean, those of undo plans among them. Returns the (row, field) of those that put
    back what somebody else had set."""
    rows = list(written)
    undos = _undos(db, {row.plan for row in rows})
    rows = [row for row in rows if row.plan in undos]
    if not rows:
        return frozenset()
    _hold(db, rows, undos, at)
    for row in rows:
        if any(write.result in _OF_STAGE for write in row.writes):
            _step_back(db, row, undos[row.plan], at)
    return _not_ours(db, rows, undos)


def _undos(db: Connection, plans: set[int]) -> dict[int, _Undo]:
    found = where_in(db, select(PLAN).where(PLAN.c.undoes.is_not(None)), PLAN.c.id, plans)
    return {
        row.id: _Undo(
            row.run,
            row.undoes,
            row.approved_by or row.asked_by or "somebody",
            _depth(db, row.undoes) % 2 == 0,
        )
        for row in found
    }


def _depth(db: Connection, run: int) -> int:
    """How many undos stand one upon the other: 0 for a run that takes nothing back."""
    undoes = db.execute(select(PLAN.c.undoes).where(PLAN.c.run == run, PLAN.c.undoes.is_not(None))).scalar()
    return 0 if undoes is None else 1 + _depth(db, undoes)


def _hold(db: Connection, rows: Sequence[PlanRow], undos: Mapping[int, _Undo], at: datetime) -> None:
    fresh: list[Hold] = []
    for row in rows:
        undo = undos[row.plan]
        for write in row.writes:
            if undo.holds:
                why = f"{undo.because}; left alone until something else is wanted"
                fresh.append(Hold(row.ref, write.field, UNDONE, write.before, undo.undoes, at, why))
            else:
                end_hold(db, str(row.ref), write.field)
    keep_holds(db, fresh, at)


# ------------------------------------------------------------------------------------------------- whose value it is


def _not_ours(
    db: Connection, rows: Sequence[PlanRow], undos: Mapping[int, _Undo]
) -> frozenset[tuple[int, str]]:
    """What an undo puts back is ours only where our last write before the undone run had put it there. Where an earlier
    undo had, or nobody can tell, it counts as somebody else's, which `if_ours` then leaves alone."""
    earlier: dict[str, list[Row[Any]]] = {}
    query = (
        select(PLAN_ROW.c.id, PLAN_ROW.c.ref, PLAN_ROW.c.writes, PLAN.c.run, PLAN.c.undoes)
        .join(PLAN, PLAN.c.id == PLAN_ROW.c.plan)
        .where(PLAN_ROW.c.status == "written")
    )
    for found in where_in(db, query, PLAN_ROW.c.ref, (str(row.ref) for row in rows)):
        earlier.setdefault(found.ref, []).append(found)
    theirs: set[tuple[int, str]] = set()
    for row in rows:
        past = sorted(earlier.get(str(row.ref), ()), key=lambda each: each.id)
        first = min((each.id for each in past if each.run == undos[row.plan].undoes), default=0)
        last: dict[str, tuple[Any, bool]] = {}
        for each in past:
            if each.id < first:
                for write in codec.load_writes(each.writes):
                    last[write.field] = (write.after, each.undoes is None)
        for write in row.writes:
            value, ours = last.get(write.field, (None, False))
            if not is_blank(write.after) and not (ours and same_value(value, write.after)):
                theirs.add((row.id, write.field))
    return frozenset(theirs)


# --------------------------------------------------------------------------------------------------- people's stages


def _step_back(db: Connection, row: PlanRow, undo: _Undo, at: datetime) -> None:
    """The entry of the undone step, once per person, and the state from before it where no step came after.

    What a human or sales decided is no step of ours, though a run has followed it; nor is a stage that was adopted.
    """
    history = db.execute(
        select(STAGE_HISTORY).where(STAGE_HISTORY.c.person == row.person).order_by(STAGE_HISTORY.c.id)
    ).all()
    taken = {each.undoes for each in history}
    steps = [
        each for each in history if each.run == undo.undoes and not each.adopted and each.id not in taken
    ]
    person = db.execute(select(PERSON).where(PERSON.c.id == row.person).with_for_update()).first()
    if not steps or person is None:
        return
    after = _standing([each for each in history if each.id > steps[-1].id])
    now = codec.load_state(person.state)
    left = next((codec.load_state(each.before) for each in after if each.before is not None), now)
    start = _before(steps[0], now)
    same = (start.stage, start.status) == (steps[-1].to_stage, MqlStatus(steps[-1].to_status))
    if same or (undo.holds and (left.by_human or left.answered_at != start.answered_at)):
        return
    db.execute(insert(STAGE_HISTORY), [_entry(each, undo, now, at) for each in reversed(steps)])
    state = _without(now, start, steps, after) if after else replace(start, seen=now.seen)
    if not undo.holds:
        state = replace(state, undone=None)
    elif not after:
        state = replace(state, undone=replace(now, seen=None, undone=None))
    db.execute(
        update(PERSON)
        .where(PERSON.c.id == row.person)
        .values(stage=state.stage, status=state.status.value, state=codec.dump_state(state))
    )
    belong = db.execute(select(RECORD.c.ref).where(RECORD.c.person_id == row.person))
    mark_due(db, [codec.parse_ref(each.ref) for each in belong], at)


def _standing(steps: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Without those that were taken back among them, and what took them back."""
    ids = {each.id for each in steps}
    taken = {each.undoes for each in steps}
    return [each for each in steps if each.id not in taken and each.undoes not in ids]


def _before(step: Row[Any], now: StageState) -> StageState:
    """The state that a step went on from; for somebody who was new, the one that everybody begins with."""
    if step.before is not None:
        return codec.load_state(step.before)
    return StageState(step.from_stage or "lead", since=step.at, dwell_from=step.at, seen=now.seen)


def _entry(step: Row[Any], undo: _Undo, now: StageState, at: datetime) -> dict[str, Any]:
    return {
        "person": step.person,
        "at": at,
        "from_stage": step.to_stage,
        "to_stage": step.from_stage or "lead",
        "from_status": step.to_status,
        "to_status": step.from_status,
        "because": undo.because,
        "adopted": False,
        "entered_mql": False,
        "left_mql": False,
        "criteria_version": step.criteria_version,
        "run": undo.run,
        "before": codec.dump_state(now),
        "undoes": step.id,
    }


def _without(
    now: StageState, start: StageState, steps: Sequence[Row[Any]], after: Sequence[Row[Any]]
) -> StageState:
    """A state that later steps have led to, as if the undone ones had not been: who was first MQL by one of these was
    first MQL later, or never."""
    if now.first_mql_at not in {each.at for each in steps if each.to_stage == "mql"} - {start.first_mql_at}:
        return now
    entered = [each.at for each in after if each.to_stage == "mql" and each.undoes is None]
    return replace(now, first_mql_at=start.first_mql_at or min(entered, default=None))
