"""One question to the ledger, for commands that only look. Opens it, asks, closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from connector.app.settings import load_settings
from connector.ledger import SqlLedger, open_ledger

T = TypeVar("T")


def ask_ledger(question: Callable[[SqlLedger], Awaitable[T]]) -> T:
    """What the ledger answers. Raises FixConfig where there is none to open."""

    async def go() -> T:
        ledger = open_ledger(load_settings().database_url)
        try:
            return await question(ledger)
        finally:
            await ledger.close()

    return asyncio.run(go())
