"""The ranked work list: whom somebody wants to see, and each of them as JSON. Prints nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from connector.app.asking import asked_audience
from connector.core.audience import PERSONA, other_persona
from connector.core.criteria import Criteria, whole
from connector.core.override import Override
from connector.insight.planned import name_of
from connector.ledger import SqlLedger
from connector.ports import PersonView

SORTS = ("score", "fit", "engagement")
PAGE = 1_000  # people in memory
LOOKED_AT = 10_000  # people, for one piece of the list, where most of them are left out


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom somebody wants to see; all that is given must hold. `owner`: as the CRM names it."""

    stage: str | None = None
    status: str | None = None
    audience: str | None = None
    owner: str | None = None
    sort: str = "score"
    limit: int | None = None
    email: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list: behind this person, who has this number and this rank."""

    value: float
    person: int
    rank: int


async def ranked(
    ledger: SqlLedger, asked: Asked, limit: int | None, criteria: Criteria | None
) -> AsyncIterator[dict[str, Any]]:
    """So many of them, the highest first."""
    rows, place = await ranked_piece(ledger, asked, min(PAGE, limit or PAGE), criteria)
    while True:
        for row in rows:
            yield row
        left = None if limit is None or place is None else limit - place.rank
        if place is None or left == 0:
            return
        rows, place = await ranked_piece(ledger, asked, min(PAGE, left or PAGE), criteria, place)


async def ranked_piece(
    ledger: SqlLedger, asked: Asked, limit: int, criteria: Criteria | None, place: Place | None = None
) -> tuple[list[dict[str, Any]], Place | None]:
    """The next so many after this place, and the place after them (None: that was all). Fewer than asked for, with a
    place, are what was found among so many people as may be looked at in one go."""
    audience = None if asked.audience is None else await asked_audience(ledger, asked.audience)
    rows: list[dict[str, Any]] = []
    looked_at = 0
    while True:
        few = PAGE if asked.owner is not None else limit - len(rows) + 1
        page = await ledger.people(
            stage=asked.stage, status=asked.status, audience=audience, sort=asked.sort,
            after=(place.value, place.person) if place else None, limit=few,
        )  # fmt: skip
        words = await ledger.overrides_by_id({view.override for view in page if view.override is not None})
        for view in page:
            if len(rows) == limit:
                return rows, place
            rank = place.rank if place else 0
            if asked.owner is None or str(view.fields.get("owner") or "") == asked.owner:
                rank += 1
                rows.append(row_of(rank, view, words.get(view.override or 0), criteria, email=asked.email))
            place = Place(float(getattr(view.score, asked.sort)), view.id, rank)
        looked_at += len(page)
        if len(page) < few:
            return rows, None
        if looked_at >= LOOKED_AT:
            return rows, place


def row_of(
    rank: int, view: PersonView, word: Override | None, criteria: Criteria | None, *, email: bool
) -> dict[str, Any]:
    """One of them as JSON. The address is left out unless it is asked for."""
    state, score, fields, scored = view.state, view.score, view.fields, view.scored
    told = {
        "rank": rank,
        "person": view.id,
        "name": name_of(fields),
        "email": fields.get("email"),
        "company": fields.get("company_name"),
        "owner": fields.get("owner"),
        "stage": state.stage,
        "mql_status": state.status.value,
        "mql_since": state.mql_since,
        "audience": view.audience or None,
        "privacy": state.privacy or None,
        "persona": fields.get(PERSONA),
        "persona_by_rule": other_persona(criteria, fields) if criteria else None,
        "score": whole(score.score) if scored else None,
        "fit": whole(score.fit) if scored else None,
        "engagement": whole(score.engagement) if scored else None,
        "band": score.band if scored else None,
        "grade": score.grade if scored else None,
        "why": state.because,
        "override": word.kind if word else None,
        "override_reason": word.reason if word else None,
        "records": [str(ref) for ref in view.refs],
    }
    return {name: value for name, value in told.items() if email or name != "email"}
