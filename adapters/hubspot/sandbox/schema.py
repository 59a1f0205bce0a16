"""The properties that the made-up HubSpot account has, and which values each accepts. Holds no record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.hubspot.sandbox.wire import iso, read_ms
from connector.sandbox import words

LONGEST_TEXT = 65_536
EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")

STAGES = (
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    (words.CUSTOM_STAGE, words.CUSTOM_STAGE_LABEL),
    ("other", "Other"),
)
COMPANY_TYPES = ("PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER")
STATUSES = (
    "NEW",
    "OPEN",
    "IN_PROGRESS",
    "OPEN_DEAL",
    "UNQUALIFIED",
    "ATTEMPTED_TO_CONTACT",
    "CONNECTED",
    "BAD_TIMING",
)


@dataclass(frozen=True, slots=True)
class Property:
    """One property definition. `options` are (value, label) in display order."""

    name: str
    label: str
    type: str  # string, number, enumeration, bool, date, datetime
    field_type: str
    group: str
    options: tuple[tuple[str, str], ...] = ()
    hidden: frozenset[str] = frozenset()  # of the options: not offered on screens, valid all the same
    read_only: bool = False
    defined_by_hubspot: bool = True
    unique: bool = False
    external_options: bool = False
    description: str = ""
    archived: bool = False

    def wire(self) -> dict[str, Any]:
        """As the properties API shows it."""
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": self._options(),
            "displayOrder": -1,
            "calculated": self.read_only and self.field_type.startswith("calculation_"),
            "externalOptions": self.external_options,
            "archived": self.archived,
            "hasUniqueValue": self.unique,
            "hidden": False,
            "hubspotDefined": self.defined_by_hubspot,
            "modificationMetadata": {
                "archivable": not self.defined_by_hubspot,
                "readOnlyDefinition": self.defined_by_hubspot,
                "readOnlyOptions": self.defined_by_hubspot,
                "readOnlyValue": self.read_only,
            },
            "formField": False,
            "dataSensitivity": "non_sensitive",
        }

    def _options(self) -> list[dict[str, Any]]:
        """In no promised order: `displayOrder` says where each belongs."""
        shown = [
            {"label": label, "value": value, "displayOrder": place, "hidden": value in self.hidden}
            for place, (value, label) in enumerate(self.options)
        ]
        return shown[::-1] if self.external_options else shown


@dataclass(frozen=True, slots=True)
class BadValue:
    """Why a value is refused. `code` is HubSpot's."""

    name: str
    code: str
    message: str


def clean(definition: Property | None, name: str, value: Any) -> str | BadValue:
    """The value as it will be stored, or why it is refused. "" clears."""
    if definition is None or definition.archived:
        return BadValue(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if definition.read_only:
        return BadValue(
            name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'
        )
    text = _text(value)
    if text.strip() == "":
        return ""
    if definition.type == "number":
        if not NUMBER.fullmatch(text.strip()):
            return BadValue(name, "INVALID_INTEGER", f'"{text}" was not a valid number.')
        return text.strip()
    if definition.type == "datetime":
        moment = read_ms(text.strip())
        if moment is None:
            return BadValue(name, "INVALID_LONG", f'"{text}" was not a valid long.')
        return iso(moment)
    if definition.type == "date":
        moment = read_ms(text.strip())
        if moment is None or moment % 86_400_000:
            return BadValue(name, "INVALID_DATE", f'"{text}" is not at midnight UTC.')
        return iso(moment)[:10]
    if definition.type in ("enumeration", "bool"):
        return _option(definition, text)
    if name == "email":
        text = text.strip().lower()
        if not EMAIL.fullmatch(text):
            return BadValue(name, "INVALID_EMAIL", f"Email address {text} is invalid")
    if len(text) > LONGEST_TEXT:
        return BadValue(
            name, "PROPERTY_VALUE_TOO_LONG", f'"{name}" is longer than {LONGEST_TEXT} characters.'
        )
    return text


def _option(definition: Property, text: str) -> str | BadValue:
    allowed = {value for value, _ in definition.options}
    if not allowed and definition.external_options:
        return text
    chosen = text.split(";") if definition.field_type == "checkbox" else [text]
    if all(value in allowed for value in chosen if value):
        return text
    shown = ", ".join(sorted(allowed))
    return BadValue(
        definition.name, "INVALID_OPTION", f'"{text}" was not one of the allowed options: [{shown}]'
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


STAGE_DATES = {  # which dates of its stages an account has
    "v2": ("hs_v2_date_entered_{}", "hs_v2_date_exited_{}", "hs_lifecyclestage_{}_date"),
    "old": ("hs_lifecyclestage_{}_date",),
    "none": (),
}


def contact_properties(with_mql_fields: bool, stage_dates: str = "v2") -> dict[str, Property]:
    """Every contact property of a fresh account, by name."""
    found = [
        *(_string(name) for name in ("firstname", "lastname", "email", "phone", "mobilephone", "jobtitle")),
        *(_string(name) for name in ("company", "country", "city", "state", "zip", "website", "message")),
        *(_string(name) for name in ("hs_language", "salesforceleadid", "salesforcecontactid", "industry")),
        _string("notes_of_sales", field_type="textarea", defined_by_hubspot=False),
        _number("annualrevenue"),
        _number("associatedcompanyid"),
        _string("numemployees"),
        _choice("lifecyclestage", STAGES, field_type="radio", external_options=True),
        _choice("hs_lead_status", tuple((value, value.replace("_", " ").title()) for value in STATUSES)),
        _choice("hubspot_owner_id", (), external_options=True),
        _choice("hs_analytics_source", tuple((value, value.title()) for value in words.SOURCES)),
        *(_read_only(_string(name)) for name in ("hs_email_domain", "hs_additional_emails")),
        *(_read_only(_string(name)) for name in ("hs_merged_object_ids", "hs_calculated_merged_vids")),
        *(_read_only(_string(name)) for name in ("hs_analytics_last_url", "recent_conversion_event_name")),
        *(_read_only(_moment(name)) for name in ("createdate", "lastmodifieddate", "hs_lastmodifieddate")),
        *(_read_only(_moment(name)) for name in AGGREGATE_TIMES),
        *(_read_only(_number(name)) for name in (*AGGREGATE_COUNTS, "hs_object_id", "hubspotscore")),
        *(_read_only(_string(name)) for name in OBJECT_SOURCE),
        _read_only(_flag("hs_email_optout")),
        *(_read_only(_number(name, defined_by_hubspot=False)) for name in OWN_COUNTERS),
        *(_read_only(_moment(name, defined_by_hubspot=False)) for name in OWN_COUNTERS.values()),
    ]
    patterns = STAGE_DATES[stage_dates]
    found += [_read_only(_moment(pattern.format(stage))) for stage, _ in STAGES for pattern in patterns]
    if with_mql_fields:
        found += mql_properties()
    return {definition.name: definition for definition in found}


def company_properties() -> dict[str, Property]:
    """Every company property of a fresh account, by name."""
    found = [
        *(_string(name) for name in ("name", "domain", "website", "country", "city", "phone", "description")),
        _choice("industry", tuple((value, value.replace("_", " ").title()) for value in words.INDUSTRIES)),
        _number("numberofemployees"),
        _number("annualrevenue"),
        _string("hs_annual_revenue_currency_code"),
        _choice("lifecyclestage", STAGES, field_type="radio", external_options=True),
        _choice("type", tuple((each, each.title()) for each in COMPANY_TYPES)),
        _read_only(_number("hs_parent_company_id")),
        _choice("hubspot_owner_id", (), external_options=True),
        _read_only(_string("hs_merged_object_ids")),
        _read_only(_string("hs_calculated_merged_vids")),
        *(_read_only(_moment(name)) for name in ("createdate", "hs_lastmodifieddate")),
        _read_only(_number("hs_object_id")),
    ]
    return {definition.name: definition for definition in found}


def activity_properties(kind: str) -> dict[str, Property]:
    """Properties of one kind of activity, by name."""
    own: Mapping[str, tuple[Property, ...]] = {
        "calls": (
            *(_string(f"hs_call_{part}") for part in ("title", "body", "disposition", "direction", "status")),
            _number("hs_call_duration"),
        ),
        "meetings": (
            *(_string(f"hs_meeting_{part}") for part in ("title", "body", "outcome")),
            *(_moment(f"hs_meeting_{part}_time") for part in ("start", "end")),
        ),
        "emails": (
            *(_string(f"hs_email_{part}") for part in ("subject", "text", "direction", "status")),
            *(_read_only(_string(f"hs_email_{part}_email")) for part in ("from", "to")),
            *(_read_only(_number(f"hs_email_{part}_count")) for part in ("open", "click", "reply")),
        ),
        "notes": (_string("hs_note_body"),),
        "tasks": (
            *(_string(f"hs_task_{part}") for part in ("subject", "body", "status", "type")),
            _choice("hubspot_owner_id", (), external_options=True),
            _read_only(_moment("hs_task_completion_date")),
        ),
        "communications": tuple(
            _string(f"hs_communication_{part}") for part in ("channel_type", "logged_from", "body")
        ),
    }
    found = [
        *own[kind],
        _moment("hs_timestamp"),
        *(_read_only(_moment(name)) for name in ("hs_createdate", "hs_lastmodifieddate")),
        _read_only(_number("hs_object_id")),
    ]
    return {definition.name: definition for definition in found}


def mql_properties() -> list[Property]:
    """The fields that a lead-scoring connector keeps on contacts."""
    group = "mql"
    numbers = ("mql_score", "mql_fit", "mql_engagement", "mql_band", "mql_criteria_version")
    statuses = ("none", "qualified", "accepted", "rejected", "recycled", "disqualified")
    grades = tuple(f"{letter}{digit}" for letter in "ABCD" for digit in "1234")
    made = [
        *(_number(name) for name in numbers),
        _choice("mql_grade", tuple((grade, grade) for grade in grades)),
        _choice("mql_status", tuple((status, status.title()) for status in statuses)),
        _string("mql_reason"),
        _moment("mql_since"),
    ]
    return [replace(definition, group=group, defined_by_hubspot=False) for definition in made]


AGGREGATE_COUNTS = (
    "hs_email_open",
    "hs_email_click",
    "hs_email_bounce",
    "hs_email_replied",
    "hs_email_delivered",
    "hs_analytics_num_page_views",
    "hs_analytics_num_visits",
    "num_conversion_events",
    "num_unique_conversion_events",
    "num_notes",
    "num_contacted_notes",
)
OBJECT_SOURCE = (
    "hs_object_source",
    "hs_object_source_label",
    "hs_object_source_id",
    "hs_object_source_detail_1",
)
"""How a record came in (knowledge.hubspot.com, "Understand record source properties")."""
AGGREGATE_TIMES = (
    "hs_email_last_open_date",
    "hs_email_last_click_date",
    "hs_email_last_send_date",
    "hs_analytics_last_timestamp",
    "hs_analytics_last_visit_timestamp",
    "recent_conversion_date",
    "first_conversion_date",
    "notes_last_contacted",
    "notes_last_updated",
    "hs_last_sales_activity_timestamp",
    "hs_sales_email_last_replied",
    "engagements_last_meeting_booked",
)
# Counters that this account's own web tracking keeps, with the time of the last one.
OWN_COUNTERS = {
    "pricing_page_views": "last_pricing_page_view",
    "docs_views": "last_docs_view",
    "favorites_added": "last_favorite_added",
    "carts_added": "last_cart_added",
    "product_uses": "last_product_use",
}


def _label(name: str) -> str:
    return name.removeprefix("hs_").replace("_", " ").capitalize()


def _string(name: str, *, field_type: str = "text", defined_by_hubspot: bool = True) -> Property:
    return Property(
        name, _label(name), "string", field_type, "contactinformation", defined_by_hubspot=defined_by_hubspot
    )


def _number(name: str, *, defined_by_hubspot: bool = True) -> Property:
    return Property(
        name, _label(name), "number", "number", "contactinformation", defined_by_hubspot=defined_by_hubspot
    )


def _moment(name: str, *, defined_by_hubspot: bool = True) -> Property:
    return Property(
        name, _label(name), "datetime", "date", "contactinformation", defined_by_hubspot=defined_by_hubspot
    )


def _flag(name: str) -> Property:
    options = (("true", "Yes"), ("false", "No"))
    return Property(name, _label(name), "bool", "booleancheckbox", "contactinformation", options)


def _choice(
    name: str,
    options: tuple[tuple[str, str], ...],
    *,
    field_type: str = "select",
    external_options: bool = False,
) -> Property:
    return Property(
        name,
        _label(name),
        "enumeration",
        field_type,
        "contactinformation",
        options,
        external_options=external_options,
    )


def _read_only(definition: Property) -> Property:
    return replace(definition, read_only=True)
