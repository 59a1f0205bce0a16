"""Behavioural events of the made-up HubSpot: page visits, of one record per question. Changes nothing."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint, whole
from adapters.hubspot.sandbox.store import Visit
from adapters.hubspot.sandbox.wire import invalid, iso, made_uuid, problem, read_ms
from connector.sandbox.control import json_response

MOST_ON_PAGE = 1_000
PAGE_VISIT = "e_visited_page"


def list_occurrences(api: Api, request: Request, body: Any) -> Response:
    """Oldest or newest first by `sort`. Accounts below Enterprise are refused."""
    _enterprise_or_refuse(api)
    asked = request.query_params
    limit, after = whole(request, "limit", 100), whole(request, "after", 0)
    if not 1 <= limit <= MOST_ON_PAGE:
        raise invalid(f"limit must be between 1 and {MOST_ON_PAGE}, was {limit}")
    contacts = api.store.tables["contacts"]
    row = contacts.get(asked.get("objectId", ""))
    if asked.get("objectType", "").lower() not in ("contact", "0-1") or not asked.get("objectId"):
        raise invalid("objectType and objectId are required.")
    low = read_ms(asked.get("occurredAfter", "")) or 0
    high = read_ms(asked.get("occurredBefore", "")) or 1 << 60
    kind = asked.get("eventType", PAGE_VISIT)
    visits = [] if row is None or kind != PAGE_VISIT else _visits(api, contacts.survivor(row).id)
    found = [visit for visit in visits if low <= visit.at <= high]
    found.sort(key=lambda visit: visit.at, reverse=asked.get("sort", "-occurredAt").startswith("-"))
    answer: dict[str, Any] = {
        "results": [_shown(visit, asked["objectId"]) for visit in found[after : after + limit]]
    }
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return json_response(answer)


def list_types(api: Api, request: Request, body: Any) -> Response:
    """Which kinds of events the account has."""
    _enterprise_or_refuse(api)
    return json_response({"eventTypes": [PAGE_VISIT]})


def _enterprise_or_refuse(api: Api) -> None:
    if not api.store.habits.enterprise:
        raise problem(403, "ACCESS_DENIED", "This account does not have access to event occurrences.")


def _visits(api: Api, contact: int) -> list[Visit]:
    """Those of the contact and of whom it absorbed."""
    absorbed = api.store.tables["contacts"].rows[contact].values.get("hs_merged_object_ids", "")
    ids = [contact, *(int(id) for id in absorbed.split(";") if id)]
    return [visit for id in ids for visit in api.store.visits.get(id, [])]


def _shown(visit: Visit, contact: str) -> dict[str, Any]:
    return {
        "id": made_uuid(visit.n, 7),
        "eventType": PAGE_VISIT,
        "occurredAt": iso(visit.at),
        "objectType": "CONTACT",
        "objectId": contact,
        "properties": {"hs_url": visit.url, "hs_referrer": "", "hs_title": "A page"},
    }


ENDPOINTS = (
    Endpoint(
        "GET",
        ("/events/v3/events", "/events/v3/events/", "/events/event-occurrences/{version}"),
        list_occurrences,
    ),
    Endpoint(
        "GET",
        ("/events/v3/events/event-types", "/events/event-occurrences/{version}/event-types"),
        list_types,
    ),
)
