"""The sidecar: scheduled syncs, work that commands have left, and backfills, in turn, for the CRMs that are its own.

Of several sidecars on one ledger one serves a CRM; the others are ready to. The scheduler starts no sync of a CRM while
its last one is still going; what it misses is done once, as soon as it can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from prometheus_client import CollectorRegistry

from connector.app.applying import apply_plan
from connector.app.backfilling import Backfills
from connector.app.estimating import backfill_for_somebody
from connector.app.observed import observed, work
from connector.app.serving import Current, Requests, Served, Work
from connector.app.sidecar.health import LOOKING, SCHEDULER, Health
from connector.app.sidecar.jobs import Jobs
from connector.app.sidecar.meters import Meters
from connector.app.syncing import run_once
from connector.app.telling import Outbox, Target
from connector.app.undoing import undo_here
from connector.app.who import SCHEDULE
from connector.app.wiring import Wired
from connector.core.approval import review
from connector.errors import ConnectorError, RetryLater
from connector.pipeline import RunResult, Watching

__all__ = ["Health", "Meters", "Sidecar"]

log = structlog.get_logger("connector.serve")

SYNC = "sync "  # of the name of a scheduled sync, before its CRMs
LOOK = 1.0  # seconds between two looks for work; a lease lives for 45
LONGEST_LOOK = 60.0  # seconds, then the look is given up; the next one tries again
BEAT = 5.0  # seconds between two signs of life of the scheduler
CALLS_KEPT = 60.0  # seconds between two times that calls are added to those of the day
LONGEST_JITTER = 60.0  # seconds
GRACE = 8.0  # seconds that a stop leaves to what is in hand
FOLDED = {
    "max_instances": 1,
    "coalesce": True,
    "misfire_grace_time": None,
}  # late is done once, never left out


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
    them their backfills and its jobs."""

    def __init__(self, parts: Wired, targets: Sequence[Target] = (), address: str = "") -> None:
        self.parts = parts
        self.registry = CollectorRegistry()
        self.outbox = Outbox(targets, self.registry, address)
        self.health, self.meters = Health(), Meters(self.registry)
        self.served = Served(parts)
        self.stopping = False
        self.turn = asyncio.Lock()
        self.current = Current(parts)
        works: dict[str, Work] = {
            "sync": self._sync_for_somebody,
            "apply": apply_for_somebody,
            "undo": undo_here,
            "backfill": backfill_for_somebody,
        }
        self._requests = Requests(parts, self.current, works, self.turn, lambda: self.stopping)
        self._backfills = Backfills(parts, self.current, lambda: self.stopping)
        self._scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=FOLDED)
        self.jobs = Jobs(self)
        self._syncs: set[asyncio.Task[object]] = set()
        self._reviewed = ""

    def schedule(self) -> None:
        """The syncs of each CRM by its interval: CRMs of one interval together, so that nobody is decided without one
        side. Several sidecars on one account do not all ask at the same second."""
        for interval in sorted({self.parts.intervals[crm] for crm in self.parts.adapters}):
            crms = frozenset(crm for crm in self.parts.adapters if self.parts.intervals[crm] == interval)
            seconds = interval.total_seconds()
            self._scheduler.add_job(
                self.sync, "interval", seconds=seconds, jitter=min(LONGEST_JITTER, seconds / 10), args=[crms],
                id=f"{SYNC}{', '.join(sorted(crms))}",
            )  # fmt: skip
        self.every(BEAT, self._beat, "heartbeat")
        self.every(CALLS_KEPT, self._keep_calls, "calls")
        self._scheduler.start()

    def every(self, seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
        """Something of this process that is done again and again."""
        self._scheduler.add_job(work, "interval", seconds=seconds, id=name)

    def sync_soon(self, crms: frozenset[str]) -> None:
        """Sync those of these CRMs that are ours as soon as it is their turn."""
        self._scheduler.add_job(self.sync, args=[crms])

    def next_sync(self, crm: str) -> datetime | None:
        """When this CRM is synced next as scheduled; None where it is not."""
        times = [
            job.next_run_time
            for job in self._scheduler.get_jobs()
            if job.id.startswith(SYNC) and crm in job.args[0] and job.next_run_time is not None
        ]
        return min(times, default=None)

    async def _beat(self) -> None:
        self.health.beat(SCHEDULER)

    async def _keep_calls(self) -> None:
        await self.parts.calls.keep(self.parts.ledger, self.parts.clock.now())

    async def look_around(self) -> None:
        """Serve until cancelled. A ledger that is away for a while is waited for."""
        self.schedule()
        asked: frozenset[str] = frozenset()
        while True:
            try:
                async with asyncio.timeout(LONGEST_LOOK):
                    asked = await self._look(asked)
            except ConnectorError as error:
                self.health.cannot("look for work", error)
            except TimeoutError:
                self.health.cannot("look for work", RetryLater("The ledger does not answer.", where="ledger"))
            except Exception as error:  # the sidecar goes on
                self.health.unforeseen("look for work", error)
            else:
                self.health.cannot("look for work", None)
            self.health.beat(LOOKING)
            await asyncio.sleep(LOOK)

    async def _look(self, asked: frozenset[str]) -> frozenset[str]:
        """One look for what is ours and what is to be done. `asked`: the CRMs that had their first sync."""
        await self.served.look()
        self.review()
        self.health.hear_of(await self.parts.ledger.brakes(), self.parts.adapters)
        # The first sync asks all CRMs together, so that nobody is decided without one side.
        ours = self.served.crms
        if new := ours - asked:
            self.sync_soon(new)
        await self._backfills.look(ours)
        await self._requests.look(ours)
        await self.jobs.look()
        return ours

    def review(self) -> str:
        """Whether the agreement is to be looked at again: `soon`, `overdue` or empty. Logged once each."""
        state = review(self.current.definition.criteria, self.parts.clock.now().date())
        if state != self._reviewed:
            self._reviewed = state
            if state:
                by = str(self.current.definition.criteria.review_by)
                log.warning("the review of the definition is due", state=state, review_by=by)
        return state

    async def stop(self, grace: float = GRACE) -> None:
        """What is in hand (a page, a batch) is finished and kept, for `grace` seconds at most; what takes longer is cut
        off, which is as safe as a crash. Then others may serve at once."""
        self.stopping = True
        parts = (self._requests.tasks, self._backfills.tasks, self.jobs.tasks)
        under_way = self._syncs.union(*(part.under_way for part in parts))
        if under_way and (await asyncio.wait(under_way, timeout=grace))[1]:
            log.warning("cut off", next_step="Nothing is lost: the next start reads or sends it again.")
        for part in parts:
            await part.stop()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)  # cancels the sync in hand
        async with self.turn:
            await self.served.release()

    async def sync(self, crms: frozenset[str]) -> None:
        """One scheduled sync of those of these CRMs that are ours."""
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task is not None:
            self._syncs.add(task)
        ours = crms
        try:
            async with self.turn:
                ours = crms & self.served.crms
                await self.synced(ours)
        except asyncio.CancelledError:
            log.info("sync stopped", next_step="The next start goes on from what was saved.")
            return
        except ConnectorError as error:
            self.health.crms |= {crm: str(error) for crm in ours}
            self.health.cannot("sync", error)
            self.meters.runs.labels("failed").inc()
            return
        except Exception as error:  # the sidecar goes on
            self.health.crms |= dict.fromkeys(ours, self.health.unforeseen("sync", error))
            self.meters.runs.labels("failed").inc()
            return
        finally:
            if task is not None:
                self._syncs.discard(task)

    async def synced(self, crms: frozenset[str]) -> RunResult | None:
        """One sync of those of these CRMs that are ours, by whoever has the turn; None where none is, or the process is
        to end. What ends it early is raised."""
        ours = crms & self.served.crms
        if not ours or self.stopping:
            return None
        with work("sync") as note:
            watched = observed(Watching(stopping=lambda: self.stopping), note)
            result = await run_once(await self.current.of(ours), asked_by=SCHEDULE, watched=watched)
            self._note(result)
        self.health.cannot("sync", None)
        return result

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
        """Keep how a run ended."""
        now = self.parts.clock.now()
        self.meters.count(result, now)
        self.health.heard(result, now)
        log.info(
            "sync finished",
            run=result.run,
            status=result.status,
            people=result.people,
            seconds=round(result.seconds, 1),
        )
