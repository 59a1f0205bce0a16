"""`connector serve`: the sidecar. Scheduled syncs, and health and metrics on one port.

The scheduler starts no sync of a CRM while its last one is still going. Health tells the truth: ready means that the
ledger answers and at least one CRM was reached by the last sync.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from connector.app.backfilling import Backfills
from connector.app.commands.sync import run_once
from connector.app.exits import OK
from connector.app.log import configure
from connector.app.settings import load_settings
from connector.app.who import SCHEDULE
from connector.app.wiring import Wired, wired
from connector.errors import ConnectorError, FixConfig
from connector.pipeline import RunResult

log = structlog.get_logger("connector.serve")


@dataclass(slots=True)
class Health:
    """What the last sync said, per CRM: None = reached, else why not."""

    at: datetime | None = None
    crms: dict[str, str | None] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)


def serve() -> int:
    """Run until stopped. FixConfig where settings, files or credentials are wrong."""
    settings = load_settings()
    configure(settings)

    async def go() -> None:
        async with wired(settings) as parts:
            listener = _listener(settings.bind)
            health, registry = Health(), CollectorRegistry()
            meters = Meters(registry)
            scheduler = AsyncIOScheduler(timezone="UTC")
            turn = asyncio.Lock()
            # The first sync asks all CRMs together, so that nobody is decided without one side.
            scheduler.add_job(sync_job, args=[parts, health, meters, turn], id="first")
            for interval in sorted({parts.intervals[crm] for crm in parts.adapters}):
                crms = {crm: each for crm, each in parts.adapters.items() if parts.intervals[crm] == interval}
                scheduler.add_job(
                    sync_job, "interval", seconds=interval.total_seconds(),
                    args=[replace(parts, adapters=crms), health, meters, turn],
                    max_instances=1, coalesce=True, id=f"sync {', '.join(crms)}",
                )  # fmt: skip
            server = _Server(
                uvicorn.Config(build_app(parts, health, registry), log_config=None, access_log=False)
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
            scheduler.start()
            backfills = asyncio.create_task(Backfills(parts).serve())
            try:
                await server.serve(sockets=[listener])
            finally:
                backfills.cancel()
                await asyncio.gather(backfills, return_exceptions=True)
                scheduler.shutdown(wait=False)  # cancels the sync in hand
                async with turn:  # which puts its things in order before the ledger is closed
                    pass

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


async def sync_job(parts: Wired, health: Health, meters: Meters, turn: asyncio.Lock) -> None:
    """One scheduled sync of these CRMs, in turn with those of others. Logs a CRM once when it goes away and once
    when it is back."""
    try:
        async with turn:
            result = await run_once(parts, asked_by=SCHEDULE, quiet=True)
    except asyncio.CancelledError:
        log.info("sync stopped", next_step="The next start goes on from what was saved.")
        return
    except ConnectorError as error:
        health.crms |= {crm: str(error) for crm in parts.adapters}
        log.error("sync failed", error=str(error), next_step=error.next_step)
        meters.runs.labels("failed").inc()
        return
    health.at = parts.clock.now()
    meters.count(result, health.at)
    for crm, counts in result.crms.items():
        health.crms[crm] = None if counts.fetched else counts.error
        if counts.error and crm not in health.failing:
            health.failing.add(crm)
            log.warning("crm has errors", crm=crm, error=counts.error)
        elif not counts.error and crm in health.failing:
            health.failing.discard(crm)
            log.info("crm is back", crm=crm)
    log.info(
        "sync finished",
        run=result.run,
        status=result.status,
        people=result.people,
        seconds=round(result.seconds, 1),
    )


def build_app(parts: Wired, health: Health, registry: CollectorRegistry) -> FastAPI:
    """Health and metrics; needs no token and shows no personal data."""
    app = FastAPI(title="connector", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, Any]:
        try:
            await parts.ledger.runs(limit=1)
            database = None
        except Exception as error:  # whatever the driver raises: not ready, and say what kind
            database = type(error).__name__
        ready = database is None and any(why is None for why in health.crms.values())
        response.status_code = 200 if ready else 503
        return {
            "ready": ready,
            "database": database or "ok",
            "crms": {crm: ("ok" if why is None else why) for crm, why in health.crms.items()},
            "last_sync": health.at.isoformat() if health.at else None,
        }

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
