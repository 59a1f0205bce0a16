"""The part of the ledger that knows who may ask: tokens by their hash."""

from __future__ import annotations

from datetime import date, datetime

from connector.ledger import store_token
from connector.ledger.engine import Database
from connector.ports import Token


class Tokens:
    """Mixed into the ledger."""

    _db: Database

    async def make_token(
        self,
        name: str,
        role: str,
        hash: str,
        by: str,
        at: datetime,
        *,
        expires_at: datetime,
        service: bool = False,
    ) -> Token:
        """A new token, known by its SHA-256. FixConfig where somebody of this name has a live one."""
        return await self._db.write(store_token.make, name, role, hash, by, at, expires_at, service)

    async def tokens(self) -> list[Token]:
        """All that were ever made, the newest first."""
        return await self._db.read(store_token.tokens)

    async def token_of(self, hash: str) -> Token | None:
        """The token of this SHA-256, whatever its state; None where none was ever made."""
        return await self._db.read(store_token.of, hash)

    async def revoke_token(self, number: int, by: str, at: datetime) -> Token:
        """It counts no more. StopRun where there is none, or it is revoked already."""
        return await self._db.write(store_token.revoke, number, by, at)

    async def used_token(self, number: int, day: date) -> None:
        """It was used on this UTC day."""
        await self._db.write(store_token.used, number, day)
