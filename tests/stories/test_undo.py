"""A run is taken back: whole undos over both sandboxes, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from connector.core.model import MqlStatus, Ref
from connector.core.values import same_value
from connector.errors import FixConfig
from connector.pipeline import RunResult
from connector.ports import UNDONE, PlanRow
from connector.sandbox.faults import Fault
from tests.stories.test_sync_survives import quiet
from tests.stories.world import START, QuickClock, Somebody, World, look, somebody, world

MQL = "marketingqualifiedlead"
Fields = Mapping[tuple[Ref, str], Any]


def ours(made: World) -> Fields:
    """Every field that the mappings write, of every live record, as it stands in the sandboxes."""
    found: dict[tuple[Ref, str], Any] = {}
    for crm, mapping in made.definition.mappings.items():
        for name, target in mapping.objects.items():
            for id_ in ids(made, crm, name) if target.write else ():
                raw = made.running[crm].raw("contacts" if crm == "hubspot" else name, id_)
                values = raw["properties"] if crm == "hubspot" else raw
                found.update({(Ref(crm, name, id_), line.to): values.get(line.to) for line in target.write})
    return found


def ids(made: World, crm: str, object: str) -> list[str]:
    if crm == "hubspot":
        return sorted(str(id_) for id_ in made.hubspot.sandbox.store.tables["contacts"].live)
    store = made.salesforce.sandbox.store
    store.settle()
    return sorted(
        row["Id"]
        for row in store.tables[object].rows.values()
        if not row.get("IsDeleted") and not row.get("IsConverted")
    )


def changed(before: Fields, after: Fields) -> set[tuple[Ref, str]]:
    return {place for place, value in before.items() if not same_value(value, after.get(place))}


@asynccontextmanager
async def synced(database_url: str, **options: Any) -> AsyncIterator[tuple[World, Fields, RunResult]]:
    """A world, what stood in it, and the first run over it."""
    async with world(database_url, people=40, clock=QuickClock(START), options=options or None) as made:
        before = ours(made)
        run = await made.sync()
        made.later(minutes=10)
        assert changed(before, ours(made))
        yield made, before, run


async def rows_of(made: World, result: RunResult) -> list[PlanRow]:
    return [row for plan in result.plans.values() for row in await made.ledger.plan_rows(plan)]


async def steps_of(made: World, who: Somebody) -> list[str]:
    return [line.text for line in await made.ledger.story(who.view.id) if line.kind == "stage"]


async def test_after_an_undo_every_field_holds_what_stood_there_before_the_run(database_url: str) -> None:
    async with synced(database_url) as (made, before, run):
        who = await somebody(made, stage="mql", where=lambda view: view.state.status is MqlStatus.QUALIFIED)

        undo = await made.undo(run.run)

        assert changed(before, ours(made)) == set()
        assert undo.status == "succeeded"
        assert all(counts.adds_up() and counts.written == counts.planned for counts in undo.crms.values())
        assert (await look(made, who)).state.stage == "lead"
        assert undo.more["undo"]["crms"]["hubspot"]["records"] == undo.crms["hubspot"].written


async def test_the_next_syncs_do_not_undo_the_undo(database_url: str) -> None:
    async with synced(database_url) as (made, before, run):
        who = await somebody(made, stage="mql", where=lambda view: view.state.status is MqlStatus.QUALIFIED)
        await made.undo(run.run)

        for _ in range(2):
            made.later(minutes=15)
            after = await made.sync()
            assert all(counts.planned == counts.written == 0 for counts in after.crms.values())
            assert (after.entered, after.left) == (0, 0), "the same facts are no new entry"

        assert changed(before, ours(made)) == set()
        view = await look(made, who)
        assert view.state.mql_since == who.view.state.mql_since, "what was decided then is what is wanted now"
        assert any("undone: run 1 taken back by Ada" in step for step in await steps_of(made, who))


async def test_the_day_the_facts_say_something_else_it_is_written(database_url: str) -> None:
    async with synced(database_url) as (made, _, run):
        who = await somebody(made, stage="mql", where=lambda view: view.state.status is MqlStatus.QUALIFIED)
        await made.undo(run.run)
        made.later(minutes=15)
        await made.sync()
        ref = Ref("hubspot", "contact", who.contact)
        assert {hold.field for hold in await made.ledger.holds([ref])} >= {"mql_score", "lifecyclestage"}

        made.later(minutes=15)
        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "UNQUALIFIED"})
        made.later(minutes=15)
        after = await made.sync()

        raw = made.hubspot.raw("contacts", who.contact)["properties"]
        assert raw["mql_status"] == "rejected"
        assert after.left == 0, "it was never counted as entered again"
        held = {hold.field for hold in await made.ledger.holds([ref])}
        assert "mql_status" not in held
        assert "mql_score" in held


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_an_undo_in_one_crm_leaves_the_other_alone(database_url: str, crm: str) -> None:
    async with synced(database_url) as (made, before, run):
        stood = ours(made)

        await made.undo(run.run, crm)

        assert {ref.crm for ref, _ in changed(before, ours(made))} == {"hubspot", "salesforce"} - {crm}
        assert {ref.crm for ref, _ in changed(stood, ours(made))} == {crm}
        made.later(minutes=15)
        after = await made.sync()
        assert all(counts.planned == 0 for counts in after.crms.values())


async def test_an_undo_waits_for_a_human_and_apply_sends_exactly_it(database_url: str) -> None:
    async with synced(database_url) as (made, before, run):
        stood = ours(made)

        asked = await made.undo(run.run, yes=False)

        assert changed(stood, ours(made)) == set()
        assert all(counts.waiting == counts.planned > 0 for counts in asked.crms.values())
        made.later(minutes=15)
        who = await somebody(made)
        made.hubspot.edit("contacts", who.contact, {"city": "Oslo"})
        made.salesforce.edit("Lead", who.lead, {"City": "Oslo"})
        made.later(minutes=15)
        assert (await made.sync()).people, "a later run has something to decide"
        for crm, plan in asked.plans.items():
            info = await made.ledger.plan(plan)
            assert info is not None
            assert (info.kind, info.undoes, info.status) == ("undo", run.run, "open")
            assert info.held == "an undo waits for a human"
            await made.ledger.approve_plan(plan, "Grace", "", made.clock.now())
            done = await made.apply(crm, plan)
            assert done.set_aside == done.rejected == 0
        assert changed(before, ours(made)) == set()
        holds = await made.ledger.holds(kind=UNDONE)
        assert holds
        assert all("by Grace" in hold.why for hold in holds)


async def test_what_others_changed_stays_and_is_listed_with_who_and_when(database_url: str) -> None:
    async with synced(database_url) as (made, before, run):
        who = await somebody(made)
        made.hubspot.edit("contacts", who.contact, {"mql_score": "1"})
        made.salesforce.edit("Lead", who.lead, {"MQL_Band__c": 5})
        made.later(minutes=1)

        undo = await made.undo(run.run)

        contact, lead = Ref("hubspot", "contact", who.contact), Ref("salesforce", "Lead", who.lead)
        assert changed(before, ours(made)) == {(contact, "mql_score"), (lead, "MQL_Band__c")}
        assert made.hubspot.raw("contacts", who.contact)["properties"]["mql_score"] == "1"
        left = {row.ref: row.held_back for row in await rows_of(made, undo) if row.held_back}
        assert left.keys() == {contact, lead}
        assert [held.field for held in left[contact]] == ["mql_score"]
        assert "changed by" in left[contact][0].why
        assert "2026-11-22" in left[contact][0].why
        assert "changed by" in left[lead][0].why
        assert undo.more["undo"]["crms"]["hubspot"]["left"] == {"others": 1}


async def test_what_a_later_run_wrote_stays_and_is_listed_with_that_run(database_url: str) -> None:
    async with synced(database_url) as (made, before, run):
        who = await somebody(made)
        made.hubspot.edit("contacts", who.contact, {"jobtitle": "Student"})
        made.later(minutes=15)
        later = await made.sync()
        contact = Ref("hubspot", "contact", who.contact)
        [wrote] = [row for row in await rows_of(made, later) if row.ref == contact]
        made.later(minutes=5)
        stood = ours(made)

        undo = await made.undo(run.run)

        now = ours(made)
        fields = {write.field for write in wrote.writes}
        assert fields
        assert all(same_value(now[contact, name], stood[contact, name]) for name in fields)
        assert {name for ref, name in changed(before, now) if ref == contact} == fields
        [row] = [row for row in await rows_of(made, undo) if row.ref == contact]
        assert {held.field: held.why for held in row.held_back} == dict.fromkeys(
            fields, f"run {later.run} wrote it later"
        )


async def test_what_is_gone_merged_or_converted_is_listed_and_not_chased(database_url: str) -> None:
    async with synced(database_url) as (made, _before, run):
        one, other = ids(made, "hubspot", "contact")[:2]
        lead, lost = ids(made, "salesforce", "Lead")[:2]
        made.hubspot.act("contacts", one, "merge", other=other)
        made.salesforce.act("Lead", lead, "convert")
        made.salesforce.act("Lead", lost, "delete")
        made.later(minutes=1)
        stood = ours(made)

        undo = await made.undo(run.run)

        whys = {
            row.ref.id: {h.why for h in row.held_back} for row in await rows_of(made, undo) if not row.writes
        }
        told = {why for id_ in (one, other) for why in whys.get(id_, ())}
        assert any("the record was merged into hubspot:contact:" in why for why in told)
        assert "converted" in whys[lead].pop()
        assert whys[lost] == {"the record was deleted"}
        survivors = {ref for ref, _ in changed(stood, ours(made))}
        assert not {ref for ref in survivors if ref.id in (lead, lost)}
        assert all(counts.adds_up() for counts in undo.crms.values())


async def test_what_changes_between_the_plan_and_the_push_is_not_touched(database_url: str) -> None:
    async with synced(database_url) as (made, _before, run):
        who = await somebody(made)
        asked = await made.undo(run.run, yes=False)
        made.hubspot.edit("contacts", who.contact, {"mql_score": "1"})
        written = {write.field for write in (await rows_of(made, asked))[0].writes}
        assert written
        for row in await rows_of(made, asked):
            if row.ref.id == who.lead:
                everything = {write.field: None if write.after else "D4" for write in row.writes}
                made.salesforce.edit("Lead", who.lead, {k: v for k, v in everything.items() if "Grade" in k})

        for crm, plan in asked.plans.items():
            await made.apply(crm, plan)

        rows = {row.ref.id: row for row in await rows_of(made, asked)}
        assert made.hubspot.raw("contacts", who.contact)["properties"]["mql_score"] == "1"
        held = {each.field: each.why for each in rows[who.contact].held_back}
        assert held == {"mql_score": "somebody changed it since the undo was planned"}
        assert made.salesforce.raw("Lead", who.lead)["MQL_Grade__c"] == "D4"
        assert rows[who.contact].status == rows[who.lead].status == "written"


async def test_a_row_of_which_nothing_is_left_is_set_aside_with_the_reason(database_url: str) -> None:
    async with synced(database_url) as (made, _, run):
        asked = await made.undo(run.run, "hubspot", yes=False)
        row = (await rows_of(made, asked))[0]
        made.hubspot.edit("contacts", row.ref.id, {write.field: "" for write in row.writes})

        done = await made.apply("hubspot", asked.plans["hubspot"])

        [after] = [each for each in await rows_of(made, asked) if each.id == row.id]
        assert (after.status, done.set_aside) == ("set_aside", 1)
        assert after.reason


async def test_a_second_undo_finds_nothing_to_do(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, before, run):
        await made.undo(run.run)
        writes = len(made.writes("hubspot"))
        made.later(minutes=5)

        again = await made.undo(run.run)

        assert (again.status, again.plans, again.needs_attention) == ("succeeded", {}, False)
        assert all(counts.read == counts.unchanged > 0 for counts in again.crms.values())
        assert len(made.writes("hubspot")) == writes
        assert changed(before, ours(made)) == set()


async def test_an_undo_can_be_taken_back_as_well(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, before, run):
        who = await somebody(made, stage="mql", where=lambda view: view.state.status is MqlStatus.QUALIFIED)
        stood = ours(made)
        undo = await made.undo(run.run)
        made.later(minutes=5)

        back = await made.undo(undo.run)

        assert changed(stood, ours(made)) == set()
        assert back.status == "succeeded"
        assert await made.ledger.holds(kind=UNDONE) == []
        view = await look(made, who)
        assert replace(view.state, seen=None) == replace(who.view.state, seen=None)
        made.later(minutes=15)
        assert all(quiet(counts) for counts in (await made.sync()).crms.values())
        third = await made.undo(back.run)
        assert third.status == "succeeded"
        assert changed(before, ours(made)) == set()
        assert await made.ledger.holds(kind=UNDONE)


async def test_of_a_half_finished_run_only_what_was_written_goes_back_and_the_rest_ends(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=40, clock=QuickClock(START)) as made:
        before = ours(made)
        await made.ledger.set_brake("salesforce", True, "Ada", "", made.clock.now())
        run = await made.sync()
        await made.ledger.set_brake("salesforce", False, "Ada", "", made.clock.now())
        assert run.crms["salesforce"].waiting
        assert run.crms["hubspot"].written
        made.later(minutes=5)

        undo = await made.undo(run.run)

        assert changed(before, ours(made)) == set()
        assert undo.crms["salesforce"].planned == 0
        plan = await made.ledger.plan(run.plans["salesforce"])
        assert plan is not None
        assert plan.status == "superseded"


async def test_an_undo_that_the_crm_refuses_in_part_goes_on_with_what_is_left(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, before, run):
        lead = ids(made, "salesforce", "Lead")[0]
        made.salesforce.act("Lead", lead, "refuse", code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="No.")

        first = await made.undo(run.run)

        assert first.crms["salesforce"].rejected == 1
        assert {ref.id for ref, _ in changed(before, ours(made))} == {lead}
        made.salesforce.act("Lead", lead, "refuse")
        made.later(minutes=5)
        second = await made.undo(run.run)
        assert second.crms["salesforce"].written == second.crms["salesforce"].planned == 1
        assert changed(before, ours(made)) == set()


async def test_a_run_that_is_not_there_or_still_going_on_is_refused(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, _, _run):
        with pytest.raises(FixConfig, match="There is no run 99"):
            await made.undo(99)
        going = await made.ledger.start_run("sync", ["hubspot"], made.clock.now())
        lease = await made.ledger.acquire("push:hubspot", "another", made.clock.now())
        with pytest.raises(FixConfig, match=f"Run {going} is still running"):
            await made.undo(going)
        await made.ledger.release(lease)
        assert (await made.undo(going)).status == "succeeded", "its process is dead"


async def test_a_discarded_undo_says_nothing_about_what_is_wanted_later(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, _, run):
        asked = await made.undo(run.run, yes=False)
        for crm, plan in asked.plans.items():
            lease = await made.ledger.acquire(f"push:{crm}", "story", made.clock.now())
            await made.ledger.close_plan(plan, "discarded", lease, made.clock.now())
            await made.ledger.release(lease)

        refs = sorted({ref for ref, _ in ours(made)})
        assert all(facts.refused == {} for facts in await made.ledger.facts([[ref] for ref in refs]))


def ruled(made: World, crm: str, result: str, rule: str) -> None:
    """An admin gives a result another write rule."""
    mapping = made.definition.mappings[crm]
    objects = {
        name: replace(
            each,
            write=tuple(replace(line, rule=rule) if line.result == result else line for line in each.write),
        )
        for name, each in mapping.objects.items()
    }
    made.definition = replace(
        made.definition, mappings={**made.definition.mappings, crm: replace(mapping, objects=objects)}
    )


async def test_a_value_put_back_for_somebody_else_is_theirs_and_if_ours_leaves_it_alone(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=40, clock=QuickClock(START)) as made:
        by_hand, other = ids(made, "hubspot", "contact")[:2]
        made.hubspot.edit("contacts", by_hand, {"mql_grade": "C2"})
        run = await made.sync()
        assert made.hubspot.raw("contacts", by_hand)["properties"]["mql_grade"] != "C2"
        made.later(minutes=5)
        await made.undo(run.run)
        assert made.hubspot.raw("contacts", by_hand)["properties"]["mql_grade"] == "C2"

        ruled(made, "hubspot", "grade", "if_ours")
        await made.ledger.release_holds(await made.ledger.holds(), "Ada", made.clock.now())
        made.later(minutes=5)
        again = await made.sync()

        assert made.hubspot.raw("contacts", by_hand)["properties"]["mql_grade"] == "C2"
        assert made.hubspot.raw("contacts", other)["properties"]["mql_grade"], "what was blank is filled"
        [row] = [row for row in await rows_of(made, again) if row.ref.id == by_hand]
        assert [held.field for held in row.held_back] == ["mql_grade"]


async def test_a_stage_that_stood_blank_is_blank_again_and_its_echo_changes_nothing(
    sqlite_url: str,
) -> None:
    async with synced(sqlite_url) as (made, before, run):
        blank = [
            ref.id
            for (ref, name), value in before.items()
            if name == "lifecyclestage" and not value and (ref, name) in changed(before, ours(made))
        ]
        assert blank, "a run fills blank stages"
        made.hubspot.log.clear()

        await made.undo(run.run)

        assert made.hubspot.raw("contacts", blank[0])["properties"].get("lifecyclestage") in (None, "")
        stages = [w for w in made.hubspot.log.writes("contact", blank[0]) if "lifecyclestage" in w.fields]
        assert len(stages) == 1, "the clearing is all of it"


async def test_what_sales_decided_is_no_step_of_ours_though_a_run_followed_it(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, _, _run):
        who = await somebody(made, stage="mql", where=lambda view: view.state.status is MqlStatus.QUALIFIED)
        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "UNQUALIFIED"})
        made.later(minutes=15)
        followed = await made.sync()
        assert (await look(made, who)).state.status is MqlStatus.REJECTED
        made.later(minutes=5)

        await made.undo(followed.run)

        assert (await look(made, who)).state.status is MqlStatus.REJECTED
        assert not [step for step in await steps_of(made, who) if "undone" in step]
        assert made.hubspot.raw("contacts", who.contact)["properties"]["mql_status"] == "qualified"
        made.later(minutes=15)
        assert (await made.sync()).crms["hubspot"].planned == 0


async def test_with_later_steps_only_the_entry_is_marked(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, _, run):
        who = await somebody(made, stage="mql", where=lambda view: view.state.status is MqlStatus.QUALIFIED)
        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "UNQUALIFIED"})
        made.later(minutes=15)
        await made.sync("salesforce")  # HubSpot's stage, and all it holds, stays that of the first run
        made.later(minutes=5)
        await made.sync()
        made.later(minutes=5)

        await made.undo(run.run)

        view = await look(made, who)
        assert (view.state.stage, view.state.status) == ("lead", MqlStatus.REJECTED)
        assert view.state.first_mql_at is None, "the undone step was the only one that made them an MQL"
        assert sum("undone: run 1" in step for step in await steps_of(made, who)) == 1
        assert made.hubspot.raw("contacts", who.contact)["properties"]["lifecyclestage"] != MQL


async def test_a_field_that_the_mapping_has_dropped_since_goes_back_as_well(sqlite_url: str) -> None:
    async with synced(sqlite_url) as (made, before, run):
        whole = made.definition
        for crm, mapping in whole.mappings.items():
            objects = {
                name: replace(each, write=tuple(line for line in each.write if line.result != "grade"))
                for name, each in mapping.objects.items()
            }
            mappings = {**made.definition.mappings, crm: replace(mapping, objects=objects)}
            made.definition = replace(made.definition, mappings=mappings)

        undo = await made.undo(run.run)

        made.definition = whole
        assert undo.status == "succeeded"
        assert changed(before, ours(made)) == set()


async def test_a_backfill_is_taken_back_like_any_run(sqlite_url: str) -> None:
    async with world(sqlite_url, people=30, clock=QuickClock(START)) as made:
        before = ours(made)
        run = await made.backfill(await made.ask_backfill("hubspot"))
        assert run.crms["hubspot"].written
        made.later(minutes=5)

        undo = await made.undo(run.run, "hubspot")

        assert changed(before, ours(made)) == set()
        assert undo.crms["hubspot"].written == run.crms["hubspot"].written


async def test_a_crm_that_cannot_be_read_leaves_no_half_plan_and_the_other_goes_back(
    sqlite_url: str,
) -> None:
    async with synced(sqlite_url) as (made, before, run):
        made.salesforce.faults.add(Fault(path="*/composite/sobjects*", status=503, times=None))
        made.salesforce.faults.add(Fault(path="*/query*", status=503, times=None))

        first = await made.undo(run.run)

        made.salesforce.faults.clear()
        assert first.status == "partial"
        assert first.crms["salesforce"].error
        assert {ref.crm for ref, _ in changed(before, ours(made))} == {"salesforce"}
        made.later(minutes=5)
        assert (await made.undo(run.run)).status == "succeeded"
        assert changed(before, ours(made)) == set()


async def test_what_was_taken_beside_a_stage_that_hubspot_kept_stays_undone(sqlite_url: str) -> None:
    async with synced(sqlite_url, hubspot={"stage_workflow": "restore"}) as (made, before, run):
        first = await made.undo(run.run, "hubspot")
        assert first.crms["hubspot"].rejected
        kept = {place for place in changed(before, ours(made)) if place[0].crm == "hubspot"}
        assert {name for _, name in kept} == {"lifecyclestage"}
        made.later(minutes=15)

        after = await made.sync("hubspot")

        assert after.crms["hubspot"].planned == 0, "the fields beside it are held back"
        made.later(minutes=5)
        again = await made.undo(run.run, "hubspot")
        rows = [row for row in await rows_of(made, again) if row.writes]
        assert {write.field for row in rows for write in row.writes} == {"lifecyclestage"}
        back = await made.undo(first.run, "hubspot")
        assert back.crms["hubspot"].written == first.crms["hubspot"].planned
