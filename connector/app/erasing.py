"""Erasing somebody beside a running sync: while nobody decides and nobody pushes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from connector.app.wiring import holder, plugins
from connector.errors import FixConfig, LeaseBusy
from connector.ledger import SqlLedger
from connector.phases.lease import POLL
from connector.ports import Clock, Erased, Lease

PATIENCE = timedelta(minutes=10)  # for a sync that decides or pushes; it is not made to wait itself


@asynccontextmanager
async def undisturbed(
    ledger: SqlLedger, clock: Clock, patience: timedelta = PATIENCE
) -> AsyncIterator[list[Lease]]:
    """The leases of deciding and of every push, all at once or none: whoever waits for one of them is not held up by
    us while we wait for another. Raises LeaseBusy after `patience`."""
    names = ["decide", *(f"push:{crm}" for crm in plugins())]
    ours = f"{holder()}:erase-{secrets.token_hex(4)}"  # the syncs of this process are others, too
    waited = timedelta()
    while True:
        taken: list[Lease] = []
        try:
            for name in names:
                taken.append(await ledger.acquire(name, ours, clock.now()))  # noqa: PERF401  given back below
            break
        except LeaseBusy:
            await _given_back(ledger, taken)
            if waited >= patience:
                raise
        await clock.sleep(POLL)
        waited += POLL
    try:
        yield taken
    finally:
        await _given_back(ledger, taken)


async def _given_back(ledger: SqlLedger, leases: Sequence[Lease]) -> None:
    for lease in leases:
        await ledger.release(lease)


async def erase(
    ledger: SqlLedger, clock: Clock, who: str, *, by: str, reason: str, patience: timedelta = PATIENCE
) -> Erased | None:
    """Erase the person of this address or record; None where nobody is known by it. FixConfig where several are."""
    async with undisturbed(ledger, clock, patience) as leases:
        return await ledger.erase_person(who, by=by, reason=reason, leases=leases, at=clock.now())


def unknown() -> FixConfig:
    """What to tell where nothing is held."""
    return FixConfig(
        "Nothing is held about anybody with this address or record id.",
        next_step="Check the spelling; an address, a record as crm:object:id, or person:N.",
    )


def erased_document(done: Erased) -> dict[str, Any]:
    """What an erasure did, as `--json` and the API tell it."""
    return {
        "erasure": done.number,
        "at": done.at,
        "rows": {name: many for name, many in done.rows.items() if many},
        "still_in_crms": [str(ref) for ref in done.still_there],
        "named_in": list(done.named_in),
        "shared_addresses": done.shared,
        "next_steps": next_steps(done),
    }


def next_steps(done: Erased) -> list[str]:
    """What no erasure here can do."""
    found = [
        f"Delete {ref.object} {ref.id} in {ref.crm}: nothing was deleted there." for ref in done.still_there
    ]
    if done.named_in:
        found.append(
            f"Take the person out of {', '.join(done.named_in)} in the mappings folder and publish: the copies in the "
            "ledger were scrubbed, the files are yours."
        )
    if done.shared:
        found.append(
            f"{done.shared} addresses stay: records of other people carry them, too. Erase those people, or correct "
            "their records in the CRM."
        )
    return found
