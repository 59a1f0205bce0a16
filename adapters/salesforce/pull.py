"""Pull Salesforce: objects whole by id, then changes by stamp and id. Cursor in, cursor out.

A first load reads in the order of ids, which no edit can disturb. An increment reads in the order of
(SystemModstamp, Id), from a little before the watermark up to now; it sees deleted and merged rows too.
Stamps are set inside a transaction and rows show at its commit, so the watermark stays behind the clock:
https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_getupdated.htm
Once a day everything is read again by id: formulas, parents' names, lost and regained sharing and hard deletes
move no stamp.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.bulk import Bulk
from adapters.salesforce.bulk_read import walk_or_jobs
from adapters.salesforce.byid import by_id
from adapters.salesforce.cursors import (
    LAG,
    MANY_ROWS,
    OVERLAP,
    SWEEP_EVERY,
    SWEEP_MANY_EVERY,
    Changes,
    Loading,
    Sweep,
    read_cursor,
    write_cursor,
)
from adapters.salesforce.errors import FeedRefused
from adapters.salesforce.payload import CRM, KINDS, hard_deleted, instant, long_id
from adapters.salesforce.rest import Rest, Rows
from adapters.salesforce.rows import told
from adapters.salesforce.walk import Columns, Way, astray, walk, wanted_columns
from adapters.salesforce.walk import by_id as in_order_of_ids
from connector.core.model import Census, JsonValue, Page, Quarantined, VendorEvent
from connector.errors import SkipRecord, StopRun
from connector.ports import Fields, Stream

ROLES = "OpportunityContactRole"
STREAMS: tuple[Stream, ...] = (
    Stream("Account", "company", ("Account",)),
    Stream("Lead", "person", ("Lead",)),
    Stream("Contact", "person", ("Contact",)),
    # Before Opportunity, so that its watermark is older than the first load of those.
    Stream(ROLES, "opportunity", ("Opportunity",)),
    Stream("Opportunity", "opportunity", ("Opportunity",)),
    Stream("CampaignMember", "engagement", ("CampaignMember",)),
    Stream("Task", "engagement", ("Task",)),
    Stream("Event", "engagement", ("Event",)),
)

# What a first load need not see: an increment takes it back, or never knew it.
LIVING: Mapping[str, tuple[str, ...]] = {
    "Task": ("IsDeleted = false", "IsRecurrence = false", "WhoId != null"),
    "Event": ("IsDeleted = false", "IsRecurrence = false", "IsChild = false", "WhoId != null"),
}
ARCHIVED = frozenset({"Task", "Event"})  # after a year only queryAll shows them
HARD_DELETED = frozenset({"CampaignMember"})  # these never reach the Recycle Bin
FEW, FEW_OF = 50, 0.2  # so many rows, or this share of them, may vanish between two sweeps
NOT_BELIEVED = timedelta(days=7)  # for so long more than that are only out of sight
SHORTEST_FEED = timedelta(minutes=2)  # the feed cuts seconds off and wants more than a minute


async def pull(
    bulk: Bulk, stream: str, since: Mapping[str, JsonValue] | None, fields: Fields
) -> AsyncIterator[Page]:
    """Every row of a stream changed after `since`, page by page, oldest first; None reads everything.

    Raises StopRun for a cursor or an answer that does not add up, FixConfig for an object out of sight,
    RetryLater when the day's allowance is spent. What was yielded before stands.
    """
    rest = bulk.rest
    if all(stream != known.name for known in STREAMS):
        raise StopRun(f"Salesforce has no stream `{stream}`.")
    place = read_cursor(since)
    if place is None and stream == ROLES:
        yield await _roles_begin(rest)
        return
    if place is None or isinstance(place, Loading):
        async with aclosing(_first_load(bulk, stream, place, fields)) as pages:
            async for page in pages:
                yield page
        return
    wanted, where = wanted_columns(stream, fields), await only(rest, stream)
    way = _increment(rest, stream, wanted, where)

    def left(place: Changes, columns: Columns) -> Sequence[str]:
        return [soql.changed_from(place.stamp or place.until - OVERLAP), *where]

    kept, place = place.bulk, replace(place, bulk=None)
    found = walk_or_jobs(bulk, way, place, wanted, left, hidden=place.hidden, kept=kept)
    async with aclosing(found) as changes:
        async for place, at, rows, _ in changes:
            yield await _told(rest, stream, write_cursor(replace(place, bulk=at)), rows, fields)
    if stream == ROLES:
        return
    if stream in HARD_DELETED:
        place, deleted = await _feed(rest, stream, place)
        if deleted is not None:
            yield deleted
    async with aclosing(_sweep(rest, stream, place, fields)) as pages:
        async for page in pages:
            yield page


async def _told(
    rest: Rest, stream: str, cursor: Mapping[str, JsonValue], page: Rows, fields: Fields, **more: Any
) -> Page:
    """The page in our words. A changed role brings its opportunity again."""
    whole = Page(stream, cursor, fetched=len(page.rows), **more)
    if stream != ROLES:
        return await told(rest, whole, stream, page.rows, fields)
    deals = [str(row["OpportunityId"]) for row in page.rows if soql.is_id(row.get("OpportunityId"))]
    return await told(rest, whole, "Opportunity", await by_id(rest, "Opportunity", deals, fields), fields)


async def tell_changes(
    rest: Rest, stream: str, cursor: Mapping[str, JsonValue], page: Rows, fields: Fields
) -> Page:
    """A page of what was there already, as a first load or a backfill finds it."""
    return await _told(rest, stream, cursor, page, fields, first_load=True)


# ---------------------------------------------------------------------------------------- first load


async def _roles_begin(rest: Rest) -> Page:
    """The roles of all opportunities come with the opportunities; only later changes are a stream."""
    query = soql.select(["Id"], ROLES, limit=1)
    async with aclosing(rest.query(query)) as pages:
        first = await anext(pages)
    return Page(ROLES, write_cursor(Changes(first.asked_at - LAG)), first_load=True)


async def only(rest: Rest, source: str) -> tuple[str, ...]:
    """What else confines a stream: the Account of a person is no company, and its Contact tells everything."""
    if source == "Account" and await rest.has_person_accounts():
        return ("IsPersonAccount = false",)
    return ()


async def _alive(rest: Rest, source: str) -> tuple[str, ...]:
    return (*LIVING.get(source, ()), *await only(rest, source))


async def living(rest: Rest, source: str) -> Way[str]:
    """All that is alive, in the order of ids."""
    where = await _alive(rest, source)
    return in_order_of_ids(source, lambda _: where, deleted_too=source in ARCHIVED)


async def _first_load(
    bulk: Bulk, source: str, place: Loading | None, fields: Fields
) -> AsyncGenerator[Page, None]:
    rest = bulk.rest
    after = place.after if place else soql.FIRST_ID
    started = place.started if place else None
    wanted = wanted_columns(source, fields)
    where = (*LIVING.get(source, ()), *await only(rest, source))

    def left(after: str, columns: Columns) -> Sequence[str]:
        return [soql.after_id(after), *where]

    kept = place.bulk if place else None
    found = walk_or_jobs(bulk, await living(rest, source), after, wanted, left, kept=kept)
    async with aclosing(found) as loaded:
        async for after, at, page, last in loaded:
            if started is None:
                started = page.asked_at
                if not page.rows:
                    await _check_emptiness(rest, source)
            hidden = rest.hidden(source, wanted)
            done = Changes(started - LAG, due=started + SWEEP_EVERY, feed=started - LAG, hidden=hidden)
            cursor = write_cursor(done if last else Loading(after, started, at))
            yield await tell_changes(rest, source, cursor, page, fields)


async def _check_emptiness(rest: Rest, source: str) -> None:
    """A first load that finds nobody is only believed where the org itself counts nobody. Raises StopRun."""
    if KINDS.get(source) != "person":
        return
    held = await rest.about_how_many(source)
    if held:
        raise StopRun(
            f"Salesforce counts about {held} records of {source} and shows this user none.",
            next_step=f'Share them with the integration user, or grant "View All" on {source}. The count is '
            "hours old: if they were all deleted just now, run again later.",
        )


# ---------------------------------------------------------------------------------------- increments


def _increment(rest: Rest, source: str, wanted: Columns, where: Sequence[str]) -> Way[Changes]:
    """What changed, in the order of (SystemModstamp, Id), deleted rows too."""

    def query(columns: Columns, place: Changes, size: int) -> str:
        if place.stamp is None:
            behind = soql.changed_from(place.until - OVERLAP)
        else:
            behind = soql.after_change(place.stamp, place.after)
        return soql.select(columns, source, [behind, *where], order=soql.BY_CHANGE, limit=size)

    def behind(place: Changes, page: Rows, full: bool) -> Changes:
        if full or not page.done:
            return _part_way(place, page)
        hidden = rest.hidden(source, wanted)
        until = max(place.then or page.asked_at - LAG, place.until)
        regained = place.hidden is not None and bool(place.hidden - hidden)
        due = until if regained else place.sweep_due  # its values move no stamp by being shown
        done = replace(place, stamp=None, after=soql.FIRST_ID, then=None, bulk=None)
        return replace(done, until=until, due=due, hidden=hidden)

    return Way(source, query, behind, deleted_too=True)


def _part_way(place: Changes, page: Rows) -> Changes:
    """The position once this page is kept. Raises StopRun where the page does not lead on."""
    then = place.then or page.asked_at - LAG
    for row in reversed(page.rows):
        record = row.get("Id")
        try:
            stamp = instant(row["SystemModstamp"])
        except (KeyError, ValueError):
            raise astray("a row without its SystemModstamp") from None
        # A later page tells a row edited meanwhile by its new stamp: beginning again there would skip others.
        if stamp <= page.opened and stamp >= (place.stamp or stamp) and soql.is_id(record):
            return replace(place, stamp=stamp, after=record, then=then, due=place.sweep_due)
    return place


async def _feed(rest: Rest, source: str, place: Changes) -> tuple[Changes, Page | None]:
    """What was deleted without leaving a row, and where the feed goes on. Where its log does not reach back far enough,
    the sweep is due instead."""
    start, end = place.feed or place.until - OVERLAP, place.until + LAG
    if end - start < SHORTEST_FEED:
        return place, None
    try:
        deleted = await rest.deleted(source, start, end)
    except FeedRefused:
        return replace(place, feed=place.until, due=place.until), None
    due = place.until if deleted.earliest > start else place.due
    place = replace(place, feed=max(deleted.covered, start), due=due)
    events: list[VendorEvent] = []
    quarantined: list[Quarantined] = []
    for row in deleted.rows:
        try:
            events.append(hard_deleted(source, row))
        except SkipRecord as error:
            quarantined.append(Quarantined(CRM, source, str(row.get("id") or ""), str(error)))
    cursor, rows = write_cursor(place), len(deleted.rows)
    return place, Page(source, cursor, events=tuple(events), quarantined=tuple(quarantined), fetched=rows)


# ------------------------------------------------------------------------------------- the daily sweep


async def _sweep(rest: Rest, source: str, place: Changes, fields: Fields) -> AsyncGenerator[Page, None]:
    """Everything that is alive once more, where it is due; goes on where an earlier sweep was broken off.

    Each page counts who lives between two ids, so that what was deleted for good is found missing. Where much of what
    the last sweep met is out of sight and not in the Recycle Bin, it is not believed for a week: more likely a
    permission was taken away. Optional work: it waits while the org's allowance is short. Raises StopRun.
    """
    now = place.until + LAG  # by the server's clock: where the increment began
    sweep = place.sweep or Sweep(now)
    if (place.sweep is None and now < place.sweep_due) or rest.short_of_calls():
        return
    if place.sweep is None and place.alive is not None and source in KINDS:
        since, few = place.fewer or now, max(FEW, place.alive * FEW_OF)
        gone = place.alive - await rest.count(source, await _alive(rest, source))
        if gone > few and now - since < NOT_BELIEVED:
            binned = ("IsDeleted = true", soql.changed_from(since - SWEEP_MANY_EVERY))
            if gone - await rest.count(source, binned, deleted_too=True) > few:
                yield Page(source, write_cursor(replace(place, due=now + SWEEP_EVERY, fewer=since)))
                raise _out_of_sight(source, gone, place.alive)
    way, wanted = await living(rest, source), wanted_columns(source, fields)
    async with aclosing(walk(rest, way, sweep.after, wanted, hidden=place.hidden)) as swept:
        async for after, page, last in swept:
            if sweep.after == soql.FIRST_ID and not page.rows:
                await _check_emptiness(rest, source)
            before = None if sweep.after == soql.FIRST_ID else sweep.after
            alive = frozenset(long_id(str(row.get("Id"))) for row in page.rows)
            census = Census(source if source in KINDS else "", alive, before, None if last else after)
            sweep = Sweep(sweep.began, after, sweep.rows + len(page.rows))
            if last:
                every = SWEEP_EVERY if sweep.rows <= MANY_ROWS else SWEEP_MANY_EVERY
                place = replace(place, due=sweep.began + every, sweep=None, alive=sweep.rows, fewer=None)
            else:
                place = replace(place, sweep=sweep)
            yield await _told(rest, source, write_cursor(place), page, fields, census=census)
            if not last and rest.short_of_calls():
                return


def _out_of_sight(source: str, gone: int, of: int) -> StopRun:
    return StopRun(
        f"{gone} of {of} rows of {source} are out of this user's sight since the last look at all of them.",
        next_step=f'Was sharing, or "View All" on {source}, taken from the integration user? Give it back. If they '
        f"were deleted, nothing is to be done: it is believed after {NOT_BELIEVED.days} days. Meanwhile changes are "
        "read, and nobody is taken for gone.",
    )
