"""How far a reading by Bulk jobs has got, and its form in a cursor. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.payload import instant
from connector.core.model import JsonValue


@dataclass(frozen=True, slots=True)
class Window:
    """`[low, high)` of SystemModstamp; None is open."""

    low: datetime | None = None
    high: datetime | None = None

    def conditions(self) -> list[str]:
        bounds = ((">=", self.low), ("<", self.high))
        return [f"SystemModstamp {sign} {soql.instant(each)}" for sign, each in bounds if each is not None]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reading has got: the job of the first window (none yet: empty), the locator of the piece to fetch
    next, the rows of the pieces before it. `query` tells whether the job still answers what is asked."""

    windows: tuple[Window, ...] = (Window(),)
    job: str = ""
    query: str = ""
    locator: str = ""
    rows: int = 0


def write_place(place: Place) -> dict[str, JsonValue]:
    """A place as JSON."""
    windows: list[JsonValue] = [
        [soql.instant(each) if each else None for each in (window.low, window.high)]
        for window in place.windows
    ]
    return {
        "windows": windows,
        "job": place.job,
        "query": place.query,
        "locator": place.locator,
        "rows": place.rows,
    }


def read_place(kept: Any) -> Place:
    """The place that this JSON tells. Raises KeyError, TypeError or ValueError for any other."""
    windows = tuple(
        Window(*(instant(each) if each is not None else None for each in window))
        for window in kept["windows"]
    )
    if not windows:
        raise ValueError("no window")
    names = {name: kept[name] for name in ("job", "query", "locator")}
    if not all(isinstance(value, str) for value in names.values()):
        raise TypeError("not a text")
    return Place(windows, rows=int(kept["rows"]), **names)
