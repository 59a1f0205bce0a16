"""Take in pages: each normalized and kept in one commit, every row of it accounted for. Pulls nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import (
    Engagement,
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
from connector.errors import ConnectorError, SkipRecord
from connector.phases.census import followed_up
from connector.phases.claim import Claim
from connector.phases.lease import extended
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
    around: frozenset[str] = frozenset()  # the fields of the account that the definition reads

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
        normalized = await _normalized(page, stream, self.source.crm, self.mapping, self.ledger, at)
        normalized = replace(normalized, vanished=vanished, backfill=self.backfill, around=self.around)
        kept = await self.ledger.keep(normalized, lease, self.run, at)
        if stream.kind == "person":
            self._took_up(normalized, kept)
        if stream.name in self.gathered.claims:
            self.gathered.claims[stream.name].note(page)
        counts = self.gathered.fetched.setdefault(stream.name, Fetched())
        counts.note = page.note or counts.note
        counts.rows += page.fetched + len(vanished)
        counts.stored += kept.stored
        counts.duplicate += kept.duplicate + normalized.repeated
        counts.quarantined += kept.quarantined
        counts.ignored += normalized.ignored
        counts.erased += kept.erased
        if self.backfill is not None:
            self.gathered.touched.update(kept.touched)
        self.progress(self.source.crm, stream.name, counts.rows)
        return lease, kept

    def _took_up(self, page: NormalizedPage, kept: Kept) -> None:
        """The person records that the run has read, without those of erased people."""
        bad = {(row.object, row.id) for row in page.quarantined}
        self.gathered.quarantined.update(bad - {(ref.object, ref.id) for ref in kept.erased_refs})
        self.gathered.records.update(
            person.ref
            for _, person in page.people
            if person.state is RecordState.LIVE and person.ref not in kept.erased_refs
        )


async def _normalized(
    page: Page,
    stream: Stream,
    crm: str,
    mapping: CrmMapping,
    ledger: Ledger,
    at: datetime,
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
