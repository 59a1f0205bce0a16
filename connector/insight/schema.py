"""Holds a mapping against a live schema: every field it reads or writes, their kinds, lengths and options. Pure.

Says everything at once. A target that is not there before set-up is no mistake: reading works without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from connector.core.consent import CONSENT
from connector.core.criteria import Criteria, fields_of_criteria
from connector.core.fields import PERSON_FIELDS
from connector.core.mapping import (
    COUNTERS,
    CrmMapping,
    ObjectMapping,
    OverrideMap,
    fold,
    optional_fields,
    wanted_fields,
)
from connector.core.names import nearest
from connector.core.privacy_rules import DO_NOT_SCORE
from connector.core.targets import TargetField, targets_of
from connector.ports import FieldInfo, Finding

Schemas = Mapping[str, Mapping[str, FieldInfo]]
"""The live fields by object or engagement stream of theirs; what is absent is not judged."""

_TAKES: Mapping[str, frozenset[str]] = {
    "number": frozenset({"number"}),
    "text": frozenset({"text"}),
    "enum": frozenset({"enum", "text"}),
    "datetime": frozenset({"datetime"}),
}
"""Which kinds of field take a kind of ours without changing it: what is changed would differ at every run."""


def hold_against(mapping: CrmMapping, schemas: Schemas) -> list[Finding]:
    """Every difference between what the mapping names and what the account has, in file order."""
    found: list[Finding] = []
    for name, each in mapping.objects.items():
        if name in schemas:
            found += _object(mapping, each, schemas[name])
    wanted = wanted_fields(mapping)
    for name in mapping.engagement:
        if name in schemas and name != COUNTERS:
            found += _unreadable(name, wanted[name], schemas[name])
    return found


def unfilled(criteria: Criteria, mappings: Collection[CrmMapping]) -> list[Finding]:
    """Fields that rules read and no mapping fills: missing for everybody, so that such a rule never holds."""
    filled = {name for name, known in PERSON_FIELDS.items() if known.derived or name == "email"}
    filled |= {"persona"} if criteria.personas else set()
    filled |= {one.field for each in mappings for object_ in each.objects.values() for one in object_.fields}
    empty = sorted(fields_of_criteria(criteria) - filled)
    ours = [f"`{name}`" for name in empty if name in PERSON_FIELDS]
    found = [
        Finding(
            "warning",
            "criteria.yaml",
            f"reads `{name}`, which no mapping fills: it is missing for everybody"
            + (f"; nearest: {hint}" if (hint := nearest(name, filled)) else ""),
            "Map it, or correct the rule.",
        )
        for name in empty
        if name not in PERSON_FIELDS
    ]
    if ours:
        what = f"reads {', '.join(ours)}, which no mapping fills: missing for everybody, so these rules are silent"
        found.append(Finding("note", "criteria.yaml", what, "Map them where your CRM knows them."))
    return found


def left_standing(criteria: Criteria, mappings: Collection[CrmMapping]) -> list[Finding]:
    """Lines that leave a value of ours where it stands although its person may not be scored any more."""
    if not any(rule.do == DO_NOT_SCORE for rule in criteria.privacy):
        return []
    lines = {
        mapping.crm: sorted(
            {line.to for each in mapping.objects.values() for line in each.write if not line.clear}
        )
        for mapping in mappings
    }
    return [
        Finding(
            "note",
            f"{crm}.yaml",
            f"of who may not be scored (`privacy`) these keep what we wrote before: {', '.join(fields)}",
            "Add `clear: true` to a line that is to be blank then.",
        )
        for crm, fields in lines.items()
        if fields
    ]


def _object(mapping: CrmMapping, each: ObjectMapping, schema: Mapping[str, FieldInfo]) -> Iterator[Finding]:
    name = each.object
    targets = {target.name: target for target in targets_of(mapping) if target.object == name}
    wanted, optional = wanted_fields(mapping)[name], optional_fields(mapping)[name]
    consent = {source for line in each.fields if line.field in CONSENT for source in line.sources}
    yield from _unreadable(name, wanted - set(targets) - optional, schema, consent)
    yield from _targets(mapping.crm, name, targets, schema)
    for counter in each.counters:
        info = schema.get(counter.field)
        if info is not None and info.kind != "number":
            yield Finding(
                "warning",
                f"{name}.{counter.field}",
                f"is counted, but is no number field ({info.kind})",
                "Name the field that holds the total.",
            )
    if each.stage and each.stage.source in schema:
        yield from _stages(mapping.crm, each, schema[each.stage.source], each.stage.source in targets)
    if each.status and each.status.source in schema:
        yield from _statuses(each, schema[each.status.source])
    if each.override and each.override.source in schema:
        yield from _overrides(each, each.override, schema[each.override.source])


def _unreadable(
    name: str, wanted: Collection[str], schema: Mapping[str, FieldInfo], consent: Collection[str] = ()
) -> Iterator[Finding]:
    for field in sorted(wanted):
        # A path such as `Campaign.Name` leads to another object's field.
        if "." not in field and field not in schema:
            hint = nearest(field, schema)
            yield Finding(
                "problem",
                f"{name}.{field}",
                f"is not there or not visible{f'; nearest: {hint}' if hint else ''}"
                + ("; consent is unknown there, and unknown is no yes" if field in consent else ""),
                "Correct the name in the mapping, or let this user read the field.",
            )


# ------------------------------------------------------------------------------------------------------- targets


def _targets(
    crm: str, name: str, targets: Mapping[str, TargetField], schema: Mapping[str, FieldInfo]
) -> Iterator[Finding]:
    ours = {target.name for target in targets.values() if target.result != "stage"}
    if ours and not ours & schema.keys():
        absent = [field for field in targets if field not in schema]
        yield Finding(
            "warning",
            name,
            f"{', '.join(absent)} would be written, but are not there yet or not visible to this user",
            f"`connector setup {crm}` makes them and grants access; reading and `sync --plan-only` work without.",
        )
        targets = {field: target for field, target in targets.items() if field in schema}
    there = {field: schema[field] for field in targets if field in schema}
    read_only = bool(there) and not any(info.writable for info in there.values())
    if read_only:
        yield Finding(
            "warning",
            name,
            "nothing may be written by this user; reading and `sync --plan-only` work",
            f"Grant edit on {', '.join(sorted(there))} before the first sync that writes.",
        )
    for field, target in targets.items():
        where, info = f"{name}.{field}", schema.get(field)
        if info is None:
            hint = nearest(field, schema)
            yield Finding(
                "problem",
                where,
                "would be written, but is not there yet or not visible to this user"
                + (f"; nearest: {hint}" if hint else ""),
                f"`connector setup {crm}` makes it and grants access"
                + (", or correct the name in the mapping." if hint else "."),
            )
            continue
        if not info.writable and not read_only:
            yield Finding(
                "problem",
                where,
                "would be written, but may not be edited (read-only, calculated, or not granted)",
                "Grant edit on it, or map another field.",
            )
        yield from _takes(crm, where, target, info)


def _takes(crm: str, where: str, target: TargetField, info: FieldInfo) -> Iterator[Finding]:
    """Whether the field can hold every value that we may write to it, and gives it back as it was."""
    if info.kind == "other":
        yield Finding(
            "warning",
            where,
            f"is of a kind we do not know; we write {_kind(target)}",
            "See that it takes them.",
        )
        return
    if info.kind not in _TAKES[target.kind]:
        yield Finding(
            "problem",
            where,
            f"is {'an' if info.kind == 'enum' else 'a'} {info.kind} field, but we write {_kind(target)} to it",
            f"Map another field: a new name under `write`, then `connector setup {crm}` makes one of the right kind.",
        )
        return
    longest = target.length or max((len(value) for value, _ in target.options), default=0)
    if info.max_length is not None and longest > info.max_length:
        yield Finding(
            "problem",
            where,
            f"holds at most {info.max_length} characters, but we write up to {longest}",
            "Make the field longer, or map another.",
        )
    if target.result == "stage" or info.kind != "enum" or not info.options:
        return  # stages are held against the mapping's own values
    missing = [value for value, _ in target.options if value not in info.options]
    if missing:
        yield Finding(
            "problem" if info.restricted else "warning",
            where,
            f"has no option {', '.join(f'`{value}`' for value in missing)}",
            f"`connector setup {crm}` adds what is missing and takes nothing away.",
        )


def _kind(target: TargetField) -> str:
    return {
        "number": "whole numbers",
        "text": "text",
        "enum": "one of a few words",
        "datetime": "date and time",
    }[target.kind]


# ------------------------------------------------------------------------------------------- stages and statuses


def _stages(crm: str, each: ObjectMapping, info: FieldInfo, written: bool) -> Iterator[Finding]:
    assert each.stage is not None
    if not info.options:
        return
    for ours, values in each.stage.values.items():
        for position, value in enumerate(values):
            if value in info.options:
                continue
            first = written and position == 0
            yield Finding(
                "problem" if first and info.restricted else "warning",
                f"{each.object}.{each.stage.source}",
                f"has no option `{value}` (our {ours}); nearest: {nearest(value, info.options) or '-'}",
                "Correct `stage.values` in the mapping"
                + (f", or `connector setup {crm}` adds the option." if first else "."),
            )


def _overrides(each: ObjectMapping, override: OverrideMap, info: FieldInfo) -> Iterator[Finding]:
    known = {fold(option) for option in info.options}
    for kind, values in override.values.items() if known else ():
        for value in values:
            if fold(value) not in known:
                yield Finding(
                    "problem",
                    f"{each.object}.{override.source}",
                    f"has no option `{value}` ({kind}); nearest: {nearest(value, info.options) or '-'}",
                    f"Correct `override.values.{kind}` in the mapping. We only read the field; sales needs the option.",
                )


def _statuses(each: ObjectMapping, info: FieldInfo) -> Iterator[Finding]:
    assert each.status is not None
    if not info.options:
        return
    known = {fold(option) for option in info.options}
    answers = (
        ("accepted", each.status.accepted),
        ("rejected", tuple(each.status.rejected)),
        ("working", each.status.working),
        ("touch", each.status.touch),
    )
    for key, values in answers:
        gone = [value for value in values if fold(value) not in known]
        # One that is named beside others that are there may be left over; where none is there, no answer is heard.
        level = (
            "note" if key in ("working", "touch") else "problem" if len(gone) == len(values) else "warning"
        )
        for value in gone:
            yield Finding(
                level,
                f"{each.object}.{each.status.source}",
                f"has no option `{value}` ({key}); nearest: {nearest(value, info.options) or '-'}",
                f"Correct `status.{key}` in the mapping.",
            )
