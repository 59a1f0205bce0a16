"""Pull HubSpot: lists for a first load, windowed searches for what changed. Remembers nothing: cursor in,
cursor out.

First loads read the list endpoint (ids ascending, the strong store). Increments search the last-modified
property, keyset by record id inside a fixed window (a search ends at 10,000 rows otherwise), and then read
the records found by id, because the search index trails the store (developers.hubspot.com, "CRM search").
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from adapters.hubspot import activities, deals, marketing_events, occurrences
from adapters.hubspot.api import Api
from adapters.hubspot.associations import links_of
from adapters.hubspot.byid import gone, read_all
from adapters.hubspot.cursors import (
    AGAIN_EVERY,
    FLOOR,
    LAG,
    REFRESH_EVERY,
    SWEEP_EVERY,
    Cursor,
    cursor_time,
    iso,
    unreadable_cursor,
    window_cursor,
)
from adapters.hubspot.email_events import pull_email_events
from adapters.hubspot.errors import BadRequest
from adapters.hubspot.forms import pull_submissions
from adapters.hubspot.listing import Listed, census_of, list_pages
from adapters.hubspot.lost import lacking, lost_properties
from adapters.hubspot.payload import (
    NEEDS,
    RECORD_KINDS,
    read_rows,
    record,
    row_id,
    stage_date_fields,
)
from adapters.hubspot.searching import SEARCH_PAGE, Window, hits_above, inside
from adapters.hubspot.stage_dates import Answers, dated
from connector.core.model import JsonValue, Page, RecordState, Ref, VendorEvent
from connector.errors import StopRun
from connector.ports import FieldInfo, Fields, Stream

STREAMS = (
    Stream("companies", "company", ("company",)),
    Stream("contacts", "person", ("contact",)),
    deals.STREAM,
    Stream("form_submissions", "engagement", ("form_submissions",)),
    Stream("email_events", "engagement", ("email_events",)),
    *activities.STREAMS,
    marketing_events.STREAM,
    occurrences.STREAM,
)
OBJECTS = {
    "companies": "company",
    "contacts": "contact",
    deals.STREAM.name: "deal",
    **{each.name: each.name for each in activities.STREAMS},
}

OVERLAP = timedelta(minutes=5)  # read again below the watermark; re-reading is free, missing a contact is not
LAST_SEEN = "hs_analytics_last_timestamp"
MOST_DATES = 10  # of counted activity: two searches

SchemaOf = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Pulling:
    """What a pull needs: the connection, the wanted fields, and the live schema when somebody asks."""

    api: Api
    fields: Fields
    schema: SchemaOf  # object -> awaitable of its fields, cached by the adapter unless asked `anew`
    answers: Answers  # kept by the adapter as long as it lives


def pull(
    pulling: Pulling, stream: str, since: Cursor | None, people: Sequence[Ref] = ()
) -> AsyncIterator[Page]:
    """Pages of one stream after `since`, fetched one ahead of the reader; `people` for the stream that needs them.
    Raises StopRun for an unknown cursor.
    """
    if stream == deals.STREAM.name:
        known = since if since is None or since.get("kind") != "unavailable" else None
        pages = deals.with_absorbed(pull_objects(pulling, stream, known))
        return ahead(deals.seen(pages, known=known is not None))
    if stream in OBJECTS:
        return ahead(pull_objects(pulling, stream, since))
    if stream == "form_submissions":
        return ahead(pull_submissions(pulling.api, since))
    if stream == "email_events":
        return ahead(pull_email_events(pulling.api, since))
    if stream == marketing_events.STREAM.name:
        return ahead(marketing_events.pull_participations(pulling.api, since))
    if stream == occurrences.STREAM.name:
        return ahead(occurrences.pull_occurrences(pulling.api, people, since))
    raise StopRun(f"HubSpot has no stream `{stream}` here.", next_step="Use one of the adapter's streams.")


async def ahead(pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """The same pages, the next one being fetched while the reader keeps the last. At most two wait in
    memory.
    """
    queue: asyncio.Queue[Page | Exception | None] = asyncio.Queue(maxsize=1)

    async def fill() -> None:
        try:
            async for page in pages:
                await queue.put(page)
        except Exception as error:  # it belongs to the reader, after the pages before it
            await queue.put(error)
        else:
            await queue.put(None)

    task = asyncio.create_task(fill())
    try:
        while (got := await queue.get()) is not None:
            if isinstance(got, Exception):
                raise got
            yield got
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def pull_objects(pulling: Pulling, stream: str, since: Cursor | None) -> AsyncIterator[Page]:
    """Every record of a type: by list on a first load, else what changed since, and now and then a slow
    sweep.
    """
    kind = "list" if since is None else str(since.get("kind"))
    if kind == "list":
        started = cursor_time(since, "started") if since else await pulling.api.now()
        archived = bool(since.get("archived")) if since else False
        after = str(since["after"]) if since and since.get("after") else None
        lacks = {"lacks": since["lacks"]} if since and "lacks" in since else {}
        async for page in _list(pulling, stream, started, after, archived, lacks):
            yield page
        return
    if kind == "refresh":
        assert since is not None
        async for page in _refresh(pulling, stream, since):
            yield page
        return
    if kind != "window":
        raise unreadable_cursor(stream, since)
    assert since is not None
    cursor: Cursor = since
    if cursor.get("hi"):  # a window that broke off
        async for page in _window(pulling, stream, cursor):
            cursor = page.cursor
            yield page
    async for page in _window(pulling, stream, cursor):
        cursor = page.cursor
        yield page
    now = await pulling.api.now()
    if now - cursor_time(cursor, "swept") >= SWEEP_EVERY:
        async for page in _sweep(pulling, stream, {**cursor, "swept": iso(now)}):
            cursor = page.cursor
            yield page
    if (
        now - cursor_time(cursor, "refreshed") >= REFRESH_EVERY
    ):  # after the bin, which explains who is missing
        begin = {**cursor, "kind": "refresh", "refreshing": iso(now), "above": "0"}
        async for page in _refresh(pulling, stream, begin):
            yield page


async def _list(
    pulling: Pulling,
    stream: str,
    started: datetime,
    after: str | None,
    archived: bool,
    lacks: Mapping[str, JsonValue],
) -> AsyncIterator[Page]:
    """The live records, then the archived ones; the last page hands over to windows from the start of it
    all.
    """
    for bin_ in (True,) if archived else (False, True):
        async for listed in _listed(pulling, stream, after, archived=bin_):
            following = listed.following
            more = following is not None or not bin_
            cursor: dict[str, JsonValue] = (
                {
                    "kind": "list",
                    "after": following,
                    "archived": bin_ or following is None,
                    "started": iso(started),
                }
                if more
                else window_cursor(started - LAG, swept=started, refreshed=started)
            )
            page = await page_of(pulling, stream, listed.rows, cursor, archived=bin_)
            lacks = {**lacks, **await _lacking(pulling, OBJECTS[stream], page, lacks)}
            yield replace(page, cursor={**cursor, **lacks}, first_load=True)
        after = None


async def _refresh(pulling: Pulling, stream: str, cursor: Cursor) -> AsyncIterator[Page]:
    """All live records once more, because calculated properties do not move the last-modified one, nor does a new
    company of a contact reliably, and because an erasure shows in no list but by its absence from this one.
    """
    after = str(cursor["after"]) if cursor.get("after") else None
    above = str(cursor["above"]) if cursor.get("above") else None
    done = {
        **{key: cursor[key] for key in ("until", "again", "swept") if key in cursor},
        "kind": "window",
        "refreshed": iso(cursor_time(cursor, "refreshing")),
    }
    lacks = {key: cursor[key] for key in ("lacks",) if key in cursor}
    async for listed in _listed(pulling, stream, after, archived=False):
        census = census_of(_counted_as(OBJECTS[stream]), listed, above)
        above = census.up_to if census else None
        going_on: Cursor = {**cursor, "after": listed.following, "above": above}
        page = await page_of(pulling, stream, listed.rows, done if listed.following is None else going_on)
        lacks |= await _lacking(pulling, OBJECTS[stream], page, lacks)
        yield replace(page, cursor={**page.cursor, **lacks}, census=census)


async def _lacking(
    pulling: Pulling, object_: str, page: Page, known: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """What the cursor is to remember of the mapped properties that the account does not have. Raises StopRun."""
    mapped = pulling.fields.get(object_, frozenset()) if _counted_as(object_) else frozenset()
    found = await lacking(
        mapped, page, known.get("lacks"), object_, lambda: pulling.schema(object_, anew=True)
    )
    return {} if found is None else {"lacks": found}


async def _sweep(pulling: Pulling, stream: str, cursor: Cursor) -> AsyncIterator[Page]:
    """The recycle bin. A crash repeats it: only the last page says that it was done.

    Who was in it and is no more was restored, or erased: by somebody, or by HubSpot after 90 days.
    """
    unswept = {**cursor, "swept": iso(FLOOR)}
    object_ = OBJECTS[stream]
    above: str | None = "0" if _counted_as(object_) else None
    async for listed in _listed(pulling, stream, None, archived=True):
        census = census_of(object_, listed, above, RecordState.ARCHIVED)
        above = census.up_to if census else None
        ends = listed.following is None
        page = await page_of(pulling, stream, listed.rows, cursor if ends else unswept, archived=True)
        yield replace(page, census=census)


async def _listed(
    pulling: Pulling, stream: str, after: str | None, *, archived: bool
) -> AsyncIterator[Listed]:
    """Pages of the list, with the wanted properties."""
    properties = await wanted(pulling, OBJECTS[stream])
    async for listed in list_pages(pulling.api, stream, properties, after, archived=archived):
        yield listed


async def _window(pulling: Pulling, stream: str, since: Cursor) -> AsyncIterator[Page]:
    """What changed between the watermark (less the overlap) and now. The window stays put while we page in it.

    Once an hour it begins an hour earlier than the last such look began: nobody publishes how late the index may be,
    and what it shows after the watermark has passed is found then.
    """
    object_ = OBJECTS[stream]
    until = cursor_time(since, "until")
    if since.get("hi"):
        hi = cursor_time(since, "hi")
        lo = cursor_time(since, "lo") if since.get("lo") else until - OVERLAP
    else:
        hi = await pulling.api.now()
        lo = until - OVERLAP
        again = cursor_time(since, "again") if since.get("again") else until
        if hi - again >= AGAIN_EVERY:
            lo, since = min(lo, again - AGAIN_EVERY), {**since, "again": iso(hi - LAG)}
    lo = max(lo, FLOOR)
    last = str(since.get("after_id") or "0")
    keep = {key: since[key] for key in ("again", "swept", "refreshed", "lacks") if key in since}
    passes = await _passes(pulling, object_)
    begun = tuple(since.get("by") or passes[0])
    if begun not in passes:  # the mapping changed meanwhile
        begun, last = passes[0], "0"
    for moved in passes[passes.index(begun) :]:
        while True:
            windows = [Window(name, lo, hi) for name in moved]
            try:
                found = await hits_above(pulling.api, stream, windows, last)
            except BadRequest as error:  # for a date that went over night?
                here = await pulling.schema(object_, anew=True)
                raise (
                    lost_properties(object_, lost) if (lost := sorted(set(moved) - here.keys())) else error
                ) from None
            full = len(found) == SEARCH_PAGE
            last = max((row_id(hit) for hit in found), key=int) if full else "0"
            following = moved if full else next(iter(passes[passes.index(moved) + 1 :]), None)
            cursor: Cursor = (
                {"kind": "window", "until": iso(max(until, hi - LAG)), **keep}
                if following is None
                else {
                    "kind": "window",
                    "until": iso(until),
                    "lo": iso(lo),
                    "hi": iso(hi),
                    "by": list(following),
                    "after_id": last,
                    **keep,
                }
            )
            within = {row_id(hit): hit for hit in found if inside(hit, windows)}
            if found or following is None:
                page = await found_page(pulling, stream, within, cursor)
                lacks = await _lacking(pulling, object_, page, keep)
                if set(keep.get("lacks") or ()) - set(lacks.get("lacks") or ()) and lacks:
                    keep["refreshed"] = iso(FLOOR)  # one is there again: its values moved no time stamp
                keep |= lacks
                yield replace(page, cursor={**cursor, **keep})
            if not full:
                break


async def _passes(pulling: Pulling, object_: str) -> list[tuple[str, ...]]:
    """The times by which a change shows, as many searches as lists of them.

    Counted activity (page views, an account's own counters) does not move the last-modified property, but the
    date that stands beside its counter: those that are mapped are searched too, five in one call. What has no
    such date is found by the weekly refresh.
    """
    passes: list[tuple[str, ...]] = [(last_modified(object_),)]
    if object_ != "contact":
        return passes
    names = pulling.fields.get(object_, frozenset())
    dates = {name for name in names if re.search(r"(^|_)(last|recent)_", name)}
    if any(name.startswith("hs_analytics_") for name in names):
        dates.add(LAST_SEEN)
    if dates:
        schema: Mapping[str, FieldInfo] = await pulling.schema(object_)
        dates = {name for name in dates if name in schema and schema[name].kind in ("date", "datetime")}
    ordered = sorted(dates, key=lambda name: (name != LAST_SEEN, name))[:MOST_DATES]
    return passes + [tuple(ordered[start : start + 5]) for start in range(0, len(ordered), 5)]


async def found_page(pulling: Pulling, stream: str, hits: Mapping[str, Any], cursor: Cursor) -> Page:
    """A page of search hits, read by id."""
    object_ = OBJECTS[stream]
    if not hits:
        return Page(stream, cursor)
    got = await read_all(pulling.api, stream, list(hits), await wanted(pulling, object_))
    page = await page_of(pulling, stream, list(got.values()), cursor)
    missing = {id_: hit for id_, hit in hits.items() if id_ not in got}
    if missing and object_ in RECORD_KINDS:
        page = replace(page, records=page.records + await gone(pulling.api, object_, missing))
    return replace(page, fetched=len(hits))


def _counted_as(object_: str) -> str:
    """Records are counted as records, activities as engagement (`Census.object`)."""
    return object_ if object_ in RECORD_KINDS else ""


async def page_of(
    pulling: Pulling, stream: str, rows: Sequence[Any], cursor: Cursor, *, archived: bool = False
) -> Page:
    """Rows as records or events; what cannot be read is set apart with its reason."""
    object_ = OBJECTS[stream]
    if object_ in RECORD_KINDS:
        records, bad = read_rows(rows, object_, lambda row: record(row, object_, archived=archived))
        if object_ == "contact":
            records = await dated(pulling.api, records, pulling.answers)
        if object_ == "deal":
            records = await deals.whose(pulling.api, records)
        return Page(stream, cursor, records=tuple(records), quarantined=tuple(bad), fetched=len(rows))
    ids = [str(row["id"]) for row in rows if isinstance(row, Mapping) and row.get("id")]
    links = {} if archived or not ids else await links_of(pulling.api, stream, "contacts", ids)

    def read(row: Any) -> VendorEvent:
        return activities.activity(row, stream, links.get(row_id(row), ()), archived=archived)

    events, bad = read_rows(rows, object_, read)
    return Page(stream, cursor, events=tuple(events), quarantined=tuple(bad), fetched=len(rows))


async def wanted(pulling: Pulling, object_: str) -> list[str]:
    """The properties to ask for: those mapped, those we need, and for contacts the dates of their stages."""
    names = set(pulling.fields.get(object_, frozenset())) | NEEDS[object_]
    if object_ == "contact":
        schema: Mapping[str, FieldInfo] = await pulling.schema("contact")
        names |= stage_date_fields(schema)
    return sorted(names)


def last_modified(object_: str) -> str:
    """Contacts differ from everything else. The wrong name does not fail, it finds nothing."""
    return "lastmodifieddate" if object_ == "contact" else "hs_lastmodifieddate"
