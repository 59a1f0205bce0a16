"""Who may own records in Salesforce: its users with their addresses and managers, and its queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.payload import CRM
from adapters.salesforce.rest import Rest
from connector.ports import CrmUser

USER = ("Id", "Name", "Email", "IsActive", "ManagerId")
QUEUE = ("Id", "Name", "Email")


async def owners(rest: Rest) -> Sequence[CrmUser]:
    """All users of the org itself (no portal's or community's), active or not, and all queues: two calls, one more
    per 2,000. Raises FixConfig, RetryLater."""
    users = await rest.all_rows(soql.select(USER, "User", ("UserType = 'Standard'",)))
    queues = await rest.all_rows(soql.select(QUEUE, "Group", ("Type = 'Queue'",)))
    return [*map(_user, users), *(_queue(row) for row in queues)]


def _user(row: Mapping[str, Any]) -> CrmUser:
    return CrmUser(
        CRM,
        str(row["Id"]),
        str(row.get("Name") or ""),
        str(row.get("Email") or "").strip().lower(),
        active=row.get("IsActive") is not False,
        manager=str(row.get("ManagerId") or ""),
    )


def _queue(row: Mapping[str, Any]) -> CrmUser:
    email = str(row.get("Email") or "").strip().lower()
    return CrmUser(CRM, str(row["Id"]), str(row.get("Name") or ""), email, queue=True)
