"""Marketing e-mails of the made-up HubSpot. Changes nothing."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint, flag, whole
from adapters.hubspot.sandbox.wire import iso, problem
from connector.sandbox.control import json_response

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
    at = iso(api.store.now())
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


ENDPOINTS = (
    Endpoint("GET", ("/marketing/v3/emails", "/marketing/v3/emails/", "/marketing/emails/{version}"),
             list_emails, "content"),
    Endpoint("GET", ("/marketing/v3/emails/{id}", "/marketing/emails/{version}/{id}"), read_email, "content"),
)  # fmt: skip
