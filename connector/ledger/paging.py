"""The part of the ledger that is read piece by piece, or once per page view."""

from __future__ import annotations

from datetime import datetime

from connector.core.override import Override
from connector.ledger import store_pages, store_request
from connector.ledger.engine import Database
from connector.ledger.store_pages import Glance, Trouble
from connector.ports import Backfill, Notice, PlanInfo, Request, ReviewPair, RunInfo, VersionInfo


class Paging:
    """Mixed into the ledger. `before` (or `after`): the key of the last row of the piece before."""

    _db: Database

    async def glance(self, who: str) -> list[Glance]:
        """Where those stand whom this address, record id, `crm:object:id` or `person:ID` names."""
        return await self._db.read(store_pages.glance, who)

    async def runs_page(self, limit: int, before: int | None = None) -> list[RunInfo]:
        """Runs, the newest first."""
        return await self._db.read(store_pages.runs, limit, before)

    async def troubles(self, run: int) -> list[Trouble]:
        """What went wrong with the records of a run, the most frequent first."""
        return await self._db.read(store_pages.troubles, run)

    async def plans_page(
        self,
        limit: int,
        before: int | None = None,
        *,
        at: datetime,
        crm: str | None = None,
        run: int | None = None,
        open_only: bool = False,
    ) -> list[PlanInfo]:
        """Plans, the newest first, their rows not counted by kind; an open one older than 24 h by `at` is told as
        expired."""
        return await self._db.read(
            store_pages.plans, limit, before, at=at, crm=crm, run=run, open_only=open_only
        )

    async def requests_page(self, limit: int, before: int | None = None) -> list[Request]:
        """Work that was left to the sidecar, the newest first."""
        return await self._db.read(store_request.page, limit, before)

    async def backfills_page(self, limit: int, before: int | None = None) -> list[Backfill]:
        """Backfills, the newest first."""
        return await self._db.read(store_pages.backfills, limit, before)

    async def backfill_numbered(self, number: int) -> Backfill | None:
        """A backfill by its own number, not that of a run of it."""
        return await self._db.read(store_pages.backfill, number)

    async def notices_page(
        self, limit: int, before: int | None = None, *, run: int | None = None, person: int | None = None
    ) -> list[tuple[int, Notice]]:
        """Notices with their numbers, the last made first: of this run, about this person."""
        return await self._db.read(store_pages.notices, limit, before, run=run, person=person)

    async def overrides_page(
        self, limit: int, before: int | None = None, *, ended: bool = False
    ) -> list[Override]:
        """What humans say above the rules, the newest first; without `ended`, what nobody has ended."""
        return await self._db.read(store_pages.overrides, limit, before, ended=ended)

    async def review_page(
        self, limit: int, after: int | None = None, *, answered: bool = False
    ) -> list[ReviewPair]:
        """Pairs of records for a human, beside their evidence, by number."""
        return await self._db.read(store_pages.review_pairs, limit, after, answered=answered)

    async def versions_page(self, limit: int, before: int | None = None) -> list[VersionInfo]:
        """Versions of the definition, the newest first."""
        return await self._db.read(store_pages.versions, limit, before)

    async def version_numbered(self, number: int) -> VersionInfo | None:
        """Who put this version in force, and when; None where there is none."""
        return await self._db.read(store_pages.version, number)
