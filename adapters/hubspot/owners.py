"""Who may own records in HubSpot, and their addresses. HubSpot's owners have no manager, and it has no queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.payload import CRM
from connector.ports import CrmUser

PAGE = 500  # HubSpot, "Owners": at most 500 a page


async def owners(api: Api) -> Sequence[CrmUser]:
    """All of them; one who was removed or deactivated is archived. Raises FixConfig where the token lacks
    `crm.objects.owners.read`, RetryLater."""
    found: dict[str, CrmUser] = {}
    for archived in (True, False):  # whoever is both was put back
        params = {"limit": PAGE, "archived": str(archived).lower()}
        async for rows, _ in api.pages(api.paths.owners, params):
            found.update(
                {each.id: each for row in rows if isinstance(row, Mapping) and (each := _owner(row))}
            )
    return [found[id] for id in sorted(found)]


def _owner(row: Mapping[str, Any]) -> CrmUser | None:
    id = str(row.get("id") or "")
    name = " ".join(str(row.get(part) or "") for part in ("firstName", "lastName")).strip()
    email = str(row.get("email") or "").strip().lower()
    return CrmUser(CRM, id, name or email, email, active=row.get("archived") is not True) if id else None
