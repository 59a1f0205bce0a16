"""More people qualify than sales can take care of: the best get a place, the others wait for theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from connector.core.criteria import Best, StageAny, StageEntry, StageTest
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override
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
    async with world(database_url, people=98) as made:
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


async def test_a_human_s_word_takes_a_place_keeps_it_or_leaves_it_to_the_next(sqlite_url: str) -> None:
    async with world(sqlite_url, people=28) as made:
        never_leaves = StageAny(())
        narrowed(made, enter=reaches(15.0), leave=never_leaves, capacity=3)
        await made.sync()
        views = await everybody(made)
        best, second, *others = sorted(
            (each for each in views if each.waits and each.fields.get("email")),
            key=lambda each: -each.score.score,
        )
        low = next(each for each in views if each.score.score < 10 and each.state.stage == "lead"
                   and each.score.disqualified is None and each.fields.get("email"))  # fmt: skip
        assert len(others) >= 3

        def says(kind: str, who: PersonView, **more: Any) -> Override:
            told = str(who.fields["email"])
            return Override(0, kind, "person", told, "Grace", "Met at the fair", made.clock.now(), **more)

        made.later(days=7, minutes=1)
        until = made.clock.now() + timedelta(days=1)
        words = [says(MQL_NOW, low), says(NEVER, best), says(HOLD_UNTIL, second, until=until)]
        wish, *_ = await made.ledger.add_overrides(words, made.clock.now())
        week = await made.sync()
        then = {each.id: each for each in await everybody(made)}

        # the wished one is one of the three, and told apart; who is kept out neither waits nor takes a place
        document: Any = week.document()
        assert (document["mql"]["entered"], document["mql"]["by_override"]) == (3, 1)
        [told] = document[PLACES]
        assert (told["places"], told["taken"]) == (2, 2)
        assert told["waiting"] == sum(each.waits for each in then.values())
        assert then[low.id].state.stage == "mql"
        assert (then[best.id].state.status.value, then[best.id].waits) == ("disqualified", False)
        assert (then[second.id].state.stage, then[second.id].waits) == ("lead", False)
        assert then[second.id].guarded.startswith("on hold until")
        assert all(counts.adds_up() for counts in week.crms.values())
        assert max(counts.by_override for counts in week.crms.values()) == 1

        # a wish that ends gives no place back, and whose hold ends waits like everybody
        await made.ledger.end_overrides([wish.id], "Grace", made.clock.now())
        made.later(days=1, minutes=1)
        after = await made.sync()
        then = {each.id: each for each in await everybody(made)}
        assert (after.entered, after.left, after.by_override) == (0, 1, 1)
        assert then[low.id].state.stage == "lead"
        assert then[second.id].waits

        made.later(days=6)
        assert (await made.sync()).entered == 3
        then = {each.id: each for each in await everybody(made)}
        assert then[second.id].state.stage == "mql"
        assert then[best.id].state.status.value == "disqualified"
