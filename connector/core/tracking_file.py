"""Reads `tracking` of the criteria document. docs/reference/criteria.md documents every key."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.core.conditions import Path, parse_condition
from connector.core.criteria_reading import Reading, shown
from connector.core.fields import ENGAGEMENT_TYPES
from connector.core.names import nearest
from connector.core.tracking_types import CALLS, READS, TRACK, TrackingRule
from connector.errors import Problem

_KEYS = ("call", "event", "where", "type", "name", "value", "email")
_TYPE = re.compile(r"[a-z][a-z0-9_]*")


def read_tracking(read: Reading, top: Mapping[str, object]) -> tuple[TrackingRule, ...]:
    """The rules, in file order: the first that takes an event says what it is."""
    if "tracking" not in top:
        return ()
    docs = read.a_list(top["tracking"], ("tracking",))
    return tuple(_rule(read, doc, ("tracking", place)) for place, doc in enumerate(docs))


def _rule(read: Reading, doc: object, path: Path) -> TrackingRule:
    rule = read.a_map(doc, path, _KEYS, required=("type",))
    call = read.text(rule, path, "call", default=TRACK)
    if call not in CALLS:
        read.wrong(
            (*path, "call"), f"`call` is one of {', '.join(CALLS)}, not {shown(call)}.", nearest(call, CALLS)
        )
    if call == TRACK and isinstance(doc, Mapping) and not rule.keys() & {"event", "where"}:
        read.wrong(path, "A rule for `track` names an `event`, a condition `where`, or both.")
    where = None
    if "where" in rule:
        where = parse_condition(
            rule["where"], (*path, "where"), read.problems, lists=read.lists, known_fields=READS
        )
    return TrackingRule(
        type=_type(read, rule, path),
        call=call,
        events=_events(read, rule, path),
        where=where,
        **{key: _place(read, rule, path, key) for key in ("name", "value", "email")},
    )


def _type(read: Reading, rule: Mapping[str, object], path: Path) -> str:
    found = read.text(rule, path, "type")
    if found and not _TYPE.fullmatch(found):
        read.wrong((*path, "type"), f"A type is written as in `trial_signup`, not {shown(found)}.")
    elif found and found not in ENGAGEMENT_TYPES:  # an account may add its own: a warning, no error
        near = nearest(found, ENGAGEMENT_TYPES)
        read.warnings.append(Problem((*path, "type"), f"`{found}` is none of the built-in types.", near))
    return found


def _events(read: Reading, rule: Mapping[str, object], path: Path) -> tuple[str, ...]:
    if "event" not in rule:
        return ()
    doc = rule["event"]
    names = [doc] if isinstance(doc, str) else read.a_list(doc, (*path, "event"))
    for place, each in enumerate(names):
        if not isinstance(each, str) or not each.strip():
            where = (*path, "event") if isinstance(doc, str) else (*path, "event", place)
            read.wrong(where, f"The name of an event is a text, not {shown(each)}.")
    return tuple(each.strip() for each in names if isinstance(each, str))


def _place(read: Reading, rule: Mapping[str, object], path: Path, key: str) -> str:
    found = read.text(rule, path, key)
    if (
        found
        and found not in READS
        and not any(found.startswith(each) for each in READS if each.endswith("."))
    ):
        read.wrong(
            (*path, key), f"`{key}` says where it stands, as in `properties.plan`, not {shown(found)}."
        )
    return found
