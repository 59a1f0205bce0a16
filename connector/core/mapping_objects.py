"""Reads one object of a mapping document: fields, stage, status, overrides, counters and what is written where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.core.conditions import Path
from connector.core.fields import (
    ACCOUNT,
    ACCOUNT_FIELDS,
    COMPANY_FIELDS,
    OPPORTUNITY_FIELDS,
    OurField,
)
from connector.core.mapping import (
    KINDS,
    LADDER,
    RESULTS,
    TRANSFORMS,
    WRITE_RULES,
    CameInMap,
    Counter,
    FieldMap,
    ObjectMapping,
    OverrideMap,
    StageMap,
    StatusMap,
    WriteLine,
    fold,
)
from connector.core.mapping_reading import (
    Known,
    a_choice,
    a_condition,
    a_flag,
    a_text,
    a_type,
    entries,
    is_list,
    is_map,
    items,
    known_keys,
    of_ours,
    texts,
)
from connector.core.names import nearest
from connector.core.override import KINDS as KINDS_OF_OVERRIDE
from connector.errors import Problem

OBJECT_KEYS = (
    "kind",
    "emails",
    "fields",
    "scope",
    "stage",
    "status",
    "override",
    "counters",
    "came_in",
    "write",
    "write_only",
)
KEYS_OF_ALL_KINDS = ("kind", "fields")
FIELD_KEYS = ("from", "transform", "values", "otherwise", "blank", "currency", "currency_from")
STAGE_KEYS = ("from", "values", "backward")
OVERRIDE_KEYS = ("from", "values", "until", "reason", "segments")
STATUS_KEYS = ("from", "accepted", "rejected", "not_ready", "working", "touch", "reason")
NOT_READY_REASON = "not ready"
ANSWER_KEYS = ("status", "reason")
CAME_IN_KEYS = ("at", "source", "imports", "id", "by", "label")
COUNTER_KEYS = ("counter", "type", "at", "first", "name", "url", "optional")
WRITE_KEYS = ("result", "to", "rule", "clear", "write_only")


def read_object(
    name: str,
    body: object,
    path: Path,
    problems: list[Problem],
    known: Known,
    extra: Mapping[str, OurField],
) -> ObjectMapping:
    """One object: what it is to us, where our fields come from, what is written to it."""
    if not is_map(body, path, problems):
        return ObjectMapping(name, "person")
    known_keys(body, OBJECT_KEYS, path, problems)
    kind = a_choice(body.get("kind", "person"), KINDS, "kind", (*path, "kind"), problems) or "person"
    if kind != "person":
        problems.extend(
            Problem((*path, key), f"only an object of kind person has `{key}`.")
            for key in OBJECT_KEYS
            if key in body and key not in KEYS_OF_ALL_KINDS
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
        for ours, spec in items(body.get("fields"), (*path, "fields"), problems)
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
        emails=texts(body.get("emails"), (*path, "emails"), problems),
        fields=fields,
        scope=a_condition(body.get("scope"), (*path, "scope"), problems, known),
        stage=stage,
        status=status,
        override=_override(body.get("override"), (*path, "override"), problems, write),
        counters=_counters(body.get("counters"), (*path, "counters"), problems, known),
        came_in=_came_in(body.get("came_in"), (*path, "came_in"), problems),
        write=write,
        write_only=of_ours(body.get("write_only"), (*path, "write_only"), problems, known),
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
    if isinstance(spec, str) or is_list(spec):
        return FieldMap(ours, texts(spec, path, problems, required=True), default, kind)
    if not is_map(
        spec, path, problems, what="the name of their field, a list of names, or a map with `from`"
    ):
        return FieldMap(ours, (), default, kind)
    known_keys(spec, FIELD_KEYS, path, problems)
    transform = a_choice(
        spec.get("transform", default), TRANSFORMS, "transform", (*path, "transform"), problems
    )
    values: dict[str, str | int | float | bool] = {}
    for theirs, value in items(spec.get("values"), (*path, "values"), problems):
        if isinstance(value, str | int | float | bool):
            values[fold(theirs)] = value
        else:
            problems.append(Problem((*path, "values", theirs), "needs a text, a number, true or false."))
    problems.extend(
        Problem((*path, key), f"`{key}` belongs to `transform: money`.")
        for key in ("currency", "currency_from")
        if key in spec and transform != "money"
    )
    currency = a_text(spec.get("currency"), (*path, "currency"), problems)
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
        sources=texts(spec.get("from"), (*path, "from"), problems, required=True),
        transform=transform or default,
        kind=kind,
        values=values if "values" in spec else None,
        otherwise=a_text(spec.get("otherwise"), (*path, "otherwise"), problems),
        currency=currency,
        currency_from=a_text(spec.get("currency_from"), (*path, "currency_from"), problems),
        blank=blank,
    )


def _stage(body: object, path: Path, problems: list[Problem]) -> StageMap | None:
    if body is None or not is_map(body, path, problems):
        return None
    known_keys(body, STAGE_KEYS, path, problems)
    source = a_text(body.get("from"), (*path, "from"), problems, required=True)
    values: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for ours, theirs in items(body.get("values"), (*path, "values"), problems, required=True):
        a_choice(ours, LADDER, "stage", (*path, "values", ours), problems)
        values[ours] = texts(theirs, (*path, "values", ours), problems, required=True)
        problems.extend(
            Problem((*path, "values", ours), f"`{one}` already stands for `{owner[fold(one)]}`.")
            for one in values[ours]
            if owner.setdefault(fold(one), ours) != ours
        )
    return StageMap(
        source=source or "",
        values={ours: theirs for ours, theirs in values.items() if theirs},
        backward=a_flag(body.get("backward", False), (*path, "backward"), problems),
    )


def _status(body: object, path: Path, problems: list[Problem]) -> StatusMap | None:
    if body is None or not is_map(body, path, problems):
        return None
    known_keys(body, STATUS_KEYS, path, problems)
    rejected: dict[str, str | None] = {}
    for position, entry in enumerate(entries(body.get("rejected"), (*path, "rejected"), problems)):
        at: Path = (*path, "rejected", position)
        if isinstance(entry, Mapping):
            known_keys(entry, ANSWER_KEYS, at, problems)
            status = a_text(entry.get("status"), (*at, "status"), problems, required=True)
            rejected[status or ""] = a_text(entry.get("reason"), (*at, "reason"), problems)
        else:
            status = a_text(entry, at, problems, required=True)
            rejected[status or ""] = None
    not_ready = texts(body.get("not_ready"), (*path, "not_ready"), problems)
    problems.extend(
        Problem((*path, "not_ready"), f"`{one}` is already listed under `rejected`.")
        for one in not_ready
        if fold(one) in {fold(each) for each in rejected}
    )
    rejected.update(dict.fromkeys(not_ready, NOT_READY_REASON))
    answers = StatusMap(
        source=a_text(body.get("from"), (*path, "from"), problems, required=True) or "",
        accepted=texts(body.get("accepted"), (*path, "accepted"), problems),
        rejected=rejected,
        working=texts(body.get("working"), (*path, "working"), problems),
        reason=a_text(body.get("reason"), (*path, "reason"), problems),
        not_ready=not_ready,
        touch=texts(body.get("touch"), (*path, "touch"), problems),
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
    if body is None or not is_map(body, path, problems):
        return None
    known_keys(body, OVERRIDE_KEYS, path, problems)
    values = _by_kind(body.get("values"), (*path, "values"), problems)
    segments = _by_kind(body.get("segments"), (*path, "segments"), problems)
    by_field = "from" in body or not segments
    if by_field and not values:
        problems.append(Problem((*path, "values"), "is missing."))
    found = OverrideMap(
        source=a_text(body.get("from"), (*path, "from"), problems, required=by_field) or "",
        values=values,
        segments=segments,
        until=a_text(body.get("until"), (*path, "until"), problems),
        reason=a_text(body.get("reason"), (*path, "reason"), problems),
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
    for kind, theirs in items(body, path, problems):
        at: Path = (*path, kind)
        if a_choice(kind, KINDS_OF_OVERRIDE, "override", at, problems) is None:
            continue
        listed = (
            [str(one) if type(one) is int else one for one in theirs] if isinstance(theirs, list) else theirs
        )
        found[kind] = texts(str(listed) if type(listed) is int else listed, at, problems, required=True)
        problems.extend(
            Problem(at, f"`{one}` already stands for `{owner[fold(one)]}`.")
            for one in found[kind]
            if owner.setdefault(fold(one), kind) != kind
        )
    return found


def _counters(body: object, path: Path, problems: list[Problem], known: Known) -> tuple[Counter, ...]:
    found: list[Counter] = []
    for position, entry in enumerate(entries(body, path, problems)):
        at: Path = (*path, position)
        if not is_map(entry, at, problems):
            continue
        known_keys(entry, COUNTER_KEYS, at, problems)
        counter = Counter(
            field=a_text(entry.get("counter"), (*at, "counter"), problems, required=True) or "",
            type=a_type(entry.get("type"), (*at, "type"), problems, known),
            at=a_text(entry.get("at"), (*at, "at"), problems),
            first=a_choice(entry.get("first", "one"), ("one", "all"), "first", (*at, "first"), problems)
            or "one",
            name=a_text(entry.get("name"), (*at, "name"), problems),
            url=a_text(entry.get("url"), (*at, "url"), problems),
            optional=a_flag(entry.get("optional", False), (*at, "optional"), problems),
        )
        if any(other.field == counter.field for other in found):
            problems.append(Problem((*at, "counter"), f"`{counter.field}` is already counted above."))
        found.append(counter)
    return tuple(found)


def _came_in(body: object, path: Path, problems: list[Problem]) -> CameInMap | None:
    if body is None or not is_map(body, path, problems):
        return None
    known_keys(body, CAME_IN_KEYS, path, problems)
    found = CameInMap(
        at=a_text(body.get("at"), (*path, "at"), problems, required=True) or "",
        source=a_text(body.get("source"), (*path, "source"), problems, required="imports" in body),
        imports=texts(body.get("imports"), (*path, "imports"), problems, required="source" in body),
        id=a_text(body.get("id"), (*path, "id"), problems),
        by=a_text(body.get("by"), (*path, "by"), problems),
        label=texts(body.get("label"), (*path, "label"), problems),
    )
    if not (found.source or found.by):
        problems.append(Problem(path, "needs `source` or `by`: what tells that people came in together."))
    return found


def _write_lines(
    object: str, body: Any, path: Path, problems: list[Problem], known: Known
) -> tuple[WriteLine, ...]:
    lines: list[WriteLine] = []
    for position, entry in enumerate(entries(body, path, problems)):
        at: Path = (*path, position)
        if not is_map(entry, at, problems):
            continue
        known_keys(entry, WRITE_KEYS, at, problems)
        line = WriteLine(
            object=object,
            result=a_choice(entry.get("result"), RESULTS, "result", (*at, "result"), problems) or "",
            to=a_text(entry.get("to"), (*at, "to"), problems, required=True) or "",
            rule=a_choice(entry.get("rule"), WRITE_RULES, "write rule", (*at, "rule"), problems) or "never",
            clear=a_flag(entry.get("clear", False), (*at, "clear"), problems),
            write_only=of_ours(entry.get("write_only"), (*at, "write_only"), problems, known),
        )
        if any(fold(other.to) == fold(line.to) for other in lines):  # the names of fields know no case
            problems.append(Problem((*at, "to"), f"`{line.to}` is already written by a line above."))
        lines.append(line)
    return tuple(lines)
