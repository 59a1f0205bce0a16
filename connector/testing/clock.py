"""Clocks that tests move by hand. Time passes only when somebody says so; sleeping moves it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class HandClock:
    """Stands still until moved. `sleep` moves it and lets other tasks run, so that waiting costs no real
    time.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Aware UTC."""
        return self._now

    def advance(self, span: timedelta) -> None:
        """Move it by hand."""
        self._now += span

    async def sleep(self, span: timedelta) -> None:
        """Let this much time pass, at once."""
        before = self._now
        await asyncio.sleep(0)
        self._now = max(self._now, before + span)
        await asyncio.sleep(0)


class Movable(Protocol):
    """A clock that somebody else reads too, such as a sandbox's."""

    def now(self) -> datetime: ...

    def advance(self, span: timedelta) -> object: ...


class LeapingClock:
    """Follows another clock and leaps it forward instead of sleeping: whoever reads that clock sees the
    time pass.
    """

    def __init__(self, inner: Movable) -> None:
        self._inner = inner

    def now(self) -> datetime:
        """Aware UTC."""
        return self._inner.now()

    async def sleep(self, span: timedelta) -> None:
        """Let this much time pass, at once."""
        due = self._inner.now() + span
        await asyncio.sleep(0)
        left = due - self._inner.now()
        if left > timedelta(0):
            self._inner.advance(left)
        await asyncio.sleep(0)
