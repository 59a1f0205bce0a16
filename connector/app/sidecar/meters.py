"""The sidecar's numbers, as Prometheus reads them. Counts and asks; decides nothing.

What a run brings is added when it ends; what only the ledger knows is asked when somebody reads the numbers.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from connector.app.growth import whole_a_day
from connector.core.model import OUTCOMES
from connector.ledger.store_daily import CALLS
from connector.pipeline import RunResult

if TYPE_CHECKING:
    from connector.app.sidecar import Sidecar

PATIENCE = 3.0  # seconds for a ledger that does not answer: the other numbers must not wait for it
FRESH = 15.0  # seconds for which who is due is not counted again
COUNTED = (*OUTCOMES, "unchanged", "held_back", "quarantined")
WHERE = ("here", "elsewhere", "nobody")


class Meters:
    """Prometheus metrics of the sidecar."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"connector_{name}", what, labels, registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"connector_{name}", what, labels, registry=registry)

        self.build = gauge("build_info", "1, by version and schema of the ledger", "version", "schema")
        self.tick = gauge(
            "scheduler_last_tick_seconds",
            "Seconds since the scheduler and the look for work last moved",
            "part",
        )
        self.database = gauge("database_up", "1 while the ledger's database answers")
        self.up = gauge("crm_up", "1 when the CRM answered the last sync that asked it", "crm")
        self.lease = gauge(
            "crm_lease", "1 for where the CRM is served from: here, elsewhere, nobody", "crm", "held"
        )
        self.read_nothing = gauge(
            "crm_read_nothing",
            "1 when the last sync took up nobody of the CRM and an error says that this is not the truth",
            "crm",
        )
        self.rows = gauge("crm_last_sync_rows", "Rows that the last sync read of the CRM", "crm")
        self.left = gauge("crm_allowance_left", "Calls left of the account's day, others' use counted", "crm")
        self.waits = gauge("crm_plan_waits", "1 while a plan waits for a human", "crm")
        self.due = gauge("due_people", "Person records that are due to be decided now")
        self.oldest = gauge("due_oldest_seconds", "For how long the longest of them has been due")
        self.runs = counter("runs_total", "Finished syncs by status", "status")
        self.records = counter("records_total", "Target records by outcome", "crm", "outcome")
        self.seconds = Histogram(
            "connector_run_seconds", "How long syncs took",
            buckets=(1, 3, 10, 30, 60, 180, 600, 1_800, 3_600, 10_800), registry=registry,
        )  # fmt: skip
        self.calls = counter("crm_calls_total", "Requests to the CRM by what they were for", "crm", "feature")
        self.tasks = counter("tasks_total", "Tasks asked for in the CRM", "crm", "outcome")
        self.tracked = counter(
            "tracked_total",
            "First-party events by outcome: stored, duplicate, set_aside, left_out, sent_away",
            "outcome",
        )
        self.tracking = gauge("tracked_waiting", "First-party events that are not on the disk yet")
        self.hints = counter(
            "webhook_events_total", "What webhooks said by outcome: kept, ignored, refused", "crm", "outcome"
        )
        self.calls_today = gauge(
            "crm_calls_today",
            "Requests to the CRM since midnight UTC, of all replicas and commands, by what they were for",
            "crm",
            "feature",
        )
        self.size = gauge("ledger_bytes", "Bytes of the ledger's database")
        self.growth = gauge("ledger_growth_bytes", "Bytes a day by which it grew over the last 7 days")
        self.job_failing = gauge("job_failing", "1 while the last try of a job by the clock failed", "job")
        self.job_done = gauge("job_last_success_timestamp_seconds", "When the job was last done", "job")
        self.stopped = gauge("stopped", "1 while nothing is pushed (connector stop)", "crm")
        self.overdue = gauge("definition_review_overdue", "1 after the definition's `review_by`")
        self.differs = gauge("definition_differs", "1 while the folder says something else than is in force")
        self.last = gauge("last_sync_timestamp_seconds", "When the last sync ended")
        self._asked = -FRESH

    def forget(self) -> None:
        """Whoever reads next is told what is due now."""
        self._asked = -FRESH

    def count(self, result: RunResult, at: datetime) -> None:
        """Add a finished run."""
        self.runs.labels(result.status).inc()
        self.seconds.observe(result.seconds)
        self.last.set(at.timestamp())
        for crm, counts in result.crms.items():
            rows = sum(fetched.rows for fetched in counts.fetched.values())
            self.rows.labels(crm).set(rows)
            self.read_nothing.labels(crm).set(bool(not counts.read and counts.error))
            for outcome in COUNTED:
                self.records.labels(crm, outcome).inc(getattr(counts, outcome))

    async def refresh(self, side: Sidecar) -> None:
        """What is not told by a run, as it stands now."""
        health = side.health
        now = health.seconds()
        for part, beat in health.beats.items():
            self.tick.labels(part).set(now - beat)
        for crm, why in health.crms.items():
            self.up.labels(crm).set(why is None)
        for crm, adapter in side.parts.adapters.items():
            self.waits.labels(crm).set(crm in health.waiting)
            if (allowance := adapter.allowance()) is not None:
                self.left.labels(crm).set(max(0, allowance.allowed - allowance.used))
        self.overdue.set(side.review() == "overdue")
        self.differs.set(bool(side.current.told))
        self.database.set(0)
        with suppress(Exception):  # a ledger that is away must not take the other numbers with it
            async with asyncio.timeout(PATIENCE):
                await self._ask(side, now)
                self.database.set(1)

    async def _ask(self, side: Sidecar, now: float) -> None:
        parts = side.parts
        ledger, at = parts.ledger, parts.clock.now()
        brakes = await ledger.brakes()
        for crm in parts.adapters:
            self.stopped.labels(crm).set(crm in brakes)
            here = crm in side.served.crms
            where = "here" if here else "elsewhere" if await side.served.other(crm) else "nobody"
            for each in WHERE:
                self.lease.labels(crm, each).set(each == where)
        for name, job in (await ledger.jobs()).items():
            self.job_failing.labels(name).set(bool(job.failed))
            if job.done_at is not None:
                self.job_done.labels(name).set(job.done_at.timestamp())
        if now - self._asked >= FRESH:
            pulse = await ledger.pulse(at)
            self._asked = now
            schema, _ = await ledger.schema()
            self.build.clear()
            self.build.labels(version("mql-connector"), schema).set(1)
            self.due.set(pulse.due)
            self.oldest.set((at - pulse.oldest).total_seconds() if pulse.oldest else 0)
            self.size.set((await ledger.bytes_in_use())[0])
            self.growth.set(await whole_a_day(ledger, at) or 0)
            self.calls_today.clear()
            for name, many in (await ledger.daily(CALLS, at.date())).get(at.date(), {}).items():
                self.calls_today.labels(*name.split(" ", 1)).set(many)
