"""Decides a person's lifecycle stage and MQL status. Pure: writes nothing, reads no clock, scores nothing itself.

We decide `lead` and `mql` (`sql`, and `lead` of a subscriber, only where a rule says so); from `sql` up sales decides
and we mirror. Whatever a CRM says of the stage is a change only where it differs from what it said at the last
decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from connector.core.criteria import Criteria, RuledStage, StageEntry, StageRule
from connector.core.guards import guard_ends
from connector.core.model import Answer, MqlStatus, Ref, StageChange, StageDecision, StageState
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
from connector.core.reasons import reason
from connector.core.score.oracle import events_that_count
from connector.core.stage_rules import Measured, dwelling, entry_holds, keeps_from_entering, stage_holds
from connector.core.stage_words import head, title

DEFAULT_LADDER = ("subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist")

_EARLIEST = datetime.min.replace(tzinfo=UTC)
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
    `override` is a human's word in force at `at`. It stands above the rules (1, 4 and 5), beside what sales does (2 and
    3): see `overruled`.
    """
    case = _Case(before, at, now, then, newer, criteria, tuple(ladder), may_leave, has_place, override)
    state = before or StageState("lead", since=at, dwell_from=at)
    state = case.observe(state, evidence, adopt=adopt)
    state = case.hear(state, answers, adopt=adopt and before is None)
    adopted = adopt and before is None
    found = state.stage
    state = case.reached_again(case.used_up(case.overruled(state), state, answers))
    adopted = adopted and state.stage == found
    return case.decision(replace(state, seen=_seen(evidence)), adopted=adopted)


@dataclass(frozen=True, slots=True)
class _Case:
    """One person at one moment, and what there is to know."""

    before: StageState | None
    at: datetime
    now: Measured
    then: Callable[[datetime], Measured]
    newer: Callable[[datetime], Measured] | None
    criteria: Criteria
    ladder: tuple[str, ...]
    may_leave: bool
    has_place: bool
    override: Override | None = None

    def rank(self, stage: str) -> int:
        return self.ladder.index(stage) if stage in self.ladder else -1

    def past_mql(self, stage: str) -> bool:
        return self.rank(stage) > self.rank("mql")

    def below_mql(self, stage: str) -> bool:
        return 0 <= self.rank(stage) < self.rank("mql")

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
        moved = replace(
            state,
            stage=said.stage,
            since=since,
            mql_since=None,
            by_human=not adopt,
            raised_from="",
            handed_at=None,
        )
        lower = self.rank(said.stage) < self.rank(state.stage)
        if lower and (self.rank(state.stage) >= self.rank("mql") or state.raised_from):
            moved = replace(moved, rejected_at=since)  # lowered: only what happens from now on counts
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
        return replace(moved, status=MqlStatus.NONE) if self.rank(state.stage) >= self.rank("mql") else moved

    # what sales answered

    def hear(self, state: StageState, answers: Sequence[Answer], *, adopt: bool) -> StageState:
        """Take the newest answer, unless it was used or is older than the present entry."""
        heard = [answer for answer in answers if answer.kind in _ANSWER_RANK]
        if not heard:
            return state
        answer = max(heard, key=lambda each: (each.at, _ANSWER_RANK[each.kind]))
        if adopt:
            return self._adopt_answer(state, answer)
        if answer.kind == "rejected" and answer.reason and state.status is MqlStatus.REJECTED:
            return replace(
                state, status=MqlStatus.RECYCLED
            )  # the reason came later; the dates stay those of the answer
        ours = state.stage == "mql" or (
            state.stage == "sql"
            and (state.status in (MqlStatus.ACCEPTED, MqlStatus.QUALIFIED) or bool(state.raised_from))
        )
        entry = state.handed_at or state.mql_since or state.since
        used = state.answered_at is not None and answer.at <= state.answered_at
        if not ours or used or (entry is not None and answer.at < entry):
            return state
        if answer.kind == "rejected":
            return self._rejected(state, answer)
        return self._accepted(state, answer) if state.stage == "mql" or state.raised_from else state

    def used_up(self, state: StageState, heard: StageState, answers: Sequence[Answer]) -> StageState:
        """An answer that was there when a rule made an MQL is no answer to that, whatever the CRM's clock says."""
        there = [answer.at for answer in answers if answer.at >= self.at]
        if not there or state.stage == heard.stage or state.stage not in ("mql", "sql"):
            return state
        return replace(state, answered_at=max(there))

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
            since=state.since if state.stage == "sql" else self._not_later(answer.at),
            mql_since=None,
            answered_at=answer.at,
            by_human=False,
            raised_from="",  # theirs from now on
            handed_at=None,
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
            raised_from=state.raised_from if keeps else "",
            handed_at=None,
        )

    # what a human has said above the rules

    def overruled(self, state: StageState) -> StageState:
        """By the rules, unless a human's word stands above them.

        *MQL now* makes MQL whatever the rules say, until it ends or sales answers. *Never* takes an MQL back, and
        nothing that sales set. *Hold* lets nobody new in; who is MQL stays, by the rules.
        """
        state, word = self._released(state), self.override
        if word is None or (word.kind == MQL_NOW and answered(word, state)):
            return self.judge(state)
        if word.kind == NEVER:
            return made_never(state, word, self.at)
        waiting = self.below_mql(state.stage)
        if word.kind == MQL_NOW:
            wished = made_mql(state, word, self.at) if waiting or state.stage == "mql" else state
            ruled = self.judge(wished)
            if ruled.stage != "mql" and not self.below_mql(ruled.stage):
                return ruled
            return wished if wished.stage == "mql" else made_mql(ruled, word, self.at)
        ruled = self.judge(state)
        if word.kind == HOLD_UNTIL and waiting and not self.below_mql(ruled.stage):
            until = f" until {word.until:%Y-%m-%d}" if word.until else ""
            return replace(not_disqualified(state), waits=False, guarded=f"on hold{until}, {in_words(word)}")
        return ruled

    def _released(self, state: StageState) -> StageState:
        """What a word made that is not in force any more, or was answered, is the rules' again: who qualifies stays,
        with the dates of the spell; everybody else goes back."""
        word = self.override
        made = state.stage == "mql" or (state.stage == "sql" and bool(state.raised_from))
        holds = word is not None and (
            word.kind == NEVER or (word.kind == MQL_NOW and made and not answered(word, state))
        )
        if state.by_override is None or holds or (not self.may_leave and state.stage == "mql"):
            return state  # the last: held up by missing facts, the next run decides
        before = without(state, self.at)
        if state.stage != "mql" or (word is not None and word.kind == HOLD_UNTIL):
            return before  # who came in by a word alone is no MQL of the rules, whom a hold would leave alone
        return before if self.below_mql(self.judge(before).stage) else replace(state, by_override=None)

    # what the rules say

    def judge(self, state: StageState) -> StageState:
        """Disqualify, leave or enter."""
        state = replace(state, guarded="", waits=False)
        if self.now.score.disqualified:
            return self._disqualified(state, self.now.score.disqualified)
        if state.status is MqlStatus.DISQUALIFIED:
            state = replace(state, status=MqlStatus.NONE, disqualified_by=None)
        if state.cool_off_until is not None and self.at >= state.cool_off_until:
            state = replace(state, cool_off_until=None)
        return self._raised(self._taken_back(state) if self.may_leave else state)

    def _disqualified(self, state: StageState, rule: str) -> StageState:
        in_force = self.before is not None and self.before.status is MqlStatus.DISQUALIFIED
        has = state.status in (MqlStatus.QUALIFIED, MqlStatus.ACCEPTED) or bool(state.raised_from)
        if not self.may_leave and not in_force and has:
            return state  # facts are missing: nobody is newly disqualified by what is left of them
        state = replace(state, status=MqlStatus.DISQUALIFIED, disqualified_by=rule)
        if state.stage == "sql" and state.raised_from:
            below = state.raised_from if self.below_mql(state.raised_from) else "lead"
            return self._moved(state, below, state.status)
        if state.stage == "mql":
            return self._moved(state, "lead", state.status)
        if state.stage == "lead" and state.raised_from and self._leaves(self.criteria.stages.lead, state):
            return self._moved(state, state.raised_from, state.status)
        return state

    def _moved(self, state: StageState, stage: str, status: MqlStatus) -> StageState:
        """By a rule, to a stage that is not MQL."""
        return replace(
            state,
            stage=stage,
            status=status,
            since=self.at,
            mql_since=None,
            by_human=False,
            dwell_from=self.at,
            raised_from="",
            handed_at=None,
            loosened=False,
        )

    def _made_mql(
        self, state: StageState, *, handed_at: datetime | None = None, loosened: bool = False
    ) -> StageState:
        return replace(
            self._moved(state, "mql", MqlStatus.QUALIFIED),
            loosened=loosened,
            mql_since=self.at,
            first_mql_at=state.first_mql_at or self.at,
            cool_off_until=None,
            handed_at=handed_at,
        )

    def _taken_back(self, state: StageState) -> StageState:
        """One rule after the other, so that nothing is left for a second look at the same moment."""
        stages = self.criteria.stages
        if state.stage == "sql" and state.raised_from and self._leaves(stages.sql, state):
            if state.raised_from == "mql":
                state = self._made_mql(state, handed_at=state.handed_at)
            else:
                state = self._moved(state, state.raised_from, MqlStatus.NONE)
        ours = state.stage == "mql" and not state.by_human and not self._enters(stages.sql, state)
        if ours and self._leaves(stages.mql, state):
            state = self._moved(state, "lead", MqlStatus.NONE)
        if state.stage == "lead" and state.raised_from and self._leaves(stages.lead, state):
            state = self._moved(state, state.raised_from, state.status)
        return state

    def _raised(self, state: StageState) -> StageState:
        stages = self.criteria.stages
        if state.stage == "mql" and self._enters(stages.sql, state):
            return self._made_sql(state)
        if not self.below_mql(state.stage):
            return state
        fixed, sql = self._enters(stages.mql, state), self._enters(stages.sql, state)
        mql = fixed or self._good_enough(state)
        counted = self.counted(state)
        kept = keeps_from_entering(counted, self.criteria, self.at) if counted and (mql or sql) else ""
        asked = counted is not None and counted.score.hand_raised is not None
        waits = mql and not kept and stages.mql.contested and not self.has_place and not (fixed and asked)
        if mql and not kept and not waits:
            state = self._made_mql(state, loosened=not fixed)
        if sql and not kept:
            return self._made_sql(state)
        if state.stage == "subscriber" and self._enters(stages.lead, state):
            state = replace(self._moved(state, "lead", state.status), raised_from="subscriber")
        return replace(state, guarded=kept, waits=waits and state.stage != "mql")

    def _good_enough(self, state: StageState) -> bool:
        """Whether somebody may compete for a place though the enter rule does not hold: the bar is loosened."""
        best = self.criteria.stages.mql.best
        if best is None or best.enough is None:
            return False
        return self._enters(RuledStage(best.enough), state)

    def _made_sql(self, state: StageState) -> StageState:
        """An MQL stays qualified until sales answers; SQL without MQL never was."""
        handed_at = state.handed_at or state.mql_since or self.at
        status = MqlStatus.QUALIFIED if state.stage == "mql" else MqlStatus.NONE
        moved = self._moved(replace(state, cool_off_until=None), "sql", status)
        moved = replace(moved, raised_from=state.stage, handed_at=handed_at)
        return without(moved, self.at) if self._outlived(moved) else moved

    def _outlived(self, state: StageState) -> bool:
        """Whether the word that made this is not in force any more, and only missing facts hold its end up."""
        word = self.override
        return state.by_override is not None and (word is None or word.id != state.by_override)

    def _leaves(self, stage: RuledStage | None, state: StageState) -> bool:
        """Whether the rule that made somebody what they are takes it back. A disqualifier beats its enter rule."""
        enters = self._enters(stage, state) or (
            stage is self.criteria.stages.mql and self._good_enough(state)
        )
        if stage is None or (enters and not self.now.score.disqualified):
            return False
        earliest = state.dwell_from or state.mql_since
        return stage_holds(stage.leave, self.now, dwelt=lambda entry: self._dwelt(entry, earliest))

    def _enters(self, stage: RuledStage | None, state: StageState) -> bool:
        """Whether the enter rule of a stage holds, whatever may keep from entering."""
        counted = self.counted(state)
        if stage is None or counted is None:
            return False
        resting = state.cool_off_until is not None and self.at < state.cool_off_until
        if resting and counted.score.hand_raised is None and stage is not self.criteria.stages.lead:
            return False
        return stage_holds(stage.enter, counted, dwelt=lambda entry: self._dwelt(entry, None))

    def counted(self, state: StageState) -> Measured | None:
        """What may qualify: all of it, or after a rejection what is newer. None where nothing newer counts, whoever the
        person is, or nobody can tell."""
        if state.rejected_at is None:
            return self.now
        newer = self.newer(state.rejected_at) if self.newer else None
        return newer if newer and events_that_count(self.criteria, newer.engagement, self.at) else None

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
            if not entry_holds(entry, self.then(midnight)):
                return max(served, midnight + dwell)
            midnight -= timedelta(days=1)
        return served

    def look_again_at(self, state: StageState) -> datetime | None:
        """The next moment at which time alone may change something: the end of a dwell, of the cool-off."""
        stages = self.criteria.stages
        if not self.may_leave and self._held_up(state):
            return self.at  # held up by missing facts: the next run decides
        word = self.override
        if self._outlived(state):
            return self.at  # its end is held up by missing facts
        moments = [] if state.cool_off_until is None else [state.cool_off_until]
        if state.guarded:
            moments += guard_ends(self.criteria, self.now.fields, self.at)
        moments += [word.ends_at] if word is not None and word.ends_at is not None else []
        leave = {"mql": stages.mql, "sql": stages.sql, "lead": stages.lead}.get(state.stage)
        if leave is not None and (state.raised_from or (state.stage == "mql" and not state.by_human)):
            moments += self._ends(leave.leave, self.now, state.dwell_from or state.mql_since)
        counted = self.counted(state)
        if counted is not None and (state.stage == "mql" or self.below_mql(state.stage)):
            for enter in (stages.sql, stages.mql if state.stage != "mql" else None):
                moments += self._ends(enter.enter, counted, None) if enter else []
            best = stages.mql.best if state.stage != "mql" else None
            if best is not None and best.enough is not None:
                moments += self._ends(best.enough, counted, None)
            if stages.lead is not None and state.stage == "subscriber":
                moments += self._ends(stages.lead.enter, counted, None)
        return min((moment for moment in moments if moment > self.at), default=None)

    def _ends(self, rule: StageRule, person: Measured, earliest: datetime | None) -> list[datetime]:
        return [self._served_at(each, earliest) for each in dwelling(rule) if entry_holds(each, person)]

    def _held_up(self, state: StageState) -> bool:
        if self.now.score.disqualified:
            return state.stage == "mql" or bool(state.raised_from)
        return self._taken_back(state) != state

    # the answer

    def decision(self, state: StageState, *, adopted: bool) -> StageDecision:
        before = self.before
        old = None if before is None else (before.stage, before.status, before.mql_since)
        moved = old != (state.stage, state.status, state.mql_since)
        if before is not None and not moved and self._same_words(before, state):
            because = before.because
        elif state.undone is not None and self._same_words(state.undone, state):
            because = state.undone.because
        else:
            because = reason(self._head(state), self.now.score, self.criteria)
        state = replace(state, band=self.now.score.band, because=because)
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
            guarded=state.guarded,
            waits=state.waits,
            loosened=state.loosened and state.stage == "mql" and moved,
            by_override=state.by_override is not None
            or (before is not None and before.by_override is not None and moved),
        )

    def _same_words(self, told: StageState, state: StageState) -> bool:
        now = self.now.score.band, state.guarded, state.waits, state.by_override
        return bool(told.because) and (told.band, told.guarded, told.waits, told.by_override) == now

    def _head(self, state: StageState) -> str:
        word = self.override
        told = word is not None and (word.kind == NEVER or not state.raised_from)
        if word is not None and told and word.id == state.by_override:
            never = "never MQL, " if word.kind == NEVER else ""
            return f"{title(state.stage)}: {never}{in_words(word)}"
        found = self.before is None and state.since != self.at
        lowered = state.by_human and state.rejected_at == state.since
        counted = self.counted(state)
        return head(
            self.before,
            state,
            self.now.score,
            self.criteria,
            set_in_crm=lowered or (self.rank(state.stage) >= self.rank("mql") and (state.by_human or found)),
            hand_raised=counted.score.hand_raised if counted else None,
        )

    def _not_later(self, moment: datetime | None) -> datetime:
        return self.at if moment is None else min(moment, self.at)


def _held(state: StageState | None) -> bool:
    """Whether somebody is an MQL by what was taken back and reached again, which was never counted as entered."""
    return state is not None and state.undone is not None and state.undone.stage == state.stage == "mql"


def _seen(evidence: Sequence[StageEvidence]) -> tuple[str, ...]:
    """What CRMs said, to tell changes from standing values at the next decision."""
    return tuple(sorted(f"{each.ref}={each.said}" for each in evidence))


def _known_stages(state: StageState) -> dict[str, str] | None:
    if state.seen is None:
        return None
    return {ref: stage for ref, _, stage in (each.partition("=") for each in state.seen)}
