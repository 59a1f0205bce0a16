"""Gather: pull every stream of one CRM, normalize page by page, keep each page in one commit.

Decides nothing about people. A stream that fails keeps its watermark and is named in the result; the others go on
where the fault is the stream's own, and stop where the CRM itself cannot be reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import (
    Engagement,
    JsonValue,
    Page,
    PersonRecord,
    Quarantined,
    RecordState,
    Ref,
    VendorRecord,
)
from connector.core.normalize import (
    growth,
    normalize_company,
    normalize_event,
    normalize_opportunity,
    normalize_person,
)
from connector.core.refs import RefSet
from connector.errors import ConnectorError, LeaseBusy, RetryLater, SkipRecord
from connector.phases.census import followed_up
from connector.phases.conserve import YOUNG, Claim, conserve
from connector.phases.lease import acquired, extended
from connector.ports import Clock, CrmSource, Fetched, Fields, Kept, Lease, Ledger, NormalizedPage, Stream


@dataclass(slots=True)
class Gathered:
    """What gathering one CRM brought."""

    fetched: dict[str, Fetched] = field(default_factory=dict)
    records: RefSet = field(default_factory=RefSet)  # live person records fetched, each once
    quarantined: set[tuple[str, str]] = field(
        default_factory=set
    )  # person records that could not be processed
    touched: RefSet = field(default_factory=RefSet)  # person records that became due by what a backfill read
    failed: dict[str, str] = field(default_factory=dict)  # stream -> what went wrong
    gaps: dict[str, str] = field(
        default_factory=dict
    )  # stream -> whom it had not brought, by the vendor's count
    claims: dict[str, Claim] = field(default_factory=dict)  # streams of people -> what was read of them
    first_load: bool = False

    @property
    def whole(self) -> bool:
        """Whether everything came: only then may its absence mean something."""
        return not self.failed and not self.gaps

    @property
    def errors(self) -> list[str]:
        """What is to be told, each by its stream."""
        return [f"{stream}: {why}" for told in (self.failed, self.gaps) for stream, why in told.items()]


TOP_BAND = (5,)

Progress = Callable[[str, str, int], None]
"""Told (crm, stream, rows so far) after each page."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes in the pages of one CRM for one run: each in one commit, every row of it accounted for."""

    source: CrmSource
    mapping: CrmMapping
    ledger: Ledger
    clock: Clock
    run: int
    gathered: Gathered
    progress: Progress
    backfill: int | None = None  # the backfill that the pages belong to

    @property
    def fields(self) -> Fields:
        """What is read of each vendor object."""
        return wanted_fields(self.mapping)

    async def keep(self, page: Page, stream: Stream, lease: Lease) -> tuple[Lease, Kept]:
        """Keep a page under this lease. Returns the lease renewed. Raises LeaseBusy, with nothing kept, when another
        has taken it over."""
        at = self.clock.now()
        lease = await extended(self.ledger, lease, at)
        page, vanished = await followed_up(page, stream, self.source, self.ledger, self.fields, at)
        if self.backfill is not None:
            page = replace(page, first_load=True)  # whatever it holds is old news
        normalized = await _normalized(
            page, stream, self.source.crm, self.mapping, self.ledger, at, self.gathered
        )
        normalized = replace(normalized, vanished=vanished, backfill=self.backfill)
        kept = await self.ledger.keep(normalized, lease, self.run, at)
        if stream.name in self.gathered.claims:
            self.gathered.claims[stream.name].note(page)
        counts = self.gathered.fetched.setdefault(stream.name, Fetched())
        counts.note = page.note or counts.note
        counts.rows += page.fetched + len(vanished)
        counts.stored += kept.stored
        counts.duplicate += kept.duplicate + normalized.repeated
        counts.quarantined += kept.quarantined
        counts.ignored += normalized.ignored
        if self.backfill is not None:
            self.gathered.touched.update(kept.touched)
        self.progress(self.source.crm, stream.name, counts.rows)
        return lease, kept


async def gather(
    source: CrmSource,
    mapping: CrmMapping,
    ledger: Ledger,
    clock: Clock,
    *,
    run: int,
    holder: str,
    progress: Progress = lambda crm, stream, rows: None,
) -> Gathered:
    """Pull all mapped streams of one CRM into the ledger. Raises LeaseBusy when another process gathers it."""
    crm = source.crm
    lease = await acquired(ledger, f"pull:{crm}", holder, clock)
    gathered = Gathered()
    intake = Intake(source, mapping, ledger, clock, run, gathered, progress)
    try:
        for stream in source.streams():
            if not is_mapped(stream, mapping):
                continue
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
                if stream.kind == "person":
                    lease = await _conserved(intake, stream, end, lease)
            except LeaseBusy:
                raise
            except ConnectorError as error:
                gathered.failed[stream.name] = str(error)
                if isinstance(error, RetryLater):
                    break  # the CRM is out of reach: the other streams would only wait for the same silence
        if gathered.first_load and not gathered.failed and not gathered.records:
            gathered.failed["people"] = (
                "A first load found nobody. Check that the account holds contacts and that the token may read them."
            )
    finally:
        await ledger.release(lease)
    return gathered


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


async def _normalized(
    page: Page,
    stream: Stream,
    crm: str,
    mapping: CrmMapping,
    ledger: Ledger,
    at: datetime,
    gathered: Gathered,
) -> NormalizedPage:
    """A page in our words. A row that cannot be normalized is quarantined with its reason, never dropped."""
    people: list[tuple[VendorRecord, PersonRecord]] = []
    quarantined: list[Quarantined] = list(page.quarantined)
    normalized = NormalizedPage(
        crm=crm, stream=stream.name, cursor=page.cursor, fetched=page.fetched, first_load=page.first_load
    )
    events = {event.key: event for event in page.events}  # of one told twice the last word counts
    told = len(page.records) + len(page.events) + len(page.quarantined)
    ignored = max(page.fetched - told, 0)  # the adapter leaves rows out, or joins them
    engagement: list[Engagement] = []
    companies, opportunities = [], []
    for record in page.records:
        try:
            if record.kind == "person":
                people.append((record, normalize_person(record, mapping, seen_at=at)))
            elif record.kind == "company":
                companies.append((record, normalize_company(record, mapping)))
            else:
                opportunities.append((record, normalize_opportunity(record, mapping)))
        except (SkipRecord, ValueError, TypeError, KeyError) as error:
            quarantined.append(Quarantined(crm, record.ref.object, record.ref.id, _reason(error)))
    for event in events.values():
        try:
            about = normalize_event(event, mapping)
            engagement.extend(about)
            ignored += not about
        except (SkipRecord, ValueError, TypeError, KeyError) as error:
            quarantined.append(Quarantined(crm, stream.name, event.key, _reason(error)))

    readings: dict[tuple[Ref, str], float] = {}
    counted = [record for record, _ in people if _has_counters(record, mapping)]
    if counted:
        known = await ledger.readings([ref for record in counted for ref in (record.ref, *record.absorbed)])
        for record in counted:
            grown, read = growth(record, mapping, known, at)
            engagement.extend(grown)
            readings.update(read)

    if stream.kind == "person":
        gathered.quarantined.update((row.object, row.id) for row in quarantined)
        gathered.records.update(person.ref for _, person in people if person.state is RecordState.LIVE)
    return replace(
        normalized,
        people=tuple(people),
        companies=tuple(companies),
        opportunities=tuple(opportunities),
        engagement=tuple(engagement),
        readings=readings,
        quarantined=tuple(quarantined),
        repeated=len(page.events) - len(events),
        ignored=ignored,
    )


def _has_counters(record: VendorRecord, mapping: CrmMapping) -> bool:
    return record.state is RecordState.LIVE and bool(mapping.objects[record.ref.object].counters)


def _reason(error: Exception) -> str:
    """The reason without the value: a record's content is personal data."""
    return str(error) if isinstance(error, ConnectorError) else f"{type(error).__name__} while normalizing"
