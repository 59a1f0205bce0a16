"""Tokens by which people and programs are known, as the ledger keeps them: never the token itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class TokenState(StrEnum):
    """What a token is worth at a moment."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `name`: of whom it is known to belong to; `service`: that is a program, no person. `role`: viewer,
    operator or admin. `last_used`: the UTC day; None before the first use. Times are aware UTC."""

    id: int
    name: str
    role: str
    service: bool
    made_at: datetime
    made_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str = ""
    last_used: date | None = None

    def state(self, at: datetime) -> TokenState:
        """Live, expired or revoked at this moment; whichever comes first stays."""
        if self.revoked_at is not None and self.revoked_at < self.expires_at:
            return TokenState.REVOKED
        return TokenState.EXPIRED if self.expires_at <= at else TokenState.LIVE
