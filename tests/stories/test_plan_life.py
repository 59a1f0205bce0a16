"""How long a plan lives: it stays while nothing new is to be decided, is replaced where something is, and expires."""

from __future__ import annotations

import pytest

from connector.core.limits import PlanLimits
from connector.errors import FixConfig
from connector.ports import PlanInfo
from tests.stories.world import World, world

PEOPLE = 40


async def held(made: World) -> dict[str, int]:
    """A plan of each CRM that waits for a human."""
    for crm in ("hubspot", "salesforce"):
        made.remap(crm, limits=PlanLimits(people=0))
    return (await made.sync(yes=False)).plans


async def info(made: World, plan: int) -> PlanInfo:
    found = await made.ledger.plan(plan, at=made.clock.now())
    assert found is not None
    return found


async def test_a_plan_that_waits_stays_while_nothing_is_to_be_decided(database_url: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plans = await held(made)
        made.later(minutes=15)

        quiet = await made.sync(yes=False)

        assert quiet.plans == {}
        assert quiet.waits == plans
        assert quiet.needs_attention
        assert all(counts.adds_up() and counts.planned == 0 for counts in quiet.crms.values())
        assert {(await info(made, plan)).status for plan in plans.values()} == {"open"}


async def hubspot_news(made: World) -> None:
    """Something new about somebody who is known in HubSpot alone."""
    only = next(
        view for view in await made.ledger.people(limit=1000) if {ref.crm for ref in view.refs} == {"hubspot"}
    )
    made.later(minutes=2)
    made.hubspot.edit("contact", only.refs[0].id, {"jobtitle": "Chief Executive Officer"})
    made.later(minutes=2)


async def test_a_run_leaves_the_plan_of_a_crm_where_it_decides_nobody(database_url: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plans = await held(made)
        await made.plan_apply(plans["hubspot"])
        await hubspot_news(made)

        result = await made.sync(yes=False)

        assert set(result.plans) == {"hubspot"}
        assert result.waits == {"salesforce": plans["salesforce"]}
        assert (await info(made, plans["salesforce"])).status == "open"
        assert all(counts.adds_up() for counts in result.crms.values())


async def test_news_about_one_person_plan_all_that_is_open_anew_and_approvals_of_the_same_hold(
    database_url: str,
) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plans = await held(made)
        for plan in plans.values():
            await made.plan_approve(plan)
        await hubspot_news(made)

        result = await made.sync(yes=False)

        old, new = await info(made, plans["hubspot"]), await info(made, result.plans["hubspot"])
        assert (old.status, old.superseded_by) == ("superseded", new.id)
        assert sum(new.counts.values()) >= sum(old.counts.values())  # what was open is in the new one
        assert new.approved_by is None
        assert (await info(made, result.plans["salesforce"])).approved_by == "Grace"  # it holds what it held
        assert all(counts.adds_up() for counts in result.crms.values())


async def test_yes_plans_anew_what_waits_and_sends_it(sqlite_url: str) -> None:
    async with world(sqlite_url, people=PEOPLE) as made:
        plans = await held(made)

        result = await made.sync(yes=True)

        assert result.crms["hubspot"].written > 0
        assert (await info(made, plans["hubspot"])).superseded_by == result.plans["hubspot"]
        assert result.waits == {}


async def test_a_plan_expires_after_a_day_and_its_people_are_decided_anew(sqlite_url: str) -> None:
    async with world(sqlite_url, people=PEOPLE) as made:
        plans = await held(made)
        made.later(hours=24)
        told = await info(made, plans["hubspot"])

        with pytest.raises(FixConfig, match="has expired"):
            await made.plan_approve(plans["hubspot"])
        with pytest.raises(FixConfig, match="has expired"):
            await made.plan_apply(plans["hubspot"])
        rows = await made.ledger.plan_rows(plans["hubspot"])
        due = await made.ledger.due(["hubspot"], made.clock.now(), 1000)
        result = await made.sync(yes=False)

        assert told.status == "expired"
        assert {row.ref for row in rows if row.writes} <= set(due)
        assert set(result.plans) == {"hubspot", "salesforce"}  # the other one was ended by the run
        assert (await info(made, plans["salesforce"])).status == "expired"
        assert not made.writes("hubspot")


async def test_a_plan_whose_run_is_still_at_work_is_neither_approved_nor_applied(sqlite_url: str) -> None:
    async with world(sqlite_url, people=PEOPLE) as made:
        await made.ledger.adopt_files(made.definition.texts, made.clock.now())
        run = await made.ledger.start_run("sync", ["hubspot"], made.clock.now())
        lease = await made.ledger.acquire("decide", "another", made.clock.now())
        plan = await made.ledger.open_plan(run, "hubspot", lease, made.clock.now())

        for attempt in (made.plan_approve(plan), made.plan_apply(plan)):
            with pytest.raises(FixConfig, match=f"Run {run} is still at work"):
                await attempt
