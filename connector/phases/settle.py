"""Settle what an earlier process left under way: wait for its jobs, read its rows back, finish what it half did.

Nothing is written to a CRM before that. Plans nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import Outcome, Receipt, RecordState, VendorRecord, Write
from connector.core.values import is_blank, same_value
from connector.errors import ConnectorError, LeaseBusy, RetryLater
from connector.phases.lease import Heartbeat, acquired
from connector.phases.push import fields_with
from connector.ports import Adapter, Clock, Ledger, PlanRow


async def settle(adapter: Adapter, mapping: CrmMapping, ledger: Ledger, clock: Clock, *, holder: str) -> int:
    """Read back what was under way when an earlier process died, or got no answer. Our value there means written.

    A stage that we had cleared in order to lower it is set, which ends what was begun. Anything else did not arrive: it
    is set aside, which makes its person due again in this run. Returns how many. Raises RetryLater when the CRM cannot
    be read now, or the second half gets no answer; what is under way stays so.
    """
    if not await ledger.sending(adapter.crm):
        return 0
    hold = Heartbeat(ledger, clock, await acquired(ledger, f"push:{adapter.crm}", holder, clock))
    try:
        rows = await ledger.sending(adapter.crm)  # whoever was at work may have received them meanwhile
        await _end_jobs(adapter, rows, hold)
        fields = wanted_fields(mapping)
        for start in range(0, len(rows), adapter.limits.read_batch):
            batch = rows[start : start + adapter.limits.read_batch]
            try:
                fresh = await adapter.read([row.ref for row in batch], fields_with(fields, batch))
            except ConnectorError as error:
                raise _unsettled(
                    f"{len(rows)} earlier writes could not be read back: {error}", adapter
                ) from error
            halves = [row for row in batch if _half_done(row, fresh.get(row.ref))]
            whole = [row for row in batch if row not in halves]
            receipts = [_settled(row, fresh.get(row.ref)) for row in whole]
            await hold.whole()
            if whole:
                await ledger.receive(whole, receipts, hold.lease, clock.now())
            if halves:
                finished = await _finish(adapter, halves, hold)
                await hold()
                await ledger.receive(halves, finished, hold.lease, clock.now())
    finally:
        await ledger.release(hold.lease)
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


async def _finish(adapter: Adapter, rows: Sequence[PlanRow], hold: Heartbeat) -> list[Receipt]:
    """The second half of writes whose first half stands. The fields beside the stage went with the first half."""
    writes = [
        Write(
            row.id,
            row.ref,
            {w.field: w.after for w in row.writes if w.two_step},
            {w.field: w.before for w in row.writes if w.two_step},
        )
        for row in rows
    ]
    try:
        receipts = await adapter.push(writes, alive=hold)
    except LeaseBusy:
        raise
    except ConnectorError as error:
        raise _unsettled(f"{len(rows)} stages are cleared and not set yet: {error}", adapter) from error
    open_ = [each for each in receipts if each.outcome in (Outcome.UNKNOWN, Outcome.WAITING)]
    if open_:
        raise _unsettled(f"{len(open_)} stages are cleared and not set yet: {open_[0].reason}", adapter)
    return [
        replace(each, reason=each.reason or "the second half was done after an interruption")
        for each in receipts
    ]


async def _end_jobs(adapter: Adapter, rows: Sequence[PlanRow], hold: Heartbeat) -> None:
    """What a job of the vendor's still writes cannot be read back: it is waited for, never made again."""
    for job in sorted({row.job for row in rows if row.job}):
        if adapter.bulk is None:
            return
        try:
            await adapter.bulk.end(job, hold)
        except LeaseBusy:
            raise
        except ConnectorError as error:
            many = sum(row.job == job for row in rows)
            raise _unsettled(f"An earlier job of {many} writes cannot be asked: {error}", adapter) from error


def _settled(row: PlanRow, now: VendorRecord | None) -> Receipt:
    if now is not None and all(same_value(now.values.get(w.field), w.after) for w in row.writes):
        return Receipt(row.id, Outcome.WRITTEN, "found in place when read back after an interruption")
    return Receipt(
        row.id, Outcome.SET_ASIDE, "not in place when read back after an interruption; decided anew"
    )
