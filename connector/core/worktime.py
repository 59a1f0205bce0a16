"""Working time: which moments lie in it, how much of it passes. Pure; knows hours, days, holidays and a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FARTHEST = timedelta(
    days=3_700
)  # no deadline is looked for beyond; a calendar without a working day has none
ZERO = timedelta(0)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WorkTime:
    """Hours from `opens` to `closes` (as time since midnight by the clock on the wall, at most 24 h) on these weekdays
    (Monday is 0), but for `holidays`, in `zone`.

    Where the clock is put forward or back, the hours are those that the clock on the wall shows: such a day may be an
    hour shorter or longer.
    """

    opens: timedelta = timedelta(hours=9)
    closes: timedelta = timedelta(hours=17)
    days: frozenset[int] = frozenset(range(5))
    holidays: frozenset[date] = frozenset()
    zone: tzinfo = field(default=UTC, compare=False)  # of the settings, not of the file

    def after(self, start: datetime, span: timedelta) -> datetime:
        """The moment (UTC) by which so much working time has passed since `start` (aware). Without any working day
        ahead, a moment that is too far away to matter."""
        left = span
        for begins, ends in self._windows(start, start + FARTHEST):
            if left <= ends - begins:
                return begins + left
            left -= ends - begins
        return start.astimezone(UTC) + FARTHEST

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How much working time lies between two moments (aware); none where the second is not later."""
        return sum((ends - begins for begins, ends in self._windows(start, end)), ZERO)

    def _windows(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The stretches of working time in `[start, end]`, in UTC, in order; none is empty."""
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        day = start.astimezone(self.zone).date() - DAY  # hours up to 24:00 may reach into the next day's dark
        last = end.astimezone(self.zone).date()
        while day <= last:
            if day.weekday() in self.days and day not in self.holidays:
                begins, ends = max(start, self._at(day, self.opens)), min(end, self._at(day, self.closes))
                if begins < ends:
                    yield begins, ends
            day += DAY

    def _at(self, day: date, since_midnight: timedelta) -> datetime:
        """That time by the clock on the wall, in UTC."""
        wall = datetime.combine(day, time()) + since_midnight
        return wall.replace(tzinfo=self.zone).astimezone(UTC)
