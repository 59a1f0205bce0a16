"""Tugs of war: somebody keeps changing a field of ours back. Decides when that is counted. Pure; sends nothing.

A tug is counted where we write the same value again over another that somebody put in its place. A value of ours that
moves because the facts do ends the count: that is no quarrel about it.
"""

from __future__ import annotations

from typing import Protocol

from connector.core.model import FieldWrite, JsonValue
from connector.core.values import same_value


class Known(Protocol):
    """The count so far: how often somebody changed this value of ours."""

    @property
    def value(self) -> JsonValue: ...
    @property
    def times(self) -> int: ...


def pulled(write: FieldWrite, last: JsonValue, known: Known | None) -> int | None:
    """How often somebody has changed this value of ours by now, where `write` is a new turn; None where it is none.

    `last` is what we wrote to the field before this write; `write.before` is what stood there instead.
    """
    if not same_value(last, write.after) or same_value(write.before, last):
        return None
    return 1 + (known.times if known is not None and same_value(known.value, write.after) else 0)


def why_tugged(times: int, other: JsonValue) -> str:
    """For the admin who reads why a field is left alone. The other value is a vendor's option, a number or blank."""
    there = "blank" if other in (None, "") else f"`{other}`"
    return (
        f"somebody changed it back to {there} {times} times; it is left alone until it is released "
        "(`connector holds release`)"
    )
