"""Health and metrics tell the truth: each thing that can go bad is made to, and shows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from connector.app.sidecar import Sidecar
from connector.app.sidecar.health import SILENCE
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.upgrade import HEAD
from connector.ports import serving
from tests.stories.sidecar_words import BOTH, asked, numbers, parts_of, sidecar
from tests.stories.world import World, world


async def next_sync(world: World, side: Sidecar) -> None:
    """A quarter of an hour later; whoever else served a CRM still does."""
    world.later(minutes=15)
    await world.ledger.acquire(serving("salesforce"), "another", world.clock.now())
    await side.served.look()
    await side.sync(BOTH)


async def test_a_part_that_has_stopped_is_no_life_and_only_a_beat_brings_it_back(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as w:
        side, now = Sidecar(parts_of(w)), [0.0]
        side.health.seconds = lambda: now[0]
        side.health.__post_init__()
        answers = []
        for seconds in (0, 59, 2):  # the scheduler has not moved for 61 s, the look has
            now[0] += seconds
            side.health.beat("look")
            answers.append(await asked(side, "/healthz"))
        stale = await numbers(side)
        now[0] += SILENCE["look"]
        side.health.beat("scheduler")
        answers.append(await asked(side, "/healthz"))
        side.health.beat("look")
        answers.append(await asked(side, "/healthz"))

    alive = (200, {"status": "alive"})
    assert answers == [
        alive, alive, (503, {"status": "stopped", "silent": ["scheduler"]}),
        alive, alive,
    ]  # fmt: skip
    assert (stale["scheduler_last_tick_seconds scheduler"], stale["scheduler_last_tick_seconds look"]) == (
        61,
        0,
    )


async def test_the_scheduler_and_the_look_beat_while_they_go_on_and_a_look_that_fails_stops_neither(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.app.sidecar.BEAT", 0.01)
    monkeypatch.setattr("connector.app.sidecar.LOOK", 0.01)
    async with world(sqlite_url, people=1) as w:
        side = Sidecar(parts_of(w))
        side.parts.adapters.clear()  # type: ignore[attr-defined] # nothing to sync: only the parts themselves
        beats: set[str] = set()
        looks = 0

        def beat(part: str) -> None:
            beats.add(part)

        async def broken(asked: Any) -> Any:
            nonlocal looks
            looks += 1
            raise KeyError("whatever")

        monkeypatch.setattr(type(side.health), "beat", lambda self, part: beat(part))
        monkeypatch.setattr(side, "_look", broken)
        with capture_logs() as said:
            looking = asyncio.create_task(side.look_around())
            for _ in range(500):
                await asyncio.sleep(0.01)
                if beats == set(SILENCE) and looks > 2:
                    break
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await side.stop()

    assert beats == set(SILENCE)
    assert looks > 2
    assert [each["event"] for each in said if "look" in each["event"]] == ["look for work failed"]


async def test_ready_says_which_of_database_schema_and_crms_does_not_answer(database_url: str) -> None:
    async with world(database_url, people=12) as w:
        side = await sidecar(w)
        seen = [await asked(side, "/readyz")]  # no sync has ended yet
        await side.sync(BOTH)
        seen.append(await asked(side, "/readyz"))
        engine = build_engine(parse_url(database_url))
        with engine.begin() as db:
            db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        seen.append(await asked(side, "/readyz"))
        with engine.begin() as db:
            db.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})
        engine.dispose()
        await w.ledger.close()
        seen.append(await asked(side, "/readyz"))
        down = await numbers(side)

    assert [status for status, _ in seen] == [503, 200, 503, 503]
    crms = {"hubspot": "ok", "salesforce": "ok"}
    assert [document["crms"] for _, document in seen[:3]] == [{}, crms, crms]
    assert [document["database"] for _, document in seen] == ["ok", "ok", "ok", "RuntimeError"]
    assert seen[2][1]["schema"] == f"9999, and this program knows {HEAD}"
    assert (down["database_up"], down["crm_up hubspot"]) == (0, 1)


async def test_what_goes_bad_shows_in_the_numbers_and_shows_again_when_it_is_good(sqlite_url: str) -> None:
    async with world(sqlite_url, people=30) as w:
        await w.ledger.acquire(serving("salesforce"), "another", w.clock.now())
        side = await sidecar(w, "sidecar")
        w.hubspot.faults.add(path="*contacts*", empty=True, times=None)
        await side.sync(BOTH)
        empty = await numbers(side)
        w.hubspot.faults.clear()
        await side.sync(BOTH)
        good = await numbers(side)
        with capture_logs() as said:
            w.hubspot.faults.add(drop=True, times=None)
            for _ in range(3):
                await next_sync(w, side)
            away = await numbers(side)
            ready = await asked(side, "/readyz")
            w.hubspot.faults.clear()
            await next_sync(w, side)
            back = await numbers(side)
        w.later(days=2)
        tomorrow = await numbers(side)

    assert (empty["crm_read_nothing hubspot"], good["crm_read_nothing hubspot"]) == (1, 0)
    assert (empty["runs_total partial"], good["runs_total succeeded"]) == (1, 1)
    assert good["records_total hubspot waiting"] > 5, "a first plan waits for a human"
    assert (empty["crm_plan_waits hubspot"], good["crm_plan_waits hubspot"]) == (0, 1)
    assert good["crm_last_sync_rows hubspot"] > 5
    assert good["run_seconds_count"] == 2
    assert [name for name in good if name.startswith("crm_lease") and good[name]] == [
        "crm_lease hubspot here", "crm_lease salesforce elsewhere",
    ]  # fmt: skip
    assert [each["crm_up hubspot"] for each in (good, away, back)] == [1, 0, 1]
    assert away["runs_total failed"] == 3
    assert (ready[0], ready[1]["crms"]["salesforce"]) == (200, "served by another")
    assert [(each["event"], each["log_level"]) for each in said if "crm " in each["event"]] == [
        ("crm is away", "warning"), ("crm is back", "info"),
    ]  # fmt: skip
    assert good["crm_allowance_left hubspot"] > back["crm_allowance_left hubspot"] > 0
    assert (back["due_people"], back["due_oldest_seconds"]) == (0, 0)
    assert tomorrow["due_people"] > 0
    assert 86_400 < tomorrow["due_oldest_seconds"] < 3 * 86_400
    assert good[f"build_info {HEAD} 0.1.0"] == 1
