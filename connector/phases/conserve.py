"""Conserve: hold what a stream of people claims to have read against the vendor's own count, and fetch what is missing.

A count takes a call and no row; only where it is higher than ours is the range read once more, so that a gap is closed
and told by its records. What is edited meanwhile leaves the range: the vendor may count fewer, never more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from connector.core.model import Page, VendorRecord
from connector.errors import ConnectorError, LeaseBusy
from connector.phases.claim import STANDING
from connector.phases.intake import Intake
from connector.ports import Lease, Range, Stream

MOST = 50_000  # rows of a range that are read once more for a gap in it
NAMED = 20


async def conserve(intake: Intake, stream: Stream, within: Range, cursor: Page, lease: Lease) -> Lease:
    """Count the range at its source and compare. A gap is read and kept; it is told in `intake.gathered.gaps`.

    `cursor`: an empty page that says how far the stream was read. Raises LeaseBusy.
    """
    source, gathered = intake.source, intake.gathered
    try:
        counted = (await source.estimate(stream.name, within)).rows
        if counted is None or counted <= await _known(intake, stream, within):
            return lease
        if counted > MOST:
            gathered.gaps[stream.name] = (
                f"{source.crm} counts {counted:,} {_span(within)}, and fewer of them came. So many are not read once "
                f"more by a sync; run `connector backfill {source.crm} --object {stream.name}`."
            )
            return lease
        found: list[VendorRecord] = []
        came = 0
        pages = source.backfill(stream.name, within, None, intake.fields)
        async for told in pages:
            came += told.fetched
            missing = await _missing(intake, told.records, within)
            if missing:
                page = replace(cursor, records=tuple(missing), fetched=len(missing))
                lease, kept = await intake.keep(page, stream, lease)
                found += [each for each in missing if each.ref not in kept.erased_refs]
    except LeaseBusy:
        raise
    except ConnectorError as error:
        gathered.gaps[stream.name] = f"read, but not held against {source.crm}'s own count: {error}"
        return lease
    if found:
        gathered.gaps[stream.name] = _told(source.crm, counted, within, found)
    elif came < counted:
        gathered.gaps[stream.name] = (
            f"{source.crm} counts {counted:,} {_span(within)}, and gives {came:,} where it is asked for each of them. "
            "Which ones are missing cannot be told; check that the token may read all of them. Nobody was demoted by "
            "this run."
        )  # else only the index that counts is behind the store
    return lease


async def _known(intake: Intake, stream: Stream, within: Range) -> int:
    """How many of the range we have: by what this run has met, where that is all of it, else by the ledger."""
    claim, object_ = intake.gathered.claims.get(stream.name), stream.objects[0]
    if claim is not None and within.since == claim.since and within.until and not claim.resumed:
        aside = sum(of == object_ for of, _ in intake.gathered.quarantined)
        return claim.met(within.until) + aside
    return await intake.ledger.standing(intake.source.crm, object_, within)


async def _missing(intake: Intake, records: Iterable[VendorRecord], within: Range) -> list[VendorRecord]:
    """Records of the range that are not kept as they stand there."""
    standing = [each for each in records if each.state in STANDING and within.holds(each.changed_at)]
    stamps = await intake.ledger.stamps([each.ref for each in standing])
    return [
        each
        for each in standing
        if (each.ref.object, each.ref.id) not in intake.gathered.quarantined
        and (each.ref not in stamps or stamps[each.ref] < each.changed_at)
    ]


def _told(crm: str, counted: int, within: Range, found: list[VendorRecord]) -> str:
    names = ", ".join(each.ref.id for each in found[:NAMED]) + (" ..." if len(found) > NAMED else "")
    object_ = found[0].ref.object
    return (
        f"{crm} counts {counted:,} {_span(within)}; {len(found):,} of them had not come: {object_} {names}. They were "
        "read by themselves and are kept. Nobody was demoted by this run."
    )


def _span(within: Range) -> str:
    """The range in words."""
    since = f"from {within.since:%Y-%m-%d %H:%M:%S} " if within.since else ""
    until = f"up to {within.until:%Y-%m-%d %H:%M:%S} UTC" if within.until else ""
    return f"records that were last changed {since}{until}".strip()
