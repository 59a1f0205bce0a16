"""Let go of what is older than it is kept: one batch after the other, so that whoever waits for the ledger comes in
between. The same for the nightly job and for `connector db prune`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.app.leases import held
from connector.core.definition import Definition
from connector.core.retention import Cuts
from connector.ledger import SqlLedger
from connector.ledger.store_prune import DETAILS
from connector.phases.lease import PATIENCE, Heartbeat
from connector.ports import Clock

LEASE = "prune"
PAYLOADS, IMAGES, VISITORS = "raw_payloads", "before_images", "unknown_visitors"


@dataclass(slots=True)
class Pruned:
    """What went (or would go), by what it is."""

    cuts: Cuts
    gone: dict[str, int] = field(default_factory=dict)


async def would_prune(ledger: SqlLedger, definition: Definition, at: datetime) -> Pruned:
    """What is older than it is kept. Changes nothing."""
    cuts = Cuts.of(definition.criteria.retention, at)
    found = Pruned(cuts)
    if cuts.raw_payloads:
        found.gone[PAYLOADS] = await ledger.old_payloads(cuts.raw_payloads)
    if cuts.before_images:
        found.gone[IMAGES] = await ledger.old_images(cuts.before_images)
    if cuts.unknown_visitors:
        found.gone[VISITORS] = await ledger.old_visits(cuts.unknown_visitors)
    if cuts.run_details:
        for what in DETAILS:
            found.gone[what] = await ledger.old_details(what, cuts.run_details)
    return found


async def prune(
    ledger: SqlLedger, definition: Definition, holder: str, clock: Clock, *, patience: timedelta = PATIENCE
) -> Pruned:
    """Let it go. Raises LeaseBusy where somebody else is at it for longer than `patience`. Broken off, it is begun
    again at no loss."""
    cuts = Cuts.of(definition.criteria.retention, clock.now())
    done = Pruned(cuts)
    async with held(ledger, LEASE, holder, clock, patience=patience) as hold:
        if cuts.raw_payloads:
            done.gone[PAYLOADS] = await _payloads(ledger, cuts.raw_payloads, _told_by(definition), hold)
        if cuts.before_images:
            done.gone[IMAGES] = await _images(ledger, cuts.before_images, clock, hold)
        if cuts.unknown_visitors:
            done.gone[VISITORS] = await _visits(ledger, cuts.unknown_visitors, hold)
        if cuts.run_details:
            for what in DETAILS:
                done.gone[what] = await _details(ledger, what, cuts.run_details, clock, hold)
    return done


def _told_by(definition: Definition) -> Mapping[str, tuple[str, ...]]:
    """The fields of a CRM's own values that plans are told by, by `crm:object`."""
    return {
        f"{crm}:{name}": shape.came_in.reads()
        for crm, mapping in definition.mappings.items()
        for name, shape in mapping.objects.items()
        if shape.came_in is not None
    }


async def _payloads(
    ledger: SqlLedger, before: datetime, kept: Mapping[str, tuple[str, ...]], hold: Heartbeat
) -> int:
    gone, after = 0, ""
    while True:
        after, some = await ledger.let_payloads_go(before, after, kept, hold.lease)
        if not after:
            return gone
        gone += some


async def _images(ledger: SqlLedger, before: datetime, clock: Clock, hold: Heartbeat) -> int:
    gone = 0
    for plan in await ledger.plans_to_let_go(before):
        rows = await ledger.begin_plan(plan, before, hold.lease, clock.now())
        if rows is not None:
            gone, after = gone + rows, 0
            while after := await ledger.let_images_go(plan, after, hold.lease):
                pass
    return gone


async def _visits(ledger: SqlLedger, before: datetime, hold: Heartbeat) -> int:
    gone, after = 0, ("", "")
    while True:
        after, some = await ledger.let_visits_go(before, after, hold.lease)
        if not any(after):
            break
        gone += some
    while await ledger.let_visitors_go(before, hold.lease):
        pass
    return gone


async def _details(ledger: SqlLedger, what: str, before: datetime, clock: Clock, hold: Heartbeat) -> int:
    gone = 0
    while some := await ledger.let_details_go(what, before, hold.lease, clock.now()):
        gone += some
    return gone
