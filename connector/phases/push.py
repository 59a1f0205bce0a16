"""Push: send a plan batch by batch and turn every answer into a receipt.

Before a batch leaves, its records are read again and judged again, and its rows become `sending`; so a crash at any
point leaves rows that the next run can settle by reading them back. Decides no wanted value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import Outcome, PlannedWrite, Receipt, RecordState, Ref, VendorRecord, Write
from connector.core.normalize import normalize_person
from connector.core.values import is_blank, same_value
from connector.core.write_plan import judge_again
from connector.errors import ConnectorError, FixConfig, LeaseBusy, OutcomeUnknown, RetryLater
from connector.phases.decide import Schemas, lowering_of, stage_order
from connector.phases.lease import acquired
from connector.ports import Adapter, BulkSink, Clock, Fields, Lease, Ledger, PlanRow

FRESH = timedelta(minutes=2)  # values fetched within this time are not read again before a push
ROWS_A_COMMIT = 2_000  # receipts of very many rows; others want to write to the ledger too
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


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a row is judged again just before it leaves."""

    mapping: CrmMapping
    schemas: Schemas
    min_change: float

    @property
    def fields(self) -> Fields:
        """What is read again."""
        return wanted_fields(self.mapping)


async def settle(adapter: Adapter, mapping: CrmMapping, ledger: Ledger, clock: Clock, *, holder: str) -> int:
    """Read back what was under way when an earlier process died, or got no answer. Our value there means written.

    A stage that we had cleared in order to lower it is set, which ends what was begun. Anything else did not arrive: it
    is set aside, which makes its person due again in this run. Returns how many. Raises RetryLater when the CRM cannot
    be read now, or the second half gets no answer; what is under way stays so.
    """
    rows = await ledger.sending(adapter.crm)
    if not rows:
        return 0
    lease = await acquired(ledger, f"push:{adapter.crm}", holder, clock)
    try:
        lease = await _end_jobs(adapter, rows, ledger, lease, clock)
        fields = wanted_fields(mapping)
        for start in range(0, len(rows), adapter.limits.read_batch):
            batch = rows[start : start + adapter.limits.read_batch]
            try:
                fresh = await adapter.read([row.ref for row in batch], fields)
            except ConnectorError as error:
                raise _unsettled(
                    f"{len(rows)} earlier writes could not be read back: {error}", adapter
                ) from error
            halves = [row for row in batch if _half_done(row, fresh.get(row.ref))]
            whole = [row for row in batch if row not in halves]
            receipts = [_settled(row, fresh.get(row.ref)) for row in whole]
            lease = await ledger.renew(lease, clock.now())
            if whole:
                await ledger.receive(whole, receipts, lease, clock.now())
            if halves:
                finished = await _finish(adapter, halves)
                lease = await ledger.renew(lease, clock.now())
                await ledger.receive(halves, finished, lease, clock.now())
    finally:
        await ledger.release(lease)
    return len(rows)


def _unsettled(message: str, adapter: Adapter) -> RetryLater:
    return RetryLater(
        message,
        next_step="Nothing is written to this CRM before that; the next run tries again.",
        where=adapter.crm,
    )


def _half_done(row: PlanRow, now: VendorRecord | None) -> bool:
    """Whether our own clearing stands there, and the stage is still to be set. What anybody has set since stays."""
    return (
        now is not None
        and now.state is RecordState.LIVE
        and now.ref == row.ref
        and any(
            w.two_step and is_blank(now.values.get(w.field)) and not is_blank(w.after) for w in row.writes
        )
    )


async def _finish(adapter: Adapter, rows: Sequence[PlanRow]) -> list[Receipt]:
    """The second half of writes whose first half stands. The fields beside the stage went with the first half."""
    writes = [
        Write(
            row.id,
            row.ref,
            {w.field: w.after for w in row.writes if w.two_step},
            {w.field: w.before for w in row.writes if w.two_step},
            {w.field: w.before for w in row.writes if w.result == "stage"},
        )
        for row in rows
    ]
    try:
        receipts = await adapter.push(writes)
    except ConnectorError as error:
        raise _unsettled(f"{len(rows)} stages are cleared and not set yet: {error}", adapter) from error
    open_ = [each for each in receipts if each.outcome in (Outcome.UNKNOWN, Outcome.WAITING)]
    if open_:
        raise _unsettled(f"{len(open_)} stages are cleared and not set yet: {open_[0].reason}", adapter)
    return [
        replace(each, reason=each.reason or "the second half was done after an interruption")
        for each in receipts
    ]


async def _end_jobs(
    adapter: Adapter, rows: Sequence[PlanRow], ledger: Ledger, lease: Lease, clock: Clock
) -> Lease:
    """What a job of the vendor's still writes cannot be read back: it is waited for, never made again."""
    hold = _Hold(ledger, lease, clock)
    for job in sorted({row.job for row in rows if row.job}):
        if adapter.bulk is None:
            break
        try:
            await adapter.bulk.end(job, hold.renew)
        except LeaseBusy:
            raise
        except ConnectorError as error:
            many = sum(row.job == job for row in rows)
            raise _unsettled(f"An earlier job of {many} writes cannot be asked: {error}", adapter) from error
    return hold.lease


def _settled(row: PlanRow, now: VendorRecord | None) -> Receipt:
    if now is not None and all(same_value(now.values.get(w.field), w.after) for w in row.writes):
        return Receipt(row.id, Outcome.WRITTEN, "found in place when read back after an interruption")
    return Receipt(
        row.id, Outcome.SET_ASIDE, "not in place when read back after an interruption; decided anew"
    )


async def push(
    adapter: Adapter,
    terms: Terms,
    ledger: Ledger,
    clock: Clock,
    *,
    plan: int,
    holder: str,
    progress: Callable[[str, int], None] = lambda crm, rows: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Pushed:
    """Send all planned (or waiting) rows of a plan. One outcome for each, none merely logged."""
    pushed = Pushed()
    lease = await acquired(ledger, f"push:{adapter.crm}", holder, clock)
    unanswered = 0

    def halted() -> bool:
        return stopped() or pushed.error is not None or unanswered >= UNKNOWN_IN_A_ROW

    try:
        if adapter.bulk is not None:
            hold = _Hold(ledger, lease, clock)
            await _upload(adapter.bulk, adapter, terms, hold, plan, pushed, halted, progress)
            lease = hold.lease
        for status in ("planned", "waiting"):
            after = 0
            while rows := await ledger.plan_rows(
                plan, status=status, limit=adapter.limits.write_batch, after=after
            ):
                after = rows[-1].id
                for batch in _by_object(rows):
                    lease = await ledger.renew(lease, clock.now())
                    if halted():
                        break
                    stale = _stale(batch, clock)
                    try:
                        fresh = await _read(stale, adapter, terms)
                    except ConnectorError as error:
                        pushed.error = str(error)
                        break
                    ready, aside = await _judged(batch, stale, fresh, adapter.crm, terms, ledger, clock)
                    lease = await ledger.renew(lease, clock.now())
                    ended = _ended(stale, fresh)
                    await ledger.mark_sending(ready, aside, lease, clock.now(), ended=ended)
                    pushed.set_aside += len(aside)
                    receipts = await _send(adapter.push, ready, pushed) if ready else []
                    unanswered = unanswered + 1 if _all_unknown(receipts) else 0
                    lease = await ledger.renew(lease, clock.now())
                    await ledger.receive(ready, receipts, lease, clock.now())
                    _count(pushed, receipts)
                    progress(adapter.crm, pushed.written)
                if halted():
                    break
            if halted():
                break
        why = pushed.error or ("pushing is stopped" if stopped() else "earlier batches got no answer")
        await ledger.wait(plan, why, lease, clock.now())
        pushed.waiting = len(await ledger.plan_rows(plan, status="waiting"))
        if unanswered >= UNKNOWN_IN_A_ROW and not pushed.error:
            pushed.error = f"{unanswered} batches in a row got no answer; the rest of the plan waits."
        await ledger.close_plan(plan, "open" if pushed.waiting else "applied", lease, clock.now())
    finally:
        await ledger.release(lease)
    return pushed


# --------------------------------------------------------------------------------- very many rows at once


@dataclass(slots=True)
class _Hold:
    """A lease that is renewed while something takes long."""

    ledger: Ledger
    lease: Lease
    clock: Clock

    async def renew(self) -> None:
        self.lease = await self.ledger.renew(self.lease, self.clock.now())


async def _upload(
    bulk: BulkSink,
    adapter: Adapter,
    terms: Terms,
    hold: _Hold,
    plan: int,
    pushed: Pushed,
    halted: Callable[[], bool],
    progress: Callable[[str, int], None],
) -> None:
    """Rows of which there are very many leave first, one job of the vendor's at a time. The others stay as they are."""
    for status in ("planned", "waiting"):
        after, more = 0, True
        while more:
            rows = await hold.ledger.plan_rows(plan, status=status, limit=bulk.rows, after=after)
            more = len(rows) == bulk.rows
            after = rows[-1].id if rows else after
            for batch in _by_object(rows):
                await hold.renew()
                if halted():
                    return
                try:
                    if await bulk.worth(batch[0].ref.object, len(batch)):
                        await _one_job(bulk, adapter, terms, hold, batch, pushed)
                        progress(adapter.crm, pushed.written)
                except LeaseBusy:
                    raise
                except ConnectorError as error:
                    pushed.error = str(error)


async def _one_job(
    bulk: BulkSink, adapter: Adapter, terms: Terms, hold: _Hold, batch: Sequence[PlanRow], pushed: Pushed
) -> None:
    """One object's rows as one job. Only what changed since it was read is looked at again."""
    ledger, clock = hold.ledger, hold.clock
    stale = _stale(batch, clock)
    never_read = [row for row in stale if row.read_at is None]
    fresh = await _read(never_read, adapter, terms)
    read_at = [row.read_at for row in stale if row.read_at is not None]
    if read_at:
        refs = [row.ref for row in stale]
        fresh.update(await bulk.changed(refs, min(read_at), terms.fields, hold.renew))
    looked_at = [row for row in stale if row.read_at is None or row.ref in fresh]
    ready, aside = await _judged(batch, looked_at, fresh, adapter.crm, terms, ledger, clock)
    # Records of one company side by side: the vendor locks it for each of them.
    companies = await ledger.companies([row.ref for row in ready])
    ready.sort(key=lambda row: (companies.get(row.ref, ""), row.ref.id))
    await hold.renew()
    await ledger.mark_sending(ready, aside, hold.lease, clock.now(), ended=_ended(looked_at, fresh))
    pushed.set_aside += len(aside)
    if not ready:
        return

    async def begun(job: str) -> None:
        await ledger.keep_job(ready, job, hold.lease)

    async def send(writes: Sequence[Write]) -> list[Receipt]:
        return await bulk.push(writes, begun=begun, alive=hold.renew)

    receipts = await _send(send, ready, pushed)
    for start in range(0, len(ready), ROWS_A_COMMIT):  # each row by itself is sending or answered
        part = slice(start, start + ROWS_A_COMMIT)
        await hold.renew()
        await ledger.receive(ready[part], receipts[part], hold.lease, clock.now())
    _count(pushed, receipts)
    if _all_unknown(receipts):
        pushed.error = receipts[0].reason


def _by_object(rows: Sequence[PlanRow]) -> list[list[PlanRow]]:
    """One object a call: vendors process mixed batches in runs and limit how many."""
    batches: dict[str, list[PlanRow]] = {}
    for row in rows:
        batches.setdefault(row.ref.object, []).append(row)
    return list(batches.values())


def _stale(rows: Sequence[PlanRow], clock: Clock) -> list[PlanRow]:
    now = clock.now()
    return [row for row in rows if row.read_at is None or now - row.read_at > FRESH]


async def _read(rows: Sequence[PlanRow], adapter: Adapter, terms: Terms) -> dict[Ref, VendorRecord]:
    fresh: dict[Ref, VendorRecord] = {}
    for start in range(0, len(rows), adapter.limits.read_batch):
        part = rows[start : start + adapter.limits.read_batch]
        fresh.update(await adapter.read([row.ref for row in part], terms.fields))
    return fresh


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
    crm: str,
    terms: Terms,
    ledger: Ledger,
    clock: Clock,
) -> tuple[list[PlanRow], list[tuple[PlanRow, str]]]:
    """Rows that still hold after a fresh look, with fresh before-images, and those set aside with the reason."""
    now = clock.now()
    written = await ledger.written([row.ref for row in stale])
    looked = {row.id for row in stale}
    ready: list[PlanRow] = []
    aside: list[tuple[PlanRow, str]] = []
    for row in rows:
        if row.id not in looked:
            ready.append(row)
            continue
        target = terms.mapping.objects[row.ref.object]
        record = fresh.get(row.ref)
        verdict = judge_again(
            PlannedWrite(row.ref, row.writes, row.held_back, row.because),
            normalize_person(record, terms.mapping) if record else None,
            written={field: held for (ref, field), held in written.items() if ref == row.ref},
            stage_order=stage_order(target, terms.schemas.get(crm, {}).get(row.ref.object)),
            stage_values=target.stage.theirs() if target.stage else {},
            min_change=terms.min_change,
            lowering=lowering_of(target, terms.schemas.get(crm, {}).get(row.ref.object)),
        )
        if isinstance(verdict, str):
            aside.append((row, verdict))
        else:
            ready.append(replace(row, writes=verdict.writes, held_back=verdict.held_back, read_at=now))
    return ready, aside


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
        )
        for row in rows
    ]
    try:
        return await send(writes)
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


def _count(pushed: Pushed, receipts: Sequence[Receipt]) -> None:
    for receipt in receipts:
        name = receipt.outcome.value
        setattr(pushed, name, getattr(pushed, name) + 1)
