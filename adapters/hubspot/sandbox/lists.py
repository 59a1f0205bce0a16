"""Lists of the made-up HubSpot and who is on them, as the lists API (v3 and dated) tells."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint, whole
from adapters.hubspot.sandbox.table import Row
from adapters.hubspot.sandbox.wire import iso, problem
from connector.sandbox.control import json_response

LISTS = (  # id, name, how it is filled
    ("1", "MQLs of sales", "DYNAMIC"),
    ("2", "Customers", "DYNAMIC"),
    ("3", "Trade fair 2026", "MANUAL"),
)
_STAGES = {"1": "marketingqualifiedlead", "2": "customer"}
MOST_MEMBERS = 250


def search_lists(api: Api, request: Request, body: Any) -> Response:
    """By a piece of the name; `offset` and `count` page."""
    query = str(body.get("query") or "").lower()
    offset, count = int(body.get("offset") or 0), int(body.get("count") or 20)
    found = [each for each in LISTS if query in each[1].lower()]
    page = found[offset : offset + count]
    return json_response(
        {
            "lists": [_shown(each) for each in page],
            "offset": offset + len(page),
            "hasMore": offset + len(page) < len(found),
            "total": len(found),
        }
    )


def read_list(api: Api, request: Request, body: Any) -> Response:
    """One, by id."""
    return json_response({"list": _shown(_list(request))})


def list_members(api: Api, request: Request, body: Any) -> Response:
    """The record ids on a list, ascending."""
    id, _, _ = _list(request)
    limit = min(whole(request, "limit", 100), MOST_MEMBERS)
    after = whole(request, "after", 0)
    table = api.store.tables["contacts"]
    members = [
        row for row in (table.rows[live] for live in table.live) if row.id >= after and _is_on(api, id, row)
    ]
    page, rest = members[:limit], members[limit:]
    answer: dict[str, Any] = {
        "results": [{"recordId": str(row.id), "membershipTimestamp": iso(row.updated)} for row in page],
        "total": len(members),
    }
    if rest:
        answer["paging"] = {"next": {"after": str(rest[0].id)}}
    return json_response(answer)


def _is_on(api: Api, id: str, row: Row) -> bool:
    """A change of a list changes no contact: its `lastmodifieddate` stays."""
    if id in _STAGES:
        return row.values.get("lifecyclestage") == _STAGES[id]
    return api.store.on_list.get(id, {}).get(row.id, row.id % 10 == 0)


def _list(request: Request) -> tuple[str, str, str]:
    found = next((each for each in LISTS if each[0] == request.path_params["id"]), None)
    if found is None:
        raise problem(404, "OBJECT_NOT_FOUND", "List does not exist.", subCategory="ILS.LIST_NOT_FOUND")
    return found


def _shown(each: tuple[str, str, str]) -> dict[str, Any]:
    id, name, kind = each
    created = "2025-01-01T00:00:00Z"
    return {
        "listId": id,
        "listVersion": 1,
        "name": name,
        "objectTypeId": "0-1",
        "processingType": kind,
        "processingStatus": "COMPLETE",
        "createdAt": created,
        "updatedAt": created,
        "additionalProperties": {},
    }


def _both(rest: str) -> tuple[str, ...]:
    return ("/crm/v3/lists" + rest, "/crm/lists/{version}" + rest)


ENDPOINTS = (
    Endpoint("POST", _both("/search"), search_lists, "crm.lists.read"),
    Endpoint("GET", _both("/{id}/memberships"), list_members, "crm.lists.read"),
    Endpoint("GET", _both("/{id}"), read_list, "crm.lists.read"),
)
