"""Decides a person's lifecycle stage and MQL status. Pure: writes nothing, reads no clock, scores nothing itself.

We decide `lead` and `mql` (`sql`, and `lead` of a subscriber, only where a rule says so); from `sql` up sales decides
and we mirror. Whatever a CRM says of the stage is a change only where it differs from what it said at the last
decision.

Heard first is `stage_heard` (CRMs, then sales), then `stage_judge` (the rules), both about one `stage_case.Case`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from connector.core.criteria import Criteria
from connector.core.model import Answer, MqlStatus, StageChange, StageDecision, StageState
from connector.core.override import (
    HOLD_UNTIL,
    MQL_NOW,
    NEVER,
    Override,
    answered,
    in_words,
    made_mql,
    made_never,
    not_disqualified,
    without,
)
from connector.core.privacy import is_unscored, under_in_words
from connector.core.reasons import reason
from connector.core.stage_case import DEFAULT_LADDER, Case
from connector.core.stage_heard import StageEvidence, follow, hear, seen_of, used_up
from connector.core.stage_judge import judge, look_again_at
from connector.core.stage_rules import Measured
from connector.core.stage_words import head, title


def decide_stage(
    before: StageState | None,
    *,
    at: datetime,
    now: Measured,
    then: Callable[[datetime], Measured],
    criteria: Criteria,
    evidence: Sequence[StageEvidence] = (),
    answers: Sequence[Answer] = (),
    newer: Callable[[datetime], Measured] | None = None,
    adopt: bool = False,
    may_leave: bool = True,
    has_place: bool = True,
    ladder: Sequence[str] = DEFAULT_LADDER,
    override: Override | None = None,
    take_back_at: datetime | None = None,
) -> StageDecision:
    """Where a person stands at `at` (aware UTC), by the strongest voice that has something new to say.

    1. Disqualified: never MQL.
    2. What a human or the vendor changed in a CRM: the newest change, at the same time the higher stage. Not undone
       by points; a stage that a human lowered is re-qualified only by engagement newer than that.
    3. Sales' answer at or after the current entry, each used once: accepted leads to `sql`; rejected back to `lead`
       with a cool-off, as `rejected` or, with a reason given, `recycled`; a reason that comes later makes it
       `recycled` then, with the dates of the answer.
    4. The leave rules, unless an enter condition holds. A rule takes back `lead` or `sql` only from whom it raised.
    5. The enter rules, unless something keeps from entering. After a rejection they see only newer engagement, and ask
       for some; in the cool-off only a newer hand-raise.

    `now` is the person at `at`; `then(t)` at an earlier moment by the facts known then, asked at UTC midnights for a
    dwell. `newer(t)` is the person at `at` counting only engagement newer than `t`; without it nobody re-qualifies.
    `adopt`: a first load; what CRMs say is taken over with its dates and never counts as entered or as a fresh
    rejection. `may_leave=False`: facts are missing (a stream failed), so nobody is demoted by points or rules.
    `has_place=False`: where places are contested, whoever qualifies by points waits for one.
    `ladder` are the stages in order; one that is not in it (`other`) is mirrored and never decided by us.
    `take_back_at`: when the present spell as MQL ends because sales has not touched the person; None: it does not.
    `override` is a human's word in force at `at`. It stands above the rules (1, 4 and 5), beside what sales does (2 and
    3): see `_overruled`. Above them all stands that somebody is not scored, a word included: the stage is what CRMs and
    sales say, and who was MQL by our rules is not any more.
    """
    if is_unscored(criteria):
        override = None
    case = Case(
        before, at, now, then, newer, criteria, tuple(ladder), may_leave, has_place, override, take_back_at
    )
    state = before or StageState("lead", since=at, dwell_from=at)
    state = follow(case, state, evidence, adopt=adopt)
    followed = before is not None and state.stage != before.stage
    adopted = (adopt and before is None) or (followed and not state.by_human)
    state = hear(case, state, answers, adopt=adopt and before is None)
    found = state.stage
    state = _reached_again(case, used_up(case, _overruled(case, state), state, answers))
    state = replace(state, privacy=criteria.under.do if criteria.under else "")
    adopted = adopted and state.stage == found
    return _decision(case, replace(state, seen=seen_of(evidence)), adopted=adopted)


def _overruled(case: Case, state: StageState) -> StageState:
    """By the rules, unless a human's word stands above them.

    *MQL now* makes MQL whatever the rules say, until it ends or sales answers. *Never* takes an MQL back, and
    nothing that sales set. *Hold* lets nobody new in; who is MQL stays, by the rules.
    """
    state, word = _released(case, state), case.override
    if word is None or (word.kind == MQL_NOW and answered(word, state)):
        return judge(case, state)
    if word.kind == NEVER:
        return made_never(state, word, case.at)
    waiting = case.below_mql(state.stage)
    if word.kind == MQL_NOW:
        wished = made_mql(state, word, case.at) if waiting or state.stage == "mql" else state
        ruled = judge(case, wished)
        if ruled.stage != "mql" and not case.below_mql(ruled.stage):
            return ruled
        return wished if wished.stage == "mql" else made_mql(ruled, word, case.at)
    ruled = judge(case, state)
    if word.kind == HOLD_UNTIL and waiting and (ruled.waits or not case.below_mql(ruled.stage)):
        until = f" until {word.until:%Y-%m-%d}" if word.until else ""
        return replace(not_disqualified(state), waits=False, guarded=f"on hold{until}, {in_words(word)}")
    return ruled


def _released(case: Case, state: StageState) -> StageState:
    """What a word made that is not in force any more, or was answered, is the rules' again: who qualifies stays,
    with the dates of the spell and the place they took; everybody else goes back."""
    word = case.override
    made = state.stage == "mql" or (state.stage == "sql" and bool(state.raised_from))
    holds = word is not None and (
        word.kind == NEVER or (word.kind == MQL_NOW and made and not answered(word, state))
    )
    if state.by_override is None or holds or (not case.may_leave and state.stage == "mql"):
        return state  # the last: held up by missing facts, the next run decides
    before = without(state, case.at)
    if state.stage != "mql" or (word is not None and word.kind == HOLD_UNTIL):
        return before  # who came in by a word alone is no MQL of the rules, whom a hold would leave alone
    ruled = judge(replace(case, has_place=True), before)
    return (
        before if case.below_mql(ruled.stage) else replace(state, by_override=None, loosened=ruled.loosened)
    )


# what a human took back


def _reached_again(case: Case, state: StageState) -> StageState:
    """What was taken back, and the same facts lead to again, is no new decision: it keeps its dates. Anything else
    ends that."""
    taken = state.undone
    if taken is None:
        return state
    if state.by_human or (state.stage, state.status) != (taken.stage, taken.status):
        return replace(state, undone=None)
    return replace(
        state,
        since=taken.since,
        mql_since=taken.mql_since,
        first_mql_at=taken.first_mql_at,
        dwell_from=taken.dwell_from,
    )


# the answer


def _decision(case: Case, state: StageState, *, adopted: bool) -> StageDecision:
    before = case.before
    old = None if before is None else (before.stage, before.status, before.mql_since)
    moved = old != (state.stage, state.status, state.mql_since)
    if before is not None and not moved and _same_words(case, before, state):
        because = before.because
    elif state.undone is not None and _same_words(case, state.undone, state):
        because = state.undone.because
    else:
        because = reason(_head(case, state), case.now.score, case.criteria)
    state = replace(state, band=case.now.score.band, because=because)
    was_mql = before is not None and before.stage == "mql"
    is_mql = state.stage == "mql"
    new_spell = before is None or before.mql_since != state.mql_since
    change = StageChange(
        at=(state.since if adopted else None) or case.at,
        from_stage=before.stage if before else None,
        to_stage=state.stage,
        from_status=before.status if before else MqlStatus.NONE,
        to_status=state.status,
        because=because,
        adopted=adopted,
    )
    return StageDecision(
        state=state,
        change=change if moved else None,
        because=because,
        entered_mql=is_mql and (not was_mql or new_spell) and not adopted and state.undone is None,
        left_mql=was_mql and (not is_mql or new_spell) and state.undone is None and not _held(before),
        look_again_at=look_again_at(case, state),
        guarded=state.guarded,
        waits=state.waits,
        loosened=state.loosened and state.stage == "mql" and moved,
        by_override=state.by_override is not None
        or (before is not None and before.by_override is not None and moved),
    )


def _same_words(case: Case, told: StageState, state: StageState) -> bool:
    now = case.now.score.band, state.guarded, state.waits, state.by_override, state.privacy
    then = told.band, told.guarded, told.waits, told.by_override, told.privacy
    return bool(told.because) and then == now


def _head(case: Case, state: StageState) -> str:
    kept = under_in_words(case.criteria)
    if is_unscored(case.criteria):
        return f"{title(state.stage)}: {kept}"
    return f"{_of_rules(case, state)}; {kept}" if kept else _of_rules(case, state)


def _of_rules(case: Case, state: StageState) -> str:
    word = case.override
    told = word is not None and (word.kind == NEVER or not state.raised_from)
    if word is not None and told and word.id == state.by_override:
        never = "never MQL, " if word.kind == NEVER else ""
        return f"{title(state.stage)}: {never}{in_words(word)}"
    found = case.before is None and state.since != case.at
    lowered = state.by_human and state.rejected_at == state.since
    counted = case.counted(state)
    return head(
        case.before,
        state,
        case.now.score,
        case.criteria,
        set_in_crm=lowered or (case.rank(state.stage) >= case.rank("mql") and (state.by_human or found)),
        hand_raised=counted.score.hand_raised if counted else None,
    )


def _held(state: StageState | None) -> bool:
    """Whether somebody is an MQL by what was taken back and reached again, which was never counted as entered."""
    return state is not None and state.undone is not None and state.undone.stage == state.stage == "mql"
