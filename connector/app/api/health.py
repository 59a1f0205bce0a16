"""Health and metrics: need no token and show no personal data.

Health tells the truth. Alive means that the scheduler and the look for work still move: where one has stopped only a
restart helps, and this is what makes a container's keeper do it. Ready means that the ledger answers with the schema of
this program, and that at least one CRM was reached by the last sync, or is served by another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from connector.app.braking import document
from connector.app.sidecar import Sidecar
from connector.app.sidecar.meters import PATIENCE
from connector.ports import Brake

NO: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not so, and why", "content": {"application/json": {}}}
}


def waiting() -> APIRouter:
    """While the database is waited for at the start: alive, and not ready."""
    app = APIRouter(tags=["health"])

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", status_code=503)
    async def readyz() -> dict[str, Any]:
        return {"ready": False, "database": "away"}

    return app


def router(side: Sidecar) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics`."""
    app = APIRouter(tags=["health"])

    @app.get("/healthz", responses=NO)
    async def healthz(response: Response) -> dict[str, Any]:
        silent = side.health.silent()
        if not silent or side.stopping:
            return {"status": "alive"}
        response.status_code = 503
        return {"status": "stopped", "silent": silent}

    @app.get("/readyz", responses=NO)
    async def readyz(response: Response) -> dict[str, Any]:
        health, ledger = side.health, side.parts.ledger
        others: dict[str, str] = {}
        brakes: Mapping[str, Brake] = {}
        database, schema = "ok", "unknown"
        try:
            async with asyncio.timeout(PATIENCE):
                found, head = await ledger.schema()
                schema = "ok" if found == head else f"{found or 'none'}, and this program knows {head}"
                brakes = await ledger.brakes()
                for crm in side.parts.adapters:
                    if who := await side.served.other(crm):
                        others[crm] = f"served by {who}"
        except Exception as error:  # whatever the driver raises: not ready, and say what kind
            database = type(error).__name__
        answered = bool(others) or any(why is None for why in health.crms.values())
        ready = database == schema == "ok" and answered and not side.stopping
        response.status_code = 200 if ready else 503
        return {
            "ready": ready,
            "database": database,
            "schema": schema,
            "crms": {crm: ("ok" if why is None else why) for crm, why in health.crms.items()} | others,
            "stopped": {crm: document(brake) for crm, brake in brakes.items()},
            "last_sync": health.at.isoformat() if health.at else None,
            "definition": {"told": side.current.told or None, "review": side.review() or None},
        }

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        await side.meters.refresh(side)
        return Response(generate_latest(side.registry), media_type=CONTENT_TYPE_LATEST)

    return app
