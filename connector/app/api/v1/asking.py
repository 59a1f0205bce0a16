"""Long work over HTTP: it is left in the ledger for the sidecar that serves the CRMs, and followed as a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from connector.app.access import Caller
from connector.app.api.guard import Operator
from connector.app.api.v1.inputs import Body, InPath, Note, Word, as_things_stand
from connector.app.requests import ask, in_one_hand
from connector.app.sidecar import Sidecar
from connector.app.wiring import chosen, unconnected
from connector.core.model import JsonValue
from connector.undo import takeable


class Asked(BaseModel):
    """Work that is left to the sidecar; `Location` tells where to follow it."""

    request: int
    kind: str
    crms: list[str]
    status: str
    asked_by: str
    asked_at: datetime


class Sync(Body):
    """Of which CRMs (none named: all that are connected). `plan_only`: the plans wait, whatever they hold; `yes`: plans
    beyond the limits are applied."""

    crms: list[Word] = Field(default_factory=list, max_length=20)
    plan_only: bool = False
    yes: bool = False


class Undo(Body):
    """In which CRM (none named: in all of the run). `yes`: what goes back is sent at once, else its plan waits."""

    crm: Word | None = None
    plan_only: bool = False
    yes: bool = False
    why: Note = ""


async def left(
    side: Sidecar,
    kind: str,
    crms: Sequence[str],
    arguments: Mapping[str, JsonValue],
    caller: Caller,
    response: Response,
) -> Asked:
    """Leave work on these CRMs to whoever serves them: 202, and where to follow it. FixConfig (422) for a CRM that is
    not connected, StopRun (409) where they are not in one hand."""
    for plugin in chosen(crms):
        if crms and plugin.crm not in side.parts.adapters:
            raise unconnected(plugin)
    parts = await side.current.of(crms or side.parts.adapters)
    with as_things_stand():
        await in_one_hand(parts)
    asked = await ask(parts, kind, arguments, caller.name)
    response.status_code = 202
    response.headers["location"] = f"/api/v1/requests/{asked.id}"
    return Asked(
        request=asked.id, kind=asked.kind, crms=list(asked.crms), status=asked.status, asked_by=asked.asked_by,
        asked_at=asked.asked_at,
    )  # fmt: skip


def router(side: Sidecar) -> APIRouter:
    """`/syncs` and `/runs/{run}/undo`."""
    app = APIRouter(tags=["running"])

    @app.post("/syncs", status_code=202)
    async def sync(asked: Sync, caller: Operator, response: Response) -> Asked:
        """One incremental run, in turn with the scheduled ones."""
        arguments: dict[str, JsonValue] = {"plan_only": asked.plan_only, "yes": asked.yes}
        return await left(side, "sync", asked.crms, arguments, caller, response)

    @app.post("/runs/{run}/undo", status_code=202)
    async def undo(run: InPath, asked: Undo, caller: Operator, response: Response) -> Asked:
        """Takes back what a run wrote, as far as it still stands and is ours."""
        parts = side.parts
        info = await parts.ledger.run(run)
        if info is None:
            raise HTTPException(404, f"There is no run {run}.")
        if asked.crm is not None and asked.crm not in info.crms:
            raise HTTPException(
                409, f"Run {run} wrote nothing to this CRM; it was of {', '.join(info.crms)}."
            )
        crms = [asked.crm] if asked.crm is not None else list(info.crms)
        with as_things_stand():
            await takeable(parts.ledger, parts.clock, run, parts.adapters)
        arguments: dict[str, JsonValue] = {
            "run": run, "plan_only": asked.plan_only, "yes": asked.yes, "why": asked.why,
        }  # fmt: skip
        return await left(side, "undo", crms, arguments, caller, response)

    return app
