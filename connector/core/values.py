"""Says whether two values mean the same, however a CRM spells them. Compares only; nothing here is sent.

A CRM gives back what was written in its own spelling: the number 42 as the text "42", a time as epoch
milliseconds, a blank as "". Such a difference is no change.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from connector.core.model import JsonValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].+)?")
# Whole numbers in this range are read as epoch milliseconds (1973 to 2286), on both sides alike, so that a
# large plain number still equals only itself.
_EPOCH_MS = range(10**11, 10**13)


def same_value(a: JsonValue, b: JsonValue) -> bool:
    """Whether both mean the same: 42 and "42.0", None and "", true and "true", one time in two spellings."""
    return canonical(a) == canonical(b)


def place_in(order: Sequence[str], value: JsonValue) -> int | None:
    """Where a value stands among these, such as a stage among an account's own; None where it is none of them."""
    return next((n for n, each in enumerate(order) if same_value(each, value)), None)


def is_sendable(text: str) -> bool:
    """Whether JSON can say it in UTF-8: half of a character that was cut in two (a lone surrogate) cannot be."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def canonical(value: JsonValue) -> str | None:
    """One spelling per meaning; None for a blank. For comparing, not for sending.

    Text is trimmed and keeps its case. Numbers lose a needless fraction, a text with a leading zero or plus
    stays a text (an id or a phone number). Dates, times (naive ones as UTC) and epoch milliseconds become
    one instant in UTC, a date its midnight. Lists and objects become JSON of their canonical parts.
    """
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int():
            return _of_number(str(value))
        case float():
            return _of_float(value)
        case datetime():
            return _of_instant(value)
        case date():
            return _of_instant(datetime(value.year, value.month, value.day, tzinfo=UTC))
        case str():
            return _of_text(value.strip())
        case list() | tuple():
            return json.dumps([canonical(each) for each in value])
        case dict():
            return json.dumps({str(key): canonical(each) for key, each in value.items()}, sort_keys=True)
    return str(value)


def is_blank(value: JsonValue) -> bool:
    """Whether there is nothing: None, NaN, or text of white space only."""
    return canonical(value) is None


def as_number(value: JsonValue) -> float | None:
    """The number a CRM means by this value, None where it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value.strip())
    return None


def _of_text(text: str) -> str | None:
    if not text:
        return None
    if text.lower() in ("true", "false"):
        return text.lower()
    if _NUMBER.fullmatch(text):
        return _of_number(text)
    if _INSTANT.fullmatch(text):
        try:
            return _of_instant(datetime.fromisoformat(text))
        except ValueError:  # looks like a date and is none: 2026-02-30
            return text
    return text


def _of_number(text: str) -> str:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    sign, whole, fraction = found.group(1), found.group(2), (found.group(3) or "").rstrip("0")
    if not fraction and not sign and len(whole) <= 13 and int(whole) in _EPOCH_MS:
        return _of_instant(_EPOCH + timedelta(milliseconds=int(whole)))
    if not fraction:
        return "0" if whole == "0" else sign + whole
    return f"{sign}{whole}.{fraction}"


def _of_float(value: float) -> str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return str(value)
    if value.is_integer():
        return _of_number(str(int(value)))
    return _of_number(format(Decimal(repr(value)), "f"))


def _of_instant(moment: datetime) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
