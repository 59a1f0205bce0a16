"""Trap: a stage that must go back. HubSpot lets stages only rise, so it takes two calls, and a run may die between
them. Whole syncs, on both databases.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from connector.core.model import MqlStatus, Ref
from connector.ports import PlanRow
from connector.sandbox.faults import Fault
from tests.stories.test_sync_survives import quiet
from tests.stories.world import START, QuickClock, Somebody, World, look, somebody, world

MQL, LEAD = "marketingqualifiedlead", "lead"
UPDATE = "*/contacts/batch/update"
CLEARS, SETS = '"lifecyclestage":""', '"lifecyclestage":"lead"'


@asynccontextmanager
async def an_mql(
    database_url: str, *, backward: bool = True, rule: str = "always", **options: Any
) -> AsyncIterator[tuple[World, Somebody]]:
    """A world that has synced, and somebody in it whom we made MQL and whom sales has just turned down."""
    clock = QuickClock(START)
    async with world(database_url, people=60, clock=clock, options={"hubspot": options}) as made:
        mapping = made.definition.mappings["hubspot"]
        contact = mapping.objects["contact"]
        assert contact.stage is not None
        lines = tuple(replace(line, rule=rule) if line.result == "stage" else line for line in contact.write)
        contact = replace(contact, stage=replace(contact.stage, backward=backward), write=lines)
        mapping = replace(mapping, objects={**mapping.objects, "contact": contact})
        made.definition = replace(made.definition, mappings={**made.definition.mappings, "hubspot": mapping})
        await made.sync()
        who = await somebody(made, stage="mql", where=lambda view: view.state.status is MqlStatus.QUALIFIED)
        assert stage(made, who) == MQL
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "UNQUALIFIED"})
        made.later(minutes=15)
        made.hubspot.log.clear()
        yield made, who


def stage(made: World, who: Somebody) -> str:
    return str(made.hubspot.raw("contacts", who.contact)["properties"].get("lifecyclestage", ""))


def stages_written(made: World, who: Somebody) -> list[str]:
    writes = made.hubspot.log.writes("contact", who.contact)
    return [str(each.fields["lifecyclestage"][1] or "") for each in writes if "lifecyclestage" in each.fields]


async def row_of(made: World, who: Somebody) -> PlanRow:
    """The planned write that lowers this contact's stage, as the ledger keeps it."""
    ref = Ref("hubspot", "contact", who.contact)
    for plan in await made.ledger.plans():
        for row in await made.ledger.plan_rows(plan.id):
            if row.ref == ref and any(w.field == "lifecyclestage" and w.after == LEAD for w in row.writes):
                return row
    raise LookupError("no such row")


async def test_trap_a_stage_that_must_go_back_is_held_back_while_backward_is_off(database_url: str) -> None:
    async with an_mql(database_url, backward=False) as (made, who):
        result = await made.sync()

        view = await look(made, who)
        assert (view.state.stage, view.state.status) == ("lead", MqlStatus.REJECTED)
        assert stage(made, who) == MQL
        assert stages_written(made, who) == []
        raw = made.hubspot.raw("contacts", who.contact)["properties"]
        assert raw["mql_status"] == "rejected", "the status carries the truth"
        assert result.status == "succeeded"
        assert quiet((await made.sync()).crms["hubspot"])


async def test_trap_a_stage_that_must_go_back_goes_back_once_where_backward_is_on(database_url: str) -> None:
    async with an_mql(database_url) as (made, who):
        result = await made.sync()

        assert stages_written(made, who) == ["", LEAD]
        row = await row_of(made, who)
        [line] = [w for w in row.writes if w.field == "lifecyclestage"]
        assert (row.status, line.before, line.after, line.two_step) == ("written", MQL, LEAD, True)
        assert result.status == "succeeded"
        for _ in range(2):
            made.later(minutes=15)
            assert quiet((await made.sync()).crms["hubspot"]), "its own echo is no news"
        view = await look(made, who)
        assert (view.state.stage, view.state.by_human) == ("lead", False)


async def test_only_raise_stays_only_raise_though_backward_is_on(database_url: str) -> None:
    async with an_mql(database_url, rule="only_raise") as (made, who):
        await made.sync()

        assert stage(made, who) == MQL
        assert stages_written(made, who) == []


@pytest.mark.parametrize(
    ("body", "drop", "stands"),
    [
        (CLEARS, "drop", MQL),
        (CLEARS, "drop_after", ""),
        (SETS, "drop", ""),
        (SETS, "drop_after", LEAD),
    ],
    ids=["the clearing never left", "its answer was lost", "the setting never left", "that answer was lost"],
)
async def test_a_lost_call_is_read_back_and_the_second_half_finished(
    database_url: str, body: str, drop: str, stands: str
) -> None:
    async with an_mql(database_url) as (made, who):
        made.hubspot.faults.add(Fault(path=UPDATE, body=body, **{drop: True}))
        cut = await made.sync("hubspot")
        assert cut.crms["hubspot"].unknown >= 1
        assert stage(made, who) == stands

        made.hubspot.log.clear()
        await made.sync("hubspot")

        assert stage(made, who) == LEAD
        assert stages_written(made, who) == {MQL: ["", LEAD], "": [LEAD], LEAD: []}[stands]
        await proven(made, who)


@pytest.mark.parametrize(
    ("body", "stands"), [(CLEARS, MQL), (SETS, "")], ids=["before the clearing", "between the two halves"]
)
async def test_a_run_that_is_killed_is_finished_by_the_next_one(
    database_url: str, body: str, stands: str
) -> None:
    async with an_mql(database_url) as (made, who):
        await killed(made, body)
        assert stage(made, who) == stands
        row = await row_of(made, who)
        assert row.status == "sending", "the plan row is the intent"

        await made.sync("hubspot")

        assert stage(made, who) == LEAD
        await proven(made, who)


async def test_a_run_that_is_killed_while_it_finishes_another_is_finished_too(database_url: str) -> None:
    async with an_mql(database_url) as (made, who):
        await killed(made, SETS)
        await killed(made, SETS)
        assert stage(made, who) == ""

        await made.sync("hubspot")

        assert stage(made, who) == LEAD
        await proven(made, who)


async def test_a_second_half_that_gets_no_answer_holds_up_this_crm_until_it_does(database_url: str) -> None:
    async with an_mql(database_url) as (made, who):
        await killed(made, SETS)
        made.hubspot.faults.add(Fault(path=UPDATE, status=503, times=None))

        cut = await made.sync()
        made.hubspot.faults.clear()
        await made.sync()

        assert "cleared and not set yet" in (cut.crms["hubspot"].error or "")
        assert cut.crms["hubspot"].written == 0
        assert stage(made, who) == LEAD
        await proven(made, who)


async def test_what_somebody_sets_while_the_second_half_is_open_stays(database_url: str) -> None:
    async with an_mql(database_url) as (made, who):
        await killed(made, SETS)
        made.hubspot.edit("contacts", who.contact, {"lifecyclestage": "customer"})
        made.hubspot.log.clear()
        made.later(minutes=5)

        await made.sync()

        assert stage(made, who) == "customer"
        assert stages_written(made, who) == []
        assert (await look(made, who)).state.stage == "customer"
        assert (await row_of(made, who)).status == "set_aside"


async def test_the_second_half_is_finished_though_backward_was_turned_off_meanwhile(
    database_url: str,
) -> None:
    async with an_mql(database_url) as (made, who):
        await killed(made, SETS)
        mapping = made.definition.mappings["hubspot"]
        contact = mapping.objects["contact"]
        assert contact.stage is not None
        off = replace(contact, stage=replace(contact.stage, backward=False))
        mapping = replace(mapping, objects={**mapping.objects, "contact": off})
        made.definition = replace(made.definition, mappings={**made.definition.mappings, "hubspot": mapping})

        await made.sync("hubspot")

        assert stage(made, who) == LEAD


async def test_an_ignored_lowering_is_parked_until_stage_or_score_changes(database_url: str) -> None:
    async with an_mql(database_url, stage_workflow="restore") as (made, who):
        refused = await made.sync()
        assert refused.crms["hubspot"].rejected >= 1
        assert (await row_of(made, who)).status == "rejected"
        tried = len(stages_written(made, who))
        assert tried == 2  # cleared by us, restored by the account

        for _ in range(2):
            made.later(hours=25)
            await made.sync()
        assert len(stages_written(made, who)) == tried, "time alone is no reason to try again"
        made.later(days=5)
        await made.sync()
        assert len(stages_written(made, who)) == tried + 2, "a score that has moved is one"

        raw = made.hubspot.raw("contacts", who.contact)["properties"]
        assert raw["mql_status"] == "rejected", "the other fields were written"


async def killed(made: World, body: str) -> None:
    """A run that dies while the call with this body is under way: it never arrives, and nobody hears of it."""
    fault = made.hubspot.faults.add(Fault(path=UPDATE, body=body, delay=20, drop=True))
    run = asyncio.ensure_future(made.sync("hubspot"))
    while not next(each["hits"] for each in made.hubspot.faults.state() if each["id"] == fault):
        assert not run.done(), "the run ended before it came to the call that kills it"
        await asyncio.sleep(0.01)
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    made.hubspot.faults.clear()
    made.later(minutes=1)


async def proven(made: World, who: Somebody) -> None:
    """It is written down as written, with what truly stood there before, and an unchanged world stays unchanged."""
    row = await row_of(made, who)
    [line] = [w for w in row.writes if w.field == "lifecyclestage"]
    assert (row.status, line.before, line.after) == ("written", MQL, LEAD)
    ref = Ref("hubspot", "contact", who.contact)
    assert (await made.ledger.written([ref]))[ref, "lifecyclestage"].value == LEAD
    assert not await made.ledger.sending("hubspot")
    made.later(minutes=15)
    assert quiet((await made.sync("hubspot")).crms["hubspot"])
    assert (await look(made, who)).state.stage == "lead"
