"""Read a range of a stream again, and what that would take. Cursor in, cursor out; never the cursor of a pull.

The range is on `SystemModstamp` for records, on the moment at which it happened for engagement, as `payload` dates it:
by one column or another of a row. Salesforce is asked for the rows of which any of these columns lies in the range, and
what did not happen in it is left out here, so the count is that of the rows read. Roles in opportunities are no rows of
their own: they come with their opportunity.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil

from adapters.salesforce import soql
from adapters.salesforce.bulk import Bulk
from adapters.salesforce.bulk_read import PIECE_ROWS, walk_or_jobs
from adapters.salesforce.cursors import backfill_cursor, read_backfill_cursor
from adapters.salesforce.errors import FieldRefused
from adapters.salesforce.pull import ARCHIVED, LIVING, ROLES, STREAMS, only, tell_changes
from adapters.salesforce.walk import QUERY_ROWS, Columns, by_id, wanted_columns
from connector.core.model import JsonValue, Page
from connector.errors import StopRun
from connector.ports import Estimate, Fields, Range

PAGE_ROWS = 2_000  # of an answer, where rows are not too wide
PAGE_SECONDS = 2.0  # of such a page; a guess, told as one: the vendor promises nothing
JOB_CALLS = 12  # to make a job and to look at it until it ends; a guess too, as are the next two
JOB_SECONDS = 120.0
JOB_ROWS_A_SECOND = 5_000

_DATED: Mapping[str, tuple[tuple[str, bool], ...]] = {  # column, whether it is a date without a time
    "CampaignMember": (("FirstRespondedDate", True), ("CreatedDate", False)),
    "Task": (("CompletedDateTime", False), ("ActivityDate", True), ("CreatedDate", False)),
    "Event": (("StartDateTime", False), ("ActivityDateTime", False), ("ActivityDate", True), ("CreatedDate", False)),
}  # fmt: skip
"""By what `payload` may date a row."""


async def estimate(bulk: Bulk, stream: str, within: Range) -> Estimate:
    """What `backfill` of this range takes: the org's own count of it, one call. Raises RetryLater, FixConfig."""
    rest = bulk.rest
    _known(stream)
    if stream == ROLES:
        return Estimate(0, 1, 0.1)
    wanted, also = wanted_columns(stream, {}), await only(rest, stream)
    while True:
        where = _within(stream, within, also)(rest.seen(stream, wanted))
        try:
            rows = await rest.count(stream, where, deleted_too=stream in ARCHIVED)
            break
        except FieldRefused as refused:
            await rest.find_hidden(stream, wanted, refused)
    await rest.learn_usage()
    beside = ceil(rows / soql.IDS_IN_QUERY) if stream == "Opportunity" else 0
    if bulk.better(stream, rows):
        calls = 1 + JOB_CALLS + ceil(rows / PIECE_ROWS) + beside
        return Estimate(rows, calls, JOB_SECONDS + rows / JOB_ROWS_A_SECOND + beside * PAGE_SECONDS)
    pages = max(ceil(rows / PAGE_ROWS), 1) + rows // QUERY_ROWS
    return Estimate(rows, pages + beside, (pages + beside) * PAGE_SECONDS)


async def backfill(
    bulk: Bulk, stream: str, within: Range, begun: Mapping[str, JsonValue] | None, fields: Fields
) -> AsyncIterator[Page]:
    """See connector.ports.CrmSource.backfill. In the order of ids; `begun` names the last one that was kept. What is
    left of many rows behind the first page comes by jobs, in no order."""
    rest = bulk.rest
    _known(stream)
    after, kept = read_backfill_cursor(begun)
    if stream == ROLES:
        yield Page(ROLES, backfill_cursor(after), first_load=True)
        return
    where = _within(stream, within, await only(rest, stream))
    way = by_id(stream, where, deleted_too=stream in ARCHIVED)

    def left(after: str, columns: Columns) -> Sequence[str]:
        return [soql.after_id(after), *where(columns)]

    wanted = wanted_columns(stream, fields)
    async with aclosing(walk_or_jobs(bulk, way, after, wanted, left, kept=kept)) as pages:
        async for after, at, page, _ in pages:
            told = await tell_changes(rest, stream, backfill_cursor(after, at), page, fields)
            yield replace(told, events=tuple(each for each in told.events if within.holds(each.occurred_at)))


def _known(stream: str) -> None:
    if all(stream != known.name for known in STREAMS):
        raise StopRun(f"Salesforce has no stream `{stream}`.")


def _within(stream: str, within: Range, also: Sequence[str]) -> Callable[[Columns], Sequence[str]]:
    """The conditions of a range, as far as the columns they name are visible."""

    def where(columns: Columns) -> list[str]:
        always = [*LIVING.get(stream, ()), *also]
        if stream in _DATED:
            seen = set(columns)
            dates = [_between(name, within, whole_days=days) for name, days in _DATED[stream] if name in seen]
            return [*always, _any(dates)]
        return [*always, *_between("SystemModstamp", within, whole_days=False)]

    return where


def _between(column: str, within: Range, *, whole_days: bool) -> list[str]:
    """`[since, until)` on a column; a date counts as its midnight UTC. An open range asks for nothing."""
    literal = _day if whole_days else soql.instant
    return [
        f"{column} {comparison} {literal(bound)}"
        for comparison, bound in ((">=", within.since), ("<", within.until))
        if bound is not None
    ]


def _day(moment: datetime) -> str:
    """The first day whose midnight is this moment or later."""
    at = moment.astimezone(UTC)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight if midnight == at else midnight + timedelta(days=1)).date().isoformat()


def _any(alternatives: Sequence[Sequence[str]]) -> str:
    """One of these, each a list of conditions; nothing where the range is open."""
    bounded = [[each for each in one if each] for one in alternatives]
    if not any(" >= " in each or " < " in each for one in bounded for each in one):
        return ""
    return "(" + " OR ".join("(" + " AND ".join(one) + ")" for one in bounded) + ")"
