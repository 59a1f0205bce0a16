"""The part of the ledger that hands over and tells: who owns records, times as MQL, notices on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.core.handoff import CrmUser
from connector.core.model import Value
from connector.core.routing import Way
from connector.ledger import store_deleted, store_delivery, store_telling
from connector.ledger.engine import Database
from connector.ledger.store_deleted import DeletedElsewhere
from connector.ports import Bulk, Delivery, Folded, KeptSpell, Lease, Notice


class Telling:
    """Mixed into the ledger."""

    _db: Database

    async def pools(self) -> Mapping[str, int]:
        """Who of the pools was last handed an MQL, by address: the higher, the later."""
        return await self._db.read(store_telling.pools)

    async def users(self) -> list[CrmUser]:
        """Who may own records, as CRMs have told so far."""
        return await self._db.read(store_telling.users)

    async def users_read_at(self, crm: str) -> datetime | None:
        """When a CRM last told that; None: never."""
        return await self._db.read(store_telling.users_read_at, crm)

    async def keep_users(self, crm: str, users: Sequence[CrmUser], at: datetime) -> None:
        """All of a CRM, in place of those known so far."""
        await self._db.write(store_telling.keep_users, crm, users, at)

    async def spells(
        self, since: datetime | None = None, until: datetime | None = None, audience: str | None = None
    ) -> list[KeptSpell]:
        """Times as MQL that began in `[since, until)`, and all that wait for a touch, by beginning."""
        return await self._db.read(store_telling.spells, since, until, audience)

    # notices on their way

    async def unrouted(self, limit: int) -> list[tuple[int, Notice]]:
        """Notices of which it is not settled whom to tell, with their numbers."""
        return await self._db.read(store_delivery.unrouted, limit)

    async def route_notices(
        self,
        routed: Mapping[int, Sequence[Way]],
        lease: Lease,
        at: datetime,
        *,
        late: frozenset[int] = frozenset(),
        personal: frozenset[int] = frozenset(),
    ) -> None:
        """Keep where these notices go, by number."""
        await self._db.write(store_delivery.route, routed, late, personal, lease, at)

    async def due_deliveries(self, at: datetime, limit: int) -> list[Delivery]:
        """Those whose time has come."""
        return await self._db.read(store_delivery.due, at, limit)

    async def told_since(self, way: Way, since: datetime) -> int:
        """How many messages about single people were told there since this moment."""
        return await self._db.read(store_delivery.told_since, way, since)

    async def settle_delivery(
        self, delivery: Delivery, status: str, lease: Lease, at: datetime, *, again: datetime | None = None
    ) -> None:
        """What became of a try."""
        await self._db.write(store_delivery.settle, delivery, status, lease, at, again=again)

    async def folded_deliveries(self, before: datetime) -> list[Folded]:
        """What was beyond the cap of earlier days."""
        return await self._db.read(store_delivery.folded, before)

    async def fold(self, way: Way, text: str, key: str, before: datetime, lease: Lease, at: datetime) -> None:
        """One line for what was beyond the cap there before this moment."""
        await self._db.write(store_delivery.fold, way, text, key, before, lease, at)

    async def waiting_deliveries(self) -> dict[str, tuple[int, int]]:
        """Per target: how many wait, and how often the one that was tried most has failed."""
        return await self._db.read(store_delivery.waiting)

    async def bulks(self, over_since: datetime) -> list[Bulk]:
        """MQLs that were found in bulk and told to nobody yet."""
        return await self._db.read(store_delivery.bulks, over_since)

    async def kept_quiet(self, bulk: Bulk) -> int:
        """How many a guard kept from sales in the same run, whom nobody was told of either."""
        return await self._db.read(store_delivery.kept_quiet, bulk)

    async def sum_up(self, bulk: Bulk, notice: Notice, lease: Lease) -> None:
        """One notice for all of them."""
        await self._db.write(store_delivery.sum_up, bulk, notice, lease)

    async def told_last(self, name: str) -> tuple[Any, datetime] | None:
        """What was told last under this name, and when."""
        return await self._db.read(store_delivery.told_last, name)

    async def tell(
        self, name: str, value: Any, notices: Sequence[tuple[Notice, str]], lease: Lease, at: datetime
    ) -> None:
        """Remember what was told last under this name, with the notices (and their keys) that tell it."""
        await self._db.write(store_delivery.tell, name, value, notices, lease, at)

    async def person_told_of(self, person: int) -> tuple[Mapping[str, Value], str] | None:
        """What a person is, and to whom they were last handed; None: erased, or ended."""
        return await self._db.read(store_delivery.about, person)

    async def deleted_elsewhere(self) -> list[DeletedElsewhere]:
        """Who was deleted in one CRM and lives on in another."""
        return await self._db.read(store_deleted.deleted_elsewhere)

    async def treated(self) -> dict[str, int]:
        """How many people the criteria's `privacy` has treated how, by the last decisions."""
        return await self._db.read(store_deleted.treated)
