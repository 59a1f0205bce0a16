"""Names of marketing e-mails, by the campaign ids that their events carry. Each is asked for once while we run.

Sources: developers.hubspot.com, "Email events" (campaigns have no list with names) and "Marketing emails". The list of
marketing e-mails is read without statistics: with `includeStats=true` HubSpot leaves e-mails out (seen in the field).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.hubspot.api import EMAIL_CAMPAIGNS, Api
from adapters.hubspot.errors import BadRequest, Forbidden

MANY = 20  # unknown ids from which the list, a hundred a call, may save calls
LIST_PAGE = 100
TOGETHER = 20

Names = Mapping[str, str | None]


async def campaign_names(api: Api, rows: Iterable[Mapping[str, Any]]) -> Names:
    """The names behind the `emailCampaignId` of these events; None for a campaign that HubSpot no longer knows."""
    asked = {
        str(row["emailCampaignId"]): str(row.get("appId") or "") for row in rows if row.get("emailCampaignId")
    }
    known = api.campaigns
    if len(asked.keys() - known.keys()) > MANY:
        known.update(await _listed(api))
    unknown = sorted(asked.keys() - known.keys())
    for start in range(0, len(unknown), TOGETHER):
        part = unknown[start : start + TOGETHER]
        names = await asyncio.gather(*(_looked_up(api, id_, asked[id_]) for id_ in part))
        known.update(zip(part, names, strict=True))
    return known


async def _listed(api: Api) -> dict[str, str | None]:
    """Names by campaign id, as far as the account's marketing e-mails tell their campaign ids.

    Nothing where the list is refused: it saves calls and is no source of its own.
    """
    found: dict[str, str | None] = {}
    try:
        async for rows, _ in api.pages(api.paths.marketing_emails, {"limit": LIST_PAGE}):
            for row in rows:
                if isinstance(row, Mapping) and (name := row.get("name") or row.get("subject")):
                    ids = [*(row.get("allEmailCampaignIds") or ()), row.get("primaryEmailCampaignId")]
                    found.update({str(id_): str(name) for id_ in ids if id_})
    except (BadRequest, Forbidden):
        pass
    return found


async def _looked_up(api: Api, id_: str, app: str) -> str | None:
    try:
        answer = await api.get(f"{EMAIL_CAMPAIGNS}/{id_}", {"appId": app or None})
    except BadRequest as error:
        if error.answer.status in (400, 404):
            return None
        raise
    document = answer.json if isinstance(answer.json, Mapping) else {}
    name = document.get("name") or document.get("subject")
    return str(name) if name else None
