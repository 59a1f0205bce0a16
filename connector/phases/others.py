"""Wait until no other run is between its plan and the end of its push: a new plan would end its own. Starts nothing."""

from __future__ import annotations

from connector.phases.lease import POLL
from connector.ports import Alive, Clock, Ledger

TURNS = 60


async def others_plans_gone(
    ledger: Ledger, clock: Clock, crm: str, runs: frozenset[int], alive: Alive
) -> None:
    """With bounded patience, while a run that is none of `runs` has an open plan of this CRM and goes on."""
    for _ in range(TURNS):
        plans = await ledger.open_plans()
        others = [plan.run for plan in plans if plan.crm == crm and plan.run not in runs]
        found = [await ledger.run(run) for run in others]
        if not any(run is not None and run.status == "running" for run in found):
            return
        await alive()
        await clock.sleep(POLL)


async def others_pushed(ledger: Ledger, clock: Clock, crm: str) -> None:
    """With bounded patience, while somebody pushes to this CRM. Where they go on, a new plan takes over the rest."""
    for _ in range(TURNS):
        if await ledger.holder(f"push:{crm}", clock.now()) is None:
            return
        await clock.sleep(POLL)
