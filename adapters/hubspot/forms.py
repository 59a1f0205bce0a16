"""Pull form submissions, with few calls. Joined to people by address only.

Source: developers.hubspot.com, "Get form submissions" (newest first, 50 a page, no filter by time).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.hubspot.api import FORMS, SUBMISSIONS, Api
from adapters.hubspot.cursors import (
    END,
    FLOOR,
    LAG,
    REFRESH_EVERY,
    Cursor,
    begun_at,
    cursor_time,
    iso,
    millis,
    unreadable_cursor,
)
from adapters.hubspot.errors import BadRequest
from adapters.hubspot.payload import lenient_moment, read_rows, submission
from adapters.hubspot.rows import next_after, not_a_page, number_id, results_of, search_result
from connector.core.model import JsonValue, Page, VendorEvent
from connector.errors import FixConfig
from connector.ports import Range
from connector.transport import Answer

LIST_PAGE = 100
SEARCH_PAGE = 200
FORM_OVERLAP = timedelta(minutes=5)
FORM_PAGE = 50
FEW_FORMS = 20  # below that, asking each is cheaper than finding out which


async def pull_submissions(api: Api, since: Cursor | None) -> AsyncIterator[Page]:
    """Form submissions, newest first per form, down to what is known.

    Asking 200 forms costs 200 calls, so an increment first asks one question: which contacts converted
    since? Nobody: done, one call. Somebody: the forms their last conversion names (all of them where there
    are few, or where a name fits no form). Once a week every form is asked, for the conversion a later one
    hid. No submission at all, where contacts have sent forms, is no answer: FixConfig.
    """
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
        raise unreadable_cursor("form_submissions", since)
    until, full = cursor_time(since, "until"), cursor_time(since, "full")
    if now - full >= REFRESH_EVERY:
        async for page in _all_forms(api, now, full - FORM_OVERLAP, None, first=False):
            yield page
        return
    names = await _recent_conversions(api, until - FORM_OVERLAP, now)
    polled: dict[str, JsonValue] = dict(since.get("polled") or {})
    forms = await _forms(api) if names else []
    seen = not names
    for guid, name in _named(forms, names):
        floor = cursor_time(polled, guid) if guid in polled else full
        async for rows, _ in _submissions(api, guid, floor - FORM_OVERLAP):
            seen = True
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
    if not seen and await _all_hidden(api, forms):
        raise _scope_missing()
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
    """Every form in the order of its id, from the form where a broken-off round stood: rows had come by then."""
    forms = sorted(await _forms(api))
    done: Cursor = {"kind": "conversions", "until": iso(started - LAG), "full": iso(started - LAG)}
    at = {"kind": "forms", "started": iso(started), "until": iso(floor), "first": first}
    seen = begun is not None
    for guid, name in forms:
        if begun and guid < str(begun):
            continue
        async for rows, _ in _submissions(api, guid, floor):
            seen = True
            events, bad = read_rows(rows, "form_submissions", _reader(guid, name))
            cursor = {**at, "form": guid}
            yield Page("form_submissions", cursor, (), tuple(events), tuple(bad), len(rows), first)
    if not seen and await _anybody(api, floor, started) and (first or await _all_hidden(api, forms)):
        raise _scope_missing()
    yield Page("form_submissions", done, first_load=first)


async def _all_hidden(api: Api, forms: Sequence[tuple[str, str]]) -> bool:
    """Whether not one form shows one submission, of whatever time."""
    for guid, _ in forms:
        async for _ in _submissions(api, guid, FLOOR):
            return False
    return True


def _scope_missing() -> FixConfig:
    """HubSpot answers with empty lists, not with 403, where the scope is missing (seen by others in the field)."""
    return FixConfig(
        "HubSpot shows no form submission at all, although contacts have sent forms: the app seems to lack the scope"
        " `forms`.",
        next_step="Add the scope `forms` to the app (or service key) in HubSpot. Where nobody is to read submissions,"
        " take `form_submissions` out of mappings/hubspot.yaml.",
        where="form_submissions",
    )


def _reader(guid: str, name: str) -> Callable[[Any], VendorEvent]:
    return lambda row: submission(row, guid, name)


async def _recent_conversions(api: Api, lo: datetime, hi: datetime) -> set[str]:
    """What the contacts who converted in this time last converted on: "Page title: Form name"."""
    names: set[str] = set()
    last = "0"
    while True:
        answer = await _converted(api, lo, hi, last, SEARCH_PAGE)
        _, hits = search_result(answer)
        for hit in hits:
            properties = hit.get("properties") or {}
            names.add(str(properties.get("recent_conversion_event_name") or ""))
        if len(hits) < SEARCH_PAGE:
            return names
        highest = str(max(number_id(hit, answer) for hit in hits))
        if int(highest) <= int(last):
            raise not_a_page(answer)
        last = highest


async def _anybody(api: Api, lo: datetime, hi: datetime) -> bool:
    """Whether any contact converted in this time."""
    total, _ = search_result(await _converted(api, lo, hi, "0", 1))
    return total > 0


async def _converted(api: Api, lo: datetime, hi: datetime, above: str, limit: int) -> Answer:
    """A page of the contacts who converted in this time, by id."""
    times = {"operator": "BETWEEN", "value": str(millis(lo)), "highValue": str(millis(hi))}
    filters = [
        {"propertyName": "recent_conversion_date", **times},
        {"propertyName": "num_conversion_events", "operator": "GT", "value": "0"},
        {"propertyName": "hs_object_id", "operator": "GT", "value": above},
    ]
    body = {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": ["recent_conversion_event_name"],
        "limit": limit,
    }
    return await api.post(f"{api.paths.objects('contacts')}/search", body, policy="search")


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
    params = {"limit": LIST_PAGE, "formTypes": "hubspot,captured,flow"}
    return [
        (str(row["id"]), str(row.get("name") or ""))
        async for rows, _ in api.pages(FORMS, params)
        for row in rows
        if isinstance(row, Mapping) and row.get("id")
    ]


async def _submissions(
    api: Api, guid: str, floor: datetime, after: str | None = None
) -> AsyncIterator[tuple[list[Any], str | None]]:
    """One form's submissions, newest first, down to `floor`, and where the next page begins."""
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
        following = next_after(answer) if len(fresh) == len(rows) else None
        if fresh:
            yield fresh, following
        if following is None:
            return
        if following == after or not rows:
            raise not_a_page(answer)
        after = following


def _at_least(row: Any, floor: datetime) -> bool:
    """A row that cannot be read counts as new, so that it is set apart and not lost."""
    submitted = lenient_moment(row.get("submittedAt")) if isinstance(row, Mapping) else None
    return submitted is None or submitted >= floor


# ------------------------------------------------------------------------------------------------ of backfills


async def least_calls(api: Api, within: Range) -> int:
    """HubSpot does not count submissions; each form takes a call at least."""
    return 1 + len(await _forms(api))


async def backfill(api: Api, within: Range, begun: Cursor | None) -> AsyncIterator[Page]:
    """Submissions of a range, form by form in the order of their ids, newest first."""
    at = begun_at(begun, "backfill-forms", "form", "form_submissions")
    place = begun_at(begun, "backfill-forms", "after", "form_submissions")
    floor = within.since or FLOOR
    for guid, name in sorted(await _forms(api)):
        if at is not None and (guid < at or (guid == at and place == END)):
            continue
        async for rows, following in _resumed(api, guid, floor, place if guid == at else None):
            events, bad = read_rows(rows, "form_submissions", _reader(guid, name))
            told = [event for event in events if within.holds(event.occurred_at)]
            cursor = {"kind": "backfill-forms", "form": guid, "after": following or END}
            yield Page(
                "form_submissions", cursor, (), tuple(told), tuple(bad), len(told) + len(bad), first_load=True
            )


async def _resumed(
    api: Api, guid: str, floor: datetime, after: str | None
) -> AsyncIterator[tuple[list[Any], str | None]]:
    """The form's pages from there on; from its newest one where HubSpot no longer knows the place."""
    came = False
    try:
        async for page in _submissions(api, guid, floor, after):
            came = True
            yield page
    except BadRequest:
        if came or after is None:
            raise
        async for page in _submissions(api, guid, floor):
            yield page
