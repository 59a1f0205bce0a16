"""What the rules of the criteria make of a person: disqualify, leave, enter; and when time alone may change that.
Pure, as all of the stage.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connector.core.criteria import RuledStage, StageEntry, StageRule
from connector.core.guards import guard_ends
from connector.core.model import MqlStatus, StageState
from connector.core.override import without
from connector.core.stage_case import Case
from connector.core.stage_moves import made_mql, moved
from connector.core.stage_rules import Measured, dwelling, entry_holds, keeps_from_entering, stage_holds


def judge(case: Case, state: StageState) -> StageState:
    """Disqualify, leave or enter."""
    state = replace(state, guarded="", waits=False)
    if case.now.score.disqualified:
        return _disqualified(case, state, case.now.score.disqualified)
    if state.status is MqlStatus.DISQUALIFIED:
        state = replace(state, status=MqlStatus.NONE, disqualified_by=None)
    if state.cool_off_until is not None and case.at >= state.cool_off_until:
        state = replace(state, cool_off_until=None)
    return _raised(case, _taken_back(case, state) if case.may_leave else state)


def _disqualified(case: Case, state: StageState, rule: str) -> StageState:
    in_force = case.before is not None and case.before.status is MqlStatus.DISQUALIFIED
    has = state.status in (MqlStatus.QUALIFIED, MqlStatus.ACCEPTED) or bool(state.raised_from)
    if not case.may_leave and not in_force and has:
        return state  # facts are missing: nobody is newly disqualified by what is left of them
    state = replace(state, status=MqlStatus.DISQUALIFIED, disqualified_by=rule)
    if state.stage == "sql" and state.raised_from:
        below = state.raised_from if case.below_mql(state.raised_from) else "lead"
        return moved(state, below, state.status, case.at)
    if state.stage == "mql":
        return moved(state, "lead", state.status, case.at)
    if state.stage == "lead" and state.raised_from and _leaves(case, case.criteria.stages.lead, state):
        return moved(state, state.raised_from, state.status, case.at)
    return state


def _taken_back(case: Case, state: StageState) -> StageState:
    """One rule after the other, so that nothing is left for a second look at the same moment."""
    stages = case.criteria.stages
    if state.stage == "sql" and state.raised_from and _leaves(case, stages.sql, state):
        if state.raised_from == "mql":
            state = made_mql(state, case.at, handed_at=state.handed_at)
        else:
            state = moved(state, state.raised_from, MqlStatus.NONE, case.at)
    if _untouched(case, state):
        return _given_up(case, state)
    ours = state.stage == "mql" and not state.by_human and not _enters(case, stages.sql, state)
    if ours and _leaves(case, stages.mql, state):
        state = moved(state, "lead", MqlStatus.NONE, case.at)
    if state.stage == "lead" and state.raised_from and _leaves(case, stages.lead, state):
        state = moved(state, state.raised_from, state.status, case.at)
    return state


def _untouched(case: Case, state: StageState) -> bool:
    """Whether sales has had its time with the MQL that was there before, and has not touched it. Who is MQL by a
    human's word stays."""
    return (
        case.take_back_at is not None
        and case.at >= case.take_back_at
        and state.stage == "mql"
        and not state.by_human
        and case.before is not None
        and case.before.mql_since == state.mql_since
        and not _by_word(case, state)
    )


def _by_word(case: Case, state: StageState) -> bool:
    return case.override is not None and case.override.id == state.by_override


def _given_up(case: Case, state: StageState) -> StageState:
    """Recycled, as if sales had given the person back at this moment: at rest, then only what is newer counts."""
    rests = case.at + case.criteria.stages.recycle.cool_off
    given_up = moved(state, "lead", MqlStatus.RECYCLED, case.at)
    return replace(given_up, rejected_at=case.at, taken_back_at=case.at, cool_off_until=rests)


def _raised(case: Case, state: StageState) -> StageState:
    stages = case.criteria.stages
    if state.stage == "mql" and _enters(case, stages.sql, state):
        return _made_sql(case, state)
    if not case.below_mql(state.stage):
        return state
    fixed, sql = _enters(case, stages.mql, state), _enters(case, stages.sql, state)
    mql = fixed or _good_enough(case, state)
    counted = case.counted(state)
    kept = keeps_from_entering(counted, case.criteria, case.at) if counted and (mql or sql) else ""
    asked = counted is not None and counted.score.hand_raised is not None
    waits = mql and not kept and stages.mql.contested and not case.has_place and not (fixed and asked)
    if mql and not kept and not waits:
        state = made_mql(state, case.at, loosened=not fixed)
    if sql and not kept:
        return _made_sql(case, state)
    if state.stage == "subscriber" and _enters(case, stages.lead, state):
        state = replace(moved(state, "lead", state.status, case.at), raised_from="subscriber")
    return replace(state, guarded=kept, waits=waits and state.stage != "mql")


def _good_enough(case: Case, state: StageState) -> bool:
    """Whether somebody may compete for a place though the enter rule does not hold: the bar is loosened."""
    best = case.criteria.stages.mql.best
    if best is None or best.enough is None:
        return False
    return _enters(case, RuledStage(best.enough), state)


def _made_sql(case: Case, state: StageState) -> StageState:
    """An MQL stays qualified until sales answers; SQL without MQL never was."""
    handed_at = state.handed_at or state.mql_since or case.at
    status = MqlStatus.QUALIFIED if state.stage == "mql" else MqlStatus.NONE
    state = replace(
        moved(replace(state, cool_off_until=None), "sql", status, case.at),
        raised_from=state.stage,
        handed_at=handed_at,
    )
    return without(state, case.at) if _outlived(case, state) else state


def _outlived(case: Case, state: StageState) -> bool:
    """Whether the word that made this is not in force any more, and only missing facts hold its end up."""
    word = case.override
    return state.by_override is not None and (word is None or word.id != state.by_override)


def _leaves(case: Case, stage: RuledStage | None, state: StageState) -> bool:
    """Whether the rule that made somebody what they are takes it back. A disqualifier beats its enter rule."""
    enters = _enters(case, stage, state) or (stage is case.criteria.stages.mql and _good_enough(case, state))
    if stage is None or (enters and not case.now.score.disqualified):
        return False
    earliest = state.dwell_from or state.mql_since
    return stage_holds(stage.leave, case.now, dwelt=lambda entry: _dwelt(case, entry, earliest))


def _enters(case: Case, stage: RuledStage | None, state: StageState) -> bool:
    """Whether the enter rule of a stage holds, whatever may keep from entering."""
    counted = case.counted(state)
    if stage is None or counted is None:
        return False
    resting = state.cool_off_until is not None and case.at < state.cool_off_until
    if resting and counted.score.hand_raised is None and stage is not case.criteria.stages.lead:
        return False
    return stage_holds(stage.enter, counted, dwelt=lambda entry: _dwelt(case, entry, None))


# dwell: the condition at `at` and at every UTC midnight in (at - d, at]


def _dwelt(case: Case, entry: StageEntry, earliest: datetime | None) -> bool:
    return _served_at(case, entry, earliest) <= case.at


def _served_at(case: Case, entry: StageEntry, earliest: datetime | None) -> datetime:
    """From when on a dwell is served, if the condition goes on holding as it does now."""
    dwell = entry.dwell or timedelta(0)
    served = case.at if earliest is None else max(case.at, earliest + dwell)
    start = case.at - dwell if earliest is None else max(earliest, case.at - dwell)
    midnight = case.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while midnight > start:
        if not entry_holds(entry, case.then(midnight)):
            return max(served, midnight + dwell)
        midnight -= timedelta(days=1)
    return served


def look_again_at(case: Case, state: StageState) -> datetime | None:
    """The next moment at which time alone may change something: the end of a dwell, of the cool-off."""
    stages = case.criteria.stages
    if not case.may_leave and _held_up(case, state):
        return case.at  # held up by missing facts: the next run decides
    word = case.override
    if _outlived(case, state):
        return case.at  # its end is held up by missing facts
    moments = [] if state.cool_off_until is None else [state.cool_off_until]
    if state.guarded:
        moments += guard_ends(case.criteria, case.now.fields, case.at)
    moments += [word.ends_at] if word is not None and word.ends_at is not None else []
    leave = {"mql": stages.mql, "sql": stages.sql, "lead": stages.lead}.get(state.stage)
    if leave is not None and (state.raised_from or (state.stage == "mql" and not state.by_human)):
        moments += _ends(case, leave.leave, case.now, state.dwell_from or state.mql_since)
    counted = case.counted(state)
    if counted is not None and (state.stage == "mql" or case.below_mql(state.stage)):
        for enter in (stages.sql, stages.mql if state.stage != "mql" else None):
            moments += _ends(case, enter.enter, counted, None) if enter else []
        best = stages.mql.best if state.stage != "mql" else None
        if best is not None and best.enough is not None:
            moments += _ends(case, best.enough, counted, None)
        if stages.lead is not None and state.stage == "subscriber":
            moments += _ends(case, stages.lead.enter, counted, None)
    return min((moment for moment in moments if moment > case.at), default=None)


def _ends(case: Case, rule: StageRule, person: Measured, earliest: datetime | None) -> list[datetime]:
    return [_served_at(case, each, earliest) for each in dwelling(rule) if entry_holds(each, person)]


def _held_up(case: Case, state: StageState) -> bool:
    if case.now.score.disqualified:
        return state.stage == "mql" or bool(state.raised_from)
    return _taken_back(case, state) != state
