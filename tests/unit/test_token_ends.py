"""Whoever checks hears of tokens that end soon, in time and by number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.app.token_ends import ending
from connector.ports import Token

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def token(number: int, days: int, **more) -> Token:
    return Token(number, "Grace", "viewer", False, AT - 90 * DAY, "root", AT + days * DAY, **more)


def test_live_tokens_of_the_next_two_weeks_are_told_and_nobody_is_named():
    known = [token(1, 15), token(2, 14), token(3, 1), token(4, 0), token(5, 2, revoked_at=AT - DAY)]

    found = ending(known, AT)

    assert [each.what.split()[1] for each in found] == ["2", "3"]
    assert "2026-12-10" in found[0].what
    assert "Grace" not in str(found)
