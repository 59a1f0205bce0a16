"""Wait for a lease that another process holds, with bounded patience."""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.errors import LeaseBusy
from connector.ports import Clock, Lease, Ledger

PATIENCE = timedelta(seconds=60)  # longer than a lease lives, so that a dead holder is outlived
POLL = timedelta(seconds=1)
LEFT = timedelta(seconds=30)  # of a lease: as long as one request may take


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


async def extended(ledger: Ledger, lease: Lease, at: datetime) -> Lease:
    """The lease with at least `LEFT` to live; renewed only where that is not so, since each renewal is a commit.

    Raises LeaseBusy when somebody took it over."""
    return lease if lease.expires_at - at >= LEFT else await ledger.renew(lease, at)
