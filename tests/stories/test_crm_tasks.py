"""One task in the CRM a spell as MQL, where the hand-off asks for it: never two, whatever breaks off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.app.crm_tasks import SETTLES, make_tasks
from connector.app.sidecar import Sidecar
from connector.core.handoff import Handoff
from connector.core.worktime import WorkTime
from connector.errors import RetryLater, StopRun
from connector.ports import KeptTask
from tests.stories.sidecar_words import parts_of
from tests.stories.world import Somebody, World, look, somebody, world

ALWAYS = WorkTime(timedelta(0), timedelta(hours=24), frozenset(range(7)))
SETTINGS = Handoff(sla=timedelta(hours=4), work=ALWAYS, task=True)
CRMS = ("hubspot", "salesforce")


def in_hubspot(made: World) -> list[Mapping[str, Any]]:
    """Tasks of ours there, each with `contacts`."""
    store: Any = made.hubspot.sandbox.store  # type: ignore[attr-defined]
    rows = [made.hubspot.raw("tasks", str(id))["properties"] | {"id": id} for id in store.table("tasks").rows]
    return [
        {**row, "contacts": store.linked("tasks", row["id"], "contacts")}
        for row in rows
        if str(row.get("hs_task_subject")).startswith("MQL: ")
    ]


def in_salesforce(made: World) -> list[Mapping[str, Any]]:
    rows = made.salesforce.sandbox.store.tables["Task"].rows.values()  # type: ignore[attr-defined]
    return [row for row in rows if str(row.get("Subject")).startswith("MQL: ")]


async def kept(made: World, who: Somebody) -> list[KeptTask]:
    return await made.ledger.tasks((await look(made, who)).id)


async def round_of(made: World, holder: str = "one") -> Sidecar:
    """The job, once in each CRM, by the definition of now."""
    side = Sidecar(parts_of(made, holder))
    for crm in CRMS:
        await make_tasks(side, crm)
    return side


@asynccontextmanager
async def raised(url: str, crm: str, settings: Handoff = SETTINGS) -> AsyncIterator[tuple[World, Somebody]]:
    """Somebody whom a user of this CRM owns has just asked for a demo."""
    async with world(url, people=24) as made:
        made.redefine(handoff=settings)
        await made.sync()
        mine = {each.id for each in await made.ledger.users() if each.crm == crm and not each.queue}
        who = await somebody(made)
        owner = min(mine)
        if crm == "hubspot":
            made.hubspot.edit("contacts", who.contact, {"hubspot_owner_id": owner})
        else:
            made.hubspot.edit("contacts", who.contact, {"hubspot_owner_id": ""})
            made.salesforce.edit("Lead", who.lead, {"OwnerId": owner})
        made.later(minutes=10)
        made.hubspot.create("form_submissions", {"form": "Request a demo", "email": who.email})
        made.later(minutes=5)
        await made.sync()
        view = await look(made, who)
        assert view.state.stage == "mql"
        yield made, who


@pytest.mark.parametrize("crm", CRMS)
async def test_a_new_mql_is_one_task_for_its_owner_and_never_another(database_url: str, crm: str) -> None:
    async with raised(database_url, crm) as (made, who):
        before = len(in_salesforce(made)) + len(in_hubspot(made))
        await round_of(made)
        [task] = await kept(made, who)
        made.later(minutes=1)
        await round_of(made, "another")
        await made.sync()
        await round_of(made)
        made.later(days=1)
        await made.sync()
        await round_of(made, "after a restart")
        view = await look(made, who)
        again = await kept(made, who)
        spells = [each.spell for each in await made.ledger.spells() if each.person == view.id]
        everything = [*in_salesforce(made), *in_hubspot(made)]

    due = spells[-1].due_at
    assert due is not None
    assert before == 0, "nobody of the first load"
    assert (task.status, again) == ("written", [task])
    assert task.task.owner == spells[-1].owner
    assert task.task.subject.startswith("MQL: ")
    assert task.task.subject.endswith(f"[MQL {task.task.spell}]")
    [row] = everything
    if crm == "salesforce":
        assert row["WhoId"] == who.lead == task.task.record.id
        assert (row["OwnerId"], row["Subject"]) == (task.task.owner, task.task.subject)
        assert row["ActivityDate"] == due.date().isoformat()
    else:
        assert row["contacts"] == [int(who.contact)]
        assert (row["hubspot_owner_id"], row["hs_task_subject"]) == (task.task.owner, task.task.subject)
    assert spells[-1].touched_at is None, "our own task is no touch of sales"
    assert view.state.stage == "mql"


@pytest.mark.parametrize("crm", CRMS)
async def test_one_whose_answer_is_lost_is_found_by_its_mark_and_one_that_never_arrived_is_made(
    sqlite_url: str, crm: str
) -> None:
    async with raised(sqlite_url, crm) as (made, who):
        path = "/composite/sobjects" if crm == "salesforce" else "/objects/2026-03/tasks"
        spot = made.running[crm]
        spot.faults.add(method="POST", path=f"*{path}", drop_after=True, times=None)
        await round_of(made)
        [lost] = await kept(made, who)
        spot.faults.clear()
        made.later(minutes=1)
        await round_of(made, "too early to look")
        [still] = await kept(made, who)
        made.clock.advance(SETTLES)
        await round_of(made, "another")
        [found] = await kept(made, who)
        tasks = in_salesforce(made) if crm == "salesforce" else in_hubspot(made)

    assert (lost.status, still.status) == ("unknown", "unknown")
    assert (found.status, len(tasks)) == ("written", 1)
    assert found.id
    assert tasks[0]["Subject" if crm == "salesforce" else "hs_task_subject"] == found.task.subject


async def test_one_that_never_arrived_is_made_later(sqlite_url: str) -> None:
    async with raised(sqlite_url, "salesforce") as (made, who):
        made.salesforce.faults.add(method="POST", path="*/composite/sobjects*", drop=True, times=None)
        with suppress(RetryLater):
            await round_of(made)
        made.salesforce.faults.clear()
        for _ in range(2):
            made.clock.advance(SETTLES)
            await round_of(made)
        [task] = await kept(made, who)
        assert (task.status, len(in_salesforce(made))) == ("written", 1)


async def test_a_look_that_cannot_be_read_refuses_nothing_and_leaves_nothing_behind(sqlite_url: str) -> None:
    async with raised(sqlite_url, "salesforce") as (made, who):
        made.salesforce.faults.add(method="GET", path="*/query*", status=200, json={"no": "page"}, times=None)
        with pytest.raises(StopRun):
            await round_of(made)
        assert await kept(made, who) == []
        made.salesforce.faults.clear()
        await round_of(made)
        [task] = await kept(made, who)
        assert (task.status, len(in_salesforce(made))) == ("written", 1)


async def test_an_owner_who_has_left_is_a_refusal_that_says_so_and_is_not_tried_again(
    sqlite_url: str,
) -> None:
    async with raised(sqlite_url, "salesforce") as (made, who):
        for row in made.salesforce.sandbox.store.tables["User"].rows.values():  # type: ignore[attr-defined]
            row["IsActive"] = False
        for _ in range(2):
            await round_of(made)
            made.later(minutes=5)
        [task] = await kept(made, who)
        assert task.status == "rejected"
        assert "INACTIVE_OWNER_OR_USER" in task.why
        assert in_salesforce(made) == []


async def test_no_task_while_the_brake_is_on_the_plan_waits_or_nobody_asked_for_one(sqlite_url: str) -> None:
    async with raised(sqlite_url, "salesforce", replace(SETTINGS, task=False)) as (made, who):
        await round_of(made)
        assert await kept(made, who) == []
        made.redefine(handoff=SETTINGS)
        await made.ledger.set_brake("salesforce", True, "Ada", "an audit", made.clock.now())
        await round_of(made)
        assert await kept(made, who) == []
        await made.ledger.set_brake("salesforce", False, "Ada", "", made.clock.now())
        await round_of(made)
        [task] = await kept(made, who)
        assert task.status == "written"
