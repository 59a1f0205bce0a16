"""Human decisions: words above the rules, pairs of records, and what humans were told."""

from __future__ import annotations

from fastapi import APIRouter

from connector.app.api.guard import Viewer
from connector.app.api.paging import Page
from connector.app.api.v1.answers_rules import NoticesPage, OverridesPage, ReviewPage
from connector.app.api.v1.words import AskedFor, ShowEmail
from connector.app.overriding import override_document
from connector.app.reviewing import pair_document
from connector.app.sidecar import Sidecar

OVERRIDES, REVIEW, NOTICES = "overrides", "review", "notices"


def router(side: Sidecar) -> APIRouter:
    """`/overrides`, `/review`, `/notices`."""
    app = APIRouter(tags=["decisions"])
    ledger, clock = side.parts.ledger, side.parts.clock

    @app.get("/overrides")
    async def overrides(caller: Viewer, page: Page, ended: bool = False) -> OverridesPage:
        """What humans say above the rules, the newest first; with `ended`, what is over, too."""
        at = clock.now()
        rows = await ledger.overrides_page(page.limit + 1, page.number(OVERRIDES), ended=ended)
        found, more = page.cut(OVERRIDES, rows, lambda word: word.id)
        told = [override_document(word, at) for word in found if ended or word.in_force(at)]
        return OverridesPage.model_validate({"overrides": told, "next": more})

    @app.get("/review")
    async def review(
        caller: Viewer, page: Page, answered: bool = False, stale: bool = False, email: ShowEmail = False
    ) -> ReviewPage:
        """Pairs of records that wait for a human, or that were answered; with `stale`, those of which there is nothing
        to decide any more, too. Addresses are masked unless they are asked for."""
        rows = await ledger.review_page(page.limit + 1, page.number(REVIEW), answered=answered)
        found, more = page.cut(REVIEW, rows, lambda pair: pair.review.number)
        told = [pair_document(pair, email=email) for pair in found if stale or not pair.stale]
        return ReviewPage.model_validate({"pairs": told, "next": more})

    @app.get("/notices")
    async def notices(
        caller: Viewer, page: Page, run: AskedFor = None, person: AskedFor = None
    ) -> NoticesPage:
        """What somebody is to be told, or was (`told_at`), the last made first; of one run, about one person."""
        rows = await ledger.notices_page(page.limit + 1, page.number(NOTICES), run=run, person=person)
        found, more = page.cut(NOTICES, rows, lambda row: row[0])
        return NoticesPage.model_validate({"notices": [notice for _, notice in found], "next": more})

    return app
