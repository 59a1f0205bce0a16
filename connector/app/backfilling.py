"""The sidecar's share in backfills: it takes up what commands have left in the ledger, one a CRM, between its syncs.

While it is alive commands leave backfills to it, so that one process (and one rate limiter) calls each CRM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

import structlog

from connector.app.observed import observed, work
from connector.app.serving import Current
from connector.app.tasks import Tasks
from connector.app.wiring import Wired
from connector.backfill import may_go_on, run_backfill
from connector.errors import ConnectorError, FixConfig
from connector.phases.gate import PlanSummary
from connector.pipeline import Watching
from connector.ports import Backfill, backfill_lease

log = structlog.get_logger("connector.backfill")

AGAIN = timedelta(minutes=1)  # after a backfill had to wait, before it is tried again


class Backfills:
    """Serves the backfills of the CRMs that are ours, until it is stopped."""

    def __init__(self, parts: Wired, current: Current, stopping: Callable[[], bool] = lambda: False) -> None:
        self._stopping = stopping
        self._parts, self._current = parts, current
        self.tasks = Tasks()  # by CRM

    async def look(self, crms: Iterable[str]) -> None:
        """Begin the next of each of these CRMs, unless one is under way."""
        for crm in sorted(crms):
            if self.tasks.at(crm) is None and (found := await self._next(crm)) is not None:
                self.tasks.begin(crm, self._run(found))

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

        parts = await self._current.of([backfill.crm])
        log.info("backfill begins", crm=backfill.crm, run=backfill.run, rows=backfill.rows)
        try:
            with work("backfill") as note:
                result = await run_backfill(
                    backfill, parts.adapters[backfill.crm], parts.definition, parts.ledger, parts.clock,
                    holder=parts.holder, approve=approve,
                    watching=observed(Watching(stopping=self._stopping), note),
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
