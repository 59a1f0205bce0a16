"""Read a range once, counted before it is read: for backfills. Moves no watermark and shares no cursor with `pull`.

Everything of an object is read by the list, a range by search: in both the ids ascend, so edits meanwhile shift
nothing. What is edited out of a range meanwhile belongs to the increments. Deleted records are theirs too.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from adapters.hubspot import deals, email_events, forms, marketing_events, occurrences
from adapters.hubspot.activities import when
from adapters.hubspot.api import Api
from adapters.hubspot.cursors import END, FLOOR, Cursor, begun_at, to_the_millisecond, unreadable_backfill
from adapters.hubspot.errors import Forbidden
from adapters.hubspot.listing import LIST_PAGE, list_pages
from adapters.hubspot.payload import RECORD_KINDS, row_id
from adapters.hubspot.pull import OBJECTS, Pulling, ahead, found_page, last_modified, page_of, wanted
from adapters.hubspot.searching import FOREVER, SEARCH_PAGE, Window, count, hits_above, inside
from connector.core.model import Page
from connector.errors import StopRun
from connector.ports import Estimate, Range

MILLISECOND = timedelta(milliseconds=1)


class Part(Protocol):
    """A module that reads a stream which HubSpot does not count."""

    def least_calls(self, api: Api, within: Range) -> Awaitable[int]: ...

    def backfill(self, api: Api, within: Range, begun: Cursor | None) -> AsyncIterator[Page]: ...


A_CALL = 0.25  # seconds: pages follow one another, so that an answer's way through the net counts too
PARTS: Mapping[str, Part] = {
    "form_submissions": forms,
    "email_events": email_events,
    "marketing_events": marketing_events,
    "behavioural_events": occurrences,
}


async def estimate(pulling: Pulling, stream: str, within: Range) -> Estimate:
    """Counted by the search index, without reading a row. Of streams that HubSpot does not count: the least calls."""
    api = pulling.api
    if stream in PARTS:
        calls = await PARTS[stream].least_calls(api, within)
        return Estimate(None, calls, max(api.seconds(calls, 0), calls * A_CALL))
    window = _window(_object(stream), within)
    try:
        rows = await count(api, stream, window)
    except Forbidden:
        if stream != deals.STREAM.name:
            raise
        return Estimate(0, 1, A_CALL)  # reading says in a note that they are not to be seen
    linked = 0 if OBJECTS[stream] in ("contact", "company") else 1  # deals and activities say whose they are
    if window is None:
        pages = max(1, math.ceil(rows / LIST_PAGE))
        reads, searches, turns = pages * (1 + linked), 0, pages * (1 + linked)
    else:
        pages = rows // SEARCH_PAGE + 1
        reads, searches, turns = math.ceil(rows / 100) + pages * linked, pages, pages * (2 + linked)
    return Estimate(rows, reads + searches, max(api.seconds(reads, searches), turns * A_CALL))


def backfill(pulling: Pulling, stream: str, within: Range, begun: Cursor | None) -> AsyncIterator[Page]:
    """See `connector.ports.CrmSource.backfill`. A range of activities goes by when they happened."""
    if stream in PARTS:
        return ahead(PARTS[stream].backfill(pulling.api, within, begun))
    window = _window(_object(stream), within)
    pages = _listed(pulling, stream, begun) if window is None else _found(pulling, stream, window, begun)
    return ahead(deals.seen(pages, known=False) if stream == deals.STREAM.name else pages)


def _object(stream: str) -> str:
    if stream not in OBJECTS:
        raise StopRun(
            f"HubSpot has no stream `{stream}` here.", next_step="Use one of the adapter's streams."
        )
    return OBJECTS[stream]


def _window(object_: str, within: Range) -> Window | None:
    """The range to the millisecond, as HubSpot keeps times; None: everything."""
    if within.since is None and within.until is None:
        return None
    name = last_modified(object_) if object_ in RECORD_KINDS else when(object_)
    lo = max(FLOOR, to_the_millisecond(within.since)) if within.since else FLOOR
    return Window(name, lo, to_the_millisecond(within.until) - MILLISECOND if within.until else FOREVER)


async def _listed(pulling: Pulling, stream: str, begun: Cursor | None) -> AsyncIterator[Page]:
    after = begun_at(begun, "backfill-list", "after", stream)
    if after == END:
        return
    properties = await wanted(pulling, OBJECTS[stream])
    async for listed in list_pages(pulling.api, stream, properties, after, archived=False):
        cursor: Cursor = {"kind": "backfill-list", "after": listed.following or END}
        yield replace(await page_of(pulling, stream, listed.rows, cursor), first_load=True)


async def _found(pulling: Pulling, stream: str, window: Window, begun: Cursor | None) -> AsyncIterator[Page]:
    above = begun_at(begun, "backfill-search", "above", stream) or "0"
    if not above.isdigit():
        raise unreadable_backfill(stream)
    while True:
        hits = await hits_above(pulling.api, stream, [window], above)
        above = max((row_id(hit) for hit in hits), key=int, default=above)
        within = {row_id(hit): hit for hit in hits if inside(hit, [window])}
        page = await found_page(pulling, stream, within, {"kind": "backfill-search", "above": above})
        # What the index still shows in the range, and was changed since, was counted there: it counts as fetched.
        yield replace(page, first_load=True, fetched=len(hits))
        if len(hits) < SEARCH_PAGE:
            return
