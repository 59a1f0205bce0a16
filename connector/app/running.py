"""Runs the asynchronous body of a command. Decides only what a stop means: the same as Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in which a container's stop (SIGTERM) cancels the work as Ctrl-C does.

    Raises KeyboardInterrupt after either, once the work has put its things in order.
    """
    stopped = False

    async def stoppable() -> T:
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        with suppress(NotImplementedError, RuntimeError):  # only the main thread may listen to signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        return await work

    try:
        return asyncio.run(stoppable())
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise
