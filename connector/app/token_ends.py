"""Which tokens end soon, told while there is time to make the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from connector.ports import Finding, Token, TokenState

SOON = timedelta(days=14)


def ending(tokens: Iterable[Token], at: datetime) -> list[Finding]:
    """A finding for each live token that ends within two weeks; it is named by its number, as logs may keep this."""
    return [
        Finding(
            "warning",
            "access",
            f"token {each.id} of a {'program' if each.service else 'person'} ({each.role}) ends on "
            f"{each.expires_at:%Y-%m-%d}",
            "`connector token list` says whose it is; make the next in time, or revoke it if it is not used any more.",
        )
        for each in tokens
        if each.state(at) is TokenState.LIVE and each.expires_at - at <= SOON
    ]
