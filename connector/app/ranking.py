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


async def ranked(
    ledger: SqlLedger, asked: Asked, limit: int | None, criteria: Criteria | None
) -> AsyncIterator[dict[str, Any]]:
    """So many of them, the highest first."""
    audience = None if asked.audience is None else await asked_audience(ledger, asked.audience)
    rank, after = 0, None
    while limit is None or rank < limit:
        few = PAGE if limit is None or asked.owner is not None else min(PAGE, limit - rank)
        page = await ledger.people(
            stage=asked.stage, status=asked.status, audience=audience, sort=asked.sort, after=after, limit=few
        )
        if not page:
            return
        after = (float(getattr(page[-1].score, asked.sort)), page[-1].id)
        words = await ledger.overrides_by_id({view.override for view in page if view.override is not None})
        for view in page:
            if asked.owner is not None and str(view.fields.get("owner") or "") != asked.owner:
                continue
            rank += 1
            yield row_of(rank, view, words.get(view.override or 0), criteria, email=asked.email)
            if rank == limit:
                return


def row_of(
    rank: int, view: PersonView, word: Override | None, criteria: Criteria | None, *, email: bool
) -> dict[str, Any]:
    """One of them as JSON. The address is left out unless it is asked for."""
    state, score, fields = view.state, view.score, view.fields
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
        "persona": fields.get(PERSONA),
        "persona_by_rule": other_persona(criteria, fields) if criteria else None,
        "score": whole(score.score),
        "fit": whole(score.fit),
        "engagement": whole(score.engagement),
        "band": score.band,
        "grade": score.grade,
        "why": state.because,
        "override": word.kind if word else None,
        "override_reason": word.reason if word else None,
        "records": [str(ref) for ref in view.refs],
    }
    return {name: value for name, value in told.items() if email or name != "email"}
