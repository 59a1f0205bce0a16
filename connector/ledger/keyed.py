"""The part of the ledger that knows under which keys writes were asked for over the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from connector.ledger import store_keyed
from connector.ledger.engine import FIRST, Database
from connector.ports import KeptAnswer, KeptKey


class Keyed:
    """Mixed into the ledger."""

    _db: Database

    async def begin_key(
        self, caller: str, key: str, fingerprint: str, attempt: str, at: datetime
    ) -> KeptKey | None:
        """None: it is this attempt's. Else what was asked for under it within `KEY_LIFE`, answered, begun or of
        another fingerprint; one that broke off before anything was kept does not count."""
        return await self._db.write(store_keyed.begin, caller, key, fingerprint, attempt, at)

    @contextmanager
    def under_key(self, caller: str, key: str, attempt: str) -> Iterator[None]:
        """Inside, each transaction marks the key first, in the same commit: so it is known for sure whether anything
        of a request that broke off was kept. It is kept only while the key is still this attempt's (LeaseBusy)."""
        before = FIRST.set(partial(store_keyed.act, caller=caller, key=key, attempt=attempt))
        try:
            yield
        finally:
            FIRST.reset(before)

    async def answer_key(self, caller: str, key: str, attempt: str, answer: KeptAnswer) -> None:
        """What is answered to whoever asks again under this key."""
        await self._db.write(store_keyed.answer, caller, key, attempt, answer)

    async def drop_key(self, caller: str, key: str, attempt: str) -> bool:
        """The key may be used again. False where something was kept under it: then it may not."""
        return await self._db.write(store_keyed.drop, caller, key, attempt)

    async def prune_keys(self, before: datetime) -> int:
        """Forgets those of before this moment; how many they were."""
        return await self._db.write(store_keyed.prune, before)
