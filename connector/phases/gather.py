"""Gather: pull every stream of one CRM and take it in page by page (`intake`).

Decides nothing about people. A stream that fails keeps its watermark and is named in the result; the others go on
where the fault is the stream's own, and stop where the CRM itself cannot be reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from connector.core.mapping import CrmMapping
from connector.core.model import (
    JsonValue,
    Page,
)
from connector.errors import ConnectorError, LeaseBusy, RetryLater
from connector.phases.claim import YOUNG, Claim
from connector.phases.conserve import conserve
from connector.phases.hints import heeded
from connector.phases.intake import Gathered, Intake, Progress
from connector.phases.lease import acquired
from connector.ports import Clock, CrmSource, Fetched, Lease, Ledger, Stream

TOP_BAND = (5,)


async def gather(
    source: CrmSource,
    mapping: CrmMapping,
    ledger: Ledger,
    clock: Clock,
    *,
    run: int,
    holder: str,
    around: frozenset[str] = frozenset(),
    progress: Progress = lambda crm, stream, rows: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Gathered:
    """Pull all mapped streams of one CRM into the ledger. Raises LeaseBusy when another process gathers it.

    `stopping` is asked after each page: then no other one is asked for, and what was gathered is not whole.
    """
    crm = source.crm
    lease = await acquired(ledger, f"pull:{crm}", holder, clock)
    gathered = Gathered()
    intake = Intake(source, mapping, ledger, clock, run, gathered, progress, around=around)
    try:
        for stream in source.streams():
            if not is_mapped(stream, mapping):
                continue
            if stopping():
                break
            gathered.fetched.setdefault(stream.name, Fetched())
            try:
                since = await ledger.cursor(crm, stream.name)
                if stream.kind == "person":
                    gathered.claims[stream.name] = _claim(source, since, clock)
                    gathered.first_load |= gathered.claims[stream.name].since is None
                end = Page(stream.name, since or {})
                async with ended(await _pages(intake, stream, since)) as pages:
                    async for page in pages:
                        lease, _ = await intake.keep(page, stream, lease)
                        end = Page(stream.name, page.cursor, first_load=page.first_load)
                        if stopping():
                            break
                if stopping():
                    break
                if stream.kind == "person":
                    lease = await _conserved(intake, stream, end, lease)
                if stream.kind != "engagement":
                    lease = await heeded(intake, stream, end, lease)
            except LeaseBusy:
                raise
            except ConnectorError as error:
                gathered.failed[stream.name] = str(error)
                if isinstance(error, RetryLater):
                    break  # the CRM is out of reach: the other streams would only wait for the same silence
        if stopping():
            gathered.failed["stopped"] = "The process was told to end."
        if not gathered.failed:
            lease = await _segments(source, mapping, ledger, clock, lease, gathered)
        if gathered.first_load and not gathered.failed and not gathered.records:
            gathered.failed["people"] = (
                "A first load found nobody. Check that the account holds contacts and that the token may read them."
            )
    finally:
        await ledger.release(lease)
    return gathered


async def _segments(
    source: CrmSource, mapping: CrmMapping, ledger: Ledger, clock: Clock, lease: Lease, gathered: Gathered
) -> Lease:
    """Who is on the lists by which sales says something above the rules. All of them or, where one cannot be read,
    none: what is known of them stays."""
    found: dict[tuple[str, str, str], frozenset[str]] = {}
    try:
        for name, each in mapping.objects.items():
            for kind, segments in each.override.segments.items() if each.override else ():
                for segment in segments:
                    found[name, segment, kind] = await source.members(name, segment)
    except ConnectorError as error:
        gathered.failed["segments"] = str(error)
        return lease
    lease = await ledger.renew(lease, clock.now())
    await ledger.keep_segments(source.crm, found, lease, clock.now())
    return lease


def _claim(source: CrmSource, since: Mapping[str, JsonValue] | None, clock: Clock) -> Claim:
    """What a stream of people begins with; part of a first load is no watermark yet."""
    watermark = source.read_up_to(since) if since is not None else None
    resumed = since is not None and source.under_way(since)
    return Claim(watermark, clock.now() - YOUNG, resumed=resumed)


async def _conserved(intake: Intake, stream: Stream, end: Page, lease: Lease) -> Lease:
    """What the stream has read since its last watermark, held against the vendor's count of it."""
    until = intake.source.read_up_to(end.cursor) if end.cursor else None
    crm, object_ = intake.source.crm, stream.objects[0]
    within = await intake.gathered.claims[stream.name].asks(until, lambda: intake.ledger.newest(crm, object_))
    return lease if within is None else await conserve(intake, stream, within, end, lease)


async def _pages(
    intake: Intake, stream: Stream, since: Mapping[str, JsonValue] | None
) -> AsyncIterator[Page]:
    """The stream's pages; where each person costs calls, of the people whom the mapping names by their band."""
    source = intake.source
    if not stream.per_person:
        return source.pull(stream.name, since, intake.fields)
    asked = intake.mapping.engagement[stream.name]
    people = await intake.ledger.in_bands(source.crm, asked.only_bands or TOP_BAND, asked.at_most)
    return source.pull_for(stream.name, people, since, intake.fields)


@asynccontextmanager
async def ended(pages: AsyncIterator[Page]) -> AsyncIterator[AsyncIterator[Page]]:
    """The pages of a stream, ended with their reader: no call is sent ahead for a reader that has left."""
    try:
        yield pages
    finally:
        end = getattr(pages, "aclose", None)
        if end is not None:
            await end()


def is_mapped(stream: Stream, mapping: CrmMapping) -> bool:
    """A stream nobody maps is not pulled: no call is spent on what nothing reads."""
    if stream.kind == "engagement":
        return stream.name in mapping.engagement
    return any(name in mapping.objects for name in stream.objects or (stream.name,))
