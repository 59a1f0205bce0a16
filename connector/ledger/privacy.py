"""The part of the ledger that answers to people about themselves: what is held, erasing it, and who was erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.ledger import store_erase, store_erased, store_export
from connector.ledger.engine import Database
from connector.ledger.store_erased import KeyBox
from connector.ports import Erased, Lease


class Privacy:
    """Mixed into the ledger. `box`: seals the key of the hashes; None: it is kept as it is."""

    _db: Database
    box: KeyBox | None = None

    async def export_person(self, who: str, at: datetime) -> Mapping[str, Any] | None:
        """All that is held about the person of this address or record; None where nobody is known by it."""
        return await self._db.read(store_export.export, who, at)

    async def erase_person(
        self, who: str, *, by: str, reason: str, leases: Sequence[Lease], at: datetime
    ) -> Erased | None:
        """See `store_erase.erase`."""
        return await self._db.write_over(
            store_erase.erase, who, by=by, reason=reason, leases=leases, at=at, box=self.box
        )

    async def erase_again(self, at: datetime) -> list[Erased]:
        """Erase whoever was erased before and is held all the same. After a restore, once the rows of `erased` and
        `erasure_key` from before it stand beside the restored ones."""
        return await self._db.write_over(store_erase.erase_again, at, self.box)

    async def allow_person(self, who: str, *, by: str, reason: str, at: datetime) -> int:
        """Whoever has this address or record may come in again. Returns how many erasures that were."""
        return await self._db.write(store_erase.allow, who, by=by, reason=reason, at=at, box=self.box)

    async def erased_among(self, names: Sequence[str]) -> frozenset[str]:
        """Which of these addresses, records (`crm:object:id`) and visitors are an erased person's."""
        return frozenset(await self._db.read(store_erased.erased_among, names, self.box))

    async def reseal_erasures(self, box: KeyBox, old: KeyBox | None, *, by: str, at: datetime) -> int:
        """Seal the keys of the hashes by `box`; those that were sealed were by `old`. How many there are."""
        return await self._db.write(store_erase.resealed, box, old, by, at)

    async def forget_erasures(self, *, by: str, at: datetime) -> int:
        """Nobody is kept out any more: their key is lost. How many hashes that were."""
        return await self._db.write(store_erase.forgotten, by, at)
