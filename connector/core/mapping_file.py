"""Read the document of a mapping file (`mappings/<crm>.yaml`) into the values of `connector.core.mapping`, and
report everything wrong at once. Pure: opens no file itself and compares with no live schema.
`docs/reference/mapping.md` documents every key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connector.core.conditions import Path
from connector.core.fields import (
    ENGAGEMENT_TYPES,
    KIND_TRANSFORMS,
    PERSON_FIELDS,
    OurField,
)
from connector.core.mapping import (
    ANYONE,
    APPROVALS,
    TRANSFORMS,
    CrmMapping,
    FileShape,
    ObjectMapping,
    StreamMapping,
    fold,
    object_wants,
    stream_wants,
)
from connector.core.mapping_limits import read_freezes, read_limits
from connector.core.mapping_objects import read_object
from connector.core.mapping_reading import (
    Known,
    a_choice,
    a_text,
    a_whole,
    is_list,
    is_map,
    items,
    known_keys,
    texts,
)
from connector.core.mapping_streams import one_source_each, read_stream
from connector.core.titles import TitleRow, parse_titles
from connector.errors import FixConfig, Problem

TOP_KEYS = (
    "crm",
    "version",
    "objects",
    "engagement",
    "limits",
    "freeze",
    "approval",
    "master",
    "extra_fields",
    "extra_types",
    "titles",
    "precedence",
    "file",
)
EXTRA_FIELD_KEYS = ("kind", "what", "transform")
FILE_KEYS = ("id", "outcome", "positive", "blank")


def parse_mapping(
    doc: Mapping[str, Any],
    *,
    lists: Callable[[str], frozenset[str]] | None = None,
    read_text: Callable[[str], str] | None = None,
) -> CrmMapping:
    """The document of a mapping file as typed values.

    `lists` reads the CSV that an `in_list` condition names; `read_text` the CSV that `titles` names. Raises
    FixConfig with every problem at once: unknown keys, fields, types, transforms and write rules with the
    nearest right name.
    """
    problems: list[Problem] = []
    if not isinstance(doc, Mapping):
        problems.append(Problem((), "a mapping file is a map with `crm`, `version` and `objects`."))
        raise _refusal(problems)
    parsed = _parse(doc, problems, lists, read_text)
    if problems or parsed is None:
        raise _refusal(problems)
    return parsed


def _refusal(problems: Sequence[Problem]) -> FixConfig:
    count = f"{len(problems)} problem" + ("" if len(problems) == 1 else "s")
    return FixConfig(
        f"The mapping is not valid: {count}.",
        next_step="Correct the lines below, then run `connector check`.",
        problems=problems,
    )


def _parse(
    doc: Mapping[str, Any],
    problems: list[Problem],
    lists: Callable[[str], frozenset[str]] | None,
    read_text: Callable[[str], str] | None,
) -> CrmMapping | None:
    known_keys(doc, TOP_KEYS, (), problems)
    crm = a_text(doc.get("crm"), ("crm",), problems, required=True)
    version = a_whole(doc.get("version", 1), ("version",), problems, low=1)
    extra_fields = _extra_fields(doc.get("extra_fields"), problems)
    extra_types = _extra_types(doc.get("extra_types"), problems)
    known = Known({**PERSON_FIELDS, **extra_fields}, {**ENGAGEMENT_TYPES, **extra_types}, lists)
    objects = {
        name: read_object(name, body, ("objects", name), problems, known, extra_fields)
        for name, body in items(doc.get("objects"), ("objects",), problems, required=True)
    }
    streams = {
        name: read_stream(name, body, ("engagement", name), problems, known)
        for name, body in items(doc.get("engagement"), ("engagement",), problems)
    }
    one_source_each(streams, problems)
    _persona_is_no_echo(objects, problems)
    if "objects" in doc and not any(each.kind == "person" for each in objects.values()):
        problems.append(Problem(("objects",), "names no object of kind person: nobody would be read."))
    file = _file(doc.get("file"), problems)
    if crm == "csv" and file is None and "file" not in doc:
        problems.append(Problem((), "a mapping with `crm: csv` needs `file`, which names the id's column."))
    if file is not None:
        _outcome_is_no_input(file, objects, streams, problems)
    return CrmMapping(
        crm=crm or "",
        version=version or 1,
        objects=objects,
        engagement=streams,
        limits=read_limits(doc.get("limits"), problems),
        freeze=read_freezes(doc.get("freeze"), problems),
        master=a_text(doc.get("master"), ("master",), problems) or None,
        approval=a_choice(doc.get("approval", ANYONE), APPROVALS, "approval", ("approval",), problems)
        or ANYONE,
        extra_fields=extra_fields,
        extra_types=extra_types,
        titles=_titles(doc.get("titles"), problems, read_text),
        precedence=_precedence(doc.get("precedence"), problems, known),
        file=file,
    )


def _persona_is_no_echo(objects: Mapping[str, ObjectMapping], problems: list[Problem]) -> None:
    """A persona by rule, read back from where it was written, would pass for one that a human assigned."""
    read = {
        fold(source)
        for each in objects.values()
        for one in each.fields
        if one.field == "persona"
        for source in one.sources
    }
    for name, each in objects.items():
        for position, line in enumerate(each.write):
            if line.result == "persona" and line.rule != "never" and fold(line.to) in read:
                what = (
                    f"`{line.to}` is where the assigned persona is read from; write it to a field of its own."
                )
                problems.append(Problem(("objects", name, "write", position, "to"), what))


def _extra_fields(body: object, problems: list[Problem]) -> dict[str, OurField]:
    found: dict[str, OurField] = {}
    for name, spec in items(body, ("extra_fields",), problems):
        path: Path = ("extra_fields", name)
        if name in PERSON_FIELDS:
            problems.append(Problem(path, f"`{name}` is a field of ours already; map it under `fields`."))
        if isinstance(spec, str):
            spec = {"kind": "text", "what": spec}
        if not is_map(spec, path, problems, what="a description, or a map with `kind`"):
            continue
        known_keys(spec, EXTRA_FIELD_KEYS, path, problems)
        kind = (
            a_choice(spec.get("kind", "text"), KIND_TRANSFORMS, "kind", (*path, "kind"), problems) or "text"
        )
        transform = a_choice(
            spec.get("transform", KIND_TRANSFORMS[kind]),
            TRANSFORMS,
            "transform",
            (*path, "transform"),
            problems,
        )
        what = a_text(spec.get("what"), (*path, "what"), problems) or ""
        found[name] = OurField(name, kind, what, transform or KIND_TRANSFORMS[kind])
    return found


def _extra_types(body: object, problems: list[Problem]) -> dict[str, str]:
    if is_list(body):
        return dict.fromkeys(texts(body, ("extra_types",), problems), "")
    found: dict[str, str] = {}
    for name, what in items(body, ("extra_types",), problems):
        if name in ENGAGEMENT_TYPES:
            problems.append(Problem(("extra_types", name), f"`{name}` is a type of ours already."))
        found[name] = a_text(what, ("extra_types", name), problems) or ""
    return found


def _titles(
    value: object, problems: list[Problem], read_text: Callable[[str], str] | None
) -> tuple[TitleRow, ...]:
    name = a_text(value, ("titles",), problems)
    if name is None:
        return ()
    if read_text is None:
        problems.append(Problem(("titles",), f"`{name}` cannot be read here."))
        return ()
    try:
        text = read_text(name)
    except (OSError, ValueError) as error:
        problems.append(Problem(("titles",), f"`{name}` cannot be read: {error}"))
        return ()
    rows, complaints = parse_titles(text)
    problems.extend(Problem(("titles",), f"{name}: {complaint}") for complaint in complaints)
    return rows


def _precedence(body: object, problems: list[Problem], known: Known) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, crms in items(body, ("precedence",), problems):
        a_choice(name, known.fields, "field of ours", ("precedence", name), problems)
        found[name] = texts(crms, ("precedence", name), problems, required=True)
    return found


def _file(body: object, problems: list[Problem]) -> FileShape | None:
    if body is None or not is_map(body, ("file",), problems):
        return None
    known_keys(body, FILE_KEYS, ("file",), problems)
    positive = texts(body.get("positive"), ("file", "positive"), problems)
    shape = FileShape(
        id=a_text(body.get("id"), ("file", "id"), problems, required=True) or "",
        outcome=a_text(body.get("outcome"), ("file", "outcome"), problems),
        blank=texts(body.get("blank"), ("file", "blank"), problems),
    )
    return FileShape(shape.id, shape.outcome, positive, shape.blank) if positive else shape


def _outcome_is_no_input(
    file: FileShape,
    objects: Mapping[str, ObjectMapping],
    streams: Mapping[str, StreamMapping],
    problems: list[Problem],
) -> None:
    if file.outcome is None:
        return
    what = f"reads `{file.outcome}`, the outcome: a score that knows the outcome predicts nothing."
    problems.extend(
        Problem(("objects", each.object), what)
        for each in objects.values()
        if file.outcome in object_wants(each)
    )
    problems.extend(
        Problem(("engagement", each.stream), what)
        for each in streams.values()
        if file.outcome in stream_wants(each)
    )
