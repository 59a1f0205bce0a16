"""The sidecar's share in backfills: it takes up what commands have left in the ledger, one a CRM, between its syncs.

While it is alive commands leave backfills to it, so that one process (and one rate limiter) calls each CRM.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog

from connector.app.wiring import Wired
from connector.backfill import may_go_on, run_backfill
from connector.errors import ConnectorError, FixConfig, LeaseBusy
from connector.phases.gate import PlanSummary
from connector.phases.lease import extended
from connector.ports import Backfill, Lease, backfill_lease, serving

log = structlog.get_logger("connector.backfill")

LOOK = 2.0  # seconds between two looks into the ledger; a lease lives for 45
AGAIN = timedelta(minutes=1)  # after a backfill had to wait, before it is tried again


class Backfills:
    """Serves the backfills of all connected CRMs until `stop`."""

    def __init__(self, parts: Wired) -> None:
        self._parts = parts
        self._leases: dict[str, Lease] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Look for work until cancelled. A ledger that is away for a while is waited for."""
        try:
            while True:
                try:
                    for crm in self._parts.adapters:
                        await self._look(crm)
                except ConnectorError as error:
                    log.warning("backfills cannot be looked for", error=str(error))
                await asyncio.sleep(LOOK)
        finally:
            await self._stop()

    async def _look(self, crm: str) -> None:
        ledger, clock = self._parts.ledger, self._parts.clock
        with suppress(LeaseBusy):  # another replica serves this CRM
            known = self._leases.get(crm)
            self._leases[crm] = (
                await extended(ledger, known, clock.now())
                if known
                else await ledger.acquire(serving(crm), self._parts.holder, clock.now())
            )
            task = self._running.get(crm)
            if task is None or task.done():
                found = await self._next(crm)
                if found is not None:
                    self._running[crm] = asyncio.create_task(self._run(found))
            return
        self._leases.pop(crm, None)

    async def _next(self, crm: str) -> Backfill | None:
        """The oldest that would get further now: queued, left by a process that died, or waiting long enough."""
        ledger, now = self._parts.ledger, self._parts.clock.now()
        if await ledger.holder(backfill_lease(crm), now) is not None:
            return None
        for each in await ledger.unfinished_backfills(crm):
            rested = each.status == "waiting" and now - each.changed_at >= AGAIN
            if each.status in ("queued", "running") or (
                rested and may_go_on(each, self._parts.adapters[crm].allowance())
            ):
                return each
        return None

    async def _run(self, backfill: Backfill) -> None:
        async def approve(plan: PlanSummary) -> bool:
            return plan.limit is None or backfill.yes

        parts = self._parts
        log.info("backfill begins", crm=backfill.crm, run=backfill.run, rows=backfill.rows)
        try:
            result = await run_backfill(
                backfill, parts.adapters[backfill.crm], parts.definition, parts.ledger, parts.clock,
                holder=parts.holder, approve=approve,
            )  # fmt: skip
        except ConnectorError as error:
            log.error("backfill failed", crm=backfill.crm, error=str(error), next_step=error.next_step)
            if isinstance(
                error, FixConfig
            ):  # before it had begun: a human has to act, trying again would not help
                with suppress(ConnectorError):
                    await parts.ledger.settle_backfill(backfill.id, "failed", str(error), parts.clock.now())
            return
        except Exception as error:  # the sidecar goes on; the ledger holds the reason
            log.error("backfill failed", crm=backfill.crm, error=type(error).__name__)
            return
        log.info(
            "backfill ended", crm=backfill.crm, run=result.run, status=result.status, people=result.people
        )

    async def _stop(self) -> None:
        """What is under way puts its things in order; the next start goes on with it."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        for lease in self._leases.values():
            with suppress(ConnectorError):
                await self._parts.ledger.release(lease)
