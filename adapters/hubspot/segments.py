"""Who is on a list of HubSpot, called a segment by now: read, never changed.

Lists API v3 (developers.hubspot.com "Lists"): memberships come by 250, in order of the record's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.errors import BadRequest
from adapters.hubspot.rows import next_after, results_of
from connector.errors import FixConfig, StopRun

PAGE = 250
CONTACTS = "0-1"


async def members(api: Api, segment: str) -> frozenset[str]:
    """Ids of the contacts on a list, named by its id or its whole name. FixConfig where there is no such list of
    contacts, or where several have this name."""
    number = await list_id(api, segment)
    found: set[str] = set()
    after: str | None = None
    while True:
        params: dict[str, Any] = {"limit": PAGE, **({"after": after} if after else {})}
        answer = await api.get(f"{api.paths.lists}/{number}/memberships", params)
        for row in results_of(answer):
            if not isinstance(row, Mapping) or not row.get("recordId"):
                raise StopRun(
                    f"HubSpot told a member of list {number} without its record.",
                    next_step="Nothing of this list was taken over. Run again; report it if it repeats.",
                    where="hubspot",
                )
            found.add(str(row["recordId"]))
        following = next_after(answer)
        if not following or following == after:
            return frozenset(found)
        after = following


async def list_id(api: Api, segment: str) -> str:
    """The list's id. FixConfig, with the next step, where nobody can tell which list of contacts is meant."""
    if segment.isdecimal():
        try:
            answer = await api.get(f"{api.paths.lists}/{segment}")
        except BadRequest as error:
            if error.answer.status == 404:
                raise _unknown(segment) from error
            raise
        one = answer.json.get("list") if isinstance(answer.json, Mapping) else None
        rows = [one] if isinstance(one, Mapping) else []
    else:
        answer = await api.post(f"{api.paths.lists}/search", {"query": segment, "offset": 0, "count": 500})
        told = answer.json.get("lists") if isinstance(answer.json, Mapping) else None
        wanted = segment.strip().casefold()
        rows = [
            row
            for row in told or ()
            if isinstance(row, Mapping) and str(row.get("name") or "").strip().casefold() == wanted
        ]
    rows = [row for row in rows if str(row.get("objectTypeId") or CONTACTS) == CONTACTS]
    if not rows:
        raise _unknown(segment)
    if len(rows) > 1:
        numbers = ", ".join(sorted(str(row.get("listId")) for row in rows))
        raise FixConfig(
            f"Several lists are called `{segment}`.",
            next_step=f"Name one of {numbers} under `override.segments` in the mapping.",
            where="hubspot",
        )
    return str(rows[0].get("listId"))


def _unknown(segment: str) -> FixConfig:
    return FixConfig(
        f"HubSpot has no list of contacts `{segment}`.",
        next_step="Correct `override.segments` in the mapping: a list's id, or its whole name.",
        where="hubspot",
    )
