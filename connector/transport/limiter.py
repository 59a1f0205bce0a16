"""How many requests may be under way or fresh in a vendor's window. Waits by the clock it is given; sends
nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from connector.ports import Clock


class Limiter:
    """At most `permits` requests per sliding `window`, as the vendor counts them.

    A permit comes back one window after its answer came back. The vendor counted the request at some moment
    before its answer, so no window of its own can ever hold more than `permits` of ours, however slow or
    uneven the network. One per account and policy. Waiting requests are served in the order in which they
    asked.
    """

    def __init__(self, permits: int, window: timedelta, clock: Clock, *, share: float = 1.0) -> None:
        if permits < 1 or window <= timedelta(0) or not 0 < share <= 1:
            raise ValueError("a limiter needs permits >= 1, a window > 0 and a share in (0, 1]")
        self._window = window
        self._share = share
        self.permits, self.window = _shared(permits, window, share)
        self._clock = clock
        self._free = self.permits
        self._returning: deque[datetime] = deque()  # when spent permits come back, soonest first
        self._held_until: datetime | None = None
        self._turn = asyncio.Lock()
        self._answered = asyncio.Event()

    def resize(self, permits: int) -> None:
        """The vendor said how many requests its window really holds; the share stays."""
        before = self.permits
        self.permits, self.window = _shared(max(1, permits), self._window, self._share)
        self._free += self.permits - before

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        """Wait for a permit, hold it while the request is under way."""
        async with self._turn:
            await self._take()
        try:
            yield
        finally:
            self._returning.append(self._clock.now() + self.window)
            self._answered.set()

    def hold(self, span: timedelta) -> None:
        """Send nothing for this long: the vendor said that its window is full (others use it too)."""
        until = self._clock.now() + span
        if self._held_until is None or until > self._held_until:
            self._held_until = until

    async def _take(self) -> None:
        while True:
            await self._wait_out_hold()
            now = self._clock.now()
            while self._returning and self._returning[0] <= now:
                self._returning.popleft()
                self._free += 1
            if self._free > 0:
                self._free -= 1
                return
            if not self._returning:  # every permit is with a request that is still under way
                self._answered.clear()
                await self._answered.wait()
                continue
            # A wall clock that was set back must not stall us: no permit is out for longer than one window.
            await self._clock.sleep(min(self._returning[0] - now, self.window))
            if self._returning[0] - self._clock.now() > self.window:
                self._returning[0] = self._clock.now()

    async def _wait_out_hold(self) -> None:
        while (held := self._held_until) is not None:
            left = held - self._clock.now()
            if left > timedelta(0):
                await self._clock.sleep(left)
            if self._held_until == held:
                self._held_until = None


def _shared(permits: int, window: timedelta, share: float) -> tuple[int, timedelta]:
    """Whole permits and the window that make up exactly the share: 90 % of 5 a second are 5 in 1.11 s."""
    wanted = permits * share
    kept = max(1, math.ceil(wanted - 1e-9))
    return kept, window * (kept / wanted)
