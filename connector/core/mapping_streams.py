"""Reads one engagement stream of a mapping document: which of their events is which of our types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from connector.core.conditions import Path
from connector.core.durations import parse_duration
from connector.core.fields import (
    EVENT_FIELDS,
)
from connector.core.mapping import (
    COUNTERS,
    ScannerRule,
    StreamMapping,
    TypeRule,
)
from connector.core.mapping_reading import (
    Known,
    a_choice,
    a_condition,
    a_text,
    a_type,
    a_whole,
    entries,
    is_list,
    is_map,
    items,
    known_keys,
    texts,
)
from connector.errors import Problem

STREAM_KEYS = (
    "source_of",
    "ignore",
    "fields",
    "types",
    "occurred_at",
    "scanner",
    "touch",
    "only_bands",
    "at_most",
)
SCANNER_KEYS = ("type", "links", "within")
TYPE_KEYS = ("when", "type")


def read_stream(name: str, body: object, path: Path, problems: list[Problem], known: Known) -> StreamMapping:
    """One engagement stream."""
    if not is_map(body, path, problems):
        return StreamMapping(name)
    known_keys(body, STREAM_KEYS, path, problems)
    if name == COUNTERS:
        problems.extend(
            Problem((*path, str(key)), "counters are described under their objects.")
            for key in body
            if key != "source_of"
        )
    source_of = texts(body.get("source_of"), (*path, "source_of"), problems)
    for position, one in enumerate(source_of):
        a_type(one, (*path, "source_of", position), problems, known)
    fields, attributes = _event_fields(body.get("fields"), (*path, "fields"), problems)
    ignore = [
        a_condition(entry, (*path, "ignore", position), problems, known)
        for position, entry in enumerate(entries(body.get("ignore"), (*path, "ignore"), problems))
    ]
    return StreamMapping(
        stream=name,
        source_of=frozenset(source_of),
        ignore=tuple(each for each in ignore if each is not None),
        fields=fields,
        attributes=attributes,
        types=_type_rules(body.get("types"), (*path, "types"), problems, known),
        occurred_at=a_text(body.get("occurred_at"), (*path, "occurred_at"), problems),
        scanner=_scanner(body.get("scanner"), (*path, "scanner"), problems, known),
        touch=a_condition(body.get("touch"), (*path, "touch"), problems, known),
        only_bands=_bands(body.get("only_bands"), (*path, "only_bands"), problems),
        at_most=a_whole(body.get("at_most", 500), (*path, "at_most"), problems, low=1) or 500,
    )


def _scanner(body: object, path: Path, problems: list[Problem], known: Known) -> ScannerRule | None:
    if body is None or not is_map(body, path, problems):
        return None
    known_keys(body, SCANNER_KEYS, path, problems)
    within = timedelta(seconds=10)
    try:
        within = parse_duration(body.get("within", "10s"))
    except ValueError as error:
        problems.append(Problem((*path, "within"), str(error)))
    return ScannerRule(
        type=a_type(body.get("type", "email_click"), (*path, "type"), problems, known),
        links=a_whole(body.get("links", 3), (*path, "links"), problems, low=2) or 3,
        within=within,
    )


def _bands(value: object, path: Path, problems: list[Problem]) -> tuple[int, ...]:
    if value is None:
        return ()
    bands = value if is_list(value) else [value]
    assert isinstance(bands, list | tuple)
    if not bands or not all(isinstance(one, int) and 1 <= one <= 5 for one in bands):
        problems.append(Problem(path, "needs bands from 1 to 5, as in [5] or [4, 5]."))
        return ()
    return tuple(sorted({int(one) for one in bands}))


def _event_fields(
    body: object, path: Path, problems: list[Problem]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    fields: dict[str, tuple[str, ...]] = {}
    attributes: dict[str, tuple[str, ...]] = {}
    for ours, spec in items(body, path, problems):
        if ours == "attributes":
            attributes = {
                key: texts(theirs, (*path, ours, key), problems, required=True)
                for key, theirs in items(spec, (*path, ours), problems)
            }
        elif a_choice(ours, (*EVENT_FIELDS, "attributes"), "field of an engagement", (*path, ours), problems):
            fields[ours] = texts(spec, (*path, ours), problems, required=True)
    return fields, attributes


def _type_rules(body: object, path: Path, problems: list[Problem], known: Known) -> tuple[TypeRule, ...]:
    rules: list[TypeRule] = []
    for position, entry in enumerate(entries(body, path, problems)):
        at: Path = (*path, position)
        if not is_map(entry, at, problems):
            continue
        known_keys(entry, TYPE_KEYS, at, problems)
        if rules and rules[-1].when is None:
            problems.append(
                Problem(at, "is never reached: the line above has no `when` and takes everything.")
            )
        when = a_condition(entry.get("when"), (*at, "when"), problems, known)
        if when is None and "when" in entry and entry["when"] is None:
            problems.append(Problem((*at, "when"), "is blank; leave it out to take everything."))
        rules.append(TypeRule(a_type(entry.get("type"), (*at, "type"), problems, known), when))
    return tuple(rules)


def one_source_each(streams: Mapping[str, StreamMapping], problems: list[Problem]) -> None:
    """A type with two sources of record is a problem."""
    owner: dict[str, str] = {}
    for stream in streams.values():
        problems.extend(
            Problem(
                ("engagement", stream.stream, "source_of"),
                f"`{type}` already has the source of record `{owner[type]}`.",
            )
            for type in sorted(stream.source_of)
            if owner.setdefault(type, stream.stream) != stream.stream
        )
