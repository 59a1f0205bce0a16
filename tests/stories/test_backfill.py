"""Backfills as RevOps meets them: estimated, durable, giving way, stopped and gone on with. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from connector.core.model import Page
from connector.errors import FixConfig, LeaseBusy, StopRun
from connector.pipeline import RunResult
from connector.ports import Allowance, Range
from connector.sandbox.faults import Fault
from tests.stories.world import START, QuickClock, World, world


class PollingClock(QuickClock):
    """Whoever waits looks again at once, and no time passes by waiting: what happens first is decided by the story."""

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(0.002)


class Told:
    """An adapter whose backfill the story can interrupt: `before(n)` is awaited before the n-th page is handed over."""

    def __init__(self, real: Any, before: Callable[[int], Awaitable[None]], allowance: Any = None) -> None:
        self._real, self._before, self._allowance = real, before, allowance
        self.pages = 0
        self.handed: list[tuple[str, frozenset[str]]] = []  # stream and ids of each page

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def allowance(self) -> Allowance | None:
        return self._allowance() if self._allowance else self._real.allowance()

    async def backfill(self, stream: str, *asked: Any) -> AsyncIterator[Page]:
        pages = self._real.backfill(stream, *asked)
        try:
            async for page in pages:
                self.pages += 1
                ids = {record.ref.id for record in page.records} | {event.key for event in page.events}
                self.handed.append((stream, frozenset(ids)))
                await self._before(self.pages)
                yield page
        finally:
            await pages.aclose()


class Empty(Told):
    """An adapter that takes an empty answer for the end."""

    async def backfill(self, stream: str, *asked: Any) -> AsyncIterator[Page]:
        for page in ():
            yield page


async def nothing(page: int) -> None:
    """Lets it be."""


def interrupted(made: World, before: Callable[[int], Awaitable[None]], allowance: Any = None) -> Told:
    told = Told(made.adapters["hubspot"], before, allowance)
    made.adapters = {**made.adapters, "hubspot": told}
    return told


def adds_up(result: RunResult) -> None:
    for counts in result.crms.values():
        assert counts.adds_up(), counts


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


async def test_both_crms_are_backfilled_one_after_the_other_and_the_next_sync_is_calm(
    database_url: str,
) -> None:
    async with world(database_url, people=60) as made:
        results = [await made.backfill(await made.ask_backfill(crm)) for crm in ("hubspot", "salesforce")]

        assert [result.status for result in results] == ["succeeded", "succeeded"]
        for result in results:
            assert all(counts.adds_up() for counts in result.crms.values())
        leads = results[1].more["backfill"]["streams"]["Lead"]
        assert leads["rows"] == leads["expected"] > 0
        await made.sync()
        made.later(minutes=15)
        calm = await made.sync()
        assert all(counts.written == 0 for counts in calm.crms.values())


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


# --------------------------------------------------------------------------------------------- what it finds


async def test_missed_events_are_found_are_old_news_and_move_no_watermark(database_url: str) -> None:
    async with world(database_url, people=60) as made:
        await made.sync()
        await made.sync()
        made.later(hours=1)
        known = asked_of(database_url, "SELECT count(*) FROM engagement WHERE stream = 'email_events'")
        asked_of(database_url, "DELETE FROM engagement WHERE stream = 'email_events'")
        marks = watermarks(database_url)

        result = await made.backfill(await made.ask_backfill(object="email_events"))

        adds_up(result)
        assert result.status == "succeeded"
        assert (
            asked_of(database_url, "SELECT count(*) FROM engagement WHERE stream = 'email_events'") == known
        )
        late = "SELECT count(*) FROM engagement WHERE stream = 'email_events' AND known_at > occurred_at"
        assert asked_of(database_url, late) == [(0,)], "known when they happened, not when they were found"
        assert result.people > 0
        assert watermarks(database_url) == marks


async def test_only_the_asked_object_and_range_is_read(database_url: str) -> None:
    async with world(database_url, people=60) as made:
        made.later(days=1)
        middle = made.clock.now()
        made.later(seconds=1)
        made.hubspot.edit(
            "contacts",
            sorted(str(row) for row in made.hubspot.sandbox.store.tables["contacts"].rows)[0],
            {"jobtitle": "Editor"},
        )
        made.later(minutes=10)

        result = await made.backfill(await made.ask_backfill(object="contacts", within=Range(since=middle)))

        assert set(result.crms["hubspot"].fetched) == {"contacts"}
        assert result.crms["hubspot"].fetched["contacts"].rows == 1


async def test_an_object_that_nothing_maps_is_named_with_the_nearest(database_url: str) -> None:
    async with world(database_url, people=10) as made:
        with pytest.raises(FixConfig, match="contcts") as caught:
            await made.ask_backfill(object="contcts")

        assert "contact" in caught.value.next_step


async def test_a_vendor_that_counts_rows_and_gives_none_is_not_believed(database_url: str) -> None:
    async with world(database_url, people=20) as made:
        real = made.adapters["hubspot"]
        asked = await made.ask_backfill(object="contacts")
        made.adapters = {**made.adapters, "hubspot": Empty(real, nothing)}

        result = await made.backfill(asked)
        made.adapters = {**made.adapters, "hubspot": real}
        [again] = await made.ledger.unfinished_backfills("hubspot")
        healed = await made.backfill(again)

        assert (result.status, again.status) == ("partial", "failed")
        assert "counted 20 rows" in (result.crms["hubspot"].error or "")
        assert healed.status == "succeeded"
        assert healed.crms["hubspot"].read == 20


# ------------------------------------------------------------------------------------------------ killed


class KilledError(BaseException):
    """The process is no more."""


class Dying:
    """A ledger whose process dies right after (or right before) its n-th writing call."""

    def __init__(self, real: Any, calls: int, *, after: bool) -> None:
        self._real, self._left, self._after = real, calls, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in (
            "keep",
            "keep_decisions",
            "end_stream",
            "mark_sending",
            "receive",
            "open_plan",
            "settle_backfill",
        ):
            return real

        async def call(*told: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < 0 or (self._left == 0 and not self._after):
                raise KilledError
            answer = await real(*told, **named)
            if self._left == 0:
                raise KilledError
            return answer

        return call


@pytest.mark.parametrize("after", [True, False], ids=["after the commit", "before it"])
async def test_killed_at_any_commit_it_goes_on_and_reads_a_page_a_stream_again_at_most(
    database_url: str, after: bool
) -> None:
    async with world(database_url, people=130, clock=PollingClock(START)) as made:
        asked = await made.ask_backfill()
        told = interrupted(made, nothing)
        ledger, lives = made.ledger, []
        for calls in range(1, 60):
            made.ledger = Dying(ledger, calls, after=after)  # type: ignore[assignment]
            [left] = await ledger.unfinished_backfills("hubspot")
            told.handed = []
            lives.append(told.handed)
            with suppress(KilledError):
                result = await made.backfill(left, holder=f"life {calls}")
                break
            made.later(seconds=46)  # its leases run out
        made.ledger = ledger

        assert len(lives) > 5
        assert result.status == "succeeded"
        adds_up(result)
        people = asked_of(database_url, "SELECT count(*) FROM record WHERE kind = 'person'")
        assert people == [(130,)]
        for earlier, later in pairwise(lives):
            for stream in asked.estimates:
                pages = [ids for name, ids in earlier if name == stream]
                known = frozenset[str]().union(*pages)
                again = known & frozenset[str]().union(*(ids for name, ids in later if name == stream))
                assert again <= (pages[-1] if pages else frozenset()), (
                    f"more than a page of {stream} was read again"
                )
        runs = await made.ledger.runs(100)
        assert [run.status for run in runs if run.kind == "backfill"].count("failed") == len(lives) - 1
        written = [write.id for write in made.writes("hubspot")]
        assert len(written) == len(set(written)), "nobody was written twice"
        calm = await made.sync("hubspot")
        assert calm.crms["hubspot"].written == 0


# ------------------------------------------------------------------------------------------- others' turns


async def test_a_sync_gets_its_turn_in_the_middle_and_judges_nobody_on_half_of_the_facts(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=230, clock=PollingClock(START)) as made:
        syncs: list[asyncio.Task[RunResult]] = []
        pages_then: list[int] = []

        async def before(page: int) -> None:
            if page == 2:
                syncs.append(asyncio.create_task(made.sync("salesforce", "hubspot", holder="the schedule")))
                while await made.ledger.holder("want:pull:hubspot", made.clock.now()) is None:
                    await made.clock.sleep(timedelta(0))
                syncs[0].add_done_callback(lambda task: pages_then.append(told.pages))

        told = interrupted(made, before)
        asked = await made.ask_backfill()

        result = await made.backfill(asked)
        between = await syncs[0]

        assert between.status == result.status == "succeeded"
        assert pages_then[0] < told.pages, "the sync was over before the backfill was"
        adds_up(result)
        assert all(counts.adds_up() for counts in between.crms.values())
        assert not asked_of(sqlite_url, "SELECT * FROM due WHERE crm LIKE 'backfill%'")
        made.later(minutes=15)
        calm = await made.sync()
        assert all(counts.written == 0 for counts in calm.crms.values())


async def test_people_are_held_until_all_is_read(sqlite_url: str) -> None:
    async with world(sqlite_url, people=130) as made:
        held: list[int] = []

        async def before(page: int) -> None:
            held.append(len(await made.ledger.due(["hubspot", "salesforce"], made.clock.now(), 10_000)))

        interrupted(made, before)

        result = await made.backfill(await made.ask_backfill())

        assert set(held) == {0}
        assert result.people == 130


async def test_trap_a_backfill_cancelled_half_way_while_the_schedule_goes_on(sqlite_url: str) -> None:
    async with world(sqlite_url, people=230, clock=PollingClock(START)) as made:
        asked = await made.ask_backfill()
        wished: list[str] = []

        async def before(page: int) -> None:
            if page == 3:
                wished.append((await made.ledger.wish_backfill(asked.id, "cancel", made.clock.now())).status)

        told = interrupted(made, before)

        result = await made.backfill(asked)
        pages = told.pages
        scheduled = await made.sync()

        assert wished == ["running"]
        assert (result.status, pages) == ("cancelled", 3)
        adds_up(result)
        assert result.crms["hubspot"].waiting > 0
        assert result.more["backfill"]["status"] == "cancelled"
        assert await made.ledger.unfinished_backfills() == []
        assert scheduled.status == "succeeded"
        assert not asked_of(sqlite_url, "SELECT * FROM due WHERE crm LIKE 'backfill%'")
        undecided = asked_of(sqlite_url, "SELECT ref FROM record WHERE kind = 'person' AND person_id IS NULL")
        assert undecided == [], "whom it had touched is decided by the schedule"


async def test_a_paused_backfill_goes_on_where_it_was(sqlite_url: str) -> None:
    async with world(sqlite_url, people=230) as made:
        asked = await made.ask_backfill(object="contacts")

        async def before(page: int) -> None:
            if page == 1:
                await made.ledger.wish_backfill(asked.id, "pause", made.clock.now())

        interrupted(made, before)

        first = await made.backfill(asked)
        [paused] = await made.ledger.unfinished_backfills()
        second = await made.backfill(await made.ledger.wish_backfill(paused.id, "resume", made.clock.now()))

        adds_up(first)
        assert (first.status, paused.status, paused.rows) == ("partial", "paused", 100)
        assert second.status == "succeeded"
        assert second.crms["hubspot"].fetched["contacts"].rows == 130
        assert second.crms["hubspot"].read == 230, "those of the first attempt are decided now"
        assert first.run != second.run


async def test_a_backfill_that_nobody_runs_is_cancelled_at_once(sqlite_url: str) -> None:
    async with world(sqlite_url, people=10) as made:
        asked = await made.ask_backfill()

        ended = await made.ledger.wish_backfill(asked.id, "cancel", made.clock.now())

        assert ended.status == "cancelled"
        run = await made.ledger.run(asked.run)
        assert run is not None
        assert run.status == "cancelled"
        with pytest.raises(StopRun, match="cancelled"):
            await made.backfill(ended)
        with pytest.raises(FixConfig, match="cancelled already"):
            await made.ledger.wish_backfill(asked.id, "pause", made.clock.now())


async def test_two_backfills_of_one_crm_do_not_run_at_once(sqlite_url: str) -> None:
    async with world(sqlite_url, people=130) as made:
        asked = await made.ask_backfill()
        refused: list[BaseException] = []

        async def before(page: int) -> None:
            if page == 1:
                with pytest.raises(LeaseBusy) as caught:
                    await made.backfill(asked, holder="another")
                refused.append(caught.value)

        interrupted(made, before)

        assert (await made.backfill(asked)).status == "succeeded"
        assert len(refused) == 1


# ------------------------------------------------------------------------------------------------ allowance


async def test_trap_an_allowance_used_up_half_way_in_a_backfill_is_gone_on_with_the_next_day(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=330) as made:
        today = made.clock.now()

        def allowance() -> Allowance:
            used = 100 * told.pages if made.clock.now() < today + timedelta(hours=14) else 0
            return Allowance(used, 1_000, used, 0.3, resets_at=today + timedelta(hours=14))

        told = interrupted(made, nothing, allowance)
        asked = await made.ask_backfill(object="contacts")

        first = await made.backfill(asked)
        [waiting] = await made.ledger.unfinished_backfills()
        at_once = await made.backfill(waiting)
        made.later(days=1)
        told.pages = 0
        second = await made.backfill(waiting)

        adds_up(first)
        assert (first.status, waiting.status, waiting.rows) == ("partial", "waiting", 300)
        assert "300 of 1,000 calls" in waiting.reason
        assert first.crms["hubspot"].waiting == first.crms["hubspot"].planned == 300
        assert at_once.crms["hubspot"].fetched["contacts"].rows == 0
        assert second.status == "succeeded"
        assert second.crms["hubspot"].fetched["contacts"].rows == 30
        assert second.people == 330


async def test_a_crm_that_goes_away_makes_it_wait_and_nothing_is_lost(sqlite_url: str) -> None:
    async with world(sqlite_url, people=230, clock=QuickClock(START)) as made:
        asked = await made.ask_backfill(object="contacts")
        made.hubspot.faults.add(
            Fault(method="GET", path="*/objects/*/contacts*", status=503, times=None, skip=1)
        )

        first = await made.backfill(asked)
        made.hubspot.faults.clear()
        [waiting] = await made.ledger.unfinished_backfills()
        second = await made.backfill(waiting)

        adds_up(first)
        assert (first.status, waiting.status, waiting.rows) == ("partial", "waiting", 100)
        assert second.status == "succeeded"
        assert second.people == 230


# --------------------------------------------------------------------------------------- deciding and plans


async def test_people_are_decided_and_written_a_plan_at_a_time(sqlite_url: str) -> None:
    async with world(sqlite_url, people=130) as made:
        result = await made.backfill(await made.ask_backfill(), people_a_plan=40)

        adds_up(result)
        counts = result.crms["hubspot"]
        assert (counts.written, result.people) == (counts.planned, 130)
        plans = [plan for plan in await made.ledger.plans(50) if plan.run == result.run]
        assert len(plans) == 4
        assert {plan.status for plan in plans} == {"applied"}


async def test_once_a_plan_is_not_approved_all_the_rest_waits_in_one(sqlite_url: str) -> None:
    async with world(sqlite_url, people=130) as made:

        async def refuse(plan: Any) -> bool:
            return False

        result = await made.backfill(await made.ask_backfill(), people_a_plan=40, approve=refuse)

        adds_up(result)
        counts = result.crms["hubspot"]
        assert counts.waiting == counts.planned == 130
        [waiting] = await made.ledger.plans(50)
        assert (waiting.id, waiting.status) == (result.plans["hubspot"], "open")
        applied = await made.apply("hubspot", waiting.id)
        assert applied.written == 130


async def test_a_sync_that_plans_in_the_middle_takes_over_what_was_not_sent(sqlite_url: str) -> None:
    async with world(sqlite_url, people=130) as made:
        syncs: list[RunResult] = []

        async def approve(plan: Any) -> bool:
            if not syncs:
                syncs.append(await made.sync("hubspot", holder="the schedule"))
            return True

        result = await made.backfill(await made.ask_backfill(), people_a_plan=40, approve=approve)

        adds_up(result)
        adds_up(syncs[0])
        written = [write.id for write in made.writes("hubspot")]
        assert len(set(written)) == len(written) == 130
        assert result.crms["hubspot"].waiting == 40, "planned here, sent by the sync"
        assert syncs[0].crms["hubspot"].written >= 40


async def test_what_a_stage_was_is_adopted_and_enters_nothing(sqlite_url: str) -> None:
    async with world(sqlite_url, people=60) as made:
        asked = await made.ask_backfill()
        await made.backfill(asked)

        who = (await made.ledger.people(stage="customer", limit=1))[0].id

        assert asked_of(
            sqlite_url,
            f"SELECT adopted, entered_mql FROM stage_history WHERE person = {who} ORDER BY id LIMIT 1",
        ) in ([(1, 0)], [(True, False)])
