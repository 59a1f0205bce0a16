"""Which lines of a mapping do not concern a record, by their `write_only` and their object's. Pure.

A name is a field of ours: the record's own value comes first, so that it can be asked again of a record just read; what
the record leaves blank is the person's.
"""

from __future__ import annotations

from collections.abc import Mapping

from connector.core.conditions import Condition, holds
from connector.core.mapping import CrmMapping, ObjectMapping
from connector.core.model import Value

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
