"""What the ledger keeps and tells, as frozen values. Says nothing of how it is stored (`connector.ledger`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.core.approval import Agreed, Proof
from connector.core.crm_task import CrmTask, TaskStatus
from connector.core.facts import Hold
from connector.core.handoff import Spell
from connector.core.model import (
    CompanyRecord,
    Engagement,
    FieldWrite,
    HeldBack,
    JsonValue,
    OpportunityRecord,
    PersonRecord,
    PlannedWrite,
    Quarantined,
    RecordState,
    Ref,
    Score,
    StageDecision,
    StageState,
    Value,
    VendorRecord,
)
from connector.core.privacy_rules import DO_NOT_SCORE
from connector.core.routing import Way
from connector.core.tracking import APP
from connector.ports.crm import Estimate, Range


@dataclass(frozen=True, slots=True)
class Reread:
    """What the definition that follows `version` has read again: streams by CRM; None: all of that CRM."""

    version: int
    streams: Mapping[str, Sequence[str] | None]


@dataclass(slots=True)
class Fetched:
    """Per stream: rows on the wire, and what became of each. `ignored`: the mapping or the vendor's own filter
    leaves them out (bot clicks, copied activities). `erased`: of people who were erased, not kept. `note`: why the
    stream was not read, where that is no failure."""

    rows: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    ignored: int = 0
    erased: int = 0
    note: str = ""

    def adds_up(self) -> bool:
        """Every row became one thing."""
        return self.rows == self.stored + self.duplicate + self.quarantined + self.ignored + self.erased


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
    promoted: int = 0  # people, by what was planned
    demoted: int = 0
    by_override: int = 0  # people whom a human's override moves; in neither of the two
    calls: int = 0
    fetched: dict[str, Fetched] = field(default_factory=dict)
    read_back: dict[str, JsonValue] = field(default_factory=dict)  # sampled, differ, records
    tugs: list[dict[str, JsonValue]] = field(default_factory=list)  # fields that are left alone, and who with
    error: str | None = None

    def adds_up(self) -> bool:
        """`read`, `planned` and the rows of each stream are the sum of their parts."""
        return (
            self.read == self.quarantined + self.planned + self.held_back + self.unchanged
            and self.planned == self.written + self.rejected + self.unknown + self.set_aside + self.waiting
            and all(fetched.adds_up() for fetched in self.fetched.values())
        )


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
    around: frozenset[str] = (
        frozenset()
    )  # fields of the account that are read: what moves it makes its people due


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeping a page did, in rows of its stream. `touched` are the person records that became due by it.

    `wish`: `pause` or `cancel`, where somebody asked that of the page's backfill meanwhile. `erased`: rows that are an
    erased person's and were not kept, `erased_refs` the records among them.
    """

    stored: int
    duplicate: int
    quarantined: int
    touched: frozenset[Ref] = frozenset()
    wish: str = ""
    erased: int = 0
    erased_refs: frozenset[Ref] = frozenset()


@dataclass(frozen=True, slots=True)
class Tracked:
    """What keeping first-party calls did, in events: new, known already, malformed, of people whose events may not be
    kept. `touched` are the person records that became due by it; `urgent`: one of them by an event of a type that was
    asked about. `erased`: calls of people who were erased, not kept."""

    stored: int = 0
    duplicate: int = 0
    aside: int = 0
    left_out: int = 0
    touched: frozenset[Ref] = frozenset()
    urgent: bool = False
    erased: int = 0


EARLY = Ref(APP, "sync", "early")
"""What is marked, like a record to be read again, where somebody should be decided before the next scheduled sync."""


UNFINISHED = ("queued", "running", "paused", "waiting", "failed")
"""A backfill in one of these states is taken up again by the same command; `succeeded` and `cancelled` have ended."""


def serving(crm: str) -> str:
    """The lease of the sidecar that serves this CRM: with one alive, commands leave their work to it."""
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
    preflight: Mapping[str, JsonValue] = field(default_factory=dict)  # as it was told before it began

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


OPEN_REQUEST = ("queued", "running")
"""A request in one of these states waits for its answer; `running` in a process that died is taken up like queued."""


def request_lease(number: int) -> str:
    """The lease of whoever works on this request."""
    return f"request:{number}"


@dataclass(frozen=True, slots=True)
class Brake:
    """Pushing to a CRM is stopped: by whom, why, since when. Survives restarts."""

    crm: str
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """Work that a command left to the sidecar that serves these CRMs. `kind`: sync, apply, undo.

    `status`: queued, running, done, failed, withdrawn. `answer`: the document to print once it is done, `{"error"}`
    once it has failed, `{"progress"}` meanwhile.
    """

    id: int
    kind: str
    crms: tuple[str, ...]
    arguments: Mapping[str, JsonValue]
    status: str
    asked_by: str
    asked_at: datetime
    changed_at: datetime
    run: int | None = None
    answer: Mapping[str, JsonValue] = field(default_factory=dict)


STOPPED = "stopped"
"""Why a try of a job ended that a restart will make again."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """Work that is done by the clock: when it was begun last, when it was last done to its end (None: never), and why
    its last try failed (empty: it did not)."""

    name: str
    begun_at: datetime
    done_at: datetime | None = None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Person records that are due, and since when the oldest of them is (None: nobody is)."""

    due: int
    oldest: datetime | None


def job_lease(name: str) -> str:
    """The lease under which this job is done, once among all replicas."""
    return f"job:{name}"


@dataclass(frozen=True, slots=True)
class Review:
    """A pair of records that a human should look at: the same person, or not?

    `why` is empty where nobody asked and a human answered all the same. `answer`: `join` or `split`, once given.
    """

    a: Ref
    b: Ref
    why: str
    number: int = 0
    found_at: datetime | None = None
    answer: str = ""
    answered_at: datetime | None = None
    answered_by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReviewSide:
    """One record of a pair, as evidence. `company` by name; `stage` of the record, `ours` of its person."""

    ref: Ref
    name: str
    emails: tuple[str, ...]
    company: str
    owner: str
    stage: str
    ours: str
    state: RecordState


@dataclass(frozen=True, slots=True)
class ReviewPair:
    """A pair for review beside its evidence. `stale`: there is nothing to decide any more, because a record is gone or
    both are one person by now."""

    review: Review
    one: ReviewSide
    other: ReviewSide
    stale: bool = False


@dataclass(frozen=True, slots=True)
class ReviewAnswer:
    """What somebody says of a pair: `join` or `split`. `told`: what the records say against it."""

    a: Ref
    b: Ref
    answer: str
    note: str = ""
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an answer. `changed`: False where it stood already; `told`: what somebody should know of it."""

    review: Review
    changed: bool
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that somebody is told once. `to`: an owner in the CRM's words, or a role. `told_at`: None until it was.

    `person` is filled by the ledger. `run`: the one that made it; None: none did. `about`: what makes it one thing
    among those of its kind and person, where that is not the moment. `quiet`: it is told by no message of its own.
    """

    kind: str
    to: str
    text: str
    made_at: datetime
    person: int | None = None
    told_at: datetime | None = None
    run: int | None = None
    about: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notice (`notice_number`) on its way to one target, at an address where that takes one."""

    id: int
    notice_number: int
    notice: Notice
    target: str
    address: str
    personal: bool
    tries: int


@dataclass(frozen=True, slots=True)
class Folded:
    """So many notices of a kind were beyond the daily cap of a way."""

    way: Way
    kind: str
    many: int


@dataclass(frozen=True, slots=True)
class Bulk:
    """So many MQLs were found at once, by a run, or by a backfill (of which `run` is the first): `quiet` says how."""

    run: int
    backfill: int | None
    quiet: str
    many: int


@dataclass(frozen=True, slots=True)
class KeptSpell:
    """A time of a person as MQL, and what the person is by the last decision."""

    person: int
    spell: Spell
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class TaskDue:
    """A spell of which a task in the CRM is due: its number, whose it is, and the person's live records."""

    spell: int
    person: int
    owner: str
    due_at: datetime | None
    because: str
    records: tuple[PersonRecord, ...]


@dataclass(frozen=True, slots=True)
class KeptTask:
    """A task that was asked for, and what became of it; `id` is the CRM's."""

    task: CrmTask
    status: TaskStatus
    id: str
    why: str
    asked_at: datetime


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
    before: StageState | None = None  # what it went on from
    outlived: tuple[
        tuple[Ref, str], ...
    ] = ()  # fields that were undone, of which something else is wanted by now
    tugged: tuple[Hold, ...] = ()  # fields that somebody has changed back once too often by now
    audience: str = ""
    override: int | None = None  # the one in force
    waits: str = ""  # the contest in which the person waits for a place
    notices: tuple[Notice, ...] = ()  # somebody is to be told of it
    spells: tuple[Spell, ...] = ()  # times as MQL that began, changed or ended
    moves_account: bool = (
        False  # it changes how many of its colleagues are MQL, and the definition reads that
    )


PLAN_LIFE = timedelta(hours=24)


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
    kind: str = ""  # promotion, demotion, clearing, score
    rules: tuple[str, ...] = ()  # ids of the criteria's rules that are responsible
    stage: str | None = None  # of the record (our word) when this was planned
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlanInfo:
    """A plan in one line. `status`: open, applied, empty (nothing could be sent), superseded, discarded, expired.

    `kind`: sync, backfill, undo (of run `undoes`). `definition`: the version of the criteria and mappings by which it
    was made. `asked_by` began the run. `held`: why it waits for a human, where it does. `summary`: what was worth
    telling about it as a whole, by the name of what tells it. `kinds`: its rows by `PlanRow.kind`.
    """

    id: int
    run: int
    crm: str
    status: str
    created_at: datetime
    counts: Mapping[str, int]
    kind: str = "sync"
    definition: int = 0
    asked_by: str = ""
    held: str = ""
    summary: Mapping[str, JsonValue] = field(default_factory=dict)
    undoes: int | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    approval_note: str = ""
    approval_proof: Proof = Proof.CLAIMED  # how whoever approved was known
    kinds: Mapping[str, int] = field(default_factory=dict)
    superseded_by: int | None = None  # the plan that came after it
    let_go_at: datetime | None = (
        None  # since then its before-images are gone: it cannot be taken back any more
    )

    @property
    def expires_at(self) -> datetime:
        """Its before-images say little about a later day."""
        return self.created_at + PLAN_LIFE


@dataclass(frozen=True, slots=True)
class Act:
    """An administrative act in the audit trail: who did what, when."""

    at: datetime
    by: str
    act: str
    detail: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which this ledger knows nothing of what it did itself: it was restored at `until` from a backup made at
    `since` (aware UTC). `run`: the one that marks it; every run before it is on the other side."""

    run: int
    since: datetime
    until: datetime

    def holds(self, at: datetime | None) -> bool:
        """Whether this moment lies in it."""
        return at is not None and self.since < at <= self.until


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
    asked_by: str = ""


Judge = Callable[[Sequence[Engagement]], Sequence[Engagement]]
"""Says of all engagement of one person what is not counted, and why (`core.known.judged`)."""


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One dated line of what happened to a person: an engagement, a stage change, a write, a review."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class StageStep:
    """A step of a person's stage as it was kept: between which moments it was decided (one, but for a step that was
    adopted and is dated by its CRM), by which version, from what state (None: the first, or kept before that was)."""

    decided_at: datetime
    decided_by: datetime
    to_stage: str
    because: str
    adopted: bool
    version: int
    before: StageState | None

    def made_at(self, at: datetime) -> bool:
        """Whether it is what was decided at this moment."""
        return self.decided_at <= at <= self.decided_by


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
    audience: str = ""
    override: int | None = None  # the one in force at the last decision
    guarded: str = ""  # what kept somebody who qualifies from becoming MQL, in words
    waits: bool = False  # qualifies, and waits for a place among the best

    @property
    def scored(self) -> bool:
        """Whether `score` says anything; of whom the criteria's `privacy` forbids to score, zeros stand for none."""
        return self.state.privacy != DO_NOT_SCORE


@dataclass(frozen=True, slots=True)
class Draft:
    """A definition that is not in force (yet), as texts by name. `base`: the version that was in force when it came up.

    `status`: open, published (as `version`), discarded, overtaken (by a roll back). `digest` is of the texts: the same
    edit is one draft. `brings_back`: the earlier version whose files these are again.
    """

    id: int
    base: int
    files: Mapping[str, str]
    digest: str
    author: str
    note: str
    status: str
    made_at: datetime
    changed_at: datetime
    agreed: tuple[Agreed, ...] = ()
    version: int | None = None
    brings_back: int | None = None


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version of the definition: who put it in force, when and why, and who had agreed. `brings_back`: the earlier
    version whose files these are again."""

    version: int
    author: str
    note: str
    adopted_at: datetime
    brings_back: int | None = None
    agreed: tuple[Agreed, ...] = ()


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did. `rows`: deleted, blanked or scrubbed, by table. `still_there`: records that their CRMs had
    when they were last read; nobody has deleted them there. `named_in`: files of the definition that name the person.
    `shared`: addresses that records of others carry too, which therefore stay."""

    number: int
    at: datetime
    rows: Mapping[str, int]
    still_there: tuple[Ref, ...] = ()
    named_in: tuple[str, ...] = ()
    shared: int = 0
