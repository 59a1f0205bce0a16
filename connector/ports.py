"""What the flow asks of the world, as small Protocols with their promises. Implemented elsewhere, passed in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from connector.core.mapping import CrmMapping
from connector.core.model import (
    Census,
    CompanyRecord,
    Engagement,
    FieldWrite,
    HeldBack,
    JsonValue,
    OpportunityRecord,
    Page,
    PersonRecord,
    PlannedWrite,
    Quarantined,
    Receipt,
    RecordState,
    Ref,
    Score,
    StageDecision,
    StageState,
    Value,
    VendorRecord,
    Write,
)
from connector.core.targets import TargetField

Fields = Mapping[str, frozenset[str]]
"""Which vendor fields are wanted, per vendor object: `{"contact": frozenset({"email", ...})}`."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One thing an adapter can pull. `kind` is `person`, `company`, `opportunity` or `engagement`.

    `objects` names the vendor objects whose fields matter to it (keys of `Fields`). `per_person`: it costs calls for
    each person, so that it is read of a few by `pull_for`; `pull` reads it of nobody.
    """

    name: str
    kind: str
    objects: tuple[str, ...] = ()
    per_person: bool = False


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of the live schema. `kind`: text, number, boolean, date, datetime, enum, other."""

    name: str
    kind: str
    label: str = ""
    writable: bool = True
    options: tuple[str, ...] = ()
    restricted: bool = False  # only `options` are accepted
    max_length: int | None = None
    forward_only: bool = False  # a stage that the CRM lets only rise; to lower it, clear it first


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are connected as. `id` binds a ledger to this portal or org."""

    id: str
    name: str = ""
    timezone: str = "UTC"
    currency: str | None = None
    now: datetime | None = None  # the vendor's clock


@dataclass(frozen=True, slots=True)
class Limits:
    """What a call costs and how much may be sent at once: records a call, and batches of writes under way."""

    write_batch: int
    read_batch: int
    writes_at_once: int = 1


@dataclass(frozen=True, slots=True)
class Range:
    """What a backfill asks for: rows of `[since, until)`, last modified for records, occurred for engagement.

    None is open at that end. Aware UTC.
    """

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether this moment lies in it."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What reading a stream's range once would take. `rows` is the vendor's own count, made without reading the rows;
    None where it has no way to count them. `seconds` at the rate we are allowed."""

    rows: int | None
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """The account's calls of the day as the vendor last told: by everybody, allowed, by this process.

    `share` is how much of `allowed` we let be used before optional work waits; `resets_at` None: a rolling 24 hours.
    """

    used: int
    allowed: int
    ours: int
    share: float
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `check` found. `level`: problem (exit 2), warning (works, should not stay so), note."""

    level: str
    where: str  # `scopes`, `contact.mql_score`, `allowance` ...
    what: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What a deep check learned by trying. `switch` names the adapter's switch that `value` sets; empty: told only."""

    probe: str
    what: str
    switch: str = ""
    value: JsonValue = None


@dataclass(frozen=True, slots=True)
class Named:
    """A thing of the account that a mapping may name: `kind` is form, campaign, list, status, stage, owner ...

    `id` is the account's own (differs between accounts), `name` its API name if it has one, `label` what people see.
    """

    kind: str
    id: str
    label: str
    name: str = ""


class CrmSource(Protocol):
    """Reads one CRM. Remembers nothing: cursor in, cursor out."""

    crm: str

    def streams(self) -> Sequence[Stream]:
        """In the order in which they should be read: people before what refers to them."""
        ...

    def pull(self, stream: str, since: Mapping[str, JsonValue] | None, fields: Fields) -> AsyncIterator[Page]:
        """Every row changed after `since` (None: everything, a first load), oldest first where the vendor can.

        Ends normally only when the stream was read to its end; then the last page's cursor is the new watermark.
        Rows may come twice, none is left out. A cursor it cannot read raises StopRun.
        """
        ...

    def pull_for(
        self, stream: str, people: Sequence[Ref], since: Mapping[str, JsonValue] | None, fields: Fields
    ) -> AsyncIterator[Page]:
        """As `pull`, of these people's records alone: for streams that are `per_person`."""
        ...

    async def read(self, refs: Sequence[Ref], fields: Fields) -> Mapping[Ref, VendorRecord]:
        """These records as they stand now, by the ref asked for. What is missing no longer exists."""
        ...

    async def gone(self, stream: str, keys: Sequence[str]) -> frozenset[str]:
        """Which of these keys of an engagement stream no longer exist, asked by id; what is in doubt is not gone."""
        ...

    async def account(self) -> Account:
        """One call that proves the credentials and names the account. Raises FixConfig."""
        ...

    async def schema(self, object: str) -> Mapping[str, FieldInfo]:
        """The live fields of a vendor object, by name."""
        ...

    async def estimate(self, stream: str, within: Range) -> Estimate:
        """What `backfill` of this range would take, asked with a call or two. Raises RetryLater, FixConfig."""
        ...

    def backfill(
        self, stream: str, within: Range, begun: Mapping[str, JsonValue] | None, fields: Fields
    ) -> AsyncIterator[Page]:
        """Every row of the range once, in an order that edits meanwhile do not disturb; `begun` is the cursor of the
        last page that was kept, so that a page at most is read twice.

        Ends normally only when the range was read to its end. Pages say `first_load`: what they hold is old news.
        Never the cursor of `pull`, nor any use to it. Raises StopRun for a cursor it cannot read.
        """
        ...

    def allowance(self) -> Allowance | None:
        """The day's calls as last told; None where the vendor does not tell or was not asked yet."""
        ...

    def calls(self) -> int:
        """HTTP requests sent so far, refused ones included, token calls not."""
        ...


Alive = Callable[[], Awaitable[None]]
"""Called at least every 30 s while something takes long, so that whoever holds a lease renews it."""


class BulkSink(Protocol):
    """Writes very many records of one object as one job of the vendor's, slowly and for few calls."""

    rows: int  # of one job, at most

    async def worth(self, object: str, rows: int) -> bool:
        """Whether so many writes had better go as a job. Fewer than a few thousand never ask the vendor."""
        ...

    async def changed(
        self, refs: Sequence[Ref], since: datetime, fields: Fields, alive: Alive
    ) -> Mapping[Ref, VendorRecord]:
        """Those of these records (one object) that changed after this moment, late commits included, as they stand
        now. One that was deleted without a trace is not told: the job itself will say so."""
        ...

    async def push(
        self, batch: Sequence[Write], *, begun: Callable[[str], Awaitable[None]], alive: Alive
    ) -> list[Receipt]:
        """As `CrmSink.push`. Rows near each other should be those that the vendor locks together.

        `begun` is told the job's id before anything is uploaded, and must keep it. Raises OutcomeUnknown once the job
        runs and nobody can tell how it ends; before that RetryLater or FixConfig, and then nothing was written.
        """
        ...

    async def end(self, job: str, alive: Alive) -> None:
        """Wait until a job of an earlier process is over; one that was never closed is dropped. Then its records may
        be read back. One that is gone is over. Raises RetryLater."""
        ...


class CrmSink(Protocol):
    """Writes to one CRM. Partial updates of known records only; it never creates a record."""

    crm: str
    limits: Limits

    @property
    def bulk(self) -> BulkSink | None:
        """The way for very many writes; None where the vendor has none."""
        ...

    async def push(self, batch: Sequence[Write]) -> list[Receipt]:
        """Write a batch (one object, each record once). One Receipt per Write, in order.

        A bad record fails only itself. Raises OutcomeUnknown when nobody can tell whether the batch arrived,
        RetryLater when the allowance is spent, FixConfig when no write can succeed.
        """
        ...


class CrmInspector(Protocol):
    """Looks at the account itself: rights, limits, names. Reads only, but for `probe`."""

    async def inspect(self, mapping: CrmMapping) -> Sequence[Finding]:
        """What only this vendor can tell, all at once: scopes or permissions that are missing or more than needed, the
        allowance, the clock, another integration that copies records. Fields, types and options are held against
        `schema` by whoever calls."""
        ...

    async def probe(self, test_record: Ref) -> Sequence[ProbeAnswer]:
        """Try on this record what documents leave open, and put back what was there. Writes to this record only."""
        ...

    async def catalog(self) -> Sequence[Named]:
        """Everything of the account that a mapping may name by id or label."""
        ...

    def use(self, switches: Mapping[str, JsonValue]) -> None:
        """The answers of earlier probes, by switch; unknown names are left alone."""
        ...


class Adapter(CrmSource, CrmSink, CrmInspector, Protocol):
    """A connected CRM, and its end."""

    async def close(self) -> None:
        """Give connections back."""
        ...


class Clock(Protocol):
    """The time, passed in so that tests and sandboxes can move it."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    async def sleep(self, span: timedelta) -> None:
        """Wait this long by this clock."""
        ...


class TokenStore(Protocol):
    """Keeps the one secret that may rest in the ledger: a rotated refresh token, sealed."""

    async def load(self, crm: str) -> str | None: ...

    async def save(self, crm: str, token: str) -> None:
        """Durable once it returns: the old token may be dead already."""
        ...

    def alone(self, crm: str) -> AbstractAsyncContextManager[None]:
        """One refresher at a time among all processes that share this store; waits for its turn."""
        ...


@dataclass(slots=True)
class Fetched:
    """Per stream: rows on the wire, and what became of each. `ignored`: the mapping or the vendor's own filter
    leaves them out (bot clicks, copied activities). `note`: why the stream was not read, where that is no failure."""

    rows: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    ignored: int = 0
    note: str = ""

    def adds_up(self) -> bool:
        """Every row became one thing."""
        return self.rows == self.stored + self.duplicate + self.quarantined + self.ignored


@dataclass(slots=True)
class CrmCounts:
    """The sums of one CRM in one run (DESIGN 2), counted in target records."""

    read: int = 0
    unchanged: int = 0
    planned: int = 0
    held_back: int = 0
    quarantined: int = 0
    written: int = 0
    rejected: int = 0
    unknown: int = 0
    set_aside: int = 0
    waiting: int = 0
    calls: int = 0
    fetched: dict[str, Fetched] = field(default_factory=dict)
    error: str | None = None

    def adds_up(self) -> bool:
        """`read`, `planned` and the rows of each stream are the sum of their parts."""
        return (
            self.read == self.quarantined + self.planned + self.held_back + self.unchanged
            and self.planned == self.written + self.rejected + self.unknown + self.set_aside + self.waiting
            and all(fetched.adds_up() for fetched in self.fetched.values())
        )


# ---------------------------------------------------------------------------------------------------- the ledger


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one piece of work (`pull:hubspot`, `decide`, `push:salesforce`) until it expires."""

    name: str
    holder: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NormalizedPage:
    """A page in our words, beside the vendor's own values, ready for one commit."""

    crm: str
    stream: str
    cursor: Mapping[str, JsonValue]
    people: tuple[tuple[VendorRecord, PersonRecord], ...] = ()
    companies: tuple[tuple[VendorRecord, CompanyRecord], ...] = ()
    opportunities: tuple[tuple[VendorRecord, OpportunityRecord], ...] = ()
    engagement: tuple[Engagement, ...] = ()
    readings: Mapping[tuple[Ref, str], float] = field(default_factory=dict)  # counters as read now
    quarantined: tuple[Quarantined, ...] = ()
    fetched: int = 0
    repeated: int = 0  # rows that the page told twice
    ignored: int = 0  # rows that the mapping, or the vendor's own filter, leaves out
    first_load: bool = False
    vanished: tuple[str, ...] = ()  # keys of this stream's engagement that no longer exist
    backfill: int | None = None  # the backfill it belongs to: its cursor is kept there and moves no watermark


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeping a page did, in rows of its stream. `touched` are the person records that became due by it.

    `wish`: `pause` or `cancel`, where somebody asked that of the page's backfill meanwhile.
    """

    stored: int
    duplicate: int
    quarantined: int
    touched: frozenset[Ref] = frozenset()
    wish: str = ""


UNFINISHED = ("queued", "running", "paused", "waiting", "failed")
"""A backfill in one of these states is taken up again by the same command; `succeeded` and `cancelled` have ended."""


def serving(crm: str) -> str:
    """The lease of the sidecar that serves this CRM: with one alive, commands leave backfills to it."""
    return f"serve:{crm}"


def backfill_lease(crm: str) -> str:
    """The lease of whoever runs the backfill of this CRM: one at a time."""
    return f"backfill:{crm}"


def wanted(name: str) -> str:
    """The lease of whoever waits for the lease of this name; long work gives way to it."""
    return f"want:{name}"


@dataclass(frozen=True, slots=True)
class BackfillStream:
    """How far one stream of a backfill is: rows kept so far, of those that the vendor counted beforehand."""

    name: str
    rows: int
    expected: int | None
    done: bool
    cursor: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill as it was asked for, and where it stands.

    `status`: queued, running, paused, waiting (for allowance or for a CRM out of reach), failed, succeeded, cancelled;
    `reason` says why. `wish`: pause or cancel, asked of the runner. `object` empty: all. `run`: the last that worked
    on it (or will). `yes`: plans beyond the limits were approved beforehand.
    """

    id: int
    crm: str
    object: str
    within: Range
    yes: bool
    status: str
    wish: str
    reason: str
    run: int
    created_at: datetime
    changed_at: datetime
    estimates: Mapping[str, Estimate]
    streams: tuple[BackfillStream, ...]

    @property
    def rows(self) -> int:
        """Kept so far, by all attempts."""
        return sum(stream.rows for stream in self.streams)

    @property
    def expected(self) -> int | None:
        """By the vendor's own count beforehand; None where it could not count one of the streams."""
        counts = [stream.expected for stream in self.streams if stream.expected is not None]
        return sum(counts) if len(counts) == len(self.streams) else None

    def asks(self, object: str, within: Range) -> bool:
        """Whether it is of this range and object."""
        return self.object == object and self.within == within


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """All person records that might be one person with the ones asked for, and whom they belonged to so far."""

    records: tuple[PersonRecord, ...]
    person_of: Mapping[Ref, int]  # person ids of the last decision
    first_load: frozenset[Ref] = frozenset()  # known only from a first load or backfill, never decided yet
    decided: Mapping[tuple[Ref, Ref], str] = field(default_factory=dict)  # human answers: `join` or `split`


@dataclass(frozen=True, slots=True)
class KnownEngagement:
    """An engagement and when we came to know it."""

    engagement: Engagement
    known_at: datetime


@dataclass(frozen=True, slots=True)
class PastRecord:
    """A record's normalized form as it stood until `known_until` (exclusive)."""

    record: PersonRecord
    known_until: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """The last value we wrote to a field, and when. `stage` is our word for it, where it was a lifecycle stage."""

    value: JsonValue
    at: datetime
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A difference that was refused: `rejected`, `parked`, `unknown` or `discarded`, for these wanted values."""

    kind: str
    wanted: Mapping[str, JsonValue]
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one group of records that is (or becomes) one person."""

    records: tuple[PersonRecord, ...]
    companies: Mapping[Ref, CompanyRecord] = field(default_factory=dict)
    opportunities: tuple[OpportunityRecord, ...] = ()
    engagement: tuple[KnownEngagement, ...] = ()
    past: tuple[PastRecord, ...] = ()
    written: Mapping[tuple[Ref, str], Held] = field(default_factory=dict)
    refused: Mapping[Ref, Refusal] = field(default_factory=dict)
    person: int | None = None
    state: StageState | None = None
    score: Score | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A pair of records that a human should look at: the same person, or not?"""

    a: Ref
    b: Ref
    why: str


@dataclass(frozen=True, slots=True)
class Decided:
    """One person's decision, for one commit with others. `person` None: somebody new."""

    person: int | None
    refs: tuple[Ref, ...]
    fields: Mapping[str, Value]
    score: Score
    stage: StageDecision
    plan: tuple[PlannedWrite, ...]  # one per target record that is not unchanged
    decays: bool = False  # time alone can change its score
    later: Mapping[Ref, datetime] = field(default_factory=dict)  # records to look at again, and when
    pending: frozenset[str] = frozenset()  # CRMs not asked in this run that this decision still concerns


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A planned write as the ledger keeps it."""

    id: int
    plan: int
    person: int
    ref: Ref
    writes: tuple[FieldWrite, ...]
    held_back: tuple[HeldBack, ...]
    because: str
    status: str  # planned, held_back, sending, written, rejected, unknown, set_aside, waiting
    reason: str = ""
    read_at: datetime | None = None  # when the before-image was fetched from the CRM
    job: str = ""  # the vendor's job that carries it


@dataclass(frozen=True, slots=True)
class PlanInfo:
    """A plan in one line. `status`: open, applied, empty (nothing could be sent), superseded, discarded, expired."""

    id: int
    run: int
    crm: str
    status: str
    created_at: datetime
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run in one line, and the document that its `--json` printed."""

    id: int
    kind: str
    status: str  # queued, running, succeeded, partial, failed, cancelled
    crms: tuple[str, ...]
    started_at: datetime
    finished_at: datetime | None
    document: Mapping[str, JsonValue]
    backfill: int | None = None  # the backfill that it worked on


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One dated line of what happened to a person: an engagement, a stage change, a write, a review."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person as the last decision left them."""

    id: int
    refs: tuple[Ref, ...]
    fields: Mapping[str, Value]
    score: Score
    state: StageState
    decided_at: datetime
    criteria_version: int


class Ledger(Protocol):
    """The only memory. Every method is one transaction; every writing one checks the epoch of its lease.

    `at` is the moment by the caller's clock: the ledger has none of its own.
    """

    # runs
    async def start_run(self, kind: str, crms: Sequence[str], at: datetime) -> int: ...
    async def finish_run(
        self, run: int, status: str, document: Mapping[str, JsonValue], at: datetime
    ) -> None: ...
    async def runs(self, limit: int = 20) -> list[RunInfo]: ...
    async def run(self, run: int) -> RunInfo | None: ...

    # leases
    async def acquire(self, name: str, holder: str, at: datetime) -> Lease:
        """Take or take over (expired) a lease, epoch + 1. Raises LeaseBusy while another holder is alive."""
        ...

    async def renew(self, lease: Lease, at: datetime) -> Lease:
        """Extend by 45 s. Raises LeaseBusy when the epoch has moved on."""
        ...

    async def release(self, lease: Lease) -> None: ...

    async def holder(self, name: str, at: datetime) -> str | None:
        """Who holds this lease and is alive; None where nobody is."""
        ...

    # backfills
    async def ask_backfill(
        self,
        crm: str,
        object: str,
        within: Range,
        yes: bool,
        estimates: Mapping[str, Estimate],
        at: datetime,
    ) -> Backfill:
        """A new one, queued, for these streams in this order, with a run that waits for it."""
        ...

    async def backfill(self, run: int) -> Backfill | None:
        """The backfill that this run worked on."""
        ...

    async def unfinished_backfills(self, crm: str | None = None) -> list[Backfill]:
        """Those that somebody may go on with, the oldest first."""
        ...

    async def begin_backfill(self, backfill: int, lease: Lease, at: datetime) -> Backfill:
        """An attempt begins; its run is `run` of what is returned. StopRun when it has ended."""
        ...

    async def end_stream(self, backfill: int, stream: str, lease: Lease, at: datetime) -> None:
        """The stream's range was read to its end."""
        ...

    async def settle_backfill(self, backfill: int, status: str, reason: str, at: datetime) -> None:
        """How an attempt ended. Ended for good, what is still held for it becomes due for every run."""
        ...

    async def wish_backfill(self, backfill: int, wish: str, at: datetime) -> Backfill:
        """`pause`, `cancel` or `resume`: at once without a runner, else at its next page. StopRun when it has ended."""
        ...

    async def outcomes(self, run: int, crm: str) -> Mapping[str, int]:
        """The records that a run planned or held back, each once, by how they stand now."""
        ...

    # configuration
    async def bind(self, crm: str, account: str, at: datetime) -> None:
        """Remember the account this ledger belongs to; FixConfig when it was another."""
        ...

    async def adopt_files(self, files: Mapping[str, str], at: datetime) -> int:
        """The definition (name -> text) now in force. A new version, all people due, when it differs from the
        last. Returns the version number."""
        ...

    async def adopt_targets(self, crm: str, targets: Sequence[str], at: datetime) -> bool:
        """Remember which targets (`Object.field`) can be written to. True when some are new since the last time: then
        everybody of this CRM is due, and no before-image read earlier is trusted."""
        ...

    # gather
    async def cursor(self, crm: str, stream: str) -> Mapping[str, JsonValue] | None: ...

    async def readings(self, refs: Sequence[Ref]) -> Mapping[tuple[Ref, str], float]:
        """The last readings of these records' counters."""
        ...

    async def in_bands(self, crm: str, bands: Sequence[int], limit: int) -> list[Ref]:
        """Live person records of this CRM whose person stood in one of these bands at the last decision, highest score
        first."""
        ...

    async def absent(self, crm: str, stream: str, census: Census) -> list[str]:
        """Ids (keys, of engagement) known in the census's state and range that it did not meet, in order."""
        ...

    async def keep(self, page: NormalizedPage, lease: Lease, run: int, at: datetime) -> Kept:
        """Rows, watermark and due marks in one commit. Only news makes people due (core/echo.py).

        A page of a backfill keeps its cursor there, and its due marks are held for that backfill alone.
        """
        ...

    # decide
    async def due(
        self,
        crms: Sequence[str],
        at: datetime,
        limit: int,
        *,
        after: Ref | None = None,
        backfill: int | None = None,
    ) -> list[Ref]:
        """Person records that are due now, in order, after this one: marked ones whose time has come, people whose
        `look_again_at` has passed, and (once per UTC day) those whose score decays.

        `backfill`: those alone that are held for this backfill, which no other run takes up.
        """
        ...

    async def neighbourhood(self, refs: Sequence[Ref]) -> Neighbourhood:
        """The closure over explicit ids and shared addresses, dead records included."""
        ...

    async def facts(self, groups: Sequence[Sequence[Ref]]) -> list[Facts]:
        """Per group, in order. Engagement comes by record id and by address, oldest first, deleted left out."""
        ...

    async def open_plan(self, run: int, crm: str, lease: Lease, at: datetime) -> int:
        """A new open plan. An older open one is superseded: its unsent rows' people become due again."""
        ...

    async def keep_decisions(
        self,
        run: int,
        decisions: Sequence[Decided],
        plans: Mapping[str, int],
        reviews: Sequence[Review],
        clear: Sequence[Ref],
        lease: Lease,
        at: datetime,
    ) -> None:
        """Identities, scores, stages, histories and plan rows in one commit; due marks of `clear` go."""
        ...

    # push
    async def written(self, refs: Sequence[Ref]) -> Mapping[tuple[Ref, str], Held]:
        """What we last wrote to these records, by record and vendor field."""
        ...

    async def plan_rows(
        self, plan: int, *, status: str | None = None, limit: int | None = None, after: int = 0
    ) -> list[PlanRow]: ...

    async def plans(self, limit: int = 20) -> list[PlanInfo]: ...

    async def sending(self, crm: str) -> list[PlanRow]:
        """Rows that were under way when a process died, or whose answer never came: to be read back first."""
        ...

    async def mark_sending(
        self,
        rows: Sequence[PlanRow],
        aside: Sequence[tuple[PlanRow, str]],
        lease: Lease,
        at: datetime,
        *,
        ended: Mapping[Ref, tuple[RecordState, Ref | None]] | None = None,
    ) -> None:
        """Before a batch leaves: `rows` (with fresh before-images) become sending, `aside` become set_aside.

        `ended`: records that the fresh look found gone, merged or converted, and where they went; they are no
        targets from now on, whether or not a pull ever tells.
        """
        ...

    async def keep_job(self, rows: Sequence[PlanRow], job: str, lease: Lease) -> None:
        """The vendor's job that carries these sending rows, before they are uploaded: whoever finds them under way
        asks that job first."""
        ...

    async def companies(self, refs: Sequence[Ref]) -> Mapping[Ref, str]:
        """Which company these person records belong to; those without one are left out."""
        ...

    async def receive(
        self, rows: Sequence[PlanRow], receipts: Sequence[Receipt], lease: Lease, at: datetime
    ) -> None:
        """Receipts, last written values, refusals (due again after 24 h) and redirected records in one commit."""
        ...

    async def wait(self, plan: int, reason: str, lease: Lease, at: datetime) -> int:
        """All still planned rows of a plan become waiting, with the reason. Returns how many."""
        ...

    async def close_plan(self, plan: int, status: str, lease: Lease, at: datetime) -> None: ...

    # questions
    async def find(self, who: str) -> list[int]:
        """Person ids by e-mail address, record id, `crm:object:id` or `person:ID`."""
        ...

    async def person(self, person: int) -> PersonView | None: ...

    async def story(self, person: int) -> list[StoryLine]: ...

    async def people(self, *, stage: str | None = None, limit: int = 50) -> list[PersonView]:
        """By score, highest first."""
        ...

    async def stage_counts(self) -> Mapping[str, int]:
        """How many people stand in each stage now."""
        ...

    async def reviews(self) -> list[Review]: ...


# -------------------------------------------------------------------------------------------------- a CRM's folder


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable an adapter reads. Each also works as NAME_FILE, a path to a mounted secret."""

    name: str
    what: str
    default: str | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that set-up makes. `state`: there, missing (a dry run), made, differs (stop), by_hand.

    `detail` says what differs, or the exact clicks where only a human can do it.
    """

    what: str  # `contact property mql_score`, `read access of Sales to Lead.MQL_Score__c` ...
    state: str
    detail: str = ""


class CrmAdmin(Protocol):
    """Sets a CRM up, with a credential of its own where one is given. Never changes or deletes what it finds."""

    async def steps(self, targets: Sequence[TargetField], *, make: bool) -> Sequence[Step]:
        """Everything the targets need in order to be written to and seen: groups, fields, options, grants.

        `make=False` only looks. Twice is harmless; options are added to what is there, never replaced; a field of
        another type is `differs`, and then nothing at all is made. Raises FixConfig when the credential may not.
        """
        ...

    async def close(self) -> None:
        """Give connections back; forget the credential."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """What one feature needs, for whoever grants it: the vendor's rights, fields, and what stops without."""

    feature: str
    rights: tuple[str, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    without: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """A behaviour that documents leave open. `default` is the safe one until a probe answers."""

    name: str
    what: str
    default: JsonValue


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a folder under `adapters/` exports as `PLUGIN`; found by scanning, never named by the core.

    `connected` tells from the resolved variables whether credentials are there; `connect` raises FixConfig where they
    do not make sense. `build_sandbox` imports its own server lazily (see connector/sandbox). `admin` connects set-up,
    by `admin_variables` where they are set (used once, never stored), else by `variables`. `as_source` gives the
    fields as files for orgs that forbid set-up by API: relative path -> text. `access` says what a mapping needs.
    """

    crm: str
    title: str
    variables: tuple[Variable, ...]
    connected: Callable[[Mapping[str, str]], bool]
    connect: Callable[[Mapping[str, str], Clock, TokenStore | None], Adapter]
    build_sandbox: Callable[..., object]
    admin: Callable[[Mapping[str, str], Clock], CrmAdmin]
    admin_variables: tuple[Variable, ...]
    as_source: Callable[[Sequence[TargetField]], Mapping[str, str]]
    access: Callable[[CrmMapping], Sequence[Access]]
    switches: tuple[Switch, ...] = ()
