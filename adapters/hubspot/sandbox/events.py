"""Forms, form submissions, e-mail events and associations of the made-up HubSpot. Changes nothing.

Form submissions and e-mail events are v1 endpoints without a dated twin.
"""

from __future__ import annotations

import base64
import uuid
from bisect import bisect_left, bisect_right
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox import deals
from adapters.hubspot.sandbox.api import Api, Endpoint, names, whole
from adapters.hubspot.sandbox.gate import PORTAL
from adapters.hubspot.sandbox.shapes import links_of
from adapters.hubspot.sandbox.store import EmailEvent, Form
from adapters.hubspot.sandbox.wire import batch_reply, error_body, invalid, iso, problem
from connector.sandbox.control import json_response

MOST_SUBMISSIONS = 50
MOST_EVENTS = 1_000
MOST_ASSOCIATIONS = 1_000
MOST_LINKS = 500  # of one record in one answer
OFFSET_LIVES_MS = int(4.5 * 3_600_000)  # measured by a public connector; then the window must be begun again
APP = 113
EVENT_TYPES = frozenset(
    {
        "SENT", "PROCESSED", "DROPPED", "MTA_DROPPED", "DEFERRED", "DELIVERED", "BOUNCE", "OPEN", "CLICK",
        "CLICK_ON_IDENTIFIED_LINK", "PRINT", "FORWARD", "REPLY", "SPAMREPORT", "STATUSCHANGE", "UNSUBSCRIBED",
        "SUPPRESSED", "SELECTED", "UNBOUNCE", "OPT_IN_CHANGE", "ERROR",
    }
)  # fmt: skip


def list_forms(api: Api, request: Request, body: Any) -> Response:
    """Without `formTypes` only plain HubSpot forms."""
    limit = whole(request, "limit", 20)
    after = whole(request, "after", 0)
    kinds = names(request, "formTypes") or ["hubspot"]
    found = [form for form in api.store.forms.values() if form.kind in kinds or "all" in kinds]
    answer: dict[str, Any] = {"results": [_form(form) for form in found[after : after + limit]]}
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return json_response(answer)


def list_submissions(api: Api, request: Request, body: Any) -> Response:
    """Newest first, without a time filter. Without the scope it is empty rather than refused."""
    limit = whole(request, "limit", 20)
    if not 1 <= limit <= MOST_SUBMISSIONS:
        raise invalid(f"limit must be between 1 and {MOST_SUBMISSIONS}, was {limit}")
    form = api.store.forms.get(request.path_params["guid"])
    if "forms" not in request.state.scopes or api.store.habits.submissions_hidden:
        return json_response({"results": []})
    if form is None:
        raise problem(404, "OBJECT_NOT_FOUND", "No form found")
    if form.kind == "blog_comment":
        raise problem(400, "VALIDATION_ERROR", "Form type not allowed", errorType="FORM_TYPE_NOT_ALLOWED")
    rows = form.submissions
    end = len(rows)
    token = request.query_params.get("after")
    if token:
        at, _, conversion = _opened(token).partition(":")
        end = bisect_left(rows, (int(at), conversion))
    chosen = rows[max(0, end - limit) : end][::-1]
    answer: dict[str, Any] = {"results": [_submission(*row) for row in chosen]}
    if end - limit > 0:
        answer["paging"] = {"next": {"after": _sealed(f"{chosen[-1][0]}:{chosen[-1][1]}")}}
    return json_response(answer)


def list_email_events(api: Api, request: Request, body: Any) -> Response:
    """Newest first, `endTimestamp` included. The offset is opaque and short-lived."""
    limit = whole(request, "limit", 10)
    if not 1 <= limit <= MOST_EVENTS:
        raise invalid(f"limit must be between 1 and {MOST_EVENTS}, was {limit}")
    kind = request.query_params.get("eventType", "")
    if kind and kind not in EVENT_TYPES:
        raise invalid(f"Invalid eventType {kind}")
    events = api.store.email_events
    low = bisect_left(events, EmailEvent(whole(request, "startTimestamp", 0), ""))
    high = bisect_right(events, EmailEvent(whole(request, "endTimestamp", 1 << 60), "\x7f"))
    now = api.store.now()
    token = request.query_params.get("offset")
    if token:
        issued, created, id = _opened(token).split(":", 2)
        if now - int(issued) > OFFSET_LIVES_MS:
            raise invalid("The offset has expired.")
        high = min(high, bisect_left(events, EmailEvent(int(created), id)))
    recipient = request.query_params.get("recipient", "").lower()
    chosen: list[EmailEvent] = []
    place = high
    while place > low and len(chosen) < limit:
        place -= 1
        event = events[place]
        if (not kind or event.type == kind) and (not recipient or event.recipient == recipient):
            chosen.append(event)
    last = events[place] if place < high else None
    answer: dict[str, Any] = {"hasMore": place > low, "events": [_event(event) for event in chosen]}
    if place > low and last is not None:
        answer["offset"] = _sealed(f"{now}:{last.created}:{last.id}")
    return json_response(answer)


def read_email_campaign(api: Api, request: Request, body: Any) -> Response:
    """The name behind `emailCampaignId`."""
    id = request.path_params["id"]
    name = api.store.email_campaigns.get(int(id)) if id.isdigit() else None
    if name is None:
        raise problem(404, "OBJECT_NOT_FOUND", "No campaign found")
    return json_response({"id": int(id), "appId": APP, "name": name, "subject": name, "type": "BATCH_EMAIL"})


def read_associations(api: Api, request: Request, body: Any) -> Response:
    """Per input its links. Having none is an error entry in a 207, and no failure."""
    one, two = api.table(request, "one"), api.table(request, "two")
    inputs = body.get("inputs") or []
    if len(inputs) > MOST_ASSOCIATIONS:
        raise invalid(f"The maximum number of inputs is {MOST_ASSOCIATIONS}, was {len(inputs)}.")
    dated = "version" in request.path_params
    results, errors = [], []
    for given in inputs:
        id = str(given.get("id"))
        linked = links_of(api, one, two, int(id)) if id.isdigit() else []
        if not linked:
            errors.append(_no_associations(id, one.singular, two.singular))
            continue
        begin = int(str(given.get("after") or 0))
        to = [
            {"toObjectId": str(other) if dated else other, "associationTypes": types}
            for other, types in linked[begin : begin + MOST_LINKS]
        ]
        result: dict[str, Any] = {"from": {"id": id}, "to": to}
        if begin + MOST_LINKS < len(linked):
            result["paging"] = {"next": {"after": str(begin + MOST_LINKS)}}
        results.append(result)
    return batch_reply(
        results, errors, api.store.now(), dated_200=request.path_params.get("version", "") >= "2026-09"
    )


def list_associations(api: Api, request: Request, body: Any) -> Response:
    """Links of one record."""
    one, two = api.table(request, "one"), api.table(request, "two")
    id = request.path_params["id"]
    linked = links_of(api, one, two, int(id)) if id.isdigit() else []
    dated = "version" in request.path_params
    return json_response(
        {
            "results": [
                {"toObjectId": str(other) if dated else other, "associationTypes": types}
                for other, types in linked
            ]
        }
    )


def _of_links(api: Api, request: Request) -> str:
    """One of the two sides tells its scope; deals have one of their own."""
    sides = {api.table(request, side).name for side in ("one", "two")}
    return deals.READ if deals.DEALS in sides else "crm.objects.contacts.read"


def _no_associations(id: str, one: str, two: str) -> dict[str, Any]:
    return error_body(
        "OBJECT_NOT_FOUND",
        f"No {two} is associated with {one} {id}.",
        subCategory="crm.associations.NO_ASSOCIATIONS_FOUND",
        context={"fromObjectId": [id]},
    )


def _form(form: Form) -> dict[str, Any]:
    return {
        "id": form.guid,
        "name": form.name,
        "createdAt": iso(form.created),
        "updatedAt": iso(form.created),
        "archived": False,
        "formType": form.kind,
        "fieldGroups": [],
    }


def _submission(at: int, conversion: str, values: tuple[tuple[str, str], ...], page: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "submittedAt": at,
        "values": [{"name": name, "value": value, "objectTypeId": "0-1"} for name, value in values],
        "pageUrl": page,
    }
    if conversion:
        shown["conversionId"] = conversion
    return shown


def _event(event: EmailEvent) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": event.id,
        "created": event.created,
        "type": event.type,
        "recipient": event.recipient,
        "portalId": PORTAL,
        "appId": APP,
        "appName": "Batch",
        "emailCampaignId": event.campaign,
        "sentBy": {"id": _message(event), "created": event.sent or event.created - 3_600_000},
    }
    if event.agent:
        shown["userAgent"] = event.agent
    if event.type in ("OPEN", "CLICK"):
        shown["filteredEvent"] = event.filtered
    if event.url:
        shown["url"] = event.url
    if event.subscriptions:
        shown["subscriptions"] = [{"id": id, "status": status} for id, status in event.subscriptions]
        shown["source"] = "SOURCE_RECIPIENT"
    return shown


def _message(event: EmailEvent) -> str:
    """The id of the mail that this recipient got of a campaign."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sent:{event.campaign}:{event.recipient}"))


def _sealed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _opened(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        text = ""
    if ":" not in text or not text.partition(":")[0].isdigit():
        raise invalid("Invalid paging cursor.")
    return text


ENDPOINTS = (
    Endpoint("GET", ("/marketing/v3/forms", "/marketing/forms/{version}-beta"), list_forms, "forms"),
    Endpoint("GET", ("/form-integrations/v1/submissions/forms/{guid}",), list_submissions),
    Endpoint("GET", ("/email/public/v1/events",), list_email_events, "content"),
    Endpoint("GET", ("/email/public/v1/campaigns/{id}",), read_email_campaign, "content"),
    Endpoint(
        "POST",
        ("/crm/v4/associations/{one}/{two}/batch/read", "/crm/associations/{version}/{one}/{two}/batch/read"),
        read_associations,
        _of_links,
        "associations",
    ),
    Endpoint(
        "GET",
        (
            "/crm/v4/objects/{one}/{id}/associations/{two}",
            "/crm/objects/{version}/{one}/{id}/associations/{two}",
        ),
        list_associations,
        _of_links,
        "associations",
    ),
)
