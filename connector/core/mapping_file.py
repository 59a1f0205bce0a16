"""Read the document of a mapping file (`mappings/<crm>.yaml`) into the values of `connector.core.mapping`, and
report everything wrong at once. Pure: opens no file itself and compares with no live schema.
`docs/reference/mapping.md` documents every key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeGuard

from connector.core.conditions import Condition, Path, fields_of, parse_condition
from connector.core.durations import parse_duration
from connector.core.fields import (
    ACCOUNT,
    ACCOUNT_FIELDS,
    COMPANY_FIELDS,
    ENGAGEMENT_TYPES,
    EVENT_FIELDS,
    KIND_TRANSFORMS,
    OPPORTUNITY_FIELDS,
    PERSON_FIELDS,
    OurField,
)
from connector.core.limits import Freeze, PlanLimits
from connector.core.mapping import (
    ANYONE,
    APPROVALS,
    COUNTERS,
    KINDS,
    LADDER,
    RESULTS,
    TRANSFORMS,
    WRITE_RULES,
    Counter,
    CrmMapping,
    FieldMap,
    FileShape,
    ObjectMapping,
    OverrideMap,
    ScannerRule,
    StageMap,
    StatusMap,
    StreamMapping,
    TypeRule,
    WriteLine,
    fold,
    object_wants,
    stream_wants,
)
from connector.core.names import nearest
from connector.core.override import KINDS as KINDS_OF_OVERRIDE
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
OBJECT_KEYS = (
    "kind",
    "emails",
    "fields",
    "scope",
    "stage",
    "status",
    "override",
    "counters",
    "write",
    "write_only",
)
FIELD_KEYS = ("from", "transform", "values", "otherwise", "blank", "currency", "currency_from")
STAGE_KEYS = ("from", "values", "backward")
OVERRIDE_KEYS = ("from", "values", "until", "reason", "segments")
STATUS_KEYS = ("from", "accepted", "rejected", "working", "reason")
ANSWER_KEYS = ("status", "reason")
COUNTER_KEYS = ("counter", "type", "at", "first", "name", "url", "optional")
WRITE_KEYS = ("result", "to", "rule", "clear", "write_only")
STREAM_KEYS = ("source_of", "ignore", "fields", "types", "occurred_at", "scanner", "only_bands", "at_most")
SCANNER_KEYS = ("type", "links", "within")
TYPE_KEYS = ("when", "type")
LIMIT_KEYS = (
    "overwrites",
    "at_least",
    "stage_changes",
    "demoted",
    "rejected",
    "reads",
    "mqls",
    "few",
    "audiences",
)
AUDIENCE_LIMIT_KEYS = ("stage_changes", "demoted", "few")
STAGE_CHANGES_KEYS = ("people", "share")
FREEZE_KEYS = ("from", "until", "why")
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


# ---------------------------------------------------------------------------------------- the parts of a file


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
    _known_keys(doc, TOP_KEYS, (), problems)
    crm = _text(doc.get("crm"), ("crm",), problems, required=True)
    version = _whole(doc.get("version", 1), ("version",), problems, low=1)
    extra_fields = _extra_fields(doc.get("extra_fields"), problems)
    extra_types = _extra_types(doc.get("extra_types"), problems)
    known = _Known({**PERSON_FIELDS, **extra_fields}, {**ENGAGEMENT_TYPES, **extra_types}, lists)
    objects = {
        name: _object(name, body, ("objects", name), problems, known, extra_fields)
        for name, body in _items(doc.get("objects"), ("objects",), problems, required=True)
    }
    streams = {
        name: _stream(name, body, ("engagement", name), problems, known)
        for name, body in _items(doc.get("engagement"), ("engagement",), problems)
    }
    _one_source_each(streams, problems)
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
        limits=_limits(doc.get("limits"), problems),
        freeze=_freezes(doc.get("freeze"), problems),
        master=_text(doc.get("master"), ("master",), problems) or None,
        approval=_choice(doc.get("approval", ANYONE), APPROVALS, "approval", ("approval",), problems)
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


@dataclass(frozen=True, slots=True)
class _Known:
    fields: Mapping[str, OurField]
    types: Mapping[str, str]
    lists: Callable[[str], frozenset[str]] | None


def _object(
    name: str,
    body: object,
    path: Path,
    problems: list[Problem],
    known: _Known,
    extra: Mapping[str, OurField],
) -> ObjectMapping:
    if not _is_map(body, path, problems):
        return ObjectMapping(name, "person")
    _known_keys(body, OBJECT_KEYS, path, problems)
    kind = _choice(body.get("kind", "person"), KINDS, "kind", (*path, "kind"), problems) or "person"
    if kind != "person":
        problems.extend(
            Problem((*path, key), f"only an object of kind person has `{key}`.")
            for key in ("emails", "scope", "stage", "status", "override", "counters", "write", "write_only")
            if key in body
        )
    if kind == "opportunity":
        allowed = OPPORTUNITY_FIELDS
    else:
        around = {name for name in known.fields if name.startswith(ACCOUNT)}
        names = (
            set(known.fields) - around if kind == "person" else COMPANY_FIELDS | ACCOUNT_FIELDS | set(extra)
        )
        allowed = {each: known.fields[each] for each in sorted(names)}
    fields = tuple(
        _field_map(ours, spec, (*path, "fields", ours), problems, allowed)
        for ours, spec in _items(body.get("fields"), (*path, "fields"), problems)
    )
    stage = _stage(body.get("stage"), (*path, "stage"), problems)
    write = _write_lines(name, body.get("write"), (*path, "write"), problems, known)
    if stage is None and "stage" not in body and any(line.result == "stage" for line in write):
        problems.append(
            Problem((*path, "write"), "writes `stage`, but `stage` does not say how theirs are called.")
        )
    status = _status(body.get("status"), (*path, "status"), problems)
    problems.extend(
        Problem(
            (*path, "write", position, "to"),
            f"`{line.to}` is sales' own (`status.reason`); we never write it.",
        )
        for position, line in enumerate(write)
        if status is not None and status.reason and fold(line.to) == fold(status.reason)
    )
    return ObjectMapping(
        object=name,
        kind=kind,
        emails=_texts(body.get("emails"), (*path, "emails"), problems),
        fields=fields,
        scope=_condition(body.get("scope"), (*path, "scope"), problems, known),
        stage=stage,
        status=status,
        override=_override(body.get("override"), (*path, "override"), problems, write),
        counters=_counters(body.get("counters"), (*path, "counters"), problems, known),
        write=write,
        write_only=_of_ours(body.get("write_only"), (*path, "write_only"), problems, known),
    )


def _field_map(
    ours: str, spec: object, path: Path, problems: list[Problem], allowed: Mapping[str, OurField]
) -> FieldMap:
    if ours not in allowed:
        problems.append(
            Problem(
                path,
                f"`{ours}` is no field of ours here; declare a new one under `extra_fields`.",
                nearest(ours, allowed),
            )
        )
    default = allowed[ours].transform if ours in allowed else "text"
    kind = allowed[ours].kind if ours in allowed else "text"
    if isinstance(spec, str) or _is_list(spec):
        return FieldMap(ours, _texts(spec, path, problems, required=True), default, kind)
    if not _is_map(
        spec, path, problems, what="the name of their field, a list of names, or a map with `from`"
    ):
        return FieldMap(ours, (), default, kind)
    _known_keys(spec, FIELD_KEYS, path, problems)
    transform = _choice(
        spec.get("transform", default), TRANSFORMS, "transform", (*path, "transform"), problems
    )
    values: dict[str, str | int | float | bool] = {}
    for theirs, value in _items(spec.get("values"), (*path, "values"), problems):
        if isinstance(value, str | int | float | bool):
            values[fold(theirs)] = value
        else:
            problems.append(Problem((*path, "values", theirs), "needs a text, a number, true or false."))
    problems.extend(
        Problem((*path, key), f"`{key}` belongs to `transform: money`.")
        for key in ("currency", "currency_from")
        if key in spec and transform != "money"
    )
    currency = _text(spec.get("currency"), (*path, "currency"), problems)
    if currency is not None and not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        problems.append(
            Problem((*path, "currency"), "needs an ISO 4217 code of three capital letters, as EUR.")
        )
    if "otherwise" in spec and "values" not in spec:
        problems.append(Problem((*path, "otherwise"), "`otherwise` belongs beside `values`."))
    blank = spec.get("blank")
    if "blank" in spec and (kind != "boolean" or not isinstance(blank, bool)):
        problems.append(Problem((*path, "blank"), "is true or false, and only of a field that is."))
        blank = None
    return FieldMap(
        field=ours,
        sources=_texts(spec.get("from"), (*path, "from"), problems, required=True),
        transform=transform or default,
        kind=kind,
        values=values if "values" in spec else None,
        otherwise=_text(spec.get("otherwise"), (*path, "otherwise"), problems),
        currency=currency,
        currency_from=_text(spec.get("currency_from"), (*path, "currency_from"), problems),
        blank=blank,
    )


def _stage(body: object, path: Path, problems: list[Problem]) -> StageMap | None:
    if body is None or not _is_map(body, path, problems):
        return None
    _known_keys(body, STAGE_KEYS, path, problems)
    source = _text(body.get("from"), (*path, "from"), problems, required=True)
    values: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for ours, theirs in _items(body.get("values"), (*path, "values"), problems, required=True):
        _choice(ours, LADDER, "stage", (*path, "values", ours), problems)
        values[ours] = _texts(theirs, (*path, "values", ours), problems, required=True)
        problems.extend(
            Problem((*path, "values", ours), f"`{one}` already stands for `{owner[fold(one)]}`.")
            for one in values[ours]
            if owner.setdefault(fold(one), ours) != ours
        )
    return StageMap(
        source=source or "",
        values={ours: theirs for ours, theirs in values.items() if theirs},
        backward=_flag(body.get("backward", False), (*path, "backward"), problems),
    )


def _status(body: object, path: Path, problems: list[Problem]) -> StatusMap | None:
    if body is None or not _is_map(body, path, problems):
        return None
    _known_keys(body, STATUS_KEYS, path, problems)
    rejected: dict[str, str | None] = {}
    for position, entry in enumerate(_entries(body.get("rejected"), (*path, "rejected"), problems)):
        at: Path = (*path, "rejected", position)
        if isinstance(entry, Mapping):
            _known_keys(entry, ANSWER_KEYS, at, problems)
            status = _text(entry.get("status"), (*at, "status"), problems, required=True)
            rejected[status or ""] = _text(entry.get("reason"), (*at, "reason"), problems)
        else:
            status = _text(entry, at, problems, required=True)
            rejected[status or ""] = None
    answers = StatusMap(
        source=_text(body.get("from"), (*path, "from"), problems, required=True) or "",
        accepted=_texts(body.get("accepted"), (*path, "accepted"), problems),
        rejected=rejected,
        working=_texts(body.get("working"), (*path, "working"), problems),
        reason=_text(body.get("reason"), (*path, "reason"), problems),
    )
    seen: dict[str, str] = {}
    named = (("accepted", answers.accepted), ("rejected", tuple(rejected)), ("working", answers.working))
    for kind, statuses in named:
        problems.extend(
            Problem((*path, kind), f"`{one}` is already listed under `{seen[fold(one)]}`.")
            for one in statuses
            if seen.setdefault(fold(one), kind) != kind
        )
    return answers


def _override(
    body: object, path: Path, problems: list[Problem], write: Sequence[WriteLine]
) -> OverrideMap | None:
    if body is None or not _is_map(body, path, problems):
        return None
    _known_keys(body, OVERRIDE_KEYS, path, problems)
    values = _by_kind(body.get("values"), (*path, "values"), problems)
    segments = _by_kind(body.get("segments"), (*path, "segments"), problems)
    by_field = "from" in body or not segments
    if by_field and not values:
        problems.append(Problem((*path, "values"), "is missing."))
    found = OverrideMap(
        source=_text(body.get("from"), (*path, "from"), problems, required=by_field) or "",
        values=values,
        segments=segments,
        until=_text(body.get("until"), (*path, "until"), problems),
        reason=_text(body.get("reason"), (*path, "reason"), problems),
    )
    written = {fold(line.to) for line in write}
    problems.extend(
        Problem((*path, key), f"`{name}` is written below; an override is sales' own and only read.")
        for key, name in (("from", found.source), ("until", found.until), ("reason", found.reason))
        if name and fold(name) in written
    )
    return found


def _by_kind(body: object, path: Path, problems: list[Problem]) -> dict[str, tuple[str, ...]]:
    """Kinds of override and what stands for each; one thing stands for one kind."""
    found: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for kind, theirs in _items(body, path, problems):
        at: Path = (*path, kind)
        if _choice(kind, KINDS_OF_OVERRIDE, "override", at, problems) is None:
            continue
        listed = (
            [str(one) if type(one) is int else one for one in theirs] if isinstance(theirs, list) else theirs
        )
        found[kind] = _texts(str(listed) if type(listed) is int else listed, at, problems, required=True)
        problems.extend(
            Problem(at, f"`{one}` already stands for `{owner[fold(one)]}`.")
            for one in found[kind]
            if owner.setdefault(fold(one), kind) != kind
        )
    return found


def _counters(body: object, path: Path, problems: list[Problem], known: _Known) -> tuple[Counter, ...]:
    found: list[Counter] = []
    for position, entry in enumerate(_entries(body, path, problems)):
        at: Path = (*path, position)
        if not _is_map(entry, at, problems):
            continue
        _known_keys(entry, COUNTER_KEYS, at, problems)
        counter = Counter(
            field=_text(entry.get("counter"), (*at, "counter"), problems, required=True) or "",
            type=_type(entry.get("type"), (*at, "type"), problems, known),
            at=_text(entry.get("at"), (*at, "at"), problems),
            first=_choice(entry.get("first", "one"), ("one", "all"), "first", (*at, "first"), problems)
            or "one",
            name=_text(entry.get("name"), (*at, "name"), problems),
            url=_text(entry.get("url"), (*at, "url"), problems),
            optional=_flag(entry.get("optional", False), (*at, "optional"), problems),
        )
        if any(other.field == counter.field for other in found):
            problems.append(Problem((*at, "counter"), f"`{counter.field}` is already counted above."))
        found.append(counter)
    return tuple(found)


def _write_lines(
    object: str, body: Any, path: Path, problems: list[Problem], known: _Known
) -> tuple[WriteLine, ...]:
    lines: list[WriteLine] = []
    for position, entry in enumerate(_entries(body, path, problems)):
        at: Path = (*path, position)
        if not _is_map(entry, at, problems):
            continue
        _known_keys(entry, WRITE_KEYS, at, problems)
        line = WriteLine(
            object=object,
            result=_choice(entry.get("result"), RESULTS, "result", (*at, "result"), problems) or "",
            to=_text(entry.get("to"), (*at, "to"), problems, required=True) or "",
            rule=_choice(entry.get("rule"), WRITE_RULES, "write rule", (*at, "rule"), problems) or "never",
            clear=_flag(entry.get("clear", False), (*at, "clear"), problems),
            write_only=_of_ours(entry.get("write_only"), (*at, "write_only"), problems, known),
        )
        if any(fold(other.to) == fold(line.to) for other in lines):  # the names of fields know no case
            problems.append(Problem((*at, "to"), f"`{line.to}` is already written by a line above."))
        lines.append(line)
    return tuple(lines)


def _stream(name: str, body: object, path: Path, problems: list[Problem], known: _Known) -> StreamMapping:
    if not _is_map(body, path, problems):
        return StreamMapping(name)
    _known_keys(body, STREAM_KEYS, path, problems)
    if name == COUNTERS:
        problems.extend(
            Problem((*path, str(key)), "counters are described under their objects.")
            for key in body
            if key != "source_of"
        )
    source_of = _texts(body.get("source_of"), (*path, "source_of"), problems)
    for position, one in enumerate(source_of):
        _type(one, (*path, "source_of", position), problems, known)
    fields, attributes = _event_fields(body.get("fields"), (*path, "fields"), problems)
    ignore = [
        _condition(entry, (*path, "ignore", position), problems, known)
        for position, entry in enumerate(_entries(body.get("ignore"), (*path, "ignore"), problems))
    ]
    return StreamMapping(
        stream=name,
        source_of=frozenset(source_of),
        ignore=tuple(each for each in ignore if each is not None),
        fields=fields,
        attributes=attributes,
        types=_type_rules(body.get("types"), (*path, "types"), problems, known),
        occurred_at=_text(body.get("occurred_at"), (*path, "occurred_at"), problems),
        scanner=_scanner(body.get("scanner"), (*path, "scanner"), problems, known),
        only_bands=_bands(body.get("only_bands"), (*path, "only_bands"), problems),
        at_most=_whole(body.get("at_most", 500), (*path, "at_most"), problems, low=1) or 500,
    )


def _scanner(body: object, path: Path, problems: list[Problem], known: _Known) -> ScannerRule | None:
    if body is None or not _is_map(body, path, problems):
        return None
    _known_keys(body, SCANNER_KEYS, path, problems)
    within = timedelta(seconds=10)
    try:
        within = parse_duration(body.get("within", "10s"))
    except ValueError as error:
        problems.append(Problem((*path, "within"), str(error)))
    return ScannerRule(
        type=_type(body.get("type", "email_click"), (*path, "type"), problems, known),
        links=_whole(body.get("links", 3), (*path, "links"), problems, low=2) or 3,
        within=within,
    )


def _bands(value: object, path: Path, problems: list[Problem]) -> tuple[int, ...]:
    if value is None:
        return ()
    bands = value if _is_list(value) else [value]
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
    for ours, spec in _items(body, path, problems):
        if ours == "attributes":
            attributes = {
                key: _texts(theirs, (*path, ours, key), problems, required=True)
                for key, theirs in _items(spec, (*path, ours), problems)
            }
        elif _choice(ours, (*EVENT_FIELDS, "attributes"), "field of an engagement", (*path, ours), problems):
            fields[ours] = _texts(spec, (*path, ours), problems, required=True)
    return fields, attributes


def _type_rules(body: object, path: Path, problems: list[Problem], known: _Known) -> tuple[TypeRule, ...]:
    rules: list[TypeRule] = []
    for position, entry in enumerate(_entries(body, path, problems)):
        at: Path = (*path, position)
        if not _is_map(entry, at, problems):
            continue
        _known_keys(entry, TYPE_KEYS, at, problems)
        if rules and rules[-1].when is None:
            problems.append(
                Problem(at, "is never reached: the line above has no `when` and takes everything.")
            )
        when = _condition(entry.get("when"), (*at, "when"), problems, known)
        if when is None and "when" in entry and entry["when"] is None:
            problems.append(Problem((*at, "when"), "is blank; leave it out to take everything."))
        rules.append(TypeRule(_type(entry.get("type"), (*at, "type"), problems, known), when))
    return tuple(rules)


def _one_source_each(streams: Mapping[str, StreamMapping], problems: list[Problem]) -> None:
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


def _limits(body: object, problems: list[Problem]) -> PlanLimits:
    path: Path = ("limits",)
    if body is None or not _is_map(body, path, problems):
        return PlanLimits()
    found = _limits_of(body, path, LIMIT_KEYS, PlanLimits(), problems)
    audiences = {
        name: _limits_of(own, (*path, "audiences", name), AUDIENCE_LIMIT_KEYS, found, problems)
        for name, own in _items(body.get("audiences"), (*path, "audiences"), problems)
        if _is_map(own, (*path, "audiences", name), problems)
    }
    return replace(found, audiences=audiences)


def _limits_of(
    body: Mapping[str, Any],
    path: Path,
    keys: tuple[str, ...],
    shipped: PlanLimits,
    problems: list[Problem],
) -> PlanLimits:
    """What is not said is as in `shipped`."""
    _known_keys(body, keys, path, problems)
    stages, at = body.get("stage_changes", {}), (*path, "stage_changes")
    if _is_off(stages):
        stages = {"people": None, "share": None}
    elif not _is_map(stages, at, problems, what="a map with `people` and `share`, or off"):
        stages = {}
    _known_keys(stages, STAGE_CHANGES_KEYS, at, problems)

    def share(of: Mapping[str, Any], key: str, at: Path, default: float | None) -> float | None:
        return _share(of[key], (*at, key), problems) if key in of else default

    def whole(of: Mapping[str, Any], key: str, at: Path, default: int) -> int:
        found = _whole(of.get(key, default), (*at, key), problems, low=0)
        return default if found is None else found

    people_off = stages.get("people", shipped.people) is None or _is_off(stages.get("people", shipped.people))
    return PlanLimits(
        overwrites=share(body, "overwrites", path, shipped.overwrites),
        at_least=whole(body, "at_least", path, shipped.at_least),
        people=None if people_off else whole(stages, "people", at, shipped.people or 0),
        share=share(stages, "share", at, shipped.share),
        demoted=share(body, "demoted", path, shipped.demoted),
        rejected=share(body, "rejected", path, shipped.rejected),
        reads=share(body, "reads", path, shipped.reads),
        mqls=_share(body["mqls"], (*path, "mqls"), problems, low=1.0, high=1_000.0)
        if "mqls" in body
        else shipped.mqls,
        few=whole(body, "few", path, shipped.few),
    )


def _is_off(value: object) -> bool:
    """`off`, as it is written: YAML 1.2 reads it as a text, 1.1 as false."""
    return value is None or value is False or value == "off"


def _share(
    value: Any, path: Path, problems: list[Problem], *, low: float = 0.0, high: float = 1.0
) -> float | None:
    if _is_off(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        problems.append(Problem(path, f"needs a number from {low:g} to {high:g}, or off."))
        return None
    return float(value)


def _freezes(body: object, problems: list[Problem]) -> tuple[Freeze, ...]:
    found: list[Freeze] = []
    for position, entry in enumerate(_entries(body, ("freeze",), problems)):
        at: Path = ("freeze", position)
        if not _is_map(entry, at, problems):
            continue
        _known_keys(entry, FREEZE_KEYS, at, problems)
        since, until = (_day(entry.get(key), (*at, key), problems) for key in ("from", "until"))
        why = _text(entry.get("why"), (*at, "why"), problems) or ""
        if since is not None and until is not None:
            if until < since:
                problems.append(Problem((*at, "until"), f"is before `from`, {since}."))
            found.append(Freeze(since, until, why))
    return tuple(found)


def _day(value: object, path: Path, problems: list[Problem]) -> date | None:
    try:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if isinstance(value, str):
            return date.fromisoformat(value.strip())
    except ValueError:
        pass
    problems.append(Problem(path, "needs a day, as 2026-12-28."))
    return None


def _extra_fields(body: object, problems: list[Problem]) -> dict[str, OurField]:
    found: dict[str, OurField] = {}
    for name, spec in _items(body, ("extra_fields",), problems):
        path: Path = ("extra_fields", name)
        if name in PERSON_FIELDS:
            problems.append(Problem(path, f"`{name}` is a field of ours already; map it under `fields`."))
        if isinstance(spec, str):
            spec = {"kind": "text", "what": spec}
        if not _is_map(spec, path, problems, what="a description, or a map with `kind`"):
            continue
        _known_keys(spec, EXTRA_FIELD_KEYS, path, problems)
        kind = _choice(spec.get("kind", "text"), KIND_TRANSFORMS, "kind", (*path, "kind"), problems) or "text"
        transform = _choice(
            spec.get("transform", KIND_TRANSFORMS[kind]),
            TRANSFORMS,
            "transform",
            (*path, "transform"),
            problems,
        )
        what = _text(spec.get("what"), (*path, "what"), problems) or ""
        found[name] = OurField(name, kind, what, transform or KIND_TRANSFORMS[kind])
    return found


def _extra_types(body: object, problems: list[Problem]) -> dict[str, str]:
    if _is_list(body):
        return dict.fromkeys(_texts(body, ("extra_types",), problems), "")
    found: dict[str, str] = {}
    for name, what in _items(body, ("extra_types",), problems):
        if name in ENGAGEMENT_TYPES:
            problems.append(Problem(("extra_types", name), f"`{name}` is a type of ours already."))
        found[name] = _text(what, ("extra_types", name), problems) or ""
    return found


def _titles(
    value: object, problems: list[Problem], read_text: Callable[[str], str] | None
) -> tuple[TitleRow, ...]:
    name = _text(value, ("titles",), problems)
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


def _precedence(body: object, problems: list[Problem], known: _Known) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, crms in _items(body, ("precedence",), problems):
        _choice(name, known.fields, "field of ours", ("precedence", name), problems)
        found[name] = _texts(crms, ("precedence", name), problems, required=True)
    return found


def _file(body: object, problems: list[Problem]) -> FileShape | None:
    if body is None or not _is_map(body, ("file",), problems):
        return None
    _known_keys(body, FILE_KEYS, ("file",), problems)
    positive = _texts(body.get("positive"), ("file", "positive"), problems)
    shape = FileShape(
        id=_text(body.get("id"), ("file", "id"), problems, required=True) or "",
        outcome=_text(body.get("outcome"), ("file", "outcome"), problems),
        blank=_texts(body.get("blank"), ("file", "blank"), problems),
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


# --------------------------------------------------------------------------------------- reading small things


def _type(value: object, path: Path, problems: list[Problem], known: _Known) -> str:
    if isinstance(value, str) and value not in known.types:
        problems.append(
            Problem(
                path,
                f"`{value}` is no engagement type; declare a new one under `extra_types`.",
                nearest(value, known.types),
            )
        )
        return value
    return _text(value, path, problems, required=True) or "other"


def _condition(value: object, path: Path, problems: list[Problem], known: _Known) -> Condition | None:
    if value is None:
        return None
    return parse_condition(value, path, problems, lists=known.lists)


def _of_ours(value: object, path: Path, problems: list[Problem], known: _Known) -> Condition | None:
    """A condition on fields of ours alone: it is asked again after the record was read, of the person too."""
    condition = _condition(value, path, problems, known)
    problems.extend(
        Problem(
            path,
            f"`{name}` is no field of ours; map theirs to one under `fields` (`extra_fields` declares it).",
            nearest(name, known.fields),
        )
        for name in sorted(fields_of(condition) if condition is not None else ())
        if name not in known.fields
    )
    return condition


def _known_keys(body: Mapping[Any, Any], keys: Collection[str], path: Path, problems: list[Problem]) -> None:
    problems.extend(
        Problem((*path, str(key)), f"`{key}` is no key here.", nearest(key, keys))
        for key in body
        if key not in keys
    )


def _choice(
    value: object, choices: Collection[str], what: str, path: Path, problems: list[Problem]
) -> str | None:
    if value is None:
        problems.append(Problem(path, f"needs a {what}: {', '.join(choices)}."))
        return None
    if isinstance(value, str) and value in choices:
        return value
    hint = nearest(value, choices) if isinstance(value, str) else None
    problems.append(Problem(path, f"`{value}` is no {what}; there are {', '.join(choices)}.", hint))
    return None


def _text(value: object, path: Path, problems: list[Problem], *, required: bool = False) -> str | None:
    if value is None:
        if required:
            problems.append(Problem(path, "is missing."))
        return None
    if not isinstance(value, str) or not value.strip():
        problems.append(Problem(path, f"needs a text, not {_kind_of(value)}."))
        return None
    return value.strip()


def _texts(value: object, path: Path, problems: list[Problem], *, required: bool = False) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    found: list[str] = []
    for position, entry in enumerate(_entries(value, path, problems)):
        text = _text(entry, (*path, position), problems, required=True)
        if text is not None:
            found.append(text)
    if required and value is None:
        problems.append(Problem(path, "is missing."))
    elif required and not found and _is_list(value) and not value:
        problems.append(Problem(path, "is an empty list."))
    return tuple(found)


def _entries(value: object, path: Path, problems: list[Problem]) -> Sequence[Any]:
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Mapping):
        return (value,)
    problems.append(Problem(path, f"needs a list, not {_kind_of(value)}."))
    return ()


def _items(
    value: object, path: Path, problems: list[Problem], *, required: bool = False
) -> Iterator[tuple[str, Any]]:
    if value is None:
        if required:
            problems.append(Problem(path, "is missing."))
        return
    if not _is_map(value, path, problems):
        return
    for key, body in value.items():
        if isinstance(key, str):
            yield key, body
        else:
            problems.append(Problem((*path, str(key)), f"the key `{key}` needs quotes: it is not a text."))


def _whole(value: object, path: Path, problems: list[Problem], *, low: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        problems.append(Problem(path, f"needs a whole number from {low}, not {_kind_of(value)}."))
        return None
    return int(value)


def _flag(value: object, path: Path, problems: list[Problem]) -> bool:
    if not isinstance(value, bool):
        problems.append(Problem(path, f"needs true or false, not {_kind_of(value)}."))
        return False
    return value


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _is_map(
    value: object, path: Path, problems: list[Problem], *, what: str = "a map"
) -> TypeGuard[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return True
    problems.append(Problem(path, f"needs {what}, not {_kind_of(value)}."))
    return False


def _kind_of(value: object) -> str:
    if value is None:
        return "a blank"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "a blank text" if not value.strip() else "a text"
    return "a list" if _is_list(value) else "a map" if isinstance(value, Mapping) else "a date"
