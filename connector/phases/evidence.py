"""What the CRMs say of the stage of one person, as the decision hears it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.core.definition import Definition
from connector.core.model import PersonRecord, RecordState
from connector.core.stage_heard import StageEvidence
from connector.core.values import same_value
from connector.phases.planning import master_here
from connector.ports import Facts, Gap

_OURS = frozenset({"lead", "mql"})  # stages that we set ourselves


def said_of_stage(
    records: Sequence[PersonRecord], facts: Facts, definition: Definition, gaps: Sequence[Gap] = ()
) -> list[StageEvidence]:
    """What the CRMs say of the stage. Equal to what we last wrote there is our own echo; equal to what its master says
    is a copy, and no second voice. A stage of ours that was set in one of these gaps may be our own or not."""
    found: list[StageEvidence] = []
    master = master_here(records, definition.mappings)
    there = {record.stage for record in records if record.ref.crm == master}
    for record in records:
        if record.stage is None:
            continue
        mapping = definition.mappings.get(record.ref.crm)
        stage = mapping.objects[record.ref.object].stage if mapping else None
        last = facts.written.get((record.ref, stage.source)) if stage else None
        at = record.stage_at or _noticed(record, facts)
        copied = bool(master) and record.ref.crm != master and record.stage in there
        found.append(
            StageEvidence(
                crm=record.ref.crm,
                ref=record.ref,
                stage=record.stage,
                at=at,
                ours=copied
                or (
                    last is not None
                    and stage is not None
                    and same_value(last.value, record.held.get(stage.source))
                ),
                wrote_at=last.at if last is not None else None,
                found=record.stage in _OURS and any(gap.holds(at) for gap in gaps),
            )
        )
    for deal in facts.opportunities:
        if deal.state is not RecordState.LIVE or (deal.is_closed and not deal.is_won):
            continue
        found.append(
            StageEvidence(
                crm=deal.ref.crm,
                ref=deal.ref,
                stage="customer" if deal.is_won else "opportunity",
                at=(deal.closed_at if deal.is_won else None) or deal.changed_at,
                only_raises=True,  # a deal lifts a person; one that is still open lowers no customer
            )
        )
    return found


def _noticed(record: PersonRecord, facts: Facts) -> datetime | None:
    """When a stage that its CRM does not date was set: with the last change, once we have decided on the record
    before; at first sight an old value must not look new, so as early as can be."""
    known = facts.state is not None and any(
        each.startswith(f"{record.ref}=") for each in facts.state.seen or ()
    )
    return record.changed_at if known else record.created_at or record.changed_at
