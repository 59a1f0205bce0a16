"""Undo, the plan of it: what a run wrote to one CRM, how that stands there now, and what goes back. Sends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby

from connector.core.kinds import DEMOTION, PROMOTION, kind_of
from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import FieldWrite, PlannedWrite, Ref, VendorRecord
from connector.core.undo import (
    LATER,
    OTHERS,
    UNDO,
    Left,
    TakenBack,
    Writer,
    in_two_steps,
    take_back,
    written_by_run,
)
from connector.core.values import is_blank
from connector.errors import ConnectorError, LeaseBusy
from connector.phases.changes import last_changes
from connector.phases.counting import CrmTally
from connector.phases.lease import Heartbeat, acquired
from connector.phases.others import others_plans_gone
from connector.phases.planning import Schemas, why_no_target
from connector.ports import Adapter, Alive, Clock, FieldInfo, Held, LastChange, Ledger, PlanRow

SLICE = 500  # records a commit
TOLD = 20  # examples of what is left, and why; the plan's rows tell all


@dataclass(frozen=True, slots=True)
class Order:
    """Take `undoes` back, by this run, because somebody said so."""

    run: int
    undoes: int
    by: str
    why: str = ""

    @property
    def because(self) -> str:
        return f"undo of run {self.undoes} by {self.by}" + (f": {self.why}" if self.why else "")


@dataclass(slots=True)
class Survey:
    """What taking a run back means for one CRM. `plan` is None where there is nothing to say to it."""

    plan: int | None = None
    read: int = 0  # records that the run wrote
    unchanged: int = 0  # of them, those that an undo has taken back before
    fields: int = 0
    tally: CrmTally = field(default_factory=CrmTally)
    left: Counter[str] = field(default_factory=Counter)  # fields, by why they are left (core.undo)
    later: Counter[str] = field(default_factory=Counter)  # fields, by the later write's reason
    examples: list[str] = field(default_factory=list)
    written: set[tuple[str, str]] = field(default_factory=set)  # (object, field) that goes back
    stages: bool = False


async def survey(
    adapter: Adapter,
    mapping: CrmMapping,
    schemas: Schemas,
    ledger: Ledger,
    clock: Clock,
    order: Order,
    *,
    holder: str,
) -> Survey:
    """Look at every record that the run wrote and keep a plan of what goes back, a slice a commit.

    What is left of the run's own plan ends with it, and so does any other that waits: it was made on the values that
    are taken back. Waits while another run decides, or is between its plan and its push. Raises LeaseBusy, RetryLater.
    """
    found, crm = Survey(), adapter.crm
    lease = Heartbeat(ledger, clock, await acquired(ledger, "decide", holder, clock))
    try:
        await others_plans_gone(ledger, clock, crm, frozenset({order.run, order.undoes}), lease)
        after: Ref | None = None
        while rows := await ledger.written_rows(order.undoes, crm, SLICE, after=after):
            after = rows[-1].ref
            planned = await _slice(rows, adapter, mapping, schemas.get(crm, {}), ledger, order, found, lease)
            await lease.whole()
            if planned and found.plan is None:
                found.plan = await ledger.open_plan(
                    order.run, crm, lease.lease, clock.now(), kind=UNDO, undoes=order.undoes
                )
            if found.plan is not None:
                await ledger.keep_undo(found.plan, planned, lease.lease, clock.now())
        for each in await ledger.plans_of(order.undoes):
            if each.crm == crm and each.status == "open":
                await ledger.close_plan(each.id, "superseded", lease.lease, clock.now())
    except ConnectorError:
        if found.plan is not None:  # half a plan is no plan
            with suppress(LeaseBusy):
                await ledger.close_plan(found.plan, "superseded", lease.lease, clock.now())
        raise
    finally:
        await ledger.release(lease.lease)
    return found


async def _slice(
    rows: Sequence[PlanRow],
    adapter: Adapter,
    mapping: CrmMapping,
    schemas: Mapping[str, Mapping[str, FieldInfo]],
    ledger: Ledger,
    order: Order,
    found: Survey,
    alive: Alive,
) -> list[tuple[int, PlannedWrite]]:
    """The planned rows of some records: (person, what goes back and what is left)."""
    by_ref = {ref: list(several) for ref, several in groupby(rows, key=lambda row: row.ref)}
    held = await ledger.written(list(by_ref))
    written = {ref: written_by_run(_arrived(row, held) for row in several) for ref, several in by_ref.items()}
    fields: dict[str, frozenset[str]] = dict(wanted_fields(mapping))
    for ref, writes in written.items():
        fields[ref.object] = fields.get(ref.object, frozenset()) | {write.field for write in writes}
    fresh: dict[Ref, VendorRecord] = {}
    refs = list(by_ref)
    for start in range(0, len(refs), adapter.limits.read_batch):
        await alive()
        fresh.update(await adapter.read(refs[start : start + adapter.limits.read_batch], fields))
    writers = await ledger.writers([each.row for each in held.values() if each.row is not None])
    verdicts: dict[Ref, TakenBack] = {}
    for ref, several in by_ref.items():
        own = {name: each for (of, name), each in held.items() if of == ref}
        schema = schemas.get(ref.object)
        verdicts[ref] = take_back(
            ref,
            order.undoes,
            written[ref],
            _last(own, several, writers, order.undoes),
            fresh.get(ref),
            closed=_closed(written[ref], schema),
            lowers=lambda write, schema=schema: _lowers(write, schema),  # type: ignore[misc]
        )
    await alive()
    told = await last_changes(
        adapter,
        (
            (ref, each.field)
            for ref, verdict in verdicts.items()
            for each in verdict.left
            if each.kind == OTHERS
        ),
    )
    planned = []
    for ref, verdict in verdicts.items():
        left = [_with_who(each, told.get((ref, each.field))) for each in verdict.left]
        row = PlannedWrite(
            ref,
            verdict.writes,
            tuple(each.held_back() for each in left),
            order.because,
            kind=_kind(verdict.writes, ref, mapping, schemas),
            rules=(UNDO,),
        )
        _count(found, ref, verdict, left, row)
        if row.fate != "unchanged":
            planned.append((by_ref[ref][-1].person, row))
    return planned


def _arrived(row: PlanRow, held: Mapping[tuple[Ref, str], Held]) -> list[FieldWrite]:
    """What of a row was written: all of it, or of a rejected one the fields that it was the last to write."""
    if row.status != "rejected":
        return list(row.writes)
    ours = {name for (ref, name), each in held.items() if ref == row.ref and each.row == row.id}
    return [write for write in row.writes if write.field in ours]


def _last(
    held: Mapping[str, Held], rows: Sequence[PlanRow], writers: Mapping[int, Writer], run: int
) -> dict[str, Writer]:
    """Our last writer of each field. Older ledgers did not keep which row it was: then the moment tells."""
    moments = {write.field: row.settled_at for row in rows for write in row.writes}
    last: dict[str, Writer] = {}
    for name, each in held.items():
        if each.row is not None and each.row in writers:
            last[name] = writers[each.row]
        elif each.row is None and moments.get(name) == each.at:
            last[name] = Writer(run)
    return last


def _closed(writes: Sequence[FieldWrite], schema: Mapping[str, FieldInfo] | None) -> dict[str, str]:
    if schema is None:
        return {}
    whys = {write.field: why_no_target(schema.get(write.field)) for write in writes}
    return {name: why for name, why in whys.items() if why}


def _lowers(write: FieldWrite, schema: Mapping[str, FieldInfo] | None) -> bool:
    info = (schema or {}).get(write.field)
    return info is not None and info.forward_only and in_two_steps(write, info.options)


def _kind(
    writes: Sequence[FieldWrite],
    ref: Ref,
    mapping: CrmMapping,
    schemas: Mapping[str, Mapping[str, FieldInfo]],
) -> str:
    target = mapping.objects.get(ref.object)
    theirs = target.stage.theirs() if target is not None and target.stage else {}
    schema = schemas.get(ref.object, {})
    names = [write.field for write in writes if write.result == "stage" and write.field in schema]
    order = (schema[names[0]].options if names else ()) or tuple(theirs.values())
    return kind_of(writes, order, theirs)


def _with_who(left: Left, change: LastChange | None) -> Left:
    if left.kind != OTHERS or change is None or not (change.by or change.at):
        return left
    by = f" by {change.by}" if change.by else ""
    at = f" on {change.at:%Y-%m-%d %H:%M} UTC" if change.at else ""
    of_record = " (the record as a whole; this field has no history)" if change.of_record else ""
    return replace(left, why=f"changed{by}{at}{of_record}")


def _count(found: Survey, ref: Ref, verdict: TakenBack, left: Sequence[Left], row: PlannedWrite) -> None:
    found.read += 1
    found.fields += len(row.writes)
    tally = found.tally
    tally.seen.add(ref)
    tally.holding += 1
    if row.fate == "unchanged":
        found.unchanged += 1
    elif row.fate == "held_back":
        tally.held_back += 1
    else:
        tally.planned += 1
        tally.promoted += row.kind == PROMOTION
        tally.demoted += row.kind == DEMOTION
        tally.overwriting += any(not is_blank(write.before) for write in row.writes)
    found.written.update((ref.object, write.field) for write in verdict.writes)
    found.stages = found.stages or any(write.result == "stage" for write in verdict.writes)
    for each in left:
        found.left[each.kind] += 1
        if each.kind == LATER:
            found.later[each.why] += 1
        elif len(found.examples) < TOLD:
            found.examples.append(f"{ref.object} {ref.id}, {each.field}: {each.why}")


# ------------------------------------------------------------------------------------------------- what is said of it


async def told(adapter: Adapter, found: Survey, order: Order, *, lost: int) -> dict[str, object]:
    """What somebody should read before they approve of it, as the plan's summary keeps it: in lines and in numbers.

    `lost`: records that the run wrote and of which no before-image is kept any more.
    """
    tally, left = found.tally, found.left
    lines = [
        f"{found.fields:,} fields of {tally.planned:,} records go back to what stood there before run "
        f"{order.undoes}.",
    ]
    lines += [f"{many:,} fields stay: {why}." for why, many in sorted(found.later.items())]
    lines += _left_lines(left)
    lines += [f"  {each}" for each in found.examples]
    others = sum(left.values()) - left[LATER] - len(found.examples)
    if others > 0:
        lines.append(f"  and {others:,} more; the plan's rows name each.")
    if found.unchanged:
        lines.append(f"{found.unchanged:,} records were taken back before.")
    if lost:
        lines.append(
            f"{lost:,} records that run {order.undoes} wrote cannot come back: their before-images are not kept "
            "any more."
        )
    lines += await _not_coming_back(adapter, found)
    return {
        "title": f"Undo of run {order.undoes}",
        "why": order.why,
        "fields": found.fields,
        "records": tally.planned,
        "left": dict(left),
        "taken_back_before": found.unchanged,
        "lost": lost,
        "lines": lines,
    }


def _left_lines(left: Mapping[str, int]) -> list[str]:
    words = {
        OTHERS: "were changed by others since and stay as they are",
        "gone": "are of records that are gone, merged or converted, and stay",
        "closed": "cannot be written to now",
        "back": "hold the value from before the run again",
    }
    return [f"{left[kind]:,} fields {words[kind]}:" for kind in words if left.get(kind)]


async def _not_coming_back(adapter: Adapter, found: Survey) -> list[str]:
    """What an undo of fields cannot reach, with the automations found that listen to them."""
    if not found.written:
        return []
    lines = [
        "What followed from the run's writes does not come back: mails and notifications that were sent, tasks "
        "that were made, whatever automations did.",
    ]
    if found.stages:
        lines.append(
            "The CRM's own dates and history of a stage keep both changes (HubSpot's `became a ... date` may keep or "
            "lose its value by its own rules)."
        )
    try:
        seen = await adapter.automations(sorted(f"{name}.{each}" for name, each in found.written))
    except ConnectorError as error:
        return [*lines, f"Automations could not be looked up: {error}"]
    lines += [
        f'Found: the {each.kind} "{each.name}" listens to {_names(each.listens)}; it may have acted on the run, and '
        "may act on the undo."
        for each in seen.found
        if each.listens
    ]
    return [*lines, *seen.unseen]


def _names(fields: Iterable[str]) -> str:
    return ", ".join(sorted(fields))
