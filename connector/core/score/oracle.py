"""The arithmetic of the criteria in plain Python, one person at a time. Reads no table.

The meaning is written down in docs/reference/criteria.md ("The arithmetic"); the plan is held to this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from connector.core.conditions import Get, compiled, instant_of, number_of
from connector.core.criteria import (
    Criteria,
    Decay,
    EngagementRule,
    EventRule,
    FitRule,
    HandRaise,
    RuleKind,
    compare,
)
from connector.core.model import Contribution, Engagement, Score, Value

_MICROSECOND = timedelta(microseconds=1)

Test = Callable[[Get], bool]
Weight = Callable[[int], float]


class Dated(NamedTuple):
    """An event, its age in microseconds at `as_of`, and how to read its fields."""

    age: int
    get: Get
    event: Engagement


@dataclass(frozen=True, slots=True)
class _Compiled:
    """Criteria whose conditions and decays are functions, in file order."""

    fit: tuple[tuple[FitRule, Test], ...]
    engagement: tuple[tuple[EngagementRule, Test | None, Weight], ...]
    disqualify: tuple[tuple[str, Test], ...]
    hand_raise: tuple[tuple[HandRaise, Test | None], ...]


@lru_cache(maxsize=256)  # each audience, and each rule of `privacy`, has criteria of its own
def _compile(criteria: Criteria) -> _Compiled:
    def where(rule: EventRule) -> Test | None:
        return None if rule.where is None else compiled(rule.where)

    return _Compiled(
        tuple((rule, compiled(rule.when)) for rule in criteria.fit),
        tuple((rule, where(rule), _weight(rule.decay)) for rule in criteria.engagement),
        tuple((rule.id, compiled(rule.when)) for rule in criteria.disqualify),
        tuple((rule, where(rule)) for rule in criteria.hand_raise),
    )


def score_person(
    criteria: Criteria, fields: Mapping[str, Value], engagement: Sequence[Engagement], as_of: datetime
) -> Score:
    """What the criteria make of one person at `as_of` (naive times are UTC).

    Engagement in the future, taken back (`deleted`) or set aside (not `counted`) gives nothing, in any order.
    """
    rules = _compile(criteria)
    by_type = _dated(engagement, as_of)

    fit_points = [(rule.id, rule.points) for rule, test in rules.fit if test(fields.get)]
    fit = _clip(sum(points for _, points in fit_points))

    engagement_points: list[tuple[str, float]] = []
    grouped: dict[str | None, float] = defaultdict(float)
    for rule, where, weight in rules.engagement:
        ages = _ages_that_count(rule, where, by_type)
        if rule.newest is not None:
            ages = sorted(ages)[: rule.newest]
        points = sum(rule.points * weight(age) for age in ages)
        engagement_points.append((rule.id, points))
        grouped[rule.group] += points
    lone = grouped.pop(None, 0.0)
    capped = sum(min(grouped.get(name, 0.0), cap) for name, cap in criteria.groups.items())
    engaged = _clip(lone + capped)

    score = _clip(criteria.weights.fit * fit + criteria.weights.engagement * engaged)
    return Score(
        fit=fit,
        engagement=engaged,
        score=score,
        band=1 + sum(compare("gte", score, cut) for cut in criteria.bands),
        grade=_grade(fit, engaged, criteria.grades),
        disqualified=next((id for id, test in rules.disqualify if test(fields.get)), None),
        hand_raised=next(
            (
                hand.id
                for hand, where in rules.hand_raise
                if (hand.min_fit is None or compare("gte", fit, hand.min_fit))
                and _ages_that_count(hand, where, by_type)
            ),
            None,
        ),
        contributions=tuple(
            Contribution(id, points) for id, points in (*fit_points, *engagement_points) if points != 0
        ),
    )


def rules_that_hold(
    criteria: Criteria, fields: Mapping[str, Value], engagement: Sequence[Engagement], as_of: datetime
) -> frozenset[tuple[RuleKind, str]]:
    """Every rule that holds for one person, by kind and id: those worth nothing too, and not only the first
    disqualifier or hand-raiser. A hand-raiser holds whatever the fit."""
    rules = _compile(criteria)
    by_type = _dated(engagement, as_of)
    fit = [rule.id for rule, test in rules.fit if test(fields.get)]
    done = [rule.id for rule, where, _ in rules.engagement if _ages_that_count(rule, where, by_type)]
    found: set[tuple[RuleKind, str]] = {("points", id) for id in (*fit, *done)}
    found |= {("disqualify", id) for id, test in rules.disqualify if test(fields.get)}
    found |= {("hand_raise", h.id) for h, where in rules.hand_raise if _ages_that_count(h, where, by_type)}
    return frozenset(found)


def events_that_count(
    criteria: Criteria, engagement: Sequence[Engagement], as_of: datetime
) -> list[Engagement]:
    """The engagement that speaks for somebody at `as_of`, each once: a hand raised, or what a rule with points above 0
    reaches and has not faded to nothing. What lies beyond a rule's `newest` or a cap is evidence all the same."""
    rules = _compile(criteria)
    by_type = _dated(engagement, as_of)
    found: dict[int, Engagement] = {}
    for rule, where, weight in rules.engagement:
        if rule.points > 0:
            reached = _that_count(rule, where, by_type)
            found |= {id(each.event): each.event for each in reached if weight(each.age) > 0}
    for hand, where in rules.hand_raise:
        found |= {id(each.event): each.event for each in _that_count(hand, where, by_type)}
    return list(found.values())


def _dated(engagement: Sequence[Engagement], as_of: datetime) -> Mapping[str, list[Dated]]:
    """What counts of the engagement up to `as_of`, by type."""
    now = instant_of(as_of)
    if now is None:
        raise TypeError("as_of is a time")
    by_type: dict[str, list[Dated]] = defaultdict(list)
    for event in engagement:
        occurred = instant_of(event.occurred_at)
        if event.counted and not event.deleted and occurred is not None and occurred <= now:
            by_type[event.type].append(Dated(now - occurred, event.get, event))
    return by_type


def _ages_that_count(rule: EventRule, where: Test | None, by_type: Mapping[str, list[Dated]]) -> list[int]:
    """Ages in microseconds of the events that count for a rule."""
    return [dated.age for dated in _that_count(rule, where, by_type)]


def _that_count(rule: EventRule, where: Test | None, by_type: Mapping[str, list[Dated]]) -> list[Dated]:
    """All matching events; none where there are too few, or too little in sum."""
    found = [dated for type in rule.events for dated in by_type.get(type, ())]
    if not found:
        return []
    if rule.within is not None:
        within = rule.within // _MICROSECOND
        found = [dated for dated in found if dated.age < within]
    if where is not None:
        found = [dated for dated in found if where(dated.get)]
    if rule.sum is None:
        enough = len(found) >= rule.at_least
    else:
        numbers = [number_of(dated.get(rule.sum)) for dated in found]
        total = sum(number for number in numbers if number is not None)
        enough = compare("gte", total, rule.at_least)
    return found if enough else []


def _weight(decay: Decay | None) -> Callable[[int], float]:
    if decay is None:
        return lambda age: 1.0
    if decay.half_life is not None:
        half_life = decay.half_life // _MICROSECOND
        return lambda age: float(0.5 ** (age / half_life))
    steps = [(below // _MICROSECOND, factor) for below, factor in decay.steps]
    return lambda age: next((factor for below, factor in steps if age < below), 0.0)


def _clip(x: float) -> float:
    return min(max(x, 0.0), 100.0)


def _grade(fit: float, engagement: float, cuts: Sequence[float]) -> str:
    letter = sum(not compare("gte", fit, cut) for cut in cuts)
    return "ABCD"[letter] + str(1 + sum(not compare("gte", engagement, cut) for cut in cuts))
