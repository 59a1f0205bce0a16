"""Freezes a real person as an anonymised example of the criteria. Pure; writes no file.

Kept is only what the rules read. What could name somebody is replaced, and dates are moved, by exactly as much each, so
that every age stays. The example is held to the person: the same rules hold, with the same points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connector.core.conditions import fields_of
from connector.core.criteria import Criteria, EventRule, Example, fields_of_criteria, whole
from connector.core.examples import ExampleResult, run_example
from connector.core.known import Known, told_as
from connector.core.model import Engagement, Score, Value
from connector.core.score.oracle import rules_that_hold, score_person
from connector.errors import FixConfig

# What could name somebody, or the few people of a company. A rule that reads the last three would have to read a name.
_STANDS_FOR: Mapping[str, Value] = {
    "email_domain": "example.com",
    "company_domain": "company.example",
    "website": "https://company.example",
    "company_name": "Example Company",
    "title": "Example title",
    "city": "Example City",
    "owner": "owner-1",
    "email": "person@example.com",
    "first_name": "Alex",
    "last_name": "Example",
    "phone": "+10000000000",
}
_NAMES_SOMEBODY = frozenset({"email", "first_name", "last_name", "phone"})


@dataclass(frozen=True, slots=True)
class Frozen:
    """An example as it stands in the file, and what whoever adds it should know. Holds by construction."""

    document: Mapping[str, Any]
    notes: tuple[str, ...]


def freeze(known: Known, at: datetime, *, name: str) -> Frozen:
    """One person at a moment (aware UTC) as an example. FixConfig where a rule reads what names somebody."""
    criteria = known.criteria
    want = _Fingerprint.of(criteria, known.fields, known.engagement, at)
    notes: list[str] = []
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    shift = day - at
    fields = _anonymous(criteria, known, at, want, notes)
    events = [
        replace(_bare(criteria, event), occurred_at=event.occurred_at + shift)
        for event in known.engagement
        if _matters(criteria, event, at)
    ]
    moved = {key: value + shift if isinstance(value, datetime) else value for key, value in fields.items()}
    if _Fingerprint.of(criteria, moved, told_as(moved, events, criteria).engagement, day) != want:
        raise FixConfig(
            "This person cannot be frozen: without what could name them, other rules would hold.",
            next_step="Write the example by hand; `connector explain` tells what counts.",
        )
    made = Example(name, day, moved, tuple(events), ())
    result = run_example(criteria, made)
    return Frozen(_document(made, result), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """What the criteria make of somebody: rules and points, to a millionth."""

    rules: frozenset[tuple[str, str]]
    numbers: tuple[float, float, float]
    points: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, criteria: Criteria, fields: Mapping[str, Value], events: Any, at: datetime) -> _Fingerprint:
        score: Score = score_person(criteria, fields, events, at)
        return cls(
            frozenset(rules_that_hold(criteria, fields, events, at)),
            (round(score.fit, 6), round(score.engagement, 6), round(score.score, 6)),
            tuple((each.rule, round(each.points, 6)) for each in score.contributions),
        )


def _anonymous(
    criteria: Criteria, known: Known, at: datetime, want: _Fingerprint, notes: list[str]
) -> dict[str, Value]:
    """The fields that the rules read, with what could name somebody replaced as far as the rules let it."""
    read = fields_of_criteria(criteria)
    fields: dict[str, Value] = {
        name: value for name, value in known.fields.items() if name in read and value is not None
    }

    def same(changed: Mapping[str, Value]) -> bool:
        return _Fingerprint.of(criteria, changed, known.engagement, at) == want

    for name, instead in _STANDS_FOR.items():
        if name not in fields:
            continue
        if name == "email":
            instead = _address(str(fields[name]), lambda value: same({**fields, "email": value}))
        if same({**fields, name: instead}):
            fields[name] = instead
        elif name in _NAMES_SOMEBODY:
            raise FixConfig(
                f"This person cannot be frozen: a rule reads `{name}`, and holds for the real value alone.",
                next_step="Write the example by hand, with a made-up value.",
                where=name,
            )
        else:
            notes.append(
                f"`{name}` is the real value, because a rule reads it; change it if it names somebody."
            )
    for name in ("company_size", "annual_revenue"):
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            rough = float(f"{value:.1g}")
            if same({**fields, name: rough}):
                fields[name] = int(rough) if rough.is_integer() else rough
    return fields


def _address(real: str, same: Callable[[str], bool]) -> str:
    made = str(_STANDS_FOR["email"])
    return made if same(made) else f"person@{real.rpartition('@')[2]}"


def _matters(criteria: Criteria, event: Engagement, at: datetime) -> bool:
    """Whether a rule could count this event at that moment."""
    if not event.counted or event.deleted or event.occurred_at > at:
        return False
    age = at - event.occurred_at
    return any(
        event.type in rule.events and (rule.within is None or age < rule.within)
        for rule in _event_rules(criteria)
    )


def _bare(criteria: Criteria, event: Engagement) -> Engagement:
    """The event with what the rules read of it, and nothing else; a link without what follows `?`."""
    read: set[str] = set()
    for rule in _event_rules(criteria):
        if event.type in rule.events:
            read |= set() if rule.where is None else fields_of(rule.where)
            read |= {rule.sum} if rule.sum else set()
    texts = {
        name: getattr(event, name)
        for name in ("name", "url", "campaign", "channel", "status")
        if name in read
    }
    if texts.get("url"):
        texts["url"] = str(texts["url"]).partition("?")[0].partition("#")[0]
    return Engagement(
        crm="example",
        stream="examples",
        key=event.key,
        type=event.type,
        occurred_at=event.occurred_at,
        value=event.value if "value" in read else None,
        attributes={key: value for key, value in event.attributes.items() if f"attributes.{key}" in read},
        **texts,
    )


def _event_rules(criteria: Criteria) -> tuple[EventRule, ...]:
    return (*criteria.engagement, *criteria.hand_raise)


def _document(example: Example, result: ExampleResult) -> dict[str, Any]:
    """As it stands in the file, with what is expected: what the criteria make of it today."""
    score = result.score
    expect: dict[str, Any] = {
        "stage": result.stage,
        "score": whole(score.score),
        "fit": whole(score.fit),
        "engagement": whole(score.engagement),
        "hand_raised": score.hand_raised or False,
        "disqualified": score.disqualified or False,
    }
    events = []
    for event in example.engagement:
        told: dict[str, Any] = {"type": event.type, "occurred_at": event.occurred_at}
        for key in ("name", "url", "campaign", "channel", "status", "value"):
            if getattr(event, key) is not None:
                told[key] = getattr(event, key)
        if event.attributes:
            told["attributes"] = dict(event.attributes)
        events.append(told)
    return {
        "name": example.name,
        "as_of": example.as_of,
        "person": dict(example.person),
        "engagement": events,
        "expect": expect,
    }
