"""Backfills as RevOps meets them: estimated, durable, giving way, stopped and gone on with. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import create_engine, text

from connector.core.model import Page
from connector.pipeline import RunResult
from connector.ports import Allowance
from tests.stories.world import QuickClock, World, world

LIST_PAGE = 100  # contacts a page


class PollingClock(QuickClock):
    """Whoever waits looks again at once, and no time passes by waiting: what happens first is decided by the story."""

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(0.002)


class Told:
    """An adapter whose backfill the story can interrupt: `before(n)` is awaited before the n-th page is handed over."""

    def __init__(self, real: Any, before: Callable[[int], Any], allowance: Any = None) -> None:
        self._real, self._before, self._allowance = real, before, allowance
        self.pages = 0
        self.rows: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def allowance(self) -> Allowance | None:
        return self._allowance() if self._allowance else self._real.allowance()

    async def backfill(self, stream: str, *asked: Any) -> AsyncIterator[Page]:
        pages = self._real.backfill(stream, *asked)
        try:
            async for page in pages:
                self.pages += 1
                self.rows.append((stream, page.fetched))
                await self._before(self.pages)
                yield page
        finally:
            await pages.aclose()


async def nothing(page: int) -> None:
    """Lets it be."""


def interrupted(made: World, before: Callable[[int], Any], allowance: Any = None) -> Told:
    told = Told(made.adapters["hubspot"], before, allowance)
    made.adapters = {**made.adapters, "hubspot": told}
    return told


def adds_up(result: RunResult) -> None:
    for counts in result.crms.values():
        assert counts.adds_up(), counts
        for fetched in counts.fetched.values():
            assert fetched.rows == fetched.stored + fetched.duplicate + fetched.quarantined + fetched.ignored


def asked_of(url: str, question: str) -> list[tuple[Any, ...]]:
    """Straight from the database."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            done = connection.execute(text(question))
            return [tuple(row) for row in done] if done.returns_rows else []
    finally:
        engine.dispose()


def watermarks(url: str) -> list[tuple[Any, ...]]:
    return sorted(asked_of(url, "SELECT crm, stream, cursor FROM watermark"))


def decisions(url: str) -> list[tuple[Any, ...]]:
    return sorted(asked_of(url, "SELECT id, stage, status, state, look_again_at FROM person"))


async def test_a_backfill_of_an_empty_ledger_reads_what_was_counted_and_decides_everybody(
    database_url: str,
) -> None:
    async with world(database_url, people=230) as made:
        asked = await made.ask_backfill()

        result = await made.backfill(asked)

        adds_up(result)
        counts = result.crms["hubspot"]
        assert result.status == "succeeded"
        assert counts.fetched["contacts"].rows == asked.estimates["contacts"].rows == counts.read
        assert counts.written == counts.planned > 0
        assert result.more["backfill"]["status"] == "succeeded"
        assert result.more["backfill"]["streams"]["contacts"] == {"rows": 230, "expected": 230, "done": True}
        assert not watermarks(database_url), "a backfill moves no watermark"
        assert not asked_of(database_url, "SELECT * FROM due WHERE crm LIKE 'backfill%'")


async def test_a_backfill_over_people_already_decided_changes_no_stage_no_dwell_and_no_date(
    database_url: str,
) -> None:
    async with world(database_url, people=230) as made:
        await made.sync()
        await made.sync()
        made.later(minutes=15)
        before, marks = decisions(database_url), watermarks(database_url)

        result = await made.backfill(await made.ask_backfill())

        adds_up(result)
        assert result.status == "succeeded"
        assert (result.entered, result.left, result.crms["hubspot"].planned) == (0, 0, 0)
        assert decisions(database_url) == before
        assert watermarks(database_url) == marks
