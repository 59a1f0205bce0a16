"""Judges the values of a write as Salesforce does: names, types, lengths, ranges, picklists. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.schema import Field, ObjectType
from adapters.salesforce.sandbox.soql import wire_time

Json = Any


class RecordError(Exception):
    """One record that is refused: Salesforce's code and message, and the HTTP status of a single write."""

    def __init__(
        self, code: str, message: str, fields: tuple[str, ...] = (), *, http: int = 400, more: Json = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields
        self.http = http
        self.more = more or {}

    def element(self) -> dict[str, Json]:
        """As one error of a collections element."""
        error = {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}
        return {"success": False, "errors": [{**error, **self.more}]}

    def body(self) -> list[dict[str, Json]]:
        """As the whole body of a single-row answer."""
        fields = {"fields": list(self.fields)} if self.fields else {}
        return [{"message": self.message, "errorCode": self.code, **fields, **self.more}]


def checked(
    kind: ObjectType, given: Mapping[str, Json], *, creating: bool, rounding: str = ROUND_HALF_UP
) -> dict[str, Json]:
    """The values as they would be stored, under the fields' own spelling. Raises RecordError for the first fault."""
    found: dict[str, tuple[Field, Json]] = {}
    for name, value in given.items():
        each = kind.find(name)
        if each is None:
            message = f"No such column '{name}' on sobject of type {kind.name}"
            raise RecordError("INVALID_FIELD", message, (name,))
        found[each.name] = (each, value)
    fixed = [
        name for name, (each, _) in found.items() if not (each.createable if creating else each.updateable)
    ]
    if fixed:
        raise RecordError(
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {', '.join(fixed)}. Please check the security settings of this "
            "field and verify that it is read/write for your profile or permission set.",
            tuple(fixed),
        )
    values = {name: _stored(each, value, rounding) for name, (each, value) in found.items()}
    missing = [
        name
        for name, each in kind.fields.items()
        if each.required
        and (values.get(name) is None if creating else name in values and values[name] is None)
    ]
    if missing:
        message = f"Required fields are missing: [{', '.join(missing)}]"
        raise RecordError("REQUIRED_FIELD_MISSING", message, tuple(missing))
    return values


def _stored(each: Field, value: Json, rounding: str) -> Json:
    if isinstance(value, str):
        value = value.strip() or None
    if value is None:
        return each.default
    if each.type in _DECIMALS:
        return _number(each, value, rounding)
    return _BY_TYPE.get(each.type, _text)(each, value)


def _text(each: Field, value: Json) -> str:
    if isinstance(value, dict | list):
        raise _unreadable(each, "START_OBJECT", "")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > each.length:
        message = f"{each.label}: data value too large: {text[:255]} (max length={each.length})"
        raise RecordError("STRING_TOO_LONG", message, (each.name,))
    return text


def _picked(each: Field, value: Json) -> str:
    text = _text(each, value)
    if not each.restricted:
        return text
    for option in each.options:
        if option.lower() == text.lower():
            return option
    message = f"{each.label}: bad value for restricted picklist field: {text}"
    raise RecordError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (each.name,))


def _email(each: Field, value: Json) -> str:
    text = _text(each, value)
    local, at, host = text.partition("@")
    if not (local and at and "." in host) or " " in text:
        message = f"{each.label}: invalid email address: {text}"
        raise RecordError("INVALID_EMAIL_ADDRESS", message, (each.name,))
    return text


def _flag(each: Field, value: Json) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _unreadable(each, "VALUE_STRING", value)


def _number(each: Field, value: Json, rounding: str = ROUND_HALF_UP) -> float:
    """Rounded to the field's scale; more digits before the point than it holds are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unreadable(each, "VALUE_STRING", value)
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-each.scale), rounding)
    if abs(rounded) >= Decimal(10) ** (each.precision - each.scale):
        message = f"{each.label}: value outside of valid range on numeric field: {value}"
        raise RecordError("NUMBER_OUTSIDE_VALID_RANGE", message, (each.name,))
    return float(rounded)


def _whole(each: Field, value: Json) -> int:
    number = _number(each, value)
    if number != value:
        raise _unreadable(each, "VALUE_NUMBER_FLOAT", value)
    return int(number)


def _moment(each: Field, value: Json) -> str:
    """Whole seconds, UTC. A time without a zone is taken as UTC, a bare date as its midnight."""
    if not isinstance(value, str):
        raise _unreadable(each, "VALUE_NUMBER_INT", value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _unreadable(each, "VALUE_STRING", value) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return wire_time(aware.replace(microsecond=0))


def _date(each: Field, value: Json) -> str:
    if not isinstance(value, str):
        raise _unreadable(each, "VALUE_NUMBER_INT", value)
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        raise _unreadable(each, "VALUE_STRING", value) from None


def _reference(each: Field, value: Json) -> str:
    id = full_id(value) if isinstance(value, str) else None
    if id is None:
        raise RecordError("MALFORMED_ID", f"{each.label}: id value of incorrect type: {value}", (each.name,))
    return id


def _unreadable(each: Field, token: str, value: Json) -> RecordError:
    word = {"datetime": "datetime", "boolean": "boolean", "date": "date", "int": "int"}.get(
        each.type, "double"
    )
    word = "string" if each.type not in _BY_TYPE or _BY_TYPE[each.type] is _text else word
    message = (
        f"Cannot deserialize instance of {word} from {token} value {value} or request may be missing a required "
        "field"
    )
    return RecordError("JSON_PARSER_ERROR", message, (each.name,))


_DECIMALS = ("double", "currency", "percent")
_BY_TYPE: Mapping[str, Callable[[Field, Json], Json]] = {
    "picklist": _picked,
    "email": _email,
    "boolean": _flag,
    **dict.fromkeys(_DECIMALS, _number),
    "int": _whole,
    "datetime": _moment,
    "date": _date,
    "reference": _reference,
}
