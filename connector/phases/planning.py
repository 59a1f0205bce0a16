"""What one record is to hold, and why not: its mapping, the live schema, the holds. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from connector.core.definition import Definition
from connector.core.kinds import kind_of
from connector.core.mapping import CrmMapping, ObjectMapping, master_of
from connector.core.model import JsonValue, PersonRecord, PlannedWrite, Ref, Value
from connector.core.stage_case import DEFAULT_LADDER
from connector.core.tug import why_tugged
from connector.core.values import is_blank, same_value
from connector.core.write_only import outside
from connector.core.write_plan import Lowering, outlived, plan_record
from connector.ports import TUGGED, Facts, FieldInfo, Held, Hold

Schemas = Mapping[str, Mapping[str, Mapping[str, FieldInfo]]]
"""The live fields of the objects we write to: crm -> object -> field -> info."""


def plan_for(
    record: PersonRecord,
    mapping: CrmMapping,
    wanted: Mapping[str, JsonValue],
    facts: Facts,
    schemas: Schemas,
    min_change: float,
    as_of: datetime,
    person: Mapping[str, Value],
    *,
    follows: str = "",
    only_ours: bool = False,
) -> PlannedWrite:
    """The write plan of one target record, by its mapping's lines and what the live schema knows. `person`: the fields
    of whom it is a record, as settled; `follows`: the CRM from which something else copies the stage to this record;
    `only_ours`: nothing is said of fields that hold anything but what we wrote there last."""
    target = mapping.objects[record.ref.object]
    written = {field: held for (ref, field), held in facts.written.items() if ref == record.ref}
    lines = [line for line in target.write if not only_ours or _holds_ours(record, line.to, written)]
    schema = schemas.get(record.ref.crm, {}).get(record.ref.object)
    closed = (
        {line.to: why for line in target.write if (why := why_no_target(schema.get(line.to)))}
        if schema is not None
        else {}
    )
    if follows:
        why = f"the stage is written to {follows} (`master`), and follows from there"
        closed |= {line.to: why for line in target.write if line.result == "stage"}
    order, values = stage_order(target, schema), target.stage.theirs() if target.stage else {}
    planned = plan_record(
        record,
        lines,
        wanted,
        written=written,
        refused=facts.refused.get(record.ref),
        stage_order=order,
        stage_values=values,
        min_change=min_change,
        at=as_of,
        closed=closed | outside(target, record.fields, person),
        lowering=lowering_of(target, schema),
        holds={field: hold for (ref, field), hold in facts.holds.items() if ref == record.ref},
    )
    return replace(planned, kind=kind_of(planned.writes, order, values))


def _holds_ours(record: PersonRecord, field: str, written: Mapping[str, Held]) -> bool:
    last, now = written.get(field), record.held.get(field)
    return last is not None and not last.theirs and not is_blank(now) and same_value(last.value, now)


def outlived_of(
    record: PersonRecord,
    mapping: CrmMapping,
    wanted: Mapping[str, JsonValue],
    facts: Facts,
    schemas: Schemas,
    min_change: float,
) -> list[tuple[Ref, str]]:
    """The fields of a record that were undone and of which something else is wanted by now."""
    holds = {field: hold for (ref, field), hold in facts.holds.items() if ref == record.ref}
    if not holds:
        return []
    target = mapping.objects[record.ref.object]
    order = stage_order(target, schemas.get(record.ref.crm, {}).get(record.ref.object))
    values = target.stage.theirs() if target.stage else {}
    ended = outlived(
        record, target.write, wanted, holds, stage_order=order, stage_values=values, min_change=min_change
    )
    return [(record.ref, name) for name in ended]


def tugs_of(write: PlannedWrite, facts: Facts) -> list[Hold]:
    """The holds for which fields of this record are left alone; one that this turn puts in force is told as such."""
    found: list[Hold] = []
    for field_ in write.held_back:
        hold = facts.holds.get((write.ref, field_.field))
        if hold is None or hold.kind != TUGGED or field_.why != hold.why:
            continue
        if hold.next_holds:
            times = hold.times + 1
            hold = replace(hold, times=times, other=field_.before, why=why_tugged(times, field_.before))
        found.append(hold)
    return found


def master_here(records: Sequence[PersonRecord], mappings: Mapping[str, CrmMapping]) -> str:
    """The CRM alone to which this person's stage is written; empty where it is written to all: no master is declared,
    or the person has no record there to which it is."""
    master = master_of(mappings.values())
    if master not in mappings:
        return ""
    for record in records:
        target = mappings[master].objects.get(record.ref.object) if record.ref.crm == master else None
        if target is not None and record.in_scope and any(line.result == "stage" for line in target.write):
            return master
    return ""


def why_no_target(info: FieldInfo | None) -> str:
    """Why a field of the live schema cannot be written to; empty where it can. A field that nobody made and one that
    is hidden from us look alike."""
    if info is None:
        return "would be written, but is not there yet (or hidden from this user)"
    return "" if info.writable else "would be written, but this user may not edit the field"


def stage_order(target: ObjectMapping, schema: Mapping[str, FieldInfo] | None) -> Sequence[str]:
    """The account's own stages, lowest first; where the schema lists none, the mapping's order."""
    if target.stage is None:
        return ()
    info = schema.get(target.stage.source) if schema else None
    if info is not None and info.options:
        return info.options
    return tuple(target.stage.theirs().values())


def lowering_of(target: ObjectMapping, schema: Mapping[str, FieldInfo] | None) -> Lowering:
    """What becomes of a stage that must go back, by the field that the mapping writes it to."""
    fields = [line.to for line in target.write if line.result == "stage"]
    if target.stage is None or not any(schema and to in schema and schema[to].forward_only for to in fields):
        return Lowering.FREE
    return Lowering.TWO_STEP if target.stage.backward else Lowering.HELD


def ladder_of(definition: Definition, schemas: Schemas) -> tuple[str, ...]:
    """Our stages, lowest first, with each account's own stages where that account orders them."""
    ladder = list(DEFAULT_LADDER)
    for crm, mapping in definition.mappings.items():
        for name, target in mapping.objects.items():
            if target.stage is None:
                continue
            ours = {theirs: stage for stage, values in target.stage.values.items() for theirs in values}
            place = -1
            for theirs in stage_order(target, schemas.get(crm, {}).get(name)):
                stage = ours.get(theirs, theirs)
                if stage in ladder:
                    place = max(place, ladder.index(stage))
                elif stage not in target.stage.values:  # `other` stands beside the ladder, not on it
                    place += 1
                    ladder.insert(place, stage)
    return tuple(ladder)
