"""Pull HubSpot: lists for a first load, windowed searches for what changed. Remembers nothing: cursor in,
cursor out.

First loads read the list endpoint (ids ascending, the strong store). Increments search the last-modified
property, keyset by record id inside a fixed window (a search ends at 10,000 rows otherwise), and then read
the records found by id, because the search index trails the store (developers.hubspot.com, "CRM search").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.hubspot.api import EMAIL_EVENTS, FORMS, SUBMISSIONS, Api
from adapters.hubspot.errors import BadRequest, context_ids, errors_of, place
from adapters.hubspot.payload import (
    CRM,
    NEEDS,
    TYPES,
    UnreadableError,
    activity,
    email_event,
    lenient_moment,
    merged_ids,
    moment,
    read_rows,
    record,
    row_id,
    stage_date_fields,
    submission,
)
from connector.core.model import JsonValue, Page, RecordState, Ref, VendorEvent, VendorRecord
from connector.errors import RetryLater, StopRun
from connector.ports import FieldInfo, Fields, Stream
from connector.transport import Answer

STREAMS = (
    Stream("companies", "company", ("company",)),
    Stream("contacts", "person", ("contact",)),
    Stream("form_submissions", "engagement", ("form_submissions",)),
    Stream("email_events", "engagement", ("email_events",)),
    Stream("meetings", "engagement", ("meetings",)),
    Stream("calls", "engagement", ("calls",)),
)
OBJECTS = {"companies": "company", "contacts": "contact", "meetings": "meetings", "calls": "calls"}

LAG = timedelta(seconds=60)  # the index trails writes by "a few moments"; nobody publishes a bound
OVERLAP = timedelta(minutes=5)  # read again below the watermark; re-reading is free, missing a contact is not
EVENT_OVERLAP = timedelta(hours=1)  # opens and clicks arrive late
FORM_OVERLAP = timedelta(minutes=15)
SWEEP_EVERY = timedelta(days=1)  # archived records never show in a search
REFRESH_EVERY = timedelta(days=7)  # calculated properties change without a trace in the last-modified one
FLOOR = datetime(2006, 1, 1, tzinfo=UTC)  # HubSpot has no older record, and epoch 0 makes a search fail
EVENTS_BACK = timedelta(
    days=730
)  # of a first load: older e-mail events weigh nothing under any sensible decay
EVENTS_SPAN = timedelta(days=30)  # one window of e-mail events; their offsets die within hours
LIST_PAGE = 100
SEARCH_PAGE = 200
EVENT_PAGE = 1000
FORM_PAGE = 50
LONGEST_PROPERTIES = 6_000  # characters of a list URL; HubSpot answers 414 somewhere above 8 KB
FEW_FORMS = 20  # below that, asking each is cheaper than finding out which
UNEXPLAINED = 20  # records a batch read may leave out without a word before we call it broken

# Steps of mail servers, not of people: five times as many rows as all the others together.
MACHINE_EVENTS = frozenset(
    {
        "SENT",
        "PROCESSED",
        "DELIVERED",
        "DEFERRED",
        "DROPPED",
        "MTA_DROPPED",
        "SUPPRESSED",
        "SELECTED",
        "PRINT",
    }
)

Cursor = Mapping[str, JsonValue]
SchemaOf = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Pulling:
    """What a pull needs: the connection, the wanted fields, and the live schema when somebody asks."""

    api: Api
    fields: Fields
    schema: SchemaOf  # object -> awaitable of its fields, cached by the adapter


def pull(pulling: Pulling, stream: str, since: Cursor | None) -> AsyncIterator[Page]:
    """Pages of one stream after `since`, fetched one ahead of the reader. Raises StopRun for an unknown
    cursor.
    """
    if stream in OBJECTS:
        return ahead(pull_objects(pulling, stream, since))
    if stream == "form_submissions":
        return ahead(pull_submissions(pulling, since))
    if stream == "email_events":
        return ahead(pull_email_events(pulling, since))
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


# --------------------------------------------------------------------- contacts, companies, meetings, calls


async def pull_objects(pulling: Pulling, stream: str, since: Cursor | None) -> AsyncIterator[Page]:
    """Every record of a type: by list on a first load, else what changed since, and now and then a slow
    sweep.
    """
    kind = "list" if since is None else str(since.get("kind"))
    if kind == "list":
        started = cursor_time(since, "started") if since else await pulling.api.now()
        archived = bool(since.get("archived")) if since else False
        after = str(since["after"]) if since and since.get("after") else None
        async for page in _list(pulling, stream, started, after, archived):
            yield page
        return
    if kind == "refresh":
        assert since is not None
        async for page in _refresh(pulling, stream, since):
            yield page
        return
    if kind != "window":
        raise _unreadable_cursor(stream, since)
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
    if now - cursor_time(cursor, "refreshed") >= REFRESH_EVERY:
        async for page in _refresh(pulling, stream, {**cursor, "kind": "refresh", "refreshing": iso(now)}):
            cursor = page.cursor
            yield page
    if now - cursor_time(cursor, "swept") >= SWEEP_EVERY:
        async for page in _sweep(pulling, stream, {**cursor, "swept": iso(now)}):
            yield page


async def _list(
    pulling: Pulling, stream: str, started: datetime, after: str | None, archived: bool
) -> AsyncIterator[Page]:
    """The live records, then the archived ones; the last page hands over to windows from the start of it
    all.
    """
    for bin_ in (True,) if archived else (False, True):
        async for rows, following in _list_pages(pulling, stream, after, archived=bin_):
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
            page = await _page(pulling, stream, rows, cursor, archived=bin_)
            yield replace(page, first_load=True)
        after = None


async def _refresh(pulling: Pulling, stream: str, cursor: Cursor) -> AsyncIterator[Page]:
    """All live records once more, because calculated properties do not move the last-modified one."""
    after = str(cursor["after"]) if cursor.get("after") else None
    done = {
        **{key: cursor[key] for key in ("until", "swept") if key in cursor},
        "kind": "window",
        "refreshed": iso(cursor_time(cursor, "refreshing")),
    }
    async for rows, following in _list_pages(pulling, stream, after, archived=False):
        going_on: Cursor = {**cursor, "after": following}
        yield await _page(pulling, stream, rows, done if following is None else going_on)


async def _sweep(pulling: Pulling, stream: str, cursor: Cursor) -> AsyncIterator[Page]:
    """The recycle bin. A crash repeats it: only the last page says that it was done."""
    unswept = {**cursor, "swept": iso(FLOOR)}
    async for rows, following in _list_pages(pulling, stream, None, archived=True):
        yield await _page(pulling, stream, rows, cursor if following is None else unswept, archived=True)


async def _list_pages(
    pulling: Pulling, stream: str, after: str | None, *, archived: bool
) -> AsyncIterator[tuple[list[Any], str | None]]:
    """Rows with the wanted properties, and where the next page starts."""
    properties = await wanted(pulling, OBJECTS[stream])
    wide = len(",".join(properties)) > LONGEST_PROPERTIES
    asked = ["hs_object_id"] if wide else properties
    while True:
        answer = await pulling.api.get(
            pulling.api.paths.objects(stream),
            {
                "limit": LIST_PAGE,
                "after": after,
                "archived": "true" if archived else "false",
                "properties": ",".join(asked),
            },
        )
        rows = results_of(answer)
        following = _next_after(answer)
        if following is not None and (following == after or not rows):
            raise RetryLater(
                f"HubSpot's list of {stream} does not get on: {len(rows)} rows, and again the same page next.",
                next_step="The next run goes on from the last page that was kept.",
                where=place(answer),
            )
        if not rows and not archived:
            await _confirm_end(pulling, stream, after, answer)
        if wide and rows:
            ids = [id_of(row, answer) for row in rows]
            rows = list((await _batch_read(pulling.api, stream, ids, properties, archived=archived)).values())
        yield rows, following
        if following is None:
            return
        after = following


async def _confirm_end(pulling: Pulling, stream: str, after: str | None, answer: Answer) -> None:
    """An empty page is believed only when the search index knows of no record there either."""
    filters = [{"propertyName": "hs_object_id", "operator": "GTE", "value": after}] if after else []
    body = {
        "filterGroups": [{"filters": filters}] if filters else [],
        "limit": 1,
        "properties": ["hs_object_id"],
    }
    total, _ = _search_result(
        await pulling.api.post(f"{pulling.api.paths.objects(stream)}/search", body, policy="search")
    )
    if total:
        raise RetryLater(
            f"HubSpot's list of {stream} came back empty although {total} records should follow.",
            next_step="The next run goes on from the last page that was kept.",
            where=place(answer),
        )


async def _window(pulling: Pulling, stream: str, since: Cursor) -> AsyncIterator[Page]:
    """What changed between the watermark (less the overlap) and now. The window stays put while we page in
    it.
    """
    object_ = OBJECTS[stream]
    until = cursor_time(since, "until")
    lo = max(until - OVERLAP, FLOOR)
    hi = cursor_time(since, "hi") if since.get("hi") else await pulling.api.now()
    last = str(since.get("after_id") or "0")
    keep = {key: since[key] for key in ("swept", "refreshed") if key in since}
    while True:
        found = await _changed(pulling, stream, lo, hi, last)
        done = len(found) < SEARCH_PAGE
        if found:
            last = max((row_id(hit) for hit in found), key=int)
        cursor: Cursor = (
            {"kind": "window", "until": iso(max(until, hi - LAG)), **keep}
            if done
            else {"kind": "window", "until": iso(until), "hi": iso(hi), "after_id": last, **keep}
        )
        inside = {row_id(hit): hit for hit in found if _inside(hit, object_, lo, hi)}
        rows, missing = [], []
        if inside:
            properties = await wanted(pulling, object_)
            got = await _read_all(pulling.api, stream, list(inside), properties)
            rows = list(got.values())
            missing = [id_ for id_ in inside if id_ not in got]
        page = await _page(pulling, stream, rows, cursor)
        if missing and object_ in ("contact", "company"):
            gone = await _gone(pulling.api, object_, {id_: inside[id_] for id_ in missing})
            page = replace(page, records=page.records + gone)
        yield replace(page, fetched=len(inside))
        if done:
            return


async def _changed(pulling: Pulling, stream: str, lo: datetime, hi: datetime, last: str) -> list[Any]:
    """One page of hits in the window with ids above `last`, ids ascending."""
    changed = last_modified(OBJECTS[stream])
    body = {
        "filterGroups": [
            {
                "filters": [
                    {
                        "propertyName": changed,
                        "operator": "BETWEEN",
                        "value": str(millis(lo)),
                        "highValue": str(millis(hi)),
                    },
                    {"propertyName": "hs_object_id", "operator": "GT", "value": last},
                ]
            }
        ],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": ["hs_object_id", changed],
        "limit": SEARCH_PAGE,
    }
    answer = await pulling.api.post(f"{pulling.api.paths.objects(stream)}/search", body, policy="search")
    total, hits = _search_result(answer)
    if len(hits) < min(total, SEARCH_PAGE):
        raise RetryLater(
            f"HubSpot's search found {total} {stream} and sent only {len(hits)} of them.",
            next_step="The watermark stays; the next run searches the same window again.",
            where=place(answer),
        )
    ids = [_number_id(hit, answer) for hit in hits]
    if any(id_ <= int(last) for id_ in ids):
        raise StopRun(
            f"HubSpot's search of {stream} sent records that were not asked for.",
            next_step="The watermark stays. If it happens again, tell HubSpot's support the correlation id.",
            where=place(answer),
        )
    return hits


def id_of(row: Any, answer: Answer) -> str:
    """The id of a row that was found or asked for by id. Raises StopRun: without it nothing can be kept."""
    try:
        return row_id(row)
    except UnreadableError as error:
        raise StopRun(
            f"HubSpot sent a row that is no record: {error}.",
            next_step="The watermark stays; the next run asks again.",
            where=place(answer),
        ) from None


def _number_id(hit: Any, answer: Answer) -> int:
    id_ = id_of(hit, answer)
    if not id_.isdigit():
        raise _not_a_page(answer)
    return int(id_)


def _inside(hit: Mapping[str, Any], object_: str, lo: datetime, hi: datetime) -> bool:
    """The index filters on a value that may be older than the one it returns; the later window has that
    one.
    """
    properties = hit.get("properties")
    changed = (
        lenient_moment(properties.get(last_modified(object_))) if isinstance(properties, Mapping) else None
    )
    changed = changed or lenient_moment(hit.get("updatedAt"))
    # A hit that does not say when it was changed is taken: reading it once too often costs nothing.
    return changed is None or lo - timedelta(seconds=1) <= changed <= hi + timedelta(seconds=1)


async def _page(
    pulling: Pulling, stream: str, rows: Sequence[Any], cursor: Cursor, *, archived: bool = False
) -> Page:
    """Rows as records or events; what cannot be read is set apart with its reason."""
    object_ = OBJECTS[stream]
    if object_ in ("contact", "company"):
        kind = "person" if object_ == "contact" else "company"
        records, bad = read_rows(rows, object_, lambda row: record(row, object_, kind, archived=archived))
        return Page(stream, cursor, records=tuple(records), quarantined=tuple(bad), fetched=len(rows))
    ids = [str(row["id"]) for row in rows if isinstance(row, Mapping) and row.get("id")]
    links = {} if archived or not ids else await _contacts_of(pulling.api, stream, ids)

    def read(row: Any) -> VendorEvent:
        return activity(row, stream, links.get(row_id(row), ()), archived=archived)

    events, bad = read_rows(rows, object_, read)
    return Page(stream, cursor, events=tuple(events), quarantined=tuple(bad), fetched=len(rows))


async def _contacts_of(api: Api, stream: str, ids: Sequence[str]) -> dict[str, list[str]]:
    """The contacts of meetings or calls. One without any comes as an error entry; that is no failure."""
    path = api.paths.associations(stream, "contacts")
    links: dict[str, list[str]] = {}
    inputs: list[dict[str, str]] = [{"id": id_} for id_ in ids]
    while inputs:
        answer = await api.post(path, {"inputs": inputs[:1000]}, policy="associations")
        following = inputs[1000:]
        for result in results_of(answer):
            from_ = str(result["from"]["id"])
            found = [str(to["toObjectId"]) for to in result.get("to") or ()]
            links[from_] = list(dict.fromkeys([*links.get(from_, []), *found]))
            more = (result.get("paging") or {}).get("next") or {}
            if more.get("after"):
                following.append({"id": from_, "after": str(more["after"])})
        inputs = following
    return links


# -------------------------------------------------------------------------------------------- reading by id


async def read_refs(
    api: Api, refs: Sequence[Ref], properties: Sequence[str], kind: str = "person"
) -> dict[Ref, VendorRecord]:
    """Records as they stand now, by the ref asked for; a merged one says where it went, a deleted one is
    missing.
    """
    found: dict[Ref, VendorRecord] = {}
    by_object: dict[str, list[Ref]] = {}
    for ref in dict.fromkeys(refs):
        by_object.setdefault(ref.object, []).append(ref)
    for object_, asked in by_object.items():
        stream = type_of(object_)
        rows = await _read_all(api, stream, [ref.id for ref in asked], properties)
        for ref in asked:
            row = rows.get(ref.id)
            if row is None:
                row = await get_one(api, stream, ref.id, properties)
            if row is not None:
                found[ref] = _under(ref, row, kind)
    return found


def _under(ref: Ref, row: Any, kind: str) -> VendorRecord:
    try:
        read = record(row, ref.object, kind)
    except UnreadableError as error:
        raise StopRun(
            f"HubSpot sent {ref} in a form that cannot be read: {error}.",
            next_step="Nothing was written to it. If it happens again, tell HubSpot's support.",
        ) from None
    if read.ref == ref:
        return read
    return replace(read, ref=ref, state=RecordState.MERGED, moved_to=read.ref)


async def get_one(api: Api, stream: str, id_: str, properties: Sequence[str]) -> Any | None:
    """One record; an id that was merged away still answers, with the survivor's id. None: it no longer
    exists.
    """
    short = list(properties) if len(",".join(properties)) <= LONGEST_PROPERTIES else ["hs_merged_object_ids"]
    try:
        answer = await api.get(f"{api.paths.objects(stream)}/{id_}", {"properties": ",".join(short)})
    except BadRequest as error:
        if error.answer.status == 404 and error.answer.readable:
            return None
        raise
    if not isinstance(answer.json, Mapping) or not answer.json.get("id"):
        raise StopRun(
            "HubSpot answered with something that is not a record.",
            next_step="The next run asks again.",
            where=place(answer),
        )
    return answer.json


async def _gone(api: Api, object_: str, hits: Mapping[str, Any]) -> tuple[VendorRecord, ...]:
    """Search hits that could not be read by id: merged or deleted since the index saw them."""
    records = []
    for id_, hit in hits.items():
        ref = Ref(CRM, object_, id_)
        row = await get_one(api, type_of(object_), id_, ["hs_merged_object_ids"])
        survivor = Ref(CRM, object_, row_id(row)) if row is not None else None
        changed = lenient_moment(hit.get("updatedAt")) or await api.now()
        if survivor == ref:
            continue  # it was only slow to appear; the overlap of the next window has it
        records.append(
            VendorRecord(
                ref=ref,
                kind="person" if object_ == "contact" else "company",
                values={},
                changed_at=changed,
                state=RecordState.MERGED if survivor else RecordState.GONE,
                moved_to=survivor,
            )
        )
    return tuple(records)


async def _read_all(api: Api, stream: str, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Any]:
    """Records by id, a hundred a call, the calls side by side."""
    hundreds = [ids[start : start + LIST_PAGE] for start in range(0, len(ids), LIST_PAGE)]
    answers = await asyncio.gather(*(_batch_read(api, stream, part, properties) for part in hundreds))
    return {id_: row for part in answers for id_, row in part.items()}


async def _batch_read(
    api: Api, stream: str, ids: Sequence[str], properties: Sequence[str], *, archived: bool = False
) -> dict[str, Any]:
    """At most a hundred records by the id asked for. What HubSpot leaves out is left out here too."""
    path = f"{api.paths.objects(stream)}/batch/read" + ("?archived=true" if archived else "")
    body = {
        "properties": list(properties),
        "propertiesWithHistory": [],
        "inputs": [{"id": id_} for id_ in ids],
    }
    answer = await api.post(path, body)
    asked = set(ids)
    rows: dict[str, Any] = {}
    for row in results_of(answer):
        id_ = id_of(row, answer)
        if id_ in asked:
            rows[id_] = row
            continue
        absorbed = merged_ids(row.get("properties") or {})
        for old in asked.intersection(absorbed) - rows.keys():
            rows[old] = row
    explained = {id_ for error in errors_of(answer.json) for id_ in context_ids(error, "ids")}
    unexplained = asked - rows.keys() - explained
    if len(unexplained) > UNEXPLAINED or (unexplained == asked and len(asked) > 1):
        raise RetryLater(
            f"HubSpot left out {len(unexplained)} of {len(asked)} {stream} that were asked for by id.",
            next_step="The watermark stays; the next run asks for them again.",
            where=place(answer),
        )
    return rows


# -------------------------------------------------------------------------------------------- e-mail events


async def pull_email_events(pulling: Pulling, since: Cursor | None) -> AsyncIterator[Page]:
    """Marketing e-mail events by windows of time. A window that broke off goes on by its offset while that
    lives.
    """
    now = await pulling.api.now()
    if since is None:
        since = {"kind": "events", "until": iso(now - EVENTS_BACK), "first": True}
    if since.get("kind") != "events":
        raise _unreadable_cursor("email_events", since)
    first = bool(since.get("first"))
    until = cursor_time(since, "until")
    lo = until if first else until - EVENT_OVERLAP
    offset = str(since["offset"]) if since.get("offset") else None
    hi = cursor_time(since, "hi") if offset else min(lo + EVENTS_SPAN, now)
    while True:
        try:
            rows, following = await _events(pulling.api, lo, hi, offset)
        except BadRequest:
            if offset is None:
                raise
            offset = None  # it died meanwhile: the window starts again, known events are stored once
            continue
        last_window = hi >= now - timedelta(seconds=1)
        if following is not None:
            cursor: Cursor = {"kind": "events", "until": iso(until), "hi": iso(hi), "offset": following}
        else:
            until = hi - (LAG if last_window else timedelta(0))
            cursor = {"kind": "events", "until": iso(until)}
        if first and not (last_window and following is None):
            cursor = {**cursor, "first": True}
        told = [row for row in rows if not (isinstance(row, Mapping) and row.get("type") in MACHINE_EVENTS)]
        events, bad = read_rows(told, "email_events", email_event)
        yield Page("email_events", cursor, (), tuple(events), tuple(bad), len(told), first)
        if following is not None:
            offset = following
        elif last_window:
            return
        else:
            lo, offset = hi, None
            hi = min(lo + EVENTS_SPAN, now)


async def _events(api: Api, lo: datetime, hi: datetime, offset: str | None) -> tuple[list[Any], str | None]:
    answer = await api.get(
        EMAIL_EVENTS,
        {
            "startTimestamp": millis(lo),
            "endTimestamp": millis(hi),
            "limit": EVENT_PAGE,
            "offset": offset,
        },
    )
    document = answer.json
    rows = document.get("events") if isinstance(document, Mapping) else None
    if not isinstance(rows, list):
        raise _not_a_page(answer)
    if not document.get("hasMore"):
        return rows, None
    following = document.get("offset")
    if not following or str(following) == offset or not rows:
        raise RetryLater(
            "HubSpot's list of e-mail events does not get on: it promises more and sends nothing new.",
            next_step="The next run starts the window again.",
            where=place(answer),
        )
    return rows, str(following)


# ----------------------------------------------------------------------------------------- form submissions


async def pull_submissions(pulling: Pulling, since: Cursor | None) -> AsyncIterator[Page]:
    """Form submissions, newest first per form, down to what is known.

    Asking 200 forms costs 200 calls, so an increment first asks one question: which contacts converted
    since? Nobody: done, one call. Somebody: the forms their last conversion names (all of them where there
    are few, or where a name fits no form). Once a day every form is asked, for the conversion a later one
    hid.
    """
    api = pulling.api
    now = await api.now()
    if since is None:
        async for page in _all_forms(api, now, FLOOR, None, first=True):
            yield page
        return
    if since.get("kind") == "forms":  # a first load or full round that broke off
        started, floor = cursor_time(since, "started"), cursor_time(since, "until")
        async for page in _all_forms(api, started, floor, since.get("form"), first=bool(since.get("first"))):
            yield page
        return
    if since.get("kind") != "conversions":
        raise _unreadable_cursor("form_submissions", since)
    until, full = cursor_time(since, "until"), cursor_time(since, "full")
    if now - full >= REFRESH_EVERY:
        async for page in _all_forms(api, now, full - FORM_OVERLAP, None, first=False):
            yield page
        return
    names = await _recent_conversions(api, until - FORM_OVERLAP, now)
    polled: dict[str, JsonValue] = dict(since.get("polled") or {})
    for guid, name in _named(await _forms(api), names) if names else []:
        floor = cursor_time(polled, guid) if guid in polled else full
        async for rows in _submissions(api, guid, floor - FORM_OVERLAP):
            events, bad = read_rows(rows, "form_submissions", _reader(guid, name))
            yield Page(
                "form_submissions",
                {**since, "polled": dict(polled)},
                (),
                tuple(events),
                tuple(bad),
                len(rows),
            )
        polled[guid] = iso(now - LAG)
    done: Cursor = {
        "kind": "conversions",
        "until": iso(max(until, now - LAG)),
        "full": iso(full),
        "polled": polled,
    }
    yield Page("form_submissions", done)


async def _all_forms(
    api: Api, started: datetime, floor: datetime, begun: Any, *, first: bool
) -> AsyncIterator[Page]:
    """Every form in the order of its id, from the form where a broken-off round stood."""
    forms = sorted(await _forms(api))
    done: Cursor = {"kind": "conversions", "until": iso(started - LAG), "full": iso(started - LAG)}
    at = {"kind": "forms", "started": iso(started), "until": iso(floor), "first": first}
    for guid, name in forms:
        if begun and guid < str(begun):
            continue
        async for rows in _submissions(api, guid, floor):
            events, bad = read_rows(rows, "form_submissions", _reader(guid, name))
            cursor = {**at, "form": guid}
            yield Page("form_submissions", cursor, (), tuple(events), tuple(bad), len(rows), first)
    yield Page("form_submissions", done, first_load=first)


def _reader(guid: str, name: str) -> Callable[[Any], VendorEvent]:
    return lambda row: submission(row, guid, name)


async def _recent_conversions(api: Api, lo: datetime, hi: datetime) -> set[str]:
    """What the contacts who converted in this time last converted on: "Page title: Form name"."""
    names: set[str] = set()
    last = "0"
    while True:
        body = {
            "filterGroups": [
                {
                    "filters": [
                        {
                            "propertyName": "recent_conversion_date",
                            "operator": "BETWEEN",
                            "value": str(millis(lo)),
                            "highValue": str(millis(hi)),
                        },
                        {"propertyName": "hs_object_id", "operator": "GT", "value": last},
                    ]
                }
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["recent_conversion_event_name"],
            "limit": SEARCH_PAGE,
        }
        answer = await api.post(f"{api.paths.objects('contacts')}/search", body, policy="search")
        _, hits = _search_result(answer)
        for hit in hits:
            properties = hit.get("properties") or {}
            names.add(str(properties.get("recent_conversion_event_name") or ""))
        if len(hits) < SEARCH_PAGE:
            return names
        highest = str(max(_number_id(hit, answer) for hit in hits))
        if int(highest) <= int(last):
            raise _not_a_page(answer)
        last = highest


def _named(forms: Sequence[tuple[str, str]], names: set[str]) -> list[tuple[str, str]]:
    """The forms that these conversion names can mean; all of them where one cannot be told."""
    if len(forms) <= FEW_FORMS:
        return list(forms)
    chosen: set[tuple[str, str]] = set()
    for name in names:
        fitting = [form for form in forms if form[1] and (name == form[1] or name.endswith(f": {form[1]}"))]
        if not fitting:
            return list(forms)
        chosen.update(fitting)
    return sorted(chosen)


async def _forms(api: Api) -> list[tuple[str, str]]:
    """Id and name of every form that takes submissions, HubSpot's own and captured ones."""
    forms: list[tuple[str, str]] = []
    after: str | None = None
    while True:
        params = {"limit": LIST_PAGE, "after": after, "formTypes": "hubspot,captured,flow"}
        answer = await api.get(FORMS, params)
        for row in results_of(answer):
            if isinstance(row, Mapping) and row.get("id"):
                forms.append((str(row["id"]), str(row.get("name") or "")))  # noqa: PERF401
        following = _next_after(answer)
        if following is None:
            return forms
        if following == after:
            raise _not_a_page(answer)
        after = following


async def _submissions(api: Api, guid: str, floor: datetime) -> AsyncIterator[list[Any]]:
    """One form's submissions, newest first, down to `floor`."""
    after: str | None = None
    while True:
        try:
            answer = await api.get(f"{SUBMISSIONS}/{guid}", {"limit": FORM_PAGE, "after": after})
        except BadRequest as error:
            # Comment forms have no submissions to read (FORM_TYPE_NOT_ALLOWED); a deleted form is unknown.
            if error.answer.status == 404 or "FORM_TYPE_NOT_ALLOWED" in str(error.answer.json):
                return
            raise
        rows = results_of(answer)
        fresh = [row for row in rows if _at_least(row, floor)]
        following = _next_after(answer)
        if fresh:
            yield fresh
        if following is None or len(fresh) < len(rows):
            return
        if following == after or not rows:
            raise _not_a_page(answer)
        after = following


def _at_least(row: Any, floor: datetime) -> bool:
    """A row that cannot be read counts as new, so that it is set apart and not lost."""
    submitted = lenient_moment(row.get("submittedAt")) if isinstance(row, Mapping) else None
    return submitted is None or submitted >= floor


# -------------------------------------------------------------------------------------------- small helpers


async def wanted(pulling: Pulling, object_: str) -> list[str]:
    """The properties to ask for: those mapped, those we need, and for contacts the dates of their stages."""
    names = set(pulling.fields.get(object_, frozenset())) | NEEDS[object_]
    if object_ == "contact":
        schema: Mapping[str, FieldInfo] = await pulling.schema("contact")
        names |= stage_date_fields(schema)
    return sorted(names)


def type_of(object_: str) -> str:
    """The path name of an object. Raises StopRun."""
    if object_ not in TYPES:
        raise StopRun(f"HubSpot has no object `{object_}` here.", next_step="Use `contact` or `company`.")
    return TYPES[object_]


def last_modified(object_: str) -> str:
    """Contacts differ from everything else. The wrong name does not fail, it finds nothing."""
    return "lastmodifieddate" if object_ == "contact" else "hs_lastmodifieddate"


def results_of(answer: Answer) -> list[Any]:
    """The rows of a page or batch. Raises StopRun when there is no list of them."""
    rows = answer.json.get("results") if isinstance(answer.json, Mapping) else None
    if not isinstance(rows, list):
        raise _not_a_page(answer)
    return rows


def _search_result(answer: Answer) -> tuple[int, list[Any]]:
    rows = results_of(answer)
    total = answer.json.get("total")
    if isinstance(total, bool) or not isinstance(total, int):
        raise _not_a_page(answer)
    return total, rows


def _next_after(answer: Answer) -> str | None:
    paging = answer.json.get("paging") if isinstance(answer.json, Mapping) else None
    following = paging.get("next") if isinstance(paging, Mapping) else None
    after = following.get("after") if isinstance(following, Mapping) else None
    return str(after) if after is not None and after != "" else None


def _not_a_page(answer: Answer) -> StopRun:
    return StopRun(
        f"HubSpot answered {answer.status} with something that is not the page that was asked for.",
        next_step="The watermark stays. Check HUBSPOT_BASE_URL; the next run asks again.",
        where=place(answer),
    )


def window_cursor(until: datetime, *, swept: datetime, refreshed: datetime) -> dict[str, JsonValue]:
    """Where increments begin: everything up to `until` is kept."""
    return {"kind": "window", "until": iso(until), "swept": iso(swept), "refreshed": iso(refreshed)}


def cursor_time(cursor: Cursor, key: str) -> datetime:
    """A time out of a stored cursor. Raises StopRun: state that cannot be read never means "start over"."""
    try:
        read = moment(cursor.get(key))
    except UnreadableError:
        read = None
    if read is None:
        raise StopRun(
            f"The stored HubSpot cursor has no readable `{key}`.",
            next_step="Was the ledger edited or restored? `connector backfill hubspot` reads everything again.",
        )
    return read


def _unreadable_cursor(stream: str, cursor: Cursor | None) -> StopRun:
    kind = cursor.get("kind") if cursor else None
    return StopRun(
        f"The stored cursor of hubspot/{stream} is of a kind this version does not know: {kind!r}.",
        next_step="Was the ledger written by a newer version? `connector backfill hubspot` reads everything again.",
    )


def iso(at: datetime) -> str:
    """As cursors keep times."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def millis(at: datetime) -> int:
    """As HubSpot takes times."""
    return int(at.timestamp() * 1000)
