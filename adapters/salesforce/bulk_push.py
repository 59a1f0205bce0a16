"""Push very many records of one object as an ingest job: upload once, wait, and match three result files by Id.

A job takes no header: duplicate rules cannot be passed, and rows that other transactions hold fail. Such rows go
through collections afterwards, which also say where a record went that is no more:
https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/bulk_api_2_0_ingest.htm
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil

from adapters.salesforce.bulk import TRIES, Alive, Bulk, Job
from adapters.salesforce.bulk_csv import columns_of, fits, table_of, texts_of
from adapters.salesforce.bulk_errors import JobGone, NoBulk
from adapters.salesforce.errors import Fate, Fault, fate_of
from adapters.salesforce.payload import long_id
from adapters.salesforce.push import BATCH, Answers, Row, prepared, reason_of
from connector.core.model import Outcome, Receipt, Write
from connector.errors import ConnectorError, LeaseBusy, OutcomeUnknown, RetryLater, StopRun
from connector.ports import Clock

JOB_ROWS = 50_000  # of one job: five of its inner batches
MOST_BYTES = 10_000_000  # of one upload: 100 MB are allowed, but it has to leave within the 30 s of a request
ENOUGH = 2_000  # rows; below that collections are quicker
ROUNDS = 3  # jobs, the later ones for rows that were held or not reached
LOCK_WAIT = timedelta(seconds=10)  # before rows that were held go into another job

Collections = Callable[[Sequence[Write]], Awaitable[list[Receipt]]]
"""Sends at most 200 writes, as `push.push` does."""


@dataclass(slots=True)
class _Sorted:
    """What the result files say: rows for another job, and rows for collections."""

    again: list[Row] = field(default_factory=list)
    by_collections: list[Row] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


async def push_job(
    bulk: Bulk,
    clock: Clock,
    batch: Sequence[Write],
    collections: Collections,
    *,
    begun: Callable[[str], Awaitable[None]],
    alive: Alive,
) -> list[Receipt]:
    """See connector.ports.BulkSink.push."""
    if len({write.ref.object for write in batch}) != 1:
        raise StopRun(
            "A job for Salesforce must be of one object.",
            next_step="Nothing of it was sent. This is a fault of the connector; please report it.",
        )
    done = Answers()
    rows = await prepared(bulk.rest, batch, done)
    left = [row for row in rows if fits(row.element)]
    others = [row for row in rows if not fits(row.element)]
    for round_ in range(ROUNDS):
        if not left or (round_ and len(left) < ENOUGH):
            break
        if round_:
            await clock.sleep(LOCK_WAIT)
        sorted_ = _Sorted()
        try:
            for part in _parts(left):
                await _one_job(bulk, batch[0].ref.object, part, done, sorted_, begun, alive)
        except NoBulk as why:
            bulk.refuse(batch[0].ref.object, why)
            left = _unanswered(left, done, sorted_)
            others += sorted_.by_collections
            break  # the allowance is spent, or the object not served
        except LeaseBusy:
            raise
        except ConnectorError as error:
            if not round_ and not sorted_.seen:
                raise
            left = _unanswered(left, done, sorted_)
            others += sorted_.by_collections
            if isinstance(error, OutcomeUnknown):
                for row in left:
                    done.answer(row, Outcome.UNKNOWN, str(error))
                left = []
            break  # what the jobs before it wrote stands
        left = sorted_.again
        others += sorted_.by_collections
    await _by_collections([*others, *left], done, collections, alive)
    return [done.receipts[write.id] for write in batch]


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Pieces that can be uploaded in time. A row's cells are about as long as its JSON."""
    size = sum(len(str(row.element)) for row in rows)
    pieces = max(1, ceil(size / MOST_BYTES))
    many = ceil(len(rows) / pieces)
    for start in range(0, len(rows), many):
        yield rows[start : start + many]


def _unanswered(rows: Sequence[Row], done: Answers, sorted_: _Sorted) -> list[Row]:
    """Those of which nothing is known yet, and those that another job was to carry."""
    collected = {row.id for row in sorted_.by_collections}
    return [
        row
        for row in rows
        if row.id not in collected and any(write.id not in done.receipts for write in row.writes)
    ]


# ------------------------------------------------------------------------------------------- the job


async def _one_job(
    bulk: Bulk,
    source: str,
    rows: Sequence[Row],
    done: Answers,
    sorted_: _Sorted,
    begun: Callable[[str], Awaitable[None]],
    alive: Alive,
) -> None:
    """Send these rows. Raises RetryLater or FixConfig while nothing was processed, OutcomeUnknown afterwards."""
    elements = [row.element for row in rows]
    table = table_of(elements, columns_of(elements))
    job = await bulk.update(source)
    await begun(job.id)  # whoever comes after a crash asks this job before making another
    try:
        await bulk.upload(job, table)
    except ConnectorError as error:
        with suppress(ConnectorError):
            await bulk.abort("ingest", job.id)
        if not isinstance(error, OutcomeUnknown):
            raise
        raise RetryLater(  # a job that nobody closes does nothing
            f"Rows could not be uploaded: {error.message}",
            next_step="Nothing was written; the next run tries again.",
            where=error.where,
        ) from error
    del table
    await alive()
    try:
        await bulk.close(job.id)
    except ConnectorError as error:
        with suppress(ConnectorError):
            await bulk.abort("ingest", job.id)
        raise _under_way(error) from error
    job = await _ended(bulk, job, alive)
    await _sort(bulk, job, {row.id: row for row in rows}, done, sorted_, alive)


async def _ended(bulk: Bulk, job: Job, alive: Alive) -> Job:
    """The job once it is over, by itself or because we aborted it. Raises OutcomeUnknown where nobody can tell."""
    try:
        return await bulk.finished("ingest", await bulk.look("ingest", job.id), alive)
    except LeaseBusy:
        raise
    except ConnectorError as error:
        with suppress(RetryLater, StopRun):
            found = await bulk.look("ingest", job.id)
            if found.ended:
                return found
        raise _under_way(error) from error


def _under_way(error: ConnectorError) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"A Bulk job of writes may be under way, and how it ends cannot be asked: {error.message}",
        next_step="It is asked again before anything else is written.",
        where=error.where,
    )


# --------------------------------------------------------------------------------------- its results


async def _sort(
    bulk: Bulk, job: Job, rows: Mapping[str, Row], done: Answers, sorted_: _Sorted, alive: Alive
) -> None:
    """Every row by its Id; `JobComplete` may hold failed ones, and `Failed` or `Aborted` takes nothing back.

    Rows that no file names after a few tries are unknown. Raises OutcomeUnknown where no file can be read.
    """
    try:
        for _ in range(TRIES):
            await _read_files(bulk, job, rows, done, sorted_, alive)
            if rows.keys() <= sorted_.seen:
                break
    except LeaseBusy:
        raise
    except ConnectorError as error:
        if not rows.keys() & sorted_.seen:
            raise OutcomeUnknown(
                f"The results of a Bulk job of writes cannot be read: {error.message}",
                next_step="The records are read back before they are written again.",
                where=error.where,
            ) from error
    for id in rows.keys() - sorted_.seen:
        sorted_.seen.add(id)
        reason = f"No result of the Bulk job (state {job.state}) names this record."
        done.answer(rows[id], Outcome.UNKNOWN, reason)


async def _read_files(
    bulk: Bulk, job: Job, rows: Mapping[str, Row], done: Answers, sorted_: _Sorted, alive: Alive
) -> None:
    for cells in texts_of(await bulk.result_file(job.id, "successfulResults")):
        if (row := _new(cells, rows, sorted_)) is not None:
            done.answer(row, Outcome.WRITTEN)
    await alive()
    if job.failed or job.state != "JobComplete" or not rows.keys() <= sorted_.seen:
        for cells in texts_of(await bulk.result_file(job.id, "failedResults")):
            if (row := _new(cells, rows, sorted_)) is not None:
                _failed(row, fault_of_row(cells.get("sf__Error", "")), done, sorted_)
        await alive()
    if not rows.keys() <= sorted_.seen:
        for cells in texts_of(await bulk.result_file(job.id, "unprocessedrecords")):
            if (row := _new(cells, rows, sorted_)) is None:
                continue
            if job.state == "Aborted":
                reason = "The Bulk job was aborted, in Setup or because it took too long; later runs send it."
                done.answer(row, Outcome.WAITING, reason)
            else:
                sorted_.again.append(row)


def _new(cells: Mapping[str, str], rows: Mapping[str, Row], sorted_: _Sorted) -> Row | None:
    """The row that this line of a result file is about, by the Id that we sent; never by its place in the file."""
    id = long_id(cells.get("Id") or cells.get("sf__Id") or "")
    if id in sorted_.seen or id not in rows:
        return None
    sorted_.seen.add(id)
    return rows[id]


def _failed(row: Row, fault: Fault, done: Answers, sorted_: _Sorted) -> None:
    match fate_of(fault):
        case Fate.REJECT if fault.code != "DUPLICATES_DETECTED":
            done.answer(row, Outcome.REJECTED, reason_of(row, fault), fault.code)
        case Fate.STOP:
            done.answer(row, Outcome.WAITING, reason_of(row, fault), fault.code)
        case Fate.AGAIN:
            sorted_.again.append(row)
        case _:
            sorted_.by_collections.append(
                row
            )  # with the header, in smaller numbers, or to learn where it went


def fault_of_row(error: str) -> Fault:
    """`CODE:message:FIELD--`; the message may hold colons itself, and the end may be missing."""
    code, _, rest = error.removesuffix("--").partition(":")
    message, _, fields = rest.rpartition(":")
    if not message or " " in fields.strip():
        message = rest
    return Fault(code.strip() or "UNNAMED", " ".join(message.split()))


# ------------------------------------------------------------------------------------------- the rest


async def _by_collections(rows: Sequence[Row], done: Answers, collections: Collections, alive: Alive) -> None:
    """One after the other. What stops a call leaves the rows behind it waiting; what is written stands."""
    writes = [write for row in rows for write in row.writes]
    for start in range(0, len(writes), BATCH):
        part = writes[start : start + BATCH]
        await alive()
        try:
            receipts = await collections(part)
        except OutcomeUnknown as error:
            receipts = [Receipt(write.id, Outcome.UNKNOWN, str(error)) for write in part]
        except LeaseBusy:
            raise
        except ConnectorError as error:
            if not done.receipts and not start:
                raise
            part = writes[start:]
            receipts = [Receipt(write.id, Outcome.WAITING, str(error)) for write in part]
            done.receipts |= {receipt.write_id: receipt for receipt in receipts}
            return
        done.receipts |= {receipt.write_id: receipt for receipt in receipts}


async def end_job(bulk: Bulk, job: str, alive: Alive) -> None:
    """See connector.ports.BulkSink.end."""
    try:
        found = await bulk.look("ingest", job)
        if found.state == "Open":  # nobody will ever close it: its rows may not have been uploaded
            await bulk.abort("ingest", job)
            return
        await bulk.finished("ingest", found, alive)
    except JobGone:
        return
