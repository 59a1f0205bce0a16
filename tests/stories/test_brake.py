"""The brake: nothing leaves for a CRM that was stopped, whoever asks; reading goes on. And what was begun is ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from connector.ledger import open_ledger
from tests.stories.serve_words import free_port, serving
from tests.stories.test_bulk_push import jobs, org_of_jobs
from tests.stories.test_cli import answer, environment, run, running  # noqa: F401 (fixtures)
from tests.stories.test_stage_goes_back import LEAD, SETS, an_mql, killed, stage
from tests.stories.world import START, QuickClock, World, world


async def stop(made: World, crm: str = "hubspot") -> None:
    await made.ledger.set_brake(crm, True, "Grace", "a fair today", made.clock.now())


async def start(made: World, crm: str = "hubspot") -> None:
    await made.ledger.set_brake(crm, False, "Grace", "", made.clock.now())


async def test_a_stopped_crm_is_read_and_decided_and_gets_nothing_while_the_other_goes_on(
    database_url: str,
) -> None:
    async with world(database_url, people=40) as made:
        await stop(made)

        result = await made.sync()

        there, other = result.crms["hubspot"], result.crms["salesforce"]
        assert there.read > 0
        assert there.waiting == there.planned > 0
        assert not made.writes("hubspot")
        assert other.written > 0
        assert result.needs_attention
        rows = await made.ledger.plan_rows(result.plans["hubspot"], status="waiting")
        assert all("stopped by Grace" in row.reason and "a fair today" in row.reason for row in rows)


async def test_the_brake_survives_a_restart_and_holds_apply_and_backfill_too(database_url: str) -> None:
    async with world(database_url, people=40, clock=QuickClock(START)) as made:
        await stop(made)
        waiting = (await made.sync("hubspot")).plans["hubspot"]
        await made.ledger.close()
        made.ledger = open_ledger(database_url)

        applied = await made.apply("hubspot", waiting)
        filled = await made.backfill(await made.ask_backfill("hubspot"))

        assert (applied.written, applied.waiting > 0) == (0, True)
        assert "stopped by Grace" in applied.stopped
        assert filled.crms["hubspot"].written == 0
        assert not made.writes("hubspot")


async def test_after_start_the_next_run_plans_anew_and_sends(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        await stop(made)
        first = await made.sync("hubspot")
        await start(made)
        made.later(minutes=15)

        second = await made.sync("hubspot")

        counts = second.crms["hubspot"]
        assert counts.written == first.crms["hubspot"].planned
        assert counts.waiting == 0
        old = await made.ledger.plan(first.plans["hubspot"])
        assert old is not None
        assert old.status == "superseded"


async def test_the_batch_in_hand_is_finished_and_no_other_leaves(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        adapter: Any = made.adapters["hubspot"]
        adapter.limits = replace(adapter.limits, write_batch=10, writes_at_once=1)
        real = adapter.push

        async def push(batch: Any, **more: Any) -> Any:
            await stop(made)
            return await real(batch, **more)

        adapter.push = push

        result = await made.sync("hubspot")

        counts = result.crms["hubspot"]
        assert 0 < counts.written <= 10
        assert counts.waiting == counts.planned - counts.written
        assert len(made.writes("hubspot")) == counts.written
        rows = await made.ledger.plan_rows(result.plans["hubspot"], status="waiting")
        assert all("stopped by Grace" in row.reason for row in rows)


@pytest.mark.usefixtures("running")
def test_stop_and_start_at_the_command_line(environment: dict[str, str]) -> None:  # noqa: F811
    stopped = answer(environment, "stop", "--why", "a fair today", "--as", "Grace")
    again = answer(environment, "stop", "hubspot", "--as", "Ada")
    synced = answer(environment, "sync", "--yes", code=3)
    runs = answer(environment, "runs", "list")
    checked = json.loads(run(environment, "check", "--json", code=None).stdout)
    started = answer(environment, "start")
    goes_on = answer(environment, "sync", "--yes", code=None)

    assert set(stopped["crms"]) == {"hubspot", "salesforce"}
    assert all(each["stopped"] and each["changed"] for each in stopped["crms"].values())
    assert (again["crms"]["hubspot"]["changed"], again["crms"]["hubspot"]["by"]) == (False, "Grace")
    assert all(each["written"] == 0 and each["waiting"] > 0 for each in synced["crms"].values())
    assert runs["stopped"]["hubspot"]["why"] == "a fair today"
    assert sum("was stopped by Grace" in finding["what"] for finding in checked["findings"]) == 2
    assert not any(each["stopped"] for each in started["crms"].values())
    assert all(each["written"] > 0 for each in goes_on["crms"].values())


def told_by(port: int) -> dict[str, Any]:
    with suppress(httpx.TransportError):
        document: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/readyz").json()
        return document
    return {}


def until(holds: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, why
        time.sleep(0.1)


@pytest.mark.usefixtures("running")
def test_the_sidecar_shows_the_brake_and_logs_it_once(
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    answer(environment, "stop", "hubspot", "--why", "a fair today", "--as", "Grace")
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as errors_to:
        process = serving(environment, port, errors_to)
    until(lambda: bool(told_by(port).get("last_sync")), "the first sync never ended")

    stopped = told_by(port)
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    answer(environment, "start", "hubspot")
    until(lambda: not told_by(port)["stopped"], "the brake stayed on")
    after = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    until(lambda: "pushing goes on" in log.read_text(), "nothing was logged of it")
    process.terminate()
    process.wait(timeout=30)
    errors = log.read_text()

    assert stopped["ready"] is True
    assert stopped["stopped"]["hubspot"]["by"] == "Grace"
    assert 'connector_stopped{crm="hubspot"} 1.0' in metrics
    assert 'connector_stopped{crm="salesforce"} 0.0' in metrics
    assert 'connector_stopped{crm="hubspot"} 0.0' in after
    assert errors.count("pushing is stopped") == 1
    assert errors.count("pushing goes on") == 1


async def test_a_stage_that_was_cleared_is_set_although_the_brake_is_on(sqlite_url: str) -> None:
    async with an_mql(sqlite_url) as (made, who):
        await killed(made, SETS)
        assert stage(made, who) == ""
        await stop(made)

        result = await made.sync("hubspot")

        assert stage(made, who) == LEAD
        assert result.crms["hubspot"].written == 0


async def test_a_job_goes_on_and_no_other_begins(sqlite_url: str) -> None:
    async with org_of_jobs(sqlite_url) as made:
        bulk: Any = made.adapters["salesforce"].bulk
        real = bulk.push

        async def push(*batch: Any, **more: Any) -> Any:
            await stop(made, "salesforce")
            return await real(*batch, **more)

        bulk.push = push

        result = await made.sync("salesforce")

        counts = result.crms["salesforce"]
        assert len(jobs(made)) == 1
        assert counts.written > 0
        assert counts.waiting == counts.planned - counts.written
        assert counts.waiting > 0
