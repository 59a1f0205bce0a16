"""Turn the rows of a page into records and events, with what only other objects tell of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.payload import CRM, KINDS, Beside, event_from, record_from
from adapters.salesforce.rest import Rest
from adapters.salesforce.walk import value_names
from connector.core.model import Page, Quarantined, Ref, VendorEvent, VendorRecord
from connector.errors import SkipRecord
from connector.ports import Fields

Rows = Sequence[Mapping[str, Any]]


async def told(rest: Rest, page: Page, source: str, rows: Rows, fields: Fields) -> Page:
    """The page with these rows of an object in our words. A row that cannot be read is quarantined with its reason."""
    beside = await around(rest, source, rows, fields)
    records: list[VendorRecord] = []
    events: list[VendorEvent] = []
    quarantined: list[Quarantined] = []
    values = value_names(source, fields)
    for row in rows:
        try:
            if source in KINDS:
                records.append(record_from(row, source, values, beside))
            else:
                events.append(event_from(row, source, values, beside))
        except SkipRecord as error:
            quarantined.append(Quarantined(CRM, source, str(row.get("Id") or ""), str(error)))
    return replace(page, records=tuple(records), events=tuple(events), quarantined=tuple(quarantined))


async def around(rest: Rest, source: str, rows: Rows, fields: Fields) -> Beside:
    """What other objects say of these rows."""
    if source == "Opportunity":
        return Beside(people=await _roles(rest, rows))
    return Beside()


async def _roles(rest: Rest, rows: Rows) -> dict[str, tuple[Ref, ...]]:
    """Who plays a role in these opportunities, by opportunity id."""
    people: dict[str, tuple[Ref, ...]] = {}
    for chunk in soql.chunks(str(row["Id"]) for row in rows if soql.is_id(row.get("Id"))):
        where = soql.id_in("OpportunityId", chunk)
        query = soql.select(
            ["OpportunityId", "ContactId"], "OpportunityContactRole", [where], order=soql.BY_ID
        )
        for role in await rest.all_rows(query):
            if soql.is_id(role.get("ContactId")):
                deal, person = str(role.get("OpportunityId")), Ref(CRM, "Contact", role["ContactId"])
                people[deal] = tuple(dict.fromkeys((*people.get(deal, ()), person)))
    return people
