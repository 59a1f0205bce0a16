"""Backfills over HTTP: estimated, begun, paused, resumed, cancelled. The sidecar that serves the CRM runs them."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from connector.app.api.guard import Operator
from connector.app.api.v1.asking import Asked, left
from connector.app.api.v1.inputs import Body, InPath, Moment, Word, as_things_stand
from connector.app.estimating import in_order, stream_of
from connector.app.sidecar import Sidecar
from connector.app.wiring import chosen, unconnected
from connector.core.model import JsonValue
from connector.ports import Range


class NewBackfill(Body):
    """What is read: records by when they were last changed, engagement by when it occurred; without a range all there
    is. `object`: of the vendor, or a stream. `dry_run`: only what it would take. `yes`: plans beyond the limits are
    applied."""

    crm: Word
    since: Moment | None = None
    until: Moment | None = None
    object: Word | None = None
    dry_run: bool = False
    yes: bool = False


class Wished(BaseModel):
    """Where a backfill stands. `wish`: what whoever runs it does at its next page."""

    run: int
    status: str
    wish: str | None


def router(side: Sidecar) -> APIRouter:
    """`/backfills` and `/backfills/{run}/pause|resume|cancel`."""
    app = APIRouter(tags=["backfills"], prefix="/backfills")

    @app.post("", status_code=202)
    async def backfill(asked: NewBackfill, caller: Operator, response: Response) -> Asked:
        """Estimates it, then queues it; the answer of the request has the estimate and the run. The same range,
        asked for again, goes on with the backfill that has not ended."""
        [plugin] = chosen([asked.crm])
        if plugin.crm not in side.parts.adapters:
            raise unconnected(plugin)
        in_order(Range(asked.since, asked.until))
        stream = stream_of(await side.current.of([asked.crm]), asked.crm, asked.object or "")
        arguments: dict[str, JsonValue] = {
            "object": stream, "dry_run": asked.dry_run, "yes": asked.yes,
            "since": asked.since.isoformat() if asked.since else None,
            "until": asked.until.isoformat() if asked.until else None,
        }  # fmt: skip
        return await left(side, "backfill", [asked.crm], arguments, caller, response)

    async def wish(run: int, wished: str) -> Wished:
        ledger = side.parts.ledger
        found = await ledger.backfill(run)
        if found is None:
            raise HTTPException(404, f"Run {run} is no backfill.")
        with as_things_stand():
            now = await ledger.wish_backfill(found.id, wished, side.parts.clock.now())
        return Wished(run=now.run, status=now.status, wish=now.wish or None)

    @app.post("/{run}/pause")
    async def pause(run: InPath, asked: Body, caller: Operator) -> Wished:
        """Reads and writes nothing more until it is resumed."""
        return await wish(run, "pause")

    @app.post("/{run}/resume")
    async def resume(run: InPath, asked: Body, caller: Operator) -> Wished:
        """Goes on with one that was paused, has failed or waits."""
        return await wish(run, "resume")

    @app.post("/{run}/cancel")
    async def cancel(run: InPath, asked: Body, caller: Operator) -> Wished:
        """Ends it. What it read stays; it writes nothing more."""
        return await wish(run, "cancel")

    return app
