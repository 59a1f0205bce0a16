"""Reads `examples` of the criteria document: a person, what they did, and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

from connector.core.conditions import Path
from connector.core.criteria import (
    Example,
    Expectation,
)
from connector.core.criteria_reading import Reading, shown
from connector.core.criteria_stages import MEASURES, read_measure_tests
from connector.core.model import Engagement, Value

_EXPECT = (
    "stage",
    "audience",
    "persona",
    "privacy",
    "score",
    "fit",
    "engagement",
    "band",
    "grade",
    "disqualified",
    "hand_raised",
)


def read_example(read: Reading, doc: object, path: Path) -> Example:
    """One example."""
    keys = ("name", "as_of", "person", "engagement", "expect")
    example = read.a_map(doc, path, keys, required=("name", "as_of", "expect"))
    person = read.a_map(example.get("person", {}), (*path, "person"))
    events = read.a_list(example.get("engagement", ()), (*path, "engagement"))
    return Example(
        read.text(example, path, "name"),
        read.moment(example, path, "as_of"),
        {key: _value(read, value, (*path, "person", key)) for key, value in person.items()},
        tuple(_event(read, event, (*path, "engagement", i), i) for i, event in enumerate(events)),
        _expectations(read, example, path),
    )


def _event(read: Reading, doc: object, path: Path, number: int) -> Engagement:
    texts = ("name", "url", "campaign", "channel", "status")
    allowed = ("type", "occurred_at", *texts, "value", "attributes")
    event = read.a_map(doc, path, allowed, required=("type", "occurred_at"))
    attributes = read.a_map(event.get("attributes", {}), (*path, "attributes"))
    name, url, campaign, channel, status = (
        read.text(event, path, key) if key in event else None for key in texts
    )
    return Engagement(
        crm="example",
        stream="examples",
        key=str(number),
        type=read.text(event, path, "type"),
        occurred_at=read.moment(event, path, "occurred_at"),
        name=name,
        url=url,
        campaign=campaign,
        channel=channel,
        status=status,
        value=read.as_number(event["value"], (*path, "value")) if "value" in event else None,
        attributes={
            key: _value(read, value, (*path, "attributes", key)) for key, value in attributes.items()
        },
    )


def _value(read: Reading, raw: object, path: Path) -> Value:
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return datetime(raw.year, raw.month, raw.day, tzinfo=UTC)
    if raw is None or isinstance(raw, str | int | float | datetime):
        return raw
    read.wrong(path, f"A single value is needed here, not {shown(raw)}.")
    return None


def _expectations(read: Reading, example: Mapping[str, object], path: Path) -> tuple[Expectation, ...]:
    if "expect" not in example:
        return ()
    path = (*path, "expect")
    expect = read.a_map(example["expect"], path, _EXPECT)
    if isinstance(example["expect"], Mapping) and not expect:
        read.wrong(path, f"An example expects at least one of {', '.join(_EXPECT)}.")
    return tuple(
        _expectation(read, key, value, (*path, key)) for key, value in expect.items() if key in _EXPECT
    )


def _expectation(read: Reading, key: str, value: object, path: Path) -> Expectation:
    if key in MEASURES:
        if isinstance(value, Mapping):
            return Expectation(key, tests=tuple(read_measure_tests(read, value, path)))
        number = read.as_number(value, path)
        return Expectation(key, tests=() if number is None else (("about", number),))
    if key in ("disqualified", "hand_raised"):
        if value is None or isinstance(value, bool | str):
            return Expectation(key, wanted=value)
        read.wrong(path, f"`{key}` expects the id of a rule, true or false, not {shown(value)}.")
    elif key in ("audience", "persona", "privacy") and value is None:
        return Expectation(key)
    elif not isinstance(value, str) or not value:
        read.wrong(path, f"`{key}` expects a text, not {shown(value)}.")
    else:
        return Expectation(key, wanted=value)
    return Expectation(key)
