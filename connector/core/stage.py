"""Decides a person's lifecycle stage and MQL status. Pure: writes nothing, reads no clock, scores nothing itself.

We decide `lead` and `mql` (`sql` only where a rule says so); from `sql` up sales decides and we mirror. Whatever
a CRM says of the stage is a change only where it differs from what it said at the last decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from connector.core.criteria import (
    Criteria,
    StageAll,
    StageAny,
    StageEntry,
    StageRule,
    entry_holds,
    stage_holds,
)
from connector.core.model import Answer, MqlStatus, Ref, Score, StageChange, StageDecision, StageState
from connector.core.reasons import reason

DEFAULT_LADDER = ("subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist")

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_TITLES = {"mql": "MQL", "sql": "SQL"}
_ANSWER_RANK = {"rejected": 1, "accepted": 2}  # `working` is no answer


@dataclass(frozen=True, slots=True)
class StageEvidence:
    """What one record in a CRM says of the stage, in our words where the mapping knows them.

    `at` is when it was set, by the vendor where it says so. `ours`: it equals what we last wrote there, an echo;
    `wrote_at` is when that was, so that a human who sets back what stood there before us is heard.
    `only_raises`: it can lift a person, never lower one (an open deal of somebody who is a customer).
    """

    crm: str
    ref: Ref
    stage: str
    at: datetime | None
    ours: bool = False
    only_raises: bool = False
    wrote_at: datetime | None = None

    @property
    def said(self) -> str:
        """What was said, told apart from the same words said before our last write."""
        return self.stage if self.wrote_at is None else f"{self.stage}|{self.wrote_at.isoformat()}"


def decide_stage(
    before: StageState | None,
    *,
    at: datetime,
    score: Score,
    score_at: Callable[[datetime], Score],
    criteria: Criteria,
    evidence: Sequence[StageEvidence] = (),
    answers: Sequence[Answer] = (),
    score_since: Callable[[datetime], Score] | None = None,
    adopt: bool = False,
    may_leave: bool = True,
    ladder: Sequence[str] = DEFAULT_LADDER,
) -> StageDecision:
    """Where a person stands at `at` (aware UTC), by the strongest voice that has something new to say.

    1. Disqualified: never MQL.
    2. What a human or the vendor changed in a CRM: the newest change, at the same time the higher stage. Not undone
       by points; a stage that a human lowered is re-qualified only by engagement newer than that.
    3. Sales' answer at or after the current entry, each used once: accepted leads to `sql`; rejected back to `lead`
       with a cool-off, as `rejected` or, with a reason given, `recycled`.
    4. The leave rule, unless an enter condition holds.
    5. The enter rule. After a rejection it sees only newer engagement; in the cool-off only a newer hand-raise.

    `score_at(t)` is the score at an earlier moment by the facts known then, asked at UTC midnights for a dwell.
    `score_since(t)` is the score at `at` counting only engagement newer than `t`; without it nobody re-qualifies.
    `adopt`: a first load; what CRMs say is taken over with its dates and never counts as entered or as a fresh
    rejection. `may_leave=False`: facts are missing (a stream failed), so nobody is demoted by points or rules.
    `ladder` are the stages in order; one that is not in it (`other`) is mirrored and never decided by us.
    """
    case = _Case(before, at, score, score_at, score_since, criteria, tuple(ladder), may_leave)
    state = before or StageState("lead", since=at, dwell_from=at)
    state = case.observe(state, evidence, adopt=adopt)
    state = case.hear(state, answers, adopt=adopt and before is None)
    adopted = adopt and before is None
    found = state.stage
    state = case.reached_again(case.judge(state))
    adopted = adopted and state.stage == found
    return case.decision(replace(state, seen=_seen(evidence)), adopted=adopted)


@dataclass(frozen=True, slots=True)
class _Case:
    """One person at one moment, and what there is to know."""

    before: StageState | None
    at: datetime
    score: Score
    score_at: Callable[[datetime], Score]
    score_since: Callable[[datetime], Score] | None
    criteria: Criteria
    ladder: tuple[str, ...]
    may_leave: bool

    def rank(self, stage: str) -> int:
        return self.ladder.index(stage) if stage in self.ladder else -1

    def past_mql(self, stage: str) -> bool:
        return self.rank(stage) > self.rank("mql")

    # what CRMs say of the stage

    def observe(self, state: StageState, evidence: Sequence[StageEvidence], *, adopt: bool) -> StageState:
        """Follow the newest change among what CRMs say, if there is one."""
        known = None if self.before is None else _known_stages(self.before)
        news = [each for each in evidence if self._is_news(each, state, known)]
        newest = max(
            (each for each in news if not each.only_raises),
            key=lambda each: (each.at or _EARLIEST, self.rank(each.stage)),
            default=None,
        )
        for each in sorted(news, key=lambda each: self.rank(each.stage)):
            if each.only_raises and self.rank(each.stage) > self.rank((newest or state).stage):
                newest = each
        if newest is None or (self.before is not None and newest.stage == state.stage):
            return state
        return self._follow(state, newest, adopt=adopt and self.before is None)

    def _is_news(self, said: StageEvidence, state: StageState, known: dict[str, str] | None) -> bool:
        if said.ours or (known is not None and known.get(str(said.ref)) == said.said):
            return False
        if self.before is None:
            return True
        place, here = self.rank(said.stage), self.rank(state.stage)
        lower = place < here and (place >= 0 or here >= self.rank("mql"))
        if not lower and self.past_mql(said.stage):
            return True  # sales decides, whenever that was
        if lower and (said.only_raises or (known is not None and str(said.ref) not in known)):
            return False  # a record that is new to us starts low; nobody lowered anything
        if said.at is None or state.since is None:
            return True
        return said.at > state.since if lower else said.at >= state.since

    def _follow(self, state: StageState, said: StageEvidence, *, adopt: bool) -> StageState:
        since = self._not_later(said.at)
        moved = replace(state, stage=said.stage, since=since, mql_since=None, by_human=not adopt)
        if said.stage == "mql":
            first = min(since, state.first_mql_at or since)
            return replace(
                moved,
                status=MqlStatus.QUALIFIED,
                mql_since=since,
                first_mql_at=first,
                cool_off_until=None,
                dwell_from=self.at if adopt else since,
            )
        if self.past_mql(said.stage):
            taken = state.status in (MqlStatus.QUALIFIED, MqlStatus.ACCEPTED)
            status = MqlStatus.ACCEPTED if taken else MqlStatus.NONE
            return replace(moved, status=status, cool_off_until=None)
        if self.rank(state.stage) >= self.rank("mql"):  # lowered: only what happens from now on counts
            return replace(moved, status=MqlStatus.NONE, rejected_at=since)
        return moved

    # what sales answered

    def hear(self, state: StageState, answers: Sequence[Answer], *, adopt: bool) -> StageState:
        """Take the newest answer, unless it was used or is older than the present entry."""
        heard = [answer for answer in answers if answer.kind in _ANSWER_RANK]
        if not heard:
            return state
        answer = max(heard, key=lambda each: (each.at, _ANSWER_RANK[each.kind]))
        if adopt:
            return self._adopt_answer(state, answer)
        ours = state.stage == "mql" or (
            state.stage == "sql" and state.status in (MqlStatus.ACCEPTED, MqlStatus.QUALIFIED)
        )
        entry = state.mql_since or state.since
        used = state.answered_at is not None and answer.at <= state.answered_at
        if not ours or used or (entry is not None and answer.at < entry):
            return state
        if answer.kind == "rejected":
            return self._rejected(state, answer)
        return state if state.stage == "sql" else self._accepted(state, answer)

    def _adopt_answer(self, state: StageState, answer: Answer) -> StageState:
        if self.rank(state.stage) > self.rank("mql") or self.rank(state.stage) < 0:
            return state
        if state.stage == "mql" and state.since is not None and answer.at < state.since:
            return state
        if answer.kind == "rejected":
            return self._rejected(state, answer)
        return self._accepted(state, answer) if state.stage == "mql" else state

    def _accepted(self, state: StageState, answer: Answer) -> StageState:
        return replace(
            state,
            stage="sql",
            status=MqlStatus.ACCEPTED,
            since=self._not_later(answer.at),
            mql_since=None,
            answered_at=answer.at,
            by_human=False,
        )

    def _rejected(self, state: StageState, answer: Answer) -> StageState:
        # A stage from `sql` up that somebody set in a CRM is theirs; only the status tells of the answer.
        keeps = (self.past_mql(state.stage) and state.by_human) or self.rank(state.stage) < self.rank("mql")
        return replace(
            state,
            stage=state.stage if keeps else "lead",
            since=state.since if keeps else self._not_later(answer.at),
            status=MqlStatus.RECYCLED if answer.reason else MqlStatus.REJECTED,
            mql_since=None,
            rejected_at=answer.at,
            cool_off_until=answer.at + self.criteria.stages.recycle.cool_off,
            answered_at=answer.at,
            by_human=keeps and state.by_human,
        )

    # what the rules say

    def judge(self, state: StageState) -> StageState:
        """Disqualify, leave or enter."""
        if self.score.disqualified:
            return self._disqualified(state, self.score.disqualified)
        if state.status is MqlStatus.DISQUALIFIED:
            state = replace(state, status=MqlStatus.NONE, disqualified_by=None)
        if state.cool_off_until is not None and self.at >= state.cool_off_until:
            state = replace(state, cool_off_until=None)
        if state.stage == "mql":
            if self.may_leave and self._leaves(state):
                return self._lowered(state, MqlStatus.NONE)
        elif 0 <= self.rank(state.stage) < self.rank("mql") and self._enters(state):
            state = replace(
                state,
                stage="mql",
                status=MqlStatus.QUALIFIED,
                since=self.at,
                mql_since=self.at,
                first_mql_at=state.first_mql_at or self.at,
                cool_off_until=None,
                by_human=False,
                dwell_from=self.at,
            )
        sql = self.criteria.stages.sql
        if state.stage == "mql" and sql is not None and self._holds(sql, state, earliest=state.dwell_from):
            return replace(state, stage="sql", since=self.at, mql_since=None, by_human=False)
        return state

    def _disqualified(self, state: StageState, rule: str) -> StageState:
        in_force = self.before is not None and self.before.status is MqlStatus.DISQUALIFIED
        if not self.may_leave and not in_force and state.status in (MqlStatus.QUALIFIED, MqlStatus.ACCEPTED):
            return state  # facts are missing: nobody is newly disqualified by what is left of them
        if state.stage == "mql":
            state = self._lowered(state, MqlStatus.DISQUALIFIED)
        return replace(state, status=MqlStatus.DISQUALIFIED, disqualified_by=rule)

    def _lowered(self, state: StageState, status: MqlStatus) -> StageState:
        return replace(
            state,
            stage="lead",
            status=status,
            since=self.at,
            mql_since=None,
            by_human=False,
            dwell_from=self.at,
        )

    def _leaves(self, state: StageState) -> bool:
        if state.by_human or self._enters(state):
            return False
        earliest = state.dwell_from or state.mql_since
        return stage_holds(
            self.criteria.stages.mql.leave, self.score, dwelt=lambda entry: self._dwelt(entry, earliest)
        )

    def _enters(self, state: StageState) -> bool:
        counted = self.counted(state)
        if counted is None:
            return False
        resting = state.cool_off_until is not None and self.at < state.cool_off_until
        if resting and counted.hand_raised is None:
            return False
        return self._holds(self.criteria.stages.mql.enter, state, earliest=None)

    def _holds(self, rule: StageRule, state: StageState, *, earliest: datetime | None) -> bool:
        counted = self.counted(state)
        return counted is not None and stage_holds(
            rule, counted, dwelt=lambda entry: self._dwelt(entry, earliest)
        )

    def counted(self, state: StageState) -> Score | None:
        """The score that may qualify: all of it, or after a rejection what is newer. None where nobody can tell."""
        if state.rejected_at is None:
            return self.score
        return self.score_since(state.rejected_at) if self.score_since else None

    # what a human took back

    def reached_again(self, state: StageState) -> StageState:
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

    # dwell: the condition at `at` and at every UTC midnight in (at - d, at]

    def _dwelt(self, entry: StageEntry, earliest: datetime | None) -> bool:
        return self._served_at(entry, earliest) <= self.at

    def _served_at(self, entry: StageEntry, earliest: datetime | None) -> datetime:
        """From when on a dwell is served, if the condition goes on holding as it does now."""
        dwell = entry.dwell or timedelta(0)
        served = self.at if earliest is None else max(self.at, earliest + dwell)
        if earliest is not None and earliest + dwell > self.at:
            start = max(earliest, self.at - dwell)
        else:
            start = self.at - dwell
        midnight = self.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while midnight > start:
            if not entry_holds(entry, self.score_at(midnight)):
                return max(served, midnight + dwell)
            midnight -= timedelta(days=1)
        return served

    def look_again_at(self, state: StageState) -> datetime | None:
        """The next moment at which time alone may change something: the end of a dwell, of the cool-off."""
        moments = []
        if state.cool_off_until is not None:
            moments.append(state.cool_off_until)
        stages = self.criteria.stages.mql
        if state.stage == "mql" and not state.by_human:
            earliest = state.dwell_from or state.mql_since
            held = [each for each in _dwelling(stages.leave) if entry_holds(each, self.score)]
            moments += [self._served_at(each, earliest) for each in held]
            if not self.may_leave and (self.score.disqualified or self._leaves(state)):
                return self.at  # held up by missing facts: the next run decides
        elif 0 <= self.rank(state.stage) < self.rank("mql"):
            counted = self.counted(state)
            if counted is not None:
                held = [each for each in _dwelling(stages.enter) if entry_holds(each, counted)]
                moments += [self._served_at(each, None) for each in held]
        return min((moment for moment in moments if moment > self.at), default=None)

    # the answer

    def decision(self, state: StageState, *, adopted: bool) -> StageDecision:
        before = self.before
        old = None if before is None else (before.stage, before.status, before.mql_since)
        moved = old != (state.stage, state.status, state.mql_since)
        if before is not None and not moved and before.band == self.score.band and before.because:
            because = before.because
        elif state.undone is not None and state.undone.band == self.score.band and state.undone.because:
            because = state.undone.because
        else:
            because = reason(self._head(state, moved=moved), self.score, self.criteria)
        state = replace(state, band=self.score.band, because=because)
        was_mql = before is not None and before.stage == "mql"
        is_mql = state.stage == "mql"
        new_spell = before is None or before.mql_since != state.mql_since
        change = StageChange(
            at=(state.since if adopted else None) or self.at,
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
            look_again_at=self.look_again_at(state),
        )

    def _head(self, state: StageState, *, moved: bool) -> str:
        title = _TITLES.get(state.stage, state.stage.capitalize())
        if state.status is MqlStatus.DISQUALIFIED:
            return f"Disqualified: {self._disqualifier(state.disqualified_by or '')}"
        if state.status in (MqlStatus.REJECTED, MqlStatus.RECYCLED):
            said = "given back by sales" if state.status is MqlStatus.RECYCLED else "rejected by sales"
            rest = f", at rest until {state.cool_off_until:%Y-%m-%d}" if state.cool_off_until else ""
            return f"{title}: {said}{rest}"
        found = self.before is None and state.since != self.at
        lowered = state.by_human and state.rejected_at == state.since
        if lowered or (self.rank(state.stage) >= self.rank("mql") and (state.by_human or found)):
            return f"{title}: as set in the CRM"
        if state.status is MqlStatus.ACCEPTED:
            return f"{title}: accepted by sales"
        if state.stage == "mql":
            counted = self.counted(state)
            if counted is not None and counted.hand_raised:
                return f"{title}: {self.criteria.name_of(counted.hand_raised, 'hand_raise')}"
        if moved and self.before is not None and self.before.stage == "mql" and state.stage == "lead":
            return f"{title}: no longer MQL, band {self.score.band}"
        return f"{title}: band {self.score.band}"

    def _disqualifier(self, rule: str) -> str:
        return next((each.reason for each in self.criteria.disqualify if each.id == rule), rule)

    def _not_later(self, moment: datetime | None) -> datetime:
        return self.at if moment is None else min(moment, self.at)


def _held(state: StageState | None) -> bool:
    """Whether somebody is an MQL by what was taken back and reached again, which was never counted as entered."""
    return state is not None and state.undone is not None and state.undone.stage == state.stage == "mql"


def _dwelling(rule: StageRule) -> list[StageEntry]:
    match rule:
        case StageAll() | StageAny():
            return [entry for part in rule.parts for entry in _dwelling(part)]
        case StageEntry():
            return [rule] if rule.dwell else []


def _seen(evidence: Sequence[StageEvidence]) -> tuple[str, ...]:
    """What CRMs said, to tell changes from standing values at the next decision."""
    return tuple(sorted(f"{each.ref}={each.said}" for each in evidence))


def _known_stages(state: StageState) -> dict[str, str] | None:
    if state.seen is None:
        return None
    return {ref: stage for ref, _, stage in (each.partition("=") for each in state.seen)}
