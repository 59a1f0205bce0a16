"""Writes that somebody asked for over the API under a key of theirs, so that asking again does nothing again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

KEY_LIFE = timedelta(hours=24)  # then a key is forgotten and may be used anew


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered: the HTTP status, the headers worth keeping, the body as text."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key that was used before. `fingerprint`: of the request; `acted`: something of it was kept by the ledger;
    `answer`: None while it is under way, and for good where it broke off."""

    fingerprint: str
    begun_at: datetime
    acted: bool
    answer: KeptAnswer | None


def key_lease(digest: str) -> str:
    """Held while a request under this key of a caller is under way. `digest`: of both."""
    return f"key:{digest}"
