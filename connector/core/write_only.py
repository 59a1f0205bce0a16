"""Which lines of a mapping do not concern a record, by their `write_only` and their object's. Pure.

A name is a field of ours: the record's own value comes first, so that it can be asked again of a record just read; what
the record leaves blank is the person's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from connector.core.conditions import Condition, holds
from connector.core.mapping import CrmMapping, ObjectMapping
from connector.core.model import HeldBack, PersonRecord, PlannedWrite, Value

WHY = "outside `write_only`"


def outside(
    target: ObjectMapping, record: Mapping[str, Value], person: Mapping[str, Value]
) -> dict[str, str]:
    """The vendor fields that are not written to, each with why. `record` and `person` are fields of ours by name."""

    def value_of(name: str) -> Value:
        own = record.get(name)
        return person.get(name) if own is None else own

    def leaves_out(condition: Condition | None) -> bool:
        return condition is not None and not holds(condition, value_of)

    if leaves_out(target.write_only):
        return {line.to: WHY for line in target.write}
    return {line.to: WHY for line in target.write if leaves_out(line.write_only)}


def is_partial(mapping: CrmMapping) -> bool:
    """Whether some of what may be written is written for some only."""
    return any(
        target.write_only is not None or any(line.write_only is not None for line in target.write)
        for target in mapping.objects.values()
    )


def keep_inside(
    planned: PlannedWrite,
    fresh: PersonRecord,
    target: ObjectMapping,
    person: Mapping[str, Value],
    *,
    whole: bool = False,
) -> PlannedWrite | str:
    """A write that is about to leave, asked again on the record as it was read just now: what lies outside by now is
    held back. Nothing left, or something missing of a write that leaves `whole` or not at all: why it is set aside."""
    left_out = outside(target, fresh.fields, person)
    gone = [write for write in planned.writes if write.field in left_out]
    if not gone:
        return planned
    writes = tuple(write for write in planned.writes if write not in gone)
    if whole or not writes:
        return f"changed since it was planned: `{gone[0].field}` is {WHY} now"
    held = tuple(HeldBack(write.field, write.before, write.after, WHY) for write in gone)
    return replace(planned, writes=writes, held_back=(*planned.held_back, *held))
