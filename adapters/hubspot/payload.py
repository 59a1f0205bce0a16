"""HubSpot's JSON to our words and back. Pure: no clock, no network; what cannot be read says why.

Every property value travels as text or null; a cleared one comes back as "" and means the same as null
(developers.hubspot.com, "CRM objects").
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from connector.core.model import JsonValue, Quarantined, RecordState, Ref, VendorEvent, VendorRecord
from connector.core.values import is_sendable
from connector.errors import SkipRecord
from connector.ports import FieldInfo

T = TypeVar("T")

CRM = "hubspot"
TYPES = {  # our name of a vendor object: its name in paths
    "contact": "contacts",
    "company": "companies",
    "deal": "deals",
    **{name: name for name in ("meetings", "calls", "emails", "tasks", "notes", "communications")},
}
RECORD_KINDS = {
    "contact": "person",
    "company": "company",
    "deal": "opportunity",
}  # records; the rest are activities

# What every contact is asked for beside the mapped properties: identity, company and stage.
CONTACT_NEEDS = frozenset(
    {
        "email",
        "hs_additional_emails",
        "hs_merged_object_ids",
        "salesforceleadid",
        "salesforcecontactid",
        "hs_salesforceleadid",
        "hs_salesforcecontactid",
        "associatedcompanyid",
        "lifecyclestage",
        "lastmodifieddate",
    }
)
CLOSED = ("hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost")
NEEDS: Mapping[str, frozenset[str]] = {
    "contact": CONTACT_NEEDS,
    "company": frozenset({"name", "domain", "hs_merged_object_ids", "hs_lastmodifieddate"}),
    "deal": frozenset({*CLOSED, "closedate", "hs_merged_object_ids", "hs_lastmodifieddate"}),
    **{
        name: frozenset({"hs_timestamp", "hs_lastmodifieddate", *own})
        for name, own in {
            "meetings": ("hs_meeting_title", "hs_meeting_outcome", "hs_meeting_start_time"),
            "calls": (
                "hs_call_title",
                "hs_call_disposition",
                "hs_call_direction",
                "hs_call_duration",
                "hs_call_status",
            ),
            "emails": ("hs_email_direction", "hs_email_from_email"),
            "tasks": ("hs_task_status",),
            "notes": (),
            "communications": (),
        }.items()
    },
}
STAGE_DATES = (
    "hs_v2_date_entered_{}",
    "hs_lifecyclestage_{}_date",
    "hs_date_entered_{}",
)  # newest scheme first


class UnreadableError(ValueError):
    """A row that is not a record. Says which part."""


def moment(value: Any) -> datetime | None:
    """ISO 8601 with or without fractions, a day, or epoch milliseconds (also as text); aware UTC, None if
    blank.

    Write replies give calculated times as epoch-milliseconds text where reads give ISO.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise UnreadableError(f"{value} is not a time")
    try:
        if type(value) is str and value[4:5] == "-":  # a year first: no number, and nearly all are such
            read = datetime.fromisoformat(value)
            return read if read.tzinfo is UTC else _in_utc(read)
        if isinstance(value, (int, float)) or re.fullmatch(r"-?\d{9,}", str(value)):
            return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(value))
        read = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError):
        raise UnreadableError(f"{str(value)[:40]!r} is not a time") from None
    return _in_utc(read)


def _in_utc(read: datetime) -> datetime:
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def lenient_moment(value: Any) -> datetime | None:
    """As `moment`, and None for what is no time."""
    try:
        return moment(value)
    except UnreadableError:
        return None


def values_of(row: Mapping[str, Any]) -> dict[str, JsonValue]:
    """The properties of a record, blanks as None."""
    properties = row.get("properties")
    if not isinstance(properties, Mapping):
        raise UnreadableError("it has no properties")
    if "" not in properties.values():
        return dict(properties)
    return {key: (None if value == "" else value) for key, value in properties.items()}


def row_id(row: Any) -> str:
    """The record id as text. Raises UnreadableError."""
    if not isinstance(row, Mapping):
        raise UnreadableError("it is not an object")
    id_ = row.get("id")
    if isinstance(id_, bool) or not isinstance(id_, (str, int)) or not str(id_).strip():
        raise UnreadableError("it has no id")
    return str(id_)


def record(row: Any, object_: str, *, archived: bool = False) -> VendorRecord:
    """A contact, company or deal. Raises UnreadableError."""
    id_ = row_id(row)
    values = values_of(row) if object_ != "deal" else _closed(values_of(row))
    changed = moment(row.get("updatedAt")) or moment(
        values.get("lastmodifieddate") or values.get("hs_lastmodifieddate")
    )
    if changed is None:
        raise UnreadableError("it does not say when it was changed")
    gone = archived or row.get("archived") is True
    if gone:
        changed = max(changed, lenient_moment(row.get("archivedAt")) or changed)
    company = values.get("associatedcompanyid") if object_ == "contact" else None
    return VendorRecord(
        ref=Ref(CRM, object_, id_),
        kind=RECORD_KINDS[object_],
        values=values,
        changed_at=changed,
        created_at=lenient_moment(row.get("createdAt")),
        state=RecordState.ARCHIVED if gone else RecordState.LIVE,
        absorbed=tuple(Ref(CRM, object_, old) for old in merged_ids(values) if old != id_),
        counterparts=counterparts(values) if object_ == "contact" else (),
        company=Ref(CRM, "company", str(company)) if company and str(company).isdigit() else None,
        stage_at=stage_at(values) if object_ == "contact" else None,
    )


def _closed(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What is won or lost is closed, whatever `hs_is_closed` says; where none of the three says anything, a deal must
    not pass for an open one."""
    told = [values.get(name) for name in CLOSED]
    if not any(told):
        raise UnreadableError("it does not say whether it is closed")
    return {**values, "hs_is_closed": "true"} if "true" in told else values


def merged_ids(values: Mapping[str, Any]) -> tuple[str, ...]:
    """`hs_merged_object_ids`: the ids this record absorbed, chains included, separated by semicolons."""
    text = values.get("hs_merged_object_ids")
    if not text:
        return ()
    ids = (part.strip() for part in str(text).split(";"))
    return tuple(dict.fromkeys(part for part in ids if part.isdigit()))


def counterparts(values: Mapping[str, Any]) -> tuple[Ref, ...]:
    """The same person in Salesforce, as HubSpot's own integration wrote it on the contact."""
    lead = values.get("salesforceleadid") or values.get("hs_salesforceleadid")
    contact = values.get("salesforcecontactid") or values.get("hs_salesforcecontactid")
    if not lead and not contact:
        return ()
    found = (("Lead", lead, "00Q"), ("Contact", contact, "003"))
    return tuple(
        Ref("salesforce", object_, long_id(str(id_).strip()))
        for object_, id_, prefix in found
        if id_ and re.fullmatch(rf"{prefix}([0-9A-Za-z]{{12}}|[0-9A-Za-z]{{15}})", str(id_).strip())
    )


def long_id(id_: str) -> str:
    """A 15-character Salesforce id with its three letters that keep upper and lower case apart.

    Each letter tells, of five characters, which are upper case (help.salesforce.com 000385585).
    """
    if len(id_) != 15:
        return id_
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    fives = (id_[start : start + 5] for start in (0, 5, 10))
    return id_ + "".join(letters[sum(1 << i for i, c in enumerate(five) if c.isupper())] for five in fives)


def stage_at(values: Mapping[str, Any]) -> datetime | None:
    """When the present lifecycle stage was entered, by the first date property that says so."""
    stage = values.get("lifecyclestage")
    if not stage:
        return None
    for name in _stage_dates(str(stage)):
        date = lenient_moment(values.get(name))
        if date is not None:
            return date
    return None


@lru_cache(maxsize=256)
def _stage_dates(stage: str) -> tuple[str, ...]:
    return tuple(name.format(stage) for name in STAGE_DATES)


def stage_date_fields(schema: Mapping[str, FieldInfo]) -> frozenset[str]:
    """The stage-date properties this account has, for all its stages."""
    stages = schema["lifecyclestage"].options if "lifecyclestage" in schema else ()
    wanted = set()
    for stage in stages:
        names = [name.format(stage) for name in STAGE_DATES]
        wanted.update([name for name in names if name in schema][:1])
    return frozenset(wanted)


def email_event(row: Any, names: Mapping[str, str | None] | None = None) -> VendorEvent:
    """A marketing e-mail event. Raises UnreadableError. HubSpot's key is `id` with `created`.

    `names` are those of campaigns by their ids; the one found stands as `emailCampaignName`.
    """
    id_ = row_id(row)
    happened = moment(row.get("created"))
    if happened is None:
        raise UnreadableError("it does not say when it happened")
    recipient = row.get("recipient")
    return VendorEvent(
        crm=CRM,
        stream="email_events",
        key=f"{id_}:{row['created']}",
        values={**_flat(row), "emailCampaignName": (names or {}).get(str(row.get("emailCampaignId")))},
        occurred_at=happened,
        email=recipient if isinstance(recipient, str) and recipient else None,
    )


def _flat(row: Mapping[str, Any]) -> dict[str, JsonValue]:
    """What stands inside (`sentBy`, `location`, `browser`) under dotted names; blanks as None."""
    flat: dict[str, JsonValue] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": (None if each == "" else each) for inner, each in value.items()})
        else:
            flat[str(key)] = None if value == "" else value
    return flat


def submission(row: Any, form_guid: str, form_name: str) -> VendorEvent:
    """A form submission. Raises UnreadableError. Old ones have no `conversionId`: time and content tell them apart."""
    if not isinstance(row, Mapping):
        raise UnreadableError("it is not an object")
    happened = moment(row.get("submittedAt"))
    if happened is None:
        raise UnreadableError("it does not say when it was submitted")
    answers: dict[str, JsonValue] = {}
    for answer in row.get("values") or ():
        if isinstance(answer, Mapping) and answer.get("name"):
            answers[str(answer["name"])] = answer.get("value") or None
    email = answers.get("email")
    content = repr((sorted(answers.items()), row.get("pageUrl") or None))
    key = row.get("conversionId") or f"{form_guid}:{row['submittedAt']}:{_digest(content)}"
    return VendorEvent(
        crm=CRM,
        stream="form_submissions",
        key=str(key),
        values={
            **answers,
            "form_guid": form_guid,
            "form_name": form_name or None,
            "pageUrl": row.get("pageUrl") or None,
        },
        occurred_at=happened,
        email=email if isinstance(email, str) else None,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def quarantined(row: Any, object_: str, why: str) -> Quarantined:
    """A row that could not be read, by its id where it has one."""
    try:
        id_ = row_id(row)
    except UnreadableError:
        id_ = "?"
    return Quarantined(CRM, object_, id_, why)


def read_rows(
    rows: Iterable[Any], object_: str, read: Callable[[Any], T]
) -> tuple[list[T], list[Quarantined]]:
    """Each row by `read`; those it cannot read apart, with the reason."""
    good: list[T] = []
    bad: list[Quarantined] = []
    for row in rows:
        try:
            good.append(read(row))
        except UnreadableError as error:
            bad.append(quarantined(row, object_, str(error)))
    return good, bad


def wire(value: JsonValue) -> str:
    """A value as HubSpot takes it: text; "" clears (null would be ignored), numbers without exponent or
    separators. Raises SkipRecord for what cannot be said in JSON, or is no single value.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)).normalize(), "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, str) and is_sendable(value):
        return value
    raise SkipRecord(f"A {type(value).__name__} like this cannot be written to HubSpot.")


KINDS = {
    "string": "text",
    "phone_number": "text",
    "number": "number",
    "bool": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enumeration": "enum",
}


def field_info(row: Any) -> FieldInfo:
    """A property definition. Raises UnreadableError."""
    if not isinstance(row, Mapping) or not row.get("name"):
        raise UnreadableError("it has no name")
    kind = KINDS.get(str(row.get("type")), "other")
    found = [option for option in row.get("options") or () if isinstance(option, Mapping)]
    ordered = sorted(found, key=lambda option: _order(option.get("displayOrder")))
    options = tuple(str(option["value"]) for option in ordered if option.get("value") is not None)
    rules = row.get("modificationMetadata")
    read_only = isinstance(rules, Mapping) and rules.get("readOnlyValue") is True
    computed = row.get("calculated") is True or str(row.get("fieldType", "")).startswith("calculation_")
    return FieldInfo(
        name=str(row["name"]),
        kind=kind,
        label=str(row.get("label") or ""),
        writable=not (read_only or computed),
        options=options,
        restricted=kind in ("enum", "boolean") and bool(options),
        max_length=65_536 if kind == "text" else None,
        forward_only=str(row["name"]) == "lifecyclestage",
    )


def _order(value: Any) -> tuple[bool, int]:
    """HubSpot's -1 means "at the end"."""
    order = value if isinstance(value, int) else -1
    return (order < 0, order)
