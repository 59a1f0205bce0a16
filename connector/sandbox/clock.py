"""The sandboxes' time: real time plus an offset that tests and the control surface may move."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class SandboxClock:
    """Flows like the real clock from `start` on (aware UTC; None: from the real now).

    Implements `ports.Clock`.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = timedelta()
        if start is not None:
            self.set(start)

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, span: timedelta) -> None:
        """Move on (or back, with a negative span) at once; nobody waits."""
        self._offset += span

    def set(self, now: datetime) -> None:
        """From here on it is `now`. Raises ValueError on a time without a zone."""
        if now.tzinfo is None:
            raise ValueError(
                "The sandbox clock needs a time with a zone, for example 2026-11-22T10:00:00+00:00."
            )
        self._offset = now - datetime.now(UTC)

    async def sleep(self, span: timedelta) -> None:
        """Wait really: the servers share this clock with programs that run in real time."""
        await asyncio.sleep(max(0.0, span.total_seconds()))
