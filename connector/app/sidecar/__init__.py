"""The sidecar: scheduled syncs, work that commands have left, and backfills, in turn, for the CRMs that are its own.

Of several sidecars on one ledger one serves a CRM; the others are ready to. The scheduler starts no sync of a CRM while
its last one is still going.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from prometheus_client import CollectorRegistry

from connector.app.applying import apply_plan
from connector.app.backfilling import Backfills
from connector.app.commands.sync import run_once
from connector.app.commands.undo import undo_here
from connector.app.serving import Current, Requests, Served, Work
from connector.app.sidecar.health import Health
from connector.app.sidecar.jobs import Jobs
from connector.app.sidecar.meters import Meters
from connector.app.who import SCHEDULE
from connector.app.wiring import Wired
from connector.core.approval import review
from connector.errors import ConnectorError
from connector.pipeline import RunResult, Watching

__all__ = ["Health", "Meters", "Sidecar"]

log = structlog.get_logger("connector.serve")

LOOK = 1.0  # seconds between two looks for work; a lease lives for 45


async def apply_for_somebody(
    parts: Wired, arguments: Mapping[str, Any], asked_by: str, watching: Watching
) -> dict[str, Any]:
    """`plan apply`, as a command has left it."""
    during_freeze = bool(arguments.get("during_freeze"))
    return await apply_plan(
        parts, int(arguments["plan"]), by=asked_by, during_freeze=during_freeze, watching=watching
    )


class Sidecar:
    """What one sidecar does, in turn: the syncs of the CRMs that it serves, as scheduled and as asked for; and beside
    them their backfills."""

    def __init__(self, parts: Wired) -> None:
        self.parts = parts
        self.registry = CollectorRegistry()
        self.health, self.meters = Health(), Meters(self.registry)
        self.served = Served(parts)
        self._turn = asyncio.Lock()
        self.current = Current(parts)
        works: dict[str, Work] = {
            "sync": self._sync_for_somebody,
            "apply": apply_for_somebody,
            "undo": undo_here,
        }
        self._requests = Requests(parts, self.current, works, self._turn)
        self._backfills = Backfills(parts, self.current)
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self.jobs = Jobs(self)
        self._reviewed = ""

    async def look_around(self) -> None:
        """Serve until cancelled. A ledger that is away for a while is waited for."""
        for interval in sorted({self.parts.intervals[crm] for crm in self.parts.adapters}):
            crms = frozenset(crm for crm in self.parts.adapters if self.parts.intervals[crm] == interval)
            self._scheduler.add_job(
                self.sync, "interval", seconds=interval.total_seconds(), args=[crms],
                max_instances=1, coalesce=True, id=f"sync {', '.join(sorted(crms))}",
            )  # fmt: skip
        self._scheduler.start()
        ours: frozenset[str] = frozenset()
        while True:
            try:
                await self.served.look()
                self.review()
                self.health.hear_of(await self.parts.ledger.brakes(), self.parts.adapters)
                # The first sync asks all CRMs together, so that nobody is decided without one side.
                new, ours = self.served.crms - ours, self.served.crms
                if new:
                    self._scheduler.add_job(self.sync, args=[new])
                await self._backfills.look(self.served.crms)
                await self._requests.look(self.served.crms)
                await self.jobs.look()
            except ConnectorError as error:
                log.warning("work cannot be looked for", error=str(error))
            await asyncio.sleep(LOOK)

    def review(self) -> str:
        """Whether the agreement is to be looked at again: `soon`, `overdue` or empty. Logged once each."""
        state = review(self.current.definition.criteria, self.parts.clock.now().date())
        if state != self._reviewed:
            self._reviewed = state
            if state:
                by = str(self.current.definition.criteria.review_by)
                log.warning("the review of the definition is due", state=state, review_by=by)
        return state

    async def stop(self) -> None:
        """Everything under way puts its things in order, before the ledger is closed; others may serve at once."""
        await self._requests.stop()
        await self._backfills.stop()
        await self.jobs.stop()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)  # cancels the sync in hand
        async with self._turn:
            await self.served.release()

    async def sync(self, crms: frozenset[str]) -> None:
        """One scheduled sync of those of these CRMs that are ours."""
        ours = crms
        try:
            async with self._turn:
                ours = crms & self.served.crms
                if not ours:
                    return
                result = await run_once(await self.current.of(ours), asked_by=SCHEDULE, quiet=True)
        except asyncio.CancelledError:
            log.info("sync stopped", next_step="The next start goes on from what was saved.")
            return
        except ConnectorError as error:
            self.health.crms |= {crm: str(error) for crm in ours}
            log.error("sync failed", error=str(error), next_step=error.next_step)
            self.meters.runs.labels("failed").inc()
            return
        self._note(result)

    async def _sync_for_somebody(
        self, parts: Wired, arguments: Mapping[str, Any], asked_by: str, watching: Watching
    ) -> dict[str, Any]:
        result = await run_once(
            parts,
            asked_by=asked_by,
            plan_only=bool(arguments["plan_only"]),
            yes=bool(arguments["yes"]),
            watched=watching,
        )
        self._note(result)
        return result.document()

    def _note(self, result: RunResult) -> None:
        """Keep how a run ended. Logs a CRM once when it goes away and once when it is back."""
        health = self.health
        health.at = self.parts.clock.now()
        self.meters.count(result, health.at)
        for crm, counts in result.crms.items():
            health.crms[crm] = None if counts.fetched else counts.error
            if counts.error and crm not in health.failing:
                health.failing.add(crm)
                log.warning("crm has errors", crm=crm, error=counts.error)
            elif not counts.error and crm in health.failing:
                health.failing.discard(crm)
                log.info("crm is back", crm=crm)
        health.plans_of(result)
        log.info(
            "sync finished",
            run=result.run,
            status=result.status,
            people=result.people,
            seconds=round(result.seconds, 1),
        )
