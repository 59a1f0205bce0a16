"""Reads durations as admins write them, `30d` or `12h`. Exact: a day is 86,400 seconds. Knows no calendar."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([smhdw])")
LONGEST = timedelta(days=100 * 366)


def parse_duration(text: object) -> timedelta:
    """`30d`, `12h`, `1.5d`: a number and one of `s m h d w`. More than zero, at most a hundred years.

    Raises ValueError with a sentence that can stand in a Problem.
    """
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is no duration; write a number and one of s m h d w, as in `30d`.")
    microseconds = int(Decimal(found[1]) * _UNITS[found[2]] * 1_000_000)
    if microseconds <= 0:
        raise ValueError(f"{text!r} is no time at all; a duration is more than zero.")
    if microseconds > LONGEST // timedelta(microseconds=1):
        raise ValueError(f"{text!r} is longer than a hundred years; leave the key out for `any time`.")
    return timedelta(microseconds=microseconds)


def show_duration(duration: timedelta) -> str:
    """The shortest whole spelling: `14d`, `36h`, `90s`."""
    seconds = duration.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:g}s"


def microseconds(duration: timedelta) -> int:
    """The exact length in microseconds."""
    return duration // timedelta(microseconds=1)
