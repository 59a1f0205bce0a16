"""A person's own requests over HTTP: what is held, erasing it, letting them in again. For admins; no answer is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from connector.app.api.guard import Admin
from connector.app.api.v1.inputs import Body
from connector.app.api.v1.words import Name
from connector.app.erasing import erase, erased_document
from connector.app.sidecar import Sidecar
from connector.errors import FixConfig

NOT_KEPT = "no-store"  # by no cache, and under no Idempotency-Key
PATIENCE = timedelta(seconds=20)  # for a sync that decides or pushes; then 409
NOBODY = "Nothing is held about anybody with this number, address or record."


class Why(Body):
    """The reason, which is kept: with an erasure, without the person."""

    reason: str = Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")


class Subject(BaseModel):
    """By what the ledger finds the person. `shared`: addresses that records of others carry, too."""

    people: list[int]
    refs: list[str]
    emails: list[str]
    shared: list[str]
    visitors: list[str]
    names: list[str]


class Held(BaseModel):
    """What a table of the ledger holds, each row by column; of texts about nobody in particular only the places that
    name the person."""

    what: str
    rows: list[dict[str, Any]]


class Export(BaseModel):
    """All that is held, by table."""

    exported_at: datetime
    person: Subject
    held: dict[str, Held]


class Erasure(BaseModel):
    """What an erasure did, in rows by table, and what it cannot do: nothing is deleted in a CRM."""

    erasure: int
    at: datetime
    rows: dict[str, int]
    still_in_crms: list[str]
    named_in: list[str]
    shared_addresses: int
    next_steps: list[str]


class Allowed(BaseModel):
    """How many erasures were lifted by this address or record."""

    allowed: int


def router(side: Sidecar) -> APIRouter:
    """`/people/{person}/export`, `/erase` and `/allow`."""
    app = APIRouter(tags=["privacy"])
    ledger, clock = side.parts.ledger, side.parts.clock

    @app.get("/people/{person}/export")
    async def export(caller: Admin, person: Name, response: Response) -> Export:
        """All that is held about a person, by number, e-mail address or record (`crm:object:id`)."""
        response.headers["cache-control"] = NOT_KEPT
        try:
            found = await ledger.export_person(_named(person), clock.now())
        except FixConfig as error:
            raise _several(error) from None
        if found is None:
            raise HTTPException(404, NOBODY)
        return Export.model_validate(found)

    @app.post("/people/{person}/erase")
    async def erase_person(caller: Admin, person: Name, asked: Why, response: Response) -> Erasure:
        """Erase a person here, for good. In the CRMs nothing is deleted: `next_steps` says what to delete there. 409
        while a sync decides or pushes for longer than twenty seconds; under an `Idempotency-Key` the answer is told
        once and not kept."""
        response.headers["cache-control"] = NOT_KEPT
        by, reason = caller.name, asked.reason.strip()
        try:
            done = await erase(ledger, clock, _named(person), by=by, reason=reason, patience=PATIENCE)
        except FixConfig as error:
            raise _several(error) from None
        if done is None:
            raise HTTPException(404, NOBODY)
        return Erasure.model_validate(erased_document(done))

    @app.post("/people/{person}/allow")
    async def allow(caller: Admin, person: Name, asked: Why) -> Allowed:
        """Let an erased person in again, by an address or record that was theirs."""
        found = await ledger.allow_person(person, by=caller.name, reason=asked.reason.strip(), at=clock.now())
        if not found:
            raise HTTPException(404, "Nobody with this address or record is kept out.")
        return Allowed(allowed=found)

    return app


def _named(person: str) -> str:
    return f"person:{person}" if person.isdecimal() else person


def _several(error: FixConfig) -> HTTPException:
    return HTTPException(409, f"{error.message} {error.next_step}")
