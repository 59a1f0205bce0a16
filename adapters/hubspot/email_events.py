"""Pull marketing e-mail events. Joined to people by address only; HubSpot keeps no contact id with them.

Source: developers.hubspot.com, "Email events" (v1; it has no dated twin). Key: `id` with `created`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from adapters.hubspot.api import EMAIL_EVENTS, Api
from adapters.hubspot.campaigns import campaign_names
from adapters.hubspot.cursors import (
    FLOOR,
    LAG,
    Cursor,
    begun_at,
    cursor_time,
    iso,
    millis,
    to_the_millisecond,
    unreadable_cursor,
)
from adapters.hubspot.errors import BadRequest, place
from adapters.hubspot.payload import email_event, read_rows
from adapters.hubspot.rows import not_a_page
from connector.core.model import JsonValue, Page
from connector.errors import RetryLater
from connector.ports import Range

EVENT_OVERLAP = timedelta(hours=1)  # opens and clicks arrive late
LATE_EVERY, LATE_OVERLAP = timedelta(days=1), timedelta(days=3)  # some later still; nobody publishes a bound
EVENTS_BACK = timedelta(
    days=730
)  # of a first load: older e-mail events weigh nothing under any sensible decay
EVENTS_SPAN = timedelta(days=30)  # one window of e-mail events; their offsets die within hours
EVENT_PAGE = 1000
MILLISECOND = timedelta(milliseconds=1)

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


async def pull_email_events(api: Api, since: Cursor | None) -> AsyncIterator[Page]:
    """Marketing e-mail events by windows of time: a first load from two years back, then what came since the last
    time and an hour before, and once a day three days before.

    A window that broke off goes on by its offset while that lives; then it begins again.
    """
    now = await api.now()
    if since is None:
        since = {"kind": "events", "until": iso(now - EVENTS_BACK), "first": True}
    if since.get("kind") != "events":
        raise unreadable_cursor("email_events", since)
    first = bool(since.get("first"))
    until = cursor_time(since, "until")
    looked = cursor_time(since, "late") if since.get("late") else FLOOR if not first else now
    late = now - looked >= LATE_EVERY
    offset = str(since["offset"]) if since.get("offset") else None
    lo = until - (timedelta(0) if first else LATE_OVERLAP if late else EVENT_OVERLAP)
    hi = min(lo + EVENTS_SPAN, now)
    if offset:
        lo, hi = (cursor_time(since, "lo") if since.get("lo") else lo), cursor_time(since, "hi")
    while True:
        try:
            rows, following = await _events(api, lo, hi, offset)
        except BadRequest:
            if offset is None:
                raise
            offset = None  # it died meanwhile: the window starts again, known events are stored once
            continue
        last_window = hi >= now - timedelta(seconds=1)
        ends = last_window and following is None
        if following is None:
            until = max(until, hi - (LAG if last_window else timedelta(0)))
        cursor: dict[str, JsonValue] = {
            "kind": "events",
            "until": iso(until),
            "late": iso(now if late and ends else looked),
        }
        if following is not None:
            cursor |= {"lo": iso(lo), "hi": iso(hi), "offset": following}
        if first and not ends:
            cursor["first"] = True
        told = _of_people(rows)
        yield replace(await _page(api, told, cursor), first_load=first)
        if following is not None:
            offset = following
        elif last_window:
            return
        else:
            lo, offset = hi, None
            hi = min(lo + EVENTS_SPAN, now)


async def _page(api: Api, told: list[Any], cursor: Cursor) -> Page:
    """Rows as events, with the names of their campaigns."""
    names = await campaign_names(api, (row for row in told if isinstance(row, Mapping)))
    events, bad = read_rows(told, "email_events", lambda row: email_event(row, names))
    return Page("email_events", cursor, (), tuple(events), tuple(bad), len(told))


def _of_people(rows: list[Any]) -> list[Any]:
    return [row for row in rows if not (isinstance(row, Mapping) and row.get("type") in MACHINE_EVENTS)]


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
        raise not_a_page(answer)
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


# ------------------------------------------------------------------------------------------------ of backfills


async def least_calls(api: Api, within: Range) -> int:
    """HubSpot does not count e-mail events; each window takes a call at least."""
    now = await api.now()
    span = (within.until or now) - (within.since or now - EVENTS_BACK)
    return max(1, math.ceil(span / EVENTS_SPAN))


async def backfill(api: Api, within: Range, begun: Cursor | None) -> AsyncIterator[Page]:
    """E-mail events of a range, window after window; without a beginning, of the last two years."""
    now = await api.now()
    end = to_the_millisecond(within.until) - MILLISECOND if within.until else now
    lo = to_the_millisecond(within.since) if within.since else now - EVENTS_BACK
    hi, offset = min(lo + EVENTS_SPAN, end), None
    if begun is not None:
        begun_at(begun, "backfill-events", "lo", "email_events")
        lo, hi = cursor_time(begun, "lo"), cursor_time(begun, "hi")
        offset = str(begun["offset"]) if begun.get("offset") else None
    while lo <= end:
        try:
            rows, offset = await _events(api, lo, hi, offset)
        except BadRequest:
            if offset is None:
                raise
            offset = None  # it died meanwhile: the window starts again, known events are stored once
            continue
        if offset is None:
            lo, hi = hi + MILLISECOND, min(hi + MILLISECOND + EVENTS_SPAN, end)
        told = _of_people(rows)
        cursor = {"kind": "backfill-events", "lo": iso(lo), "hi": iso(max(lo, hi)), "offset": offset}
        yield replace(await _page(api, told, cursor), first_load=True)
