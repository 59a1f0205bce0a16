"""Marketing e-mails and marketing events of the made-up HubSpot. Changes nothing."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint, flag, whole
from adapters.hubspot.sandbox.attendance import MarketingEvent, Participation, newest
from adapters.hubspot.sandbox.wire import iso, problem
from connector.sandbox.control import json_response

SCOPE = "crm.objects.marketing_events.read"
PUBLISHED = 1_750_000_000_000
EMAIL_IDS = 160_000_000_000  # a marketing e-mail has an id of its own beside those of its campaigns


def list_emails(api: Api, request: Request, body: Any) -> Response:
    """Marketing e-mails. With statistics some are left out, as was seen of the real list."""
    limit, after = whole(request, "limit", 10), whole(request, "after", 0)
    found = [_email(api, id) for id in sorted(api.store.email_campaigns)]
    if flag(request, "includeStats"):
        found = [{**email, "stats": {"counters": {"sent": 1}}} for email in found[::2]]
    answer: dict[str, Any] = {"total": len(found), "results": found[after : after + limit]}
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return json_response(answer)


def read_email(api: Api, request: Request, body: Any) -> Response:
    """One of them; here the statistics cost nothing."""
    id = request.path_params["id"]
    campaign = int(id) - EMAIL_IDS if id.isdigit() else 0
    if campaign not in api.store.email_campaigns:
        raise problem(404, "OBJECT_NOT_FOUND", "resource not found")
    return json_response(_email(api, campaign))


def _email(api: Api, campaign: int) -> dict[str, Any]:
    name = api.store.email_campaigns[campaign]
    at = iso(PUBLISHED)
    shown: dict[str, Any] = {
        "id": str(EMAIL_IDS + campaign),
        "name": name,
        "subject": name,
        "state": "PUBLISHED",
        "type": "BATCH_EMAIL",
        "subcategory": "batch",
        "content": {},
        "subscriptionDetails": {},
        "to": {},
        "from": {},
        "sendOnPublish": True,
        "archived": False,
        "createdAt": at,
        "updatedAt": at,
        "isPublished": True,
    }
    if api.store.habits.emails_tell_campaigns:
        shown |= {"primaryEmailCampaignId": campaign, "allEmailCampaignIds": [campaign]}
    return shown


def list_events(api: Api, request: Request, body: Any) -> Response:
    """All of them, with counts of participants by state."""
    limit, after = whole(request, "limit", 10), whole(request, "after", 0)
    found = sorted(api.store.marketing_events.values(), key=lambda event: event.id)
    answer: dict[str, Any] = {"results": [_event(event) for event in found[after : after + limit]]}
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return json_response(answer)


def list_participations(api: Api, request: Request, body: Any) -> Response:
    """One event's, by HubSpot's own id of the event; of erased people none."""
    event = _asked_for(api, request)
    limit, after = whole(request, "limit", 10), whole(request, "after", 0)
    rows = event.participations if api.store.habits.all_states else newest(event)
    state = request.query_params.get("state")
    contacts = api.store.tables["contacts"]
    rows = [row for row in rows if row.contact in contacts.rows and (not state or row.state == state)]
    answer: dict[str, Any] = {
        "total": len(rows),
        "results": [_participation(api, event, row) for row in rows[after : after + limit]],
    }
    if after + limit < len(rows):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return json_response(answer)


def read_event(api: Api, request: Request, body: Any) -> Response:
    """One event by HubSpot's own id."""
    return json_response(_event(_asked_for(api, request)))


def list_of_contact(api: Api, request: Request, body: Any) -> Response:
    """What one contact took part in, by record id or address."""
    asked = request.path_params["contact"]
    row = api.store.contact_of(asked) if "@" in asked else api.store.tables["contacts"].get(asked)
    limit, after = whole(request, "limit", 10), whole(request, "after", 0)
    found = [
        (event, each)
        for event in api.store.marketing_events.values()
        for each in (event.participations if api.store.habits.all_states else newest(event))
        if row is not None and each.contact == row.id
    ]
    answer: dict[str, Any] = {
        "total": len(found),
        "results": [_participation(api, *pair) for pair in found[after : after + limit]],
    }
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return json_response(answer)


def count_participations(api: Api, request: Request, body: Any) -> Response:
    """How many there are per state."""
    counts = _counts(_asked_for(api, request))
    return json_response(
        {
            "attended": counts["attendees"],
            "registered": counts["registrants"],
            "cancelled": counts["cancellations"],
            "noShows": counts["noShows"],
        }
    )


def _asked_for(api: Api, request: Request) -> MarketingEvent:
    """By its id, or by the id that the webinar tool gave it."""
    id = request.path_params["id"].removeprefix("webinar-")
    event = api.store.marketing_events.get(int(id)) if id.isdigit() else None
    if event is None:
        raise problem(404, "OBJECT_NOT_FOUND", f"Marketing event {id} does not exist")
    return event


def _counts(event: MarketingEvent) -> dict[str, int]:
    states = [each.state for each in newest(event)]
    return {
        "registrants": len({each.contact for each in event.participations if each.state == "REGISTERED"}),
        "attendees": states.count("ATTENDED"),
        "cancellations": states.count("CANCELLED"),
        "noShows": states.count("NO_SHOW"),
    }


def _event(event: MarketingEvent) -> dict[str, Any]:
    return {
        "objectId": str(event.id),
        "externalEventId": f"webinar-{event.id}",
        "eventName": event.name,
        "eventType": event.type,
        "eventOrganizer": "Our Company",
        "eventUrl": f"https://www.our-company.example/events/{event.id}",
        "startDateTime": iso(event.start),
        "endDateTime": iso(event.end),
        "eventCancelled": False,
        "createdAt": iso(event.created),
        "updatedAt": iso(event.updated),
        "customProperties": [],
        **_counts(event),
    }


def _participation(api: Api, event: MarketingEvent, row: Participation) -> dict[str, Any]:
    contacts = api.store.tables["contacts"]
    contact = contacts.survivor(contacts.rows[row.contact])
    properties: dict[str, Any] = {"attendanceState": row.state, "occurredAt": row.at}
    if row.seconds is not None:
        properties |= {"attendanceDurationSeconds": row.seconds, "attendancePercentage": "0.75"}
    return {
        "id": str(row.id),
        "createdAt": iso(row.at),
        "properties": properties,
        "associations": {
            "contact": {
                "contactId": str(contact.id),
                "email": contact.values.get("email", ""),
                "firstname": contact.values.get("firstname", ""),
                "lastname": contact.values.get("lastname", ""),
            },
            "marketingEvent": {
                "marketingEventId": str(event.id),
                "name": event.name,
                "externalEventId": f"webinar-{event.id}",
                "externalAccountId": "account-1",
            },
        },
    }


_ROOTS = ("/marketing/v3/marketing-events", "/marketing/marketing-events/{version}")


def _under(*rests: str) -> tuple[str, ...]:
    return tuple(f"{root}{rest}" for root in _ROOTS for rest in rests)


# Longer paths come first: `contacts` would pass for the account of a webinar tool.
ENDPOINTS = (
    Endpoint(
        "GET",
        ("/marketing/v3/emails", "/marketing/v3/emails/", "/marketing/emails/{version}"),
        list_emails,
        "content",
    ),
    Endpoint("GET", ("/marketing/v3/emails/{id}", "/marketing/emails/{version}/{id}"), read_email, "content"),
    Endpoint("GET", _under("/participations/contacts/{contact}/breakdown"), list_of_contact, SCOPE),
    Endpoint(
        "GET",
        _under("/participations/{id}/breakdown", "/participations/{account}/{id}/breakdown"),
        list_participations,
        SCOPE,
    ),
    Endpoint(
        "GET", _under("/participations/{id}", "/participations/{account}/{id}"), count_participations, SCOPE
    ),
    Endpoint("GET", (*_ROOTS, f"{_ROOTS[0]}/"), list_events, SCOPE),
    Endpoint("GET", _under("/{id}"), read_event, SCOPE),
)
