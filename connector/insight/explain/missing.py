"""Why somebody is no MQL yet: what stands in the way, how much is missing, and what would do, the cheapest first.

Every way is run through the arithmetic and the stages before it is told: with exactly these events and fields added,
the person qualifies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.core.criteria import Criteria, StageAll, StageAny, StageEntry, StageRule, StageTest, compare
from connector.core.known import Known, score_known
from connector.core.model import MqlStatus, Score, StageState
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, in_words
from connector.core.privacy import is_unscored, under_in_words
from connector.insight.explain import words
from connector.insight.explain.deciding import Case, counted, decide_case
from connector.insight.explain.proposals import Step, added, steps, together

_LONGEST = 8  # steps of one way: more is no advice
_ABOVE = ("mql", "sql", "opportunity", "customer", "evangelist")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A bound of the enter rule that is not reached. `short` is how much is missing, in its own measure."""

    measure: str
    have: float
    needs: float
    short: float


@dataclass(frozen=True, slots=True)
class Gain:
    """What one step alone would give."""

    step: Step
    score: float
    fit: float
    engagement: float


@dataclass(frozen=True, slots=True)
class Way:
    """Steps that together make this person an MQL: at once, or at `not_before` if nothing else happens until then.
    `days`: on so many different days, the events are dated so."""

    steps: tuple[Step, ...]
    not_before: datetime | None = None
    days: int = 1

    @property
    def acts(self) -> int:
        """What it takes."""
        return sum(step.acts for step in self.steps)


@dataclass(frozen=True, slots=True)
class Missing:
    """Empty for who is MQL or beyond. `sentences` say all of it, the most useful first."""

    blockers: tuple[str, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    ways: tuple[Way, ...] = ()
    gains: tuple[Gain, ...] = ()
    sentences: tuple[str, ...] = ()


def missing(case: Case, *, guarded: str = "", waits: bool = False) -> Missing:
    """What keeps this person from being an MQL. `guarded` and `waits`: as the last decision told them."""
    decision = decide_case(replace(case, has_place=case.has_place and not waits))
    state = decision.state
    if state.stage in _ABOVE:
        return Missing()
    waits = decision.waits
    blockers = _blockers(case, state, decision.guarded or guarded, waits)
    if is_unscored(case.now.criteria):
        return Missing(blockers, (), (), (), tuple(map(words.sentence, blockers)))
    if waits:  # who qualifies lacks a place, and that is not theirs to change
        return Missing(blockers, (), (), (), tuple(map(words.sentence, blockers)))
    base = counted(case, state)
    score = score_known(base, case.at)
    shortfalls = tuple(_shortfalls(case.now.criteria, score))
    never = case.override is not None and case.override.kind == NEVER
    if score.disqualified or never:
        return Missing(blockers, shortfalls, (), (), tuple(map(words.sentence, blockers)))
    found = steps(base, case.at)
    gains = tuple(_gains(case, state, score, found))
    ways = tuple(_ways(case, state, found))
    told = [*blockers, *_of_ways(ways, case), *_of_shortfalls(shortfalls, gains)]
    return Missing(blockers, shortfalls, ways, gains, tuple(map(words.sentence, told)))


def with_steps(case: Case, taken: tuple[Step, ...]) -> Case:
    """The same person once exactly this has come, at the same moment."""

    def more(known: Known) -> Known:
        for step in taken:
            known = added(known, step, case.base)
        return known

    return replace(case, now=more(case.now), newer=lambda since: more(case.newer(since)))


# ------------------------------------------------------------ what stands in the way


def _blockers(case: Case, state: StageState, guarded: str, waits: bool) -> tuple[str, ...]:
    criteria, found = case.now.criteria, []
    if criteria.under is not None:
        found.append(under_in_words(criteria))
    if is_unscored(criteria):
        return tuple(found)
    rule = score_known(case.now, case.at).disqualified
    if rule:
        reason = next((each.reason for each in criteria.disqualify if each.id == rule), rule)
        found.append(f"disqualified by {criteria.name_of(rule, 'disqualify')}: {reason}")
    if case.override is not None and case.override.kind != MQL_NOW:
        until = f" until {case.override.until:%Y-%m-%d}" if case.override.until else ""
        what = "never MQL" if case.override.kind == NEVER else f"on hold{until}"
        found.append(f"{what}, {in_words(case.override)}")
        guarded = "" if case.override.kind == HOLD_UNTIL else guarded
    if state.cool_off_until is not None and state.cool_off_until > case.at:
        found.append(f"at rest until {state.cool_off_until:%Y-%m-%d}: until then only a raised hand counts")
    if state.rejected_at is not None:
        said = state.status in (MqlStatus.REJECTED, MqlStatus.RECYCLED)
        who = "sales said no" if said else "somebody lowered the stage in a CRM"
        found.append(f"{who} on {state.rejected_at:%Y-%m-%d}: only newer engagement counts")
    if guarded:
        found.append(f"qualifies, but held back: {guarded}")
    if waits:
        found.append("qualifies, and waits for a place among the best")
    return tuple(found)


# ------------------------------------------------------------ how much is missing


def _entries(rule: StageRule) -> Iterator[StageEntry]:
    if isinstance(rule, StageEntry):
        yield rule
        return
    for part in rule.parts:
        yield from _entries(part)


def _shortfalls(criteria: Criteria, score: Score) -> Iterator[Shortfall]:
    """The bounds of the nearest entry that points can reach."""
    near: list[tuple[float, list[Shortfall]]] = []
    for entry in _entries(criteria.stages.mql.enter):
        if not entry.tests:
            continue
        short = [each for test in entry.tests if (each := _short(criteria, score, test)) is not None]
        near.append((sum(each.short for each in short), short))
    if near:
        yield from min(near, key=lambda each: each[0])[1]


def _short(criteria: Criteria, score: Score, test: StageTest) -> Shortfall | None:
    measure, bound = test.measure, test.value[0] if isinstance(test.value, tuple) else test.value
    if measure == "band" and test.op in ("gte", "is", "between"):
        place = int(bound) - 2
        if not 0 <= place < len(criteria.bands):
            return None
        measure, bound = "score", criteria.bands[place]
    have = float(getattr(score, measure))
    if test.op not in ("gte", "gt", "is", "between") or compare("gte", have, bound):
        return None
    return Shortfall(measure, have, bound, bound - have)


def _distance(criteria: Criteria, rule: StageRule, score: Score) -> float:
    """How far points are from a rule; infinite where they cannot get there."""
    match rule:
        case StageAll():
            return sum(_distance(criteria, part, score) for part in rule.parts)
        case StageAny():
            return min((_distance(criteria, part, score) for part in rule.parts), default=math.inf)
    if rule.hand_raised is not None and rule.hand_raised != (score.hand_raised is not None):
        return math.inf
    if rule.disqualified is not None and rule.disqualified != (score.disqualified is not None):
        return math.inf
    return sum(each.short for test in rule.tests if (each := _short(criteria, score, test)) is not None)


# ------------------------------------------------------------ what would do


def _gains(case: Case, state: StageState, before: Score, found: list[Step]) -> Iterator[Gain]:
    alone = []
    for step in found:
        if step.kind != "points":
            continue
        after = score_known(added(counted(case, state), step, case.base), case.at)
        gain = Gain(
            step, after.score - before.score, after.fit - before.fit, after.engagement - before.engagement
        )
        if gain.score > 0 or gain.fit > 0:
            alone.append(gain)
    yield from sorted(alone, key=lambda gain: (-gain.score / gain.step.acts, -gain.score))


def _ways(case: Case, state: StageState, found: list[Step]) -> list[Way]:
    """Each single step that does, else steps put together: by engagement alone, and with fields that become known."""
    ways = [way for step in found if (way := _way(case, (step,))) is not None]
    by_hand = [way for way in ways if way.steps[0].kind == "hand_raise"]
    by_points = [way for way in ways if way.steps[0].kind == "points"]
    if not by_points:
        for fields in (False, True):
            way = _put_together(case, state, fields=fields)
            if way is not None and way not in by_points:
                by_points.append(way)
    return sorted(by_hand + by_points, key=lambda way: (way.not_before is not None, way.acts, len(way.steps)))


def _way(case: Case, taken: tuple[Step, ...]) -> Way | None:
    with_them = with_steps(case, taken)
    decision = decide_case(with_them)
    if decision.state.stage in _ABOVE:
        return Way(taken)
    later = decision.look_again_at
    if later is None:
        return None
    waited = replace(_waited(case, with_them, later), before=decision.state)
    return Way(taken, later) if decide_case(waited).state.stage in _ABOVE else None


def _waited(case: Case, with_them: Case, at: datetime) -> Case:
    """Nothing else happens until `at`: what is known now is all that is known at each midnight on the way."""
    return replace(with_them, at=at, then=lambda moment: _then(case, with_them, moment))


def _then(case: Case, with_them: Case, moment: datetime) -> Known:
    return case.then(moment) if moment < case.at else with_them.now


def _put_together(case: Case, state: StageState, *, fields: bool) -> Way | None:
    """The step that brings the person nearest, again and again, until they qualify. None where that leads nowhere."""
    criteria = case.now.criteria
    taken: tuple[Step, ...] = ()
    here = counted(case, state)
    left = _distance(criteria, criteria.stages.mql.enter, score_known(here, case.at))
    while len(taken) < _LONGEST:
        best: tuple[float, bool, int, Step] | None = None
        for step in steps(here, case.at):
            if step.kind != "points" or (step.fields and not fields):
                continue
            score = score_known(added(here, step, case.base), case.at)
            again = any(step.rule == each.rule for each in taken)
            key = (_distance(criteria, criteria.stages.mql.enter, score), again, step.acts)
            if best is None or key < best[:3]:
                best = (*key, step)
        # At the bounds already, what is missing is evidence: more of it, of other kinds first.
        if best is None or (best[0] >= left - 1e-9 and best[0] > 1e-9):
            return None
        left, here, taken = best[0], added(here, best[3], case.base), (*taken, best[3])
        way = _way(case, taken) or _over_days(case, taken)
        if way is not None:
            return way
    return None


def _over_days(case: Case, taken: tuple[Step, ...]) -> Way | None:
    """The same on several days, one after the other from now on, where evidence of several days is asked for."""
    least = case.now.criteria.stages.mql.evidence
    for days in range(2, (least.days if least else 1) + 1):
        if sum(len(step.events) for step in taken) < days:
            return None
        dated = _dated(taken, days)
        with_them = with_steps(case, dated)
        last = case.at + timedelta(days=days - 1)
        if decide_case(_waited(case, with_them, last)).state.stage in _ABOVE:
            return Way(dated, last, days)
    return None


def _dated(taken: tuple[Step, ...], days: int) -> tuple[Step, ...]:
    """The events one a day, all that are left on the last."""
    found, place = [], 0
    for step in taken:
        events = []
        for event in step.events:
            moment = event.occurred_at + timedelta(days=min(place, days - 1))
            events.append(replace(event, occurred_at=moment))
            place += 1
        found.append(replace(step, events=tuple(events)))
    return tuple(found)


# ------------------------------------------------------------ in words


def _of_ways(ways: tuple[Way, ...], case: Case) -> Iterator[str]:
    for way in ways:
        make = "makes" if len(way.steps) == 1 and way.acts == 1 else "together make"
        told = together(way.steps)
        when = (
            "at once" if way.not_before is None else f"after {_days(way.not_before - case.at)}, if that stays"
        )
        if way.days > 1:
            told, when = f"{told}, on {words.times(way.days, 'day')},", "on the last of them"
        if case.now.criteria.stages.mql.contested and all(step.kind == "points" for step in way.steps):
            when += ", where there is a place among the best"
        yield f"{told} {make} this person an MQL {when}"


def _days(length: timedelta) -> str:
    days = math.ceil(length / timedelta(days=1))
    return words.times(days, "day")


def _of_shortfalls(shortfalls: tuple[Shortfall, ...], gains: tuple[Gain, ...]) -> Iterator[str]:
    for short in shortfalls:
        if short.measure == "fit":
            head = f"fit is too low by {words.number(short.short)}: nothing this person does can change that"
        else:
            name = "points are" if short.measure == "score" else "points of engagement are"
            head = f"{words.number(short.short)} {name} missing"
        given = [(float(getattr(gain, short.measure)), gain.step) for gain in gains]
        given = sorted((each for each in given if each[0] > 0.005), key=lambda each: -each[0])[:4]
        told = ", ".join(
            f"{step.says} {'gives' if step.acts == 1 else 'give'} {words.number(points)}"
            for points, step in given
        )
        joint = "; " if short.measure == "fit" else ": "
        yield f"{head}{joint}{told}" if told else head
