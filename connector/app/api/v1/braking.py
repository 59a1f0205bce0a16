"""The brake over HTTP: nothing more is pushed to a CRM; reading and deciding go on."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from connector.app.api.guard import Operator
from connector.app.api.v1.answers_rules import BrakeTold
from connector.app.api.v1.inputs import Body, Note, Word
from connector.app.braking import set_brakes
from connector.app.sidecar import Sidecar
from connector.app.wiring import chosen


class Go(Body):
    """Of which CRMs; none named: of all that have a mapping."""

    crms: list[Word] = Field(default_factory=list, max_length=20)


class Stop(Go):
    """The same, and why: others read it."""

    why: Note = ""


class Braked(BrakeTold):
    """`changed`: by this very request; `jobs`: the vendor's own jobs with the writes that are under way in them, which
    no brake stops."""

    changed: bool
    jobs: dict[str, int]


class Brakes(BaseModel):
    """By CRM."""

    crms: dict[str, Braked]


def router(side: Sidecar) -> APIRouter:
    """`/stop` and `/start`."""
    app = APIRouter(tags=["running"])

    async def put(on: bool, crms: list[str], by: str, why: str) -> Brakes:
        named = [plugin.crm for plugin in chosen(crms)] if crms else sorted(side.current.definition.mappings)
        parts = side.parts
        found = await set_brakes(parts.ledger, named, on, by=by, why=why, at=parts.clock.now())
        return Brakes.model_validate({"crms": found})

    @app.post("/stop")
    async def stop(asked: Stop, caller: Operator) -> Brakes:
        """No push after the batch in hand, until `start`; survives restarts."""
        return await put(True, asked.crms, caller.name, asked.why)

    @app.post("/start")
    async def start(asked: Go, caller: Operator) -> Brakes:
        """Let it go on. What waited is decided anew by the next run, or applied by hand."""
        return await put(False, asked.crms, caller.name, "")

    return app
