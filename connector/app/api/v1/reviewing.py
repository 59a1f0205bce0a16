"""Pairs of records that may be one person, answered over HTTP."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from connector.app.api.guard import Operator
from connector.app.api.v1.answers_rules import PairTold
from connector.app.api.v1.inputs import InPath, Noted, as_things_stand
from connector.app.reviewing import answer, answered_document
from connector.app.sidecar import Sidecar
from connector.ports import Review


class AnsweredPair(PairTold):
    """`changed`: by this very request; `told`: what the records say against the answer."""

    changed: bool
    told: list[str]


def router(side: Sidecar) -> APIRouter:
    """`/review/{pair}/join|split|undo`."""
    app = APIRouter(tags=["decisions"], prefix="/review/{pair}")
    ledger, clock = side.parts.ledger, side.parts.clock

    async def known(number: int) -> Review:
        found = await ledger.review_numbered(number)
        if found is None:
            raise HTTPException(404, f"There is no pair {number}.")
        return found

    async def said(number: int, word: str, by: str, note: str) -> AnsweredPair:
        found = await known(number)
        with as_things_stand():
            done = await answer(ledger, found.a, found.b, word, clock.now(), by=by, note=note)
        return AnsweredPair.model_validate(answered_document(done))

    @app.post("/join")
    async def join(pair: InPath, asked: Noted, caller: Operator) -> AnsweredPair:
        """These two records are one person."""
        return await said(pair, "join", caller.name, asked.note)

    @app.post("/split")
    async def split(pair: InPath, asked: Noted, caller: Operator) -> AnsweredPair:
        """These two records are two people, whatever they share."""
        return await said(pair, "split", caller.name, asked.note)

    @app.post("/undo")
    async def undo(pair: InPath, asked: Noted, caller: Operator) -> AnsweredPair:
        """Takes the last answer back: the one before it stands again, else the rules decide."""
        found = await known(pair)
        with as_things_stand():
            done = await ledger.undo_review(
                found.a, found.b, clock.now(), author=caller.name, note=asked.note
            )
        return AnsweredPair.model_validate(answered_document(done))

    return app
