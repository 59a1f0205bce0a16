"""Push: send a plan batch by batch and turn every answer into a receipt.

Before a batch leaves, its records are read again and judged again, and its rows become `sending`; so a crash at any
point leaves rows that the next run can settle (`settle.py`) by reading them back. Decides no wanted value.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connector.core.exact import Aside
from connector.core.limits import too_many_rejected
from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import (
    JsonValue,
    Outcome,
    PlannedWrite,
    Receipt,
    RecordState,
    Ref,
    Value,
    VendorRecord,
    Write,
)
from connector.core.normalize import normalize_person
from connector.core.undo import UNDO, judge_undo
from connector.core.write_only import is_partial, keep_inside
from connector.core.write_plan import judge_again
from connector.errors import ConnectorError, FixConfig, LeaseBusy, OutcomeUnknown, RetryLater, StopRun
from connector.phases.exact import exactly, explained
from connector.phases.lease import Heartbeat, acquired
from connector.phases.planning import Schemas, lowering_of, stage_order
from connector.phases.read_back import Sample, read_back
from connector.phases.standstill import standstill
from connector.ports import Adapter, BulkSink, Clock, Fields, Held, Ledger, PlanRow

FRESH = timedelta(minutes=2)  # values fetched within this time are not read again before a push
ROWS_A_COMMIT = 2_000  # receipts of very many rows; others want to write to the ledger too
ENDING = "the process was told to end; the next run goes on"
UNKNOWN_IN_A_ROW = 3  # after so many batches without an answer the rest waits for the next run


@dataclass(slots=True)
class Pushed:
    """How the planned writes of one CRM ended."""

    written: int = 0
    rejected: int = 0
    unknown: int = 0
    set_aside: int = 0
    waiting: int = 0
    error: str | None = None
    stopped: str = (
        ""  # why the rest waits although nothing went wrong: a brake, a freeze, too many rejections
    )
    held: bool = False  # for a human, so that no later run goes on by itself
    superseded: bool = False  # a newer plan has taken over the rest
    sample: Sample = field(default_factory=Sample)  # of what was written
    read_back: Mapping[str, JsonValue] = field(default_factory=dict)  # sampled, differ, records
    differs: str | None = None  # what the sample found, where it is not what was written


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a row is judged again just before it leaves."""

    mapping: CrmMapping
    schemas: Schemas
    min_change: float
    exact: bool = (
        False  # a human saw this plan: every row is looked at again, and leaves as it stands or not at all
    )

    @property
    def fields(self) -> Fields:
        """What is read again."""
        return wanted_fields(self.mapping)


async def push(
    adapter: Adapter,
    terms: Terms,
    ledger: Ledger,
    clock: Clock,
    *,
    plan: int,
    holder: str,
    progress: Callable[[str, int], None] = lambda crm, rows: None,
    during_freeze: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> Pushed:
    """Send all planned (or waiting) rows of a plan. One outcome for each, none merely logged.

    Before each batch (and each job of very many rows) it is asked whether anything may leave: after `connector stop`
    nothing does, nor in a freeze, unless `during_freeze`, nor once the CRM has rejected too much, nor when the process
    is `stopping`. What is left waits.
    """
    lease = await acquired(ledger, f"push:{adapter.crm}", holder, clock)
    hold = Heartbeat(ledger, clock, lease)
    info = await ledger.plan(plan)
    undo = info is not None and info.kind == UNDO
    lost = max((gap.until for gap in await ledger.gaps()), default=None)
    work = _Work(adapter, terms, ledger, clock, hold, plan, progress, during_freeze, undo, stopping, lost)
    try:
        if await work.may_leave() and adapter.bulk is not None:
            await _upload(adapter.bulk, work)
        await _several_at_once(work)
        pushed = work.pushed
        why = pushed.error or pushed.stopped or "earlier batches got no answer"
        await hold.whole()
        await ledger.wait(plan, why, hold.lease, clock.now())
        info = await ledger.plan(plan)
        pushed.waiting = info.counts.get("waiting", 0) if info else 0
        if work.unanswered >= UNKNOWN_IN_A_ROW and not pushed.error:
            pushed.error = f"{work.unanswered} batches in a row got no answer; the rest of the plan waits."
        if pushed.held and pushed.waiting:
            await ledger.hold_plan(plan, pushed.stopped, hold.lease, clock.now())
        await ledger.close_plan(plan, "open" if pushed.waiting else "applied", hold.lease, clock.now())
        await hold()
        if not stopping():
            pushed.read_back, pushed.differs = await read_back(
                adapter, terms.fields, ledger, clock, pushed.sample.rows, hold.lease
            )
    finally:
        await ledger.release(hold.lease)
    return pushed


@dataclass(slots=True)
class _Work:
    """One plan on its way out: with what, under which lease, and what came of it so far."""

    adapter: Adapter
    terms: Terms
    ledger: Ledger
    clock: Clock
    hold: Heartbeat
    plan: int
    progress: Callable[[str, int], None]
    during_freeze: bool
    undo: bool  # it takes a run back: its rows are always read again, and judged by their own rule
    stopping: Callable[[], bool]
    lost: (
        datetime | None
    )  # what was read until then is not what stands there: the ledger was restored at this moment
    pushed: Pushed = field(default_factory=Pushed)
    unanswered: int = 0  # batches in a row without an answer

    def halted(self) -> bool:
        """Whether no further batch may leave."""
        pushed = self.pushed
        return (
            bool(pushed.stopped or pushed.error or pushed.superseded) or self.unanswered >= UNKNOWN_IN_A_ROW
        )

    async def may_leave(self) -> bool:
        """Asked right before anything leaves, and once before anything is read for it."""
        if self.stopping():
            self.pushed.stopped = self.pushed.stopped or ENDING
        if not self.halted():
            self.pushed.stopped = await standstill(
                self.ledger, self.terms.mapping, self.clock.now(), during_freeze=self.during_freeze
            )
        return not self.halted()

    def stale(self, rows: Sequence[PlanRow]) -> list[PlanRow]:
        """Those that are to be read again before they leave."""
        if self.undo:
            return [replace(row, read_at=None) for row in rows]
        if self.lost is not None:
            rows = [self._known(row) for row in rows]
        now = self.clock.now()
        return [row for row in rows if self.terms.exact or row.read_at is None or now - row.read_at > FRESH]

    def _known(self, row: PlanRow) -> PlanRow:
        """What was read before the restore counts as never read."""
        old = self.lost is not None and row.read_at is not None and row.read_at <= self.lost
        return replace(row, read_at=None) if old else row

    def count(self, receipts: Sequence[Receipt]) -> None:
        """Add what came of some rows."""
        for receipt in receipts:
            name = receipt.outcome.value
            setattr(self.pushed, name, getattr(self.pushed, name) + 1)
        pushed, limits = self.pushed, self.terms.mapping.limits
        too_many = too_many_rejected(limits, pushed.rejected, pushed.rejected + pushed.written)
        if too_many and not pushed.stopped:
            pushed.stopped, pushed.held = too_many, True
        self.progress(self.adapter.crm, self.pushed.written)


async def _several_at_once(work: _Work) -> None:
    """Batch after batch, as many under way as the CRM takes: a vendor's latency is not our pace.

    When one fails as nothing foresees, the others are stopped; what they had under way stays `sending`.
    """
    under_way: set[asyncio.Task[None]] = set()
    try:
        async for batch in _batches(work):
            if len(under_way) >= work.adapter.limits.writes_at_once:
                under_way = await _one_done(under_way)
            if work.halted():
                break
            under_way.add(asyncio.create_task(_one_batch(work, batch)))
        while under_way:
            under_way = await _one_done(under_way)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _one_done(under_way: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    done, others = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        under_way.discard(task)
    for task in done:
        task.result()
    return others


async def _batches(work: _Work) -> AsyncIterator[list[PlanRow]]:
    for status in ("planned", "waiting"):
        after = 0
        while rows := await work.ledger.plan_rows(
            work.plan, status=status, limit=work.adapter.limits.write_batch, after=after
        ):
            after = rows[-1].id
            for batch in _by_object(rows):
                yield batch


async def _one_batch(work: _Work, batch: Sequence[PlanRow]) -> None:
    """Read again where time has passed, judge again, mark, send, receive."""
    ledger, clock = work.ledger, work.clock
    await work.hold()
    stale = work.stale(batch)
    try:
        fresh = await _read(stale, work.adapter, work.terms)
    except ConnectorError as error:
        work.pushed.error = work.pushed.error or str(error)
        return
    ready, aside = await _judged(batch, stale, fresh, work)
    if not await work.may_leave():
        return  # nor after something happened to another batch meanwhile
    if not await _under_way(work, ready, aside, _ended(stale, fresh)):
        return

    async def send(writes: Sequence[Write]) -> list[Receipt]:
        return await work.adapter.push(writes, alive=work.hold)

    receipts = await _send(send, ready, work.pushed) if ready else []
    work.unanswered = work.unanswered + 1 if _all_unknown(receipts) else 0
    await work.hold()
    await ledger.receive(ready, receipts, work.hold.lease, clock.now())
    work.pushed.sample.add(ready, receipts)
    work.count(receipts)


async def _under_way(
    work: _Work,
    ready: Sequence[PlanRow],
    aside: Sequence[tuple[PlanRow, str]],
    ended: Mapping[Ref, tuple[RecordState, Ref | None]],
) -> bool:
    """Whether these rows may leave now. Not where a newer plan has taken over what this one had not sent."""
    await work.hold.whole()
    try:
        await work.ledger.mark_sending(ready, aside, work.hold.lease, work.clock.now(), ended=ended)
    except LeaseBusy:
        raise
    except StopRun:
        plan = await work.ledger.plan(work.plan)
        if plan is None or plan.status != "superseded":
            raise
        work.pushed.superseded = True
        return False
    work.pushed.set_aside += len(aside)
    return True


# --------------------------------------------------------------------------------- very many rows at once


async def _upload(bulk: BulkSink, work: _Work) -> None:
    """Rows of which there are very many leave first, one job of the vendor's at a time. The others stay as they are."""
    for status in ("planned", "waiting"):
        after, more = 0, True
        while more:
            rows = await work.ledger.plan_rows(work.plan, status=status, limit=bulk.rows, after=after)
            more = len(rows) == bulk.rows
            after = rows[-1].id if rows else after
            for batch in _by_object(rows):
                await work.hold()
                if work.halted():
                    return
                try:
                    if await bulk.worth(batch[0].ref.object, len(batch)):
                        await _one_job(bulk, work, batch)
                except LeaseBusy:
                    raise
                except ConnectorError as error:
                    work.pushed.error = str(error)


async def _one_job(bulk: BulkSink, work: _Work, batch: Sequence[PlanRow]) -> None:
    """One object's rows as one job. Only what changed since it was read is looked at again."""
    ledger, clock, hold = work.ledger, work.clock, work.hold
    stale = work.stale(batch)
    never_read = [row for row in stale if row.read_at is None]
    fresh = await _read(never_read, work.adapter, work.terms)
    read_at = [row.read_at for row in stale if row.read_at is not None]
    if read_at:
        refs = [row.ref for row in stale]
        fresh.update(await bulk.changed(refs, min(read_at), work.terms.fields, hold))
    looked_at = [row for row in stale if row.read_at is None or row.ref in fresh]
    ready, aside = await _judged(batch, looked_at, fresh, work)
    # Records of one company side by side: the vendor locks it for each of them.
    companies = await ledger.companies([row.ref for row in ready])
    ready.sort(key=lambda row: (companies.get(row.ref, ""), row.ref.id))
    if not await work.may_leave():
        return
    if not await _under_way(work, ready, aside, _ended(looked_at, fresh)) or not ready:
        return

    async def begun(job: str) -> None:
        await ledger.keep_job(ready, job, hold.lease)

    async def send(writes: Sequence[Write]) -> list[Receipt]:
        return await bulk.push(writes, begun=begun, alive=hold)

    receipts = await _send(send, ready, work.pushed)
    for start in range(0, len(ready), ROWS_A_COMMIT):  # each row by itself is sending or answered
        part = slice(start, start + ROWS_A_COMMIT)
        await hold()
        await ledger.receive(ready[part], receipts[part], hold.lease, clock.now())
    work.pushed.sample.add(ready, receipts)
    work.count(receipts)
    if _all_unknown(receipts):
        work.pushed.error = receipts[0].reason


def _by_object(rows: Sequence[PlanRow]) -> list[list[PlanRow]]:
    """One object a call: vendors process mixed batches in runs and limit how many."""
    batches: dict[str, list[PlanRow]] = {}
    for row in rows:
        batches.setdefault(row.ref.object, []).append(row)
    return list(batches.values())


async def _read(rows: Sequence[PlanRow], adapter: Adapter, terms: Terms) -> dict[Ref, VendorRecord]:
    fresh: dict[Ref, VendorRecord] = {}
    for start in range(0, len(rows), adapter.limits.read_batch):
        part = rows[start : start + adapter.limits.read_batch]
        fresh.update(await adapter.read([row.ref for row in part], fields_with(terms.fields, part)))
    return fresh


def fields_with(fields: Fields, rows: Sequence[PlanRow]) -> Fields:
    """These fields, and those that the rows write: a mapping may have dropped one since."""
    more: dict[str, set[str]] = {}
    for row in rows:
        more.setdefault(row.ref.object, set()).update(write.field for write in row.writes)
    return {**fields, **{name: fields.get(name, frozenset()) | found for name, found in more.items()}}


def _ended(
    rows: Sequence[PlanRow], fresh: Mapping[Ref, VendorRecord]
) -> dict[Ref, tuple[RecordState, Ref | None]]:
    """What the fresh look found to be no target any more. No pull may ever tell: an erased contact is in no list."""
    ended: dict[Ref, tuple[RecordState, Ref | None]] = {}
    for row in rows:
        record = fresh.get(row.ref)
        if record is None:
            ended[row.ref] = (RecordState.GONE, None)
        elif record.state is not RecordState.LIVE:
            ended[row.ref] = (record.state, record.moved_to)
    return ended


async def _judged(
    rows: Sequence[PlanRow],
    stale: Sequence[PlanRow],
    fresh: Mapping[Ref, VendorRecord],
    work: _Work,
) -> tuple[list[PlanRow], list[tuple[PlanRow, str]]]:
    """Rows that still hold after a fresh look, with fresh before-images, and those set aside with the reason."""
    written = await work.ledger.written([row.ref for row in stale])
    looked = {row.id for row in stale}
    some_only = is_partial(work.terms.mapping) and not work.undo
    people = await work.ledger.person_fields([row.person for row in stale]) if some_only else {}
    ready: list[PlanRow] = []
    aside: list[tuple[PlanRow, Aside]] = []
    for row in rows:
        if row.id not in looked:
            ready.append(row)
            continue
        record = fresh.get(row.ref)
        held = {field: each for (ref, field), each in written.items() if ref == row.ref}
        if work.undo:
            verdict: PlannedWrite | Aside | str = judge_undo(_planned(row), record)
        else:
            verdict = _again(row, record, held, people.get(row.person, {}), work)
        if isinstance(verdict, PlannedWrite):
            now = work.clock.now()
            ready.append(replace(row, writes=verdict.writes, held_back=verdict.held_back, read_at=now))
        else:
            aside.append((row, verdict if isinstance(verdict, Aside) else Aside(verdict)))
    return ready, await explained(aside, work.adapter)


def _planned(row: PlanRow) -> PlannedWrite:
    return PlannedWrite(row.ref, row.writes, row.held_back, row.because)


def _again(
    row: PlanRow,
    record: VendorRecord | None,
    written: Mapping[str, Held],
    fields: Mapping[str, Value],
    work: _Work,
) -> PlannedWrite | Aside | str:
    terms = work.terms
    target, schema = terms.mapping.objects[row.ref.object], terms.schemas.get(row.ref.crm, {})
    person = normalize_person(record, terms.mapping) if record else None
    if terms.exact:
        verdict: PlannedWrite | Aside | str = exactly(row, person, target)
    else:
        verdict = judge_again(
            _planned(row),
            person,
            written=written,
            stage_order=stage_order(target, schema.get(row.ref.object)),
            stage_values=target.stage.theirs() if target.stage else {},
            min_change=terms.min_change,
            lowering=lowering_of(target, schema.get(row.ref.object)),
        )
    if person is None or not isinstance(verdict, PlannedWrite):
        return verdict
    return keep_inside(verdict, person, target, fields, whole=terms.exact)


async def _send(
    send: Callable[[Sequence[Write]], Awaitable[list[Receipt]]], rows: Sequence[PlanRow], pushed: Pushed
) -> list[Receipt]:
    """The batch leaves. Whatever comes back, every row gets its receipt."""
    writes = [
        Write(
            row.id,
            row.ref,
            {w.field: w.after for w in row.writes},
            {w.field: w.before for w in row.writes if w.two_step},
            {w.field: w.before for w in row.writes if w.result == "stage"},
        )
        for row in rows
    ]
    try:
        return await send(writes)
    except LeaseBusy:
        raise  # somebody took over: what was under way stays so, and is read back by them
    except OutcomeUnknown as error:
        return [Receipt(row.id, Outcome.UNKNOWN, str(error)) for row in rows]
    except (RetryLater, FixConfig) as error:
        pushed.error = str(error)
        return [Receipt(row.id, Outcome.WAITING, str(error)) for row in rows]
    except ConnectorError as error:
        pushed.error = str(error)
        return [Receipt(row.id, Outcome.UNKNOWN, str(error)) for row in rows]


def _all_unknown(receipts: Sequence[Receipt]) -> bool:
    return bool(receipts) and all(receipt.outcome is Outcome.UNKNOWN for receipt in receipts)
