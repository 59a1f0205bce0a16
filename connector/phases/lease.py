"""Wait for a lease that another process holds, with bounded patience."""

from __future__ import annotations

from datetime import timedelta

from connector.errors import LeaseBusy
from connector.ports import Clock, Lease, Ledger

PATIENCE = timedelta(seconds=60)  # longer than a lease lives, so that a dead holder is outlived
POLL = timedelta(seconds=1)


async def acquired(
    ledger: Ledger, name: str, holder: str, clock: Clock, patience: timedelta = PATIENCE
) -> Lease:
    """The lease, at once or when its holder is done or dead. Raises LeaseBusy after `patience`."""
    waited = timedelta()
    while True:
        try:
            return await ledger.acquire(name, holder, clock.now())
        except LeaseBusy:
            if waited >= patience:
                raise
        await clock.sleep(POLL)
        waited += POLL
