"""The first run on a CRM that lives already: it waits for a human, tells how far both agree, adopts what it finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from structlog.testing import capture_logs

from connector.app.sidecar import Health
from connector.core.criteria import StageAny, StageEntry, StageTest
from connector.core.reconcile import Standing, qualifies
from connector.phases.first import FIRST
from connector.ports import PersonView
from tests.stories.world import World, world


def nothing_was_written(made: World) -> bool:
    return not any(made.writes(crm) for crm in made.adapters)


async def test_the_first_plan_of_each_crm_waits_for_a_human(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        first = await made.sync(yes=False)

        assert nothing_was_written(made)
        assert first.status == "succeeded"
        assert first.needs_attention
        for crm, counts in first.crms.items():
            assert counts.waiting == counts.planned > 0
            assert counts.adds_up()
            plan = await made.ledger.plan(first.plans[crm])
            assert plan is not None
            assert (plan.status, plan.held) == ("open", FIRST)


async def test_it_stays_the_first_until_a_write_has_left(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        first = await made.sync(yes=False)
        again = await made.sync(yes=False)

        assert nothing_was_written(made)
        assert again.waits == first.plans, "what waits stays, and is told"

        await made.apply("hubspot", first.plans["hubspot"])
        made.redefine(min_change=0.5)  # everybody is decided again
        asked_before = len(made.asked)
        later = await made.sync(yes=False)

        asked = {plan.crm: plan.limit for plan in made.asked[asked_before:]}
        assert asked.get("hubspot") is None, "the second plan of a CRM leaves by itself"
        assert asked["salesforce"] == FIRST, "the other CRM has still to be looked at"
        assert later.crms["salesforce"].waiting > 0
        assert not made.writes("salesforce")


async def test_yes_lets_the_first_plan_leave(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        first = await made.sync(yes=True)

        assert all(counts.written == counts.planned > 0 for counts in first.crms.values())
        assert {plan.limit for plan in made.asked} == {FIRST}


async def test_a_backfill_before_any_sync_waits_likewise_and_is_shown_whole(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        asked = await made.ask_backfill(yes=False)
        result = await made.backfill(asked, people_a_plan=10)

        counts = result.crms["hubspot"]
        assert nothing_was_written(made)
        assert counts.waiting == counts.planned > 10
        assert [plan.planned for plan in made.asked] == [counts.planned], "one question, of the whole plan"
        plan = await made.ledger.plan(result.plans["hubspot"])
        assert plan is not None
        assert plan.held == FIRST


def tell(made: World, contact: str, stage: str) -> None:
    """Somebody in HubSpot set this stage long before we came."""
    made.hubspot.act("contact", contact, "set", fields={"lifecyclestage": stage}, by="user 42")


async def test_the_first_plan_opens_with_how_far_both_agree(database_url: str) -> None:
    async with world(database_url, people=80) as made:
        first = await made.sync(yes=False)

        for crm, told in first.more["reconciliation"].items():
            plan = await made.ledger.plan(first.plans[crm])
            assert plan is not None
            assert plan.summary["reconciliation"] == told
            live = await everybody(made, crm)
            assert told["records"] == len(live)
            mine = [each for each in live if qualifies(made.definition.criteria, each.score, each.fields)]
            assert told["qualified"] == len(mine)
            called = [each for each in live if each.record.stage == "mql"]
            assert told["stages"].get("mql", {"records": 0})["records"] == len(called)
            lower = [each for each in mine if (each.record.stage or "lead") in ("subscriber", "lead")]
            below = [each for each in lower if each.status.value not in ("rejected", "recycled")]
            assert told["resting"] == len(lower) - len(below)
            assert told["below_mql"] == len(below)
            shown = told["examples"]["mql_only_by_the_definition"]
            assert len(shown) == min(5, len(below))
            assert {each["record"] for each in shown} <= {str(each.record.ref) for each in below}
            assert "@" not in str(told), "no address is kept beside a plan"
        assert made.asked[0].opens_with, "it is there before the question"


async def test_a_bar_it_names_lets_in_what_it_says(database_url: str) -> None:
    async with world(database_url, people=150) as made:
        first = await made.sync(yes=False)

        for crm, told in first.more["reconciliation"].items():
            live = await everybody(made, crm)
            for share, bar in told["bars"].items():
                at_most = float(share.rstrip("%")) / 100
                if bar is not None:
                    assert let_in(made, live, bar) <= at_most * len(live)
                    assert bar == 0 or let_in(made, live, bar - 1) > at_most * len(live), "it is the lowest"
                else:
                    assert let_in(made, live, 100) > at_most * len(live)


async def everybody(made: World, crm: str) -> list[Standing]:
    found: list[Standing] = []
    while page := await made.ledger.standings(crm, 37, after=str(found[-1].record.ref) if found else ""):
        found += page
    return [each for each in found if each.record.in_scope]


def let_in(made: World, live: list[Standing], bar: int) -> int:
    """How many would be MQL with another bar, asked of the criteria themselves."""
    criteria = made.definition.criteria
    rule = criteria.stages.mql.enter
    assert isinstance(rule, StageAny)
    entries = [
        replace(
            part,
            tests=tuple(
                StageTest("score", "gte", float(bar)) if test.measure == "score" else test
                for test in part.tests
            ),
        )
        for part in rule.parts
        if isinstance(part, StageEntry)
    ]
    mql = replace(criteria.stages.mql, enter=StageAny(tuple(entries)))
    changed = replace(criteria, stages=replace(criteria.stages, mql=mql))
    return sum(qualifies(changed, each.score, each.fields) for each in live)


async def test_a_stage_that_was_there_is_adopted_with_its_date_and_stays(database_url: str) -> None:
    async with world(database_url, people=60) as made:
        was = made.clock.now()
        contacts = [
            made.hubspot.create("contact", {"email": f"found{n}@example.com", "lastname": f"Found{n}"})
            for n in range(3)
        ]
        for contact, stage in zip(
            contacts, ("marketingqualifiedlead", "salesqualifiedlead", "customer"), strict=True
        ):
            tell(made, contact, stage)
        made.later(days=40)
        first = await made.sync(yes=True)

        views = [await view_of(made, contact) for contact in contacts]
        assert [view.state.stage for view in views] == ["mql", "sql", "customer"]
        assert all(about(view.state.since, was) for view in views)
        assert about(views[0].state.mql_since, was)
        assert views[0].state.first_mql_at == views[0].state.mql_since
        steps = [line for view in views for line in await made.ledger.story(view.id) if line.kind == "stage"]
        assert all(line.text.startswith("adopted as found") for line in steps)
        mqls = [
            each
            for each in await made.ledger.people(stage="mql", limit=1_000)
            if about(each.state.since, was)
        ]
        assert first.entered + len(mqls) <= first.now, "what was adopted is not counted as entered"
        for contact, stage in zip(
            contacts, ("marketingqualifiedlead", "salesqualifiedlead", "customer"), strict=True
        ):
            assert made.hubspot.raw("contact", contact)["properties"]["lifecyclestage"] == stage


def about(moment: datetime | None, other: datetime) -> bool:
    """Its time of day in the CRM is told to the millisecond."""
    return moment is not None and abs(moment - other) < timedelta(seconds=1)


async def view_of(made: World, contact: str) -> PersonView:
    [number] = await made.ledger.find(f"hubspot:contact:{contact}")
    view = await made.ledger.person(number)
    assert view is not None
    return view


async def test_the_sidecar_says_once_that_plans_wait_and_once_that_none_does(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        health = Health()
        with capture_logs() as said:
            health.plans_of(await made.sync(yes=False))
            made.later(minutes=15)
            health.plans_of(await made.sync(yes=False))
        waits = [line for line in said if line["event"] == "plan waits"]
        assert sorted(line["crm"] for line in waits) == ["hubspot", "salesforce"]
        assert all(FIRST in line["because"] and "plan apply" in line["next_step"] for line in waits)

        with capture_logs() as said:
            health.plans_of(await made.sync(yes=True))
            made.later(minutes=15)
            health.plans_of(await made.sync(yes=False))
        assert sorted(line["crm"] for line in said) == ["hubspot", "salesforce"]
        assert {line["event"] for line in said} == {"no plan waits"}
