"""Pull Salesforce: objects whole by id, then changes by stamp and id. Cursor in, cursor out.

A first load reads in the order of ids, which no edit can disturb. An increment reads in the order of
(SystemModstamp, Id), from a little before the watermark up to now; it sees deleted and merged rows too.
Stamps are set inside a transaction and rows show at its commit, so the watermark stays behind the clock:
https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_getupdated.htm
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.errors import CursorLost, FieldRefused, QueryTooSlow
from adapters.salesforce.payload import (
    CRM,
    KINDS,
    SYSTEM_FIELDS,
    event_from,
    instant,
    long_id,
    record_from,
)
from adapters.salesforce.rest import Rest, Rows
from connector.core.model import JsonValue, Page, Quarantined, Ref, VendorEvent, VendorRecord
from connector.errors import SkipRecord, StopRun
from connector.ports import Fields, Stream

LAG = timedelta(minutes=3)  # the watermark stays this far behind: younger commits may still be open
OVERLAP = timedelta(minutes=10)  # each increment reads this much again: long transactions commit late
QUERY_ROWS = 50_000  # of one query; the server pages it
SMALLEST_QUERY = 200  # a query that is too slow for this many rows is too slow
IDS_IN_QUERY = 200  # 5 kB of a URL whose limit, headers included, is 16 kB

STREAMS: tuple[Stream, ...] = (
    Stream("Account", "company", ("Account",)),
    Stream("Lead", "person", ("Lead",)),
    Stream("Contact", "person", ("Contact",)),
    # Before Opportunity, so that its watermark is older than the first load of those.
    Stream("OpportunityContactRole", "opportunity", ("Opportunity",)),
    Stream("Opportunity", "opportunity", ("Opportunity",)),
    Stream("CampaignMember", "engagement", ("CampaignMember",)),
    Stream("Task", "engagement", ("Task",)),
    Stream("Event", "engagement", ("Event",)),
)

# What a first load need not see: an increment takes it back, or never knew it.
_LOAD_WHERE: Mapping[str, tuple[str, ...]] = {
    "Task": ("IsDeleted = false", "IsRecurrence = false", "WhoId != null"),
    "Event": ("IsDeleted = false", "IsRecurrence = false", "IsChild = false", "WhoId != null"),
}
_ARCHIVED = frozenset({"Task", "Event"})  # after a year only queryAll shows them


# ------------------------------------------------------------------------------------------- cursors


@dataclass(frozen=True, slots=True)
class Loading:
    """A first load, read up to this id. It started at this server time."""

    after: str
    started: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes are kept up to `until`. Part way through an increment: behind which row; the next `until`."""

    until: datetime
    stamp: datetime | None = None
    after: str = soql.FIRST_ID
    then: datetime | None = None


def read_cursor(cursor: Mapping[str, JsonValue] | None) -> Loading | Changes | None:
    """The position a stored cursor tells. Raises StopRun for one we did not write: it never means "anew"."""
    if cursor is None:
        return None
    try:
        place = _place(cursor)
    except (KeyError, TypeError, ValueError, AttributeError):
        place = None
    if place is None or not soql.is_id(place.after):
        raise StopRun(
            "The stored cursor of a Salesforce stream cannot be read.",
            next_step="Restore the ledger from a backup, or start on an empty one.",
        )
    return place


def _place(cursor: Mapping[str, JsonValue]) -> Loading | Changes | None:
    if cursor["kind"] == "list":
        return Loading(cursor["after"], instant(cursor["started"]))
    if cursor["kind"] != "changes":
        return None
    until = instant(cursor["until"])
    if "stamp" not in cursor:
        return Changes(until)
    return Changes(until, instant(cursor["stamp"]), cursor["after"], instant(cursor["then"]))


def write_cursor(place: Loading | Changes) -> dict[str, JsonValue]:
    """A position as JSON."""
    if isinstance(place, Loading):
        return {"kind": "list", "after": place.after, "started": soql.instant(place.started)}
    cursor: dict[str, JsonValue] = {"kind": "changes", "until": soql.instant(place.until)}
    if place.stamp is not None and place.then is not None:
        cursor |= {"stamp": soql.instant(place.stamp), "after": place.after, "then": soql.instant(place.then)}
    return cursor


# ------------------------------------------------------------------------------------------- pulling


async def pull(
    rest: Rest, stream: str, since: Mapping[str, JsonValue] | None, fields: Fields
) -> AsyncIterator[Page]:
    """Every row of a stream changed after `since`, page by page, oldest first; None reads everything.

    Raises StopRun for a cursor or an answer that does not add up, FixConfig for an object out of sight,
    RetryLater when the day's allowance is spent. What was yielded before stands.
    """
    if all(stream != known.name for known in STREAMS):
        raise StopRun(f"Salesforce has no stream `{stream}`.")
    place = read_cursor(since)
    if place is None and stream == "OpportunityContactRole":
        yield await _roles_begin(rest)
        return
    first_load = place is None or isinstance(place, Loading)
    async with aclosing(_walk(rest, stream, place, fields)) as walk:
        async for at, rows in walk:
            page = Page(stream, write_cursor(at), fetched=len(rows), first_load=first_load)
            yield await _told(rest, page, rows, fields)


async def _roles_begin(rest: Rest) -> Page:
    """The roles of all opportunities come with the opportunities; only later changes are a stream."""
    query = soql.select(["Id"], "OpportunityContactRole", limit=1)
    async with aclosing(rest.query(query)) as pages:
        first = await anext(pages)
    cursor = write_cursor(Changes(first.asked_at - LAG))
    return Page("OpportunityContactRole", cursor, first_load=True)


async def _walk(
    rest: Rest, source: str, place: Loading | Changes | None, fields: Fields
) -> AsyncGenerator[tuple[Loading | Changes, list[Mapping[str, Any]]], None]:
    """Rows with the position behind them, query after query, until one is not full."""
    wanted = _wanted(source, fields)
    size = QUERY_ROWS
    while True:
        came, full, begun = 0, False, place
        query = _query(source, rest.seen(source, wanted), place, size)
        every = isinstance(place, Changes) or source in _ARCHIVED
        try:
            async with aclosing(rest.query(query, deleted_too=every)) as pages:
                async for page in pages:
                    came += len(page.rows)
                    full = page.done and came >= size
                    if place is None and not page.rows:
                        await _check_emptiness(rest, source)
                    place = _behind(place, page, full)
                    yield place, page.rows
        except FieldRefused as refused:
            await rest.find_hidden(source, wanted, refused)
            continue
        except CursorLost:
            if place == begun:
                raise
            continue  # the same walk, behind the last row that came
        except QueryTooSlow:
            size //= 4
            if size < SMALLEST_QUERY:
                raise
            continue
        if not full:
            return
        if place == begun:
            raise _astray(f"{came} rows that lead no further")


def _query(source: str, fields: Sequence[str], place: Loading | Changes | None, size: int) -> str:
    if place is None or isinstance(place, Loading):
        after = place.after if place else soql.FIRST_ID
        where = [soql.after_id(after), *_LOAD_WHERE.get(source, ())]
        return soql.select(fields, source, where, order=soql.BY_ID, limit=size)
    if place.stamp is None:
        behind = soql.changed_from(place.until - OVERLAP)
    else:
        behind = soql.after_change(place.stamp, place.after)
    return soql.select(fields, source, [behind], order=soql.BY_CHANGE, limit=size)


def _behind(place: Loading | Changes | None, page: Rows, full: bool) -> Loading | Changes:
    """The position once this page is kept. Raises StopRun where the page does not lead on."""
    over = page.done and not full
    if place is None or isinstance(place, Loading):
        started = place.started if place else page.asked_at
        if over:
            return Changes(started - LAG)
        after = _last_id(page)
        if place and after == place.after:
            raise _astray("the row that was read last")
        return Loading(after, started)
    then = place.then or page.asked_at - LAG
    if over:
        return Changes(max(then, place.until))
    for row in reversed(page.rows):
        record = row.get("Id")
        try:
            stamp = instant(row["SystemModstamp"])
        except (KeyError, ValueError):
            raise _astray("a row without its SystemModstamp") from None
        # A later page tells a row edited meanwhile by its new stamp: beginning again there would skip others.
        if stamp <= page.opened and stamp >= (place.stamp or stamp) and soql.is_id(record):
            return replace(place, stamp=stamp, after=record, then=then)
    return place


def _last_id(page: Rows) -> str:
    record = page.rows[-1].get("Id") if page.rows else None
    if not isinstance(record, str) or not soql.is_id(record):
        raise _astray("no row, or one without its Id")
    return record


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


def _astray(what: str) -> StopRun:
    return StopRun(
        f"Salesforce answered a query in order with {what}.",
        next_step="The watermark stays. Check whether a proxy answers instead.",
    )


def _wanted(source: str, fields: Fields) -> list[str]:
    """The system's fields and the mapped ones, each once however spelled."""
    system = SYSTEM_FIELDS[source]
    known = {name.lower() for name in system}
    return [*system, *sorted(name for name in fields.get(source, ()) if name.lower() not in known)]


def _values_of(source: str, fields: Fields) -> list[str]:
    """The names under which values are told: ours, and the mapping's spelling of it."""
    return list(dict.fromkeys((*SYSTEM_FIELDS[source], *sorted(fields.get(source, ())))))


# ------------------------------------------------------------------------------------------- telling


async def _told(rest: Rest, page: Page, rows: Sequence[Mapping[str, Any]], fields: Fields) -> Page:
    """The page with its rows in our words."""
    if page.stream == "OpportunityContactRole":
        touched = [str(row["OpportunityId"]) for row in rows if soql.is_id(row.get("OpportunityId"))]
        rows = await _by_id(rest, "Opportunity", touched, fields)
    source = "Opportunity" if page.stream == "OpportunityContactRole" else page.stream
    people = await _roles(rest, rows) if source == "Opportunity" else {}
    records: list[VendorRecord] = []
    events: list[VendorEvent] = []
    quarantined: list[Quarantined] = []
    values = _values_of(source, fields)
    for row in rows:
        record = str(row.get("Id") or "")
        try:
            if source in KINDS:
                records.append(record_from(row, source, values, people.get(record, ())))
            else:
                events.append(event_from(row, source, values))
        except SkipRecord as error:
            quarantined.append(Quarantined(CRM, source, record, str(error)))
    return replace(page, records=tuple(records), events=tuple(events), quarantined=tuple(quarantined))


async def _roles(rest: Rest, rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Ref, ...]]:
    """Who plays a role in these opportunities, by opportunity id."""
    people: dict[str, tuple[Ref, ...]] = {}
    for chunk in _chunks(str(row["Id"]) for row in rows if soql.is_id(row.get("Id"))):
        where = soql.id_in("OpportunityId", chunk)
        query = soql.select(
            ["OpportunityId", "ContactId"], "OpportunityContactRole", [where], order=soql.BY_ID
        )
        for role in await rest.all_rows(query):
            if soql.is_id(role.get("ContactId")):
                deal, person = str(role.get("OpportunityId")), Ref(CRM, "Contact", role["ContactId"])
                people[deal] = tuple(dict.fromkeys((*people.get(deal, ()), person)))
    return people


async def _by_id(rest: Rest, source: str, ids: Iterable[str], fields: Fields) -> list[Mapping[str, Any]]:
    """These rows as they stand now, deleted ones included."""
    wanted = _wanted(source, fields)
    found: list[Mapping[str, Any]] = []
    for chunk in _chunks(ids):
        while True:
            query = soql.select(rest.seen(source, wanted), source, [soql.id_in("Id", chunk)])
            try:
                found += await rest.all_rows(query, deleted_too=True)
                break
            except FieldRefused as refused:
                await rest.find_hidden(source, wanted, refused)
    return found


def _chunks(ids: Iterable[str]) -> list[list[str]]:
    unique = list(dict.fromkeys(ids))
    return [unique[start : start + IDS_IN_QUERY] for start in range(0, len(unique), IDS_IN_QUERY)]


async def read(rest: Rest, refs: Sequence[Ref], fields: Fields) -> dict[Ref, VendorRecord]:
    """These records as they stand now, by the ref asked for; converted, merged and deleted ones say so.

    One call per 200 records of an object. A record that is missing from the answer no longer exists, or this
    user no longer sees it. Raises StopRun for a row that cannot be read.
    """
    found: dict[Ref, VendorRecord] = {}
    for source in dict.fromkeys(ref.object for ref in refs):
        asked: dict[str, list[Ref]] = {}
        for ref in refs:
            if ref.object == source and soql.is_id(ref.id):
                asked.setdefault(long_id(ref.id), []).append(ref)
        values = _values_of(source, fields)
        for row in await _by_id(rest, source, asked, fields):
            try:
                record = record_from(row, source, values)
            except SkipRecord as error:
                raise StopRun(f"A {source} came back unreadable when it was read again. {error}") from error
            for ref in asked.get(long_id(record.ref.id), ()):
                found[ref] = record
    return found
