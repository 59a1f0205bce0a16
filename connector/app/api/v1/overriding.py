"""A human's word above the rules, over HTTP: kept, and ended."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from connector.app.api.guard import Operator
from connector.app.api.v1.answers import OverrideTold
from connector.app.api.v1.inputs import Body, InPath, Note, Word, as_things_stand
from connector.app.overriding import add, moment, override_document, remove
from connector.app.sidecar import Sidecar
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER
from connector.errors import FixConfig

KINDS = {"mql_now": MQL_NOW, "never": NEVER, "hold_until": HOLD_UNTIL}


class NewOverride(Body):
    """`who`: an e-mail address, a domain, a record (`crm:object:id`) or `person:ID`. `hold_until` needs `until`, a date
    or a moment; `expires`: when the word itself ends."""

    who: Word
    kind: Literal["mql_now", "never", "hold_until"]
    reason: Note
    until: Word | None = None
    expires: Word | None = None


class Kept(BaseModel):
    """The word, and how many records it concerns now; `waits`: for somebody who is not known yet."""

    override: OverrideTold
    records: int
    waits: bool


def router(side: Sidecar) -> APIRouter:
    """`POST /overrides` and `DELETE /overrides/{override}`."""
    app = APIRouter(tags=["decisions"], prefix="/overrides")
    ledger, clock = side.parts.ledger, side.parts.clock

    @app.post("", status_code=201)
    async def say(asked: NewOverride, caller: Operator) -> Kept:
        """Say something above the rules. What was said of the same person, company or domain before ends."""
        at, kind = clock.now(), KINDS[asked.kind]
        if (kind == HOLD_UNTIL) != (asked.until is not None):
            raise FixConfig(
                "`until` is for `hold_until`, which needs it.", next_step="Write it as 2026-12-31."
            )
        until, expires = moment(asked.until, "until", at), moment(asked.expires, "expires", at)
        word, records = await add(
            ledger, asked.who, kind, reason=asked.reason, until=until, expires=expires, by=caller.name, at=at
        )
        told = OverrideTold.model_validate(override_document(word, at))
        return Kept(override=told, records=records, waits=records == 0)

    @app.delete("/{override}")
    async def end(override: InPath, caller: Operator) -> OverrideTold:
        """End a word: the rules decide again. One that a CRM says is cleared there."""
        at = clock.now()
        if not any(word.id == override and word.in_force(at) for word in await ledger.overrides()):
            raise HTTPException(404, f"No override {override} is in force.")
        with as_things_stand():
            [word] = await remove(ledger, str(override), by=caller.name, at=at)
        return OverrideTold.model_validate(override_document(word, at))

    return app
