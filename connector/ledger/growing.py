"""The part of the ledger that knows how it grows and lets go of what is old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from connector.ledger import store_daily, store_nobody, store_prune
from connector.ledger.engine import Database
from connector.ports import Lease


class Growing:
    """Mixed into the ledger. What is let go of in a batch is one transaction under `lease`."""

    _db: Database

    async def old_payloads(self, before: datetime) -> int:
        """How many records have their CRM's own values from before this moment."""
        return await self._db.read(store_prune.payloads, before)

    async def let_payloads_go(
        self, before: datetime, after: str, kept: Mapping[str, Sequence[str]], lease: Lease
    ) -> tuple[str, int]:
        """The next batch after this record, but for the fields of `kept` (by `crm:object`): (the last of them, how
        many); empty: there are no more."""
        rows = await self._db.read(store_prune.old_payloads, before, after)
        if not rows:
            return "", 0
        return rows[-1][0], await self._db.write(store_prune.let_payloads_go, rows, kept, lease)

    async def old_images(self, before: datetime) -> int:
        """How many planned writes of ended plans have before-images from before this moment."""
        return await self._db.read(store_prune.images, before)

    async def plans_to_let_go(self, before: datetime) -> list[int]:
        """The plans that these are of, and those that were begun last."""
        return await self._db.read(store_prune.plans_to_let_go, before)

    async def begin_plan(self, plan: int, before: datetime, lease: Lease, at: datetime) -> int | None:
        """From now on an undo of this plan is refused. How many rows that is of, 0: it was begun before; None: it is
        needed after all."""
        return await self._db.write(store_prune.begin_plan, plan, before, lease, at)

    async def let_images_go(self, plan: int, after: int, lease: Lease) -> int:
        """The next batch of a plan that was begun: the last row; 0: there are no more."""
        return await self._db.write(store_prune.let_images_go, plan, after, lease)

    async def old_details(self, what: str, before: datetime) -> int:
        """How many of one of `DETAILS` are from before this moment."""
        return await self._db.read(store_prune.details, what, before)

    async def let_details_go(self, what: str, before: datetime, lease: Lease, at: datetime) -> int:
        """The next batch of them; 0: there are no more."""
        return await self._db.write(store_prune.let_details_go, what, before, lease, at)

    async def old_visits(self, before: datetime) -> int:
        """How many first-party events that came before this moment are still nobody's."""
        return await self._db.read(store_nobody.events, before)

    async def let_visits_go(
        self, before: datetime, after: tuple[str, str], lease: Lease
    ) -> tuple[tuple[str, str], int]:
        """The next batch of them after this place: (the last place, how many); empty: there are no more."""
        rows = await self._db.read(store_nobody.old_events, before, after)
        if not rows:
            return ("", ""), 0
        return rows[-1], await self._db.write(store_nobody.let_events_go, rows, lease)

    async def let_visitors_go(self, before: datetime, lease: Lease) -> int:
        """The next batch of ids that lead to nobody, unheard of since this moment; 0: there are no more."""
        return await self._db.write(store_nobody.let_ids_go, before, lease)

    async def shrink(self) -> int:
        """Give the pages that wait for new rows back to the disk (SQLite alone; it takes as much room again meanwhile,
        and whoever writes waits). Returns by how many bytes the file is smaller."""
        return await self._db.compact()

    # numbers of each day

    async def add_daily(self, kind: str, day: date, numbers: Mapping[str, int]) -> None:
        """These come to what the UTC day has already."""
        await self._db.write(store_daily.add, kind, day, numbers)

    async def daily(self, kind: str, since: date) -> dict[date, dict[str, int]]:
        """The numbers of a kind, by UTC day and name, from this day on."""
        return await self._db.read(store_daily.of_days, kind, since)

    async def keep_sizes(self, day: date) -> None:
        """What the tables hold now, as the numbers of this day; those that it has had are replaced."""
        rows, sizes = await self.sizes()
        await self._db.write(store_daily.replace, store_daily.ROWS, day, rows)
        await self._db.write(store_daily.replace, store_daily.BYTES, day, sizes)

    async def sizes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Rows and bytes of each table; the bytes of the whole have an empty name."""
        return await self._db.read(store_daily.sizes_of)

    async def bytes_in_use(self) -> tuple[int, int]:
        """The bytes of the database, and how many of them wait for new rows."""
        return await self._db.read(store_daily.in_use)
