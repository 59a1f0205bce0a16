"""Takes first-party calls in and answers once they are on the disk: whatever came meanwhile goes into the next commit.

Bounded: what does not fit is sent away before it is taken, so that whoever sent it sends it again and nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from connector.core.model import Quarantined
from connector.core.tracking import Call
from connector.errors import ConnectorError
from connector.ports import Tracked

log = structlog.get_logger("connector.incoming")

MOST = 32_000_000  # bytes of requests that wait; some seconds' work
AT_ONCE = 2_000  # events of one commit
TRIES = 2  # requests that fail in a row: then it is the ledger, which may take half a minute to say so

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
            self._writing = asyncio.create_task(self._write(), context=Context())  # of nobody's request
        await asyncio.shield(parcel.done)

    async def _write(self) -> None:
        while self._parcels:
            group = self._group()
            error = await self._tried(group)
            failed = 0
            for parcel in group if error is not None else ():  # one of them may be to blame: each by itself
                if failed < TRIES:
                    error = await self._tried([parcel])
                    failed = failed + 1 if error is not None else 0
                if error is not None:
                    self._refuse(parcel, error)

    def _group(self) -> list[_Parcel]:
        group = [self._parcels.popleft()]
        size = group[0].size
        while self._parcels and size + self._parcels[0].size <= AT_ONCE:
            group.append(self._parcels.popleft())
            size += group[-1].size
        return group

    async def _tried(self, group: Sequence[_Parcel]) -> Exception | None:
        """Keep these in one commit; whoever sent them hears of it. What was in the way, if it failed."""
        try:
            told = await self._keep(
                [call for parcel in group for call in parcel.calls],
                [row for parcel in group for row in parcel.aside],
            )
        except Exception as error:
            return error
        for parcel in group:
            self._end(parcel)
            if not parcel.done.done():
                parcel.done.set_result(None)
        self._kept(told)
        return None

    def _refuse(self, parcel: _Parcel, error: Exception) -> None:
        self._end(parcel)
        if not isinstance(error, ConnectorError):
            log.error("events cannot be kept", error=type(error).__name__)
        if not parcel.done.done():
            parcel.done.set_exception(error)
            parcel.done.exception()  # whoever waited may have gone

    def _end(self, parcel: _Parcel) -> None:
        self.waiting -= parcel.size
        self._weight -= parcel.weight
