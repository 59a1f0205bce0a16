"""Whole syncs: both CRMs over real HTTP, a real ledger, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.model import Ref
from connector.errors import FixConfig
from connector.pipeline import RunResult
from connector.ports import CrmCounts
from connector.sandbox.faults import Fault
from tests.stories.world import Somebody, World, look, somebody, world


def assert_adds_up(result: RunResult) -> None:
    for crm, counts in result.crms.items():
        assert counts.adds_up(), f"{crm}: {counts}"


def quiet(counts: CrmCounts) -> bool:
    return counts.planned == counts.written == counts.rejected == counts.unknown == 0


def contact(world: World, who: Somebody) -> dict[str, Any]:
    return dict(world.hubspot.raw("contacts", who.contact)["properties"])


def lead(world: World, who: Somebody) -> dict[str, Any]:
    return dict(world.salesforce.raw("Lead", who.lead))


async def test_a_first_sync_reads_everybody_writes_both_crms_and_adds_up(database_url: str) -> None:
    async with world(database_url) as made:
        result = await made.sync()

        assert result.status == "succeeded"
        assert_adds_up(result)
        for counts in result.crms.values():
            assert counts.read == 120
            assert counts.written == counts.planned > 0
        assert result.entered > 0
        mql = await somebody(made, stage="mql")
        assert contact(made, mql)["mql_status"] == "qualified"
        assert contact(made, mql)["mql_score"] == str(int(lead(made, mql)["MQL_Score__c"]))
        assert lead(made, mql)["MQL_Reason__c"] == contact(made, mql)["mql_reason"]


async def test_a_second_sync_over_an_unchanged_world_writes_nothing(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        before = {crm: len(made.writes(crm)) for crm in made.adapters}

        echoes = await made.sync()
        made.later(minutes=30)
        await made.sync()
        made.later(minutes=30)
        calm = await made.sync()

        assert all(quiet(counts) for counts in (*echoes.crms.values(), *calm.crms.values()))
        assert {crm: len(made.writes(crm)) for crm in made.adapters} == before
        assert echoes.people == 0, "our own writes coming back made somebody due"
        # 12, the start-up check, and what the hourly second look finds once more.
        assert all(counts.calls <= 16 for counts in calm.crms.values()), calm.crms


async def test_an_unchanged_world_is_written_nothing_tomorrow_unless_a_band_grade_or_stage_moved(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        before = {crm: len(made.writes(crm)) for crm in made.adapters}

        made.later(days=1)
        tomorrow = await made.sync()

        assert_adds_up(tomorrow)
        for crm in made.adapters:
            for write in made.writes(crm, before[crm]):
                fields = {name.lower().replace("__c", "") for name in write.fields}
                moved = fields & {"mql_band", "mql_grade", "mql_status", "lifecyclestage", "lifecycle_stage"}
                scores = [
                    pair
                    for name, pair in write.fields.items()
                    if name.lower().startswith(("mql_score", "mql_fit", "mql_eng"))
                ]
                assert moved or any(abs(float(after) - float(before_)) >= 3 for before_, after in scores), (
                    write
                )


async def test_a_salespersons_edit_decides_that_person_anew_and_reaches_the_other_crm(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(
            made,
            where=lambda view: view.score.fit < 40,
        )
        made.later(minutes=30)
        await made.sync()
        before = lead(made, who)["MQL_Fit__c"]

        made.salesforce.edit("Lead", who.lead, {"Title": "Chief Executive Officer"})
        made.hubspot.edit("contacts", who.contact, {"jobtitle": "Chief Executive Officer"})
        made.later(minutes=5)
        result = await made.sync()

        assert result.people <= 3
        assert_adds_up(result)
        assert lead(made, who)["MQL_Fit__c"] > before
        assert contact(made, who)["mql_fit"] == str(int(lead(made, who)["MQL_Fit__c"]))


async def test_asking_for_a_demo_makes_an_mql_in_both_crms_with_the_reason(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made, where=lambda view: view.score.fit >= 25 and view.state.rejected_at is None)
        form = "Request a demo"

        made.later(minutes=30)
        made.hubspot.create("form_submissions", {"form": form, "email": who.email})
        made.later(minutes=5)
        result = await made.sync()

        assert result.entered == 1
        assert contact(made, who)["mql_status"] == "qualified"
        assert contact(made, who)["lifecyclestage"] == "marketingqualifiedlead"
        assert lead(made, who)["MQL_Status__c"] == "qualified"
        assert "demo" in contact(made, who)["mql_reason"].lower()
        assert contact(made, who)["mql_since"]
        view = await look(made, who)
        assert view.state.stage == "mql"


async def test_sales_saying_no_recycles_the_mql_and_points_alone_do_not_bring_it_back(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made, stage="mql")
        made.later(hours=1)

        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "UNQUALIFIED"})
        made.later(minutes=5)
        said_no = await made.sync()
        made.later(days=1)
        next_day = await made.sync()

        view = await look(made, who)
        assert said_no.left == 1
        assert view.state.status.value in ("rejected", "recycled")
        assert view.state.stage == "lead"
        assert lead(made, who)["MQL_Status__c"] == view.state.status.value
        assert lead(made, who)["MQL_Since__c"] is None
        assert next_day.entered == 0


async def test_a_stage_that_sales_raised_is_mirrored_and_never_lowered(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made, stage="mql")
        made.later(hours=1)

        made.hubspot.edit("contacts", who.contact, {"lifecyclestage": "salesqualifiedlead"})
        made.later(minutes=5)
        await made.sync()
        made.later(minutes=5)
        after = await made.sync()

        view = await look(made, who)
        assert view.state.stage == "sql"
        assert contact(made, who)["lifecyclestage"] == "salesqualifiedlead"
        assert lead(made, who)["Lifecycle_Stage__c"].lower() in (
            "sql",
            "salesqualifiedlead",
            "sales qualified lead",
        )
        assert all(quiet(counts) for counts in after.crms.values())


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_a_stage_that_a_human_sets_back_after_us_stays_where_the_human_put_it(
    database_url: str, crm: str
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made, where=lambda view: view.score.fit >= 25 and view.state.rejected_at is None)
        made.later(minutes=30)
        made.hubspot.create("form_submissions", {"form": "Request a demo", "email": who.email})
        made.later(minutes=15)
        await made.sync()
        assert contact(made, who)["lifecyclestage"] == "marketingqualifiedlead"
        made.later(hours=1)
        await made.sync()

        if crm == "hubspot":
            made.hubspot.edit("contacts", who.contact, {"lifecyclestage": "lead"})
        else:
            made.salesforce.edit("Lead", who.lead, {"Lifecycle_Stage__c": "lead"})
        made.later(minutes=15)
        result = await made.sync()
        made.later(minutes=15)
        after = await made.sync()

        assert result.left == 1
        assert (await look(made, who)).state.stage == "lead"
        assert all(quiet(counts) for counts in after.crms.values())
        if crm == "hubspot":
            assert contact(made, who)["lifecyclestage"] == "lead"
        else:
            assert lead(made, who)["Lifecycle_Stage__c"] == "lead"


async def test_a_humans_blank_over_our_score_is_filled_again_but_a_blank_of_ours_overwrites_nothing(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)

        made.hubspot.edit("contacts", who.contact, {"mql_score": "", "mql_since": "2020-01-01T00:00:00Z"})
        made.later(minutes=5)
        await made.sync()

        assert contact(made, who)["mql_score"]
        assert not contact(made, who)["mql_since"], (
            "outside a spell as MQL `mql_since` is cleared (clear: true)"
        )


async def test_an_edited_mapping_is_applied_to_everybody_not_only_to_who_changes_next(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, people=60) as made:
        await made.sync()
        who = await somebody(made, where=lambda view: bool(view.fields.get("title")))
        folder = tmp_path / "mappings"
        shutil.copytree(shipped(), folder)
        for name, line in (("hubspot.yaml", "city: city"), ("salesforce.yaml", "city: City")):
            text = (folder / name).read_text()
            title = "jobtitle" if name == "hubspot.yaml" else "Title"
            assert line in text
            (folder / name).write_text(text.replace(line, f"city: {title}", 1))

        made.definition = load_definition(folder, plugins())
        made.later(hours=1)
        result = await made.sync()

        assert result.status == "succeeded"
        assert (await look(made, who)).fields["city"] == who.view.fields["title"]
        assert (await look(made, who)).state.stage == who.view.state.stage
        assert result.entered == result.left == 0


# ------------------------------------------------------------------------------------------ one CRM at a time


async def test_syncing_one_crm_decides_with_all_facts_and_the_other_is_written_at_its_turn(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made, where=lambda view: view.score.fit >= 25 and view.state.rejected_at is None)
        form = "Request a demo"
        made.later(minutes=30)
        made.hubspot.create("form_submissions", {"form": form, "email": who.email})
        made.later(minutes=5)

        one = await made.sync("hubspot")
        status_between = lead(made, who)["MQL_Status__c"]
        other = await made.sync("salesforce")

        assert set(one.crms) == {"hubspot"}
        assert one.entered == 1
        assert status_between != "qualified"
        assert other.crms["salesforce"].written >= 1
        assert lead(made, who)["MQL_Status__c"] == "qualified"


# ------------------------------------------------------------------------------------------- rehearse, approve


async def test_a_rehearsed_plan_writes_nothing_and_is_then_applied_exactly(database_url: str) -> None:
    async with world(database_url) as made:
        rehearsed = await made.sync(plan_only=True)
        assert not made.writes("hubspot")
        assert rehearsed.crms["hubspot"].waiting == rehearsed.crms["hubspot"].planned
        plan = rehearsed.plans["hubspot"]
        rows = await made.ledger.plan_rows(plan, status="waiting")
        edited = rows[0].ref.id

        made.later(minutes=10)
        made.hubspot.act("contacts", edited, "archive")
        pushed = await made.apply("hubspot", plan)

        assert pushed.set_aside == 1
        assert pushed.written == len(rows) - 1
        assert {row.status for row in await made.ledger.plan_rows(plan)} <= {
            "written",
            "set_aside",
            "held_back",
        }


async def test_a_newer_run_supersedes_a_waiting_plan_and_loses_none_of_its_differences(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        rehearsed = await made.sync(plan_only=True)

        real = await made.sync()

        assert real.crms["hubspot"].written == rehearsed.crms["hubspot"].waiting
        assert real.crms["salesforce"].written == rehearsed.crms["salesforce"].waiting
        statuses = {plan.id: plan.status for plan in await made.ledger.plans()}
        assert statuses[rehearsed.plans["hubspot"]] == "superseded"


async def test_a_changed_definition_that_overwrites_much_waits_for_a_human(database_url: str) -> None:
    async with world(database_url, people=300) as made:
        await made.sync()
        made.later(hours=1)
        made.redefine(weights=type(made.definition.criteria.weights)(fit=1.0, engagement=0.0))

        result = await made.sync(yes=False)

        assert made.asked[-1].limit
        assert result.needs_attention
        assert sum(counts.waiting for counts in result.crms.values()) > 200
        assert_adds_up(result)


# --------------------------------------------------------------------------------------------- when things break


async def test_a_failing_stream_makes_the_run_partial_demotes_nobody_and_heals(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        mqls = (await made.ledger.stage_counts())["mql"]
        made.later(hours=1)
        made.salesforce.faults.add(
            Fault(
                path="*/query*CampaignMember*",
                status=400,
                times=None,
                json=[
                    {
                        "errorCode": "INVALID_TYPE",
                        "message": "sObject type 'CampaignMember' is not supported.",
                    }
                ],
            )
        )

        broken = await made.sync()
        made.salesforce.faults.clear()
        healed = await made.sync()

        assert broken.status == "partial"
        assert "CampaignMember" in (broken.crms["salesforce"].error or "")
        assert broken.left == 0
        assert (await made.ledger.stage_counts())["mql"] >= mqls
        assert healed.status == "succeeded"


async def test_trap_time_out_after_the_write_is_unknown_then_found_written_with_its_before_image(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, {"mql_score": "1"})
        made.hubspot.faults.add(
            Fault(method="POST", path="*/contacts/batch/update*", drop_after=True, times=1)
        )
        made.later(minutes=5)

        cut = await made.sync()
        writes = len(made.writes("hubspot"))
        made.later(minutes=10)
        after = await made.sync()

        assert cut.crms["hubspot"].unknown == 1
        assert cut.needs_attention
        assert contact(made, who)["mql_score"] != "1", "the write did arrive"
        assert after.crms["hubspot"].unknown == 0
        assert len(made.writes("hubspot")) == writes, "what had arrived was written again"


async def test_one_record_that_the_crm_rejects_fails_only_itself(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        one, *_ = [await somebody(made)]
        made.later(hours=1)
        made.salesforce.edit("Lead", one.lead, {"MQL_Score__c": 1})
        made.salesforce.act(
            "Lead",
            one.lead,
            "refuse",
            code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
            message="Industry is missing.",
        )
        made.later(minutes=15)

        refused = await made.sync()
        again = await made.sync()

        assert refused.crms["salesforce"].rejected == 1
        rows = await made.ledger.plan_rows(refused.plans["salesforce"], status="rejected")
        assert [row.ref for row in rows] == [Ref("salesforce", "Lead", one.lead)]
        assert "Industry is missing." in rows[0].reason
        assert again.crms["salesforce"].rejected == 0, "the same values are not tried again within a day"


async def test_wrong_credentials_stop_before_anything_is_read(database_url: str) -> None:
    async with world(database_url) as made:
        made.hubspot.faults.add(
            Fault(
                status=401,
                times=None,
                json={"status": "error", "category": "INVALID_AUTHENTICATION", "message": "no"},
            )
        )

        with pytest.raises(FixConfig) as error:
            await made.sync()

        assert error.value.next_step
        assert not await made.ledger.runs()
        assert not [call for call in made.salesforce.log.calls() if "FROM+Lead" in call.query]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault(path="/crm/objects/*/contacts*", times=None, status=200, text="<html>Down</html>"),
            "text/html",
        ),
        (Fault(path="/crm/objects/*/contacts*", times=None, half=True), ""),
        (Fault(path="/crm/objects/*/contacts*", times=None, empty=True), ""),
        (Fault(path="/crm/objects/*/contacts*", times=None, empty="body"), ""),
    ],
    ids=["html", "half a page", "an empty page with 200", "an empty body with 200"],
)
async def test_an_answer_that_is_none_is_partial_and_nothing_is_lost(
    database_url: str, fault: Fault, said: str
) -> None:
    async with world(database_url, people=60) as made:
        made.hubspot.faults.add(fault)

        broken = await made.sync()
        made.hubspot.faults.clear()
        healed = await made.sync()

        assert broken.status == "partial"
        assert broken.crms["hubspot"].error
        assert said in broken.crms["hubspot"].error
        assert healed.status == "succeeded"
        assert healed.crms["hubspot"].read == 60


async def test_a_ledger_refuses_to_work_with_another_account(database_url: str) -> None:
    async with world(database_url, people=30) as made:
        await made.sync()
        await made.ledger.bind("hubspot", (await made.adapters["hubspot"].account()).id, made.clock.now())

        with pytest.raises(FixConfig):
            await made.ledger.bind("hubspot", "another-portal", made.clock.now())
