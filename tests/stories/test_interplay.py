"""Several at one ledger: two processes at the same CRM, one that was paused and wakes up, one that was killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.app.settings import variables_of
from connector.app.wiring import plugins
from connector.errors import LeaseBusy
from connector.ledger import open_ledger
from connector.phases.lease import LEFT
from connector.pipeline import RunResult
from connector.ports import Adapter
from connector.transport.client import TIMEOUT
from tests.stories.test_traps_allowance import Day, another_program, use_up, used
from tests.stories.world import START, QuickClock, World, world


class Beside(QuickClock):
    """Waiting takes a moment of ours and a tenth of it on the clock: others get on meanwhile."""

    async def sleep(self, span: timedelta) -> None:
        self.advance(span / 10)
        await asyncio.sleep(span.total_seconds() / 100)


@asynccontextmanager
async def another_process(made: World) -> AsyncIterator[World]:
    """The same ledger and the same CRMs with connections of its own."""
    environment = made.running.environment()
    adapters: Mapping[str, Adapter] = {
        crm: plugin.connect(variables_of(plugin.variables, environment), made.clock, None)
        for crm, plugin in plugins().items()
    }
    ledger = open_ledger(made.ledger_url)
    try:
        yield replace(made, adapters=adapters, ledger=ledger, asked=[])
    finally:
        for adapter in adapters.values():
            await adapter.close()
        await ledger.close()


def written_twice(made: World, crm: str, since: int = 0) -> list[str]:
    """Records that the API was told the same of more than once."""
    told = Counter((write.id, str(sorted(write.fields.items()))) for write in made.writes(crm, since))
    return [id_ for (id_, _), times in told.items() if times > 1]


async def test_two_processes_that_sync_the_same_crms_at_once_write_nothing_twice_and_both_end_well(
    database_url: str,
) -> None:
    async with world(database_url, people=150, clock=Beside(START)) as one, another_process(one) as two:
        one.hubspot.faults.add(
            method="POST", path="*/batch/update", delay=1.5, times=1
        )  # while the other decides
        results = await asyncio.gather(one.sync(holder="one"), two.sync(holder="two"))
        after = await one.sync(holder="one")

        assert [result.status for result in results] == ["succeeded", "succeeded"], results
        for crm in ("hubspot", "salesforce"):
            assert sum(result.crms[crm].written for result in results) == len(one.writes(crm)) > 0
            assert written_twice(one, crm) == []
        assert all(counts.written == counts.planned == 0 for counts in after.crms.values())


# -------------------------------------------------------------------------- a paused leader that wakes up


class Pausing(QuickClock):
    """The first wait of a minute or more is a pause of the whole process: others do `meanwhile`."""

    def __init__(self) -> None:
        super().__init__(START)
        self.meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def sleep(self, span: timedelta) -> None:
        await super().sleep(span)
        if self.meanwhile is not None and span >= timedelta(minutes=1):
            meanwhile, self.meanwhile = self.meanwhile, None
            await asyncio.create_task(meanwhile(), context=Context())  # as in a process of its own


async def test_a_leader_that_was_paused_before_its_batch_left_sends_nothing_when_it_wakes_up(
    database_url: str,
) -> None:
    clock = Pausing()
    async with world(database_url, people=60, clock=clock) as leader, another_process(leader) as successor:
        results: list[RunResult] = []

        async def take_over() -> None:
            results.append(await successor.sync("hubspot", holder="successor"))

        planned = await leader.sync("hubspot", plan_only=True)
        leader.hubspot.faults.add(
            method="POST", path="*contacts/batch/update", status=429, headers={"Retry-After": "61"},
            json={"status": "error", "category": "RATE_LIMITS", "policyName": "SECONDLY"},
        )  # fmt: skip
        clock.meanwhile = take_over

        with pytest.raises(LeaseBusy, match="lease lost"):
            await leader.apply("hubspot", planned.plans["hubspot"])
        after = await leader.sync("hubspot")

        [result] = results
        counts = result.crms["hubspot"]
        assert result.status == "succeeded", counts
        assert counts.written == planned.crms["hubspot"].planned == len(leader.writes("hubspot")) > 0
        assert written_twice(leader, "hubspot") == []
        assert await leader.ledger.sending("hubspot") == []
        assert after.crms["hubspot"].planned == 0


async def test_a_leader_that_was_paused_while_it_read_keeps_no_page_when_it_wakes_up(
    database_url: str,
) -> None:
    clock = Pausing()
    async with world(database_url, people=60, clock=clock) as leader, another_process(leader) as successor:
        results: list[RunResult] = []

        async def take_over() -> None:
            results.append(await successor.sync("hubspot", holder="successor"))

        leader.hubspot.faults.add(
            method="GET", path="/crm/objects/*/contacts?*", status=429, headers={"Retry-After": "61"},
            json={"status": "error", "category": "RATE_LIMITS", "policyName": "SECONDLY"},
        )  # fmt: skip
        clock.meanwhile = take_over

        with pytest.raises(LeaseBusy, match="lease lost"):
            await leader.sync("hubspot", holder="leader")
        runs = {run.id: run.status for run in await leader.ledger.runs()}
        after = await leader.sync("hubspot")

        assert [result.status for result in results] == ["succeeded"]
        assert sorted(runs.values()) == ["failed", "succeeded"]
        assert written_twice(leader, "hubspot") == []
        assert after.crms["hubspot"].planned == 0


def test_a_lease_that_is_asked_before_a_request_outlives_it() -> None:
    assert LEFT >= TIMEOUT


# ------------------------------------------------------------------------------------ one allowance for all


async def test_an_allowance_is_shared_by_all_who_call_and_none_goes_beyond_the_share(
    database_url: str,
) -> None:
    day = Day("hubspot", "per_day", 2_000, 600, "/account-info/v3/details")
    options = {"hubspot": {"per_day": day.allowed}}
    async with (
        world(database_url, people=250, options=options, clock=QuickClock(START)) as one,
        another_process(one) as two,
    ):
        planned = await one.sync("hubspot", plan_only=True)
        asked = await two.ask_backfill(object="contacts")
        await use_up(one, day, but=3)

        pushed, filled = await asyncio.gather(
            one.apply("hubspot", planned.plans["hubspot"]), two.backfill(asked, holder="two")
        )

        async with another_program(one, day) as http:
            all_told = used(day, await http.get(day.path))
        in_flight = (
            one.adapters["hubspot"].limits.writes_at_once + 2
        )  # a page, and what is read again before a batch
        assert pushed.waiting > 0
        assert filled.more["backfill"]["status"] == "waiting"
        assert day.ends_at <= all_told <= day.ends_at + 2 * in_flight + 1
