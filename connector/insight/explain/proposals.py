"""What somebody could still do, or turn out to be, for a rule to hold: made-up events and fields, tried on the rule.

A proposal that does not make its rule hold is not made; nothing here is a guess that was not run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, product

from connector.core.conditions import (
    All,
    Any,
    Condition,
    Instant,
    Leaf,
    Not,
    fields_of,
    holds,
    is_missing,
    number_of,
)
from connector.core.criteria import Criteria, EventRule, FitRule, RuleKind
from connector.core.known import Known, known_as
from connector.core.model import Engagement, Value
from connector.core.wording import condition_in_words
from connector.insight.explain import words
from connector.insight.explain.why import NAMES_SOMEBODY, events_behind, matching

_TRIES = 200  # of the ways to meet a condition; conditions are small
_MOST = 50  # events of one proposal
_PLAIN = ("name", "url", "campaign", "channel", "status")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that could come: events of a kind, or fields that turn out to be so. `says` names it in words."""

    rule: str
    name: str
    kind: RuleKind
    says: str
    events: tuple[Engagement, ...] = ()
    which: str = (
        ""  # of `says`: what follows the events' name; steps of one rule and kind are counted together
    )
    fields: Mapping[str, Value] = field(default_factory=dict)

    @property
    def acts(self) -> int:
        """How much it takes: its events, or one correction."""
        return len(self.events) or 1


def added(known: Known, step: Step, base: Criteria | None = None) -> Known:
    """The same person, once this has come. `base`: the criteria of the file, by which a field may make the person one
    of another audience."""
    engagement = (*known.engagement, *step.events)
    if not step.fields:
        return replace(known, engagement=engagement)
    return known_as({**known.fields, **step.fields}, engagement, base or known.criteria)


def together(taken: Sequence[Step]) -> str:
    """Several steps in one phrase: events first, those of one rule counted together."""
    told: dict[str, str] = {}
    many: dict[str, int] = {}
    for step in sorted(taken, key=lambda step: not step.events):
        types = {words.plain(event.type) for event in step.events}
        name = types.pop() if len(types) == 1 else ""
        alike = bool(name) and step.says == words.times(step.acts, name) + step.which
        key = f"{step.rule} {name}" if alike else step.says
        many[key] = many.get(key, 0) + step.acts
        told[key] = words.times(many[key], name) + step.which if alike else step.says
    return words.listed(told.values())


def steps(known: Known, at: datetime) -> list[Step]:
    """What could come, hand-raisers first, then in file order: engagement worth something, and unknown fields."""
    criteria = known.criteria
    hands = (_of_events(rule, "hand_raise", known, at) for rule in criteria.hand_raise)
    done = (_of_events(rule, "points", known, at) for rule in criteria.engagement if rule.points > 0)
    fit = (_of_fields(rule, known.fields) for rule in criteria.fit if rule.points > 0)
    return [step for step in (*hands, *done, *fit) if step is not None]


# ------------------------------------------------------------ events


def _of_events(rule: EventRule, kind: RuleKind, known: Known, at: datetime) -> Step | None:
    """The fewest new events after which the rule holds, all at `at`."""
    made = next(_made(rule, at), None)
    if made is None:
        return None
    if rule.sum is not None:
        return _of_sum(rule, rule.sum, kind, known, at, made)
    have = len(matching(rule, known.engagement, at))
    count = max(1, math.ceil(rule.at_least) - have)
    if count > _MOST:
        return None
    events = tuple(replace(made, key=f"{rule.id}-{have + n}") for n in range(count))
    if not events_behind(rule, [*known.engagement, *events], at):
        return None
    where = f" whose {condition_in_words(rule.where)}" if rule.where is not None else ""
    return Step(rule.id, rule.name, kind, words.times(count, words.plain(made.type)) + where, events, where)


def _of_sum(
    rule: EventRule, summed: str, kind: RuleKind, known: Known, at: datetime, made: Engagement
) -> Step | None:
    found = matching(rule, known.engagement, at)
    numbers = [number_of(event.get(summed)) for event in found]
    lacking = max(0.0, rule.at_least - sum(each for each in numbers if each is not None))
    event = _with(replace(made, key=f"{rule.id}-{len(found)}"), {summed: lacking})
    if event is None or not events_behind(rule, [*known.engagement, event], at):
        return None
    amount = f" with {words.plain(summed)} {words.number(lacking)}" if lacking else ""
    where = f", whose {condition_in_words(rule.where)}" if rule.where is not None else ""
    return Step(rule.id, rule.name, kind, f"one {words.plain(made.type)}{amount}{where}", (event,))


def _made(rule: EventRule, at: datetime) -> Iterator[Engagement]:
    """Events that this rule looks at, as few fields filled as can be."""
    for type in rule.events:
        bare = Engagement("", "proposed", rule.id, type, at)
        for values in _ways(rule.where) if rule.where is not None else ({},):
            event = _with(bare, values)
            if event is not None and matching(rule, [event], at):
                yield event


def _with(event: Engagement, values: Mapping[str, Value]) -> Engagement | None:
    for name, value in values.items():
        if name.startswith("attributes."):
            attributes = {**event.attributes, name.removeprefix("attributes."): value}
            event = replace(event, attributes=attributes)
        elif name == "value":
            amount = number_of(value)
            if amount is None:
                return None
            event = replace(event, value=amount)
        elif name in _PLAIN and (value is None or isinstance(value, str)):
            event = replace(event, **{name: value})  # type: ignore[arg-type]
        elif event.get(name) != value:
            return None
    return event


# ------------------------------------------------------------ fields


def _of_fields(rule: FitRule, fields: Mapping[str, Value]) -> Step | None:
    """Values of fields nobody knows yet, with which the rule holds. What is known is not proposed to be otherwise."""
    if holds(rule.when, fields.get) or fields_of(rule.when) & NAMES_SOMEBODY:
        return None
    for values in _ways(rule.when):
        new = {name: value for name, value in values.items() if value is not None}
        if any(not is_missing(fields.get(name)) for name in new):
            continue
        told = {**fields, **new}
        if new and holds(rule.when, told.get):
            says = f"knowing that {condition_in_words(_narrowed(rule.when, frozenset(new)))}"
            return Step(rule.id, rule.name, "points", says, fields=new)
    return None


def _narrowed(condition: Condition, names: frozenset[str]) -> Condition:
    """Only what it says of these fields, as far as that can be told apart."""
    if isinstance(condition, All | Any):
        parts = tuple(part for part in condition.parts if fields_of(part) & names)
        return parts[0] if len(parts) == 1 else type(condition)(parts)
    return condition


# ------------------------------------------------------------ ways to meet a condition


def _ways(condition: Condition) -> Iterator[dict[str, Value]]:
    """Values that may meet a condition, to be tried; None stands for a blank field."""
    return islice(_values(condition, wanted=True), _TRIES)


def _values(condition: Condition, *, wanted: bool) -> Iterator[dict[str, Value]]:
    match condition:
        case Leaf():
            for value in _of_leaf(condition, wanted=wanted):
                yield {condition.field: value}
        case Not():
            yield from _values(condition.part, wanted=not wanted)
        case All() | Any():
            if isinstance(condition, All) is wanted:
                yield from _together(condition.parts, wanted=wanted)
            else:
                for part in condition.parts:
                    yield from _values(part, wanted=wanted)


def _together(parts: Sequence[Condition], *, wanted: bool) -> Iterator[dict[str, Value]]:
    for found in product(*(list(islice(_values(part, wanted=wanted), 8)) for part in parts)):
        merged: dict[str, Value] = {}
        for values in found:
            for name, value in values.items():
                if merged.get(name) is None:
                    merged[name] = value
        yield merged


def _of_leaf(leaf: Leaf, *, wanted: bool) -> Iterator[Value]:
    """Values of its field for which this test comes out as wanted, the likeliest first."""
    for value in (*_candidates(leaf), None, "anything"):
        if holds(leaf, {leaf.field: value}.get) is wanted:
            yield value


def _candidates(leaf: Leaf) -> Iterator[Value]:
    if isinstance(leaf.value, frozenset):
        yield from sorted(leaf.value)[:1]
        return
    for operand in leaf.value if isinstance(leaf.value, tuple) else (leaf.value,):
        if isinstance(operand, Instant):
            moment = _EPOCH + timedelta(microseconds=operand.us)
            yield from (moment, moment + timedelta(days=1), moment - timedelta(days=1))
        elif isinstance(operand, float):
            yield from (operand, operand + 1, operand - 1)
        elif isinstance(operand, str):
            yield operand.replace("*", "").replace("?", "x") if leaf.op == "matches" else operand
