"""Hold a lease of the ledger while something slow is done, renewing it by the wall clock. Decides nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from connector.errors import ConnectorError
from connector.phases.lease import PATIENCE, Heartbeat, acquired
from connector.ports import Clock, Ledger

BEAT = 15.0  # seconds of real time; a lease lives for 45


@asynccontextmanager
async def held(
    ledger: Ledger, name: str, holder: str, clock: Clock, *, patience: timedelta = PATIENCE
) -> AsyncIterator[Heartbeat]:
    """Waits for its turn (a minute at most unless told, then LeaseBusy), keeps the lease alive inside, gives it back
    after."""
    hold = Heartbeat(ledger, clock, await acquired(ledger, name, holder, clock, patience))

    async def beat() -> None:
        with suppress(ConnectorError):  # a lease that was lost is told by the next write that needs it
            while True:
                await asyncio.sleep(BEAT)
                await hold.whole()

    beating = asyncio.create_task(beat())
    try:
        yield hold
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        await ledger.release(hold.lease)
