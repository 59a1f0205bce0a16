"""The part of the ledger for what comes in by itself: first-party engagement, hints of CRMs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from connector.core.hints import Hint
from connector.core.model import Quarantined, Ref
from connector.core.tracking import Call
from connector.ledger import store_hint, store_tracking
from connector.ledger.engine import Database
from connector.ledger.store_erased import KeyBox
from connector.ports import Lease, Tracked


class Incoming:
    """Mixed into the ledger."""

    _db: Database
    box: KeyBox | None

    async def keep_tracked(
        self,
        calls: Sequence[Call],
        aside: Sequence[Quarantined],
        at: datetime,
        *,
        urgent: Collection[str] = (),
        around: Collection[str] = (),
        counts: store_tracking.Counts | None = None,
    ) -> Tracked:
        """First-party calls in the order in which they came, each message once, on the disk once this returns; ids are
        tied, and whoever is concerned is due. `aside`: malformed events. `urgent`: types that are asked about.
        `around`: the fields of the account that the definition reads. `counts`: of whose events, by their fields, any
        may be kept; None: of everybody's."""
        return await self._db.write_through(
            store_tracking.keep, calls, aside, at, urgent=urgent, around=around, counts=counts, box=self.box
        )

    async def keep_hints(self, hints: Sequence[Hint], at: datetime) -> int:
        """Records to be read again, on the disk once this returns; of what we wrote ourselves none. How many."""
        return await self._db.write_through(store_hint.keep, hints, at, self.box)

    async def hints(self, crm: str, object: str, limit: int) -> list[tuple[Ref, datetime]]:
        """Records of an object that are to be read again, and when that was last said; the oldest first."""
        return await self._db.read(store_hint.hints, crm, object, limit)

    async def heed(self, read: Sequence[tuple[Ref, datetime]], lease: Lease | None = None) -> None:
        """They were read; one that was named once more meanwhile stays."""
        await self._db.write(store_hint.done, read, lease)
