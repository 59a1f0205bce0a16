"""Whose token this is, as the ledger knows. Says nothing of what somebody may do.

The ledger is asked at most every five seconds: a look-up with every page view costs no SQL, and a token that is revoked
soon opens nothing.
"""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta

import structlog

from connector.app.token_text import PREFIX, hash_of, is_whole
from connector.ledger import SqlLedger
from connector.ports import Clock, Token, TokenState

log = structlog.get_logger("connector.api")

FRESH = timedelta(seconds=5)


class RefusedError(Exception):
    """A token that opens nothing, with the reason for whoever holds it."""


class NamedTokens:
    """The tokens of people and programs."""

    def __init__(self, ledger: SqlLedger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._seen: dict[str, tuple[Token, datetime]] = {}  # by hash; none that the ledger does not know
        self._had: dict[str, tuple[bool, datetime]] = {}  # by role
        self._noted: dict[int, date] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def token(self, told: str) -> Token:
        """The live token that this text is. Raises RefusedError with the reason."""
        if not told.startswith(PREFIX):
            raise RefusedError("This token is not known here.")
        if not is_whole(told):
            raise RefusedError("This token is not whole: a character is wrong or missing.")
        now = self._clock.now()
        token = await self._known(hash_of(told), now)
        if token is None:
            raise RefusedError("This token is not known here.")
        if token.state(now) is TokenState.REVOKED:
            raise RefusedError("This token was revoked.")
        if token.state(now) is TokenState.EXPIRED:
            raise RefusedError("This token has expired.")
        self._note(token, now.date())
        return token

    async def ever_had(self, role: str) -> bool:
        """Whether anybody was ever given this role; true as long as that cannot be told. A port that has asked for
        tokens does not cease to because the last one ran out."""
        now = self._clock.now()
        had, seen = self._had.get(role, (False, None))
        if not had and (seen is None or not _fresh(seen, now)):
            try:
                had = any(each.role == role for each in await self._ledger.tokens())
            except Exception:  # a ledger that is away opens nothing that it has not opened before
                return seen is None
            self._had[role] = had, now
        return had

    async def _known(self, hash: str, now: datetime) -> Token | None:
        seen = self._seen.get(hash)
        if seen is not None and _fresh(seen[1], now):
            return seen[0]
        found = await self._ledger.token_of(hash)
        if found is None:
            self._seen.pop(hash, None)
        else:
            self._seen[hash] = found, now
        return found

    def _note(self, token: Token, day: date) -> None:
        """That it was used today, beside the answer: nobody waits for it, and nobody is refused where it fails."""
        if self._noted.get(token.id) == day or token.last_used == day:
            return
        self._noted[token.id] = day
        task = asyncio.create_task(self._keep(token.id, day))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _keep(self, number: int, day: date) -> None:
        try:
            await self._ledger.used_token(number, day)
        except Exception as error:  # the next use tries again
            self._noted.pop(number, None)
            log.warning("the last use of a token was not kept", token=number, error=type(error).__name__)

    async def noted(self) -> None:
        """Once what is to be kept about uses so far is kept."""
        await asyncio.gather(*self._notes)


def _fresh(seen: datetime, now: datetime) -> bool:
    return timedelta(0) <= now - seen < FRESH
