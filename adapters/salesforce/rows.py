"""Turn the rows of a page into records and events, with what only other objects tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.errors import FieldRefused, ObjectRefused, QueryTooSlow
from adapters.salesforce.payload import (
    CRM,
    KINDS,
    STAGE_FIELD,
    STATUS_FIELD,
    Beside,
    event_from,
    instant,
    long_id,
    person_ref,
    record_from,
)
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


async def around(rest: Rest, source: str, rows: Rows, fields: Fields, *, histories: bool = True) -> Beside:
    """What other objects say of these rows, with a call or two per page.

    `histories`: also when status and stage were last set, of what the org tracks.
    """
    if source == "Opportunity":
        return Beside(people=await _roles(rest, rows))
    if source in _RELATIONS:
        return Beside(people=await _also_about(rest, source, rows))
    if source in HISTORIES:
        persons = await _persons(rest, rows) if source == "Lead" else {}
        return Beside(set_at=await _set_at(rest, source, rows, fields) if histories else {}, persons=persons)
    return Beside()


async def _roles(rest: Rest, rows: Rows) -> dict[str, tuple[Ref, ...]]:
    """Who plays a role in these opportunities, by opportunity id."""
    people: dict[str, tuple[Ref, ...]] = {}
    for chunk in soql.chunks(_ids(rows)):
        where = soql.id_in("OpportunityId", chunk)
        query = soql.select(
            ["OpportunityId", "ContactId"], "OpportunityContactRole", [where], order=soql.BY_ID
        )
        for role in await rest.all_rows(query):
            if soql.is_id(role.get("ContactId")):
                deal, person = str(role.get("OpportunityId")), Ref(CRM, "Contact", role["ContactId"])
                people[deal] = tuple(dict.fromkeys((*people.get(deal, ()), person)))
    return people


# With shared activities one Task or Event may be about up to 50 Contacts, of whom WhoId names one:
# https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_taskwhorelation.htm
_RELATIONS: Mapping[str, tuple[str, str]] = {
    "Task": ("TaskWhoRelation", "TaskId"),
    "Event": ("EventWhoRelation", "EventId"),
}


async def _also_about(rest: Rest, source: str, rows: Rows) -> dict[str, tuple[Ref, ...]]:
    """Whom these activities are about beside their WhoId; nothing in an org without shared activities."""
    relation, key = _RELATIONS[source]
    found: dict[str, tuple[Ref, ...]] = {}
    columns = ["Id", key, "RelationId"]
    for row in await beside_of(rest, relation, columns, key, _ids(rows), soql.BY_ID) or ():
        person = person_ref(row.get("RelationId"))
        if person is not None:
            activity = long_id(str(row.get(key)))
            found[activity] = (*found.get(activity, ()), person)
    return found


async def _persons(rest: Rest, rows: Rows) -> dict[str, Ref]:
    """The Contacts of person accounts that converted Leads became without naming a Contact."""
    accounts = [
        str(row["ConvertedAccountId"])
        for row in rows
        if row.get("IsConverted")
        and not row.get("ConvertedContactId")
        and soql.is_id(row.get("ConvertedAccountId"))
    ]
    columns = ["Id", "PersonContactId"]
    rows = (
        await beside_of(rest, "Account", columns, "Id", accounts, soql.BY_ID, known_as="person accounts")
        or ()
    )
    found = ((long_id(str(row.get("Id"))), person_ref(row.get("PersonContactId"))) for row in rows)
    return {account: person for account, person in found if person is not None}


HISTORIES: Mapping[str, tuple[str, str]] = {
    "Lead": ("LeadHistory", "LeadId"),
    "Contact": ("ContactHistory", "ContactId"),
}
"""Where the changes of an object's tracked fields are kept, and by which column they name its record."""

IN_ORDER = "CreatedDate ASC, Id ASC"
_SUSPICIOUS = 200  # so many records without one entry: does the org track these fields at all?


async def _set_at(rest: Rest, source: str, rows: Rows, fields: Fields) -> dict[str, dict[str, datetime]]:
    """Per record and field when it was last set, of the mapped ones of status and stage.

    An entry counts only where it set what stands there now: tracking may have been off since. Entries older than two
    years are gone. Whether the org tracks these fields at all is asked once, where a page has no entry of any.
    https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_leadhistory.htm
    """
    history, key = HISTORIES[source]
    names = [name for name in (STATUS_FIELD, STAGE_FIELD) if name in fields.get(source, ())]
    ids, tracking = _ids(rows), f"{history} of {', '.join(names)}"
    if not names or rest.is_absent(tracking):
        return {}
    one_of = field_in(names)
    columns = [key, "Field", "NewValue", "CreatedDate"]
    entries = await beside_of(rest, history, columns, key, ids, IN_ORDER, one_of)
    if entries == [] and len(ids) >= _SUSPICIOUS and not await _any(rest, history, one_of):
        rest.note_absent(tracking)
    now = {str(row["Id"]): row for row in rows if row.get("Id")}
    found: dict[str, dict[str, datetime]] = {}
    for entry in entries or ():
        try:
            at = instant(entry["CreatedDate"])
        except (KeyError, ValueError):
            continue  # dated by when it is seen, as where nothing is tracked
        record, name = long_id(str(entry.get(key))), str(entry.get("Field"))
        dates = found.setdefault(record, {})
        if entry.get("NewValue") == now.get(record, {}).get(name):
            dates[name] = at
        else:
            dates.pop(name, None)
    return found


def field_in(names: Iterable[str]) -> str:
    """Entries of a history that are about one of these fields."""
    return f"Field IN ({','.join(repr(soql.name(name)) for name in names)})"


async def _any(rest: Rest, history: str, one_of: str) -> bool:
    """Whether the org holds one entry of these fields; in doubt it does."""
    try:
        return bool(await rest.all_rows(soql.select(["Id"], history, [one_of], limit=1)))
    except QueryTooSlow:
        return True


async def beside_of(
    rest: Rest,
    source: str,
    columns: Sequence[str],
    key: str,
    ids: Sequence[str],
    order: str,
    *more: str,
    known_as: str = "",
) -> list[Mapping[str, Any]] | None:
    """The rows of another object that name these, a call per page; None where the org lacks or hides it, which is
    remembered for an hour."""
    name = known_as or source
    if not ids or rest.is_absent(name):
        return None
    queries = [
        soql.select(columns, source, [soql.id_in(key, chunk), *more], order=order)
        for chunk in soql.chunks(ids, soql.IDS_IN_BODY)
    ]
    try:
        return await rest.rows_of(queries)
    except (ObjectRefused, FieldRefused):
        rest.note_absent(name)
        return None


def _ids(rows: Rows) -> list[str]:
    return [str(row["Id"]) for row in rows if soql.is_id(row.get("Id"))]
