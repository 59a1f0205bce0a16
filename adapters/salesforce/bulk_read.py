"""Read an object by Bulk query jobs: unordered rows, resumable by job and locator. Turns no row into a record.

A job holds no order, so nothing is known of the object before its last piece was kept; what is kept meanwhile is the
job itself. Ordering or limiting the query would make it slow:
https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/queries.htm
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from adapters.salesforce import soql
from adapters.salesforce.bulk import TRIES, Bulk, Download, Job
from adapters.salesforce.bulk_csv import rows_of
from adapters.salesforce.bulk_errors import JobGone, NoBulk, is_hidden_field, is_too_slow, refusal
from adapters.salesforce.bulk_place import Place, Window
from adapters.salesforce.errors import FieldRefused, QueryTooSlow
from adapters.salesforce.payload import instant
from adapters.salesforce.rest import Rest
from adapters.salesforce.rest import Rows as RestRows
from adapters.salesforce.walk import Columns, Way, lost, walk
from connector.errors import FixConfig, RetryLater, StopRun
from connector.transport import scrub

PIECE_ROWS = 50_000  # of one download; without a number, large results were seen to hang
LEAST_PIECE_ROWS = 5_000  # rows that are wide are fetched in smaller pieces, down to this
PAGE_ROWS = 5_000  # handed on at once: as many as one call tells the history of
SHORTEST_WINDOW = timedelta(hours=1)  # a job that is too slow for this is no use
JOBS_LOST = 3  # for one window; then something else is wrong

# Bulk API refuses these; REST gives nothing of them that a mapping could use.
_COMPOUND = frozenset({"address", "location", "base64"})

P = TypeVar("P")
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Ask:
    """Rows of an object. `where`: the conditions, given which of the `wanted` columns this user sees. `hidden`: those
    that were not visible so far; another one that vanishes is not blank."""

    source: str
    wanted: Sequence[str]
    where: Callable[[Sequence[str]], Sequence[str]]
    deleted_too: bool
    hidden: frozenset[str] | None = None


async def walk_or_jobs(
    bulk: Bulk,
    way: Way[P],
    place: P,
    wanted: Columns,
    left: Callable[[P, Columns], Sequence[str]],
    *,
    hidden: frozenset[str] | None = None,
    kept: Place | None = None,
) -> AsyncGenerator[tuple[P, Place | None, RestRows, bool], None]:
    """As `walk`, but what is left of many rows behind the first page comes by jobs, in no order.

    Meanwhile the place stays, and `Place` says how far the jobs have got (`kept` gives it back). `left`: the conditions
    for what lies behind a place. Where Bulk is refused, the walk goes on from the place.
    """
    if kept is None or bulk.reads_from is None:
        async with aclosing(walk(bulk.rest, way, place, wanted, hidden=hidden)) as pages:
            async for following, page, last in pages:
                moved, place = following != place, following
                yield place, None, page, last
                if moved and not last and bulk.better(way.source, page.total):
                    hidden = bulk.rest.hidden(way.source, wanted) if hidden is None else hidden
                    break
            else:
                return
    try:
        ask = Ask(way.source, wanted, lambda columns: left(place, columns), way.deleted_too, hidden)
        async with aclosing(read(bulk, ask, kept)) as found:
            async for at, rows in found:
                now = bulk.now()
                page = RestRows(sorted(rows, key=_id), now, now, at is None)
                yield way.behind(place, page, False) if at is None else place, at, page, at is None
        return
    except NoBulk:
        pass
    async with aclosing(walk(bulk.rest, way, place, wanted, hidden=hidden)) as pages:
        async for place, page, last in pages:
            yield place, None, page, last


def _id(row: Mapping[str, Any]) -> str:
    return str(row.get("Id"))


# -------------------------------------------------------------------------------------------- by jobs


async def read(
    bulk: Bulk, ask: Ask, begun: Place | None = None
) -> AsyncGenerator[tuple[Place | None, Rows], None]:
    """Every row, each page with the place to go on from; None behind the last. Pages without rows come while a job is
    waited for, at most 30 s apart.

    Rows may come twice, none is left out: what is yielded was counted against what Salesforce says, the last page of
    a piece before it is yielded. Raises NoBulk where REST has to be asked instead (rows that came stand), RetryLater
    for a job that does not end, StopRun for answers that do not add up.
    """
    try:
        async with aclosing(_read(bulk, ask, begun or Place())) as pages:
            async for page in pages:
                yield page
    except NoBulk as why:
        bulk.refuse(ask.source, why)
        raise


async def _read(bulk: Bulk, ask: Ask, place: Place) -> AsyncGenerator[tuple[Place | None, Rows], None]:
    """Window after window; one that is too slow becomes two."""
    lost = 0
    while True:
        try:
            async with aclosing(_window(bulk, ask, place)) as pages:
                async for following, rows in pages:
                    yield following, rows
                    if following is None:
                        return
                    if following.windows != place.windows:
                        lost = 0
                    place = following
        except FieldRefused as refused:
            await bulk.rest.find_hidden(ask.source, ask.wanted, refused)
            place = Place(place.windows)
        except QueryTooSlow as slow:
            place = Place(await _halved(bulk, ask, place.windows, slow))
        except JobGone:
            lost += 1
            if lost >= JOBS_LOST:
                raise
            place = Place(place.windows)


async def _window(bulk: Bulk, ask: Ask, place: Place) -> AsyncGenerator[tuple[Place | None, Rows], None]:
    """The rows of the first window. The last page leads to the next one, or nowhere."""
    vanished = bulk.rest.hidden(ask.source, ask.wanted) - (ask.hidden or frozenset())
    if ask.hidden is not None and vanished:
        raise lost(ask.source, vanished)
    types = await _types(bulk.rest, ask)
    query = soql.select(types, ask.source, [*ask.where(list(types)), *place.windows[0].conditions()])
    name = hashlib.sha256(f"{ask.deleted_too} {query}".encode()).hexdigest()[:16]
    job = await _kept_job(bulk, place) if place.job and place.query == name else None
    if job is None:
        job = await bulk.query(query, deleted_too=ask.deleted_too)
        place = Place(place.windows, job.id, name)
        yield place, []
    async with aclosing(bulk.waiting("query", job)) as looks:
        async for job in looks:  # noqa: B007 (the last one counts)
            yield place, []
    if job.state != "JobComplete":
        raise _failure(job)
    rest_of = place.windows[1:]
    async with aclosing(_results(bulk, job, place, types)) as pages:
        async for following, rows in pages:
            yield following or (Place(rest_of) if rest_of else None), rows


async def _kept_job(bulk: Bulk, place: Place) -> Job | None:
    """The job that an earlier process made. One that was ended otherwise than well is made again."""
    try:
        job = await bulk.look("query", place.job)
    except JobGone:
        return None
    return None if job.state in ("Failed", "Aborted") else job


async def _types(rest: Rest, ask: Ask) -> dict[str, str]:
    """Describe's type per column that is asked for."""
    seen = rest.seen(ask.source, ask.wanted)
    types = {name: await _type(rest, ask.source, name) for name in seen}
    return {name: kind for name, kind in types.items() if kind not in _COMPOUND}


async def _type(rest: Rest, source: str, path: str) -> str:
    """The type of a column, parents followed; text where a parent may be one of several objects, or is not seen."""
    parent, _, rest_of = path.partition(".")
    described = await rest.describe(source)
    for each in described["fields"]:
        if not rest_of and str(each.get("name")).lower() == path.lower():
            return str(each.get("type"))
        if rest_of and str(each.get("relationshipName") or "").lower() == parent.lower():
            parents = each.get("referenceTo") or []
            try:
                return await _type(rest, str(parents[0]), rest_of) if len(parents) == 1 else "string"
            except FixConfig:
                return "string"
    return "string"


def _failure(job: Job) -> Exception:
    said = f"A Bulk query ended as {job.state}: {scrub(job.error)[:240] or 'no reason given'}."
    if job.state == "Aborted":
        return RetryLater(said, next_step="Somebody aborted it in Setup; the next run makes another.")
    if is_too_slow(job.error):
        return QueryTooSlow(said, next_step="The next run asks for less at once.")
    if is_hidden_field(job.error):
        return FieldRefused(said, next_step="Grant field-level security, or take it out of the mapping.")
    return refusal(said) or NoBulk(said, next_step="The object is read by REST.")


async def _halved(
    bulk: Bulk, ask: Ask, windows: tuple[Window, ...], slow: QueryTooSlow
) -> tuple[Window, ...]:
    """The first window in two. Raises NoBulk where it is too short already: REST asks for few rows at once."""
    first = windows[0]
    low, high = first.low or await _oldest(bulk.rest, ask), first.high or bulk.now()
    if low is None or high - low < SHORTEST_WINDOW:
        raise NoBulk(slow.message, next_step="The object is read by REST.") from slow
    middle = (low + (high - low) / 2).replace(microsecond=0)
    return (Window(low, middle), Window(middle, first.high), *windows[1:])


async def _oldest(rest: Rest, ask: Ask) -> datetime | None:
    query = soql.select(["SystemModstamp"], ask.source, order="SystemModstamp ASC", limit=1)
    rows = await rest.all_rows(query, deleted_too=ask.deleted_too)
    return instant(rows[0]["SystemModstamp"]) if rows else None


# ------------------------------------------------------------------------------------------- results


async def _results(
    bulk: Bulk, job: Job, place: Place, types: Mapping[str, str]
) -> AsyncGenerator[tuple[Place | None, Rows], None]:
    """The pieces of a finished job, each in pages; None behind the last. Raises StopRun."""
    size = PIECE_ROWS
    cut = 0
    while True:
        try:
            piece = await bulk.download(job.id, place.locator, size)
        except (JobGone, NoBulk):
            raise
        except RetryLater as silent:
            # `after` is set where an allowance is spent; a piece that takes too long is asked for smaller.
            if silent.after is not None or size <= LEAST_PIECE_ROWS:
                raise
            size //= 2
            continue
        came = 0
        held: Rows = []
        try:
            for page in _pages(piece, types):
                if held:
                    yield place, held  # more rows came behind these, so they are whole
                came += len(page)
                held = page
            _check(piece, came, job, place.rows + came)
        except _CutError as broken:
            cut += 1
            if cut >= TRIES:
                raise JobGone(  # not for the same job again
                    f"{broken} {TRIES} times in a row.",
                    next_step="The watermark stays; the next run makes another job.",
                    where=f"GET /jobs/query/{job.id}/results",
                ) from broken
            continue  # the same locator again
        cut = 0
        if piece.following is None:
            yield None, held
            return
        place = replace(place, locator=piece.following, rows=place.rows + came)
        yield place, held


class _CutError(Exception):
    """A piece that is not whole."""


def _pages(piece: Download, types: Mapping[str, str]) -> Iterator[Rows]:
    rows = rows_of(piece.body, types)
    try:
        while page := list(islice(rows, PAGE_ROWS)):
            yield page
    except StopRun as error:
        raise _CutError(error.message) from error


def _check(piece: Download, came: int, job: Job, sum_of_job: int) -> None:
    if piece.rows is not None and came != piece.rows:
        raise _CutError(f"Salesforce said {piece.rows} rows of a Bulk result and {came} came,")
    if piece.following is None and job.processed is not None and sum_of_job != job.processed:
        raise _CutError(f"Salesforce processed {job.processed} rows in a Bulk job and {sum_of_job} came,")
