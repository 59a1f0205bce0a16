"""How the ledger grows and who calls the CRMs how often: by night, by command, in the numbers."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from connector.app.commands.prune import db_prune
from connector.app.commands.serve import counted
from connector.app.commands.size import db_size
from connector.app.commands.sync import sync
from connector.app.daily_calls import DailyCalls
from connector.app.growth import growth_of
from connector.app.observed import calls_told
from connector.app.sidecar.jobs import JOBS, Jobs
from connector.ledger import SqlLedger
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.store_daily import CALLS, WHOLE
from connector.ledger.tables import ENGAGEMENT
from connector.transport import watch_calls
from tests.stories.ledger_words import NOON
from tests.stories.sidecar_words import BOTH, numbers, sidecar
from tests.stories.test_cli import environment, running
from tests.stories.world import world

__all__ = ["environment", "running"]

DAY = timedelta(days=1)


async def test_numbers_of_a_day_come_together_from_all_processes_and_wait_while_the_ledger_is_away(
    ledger: SqlLedger,
) -> None:
    one, another = DailyCalls(), DailyCalls()
    for calls in (one, another, one):
        calls.count("hubspot", "sync")
    another.count("salesforce", "undo")
    await one.keep(ledger, NOON)
    await one.keep(ledger, NOON)
    await another.keep(ledger, NOON)
    one.count("hubspot", "apply")
    await one.keep(ledger, NOON + DAY)
    await ledger.keep_sizes(NOON.date())
    await ledger.keep_sizes(NOON.date())
    kept = await ledger.daily(CALLS, date(2020, 1, 1))
    rows, sizes = await ledger.sizes()
    later = await growth_of(ledger, NOON + 2 * DAY)

    assert kept == {
        NOON.date(): {"hubspot sync": 3, "salesforce undo": 1},
        (NOON + DAY).date(): {"hubspot apply": 1},
    }
    assert rows["daily"] == 3 + len(rows) + len(sizes)
    assert sizes[WHOLE] >= max(size for name, size in sizes.items() if name != WHOLE) > 0
    assert later.days == 2
    assert later.rows["daily"] == rows["daily"] > 2 * later.rows_a_day["daily"]
    assert later.rows_a_day["run"] == later.rows["run"] == 0


async def test_a_ledger_that_is_away_loses_no_count(ledger: SqlLedger) -> None:
    calls = DailyCalls()
    calls.count("hubspot", "sync")
    await ledger.close()
    with pytest.raises(RuntimeError):  # its threads are gone; a database that is away is one of our errors
        await calls.keep(ledger, NOON)

    assert calls.waiting == {"hubspot sync": 1}


async def test_size_growth_and_calls_of_the_day_are_in_the_numbers(sqlite_url: str) -> None:
    async with world(sqlite_url, people=6) as made:
        side = await sidecar(made)
        sizes = [each for each in JOBS if each.name == "sizes"]
        jobs = Jobs(side, sizes, since=made.clock.now() - timedelta(days=1))  # a night has gone by
        for task in await jobs.look():
            await task
        fresh = await numbers(side)
        watch_calls(calls_told(counted(side)))
        try:
            await side.sync(BOTH)
        finally:
            watch_calls(None)
        await side.parts.calls.keep(made.ledger, made.clock.now())
        made.later(days=1)
        await side.parts.calls.keep(made.ledger, made.clock.now())
        grown = await numbers(side)
        made.later(days=-1)
        today = await numbers(side)
    assert fresh["ledger_growth_bytes"] == 0
    assert grown["ledger_growth_bytes"] == grown["ledger_bytes"] - fresh["ledger_bytes"] > 100_000
    assert today["crm_calls_today hubspot sync"] == today["crm_calls_total hubspot sync"] > 5
    assert "crm_calls_today hubspot sync" not in grown


def test_size_and_prune_as_people_type_them(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def told() -> dict[str, Any]:
        return dict(json.loads(capsys.readouterr().out))

    sync(["hubspot"], plan_only=True, yes=False, mappings=None, json=True)
    capsys.readouterr()
    db_size(json=True)
    size = told()
    db_size(json=False)
    said = capsys.readouterr().out
    db_prune(dry_run=True, shrink=False, json=True)
    nothing = told()
    with build_engine(parse_url(environment["CONNECTOR_DATABASE_URL"])).begin() as db:
        db.execute(delete(ENGAGEMENT))
    db_prune(dry_run=False, shrink=True, json=True)
    shrunk = told()
    db_prune(dry_run=False, shrink=False, json=False)

    [calls] = size["calls"].values()
    assert calls["hubspot sync"] > 5
    assert size["tables"]["record"]["rows"] > 20
    assert size["bytes"] > 200_000
    assert size["bytes_a_day"] is None
    assert "bytes in all" in said
    assert nothing["retention"]["before_images"] == "90d"
    assert not any(nothing["gone"].values())
    assert shrunk["smaller_by_bytes"] > 0
    assert "Nothing is older" in capsys.readouterr().out
