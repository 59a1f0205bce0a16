"""What a plan is held against, collected: what this run means for the CRM, what is usual there, what is known of it.

Asks the ledger, and the vendor for a count only where so little was read that something may be hidden from us.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from connector.core.limits import (
    USUAL_OF,
    EarlierRun,
    PlanLimits,
    PlanNumbers,
    Shortfall,
    falls_short,
    usual_promoted,
    usual_rows,
)
from connector.core.mapping import CrmMapping
from connector.errors import ConnectorError
from connector.phases.counting import CrmTally
from connector.phases.gather import is_mapped
from connector.phases.intake import Gathered
from connector.ports import Adapter, Backfill, Ledger, Range, RunInfo, Stream


async def numbers_of_sync(
    adapter: Adapter, mapping: CrmMapping, ledger: Ledger, tally: CrmTally, gathered: Gathered
) -> PlanNumbers:
    """A run that read by its watermarks."""
    crm, limits = adapter.crm, mapping.limits
    earlier = [_earlier(run, crm) for run in await ledger.finished_syncs(crm, USUAL_OF)]
    runs = [run for run in earlier if run is not None]
    found = []
    for stream in adapter.streams():
        if stream.kind == "person" and is_mapped(stream, mapping) and stream.name not in gathered.failed:
            rows, usual = _rows(gathered, stream), usual_rows(runs, stream.name)
            if usual is not None and falls_short(limits, rows, usual):
                found.append(await _asked(adapter, ledger, stream, rows, usual))
    return await _numbers(
        ledger,
        crm,
        limits,
        tally,
        usual=usual_promoted(runs),
        shortfalls=tuple(each for each in found if each),
    )


async def numbers_of_backfill(
    mapping: CrmMapping, ledger: Ledger, tally: CrmTally, backfill: Backfill
) -> PlanNumbers:
    """A backfill, or some rounds of it: its rows are held against the vendor's count beforehand."""
    shortfalls = tuple(
        Shortfall(f"rows of {each.name}", each.rows, float(each.expected), of="that the CRM counted:")
        for each in backfill.streams
        if each.expected is not None
    )
    return await _numbers(ledger, mapping.crm, mapping.limits, tally, usual=None, shortfalls=shortfalls)


async def _numbers(
    ledger: Ledger,
    crm: str,
    limits: PlanLimits,
    tally: CrmTally,
    *,
    usual: float | None,
    shortfalls: tuple[Shortfall, ...],
) -> PlanNumbers:
    many = tally.promoted + tally.demoted > limits.few  # else no share of those in scope can be crossed
    return PlanNumbers(
        audiences={
            audience: await _of_audience(ledger, crm, audience, own, tally)
            for audience, own in limits.audiences.items()
        },
        overwriting=tally.overwriting,
        holding=tally.holding,
        promoted=tally.promoted,
        demoted=tally.demoted,
        in_scope=await ledger.people_in_scope(crm) if many else None,
        taken_up=tally.planned + tally.held_back + tally.unchanged,
        usual_promoted=usual,
        shortfalls=shortfalls,
    )


async def _of_audience(
    ledger: Ledger, crm: str, audience: str, limits: PlanLimits, tally: CrmTally
) -> PlanNumbers:
    moved, demoted = tally.moved_in[audience], tally.demoted_in[audience]
    return PlanNumbers(
        promoted=moved - demoted,
        demoted=demoted,
        in_scope=await ledger.people_in_scope(crm, audience) if moved > limits.few else None,
    )


def _rows(gathered: Gathered, stream: Stream) -> int:
    fetched = gathered.fetched.get(stream.name)
    return fetched.rows if fetched else 0


async def _asked(
    adapter: Adapter, ledger: Ledger, stream: Stream, rows: int, usual: float
) -> Shortfall | None:
    """How many records the CRM itself counts, beside those we know. None where it has no way to count them; where it
    cannot be asked now, so few rows stay suspicious."""
    what = f"rows of {stream.name}"
    with suppress(ConnectorError):
        there = (await adapter.estimate(stream.name, Range())).rows
        if there is None:
            return None
        return Shortfall(
            what, rows, usual, there, await ledger.live_records(adapter.crm, stream.objects or (stream.name,))
        )
    return Shortfall(what, rows, usual)


def _earlier(run: RunInfo, crm: str) -> EarlierRun | None:
    """What a run says of a CRM; None where it left something waiting, or was told before this was counted."""
    crms = run.document.get("crms")
    counts = crms.get(crm) if isinstance(crms, Mapping) else None
    if not isinstance(counts, Mapping) or counts.get("waiting") or "promoted" not in counts:
        return None
    rows = {name: int(each["rows"]) for name, each in counts["fetched"].items()}
    return EarlierRun(int(counts["read"]), int(counts["promoted"]), rows)
