"""Holds a write against the object's describe before it is sent. Pure: changes spelling, never meaning.

What Salesforce would refuse is refused here, so that one bad value costs its record and no call; what it would store
differently is sent as it will be stored, so that the next run finds it equal. Rules:
https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/field_types.htm
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from adapters.salesforce.soql import is_id
from connector.core.model import JsonValue
from connector.errors import SkipRecord

Described = Mapping[str, Any]

_TEXTS = frozenset({"string", "textarea", "phone", "url", "email", "encryptedstring", "combobox"})


class Unfit(SkipRecord):
    """A value that its field cannot take. `code` is the one that Salesforce would have answered."""

    def __init__(self, code: str, message: str, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.code = code


def fields_by_name(described: Described) -> dict[str, Described]:
    """A describe document's fields by lower-case name: Salesforce takes names in any case."""
    return {str(each["name"]).lower(): each for each in described["fields"]}


def fitted(fields: Mapping[str, Described], values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """These values as Salesforce will store them, under the same names. Raises Unfit for the first that it will not.

    `fields` as `fields_by_name` gives them, described as the user who writes. Numbers are rounded half up to the
    field's scale, times are whole seconds in UTC, picklist values are the API's own; text is never cut.
    """
    return {name: _fitted(name, fields.get(name.lower()), value) for name, value in values.items()}


def _fitted(name: str, field: Described | None, value: JsonValue) -> JsonValue:
    if field is None:
        raise Unfit(
            "INVALID_FIELD",
            f"{name}: this user sees no such field.",
            next_step="It is not there, or field-level security hides it: run `connector setup salesforce`, or grant "
            "edit on it, or take it out of the mapping.",
        )
    if field.get("calculated") or not field.get("updateable"):
        why = "is calculated" if field.get("calculated") else "may not be edited by this user"
        raise Unfit(
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"{name}: the field {why}.",
            next_step="Grant edit on it by field-level security, or map to another field.",
        )
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return False if field.get("type") == "boolean" else None  # a checkbox knows no blank
    if field.get("unique"):
        raise Unfit(
            "DUPLICATE_VALUE",
            f"{name}: the field is unique in this org, and many people share a result.",
            next_step="Map to a field that is not unique.",
        )
    kind = str(field.get("type"))
    if kind in _TEXTS:
        return _text(name, field, value)
    fit = _BY_TYPE.get(kind)
    if fit is None:
        raise _wrong_type(name, value, f"a field of type {kind}")
    return fit(name, field, value)


def _text(name: str, field: Described, value: JsonValue) -> str:
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    elif isinstance(value, str | int | float):
        text = str(value)
    else:
        raise _wrong_type(name, value, "a text field")
    length = int(field.get("length") or 0)
    if length and len(text) > length:
        raise Unfit(
            "STRING_TOO_LONG",
            f"{name}: {len(text)} characters, and the field holds {length}.",
            next_step="Make the field longer, or map to another; a text is never cut.",
        )
    return text


def _picked(name: str, field: Described, value: JsonValue) -> str:
    text = _text(name, field, value)
    if not field.get("restrictedPicklist"):
        return text
    options = [str(each["value"]) for each in field.get("picklistValues") or () if each.get("active", True)]
    wanted = text.split(";") if field.get("type") == "multipicklist" else [text]
    for each in wanted:
        if each not in options:
            # Salesforce takes another case and stores its own, which would differ from ours at every run.
            alike = next((option for option in options if option.lower() == each.lower()), None)
            raise Unfit(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"{name}: `{each}` is no active value of this restricted picklist.",
                next_step=f"Spell it `{alike}` in the mapping."
                if alike
                else "Add the value to the picklist (`connector setup salesforce` does), or map to another.",
            )
    return text


def _number(name: str, field: Described, value: JsonValue) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong_type(name, value, "a number field")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit("NOT_SENT", f"{name}: not a number that Salesforce can hold.")
    try:
        exact = Decimal(value if isinstance(value, str) else repr(value))
        scale = 0 if field.get("type") in ("int", "long") else int(field.get("scale") or 0)
        rounded = exact.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    except InvalidOperation as error:
        raise _wrong_type(name, value, "a number field") from error
    digits = int(field.get("digits") or 0) or int(field.get("precision") or 0)
    if digits and abs(rounded) >= Decimal(10) ** (digits - scale):
        raise Unfit(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{name}: {rounded} has more digits than the field holds ({digits - scale} before the point).",
            next_step="Give the number field more digits, or map to another.",
        )
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)


def _flag(name: str, field: Described, value: JsonValue) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _wrong_type(name, value, "a checkbox")


def _moment(name: str, field: Described, value: JsonValue) -> str:
    """Whole seconds in UTC: Salesforce keeps no finer part. A time without a zone counts as UTC."""
    try:
        moment = datetime.fromisoformat(str(value)) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise _wrong_type(name, value, "a date and time")
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(name: str, field: Described, value: JsonValue) -> str:
    """The day in UTC; a bare date stays as it is."""
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError as error:
            raise _wrong_type(name, value, "a date") from error
    return _moment(name, field, value)[:10]


def _reference(name: str, field: Described, value: JsonValue) -> str:
    if isinstance(value, str) and is_id(value):
        return value
    raise Unfit("MALFORMED_ID", f"{name}: the field refers to a record and takes only its id.")


def _wrong_type(name: str, value: JsonValue, field: str) -> Unfit:
    return Unfit(
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        f"{name}: {_kind(value)} cannot be written to {field}.",
        next_step="Map to a field of the right type.",
    )


def _kind(value: JsonValue) -> str:
    kinds = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), "such a value")


_BY_TYPE: Mapping[str, Callable[[str, Described, JsonValue], JsonValue]] = {
    **dict.fromkeys(("picklist", "multipicklist"), _picked),
    **dict.fromkeys(("double", "currency", "percent", "int", "long"), _number),
    "boolean": _flag,
    "datetime": _moment,
    "date": _day,
    "reference": _reference,
}
