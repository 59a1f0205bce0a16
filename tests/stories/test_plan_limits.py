"""A plan beyond the limits waits for a human, and so does the rest of one that the CRM rejects. Whole runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connector.core.limits import PlanLimits
from connector.phases.gate import PlanSummary
from connector.ports import PlanInfo
from connector.sandbox.faults import Fault
from tests.stories.world import START, QuickClock, World, world

NONE = PlanLimits(
    overwrites=None, people=None, share=None, demoted=None, rejected=None, reads=None, mqls=None
)


def limit(made: World, **limits: Any) -> None:
    """No limit but these, in every mapping."""
    for crm in made.definition.mappings:
        made.remap(crm, limits=replace(NONE, **limits))


async def plan_of(made: World, plan: int) -> PlanInfo:
    found = await made.ledger.plan(plan)
    assert found is not None
    return found


def lines(plan: PlanInfo) -> list[str]:
    told: Any = plan.summary.get("limits", {"lines": []})
    return list(told["lines"])


async def anything_but_a_crowd(plan: PlanSummary) -> bool:
    """A human who lets a first plan go, and no plan that moves too many."""
    return "would change stage" not in (plan.limit or "")


async def settled(made: World) -> None:
    """Everything that is to be written is, and nothing is due for a while."""
    await made.sync()
    made.later(minutes=15)
    await made.sync()
    made.asked.clear()


async def test_a_run_that_would_move_too_many_people_waits_and_tells_everything_it_crosses(
    database_url: str,
) -> None:
    async with world(database_url, people=60) as made:
        limit(made, people=2, share=0.01, few=1)

        result = await made.sync("hubspot", yes=False)

        plan = await plan_of(made, result.plans["hubspot"])
        moved = result.crms["hubspot"].promoted
        assert moved > 2
        assert [line.split(",")[0] for line in lines(plan)] == [f"{moved} people would change stage"] * 2
        assert "more than 2" in plan.held
        assert "in scope" in plan.held
        assert plan.held in str(made.asked[-1].limit)
        assert result.crms["hubspot"].waiting == result.crms["hubspot"].planned
        assert not made.writes("hubspot")


async def test_waiting_slips_nobody_under_a_limit(database_url: str) -> None:
    async with world(database_url, people=60) as made:
        limit(made, people=2)
        first = await made.sync("hubspot", yes=False)
        who = str(sorted(made.hubspot.sandbox.store.tables["contacts"].live)[0])  # type: ignore[attr-defined]
        made.hubspot.edit("contacts", who, {"city": "Turin"})
        made.later(hours=1)

        second = await made.sync("hubspot", yes=False)

        assert (await plan_of(made, first.plans["hubspot"])).status == "superseded"
        assert second.crms["hubspot"].promoted >= first.crms["hubspot"].promoted
        assert (await plan_of(made, second.plans["hubspot"])).held
        assert not made.writes("hubspot")


async def test_a_run_inside_the_limits_needs_nobody(database_url: str) -> None:
    async with world(database_url, people=60) as made:
        limit(made, people=100, share=0.01, few=100)
        await settled(made)
        people = await contacts_of(made)
        made.hubspot.edit("contacts", people[0], {"mql_score": "1"})
        made.later(hours=1)

        result = await made.sync(yes=False)

        assert [asked.limit for asked in made.asked] == [None]
        assert result.crms["hubspot"].written == 1


async def test_rounds_of_a_backfill_slip_no_crowd_under_a_limit(database_url: str) -> None:
    async with world(database_url, people=120, clock=QuickClock(START)) as made:
        limit(made, people=1)
        asked = await made.ask_backfill("hubspot")  # approved beforehand, so that it leaves round by round

        result = await made.backfill(asked, people_a_plan=10, approve=anything_but_a_crowd)

        counts = result.crms["hubspot"]
        held = [plan for plan in await made.ledger.plans() if plan.held]
        assert counts.promoted > 1
        assert counts.waiting > 0
        assert len(held) == 1
        assert "more than 1" in held[0].held
        kinds: dict[str, set[str]] = {"waiting": set(), "written": set()}
        for plan in await made.ledger.plans():
            for row in await made.ledger.plan_rows(plan.id):
                if row.kind == "promotion" and row.status in kinds:
                    kinds[row.status].add(str(row.ref))
        assert len(kinds["written"]) == 1
        assert kinds["waiting"]


async def test_a_crm_that_rejects_too_much_gets_no_more(sqlite_url: str) -> None:
    async with world(sqlite_url, people=60, options={"salesforce": {"assignment_rule": False}}) as made:
        limit(made, rejected=0.02, few=3)
        adapter: Any = made.adapters["salesforce"]
        adapter.limits = replace(adapter.limits, write_batch=10, writes_at_once=1)
        leads = sorted(made.salesforce.sandbox.store.tables["Lead"].rows)  # type: ignore[attr-defined]
        for lead in leads:
            made.salesforce.act(
                "Lead", lead, "refuse", code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="no"
            )

        result = await made.sync("salesforce")

        counts = result.crms["salesforce"]
        plan = await plan_of(made, result.plans["salesforce"])
        assert 3 < counts.rejected <= 10
        assert counts.waiting == counts.planned - counts.rejected - counts.written - counts.set_aside
        assert counts.waiting > 0
        assert "rows were rejected" in plan.held
        assert {row.reason for row in await made.ledger.plan_rows(plan.id, status="waiting")} == {plan.held}


async def busy_runs(made: World, contacts: list[str]) -> None:
    """Three runs in which somebody edited all of these contacts."""
    for city in ("Turin", "Bonn", "Graz"):
        for contact in contacts:
            made.hubspot.edit("contacts", contact, {"city": city})
        made.later(hours=2)
        await made.sync("hubspot")


async def contacts_of(made: World) -> list[str]:
    return [str(id_) for id_ in made.hubspot.sandbox.store.tables["contacts"].live]  # type: ignore[attr-defined]


async def test_a_quiet_weekend_holds_no_plan_and_hidden_records_do(sqlite_url: str) -> None:
    async with world(sqlite_url, people=70, clock=QuickClock(START)) as made:
        limit(made, reads=0.5)
        await settled(made)
        people = await contacts_of(made)
        await busy_runs(made, people)
        for contact in people[:2]:
            made.hubspot.edit("contacts", contact, {"mql_score": "1"})
        made.later(hours=2)
        made.asked.clear()

        quiet = await made.sync("hubspot", yes=False)

        assert quiet.crms["hubspot"].written == 2
        assert [asked.limit for asked in made.asked] == [None]

        for contact in people[:2]:
            made.hubspot.edit("contacts", contact, {"mql_score": "1"})
        made.later(hours=2)
        body = {"total": 0, "results": []}
        held = Fault(method="POST", path="*/objects/*/contacts/search*", json=body, status=200, times=None)
        await made.sync("hubspot", plan_only=True)  # what is due is due, whatever the search shows next
        made.hubspot.faults.add(held)
        made.redefine(min_change=2.5)  # everybody is decided anew

        hidden = await made.sync("hubspot", yes=False)

        made.hubspot.faults.clear()
        plan = await plan_of(made, hidden.plans["hubspot"])
        assert "rows of contacts were read" in plan.held
        assert hidden.crms["hubspot"].written == 0


async def test_another_attempt_at_a_backfill_counts_what_earlier_ones_have_sent(sqlite_url: str) -> None:
    async with world(sqlite_url, people=120, clock=QuickClock(START)) as made:
        asked = await made.ask_backfill("hubspot")
        so_far = 0

        async def pause(plan: Any) -> bool:
            nonlocal so_far
            so_far += plan.promoted
            if so_far >= 4:
                await made.ledger.wish_backfill(asked.id, "pause", made.clock.now())
            return True

        first = await made.backfill(asked, people_a_plan=10, approve=pause)
        sent = first.crms["hubspot"].promoted
        assert first.status != "succeeded"
        limit(made, people=sent)
        left = await made.ledger.wish_backfill(asked.id, "resume", made.clock.now())

        second = await made.backfill(left, people_a_plan=10, approve=anything_but_a_crowd)

        held = [plan for plan in await made.ledger.plans() if plan.held]
        assert 0 < second.crms["hubspot"].promoted <= sent, "what is left alone would cross nothing"
        assert len(held) == 1
        assert f"more than {sent}" in held[0].held
