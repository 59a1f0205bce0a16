"""Rows of an approved plan just before they leave: judged by `core.exact`, and told who changed what. Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence

from connector.core.exact import Aside, judge_exactly
from connector.core.mapping import ObjectMapping
from connector.core.model import PersonRecord, PlannedWrite
from connector.phases.changes import last_changes
from connector.ports import Adapter, LastChange, PlanRow


def exactly(row: PlanRow, record: PersonRecord | None, target: ObjectMapping) -> PlannedWrite | Aside:
    """The row as it may leave, or why it is set aside."""
    planned = PlannedWrite(row.ref, row.writes, row.held_back, row.because, row.kind, row.rules, row.stage)
    return judge_exactly(planned, record, stage_field=target.stage.source if target.stage else "")


async def explained(asides: Sequence[tuple[PlanRow, Aside]], adapter: Adapter) -> list[tuple[PlanRow, str]]:
    """The reasons in words, with who changed a field and when where the CRM can tell. That is asked in one go, and not
    knowing it holds nothing up."""
    changes = await last_changes(adapter, ((row.ref, name) for row, aside in asides for name in aside.moved))
    return [
        (row, aside.told({name: _who(changes.get((row.ref, name))) for name in aside.moved}))
        for row, aside in asides
    ]


def _who(change: LastChange | None) -> str:
    if change is None or not (change.by or change.at):
        return ""
    at = f"{change.at:%Y-%m-%d %H:%M} UTC" if change.at else ""
    told = ", ".join(each for each in (change.by, at) if each)
    return f"the record was last changed by {told}" if change.of_record else f"by {told}"
