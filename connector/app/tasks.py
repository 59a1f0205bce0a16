"""Work that goes on in this process beside its looking for more: by name, none beside itself. Does none of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """What a part of the sidecar has begun."""

    def __init__(self) -> None:
        self._by_name: dict[str, asyncio.Task[None]] = {}

    def at(self, name: str) -> asyncio.Task[None] | None:
        """What is under way by this name."""
        task = self._by_name.get(name)
        return None if task is None or task.done() else task

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin it, where nothing of that name is under way (`at`)."""
        self._by_name[name] = asyncio.create_task(work)
        return self._by_name[name]

    @property
    def under_way(self) -> set[asyncio.Task[None]]:
        """What is being worked on now."""
        return {task for task in self._by_name.values() if not task.done()}

    async def stop(self) -> None:
        """What is under way puts its things in order; whoever comes next goes on with it, or begins it again."""
        for task in self._by_name.values():
            task.cancel()
        await asyncio.gather(*self._by_name.values(), return_exceptions=True)
