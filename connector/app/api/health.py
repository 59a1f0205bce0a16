"""Health and metrics: need no token and show no personal data.

Health tells the truth: ready means that the ledger answers and that at least one CRM was reached by the last sync, or
is served by another.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from connector.app.commands.brake import document
from connector.app.sidecar import Sidecar
from connector.ports import Brake


def router(side: Sidecar) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics`."""
    app = APIRouter()

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
