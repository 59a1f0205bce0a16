"""Everything of an org that a mapping may name by id or label. What the user may not see is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from adapters.salesforce import soql
from adapters.salesforce.checks import fields_by_name
from adapters.salesforce.rest import Rest
from connector.errors import ConnectorError, FixConfig
from connector.ports import Named

log = structlog.get_logger(__name__)

STAGE_FIELD = "Lifecycle_Stage__c"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Source:
    """One kind of thing: the query that finds it, and which column is what. `name`: the same in every org."""

    kind: str
    object: str
    columns: tuple[str, ...]
    label: str
    name: str = ""
    where: tuple[str, ...] = ()
    holds: Callable[[Row], bool] = field(default=lambda row: True)
    id: str = "Id"


SOURCES: tuple[_Source, ...] = (
    _Source("status", "LeadStatus", ("ApiName", "MasterLabel"), "MasterLabel", "ApiName", id="ApiName"),
    _Source(
        "opportunity_stage",
        "OpportunityStage",
        ("ApiName", "MasterLabel", "IsActive"),
        "MasterLabel",
        "ApiName",
        holds=lambda row: row.get("IsActive") is not False,
        id="ApiName",
    ),
    _Source("campaign", "Campaign", ("Id", "Name"), "Name"),
    _Source(
        "record_type",
        "RecordType",
        ("Id", "Name", "DeveloperName", "SobjectType"),
        "Name",
        "DeveloperName",
        holds=lambda row: row.get("SobjectType") in ("Lead", "Contact", "Account", "Opportunity"),
    ),
    _Source("owner", "User", ("Id", "Name", "Username"), "Name", "Username", where=("IsActive = true",)),
    _Source("queue", "Group", ("Id", "Name"), "Name", where=("Type = 'Queue'",)),
)


async def catalog(rest: Rest) -> Sequence[Named]:
    """Stages in the picklist's order; then statuses, opportunity stages, campaigns, record types, owners and queues.

    About seven calls, one more per 2,000 campaigns or users. Raises RetryLater.
    """
    found = await _stages(rest)
    for source in SOURCES:
        try:
            rows = await rest.all_rows(soql.select(source.columns, source.object, source.where))
        except FixConfig as error:
            log.info("names_not_readable", crm="salesforce", what=source.kind, why=error.message)
            continue
        found += [
            Named(
                source.kind,
                str(row[source.id]),
                str(row.get(source.label) or ""),
                str(row.get(source.name) or ""),
            )
            for row in rows
            if row.get(source.id) and source.holds(row)
        ]
    return found


async def _stages(rest: Rest) -> list[Named]:
    for object_ in ("Lead", "Contact"):
        try:
            described = await rest.describe(object_)
        except ConnectorError:
            continue
        options = fields_by_name(described).get(STAGE_FIELD.lower(), {}).get("picklistValues") or ()
        if options:
            return [
                Named(
                    "stage", str(each["value"]), str(each.get("label") or each["value"]), str(each["value"])
                )
                for each in options
                if each.get("active", True)
            ]
    return []
