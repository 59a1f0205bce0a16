"""Wait for a lease that another process holds: with bounded patience, or politely, as work does that has time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from connector.errors import LeaseBusy
from connector.ports import Clock, Lease, Ledger, wanted

PATIENCE = timedelta(seconds=60)  # longer than a lease lives, so that a dead holder is outlived
POLL = timedelta(seconds=1)
LEFT = timedelta(seconds=30)  # of a lease: as long as one request may take


async def acquired(
    ledger: Ledger, name: str, holder: str, clock: Clock, patience: timedelta = PATIENCE
) -> Lease:
    """The lease, at once or when its holder is done or dead. Raises LeaseBusy after `patience`.

    Whoever waits says so, and work that has time gives way.
    """
    waited = timedelta()
    said: Lease | None = None
    try:
        while True:
            try:
                return await ledger.acquire(name, holder, clock.now())
            except LeaseBusy:
                if waited >= patience:
                    raise
            with suppress(LeaseBusy):  # another waits too: its word is enough
                said = await ledger.acquire(wanted(name), holder, clock.now())
            await clock.sleep(POLL)
            waited += POLL
    finally:
        if said is not None:
            await ledger.release(said)


async def in_turn(
    ledger: Ledger, name: str, holder: str, clock: Clock, meanwhile: Callable[[], Awaitable[None]]
) -> Lease:
    """The lease, once nobody holds it and nobody waits for it. Calls `meanwhile` every second until then."""
    while True:
        if await ledger.holder(wanted(name), clock.now()) is None:
            with suppress(LeaseBusy):
                return await ledger.acquire(name, holder, clock.now())
        await meanwhile()
        await clock.sleep(POLL)


async def extended(ledger: Ledger, lease: Lease, at: datetime) -> Lease:
    """The lease with at least `LEFT` to live; renewed only where that is not so, since each renewal is a commit.

    Raises LeaseBusy when somebody took it over."""
    return lease if lease.expires_at - at >= LEFT else await ledger.renew(lease, at)


class Heartbeat:
    """Keeps a lease that is held for long work, as often as it is called. Raises LeaseBusy when it was lost."""

    def __init__(self, ledger: Ledger, clock: Clock, lease: Lease) -> None:
        self.lease = lease
        self._ledger, self._clock = ledger, clock

    async def __call__(self) -> None:
        """Renew it, unless that was done just now."""
        self.lease = await extended(self._ledger, self.lease, self._clock.now())

    async def whole(self) -> None:
        """Renew it now, before something that may take as long as a lease lives."""
        self.lease = await self._ledger.renew(self.lease, self._clock.now())
