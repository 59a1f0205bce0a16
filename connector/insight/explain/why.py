"""Why somebody stands where they stand: each rule's points, the events and fields behind them, what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.core.conditions import fields_of
from connector.core.criteria import Criteria, EngagementRule, EventRule, HandRaise, RuleKind
from connector.core.known import Known
from connector.core.model import Engagement, Score, Value
from connector.core.score.oracle import rules_that_hold, score_person
from connector.core.wording import condition_in_words
from connector.insight.explain import words
from connector.insight.explain.arithmetic import Arithmetic, arithmetic

NAMES_SOMEBODY = frozenset({"email", "first_name", "last_name", "phone"})


@dataclass(frozen=True, slots=True)
class Behind:
    """An event behind a rule, and the points it gives today (None for a hand-raise)."""

    at: datetime
    crm: str
    what: str
    points: float | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """A rule that holds. `kind`: fit, engagement, disqualify or hand_raise; `points` after decay, before caps.

    `fields`: what a rule on the person looked at; `events`: newest first, each behind an engagement rule or hand-raise.
    """

    rule: str
    name: str
    kind: str
    points: float
    says: str
    group: str | None = None
    fields: Mapping[str, Value] | None = None
    events: tuple[Behind, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCounted:
    """An event that gives nothing, and why."""

    at: datetime
    crm: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Why:
    """Drivers, the heaviest first (disqualifiers and raised hands before them), and the sum they make."""

    drivers: tuple[Driver, ...]
    arithmetic: Arithmetic
    not_counted: tuple[NotCounted, ...]


def why(known: Known, score: Score, at: datetime, told: Sequence[Engagement] = ()) -> Why:
    """Of somebody as known, with this score at `at`. `told`: all engagement as judged, of which `known` may leave out
    some (`connector.core.known.judged`)."""
    steps = arithmetic(known.criteria, score)
    return Why(tuple(_drivers(known, steps, at)), steps, tuple(_not_counted(known, told)))


def events_behind(rule: EventRule, engagement: Sequence[Engagement], at: datetime) -> list[Engagement]:
    """What a rule counts at `at`, newest first; nothing where there is too little of it."""
    if not _holds(rule, engagement, at):
        return []
    found = matching(rule, engagement, at)
    return found[: rule.newest] if isinstance(rule, EngagementRule) else found


def matching(rule: EventRule, engagement: Sequence[Engagement], at: datetime) -> list[Engagement]:
    """What a rule looks at, newest first, whether or not there is enough of it."""
    one = replace(rule, at_least=1, sum=None)
    kind = _alone(one)
    found = [event for event in engagement if rules_that_hold(kind, {}, [event], at)]
    return sorted(found, key=lambda event: event.occurred_at, reverse=True)


def _alone(rule: EventRule) -> Criteria:
    if isinstance(rule, HandRaise):
        return Criteria(hand_raise=(rule,))
    assert isinstance(rule, EngagementRule)
    return Criteria(engagement=(rule,))


def _holds(rule: EventRule, engagement: Sequence[Engagement], at: datetime) -> bool:
    return bool(rules_that_hold(_alone(rule), {}, engagement, at))


def _drivers(known: Known, steps: Arithmetic, at: datetime) -> list[Driver]:
    criteria, fields = known.criteria, known.fields
    hold: frozenset[tuple[RuleKind, str]] = rules_that_hold(criteria, fields, known.engagement, at)
    first = [
        Driver(
            rule.id,
            rule.name,
            "disqualify",
            0.0,
            rule.reason,
            fields=_looked_at(fields, fields_of(rule.when)),
        )
        for rule in criteria.disqualify
        if ("disqualify", rule.id) in hold
    ]
    for hand in criteria.hand_raise:
        if ("hand_raise", hand.id) in hold:
            low = hand.min_fit is not None and steps.fit < hand.min_fit - 1e-9
            says = f"fit below {words.number(hand.min_fit or 0)}: does not count" if low else ""
            behind = tuple(_behind(event) for event in events_behind(hand, known.engagement, at))
            first.append(Driver(hand.id, hand.name, "hand_raise", 0.0, says, events=behind))
    given = {each.rule: each for each in steps.rules}
    rest = [
        Driver(
            rule.id,
            rule.name,
            "fit",
            given[rule.id].points,
            condition_in_words(rule.when),
            fields=_looked_at(fields, fields_of(rule.when)),
        )
        for rule in criteria.fit
        if rule.id in given
    ]
    for each in criteria.engagement:
        if each.id in given:
            alone = _alone(replace(each, at_least=1, sum=None, newest=None, group=None))
            rest.append(
                Driver(
                    each.id,
                    each.name,
                    "engagement",
                    given[each.id].points,
                    "",
                    group=each.group,
                    events=tuple(
                        _behind(
                            event, sum(c.points for c in score_person(alone, {}, [event], at).contributions)
                        )
                        for event in events_behind(each, known.engagement, at)
                    ),
                )
            )
    return first + sorted(rest, key=lambda driver: -abs(driver.points))


def _behind(event: Engagement, points: float | None = None) -> Behind:
    return Behind(event.occurred_at, event.crm, words.event(event), points)


def _looked_at(fields: Mapping[str, Value], names: frozenset[str]) -> dict[str, Value]:
    return {name: fields.get(name) for name in sorted(names - NAMES_SOMEBODY)}


def _not_counted(known: Known, told: Sequence[Engagement]) -> list[NotCounted]:
    counts = {_key(event) for event in known.engagement if event.counted and not event.deleted}
    found: dict[tuple[str, str, str], NotCounted] = {}
    for event in told:
        key = _key(event)
        if key not in counts and key not in found and not event.deleted:
            reason = event.why_not or "the same event was told more than once, and counts once"
            found[key] = NotCounted(event.occurred_at, event.crm, words.event(event), reason)
    return sorted(found.values(), key=lambda each: each.at, reverse=True)


def _key(event: Engagement) -> tuple[str, str, str]:
    return (event.crm, event.stream, event.key)
