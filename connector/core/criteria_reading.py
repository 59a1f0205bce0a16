"""How a part of the criteria document is read: a value of the kind that is needed, or a problem with its place.
Knows no key and no rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from connector.core.conditions import NEVER, Condition, Lists, Path, parse_condition
from connector.core.durations import parse_duration
from connector.core.names import nearest
from connector.errors import Problem


class Reading:
    """One document being read. A part with problems comes back as a harmless stand-in."""

    def __init__(self, lists: Lists | None) -> None:
        self.lists = lists
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def condition(self, rule: Mapping[str, object], path: Path) -> Condition:
        if "when" not in rule:
            return NEVER
        return parse_condition(rule["when"], (*path, "when"), self.problems, lists=self.lists)

    def wrong(self, path: Path, what: str, near: str | None = None) -> None:
        self.problems.append(Problem(path, what, near))

    def a_map(
        self, doc: object, path: Path, allowed: Sequence[str] | None = None, required: Iterable[str] = ()
    ) -> Mapping[str, object]:
        if not isinstance(doc, Mapping):
            self.wrong(path, f"A map of keys and values is needed here, not {shown(doc)}.")
            return {}
        for key in doc:
            if not isinstance(key, str):
                self.wrong((*path, str(key)), f"`{key}` is no text; put it in quotes.")
            elif allowed is not None and key not in allowed:
                self.wrong((*path, key), f"`{key}` is no key here.", nearest(key, allowed))
        for key in required:
            if key not in doc:
                self.wrong(path, f"`{key}` is missing.")
        return {key: value for key, value in doc.items() if isinstance(key, str)}

    def a_list(self, doc: object, path: Path) -> Sequence[object]:
        if isinstance(doc, list | tuple):
            return doc
        self.wrong(path, f"A list is needed here, not {shown(doc)}.")
        return ()

    def text(self, doc: Mapping[str, object], path: Path, key: str, default: str = "") -> str:
        value = doc.get(key, default)
        if not isinstance(value, str):
            self.wrong((*path, key), f"`{key}` needs a text, not {shown(value)}; put it in quotes.")
            return default
        if key in doc and not value.strip():
            self.wrong((*path, key), f"`{key}` is empty.")
        return value

    def as_number(self, value: object, path: Path, least: float | None = None) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(path, f"A number is needed here, not {shown(value)}.")
            return None
        if not math.isfinite(value):
            self.wrong(path, f"{value} is no number to count with.")
            return None
        if least is not None and value < least:
            self.wrong(path, f"{value} is too low; it is at least {least:g}.")
            return None
        return float(value)

    def number(
        self,
        doc: Mapping[str, object],
        path: Path,
        key: str,
        default: float = 0.0,
        least: float | None = None,
    ) -> float:
        if key not in doc:
            return default
        found = self.as_number(doc[key], (*path, key), least)
        return default if found is None else found

    def whole(
        self, doc: Mapping[str, object], path: Path, key: str, *, default: int | None = None, least: int = 1
    ) -> int | None:
        if key not in doc:
            return default
        value = doc[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong((*path, key), f"`{key}` needs a whole number of at least {least}, not {shown(value)}.")
            return default
        return value

    def duration(self, doc: Mapping[str, object], path: Path, key: str) -> timedelta | None:
        if key not in doc:
            return None
        try:
            return parse_duration(doc[key])
        except ValueError as wrong:
            self.wrong((*path, key), str(wrong))
            return None

    def day(self, doc: Mapping[str, object], key: str) -> date | None:
        value = doc.get(key)
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        if key in doc:
            try:
                return date.fromisoformat(str(value))
            except ValueError:
                self.wrong((key,), f"`{key}` needs a date as in 2027-02-22, not {shown(value)}.")
        return None

    def moment(self, doc: Mapping[str, object], path: Path, key: str) -> datetime:
        value = doc.get(key)
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if isinstance(found, datetime):
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        if isinstance(found, date):
            return datetime(found.year, found.month, found.day, tzinfo=UTC)
        if key in doc:
            self.wrong((*path, key), f"`{key}` needs a time as in 2026-11-01T00:00:00Z, not {shown(value)}.")
        return datetime(1970, 1, 1, tzinfo=UTC)

    def flag(self, doc: Mapping[str, object], path: Path, key: str) -> bool | None:
        value = doc.get(key)
        if key in doc and not isinstance(value, bool):
            self.wrong((*path, key), f"`{key}` needs true or false, not {shown(value)}.")
        return value if isinstance(value, bool) else None

    def yes(self, doc: Mapping[str, object], path: Path, key: str) -> bool:
        value = doc.get(key, False)
        if not isinstance(value, bool):
            self.wrong((*path, key), f"`{key}` is true or false, not {shown(value)}.")
        return value is True


def shown(value: object) -> str:
    """A value as a problem tells it."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else f"`{str(value)[:40]}`"
