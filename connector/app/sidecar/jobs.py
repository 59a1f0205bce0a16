"""What is done by the clock beside the syncs: one table of jobs, each done once among all replicas.

A job's last run is kept in the ledger, so that a restart neither forgets nor repeats it; missed runs fold into one. It
runs under the lease `job:NAME`. Its body must bear to be begun again after a process that died at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING

import structlog

from connector.app.crm_tasks import EVERY as TASKS_EVERY
from connector.app.crm_tasks import make_tasks
from connector.app.incoming.early import sync_early
from connector.app.leases import held
from connector.app.log_errors import frames_of
from connector.app.pruning import prune
from connector.app.reminding import remind_of_review
from connector.app.sidecar.nightly import full_compare, sweep
from connector.app.tasks import Tasks
from connector.app.telling import EVERY, refresh_owners, tell
from connector.errors import ConnectorError, LeaseBusy
from connector.ports import KEY_LIFE, STOPPED, JobRun, job_lease

if TYPE_CHECKING:
    from connector.app.sidecar import Sidecar

log = structlog.get_logger("connector.jobs")

AGAIN = timedelta(minutes=5)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. `every`: between its beginnings. `night`: the hour of the day at which it is due, in
    CONNECTOR_TIMEZONE; `every` is then whole days. `again`: after a try that failed; sooner where it is due sooner.
    Whoever of the replicas comes first does it."""

    name: str
    every: timedelta
    body: Callable[[Sidecar], Awaitable[None]]
    night: time | None = None
    again: timedelta = AGAIN


@dataclass(frozen=True, slots=True)
class CrmJob:
    """The same, once a CRM, by the replica that serves that CRM: all calls to a CRM come from one process."""

    name: str
    every: timedelta
    body: Callable[[Sidecar, str], Awaitable[None]]
    night: time | None = None
    again: timedelta = AGAIN

    def of(self, crm: str) -> Job:
        """For this CRM."""
        return Job(
            f"{self.name}:{crm}", self.every, partial(_for_crm, self.body, crm), self.night, self.again
        )


async def _for_crm(body: Callable[[Sidecar, str], Awaitable[None]], crm: str, side: Sidecar) -> None:
    await body(side, crm)


async def _remind(side: Sidecar) -> None:
    await remind_of_review(side.parts.ledger, side.current.definition.criteria, side.parts.clock.now())


async def _forget_keys(side: Sidecar) -> None:
    await side.parts.ledger.prune_keys(side.parts.clock.now() - KEY_LIFE)


async def _retain(side: Sidecar) -> None:
    pruned = await prune(
        side.parts.ledger,
        side.current.definition,
        side.parts.holder,
        side.parts.clock,
        patience=timedelta(),
    )
    if gone := {what: many for what, many in pruned.gone.items() if many}:
        log.info("let go of what is old", **gone)


async def _sizes(side: Sidecar) -> None:
    await side.parts.ledger.keep_sizes(side.parts.clock.now().date())


JOBS: tuple[Job | CrmJob, ...] = (
    Job("review-reminder", timedelta(hours=1), _remind),
    Job("telling", EVERY, tell),
    CrmJob("owners", DAY, refresh_owners),
    CrmJob("tasks", TASKS_EVERY, make_tasks),
    Job("forget-keys", timedelta(hours=1), _forget_keys),
    CrmJob("sweep", DAY, sweep, night=time(2), again=timedelta(minutes=30)),
    CrmJob("full-compare", 7 * DAY, full_compare, night=time(3), again=timedelta(hours=6)),
    Job("retention", DAY, _retain, night=time(3, 30)),
    Job("sizes", DAY, _sizes, night=time(4, 30)),
    Job("early-sync", timedelta(seconds=30), sync_early),
)


def due_at(job: Job, last: JobRun | None, zone: tzinfo, since: datetime) -> datetime | None:
    """When a job is due next, in UTC; None: at once. `since`: from when on this process has looked; what is done by
    night and was never done yet waits for the first night after it."""
    if last is None:
        return None if job.night is None else _night(job.night, since, zone)
    if last.done_at is None or last.done_at < last.begun_at:  # it failed, or its process died
        return None if last.failed == STOPPED else last.begun_at + min(job.again, job.every)
    if job.night is None:
        return last.begun_at + job.every
    return _night(job.night, last.begun_at + (job.every - DAY), zone)


def _night(hour: time, after: datetime, zone: tzinfo) -> datetime:
    """The first such hour after a moment."""
    local = after.astimezone(zone)
    tonight = datetime.combine(local.date(), hour, zone)
    if tonight <= local:
        tonight = datetime.combine(local.date() + DAY, hour, zone)
    return tonight.astimezone(after.tzinfo)


class Jobs:
    """Does what is due, each job beside the others and never beside itself."""

    def __init__(
        self, side: Sidecar, jobs: Sequence[Job | CrmJob] = JOBS, since: datetime | None = None
    ) -> None:
        self._side, self._jobs = side, jobs
        self._since = since or side.parts.clock.now()
        self.tasks = Tasks()  # by job

    def ours(self) -> Iterator[Job]:
        """Those that this process may do now."""
        for each in self._jobs:
            if isinstance(each, Job):
                yield each
            else:
                yield from (each.of(crm) for crm in sorted(self._side.served.crms))

    async def look(self) -> list[asyncio.Task[None]]:
        """Begin each that is due and that nobody is at. Returns what is under way now."""
        parts = self._side.parts
        known = await parts.ledger.jobs()
        for job in self.ours():
            if self.tasks.at(job.name) is None and self._due(job, known.get(job.name)):
                self.tasks.begin(job.name, self._do(job))
        return list(self.tasks.under_way)

    def _due(self, job: Job, last: JobRun | None) -> bool:
        at = due_at(job, last, self._side.parts.zone, self._since)
        return at is None or at <= self._side.parts.clock.now()

    async def _do(self, job: Job) -> None:
        parts = self._side.parts
        try:
            async with held(
                parts.ledger, job_lease(job.name), parts.holder, parts.clock, patience=timedelta()
            ) as hold:
                if not self._due(job, (await parts.ledger.jobs()).get(job.name)):
                    return  # another replica was quicker
                await parts.ledger.begin_job(job.name, hold.lease, parts.clock.now())
                failed = STOPPED
                try:
                    failed = await self._tried(job)
                finally:
                    await parts.ledger.end_job(job.name, failed, hold.lease, parts.clock.now())
        except LeaseBusy:
            return  # another replica is at it, or has taken it over
        except ConnectorError as error:  # the ledger is away: it stays due
            log.warning("job cannot be kept", job=job.name, error=str(error))

    async def _tried(self, job: Job) -> str:
        """Why it failed; empty where it did not."""
        try:
            await job.body(self._side)
        except ConnectorError as error:
            log.warning("job failed", job=job.name, error=str(error), next_step=error.next_step)
            return str(error)
        except Exception as error:  # the sidecar goes on
            log.error("job failed", job=job.name, error=type(error).__name__, frames=frames_of(error))
            return f"an error that nobody foresaw ({type(error).__name__})"
        return ""
