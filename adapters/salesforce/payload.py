"""Salesforce's JSON to our words and back. Pure: decides what a row is, never whether it matters.

Rows are flat in our words, parents under dotted names, blanks None. Numbers, booleans and times stay as
they came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from adapters.salesforce.soql import is_id
from connector.core.model import JsonValue, RecordState, Ref, VendorEvent, VendorRecord
from connector.core.values import is_sendable
from connector.errors import SkipRecord
from connector.ports import FieldInfo

CRM = "salesforce"

KINDS: Mapping[str, str] = {
    "Account": "company",
    "Lead": "person",
    "Contact": "person",
    "Opportunity": "opportunity",
}

STATUS_FIELD, STAGE_FIELD = "Status", "Lifecycle_Stage__c"
"""What sales and the lifecycle stage are dated by, where the org tracks the history of these fields."""

_STAMPS = ("Id", "IsDeleted", "CreatedDate", "SystemModstamp")
_CONVERSION = ("IsConverted", "ConvertedContactId", "ConvertedAccountId")

SYSTEM_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Account": (*_STAMPS, "MasterRecordId"),
    "Lead": (*_STAMPS, "MasterRecordId", *_CONVERSION),
    "Contact": (*_STAMPS, "MasterRecordId", "AccountId"),
    "Opportunity": (*_STAMPS, "AccountId", "IsClosed", "IsWon"),
    "OpportunityContactRole": ("Id", "IsDeleted", "SystemModstamp", "OpportunityId", "ContactId"),
    "CampaignMember": (*_STAMPS, "LeadId", "ContactId", "HasResponded", "FirstRespondedDate"),
    "Task": (*_STAMPS, "WhoId", "IsRecurrence", "ActivityDate", "CompletedDateTime"),
    "Event": (
        *_STAMPS, "WhoId", "IsRecurrence", "IsChild", "StartDateTime", "ActivityDateTime", "ActivityDate",
    ),
}  # fmt: skip
"""What we read of each object beside the mapped fields: identity, stamps, where it went, when it happened."""

WHO_PREFIXES: Mapping[str, str] = {"00Q": "Lead", "003": "Contact"}

SAME_DAY = timedelta(
    days=2
)  # a day begins up to 14 hours before its midnight UTC, and ends up to 12 after the next
LOGGED = timedelta(minutes=5)  # so soon after it was made a task is not done, but was

_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


# ------------------------------------------------------------------------------------------------ in


def long_id(value: str) -> str:
    """The 18-character form of a record id: three letters more say which of the others are capitals.

    https://help.salesforce.com/s/articleView?id=000383751
    """
    if len(value) != 15:
        return value
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << at for at, char in enumerate(value[start : start + 5]) if "A" <= char <= "Z")
        suffix += _SUFFIX[bits]
    return value + suffix


def instant(value: object) -> datetime:
    """`2026-05-01T07:25:37.000+0000` as aware UTC. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)


def midnight(value: object) -> datetime:
    """A date (`2026-05-01`) as its midnight in UTC. Raises ValueError for anything else."""
    day = date.fromisoformat(str(value))
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def flat(row: Mapping[str, Any], fields: Iterable[str]) -> dict[str, JsonValue]:
    """These fields of a row, in the spelling asked for. Blank texts and what it does not hold are None."""
    values: dict[str, JsonValue] = {}
    for name in fields:
        value = row[name] if name in row else _at(row, name)
        if isinstance(value, str):
            values[name] = value if value and not value.isspace() else None
        else:
            values[name] = None if isinstance(value, Mapping) else value
    return values


def _at(row: Mapping[str, Any], path: str) -> Any:
    """The value behind a dotted path, None where a parent is blank or missing."""
    here: Any = row
    for part in path.split("."):
        if not isinstance(here, Mapping):
            return None
        here = here[part] if part in here else _any_case(here, part)
    return here


def _any_case(row: Mapping[str, Any], name: str) -> Any:
    """Salesforce takes field names in any case and answers in its own."""
    low = name.lower()
    return next((value for key, value in row.items() if key.lower() == low), None)


@dataclass(frozen=True, slots=True)
class Beside:
    """What other objects tell of the rows of a page, by their ids.

    `people`: who plays a role in an opportunity, who else an activity is about. `set_at`: per field, when it was last
    set. `persons`: per person account its Contact.
    """

    people: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)
    set_at: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    persons: Mapping[str, Ref] = field(default_factory=dict)


NOTHING_BESIDE = Beside()


def record_from(
    row: Mapping[str, Any], source: str, fields: Iterable[str], beside: Beside = NOTHING_BESIDE
) -> VendorRecord:
    """A Lead, Contact, Account or Opportunity. Raises SkipRecord for a row that cannot be read as one."""
    values = flat(row, fields)
    state, moved_to = whereabouts(row, source)
    if state is RecordState.CONVERTED and moved_to is None:
        moved_to = beside.persons.get(str(row.get("ConvertedAccountId")))
    set_at = beside.set_at.get(str(row.get("Id")), {})
    try:
        return VendorRecord(
            ref=Ref(CRM, source, str(row["Id"])),
            kind=KINDS[source],
            values=values,
            changed_at=instant(row["SystemModstamp"]),
            created_at=instant(row["CreatedDate"]) if row.get("CreatedDate") else None,
            state=state,
            moved_to=moved_to,
            counterparts=(moved_to,) if state is RecordState.CONVERTED and moved_to else (),
            company=_ref(row, "Account", "AccountId"),
            people=beside.people.get(str(row["Id"]), ()),
            stage_at=set_at.get(STAGE_FIELD),
            status_at=set_at.get(STATUS_FIELD),
        )
    except (KeyError, ValueError) as error:
        raise SkipRecord(f"The {source} has no readable {_named(error)}.") from error


def whereabouts(row: Mapping[str, Any], source: str) -> tuple[RecordState, Ref | None]:
    """What became of a record, and which one to look at instead.

    The loser of a merge is deleted and names its master; a converted Lead stays, read-only, and names its
    Contact (none where the Contact is hidden from us; for a person account it is asked for by the Account).
    """
    if row.get("IsDeleted"):
        master = _ref(row, source, "MasterRecordId")
        return (RecordState.MERGED, master) if master else (RecordState.ARCHIVED, None)
    if row.get("IsConverted"):
        return RecordState.CONVERTED, _ref(row, "Contact", "ConvertedContactId")
    return RecordState.LIVE, None


def event_from(
    row: Mapping[str, Any], stream: str, fields: Iterable[str], beside: Beside = NOTHING_BESIDE
) -> VendorEvent:
    """A CampaignMember, Task or Event. Raises SkipRecord for a row that cannot be read as one.

    What must not count is told as deleted, so that a row that counted once is taken back: deleted rows, the
    series master of a recurrence, an invitee's copy of a meeting, and what concerns neither Lead nor
    Contact.
    """
    about = _members(row) if stream == "CampaignMember" else _who(row)
    about = tuple(dict.fromkeys((*about, *beside.people.get(str(row.get("Id")), ()))))
    try:
        return VendorEvent(
            crm=CRM,
            stream=stream,
            key=str(row["Id"]),
            values=flat(row, fields),
            occurred_at=_occurred_at(row, stream),
            about=about,
            deleted=not about or any(row.get(name) for name in ("IsDeleted", "IsRecurrence", "IsChild")),
        )
    except (KeyError, ValueError) as error:
        raise SkipRecord(f"The {stream} has no readable {_named(error)}.") from error


def hard_deleted(stream: str, row: Mapping[str, Any]) -> VendorEvent:
    """An entry of a `deleted/` feed: all that is left of an event. Raises SkipRecord."""
    try:
        key, at = long_id(str(row["id"])), instant(row["deletedDate"])
    except (KeyError, ValueError) as error:
        raise SkipRecord(f"The deleted {stream} has no readable {_named(error)}.") from error
    return VendorEvent(CRM, stream, key, {}, at, deleted=True)


def _occurred_at(row: Mapping[str, Any], stream: str) -> datetime:
    """When it happened, or will: the future is stored, and counts once it has come.

    Dates without a time are midnight UTC. A membership counts from the day of the first response, without a response
    from when it was made. A task that was already done when it was made was logged, and its day says of when.
    """
    made = instant(row["CreatedDate"])
    if stream == "CampaignMember":
        responded = row.get("FirstRespondedDate") if row.get("HasResponded") else None
        return _on(responded, made) if responded else made
    completed = row.get("CompletedDateTime")
    if completed and row.get("ActivityDate") and instant(completed) - made <= LOGGED:
        return _on(row["ActivityDate"], instant(completed), later=False)
    for name in ("CompletedDateTime", "StartDateTime", "ActivityDateTime"):
        if row.get(name):
            return instant(row[name])
    return midnight(row["ActivityDate"]) if row.get("ActivityDate") else made


def _on(day: object, made: datetime, *, later: bool = True) -> datetime:
    """On this day of the vendor's. Made on that day or the next, by whatever zone, it is the time of day as well: what
    somebody does in the afternoon is newer than what sales said at noon. Not `later`: a day to come is when it is due.
    """
    at = midnight(day)
    return at if made - at >= SAME_DAY or (later and at > made) else made


def _members(row: Mapping[str, Any]) -> tuple[Ref, ...]:
    """After a conversion a membership names both, and counts once, for the Contact."""
    who = _ref(row, "Contact", "ContactId") or _ref(row, "Lead", "LeadId")
    return (who,) if who else ()


def _who(row: Mapping[str, Any]) -> tuple[Ref, ...]:
    who = person_ref(row.get("WhoId"))
    return (who,) if who else ()


def person_ref(value: object) -> Ref | None:
    """The Lead or Contact of this id: its first characters say which. None for anything else."""
    if not isinstance(value, str) or not is_id(value) or value[:3] not in WHO_PREFIXES:
        return None
    return Ref(CRM, WHO_PREFIXES[value[:3]], long_id(value))


def _ref(row: Mapping[str, Any], source: str, column: str) -> Ref | None:
    value = row.get(column)
    return Ref(CRM, source, long_id(value)) if isinstance(value, str) and is_id(value) else None


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, KeyError) else "time"


# -------------------------------------------------------------------------------------------- schema

_FIELD_KINDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("string", "textarea", "phone", "url", "email", "id", "reference", "encryptedstring", "combobox"),
        "text",
    ),
    **dict.fromkeys(("int", "long", "double", "currency", "percent"), "number"),
    **dict.fromkeys(("picklist", "multipicklist"), "enum"),
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
}


def field_info(described: Mapping[str, Any]) -> FieldInfo:
    """One field of a describe. Options are the active values in the picklist's order, never the labels."""
    kind = _FIELD_KINDS.get(str(described.get("type")), "other")
    length = described.get("length") or 0
    options = [item for item in described.get("picklistValues") or () if item.get("active", True)]
    return FieldInfo(
        name=str(described["name"]),
        kind=kind,
        label=str(described.get("label") or ""),
        writable=bool(described.get("updateable")) and not described.get("calculated"),
        options=tuple(str(item["value"]) for item in options) if kind == "enum" else (),
        restricted=bool(described.get("restrictedPicklist")),
        max_length=int(length) if kind in ("text", "enum") and length else None,
    )


# ----------------------------------------------------------------------------------------------- out


def to_wire(source: str, record: str, values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """One element of a collection update. `attributes` stays first: Salesforce refuses it anywhere else.

    https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections.htm
    None clears a field. Raises SkipRecord for a value that no field can hold.
    """
    element: dict[str, JsonValue] = {"attributes": {"type": source}, "id": record}
    for name, value in values.items():
        if value is not None and not isinstance(value, (str, int, float)):
            raise SkipRecord(f"{name}: a {type(value).__name__} cannot be written to a Salesforce field.")
        if isinstance(value, float) and not math.isfinite(value):
            raise SkipRecord(f"{name}: not a number that Salesforce can hold.")
        if isinstance(value, str) and not is_sendable(value):
            raise SkipRecord(f"{name}: half of a character, which no text can hold.")
        if name.lower() in ("id", "attributes"):
            raise SkipRecord(f"{name} names the record and cannot be written.")
        element[name] = None if value == "" else value
    return element
