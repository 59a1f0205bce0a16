"""People: where one stands, at once; the ranked list; and why."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query, Response
from starlette.exceptions import HTTPException

from connector.app.api.guard import Viewer
from connector.app.api.paging import Page
from connector.app.api.v1.answers import Explanation, Person, RankedPage
from connector.app.api.v1.words import Given, Moment, Name, ShowEmail, moment, unusable
from connector.app.explaining import (
    Definitions,
    Explained,
    explain_change,
    explain_now,
    explain_past,
    gather,
    whole_document,
)
from connector.app.ranking import Asked, Place, ranked_piece
from connector.app.sidecar import Sidecar
from connector.app.wiring import read_in
from connector.core.criteria import whole
from connector.core.definition import Definition
from connector.core.model import MqlStatus
from connector.ledger.store_pages import Glance
from connector.ports import PersonView

FRESH = 15  # seconds for which a page need not ask again; decisions are made minutes apart
KEPT = {"cache-control": f"private, max-age={FRESH}", "vary": "authorization"}
RANKED = "people"


def router(side: Sidecar) -> APIRouter:
    """`/people/lookup`, `/people`, `/people/{person}/explain`."""
    app = APIRouter(tags=["people"])
    ledger, clock = side.parts.ledger, side.parts.clock

    @app.get(
        "/people/lookup",
        response_model=Person,
        responses={304: {"description": "As the answer with this ETag said"}},
    )
    async def lookup(
        caller: Viewer,
        email: Annotated[str | None, Query(max_length=400, pattern=r"^[^\x00]+@[^\x00]+$")] = None,
        record: Given = None,
        if_none_match: Annotated[str | None, Header(max_length=2_000)] = None,
    ) -> Response:
        """Where one person stands, by an e-mail address or a record (`hubspot:contact:151`, or its id alone)."""
        who = email.strip().replace(" ", "+") if email else record  # a `+` that was not encoded is a blank
        if not who or (email and record):
            raise unusable("email", "Either `email` or `record` is needed")
        found = await ledger.glance(who)
        if len(found) > 1:
            raise _several([each.person for each in found])
        if not found:
            raise HTTPException(404, "Nobody in the ledger has this address or record id.", KEPT)
        body = orjson.dumps(_person(found[0]), option=orjson.OPT_UTC_Z)
        tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers = {**KEPT, "etag": tag}
        if if_none_match and _knows(if_none_match, tag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    @app.get("/people")
    async def people(
        caller: Viewer,
        page: Page,
        stage: Given = None,
        status: MqlStatus | None = None,
        audience: Given = None,
        owner: Given = None,
        sort: Literal["score", "fit", "engagement"] = "score",
        email: ShowEmail = False,
    ) -> RankedPage:
        """The ranked work list, the highest first. `owner`: as the CRM names it; `audience` may be `none`."""
        asked = Asked(stage, status.value if status else None, audience, owner, sort, email=email)
        name = f"{RANKED} by {sort}"
        after = page.after(name, float, int, int)
        criteria = side.current.definition.criteria
        rows, place = await ranked_piece(
            ledger, asked, page.limit, criteria, Place(*after) if after else None
        )
        more = page.next(name, place.value, place.person, place.rank) if place else None
        return RankedPage.model_validate({"people": rows, "next": more})

    @app.get("/people/{person}/explain", response_model_exclude_unset=True)
    async def explain(
        caller: Viewer,
        person: Name,
        since: Moment = None,
        until: Moment = None,
        at: Moment = None,
        known_at: Moment = None,
        email: ShowEmail = False,
    ) -> Explanation:
        """Why somebody is an MQL, and why not yet; with `since`, why the score changed since then (up to `until`); with
        `at`, the decision of then made once more (with what was known at `known_at`). `person`: the number, an e-mail
        address, or a record as `crm:object:id`."""
        now = clock.now()
        first, last = moment(since, "since", now), moment(until, "until", now)
        then, known = moment(at, "at", now), moment(known_at, "known_at", now)
        if last and not first:
            raise unusable("until", "It says where a change ends; `since` says where it begins")
        if known and not then:
            raise unusable("known_at", "It goes with `at`")
        found, read = await explained(side, person, now), definitions_of(side)
        if first:
            found = await explain_change(ledger, found, first, last or now, read)
        if then:
            found = await explain_past(ledger, found, then, known or then, read)
        return Explanation.model_validate(whole_document(found, now, email=email))

    return app


async def explained(side: Sidecar, person: str, now: datetime) -> Explained:
    """Why somebody stands where they stand. 404 where nobody is meant, 409 where several are."""
    gathered = await gather(side.parts.ledger, await _one(side, person), definitions_of(side), now)
    return await asyncio.to_thread(explain_now, gathered, now)


def definitions_of(side: Sidecar) -> Definitions:
    """Versions as they were kept, and the one in force as the sidecar has it."""
    ledger, zone = side.parts.ledger, side.parts.zone

    async def definition_of(version: int | None) -> Definition | None:
        texts = await ledger.files(version) if version else {}
        if version == await ledger.version() and dict(texts) == dict(side.current.definition.texts):
            return side.current.definition
        return await asyncio.to_thread(read_in, texts, zone)  # YAML with its places takes half a second

    return definition_of


async def _one(side: Sidecar, who: str) -> PersonView:
    ledger = side.parts.ledger
    found = await ledger.find(f"person:{who}" if who.isdecimal() else who)
    if len(found) > 1:
        raise _several(found)
    view = await ledger.person(found[0]) if found else None
    if view is None:
        raise HTTPException(404, "Nobody in the ledger has this number, address or record.")
    return view


def _several(people: list[int]) -> HTTPException:
    told = ", ".join(f"person:{number}" for number in people)
    return HTTPException(409, f"{len(people)} people match: ask for one of {told} (`record=person:N`).")


def _person(found: Glance) -> dict[str, Any]:
    numbers = {
        "score": whole(found.score), "fit": whole(found.fit), "engagement": whole(found.engagement),
        "band": found.band, "grade": found.grade,
    }  # fmt: skip
    return {
        "person": found.person, "stage": found.stage, "mql_status": found.mql_status, "mql_since": found.mql_since,
        **(numbers if found.scored else dict.fromkeys(numbers)),
        "why": found.why, "audience": found.audience or None, "privacy": found.privacy or None,
        "decided_at": found.decided_at,
    }  # fmt: skip


def _knows(told: str, tag: str) -> bool:
    """Whether one of the tags of `If-None-Match` is this one (RFC 9110, 13.1.2: compared weakly)."""
    return told.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in told.split(","))
