"""The review of the definition is reminded of: a notice once for each state, a field of /readyz and a metric."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import httpx
import pytest

from connector.app.api import build_app
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.reminding import remind_of_review
from connector.app.sidecar import Sidecar
from connector.app.syncing import run_and_remind
from connector.app.wiring import Wired, plugins
from connector.core.definition import Definition
from connector.ledger import open_ledger
from tests.stories.world import START, QuickClock, world

TODAY = START.date()


def reviewed_by(day: date) -> Definition:
    found = load_definition(shipped(), plugins())
    return replace(found, criteria=replace(found.criteria, review_by=day))


async def test_two_replicas_tell_once_that_the_review_comes_up_and_once_that_it_is_overdue(
    database_url: str,
) -> None:
    definition = reviewed_by(TODAY + timedelta(days=20))
    ours, theirs = open_ledger(database_url), open_ledger(database_url, create=False)
    try:
        told = []
        await remind_of_review(
            ours, definition.criteria, START + timedelta(days=10)
        )  # nothing is in force yet
        assert await ours.notices() == []
        await ours.adopt_files(definition.texts, START)
        for days in (0, 5, 6, 7, 20, 21, 40):
            at = START + timedelta(days=days)
            await asyncio.gather(
                remind_of_review(ours, definition.criteria, at),
                remind_of_review(theirs, definition.criteria, at),
            )
            told.append(len(await ours.notices()))
        overdue, soon = await theirs.notices()
    finally:
        await ours.close()
        await theirs.close()

    assert told == [0, 0, 1, 1, 1, 2, 2]
    assert {each.kind for each in (soon, overdue)} == {"review"}
    assert (soon.to, soon.person, soon.told_at) == ("revops", None, None)
    assert soon.text.startswith(f"The review of the definition comes up: {TODAY + timedelta(days=20)}. ")
    assert overdue.text.startswith("The review of the definition is overdue")
    assert (soon.made_at, overdue.made_at) == (START + timedelta(days=6), START + timedelta(days=21))


async def test_a_sync_without_a_sidecar_reminds(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as made:
        made.redefine(review_by=TODAY - timedelta(days=1))
        parts = Wired(made.adapters, made.definition, made.ledger, made.clock, "story")  # type: ignore[arg-type]
        first, _ = [
            await run_and_remind(parts, asked_by="story", plan_only=True, quiet=True) for _ in range(2)
        ]
        [notice] = [each for each in await made.ledger.notices() if each.kind == "review"]
    assert "is overdue" in notice.text
    assert notice.run == first.run


async def test_the_sidecar_reminds_by_the_clock(sqlite_url: str) -> None:
    ledger, clock = open_ledger(sqlite_url), QuickClock(START)
    try:
        definition = reviewed_by(TODAY + timedelta(days=15))
        await ledger.adopt_files(definition.texts, START)
        side = Sidecar(Wired({}, definition, ledger, clock, "story"))  # type: ignore[arg-type]
        counts = []
        for _ in range(3):
            await asyncio.gather(*await side.jobs.look())
            counts.append(len(await ledger.notices()))
            clock.advance(timedelta(hours=12))
    finally:
        await ledger.close()

    assert counts == [0, 0, 1]


@pytest.mark.parametrize(
    ("days", "state", "overdue"), [(-1, "overdue", 1.0), (14, "soon", 0.0), (15, None, 0.0)]
)
async def test_the_sidecar_shows_it_where_it_is_looked_at(
    sqlite_url: str, days: int, state: str | None, overdue: float
) -> None:
    ledger = open_ledger(sqlite_url)
    try:
        parts = Wired({}, reviewed_by(TODAY + timedelta(days=days)), ledger, QuickClock(START), "story")  # type: ignore[arg-type]
        side = httpx.ASGITransport(build_app(Sidecar(parts)))
        async with httpx.AsyncClient(transport=side, base_url="http://sidecar") as client:
            ready = (await client.get("/readyz")).json()
            metrics = (await client.get("/metrics")).text
    finally:
        await ledger.close()

    assert ready["definition"] == {"told": None, "review": state}
    assert f"connector_definition_review_overdue {overdue}" in metrics.splitlines()
