"""Says numbers, events and fields as a marketer would (conditions: `connector.core.wording`). Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable

from connector.core.model import Engagement

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


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


def event(of: Engagement) -> str:
    """What somebody did: "page view: https://www.example.com/pricing"."""
    what = of.name or of.url or of.campaign
    return f"{plain(of.type)}: {what}" if what else plain(of.type)


def times(count: int, what: str) -> str:
    """So many of something: "one demo request", "three page views"."""
    told = _COUNTS[count] if count < len(_COUNTS) else str(count)
    return f"{told} {what}" if count == 1 else f"{told} {what}s"


def listed(texts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    found = list(texts)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
