"""What makes an event suspect, as frozen values: the criteria's `suspect`. Judges nothing, `normalize.suspect` does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from connector.core.conditions import Condition


@dataclass(frozen=True, slots=True)
class SecondSign:
    """What clears an event that looks like a machine's: an event of `events` at most `within` away, or, with
    `another_day`, an event of the same type and message on another UTC day."""

    events: tuple[str, ...] = ()
    within: timedelta = timedelta(minutes=30)
    another_day: bool = False


@dataclass(frozen=True, slots=True)
class SuspectRule:
    """Events of these types are not counted where all that is named holds.

    `after_sent`: at most so long after the mail was sent (`attributes.sent`). `links`: so many different links of one
    message, and where `within` is named, in such a stretch of time. `again_within`: the same (type, name and
    link) was done at most so long before. `unopened`: no open of the message counts.
    """

    id: str
    name: str
    events: tuple[str, ...]
    where: Condition | None = None
    after_sent: timedelta | None = None
    links: int | None = None
    within: timedelta | None = None
    again_within: timedelta | None = None
    unopened: bool = False
    unless: SecondSign | None = None

    @property
    def why(self) -> str:
        """The reason as people read it."""
        return f"suspect by `{self.id}`: {self.name}"

    @property
    def looks_at(self) -> frozenset[str]:
        """The types of events that it takes to judge by this rule."""
        signs = self.unless.events if self.unless else ()
        return frozenset((*self.events, *signs, *(("email_open",) if self.unopened else ())))
