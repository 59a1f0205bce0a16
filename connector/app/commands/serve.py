"""`connector serve`: the sidecar. Scheduled syncs, and health and metrics on one port.

Of several sidecars on one ledger one serves a CRM; the others are ready to. The scheduler starts no sync of a CRM while
its last one is still going. Health tells the truth: ready means that the ledger answers and that at least one CRM was
reached by the last sync, or is served by another.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from connector.app.applying import apply_plan
from connector.app.backfilling import Backfills
from connector.app.commands.brake import document
from connector.app.commands.sync import run_once
from connector.app.commands.undo import undo_here
from connector.app.exits import OK
from connector.app.log import configure
from connector.app.reminding import remind_of_review
from connector.app.serving import Current, Requests, Served, Work
from connector.app.settings import load_settings
from connector.app.who import SCHEDULE
from connector.app.wiring import Wired, wired
from connector.core.approval import review
from connector.errors import ConnectorError, FixConfig
from connector.pipeline import RunResult, Watching
from connector.ports import Brake

log = structlog.get_logger("connector.serve")

LOOK = 1.0  # seconds between two looks for work; a lease lives for 45


@dataclass(slots=True)
class Health:
    """What the last sync said, per CRM: None = reached, else why not."""

    at: datetime | None = None
    crms: dict[str, str | None] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)

    def plans_of(self, result: RunResult) -> None:
        """Log once that a CRM's plans begin to wait for a human, with what to do, and once that none does any more.

        A plan gets a new number whenever a run plans anew; that alone is told nobody again."""
        waits = {
            **result.waits,
            **{crm: plan for crm, plan in result.plans.items() if result.crms[crm].waiting},
        }
        for crm in result.crms:
            if crm in waits and crm not in self.waiting:
                self.waiting.add(crm)
                because = result.more.get("waits_because", {}).get(crm, "see `connector plan show`")
                log.warning(
                    "plan waits",
                    crm=crm,
                    plan=waits[crm],
                    because=because,
                    next_step=f"`connector plan show {waits[crm]}`, then `connector plan apply {waits[crm]}`.",
                )
            elif crm not in waits and crm in self.waiting:
                self.waiting.discard(crm)
                log.info("no plan waits", crm=crm)

    def hear_of(self, brakes: Mapping[str, Brake], crms: Iterable[str]) -> None:
        """Log a brake once when it is on and once when it is off again."""
        for crm in crms:
            brake = brakes.get(crm)
            if brake is not None and crm not in self.stopped:
                self.stopped.add(crm)
                log.warning(
                    "pushing is stopped", crm=crm, by=brake.by, why=brake.why, at=brake.at.isoformat()
                )
            elif brake is None and crm in self.stopped:
                self.stopped.discard(crm)
                log.info("pushing goes on", crm=crm)


def serve() -> int:
    """Run until stopped. FixConfig where settings, files or credentials are wrong."""
    settings = load_settings()
    configure(settings)

    async def go() -> None:
        async with wired(settings, strict=False) as parts:
            listener = _listener(settings.bind)
            side = Sidecar(parts)
            server = _Server(uvicorn.Config(build_app(side), log_config=None, access_log=False))
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
            looking = asyncio.create_task(side.look_around())
            try:
                await server.serve(sockets=[listener])
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                await side.stop()

    asyncio.run(go())
    return OK


def _listener(bind: str) -> socket.socket:
    """Bound before anything is read, so that a port that is taken stops the start. FixConfig then."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise FixConfig(
            f"{bind} cannot be used: {error.strerror}.",
            next_step="Set CONNECTOR_BIND to an address and a port that are free.",
            where="CONNECTOR_BIND",
        ) from error


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they would end the process before the sync in hand and the ledger."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Answer what was asked, then return from `serve`."""
        self.should_exit = True


class Meters:
    """Prometheus metrics of the sidecar."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter("connector_runs_total", "Finished syncs", ["status"], registry=registry)
        self.records = Counter(
            "connector_records_total", "Target records by outcome", ["crm", "outcome"], registry=registry
        )
        self.stopped = Gauge(
            "connector_stopped", "1 while nothing is pushed (connector stop)", ["crm"], registry=registry
        )
        self.overdue = Gauge(
            "connector_definition_review_overdue", "1 after the definition's `review_by`", registry=registry
        )
        self.differs = Gauge(
            "connector_definition_differs",
            "1 while the folder says something else than is in force",
            registry=registry,
        )
        self.last = Gauge(
            "connector_last_sync_timestamp_seconds", "When the last sync ended", registry=registry
        )

    def count(self, result: RunResult, at: datetime) -> None:
        """Add a finished run."""
        self.runs.labels(result.status).inc()
        self.last.set(at.timestamp())
        for crm, counts in result.crms.items():
            for outcome in (
                "written",
                "unchanged",
                "held_back",
                "quarantined",
                "rejected",
                "unknown",
                "set_aside",
                "waiting",
            ):
                self.records.labels(crm, outcome).inc(getattr(counts, outcome))


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
        self._reviewed = self._reminded = ""

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
                if (state := self.review()) != self._reminded:
                    await remind_of_review(
                        self.parts.ledger, self.current.definition.criteria, self.parts.clock.now()
                    )
                    self._reminded = state
                self.health.hear_of(await self.parts.ledger.brakes(), self.parts.adapters)
                # The first sync asks all CRMs together, so that nobody is decided without one side.
                new, ours = self.served.crms - ours, self.served.crms
                if new:
                    self._scheduler.add_job(self.sync, args=[new])
                await self._backfills.look(self.served.crms)
                await self._requests.look(self.served.crms)
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


def build_app(side: Sidecar) -> FastAPI:
    """Health and metrics; needs no token and shows no personal data."""
    app = FastAPI(title="connector", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, Any]:
        health = side.health
        others: dict[str, str] = {}
        brakes: Mapping[str, Brake] = {}
        try:
            brakes = await side.parts.ledger.brakes()
            for crm in side.parts.adapters:
                if who := await side.served.other(crm):
                    others[crm] = f"served by {who}"
            database = None
        except Exception as error:  # whatever the driver raises: not ready, and say what kind
            database = type(error).__name__
        ready = database is None and (bool(others) or any(why is None for why in health.crms.values()))
        response.status_code = 200 if ready else 503
        return {
            "ready": ready,
            "database": database or "ok",
            "crms": {crm: ("ok" if why is None else why) for crm, why in health.crms.items()} | others,
            "stopped": {crm: document(brake) for crm, brake in brakes.items()},
            "last_sync": health.at.isoformat() if health.at else None,
            "definition": {"told": side.current.told or None, "review": side.review() or None},
        }

    @app.get("/metrics")
    async def metrics() -> Response:
        with suppress(Exception):  # a ledger that is away must not take the other metrics with it
            brakes = await side.parts.ledger.brakes()
            for crm in side.parts.adapters:
                side.meters.stopped.labels(crm).set(crm in brakes)
        side.meters.overdue.set(side.review() == "overdue")
        side.meters.differs.set(bool(side.current.told))
        return Response(generate_latest(side.registry), media_type=CONTENT_TYPE_LATEST)

    return app
