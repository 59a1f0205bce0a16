"""Whose first-party events are: at once, or when it is known; once each; never taken from somebody who has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.pruning import prune, would_prune
from connector.app.wiring import plugins
from connector.core.model import Quarantined
from connector.core.tracking import APP, STREAM, Call, read_call
from connector.ledger import SqlLedger, open_ledger
from connector.ledger.tables import ENGAGEMENT, QUARANTINE
from connector.ledger.tables_tracking import AWAITED, VISITOR
from connector.ports import Tracked
from connector.testing.clock import HandClock

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Counter:
    """The application's calls, one a minute, each with a message id of its own."""

    def __init__(self, ledger: SqlLedger) -> None:
        self.ledger, self.made = ledger, 0

    def call(self, kind: str = "track", *, early: float = 0, **who: Any) -> Call:
        self.made += 1
        raw = {"type": kind, "messageId": f"m{self.made}", "event": "Docs Viewed", **who}
        at = NOW + timedelta(minutes=self.made) - timedelta(minutes=early)
        return read_call({**raw, "timestamp": at.isoformat()}, NOW + timedelta(days=1))

    async def said(self, *calls: Call, aside: Sequence[Quarantined] = ()) -> Tracked:
        return await self.ledger.keep_tracked(calls, aside, NOW + timedelta(minutes=self.made))


def whose(url: str) -> dict[str, str | None]:
    """The address of each event, and how many events await somebody."""
    engine = create_engine(url)
    with engine.connect() as db:
        found = {row.key: row.email for row in db.execute(select(ENGAGEMENT))}
        waits = {row.event for row in db.execute(select(AWAITED))}
    engine.dispose()
    assert waits == {key for key, email in found.items() if email is None}
    return found


async def test_events_of_nobody_join_whoever_their_ids_turn_out_to_be_and_stay_theirs(
    database_url: str,
) -> None:
    ledger = open_ledger(database_url)
    app = Counter(ledger)
    try:
        await app.said(app.call(anonymousId="a"), app.call(anonymousId="b"), app.call(userId="7"))
        unknown = whose(database_url)
        # a logs in as 7, of whom no address is known yet; then 7's is told.
        await app.said(app.call(anonymousId="a", userId="7"))
        await app.said(app.call("identify", userId="7", traits={"email": "ada@example.com"}))
        known = whose(database_url)
        # Somebody else at the same browser: later events are theirs, the earlier ones stay.
        await app.said(app.call("identify", anonymousId="a", traits={"email": "bob@example.com"}))
        await app.said(app.call(anonymousId="a"), app.call(anonymousId="a", userId="7"))
        later = whose(database_url)
        # An alias joins an id without an address to a user; an old tie that comes late changes nothing.
        await app.said(app.call("alias", userId="7", previousId="b"))
        await app.said(
            app.call("identify", early=60, userId="7", traits={"email": "old@example.com"}),
            app.call(userId="7"),
        )
        end = whose(database_url)
    finally:
        await ledger.close()

    assert unknown == {"m1": None, "m2": None, "m3": None}
    assert known == {"m1": "ada@example.com", "m2": None, "m3": "ada@example.com", "m4": "ada@example.com"}
    assert later == known | {"m7": "bob@example.com", "m8": "ada@example.com"}
    assert end == later | {"m2": "ada@example.com", "m11": "ada@example.com"}


async def test_an_id_that_leads_to_another_over_others_joins_with_it(sqlite_url: str) -> None:
    ledger = open_ledger(sqlite_url)
    app = Counter(ledger)
    try:
        await app.said(app.call(anonymousId="a"), app.call("identify", anonymousId="a", userId="7"))
        await app.said(app.call("alias", previousId="7", userId="8"))
        await app.said(app.call("identify", userId="8", traits={"email": "ada@example.com"}))
    finally:
        await ledger.close()
    assert whose(sqlite_url) == {"m1": "ada@example.com"}


async def test_what_is_nobodys_for_long_goes_and_what_is_somebodys_stays(database_url: str) -> None:
    ledger = open_ledger(database_url)
    app, clock = Counter(ledger), HandClock(NOW)
    definition = load_definition(shipped(), plugins())
    try:
        await app.said(app.call(anonymousId="a"), app.call(anonymousId="a", userId="7"))
        await app.said(app.call(anonymousId="b", userId="8"))
        await app.said(app.call("identify", userId="8", traits={"email": "ada@example.com"}))
        clock.advance(timedelta(days=399))
        nothing = await prune(ledger, definition, "tests", clock)
        await ledger.keep_tracked([app.call(anonymousId="c", userId="9")], [], clock.now())
        clock.advance(timedelta(days=2))
        told = await would_prune(ledger, definition, clock.now())
        gone = await prune(ledger, definition, "tests", clock)
        again = await prune(ledger, definition, "tests", clock)
        # What b does is ada's as before.
        await app.said(app.call(anonymousId="b"))
    finally:
        await ledger.close()
    assert [each.gone["unknown_visitors"] for each in (nothing, told, gone, again)] == [0, 2, 2, 0]
    assert whose(database_url) == {"m3": "ada@example.com", "m5": None, "m6": "ada@example.com"}
    engine = create_engine(database_url)
    with engine.connect() as db:
        assert "anonymous:a" not in db.execute(select(VISITOR.c.key)).scalars().all()
    engine.dispose()


async def test_an_event_and_its_tie_that_come_to_two_replicas_at_once_find_each_other(
    database_url: str,
) -> None:
    first, second = open_ledger(database_url), open_ledger(database_url)
    app = Counter(first)
    ties = [{"anonymousId": str(n), "traits": {"email": f"p{n}@example.com"}} for n in range(20)]
    try:
        for tie in ties:
            event, identify = app.call(anonymousId=tie["anonymousId"]), app.call("identify", **tie)
            at = NOW + timedelta(minutes=app.made)
            await asyncio.gather(first.keep_tracked([event], [], at), second.keep_tracked([identify], [], at))
    finally:
        await first.close()
        await second.close()
    assert set(whose(database_url).values()) == {f"p{n}@example.com" for n in range(20)}


@pytest.mark.parametrize("together", [True, False])
async def test_a_message_counts_once_however_often_and_with_whomever_it_comes(
    sqlite_url: str, together: bool
) -> None:
    ledger = open_ledger(sqlite_url)
    app = Counter(ledger)
    first, second = app.call(anonymousId="a"), app.call("track", userId="ada@example.com")
    try:
        parts = [[first, second, first], [second]] if together else [[first], [second], [first], [second]]
        told = [await app.said(*part) for part in parts]
        bad = [Quarantined(APP, STREAM, "x", "It has no name.")]
        aside = [await app.said(aside=bad), await app.said(aside=bad)]
    finally:
        await ledger.close()

    assert (sum(each.stored for each in told), sum(each.duplicate for each in told)) == (2, 2)
    assert whose(sqlite_url) == {"m1": None, "m2": "ada@example.com"}
    assert [each.aside for each in aside] == [1, 1]
    engine = create_engine(sqlite_url)
    with engine.connect() as db:
        assert [(row.crm, row.record, row.why) for row in db.execute(select(QUARANTINE))] == [
            ("app", "x", "It has no name.")
        ]
    engine.dispose()
