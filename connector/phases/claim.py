"""What a stream of people claims to have read in one run, and which range of it is worth a count. Asks nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.core.model import Page, RecordState, Ref
from connector.core.refs import RefSet
from connector.ports import Range

STANDING = (RecordState.LIVE, RecordState.CONVERTED)  # what a vendor's count counts
YOUNG = timedelta(minutes=15)  # before a run: a watermark is never further behind its clock
JUST_AFTER = timedelta(milliseconds=1)  # as exact as vendors keep times


@dataclass(slots=True)
class Claim:
    """One stream of people in one run: read from which watermark on, and whom the run has met."""

    since: datetime | None  # None: everything, a first load
    young: datetime
    swept: bool = False  # everything was looked at once more
    resumed: bool = False  # an earlier run has read a part of it
    _met: RefSet = field(default_factory=RefSet)
    _late: dict[Ref, datetime] = field(
        default_factory=dict
    )  # by when they were changed, where that may matter
    _ended: set[Ref] = field(default_factory=set)

    def note(self, page: Page) -> None:
        """Whom a page brought."""
        if page.census is not None and page.census.up_to is None:
            self.swept |= page.census.state is RecordState.LIVE
        for record in page.records:
            if record.state not in STANDING:
                self._ended.add(record.ref)
            elif self.since is None or record.changed_at >= self.since:
                self._met.add(record.ref)
                if record.changed_at >= self.young:
                    self._late[record.ref] = record.changed_at

    def met(self, until: datetime) -> int:
        """How many that stand now were last changed before this moment (and since the watermark)."""
        later = {ref for ref, at in self._late.items() if at >= until}
        ended = sum(ref in self._met for ref in self._ended - later)
        return len(self._met) - len(later) - ended

    async def asks(
        self, until: datetime | None, newest: Callable[[], Awaitable[datetime | None]]
    ) -> Range | None:
        """The range to be counted; None where nothing is claimed, or nothing was to be seen in it.

        A run without a row of the range costs no call, but for the first one of a day (UTC): that asks what there is
        since the `newest` change that is known.
        """
        if until is None or (self.since is not None and until <= self.since):
            return None
        if self.since is None or self.swept:
            return Range(None, until)
        if self.met(until):
            return Range(self.since, until)
        if self.since.date() == until.date():
            return None
        known = await newest()
        return Range(known + JUST_AFTER, until) if known is not None and known + JUST_AFTER < until else None
