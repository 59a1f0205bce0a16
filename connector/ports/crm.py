"""What the flow asks of a CRM: reads, writes, looks. Small Protocols with their promises; adapters implement them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connector.core.crm_task import CrmTask
from connector.core.handoff import CrmUser
from connector.core.mapping import CrmMapping
from connector.core.model import (
    JsonValue,
    Page,
    Receipt,
    Ref,
    VendorRecord,
    Write,
)

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


@dataclass(frozen=True, slots=True)
class LastChange:
    """Who set a field to `value`, and when. `by` in the vendor's words: `user 42 (Sam Miller)`, `workflow 7`.

    `at` and `by` are of the last change of this field where the vendor keeps such a history; else of the record as a
    whole, which `of_record` says. `by` is empty where nobody can tell.
    """

    value: JsonValue
    at: datetime | None
    by: str
    of_record: bool = False


@dataclass(frozen=True, slots=True)
class Automation:
    """Something of the account's own that listens to fields of ours, or writes them: a workflow, a flow, a trigger.

    `listens` and `writes` are `Object.field`, of the fields asked for only. `where`: how an admin gets to it.
    """

    kind: str  # workflow, flow, workflow rule, trigger, validation rule, integration ...
    name: str
    where: str
    listens: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Automations:
    """What was found. Never all there is: `unseen` says in sentences what could not be looked into."""

    found: tuple[Automation, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueInUse:
    """On how many records a field holds a value. `value` None: values that are no option, which nobody can count one by
    one. `record_type`: its name, where the vendor tells them apart."""

    object: str
    field: str
    value: str | None
    records: int
    record_type: str = ""


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

    async def last_changes(self, refs: Sequence[Ref], fields: Fields) -> Mapping[tuple[Ref, str], LastChange]:
        """Who last changed these fields of these records, by record and field. What nobody can tell is left out;
        a record that is gone is left out. Raises RetryLater, FixConfig."""
        ...

    async def members(self, object: str, segment: str) -> frozenset[str]:
        """Ids of an object's records on a list of the CRM, all of them. FixConfig where there is no such list."""
        ...

    async def account(self) -> Account:
        """One call that proves the credentials and names the account. Raises FixConfig."""
        ...

    async def schema(self, object: str) -> Mapping[str, FieldInfo]:
        """The live fields of a vendor object, by name. None of an object that these credentials may not see and can do
        without: `inspect` says so."""
        ...

    def read_up_to(self, cursor: Mapping[str, JsonValue]) -> datetime | None:
        """The watermark in a cursor of `pull`, of a stream of people: every record that was last changed before it has
        been told. None during a first load. Raises StopRun for a cursor it cannot read."""
        ...

    def under_way(self, cursor: Mapping[str, JsonValue]) -> bool:
        """Whether a cursor of `pull` stands in the middle of a read, so that the next one tells only the rest."""
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

    async def push(self, batch: Sequence[Write], *, alive: Alive | None = None) -> list[Receipt]:
        """Write a batch (one object, each record once). One Receipt per Write, in order.

        `alive` is called before each request leaves, however long it had to wait; what it raises ends the batch.

        A bad record fails only itself. Raises OutcomeUnknown when nobody can tell whether the batch arrived,
        RetryLater when the allowance is spent, FixConfig when no write can succeed.
        """
        ...

    async def make_task(self, task: CrmTask, *, alive: Alive) -> str:
        """Make a task for a user of the CRM: the CRM's id of it. SkipRecord where it is refused, OutcomeUnknown where
        nobody can tell whether it arrived; RetryLater and FixConfig: it did not. `alive` as in `push`."""
        ...

    async def find_task(self, task: CrmTask) -> str | None:
        """The id of the task with this mark on its record; None: it never arrived. Raises RetryLater, FixConfig."""
        ...


class CrmInspector(Protocol):
    """Looks at the account itself: rights, limits, names. Reads only, but for `probe`."""

    async def inspect(self, mapping: CrmMapping) -> Sequence[Finding]:
        """What only this vendor can tell, all at once: scopes or permissions that are missing or more than needed, the
        allowance, the clock, another integration that copies records. Fields, types and options are held against
        `schema` by whoever calls."""
        ...

    async def automations(self, targets: Sequence[str]) -> Automations:
        """Active automations that listen to these fields (`Object.field`) or write them, where the API shows them. A
        right that is missing becomes a sentence of `unseen`, no error. Raises RetryLater."""
        ...

    async def probe(self, test_record: Ref) -> Sequence[ProbeAnswer]:
        """Try on this record what documents leave open, and put back what was there. Writes to this record only."""
        ...

    async def catalog(self) -> Sequence[Named]:
        """Everything of the account that a mapping may name by id or label."""
        ...

    async def users(self) -> Sequence[CrmUser]:
        """Whoever may own records: people with their addresses, active or not, and queues. Raises FixConfig where the
        token may not see them, RetryLater."""
        ...

    async def values_in_use(
        self, object: str, field: str, *, besides: Collection[str] = ()
    ) -> Sequence[ValueInUse]:
        """Which values a field of an object holds and on how many records, `besides` these, by the vendor's own counts:
        no record is read. Nothing for a field that is not there, or whose values it cannot count. Raises RetryLater."""
        ...

    def use(self, switches: Mapping[str, JsonValue]) -> None:
        """The answers of earlier probes, by switch; unknown names are left alone."""
        ...


class Adapter(CrmSource, CrmSink, CrmInspector, Protocol):
    """A connected CRM, and its end."""

    async def close(self) -> None:
        """Give connections back."""
        ...
