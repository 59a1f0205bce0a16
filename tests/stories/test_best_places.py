"""More people qualify than sales can take care of: the best get a place, the others wait for theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connector.core.criteria import Best, StageAny, StageEntry, StageTest
from connector.phases.places import PLACES
from connector.ports import PersonView
from tests.stories.world import World, world


def narrowed(made: World, **mql: Any) -> None:
    stages = made.definition.criteria.stages
    made.redefine(stages=replace(stages, mql=replace(stages.mql, **mql)))


def reaches(score: float) -> StageAny:
    return StageAny((StageEntry((StageTest("score", "gte", score),)), StageEntry(hand_raised=True)))


async def everybody(made: World) -> list[PersonView]:
    return await made.ledger.people(limit=1_000)


async def test_the_best_get_a_place_the_others_wait_and_every_sum_adds_up(database_url: str) -> None:
    bar = reaches(18.0)  # low, so that many qualify in a small world
    async with world(database_url, people=90) as made:
        narrowed(made, enter=bar, leave=StageEntry((StageTest("score", "lt", 5.0),)), capacity=12)

        first = await made.sync()
        views = await everybody(made)
        second = await made.sync()
        made.later(days=7, minutes=1)
        third = await made.sync()
        after = await everybody(made)
        bars = await made.ledger.bars()

    mqls = [each for each in views if each.state.stage == "mql" and each.state.mql_since == each.decided_at]
    waiting = [each for each in views if each.waits]
    told = first.more[PLACES][0]
    assert all(counts.adds_up() for run in (first, second, third) for counts in run.crms.values())
    asked = [each for each in mqls if each.score.hand_raised]
    assert first.entered == 12 == len(mqls) == told["taken"] + len(asked)
    assert told["taken"] > 0 < len(asked)
    assert len(waiting) > 3
    assert told["waiting"] == len(waiting)
    by_points = [each.score.score for each in mqls if each not in asked]
    assert min(by_points) >= max(each.score.score for each in waiting)
    assert all("waits for a place (the best 12 a week)" in each.state.because for each in waiting)
    assert second.entered == 0
    assert sum(counts.planned for counts in second.crms.values()) == 0
    assert third.entered == 12 < len(waiting)
    assert {each.id for each in after if each.state.stage == "mql"} > {each.id for each in mqls}
    assert (bars[0].audience, bars[0].taken, bars[0].places) == ("all", 12, 12)


async def test_a_loosened_bar_is_told_in_the_run_with_the_plan_and_in_each_reason(sqlite_url: str) -> None:
    async with world(sqlite_url, people=40) as made:
        fixed, lower = (StageEntry((StageTest("score", "gte", score),)) for score in (90.0, 20.0))
        narrowed(made, enter=fixed, best=Best(per_week=4, enough=lower))
        done = await made.sync()
        plans = [await made.ledger.plan(plan) for plan in done.plans.values()]
        views = [each for each in await everybody(made) if each.state.loosened]

    assert len(views) == 4
    assert all(
        "below the fixed bar, let in as one of the best 4 a week" in each.state.because for each in views
    )
    assert "LOOSENED: 4 of them" in done.document()[PLACES][0]["told"]
    assert all(plan is not None and plan.summary[PLACES]["loosened"] == 4 for plan in plans)  # type: ignore[index,call-overload]


async def test_the_top_per_cent_is_a_bar_that_moves_with_everybody(sqlite_url: str) -> None:
    async with world(sqlite_url, people=40) as made:
        narrowed(made, enter=reaches(10.0), best=Best(top=40.0))
        await made.sync()
        views = [each for each in await everybody(made) if each.score.disqualified is None]
        [bar] = await made.ledger.bars()

    entered = [each for each in views if each.state.stage == "mql" and not each.state.by_human
               and each.state.mql_since == each.decided_at and each.score.hand_raised is None]  # fmt: skip
    last = sorted((each.score.score for each in views), reverse=True)[len(views) * 2 // 5 - 1]
    assert entered
    assert bar.places is None
    assert (
        min(each.score.score for each in entered)
        >= last
        > max(each.score.score for each in views if each.waits)
    )
