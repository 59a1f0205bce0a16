"""Says conditions, events and fields as a marketer would. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from connector.core.conditions import All, Any, Condition, Instant, Leaf, Not
from connector.core.durations import show_duration
from connector.core.model import Engagement

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(name: str) -> str:
    """A field or type as words: `company_size` is "company size", `attributes.plan` is "plan"."""
    return name.removeprefix("attributes.").replace("_", " ")


def number(value: float) -> str:
    """With at most two decimals, and none where it has none."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def signed(points: float) -> str:
    """Points with their sign."""
    text = number(points)
    return text if text.startswith("-") else f"+{text}"


def condition(of: Condition) -> str:
    """A condition in words: "company size of 50 or more"."""
    match of:
        case Leaf():
            return _leaf(of)
        case All():
            return " and ".join(condition(part) for part in of.parts)
        case Any():
            return " or ".join(condition(part) for part in of.parts) or "nothing at all"
        case Not():
            return f"not ({condition(of.part)})"


def _leaf(leaf: Leaf) -> str:
    name = plain(leaf.field)
    match leaf.op:
        case "is_set":
            return f"any {name}"
        case "is_blank":
            return f"no {name}"
        case "in_list":
            return f"{name} in {leaf.listed}"
        case "between" if isinstance(leaf.value, tuple):
            return f"{name} from {_operand(leaf.value[0])} to {_operand(leaf.value[1])}"
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    told = " or ".join(_operand(value) for value in values[:4]) + (" or others" if len(values) > 4 else "")
    joined = {
        "is": f"{name} {told}",
        "in": f"{name} {told}",
        "is_not": f"{name} other than {told}",
        "not_in": f"{name} other than {told}",
        "gt": f"{name} above {told}",
        "gte": f"{name} of {told} or more",
        "lt": f"{name} below {told}",
        "lte": f"{name} of {told} or less",
        "contains": f'{name} containing "{told}"',
        "starts_with": f'{name} beginning with "{told}"',
        "ends_with": f'{name} ending with "{told}"',
        "matches": f'{name} like "{told}"',
    }
    return joined[leaf.op]


def _operand(value: object) -> str:
    if isinstance(value, Instant):
        return f"{_EPOCH + timedelta(microseconds=value.us):%Y-%m-%d}"
    return number(value) if isinstance(value, float) else str(value)


def event(of: Engagement) -> str:
    """What somebody did: "page view: https://www.example.com/pricing"."""
    what = of.name or of.url or of.campaign
    return f"{plain(of.type)}: {what}" if what else plain(of.type)


def times(count: int, what: str) -> str:
    """So many of something: "one demo request", "three page views"."""
    told = _COUNTS[count] if count < len(_COUNTS) else str(count)
    return f"{told} {what}" if count == 1 else f"{told} {what}s"


def span(length: timedelta) -> str:
    """A duration as the file writes it."""
    return show_duration(length)


def listed(texts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    found = list(texts)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
