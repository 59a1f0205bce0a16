"""Pull who registered for, came to, and stayed away from marketing events: webinars, fairs, conferences.

Read event by event, a hundred participations a call: far cheaper than one call per contact. An event is asked again
only while it is open or has ended lately, and then only when its own counts changed or a day has passed.
Source: developers.hubspot.com, "Marketing events" (participations breakdown).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.cursors import END, LAG, Cursor, begun_at, cursor_time, iso, unreadable_cursor
from adapters.hubspot.errors import BadRequest, Forbidden
from adapters.hubspot.payload import CRM, UnreadableError, lenient_moment, moment, read_rows, row_id
from connector.core.model import JsonValue, Page, Quarantined, Ref, VendorEvent
from connector.ports import Range, Stream

STREAM = Stream("marketing_events", "engagement", ("marketing_events",))
PAGE = 100
BACK = timedelta(days=730)  # of a first load, as with e-mail events
LATELY = timedelta(days=14)  # so long after its end attendance is still handed in
AGAIN = timedelta(days=1)
COUNTS = ("registrants", "attendees", "cancellations", "noShows")


@dataclass(frozen=True, slots=True)
class Event:
    """A marketing event in one line. `ends`: its end, else its start, else when it was made."""

    id: str
    values: Mapping[str, JsonValue]  # what every participation tells of it
    ends: datetime
    updated: datetime
    counts: str


async def pull_participations(api: Api, since: Cursor | None) -> AsyncIterator[Page]:
    """Participations of the events that may have news. An account whose token never saw marketing events is told so
    in a note; one that saw them before raises FixConfig.
    """
    kind = since.get("kind") if since is not None else "unavailable"
    if kind not in ("unavailable", "participations"):
        raise unreadable_cursor(STREAM.name, since)
    known = since if since is not None and kind == "participations" else None
    now = await api.now()
    started = cursor_time(known, "started") if known and known.get("started") else now
    until = cursor_time(known, "until") if known and known.get("until") else None
    told: dict[str, JsonValue] = dict(known.get("told") or {}) if known else {}
    begun = str(known["event"]) if known and known.get("event") else None
    first = until is None
    try:
        events = await _events(api)
    except Forbidden as error:
        if known is not None:
            raise
        yield not_available(STREAM.name, error)
        return
    cursor: dict[str, JsonValue] = {"kind": "participations", "started": iso(started)}
    if until is not None:
        cursor["until"] = iso(until)
    for event in events:
        if begun is not None and _order(event.id) <= _order(begun):
            continue
        if not _has_news(event, until, told.get(event.id), started):
            continue
        rows = [row async for rows, _ in _participations(api, event.id, None) for row in rows]
        told[event.id] = {"counts": event.counts, "at": iso(started)}
        page = _page(event, rows, {**cursor, "event": event.id, "told": dict(told)})
        yield page if not first else _old(page)
    recent = {event.id for event in events if event.ends >= started - LATELY}
    done: Cursor = {
        "kind": "participations",
        "until": iso(started - LAG),
        "told": {id_: each for id_, each in told.items() if id_ in recent},
    }
    yield Page(STREAM.name, done, first_load=first)


def not_available(stream: str, error: Forbidden) -> Page:
    """What a stream says that this account or token does not have. Asked again at the next run, for one call."""
    return Page(stream, {"kind": "unavailable"}, note=f"not read: {error.message} {error.next_step}".strip())


def _old(page: Page) -> Page:
    return replace(page, first_load=True)


def _has_news(event: Event, until: datetime | None, told: Any, now: datetime) -> bool:
    """Whether it is worth asking: always on a first load (two years back); later an event that is open or has ended
    lately, when its counts changed or a day has passed, and one that was changed since.
    """
    if until is None:
        return event.ends >= now - BACK
    if event.updated >= until - LAG:
        return True
    if event.ends < now - LATELY:
        return False
    if not isinstance(told, Mapping) or told.get("counts") != event.counts:
        return True
    read = lenient_moment(told.get("at"))
    return read is None or now - read >= AGAIN


async def _events(api: Api) -> list[Event]:
    """Every marketing event, by id."""
    found: dict[str, Event] = {}
    async for rows, _ in api.pages(api.paths.marketing_events, {"limit": PAGE}):
        found.update({event.id: event for event in map(_event, rows) if event is not None})
    return sorted(found.values(), key=lambda event: _order(event.id))


def _event(row: Any) -> Event | None:
    """None for what has no id of its own: it cannot be asked for who took part."""
    if not isinstance(row, Mapping) or not row.get("objectId"):
        return None
    moments = (lenient_moment(row.get(name)) for name in ("endDateTime", "startDateTime", "createdAt"))
    ends = next((at for at in moments if at is not None), None)
    updated = lenient_moment(row.get("updatedAt")) or lenient_moment(row.get("createdAt"))
    if ends is None and updated is None:
        return None
    last = ends or updated
    assert last is not None
    return Event(
        id=str(row["objectId"]),
        values={
            "eventId": str(row["objectId"]),
            "eventName": row.get("eventName") or None,
            "eventType": row.get("eventType") or None,
            "eventUrl": row.get("eventUrl") or None,
            "eventOrganizer": row.get("eventOrganizer") or None,
        },
        ends=last,
        updated=updated or last,
        counts=":".join(str(row.get(name)) for name in COUNTS),
    )


def _order(id_: str) -> tuple[int, str]:
    """Ids are numbers as text: the shorter comes first."""
    return (len(id_), id_)


async def _participations(
    api: Api, event: str, after: str | None
) -> AsyncIterator[tuple[list[Any], str | None]]:
    """Pages of one event's participations; none where the event was deleted meanwhile."""
    try:
        async for rows, following in api.pages(api.paths.participations(event), {"limit": PAGE}, after):
            yield rows, following
    except BadRequest as error:
        if error.answer.status != 404:
            raise


def _page(event: Event, rows: Sequence[Any], cursor: Cursor) -> Page:
    """All of an event's participations. What a cancellation takes back counts as fetched: it is kept as well."""
    events, bad = _read(event, rows)
    back = _taken_back(events)
    gone = {each.key for each in back}
    told = (*(each for each in events if each.key not in gone), *back)
    return Page(STREAM.name, cursor, (), told, tuple(bad), len(told) + len(bad))


def _read(event: Event, rows: Iterable[Any]) -> tuple[list[VendorEvent], list[Quarantined]]:
    return read_rows(rows, STREAM.name, lambda row: participation(row, event.id, event.values))


def participation(row: Any, event: str, values: Mapping[str, JsonValue]) -> VendorEvent:
    """What one person did about one event. Raises UnreadableError.

    The key holds the state: whether HubSpot lists only the newest state or each one, who registered and came did both.
    """
    row_id(row)
    said = _inner(row, "properties")
    contact = _inner(_inner(row, "associations"), "contact")
    state = str(said.get("attendanceState") or "EMPTY")
    happened = moment(said.get("occurredAt")) or moment(row.get("createdAt"))
    if happened is None:
        raise UnreadableError("it does not say when it happened")
    who, email = contact.get("contactId"), contact.get("email") or None
    if not who and not email:
        raise UnreadableError("it does not say who took part")
    return VendorEvent(
        crm=CRM,
        stream=STREAM.name,
        key=f"{event}:{who or email}:{state}",
        values={
            **values,
            "state": state,
            "attendancePercentage": said.get("attendancePercentage") or None,
            "attendanceDurationSeconds": said.get("attendanceDurationSeconds"),
        },
        occurred_at=happened,
        about=(Ref(CRM, "contact", str(who)),) if who else (),
        email=str(email) if email else None,
    )


def _inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = row.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _taken_back(events: Sequence[VendorEvent]) -> list[VendorEvent]:
    """Registrations that a later cancellation took back, listed still or not."""
    newest: dict[str, VendorEvent] = {}
    for each in events:
        person = each.key.rpartition(":")[0]
        if person not in newest or newest[person].occurred_at <= each.occurred_at:
            newest[person] = each
    return [
        replace(each, key=f"{person}:REGISTERED", deleted=True)
        for person, each in newest.items()
        if each.values["state"] == "CANCELLED"
    ]


# ------------------------------------------------------------------------------------------------ of backfills


async def least_calls(api: Api, within: Range) -> int:
    """HubSpot counts no participations over events; each event takes a call at least."""
    try:
        return 1 + len(_within(await _events(api), within))
    except Forbidden:
        return 1


def _within(events: Iterable[Event], within: Range) -> list[Event]:
    """Whoever took part did so before the end of an event, or soon after."""
    return [event for event in events if within.since is None or event.ends >= within.since - LATELY]


async def backfill(api: Api, within: Range, begun: Cursor | None) -> AsyncIterator[Page]:
    """Participations of a range, event by event."""
    at = begun_at(begun, "backfill-participations", "event", STREAM.name)
    place = begun_at(begun, "backfill-participations", "after", STREAM.name)
    try:
        events = _within(await _events(api), within)
    except Forbidden as error:
        yield _old(not_available(STREAM.name, error))
        return
    for event in events:
        if at is not None and (_order(event.id) < _order(at) or (event.id == at and place == END)):
            continue
        async for rows, following in _participations(api, event.id, place if event.id == at else None):
            found, bad = _read(event, rows)
            told = tuple(each for each in found if within.holds(each.occurred_at))
            cursor = {"kind": "backfill-participations", "event": event.id, "after": following or END}
            yield _old(Page(STREAM.name, cursor, (), told, tuple(bad), len(told) + len(bad)))
