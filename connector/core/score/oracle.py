"""The arithmetic of the criteria in plain Python, one person at a time. Reads no table.

The meaning is written down in docs/reference/criteria.md ("The arithmetic"); the plan is held to this.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from connector.core.conditions import Get, holds, instant_of, number_of
from connector.core.criteria import Criteria, Decay, EventRule, compare
from connector.core.model import Contribution, Engagement, Score, Value

_MICROSECOND = timedelta(microseconds=1)

Dated = tuple[int, Engagement]  # age in microseconds, at `as_of`


def score_person(
    criteria: Criteria, fields: Mapping[str, Value], engagement: Sequence[Engagement], as_of: datetime
) -> Score:
    """What the criteria make of one person at `as_of` (naive times are UTC).

    Engagement in the future, taken back (`deleted`) or set aside (not `counted`) gives nothing, in any order.
    """
    now = instant_of(as_of)
    if now is None:
        raise TypeError("as_of is a time")
    by_type: dict[str, list[Dated]] = defaultdict(list)
    for event in engagement:
        occurred = instant_of(event.occurred_at)
        if event.counted and not event.deleted and occurred is not None and occurred <= now:
            by_type[event.type].append((now - occurred, event))

    fit_points = [(rule.id, rule.points) for rule in criteria.fit if holds(rule.when, fields.get)]
    fit = _clip(sum(points for _, points in fit_points))

    engagement_points: list[tuple[str, float]] = []
    grouped: dict[str | None, float] = defaultdict(float)
    for rule in criteria.engagement:
        ages = _ages_that_count(rule, by_type)
        if rule.newest is not None:
            ages = sorted(ages)[: rule.newest]
        weight = _weight(rule.decay)
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
        disqualified=next((rule.id for rule in criteria.disqualify if holds(rule.when, fields.get)), None),
        hand_raised=next(
            (
                rule.id
                for rule in criteria.hand_raise
                if (rule.min_fit is None or compare("gte", fit, rule.min_fit))
                and _ages_that_count(rule, by_type)
            ),
            None,
        ),
        contributions=tuple(
            Contribution(rule, points) for rule, points in (*fit_points, *engagement_points) if points != 0
        ),
    )


def _ages_that_count(rule: EventRule, by_type: Mapping[str, list[Dated]]) -> list[int]:
    """Ages in microseconds of all matching events; none where there are too few, or too little in sum."""
    within = None if rule.within is None else rule.within // _MICROSECOND
    matching = [
        (age, event)
        for type in rule.events
        for age, event in by_type.get(type, ())
        if (within is None or age < within) and (rule.where is None or holds(rule.where, _getter(event)))
    ]
    if rule.sum is None:
        enough = len(matching) >= rule.at_least
    else:
        numbers = [number_of(_getter(event)(rule.sum)) for _, event in matching]
        total = sum(number for number in numbers if number is not None and math.isfinite(number))
        enough = compare("gte", total, rule.at_least)
    return [age for age, _ in matching] if enough else []


def _getter(event: Engagement) -> Get:
    def get(name: str) -> Value:
        if name.startswith("attributes."):
            return event.attributes.get(name.removeprefix("attributes."))
        value: Value = getattr(event, name)
        return value

    return get


@lru_cache(maxsize=256)
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
