"""Takes first-party calls in and answers once they are on the disk: whatever came meanwhile goes into the next commit.

Bounded: what does not fit is sent away before it is taken, so that whoever sent it sends it again and nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from connector.core.model import Quarantined
from connector.core.tracking import Call
from connector.errors import ConnectorError
from connector.ports import Tracked

log = structlog.get_logger("connector.incoming")

MOST = 32_000_000  # bytes of requests that wait; some seconds' work
AT_ONCE = 2_000  # events of one commit

Keep = Callable[[Sequence[Call], Sequence[Quarantined]], Awaitable[Tracked]]


class FullError(Exception):
    """So much waits already that nothing more is taken."""


@dataclass(slots=True)
class _Parcel:
    """The calls of one request."""

    calls: Sequence[Call]
    aside: Sequence[Quarantined]
    weight: int
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def size(self) -> int:
        return len(self.calls) + len(self.aside)


class Inbox:
    """One for a process. `kept` is told what each commit came to."""

    def __init__(self, keep: Keep, kept: Callable[[Tracked], None], most: int = MOST) -> None:
        self._keep, self._kept, self._most = keep, kept, most
        self._parcels: deque[_Parcel] = deque()
        self._writing: asyncio.Task[None] | None = None
        self.waiting = 0  # events that are not on the disk yet
        self._weight = 0  # of them, in bytes

    async def take(self, calls: Sequence[Call], aside: Sequence[Quarantined], weight: int) -> None:
        """All of a request's (so many bytes), kept once this returns. Raises FullError before anything is taken, and a
        ConnectorError where the ledger does not take it; then nothing of the request is kept."""
        parcel = _Parcel(calls, aside, weight)
        if self._weight + weight > self._most:
            raise FullError
        self._parcels.append(parcel)
        self.waiting += parcel.size
        self._weight += weight
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(parcel.done)

    async def _write(self) -> None:
        while self._parcels:
            group = self._group()
            if not await self._try(group):
                for parcel in group:  # one of them may be to blame: each by itself
                    await self._try([parcel], last=True)

    def _group(self) -> list[_Parcel]:
        group = [self._parcels.popleft()]
        size = group[0].size
        while self._parcels and size + self._parcels[0].size <= AT_ONCE:
            group.append(self._parcels.popleft())
            size += group[-1].size
        return group

    async def _try(self, group: Sequence[_Parcel], *, last: bool = False) -> bool:
        """Whether these were kept in one commit. The `last` time whoever sent them is told that they were not."""
        try:
            told = await self._keep(
                [call for parcel in group for call in parcel.calls],
                [row for parcel in group for row in parcel.aside],
            )
        except Exception as error:
            if last:
                self._settle(group, error)
            return False
        self._settle(group, None)
        self._kept(told)
        return True

    def _settle(self, group: Sequence[_Parcel], error: Exception | None) -> None:
        for parcel in group:
            self.waiting -= parcel.size
            self._weight -= parcel.weight
            if parcel.done.done():
                continue
            if error is None:
                parcel.done.set_result(None)
                continue
            if not isinstance(error, ConnectorError):
                log.error("events cannot be kept", error=type(error).__name__)
            parcel.done.set_exception(error)
            parcel.done.exception()  # whoever waited may have gone
