"""Looking at an org over real HTTP: rights, hidden fields, record types, names, and what only trying tells."""

from datetime import timedelta

import pytest

from adapters.salesforce import PLUGIN
from adapters.salesforce.record_types import LAYOUTS, NONE, UI
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.model import RecordState, Ref
from connector.errors import FixConfig

MAPPING = load_definition(shipped(), plugins()).mappings["salesforce"]


async def findings(org):
    return await org.adapter.inspect(MAPPING)


def told(found, where):
    return [(each.level, each.what) for each in found if each.where == where]


# ------------------------------------------------------------------------------------------------- inspect


async def test_an_org_in_order_is_no_problem_and_its_other_integration_is_said(org):
    found = await findings(org)

    assert not [each for each in found if each.level != "note"]
    [(_, what)] = told(found, "integration")
    assert "HubSpot Integration" in what
    assert not [write for write in org.sandbox.log.writes() if write.by == "api"]


async def test_a_user_who_may_do_more_than_needed_is_said(make_org):
    org = await make_org(rights=("ApiEnabled", "ModifyAllData", "CustomizeApplication"))

    [(level, what)] = told(await findings(org), "permissions")

    assert level == "warning"
    assert "Customize Application, Modify All Data" in what


async def test_a_user_who_may_not_ask_for_rights_is_no_problem(make_org):
    org = await make_org(sees_rights=False)

    [(level, what)] = told(await findings(org), "permissions")

    assert (level, "not known" in what) == ("note", True)


async def test_hidden_fields_are_named_with_field_level_security_as_the_likely_cause(make_org):
    org = await make_org(hidden_fields=["Lead.MQL_Score__c", "Lead.Company", "Contact.Title"])

    found = await findings(org)

    [(_, lead)] = told(found, "Lead")
    [(_, contact)] = told(found, "Contact")
    assert "Company, MQL_Score__c" in lead
    assert "Title" in contact
    assert "field-level security" in lead


@pytest.mark.parametrize("hidden", [["CampaignMember.HasResponded"], []])
async def test_hidden_responses_are_told_since_no_campaign_member_counts(make_org, hidden):
    org = await make_org(hidden_fields=hidden)

    found = told(await findings(org), "CampaignMember.HasResponded")

    assert [(level, "no campaign member counts" in what) for level, what in found] == [
        ("warning", True) for _ in hidden
    ]


async def test_a_user_who_may_only_read_gets_a_warning_since_plans_can_be_made(make_org):
    org = await make_org(read_only=True)

    found = await findings(org)

    assert [each.where for each in found if each.level == "warning"] == ["Lead", "Contact"]


@pytest.mark.parametrize(("served", "asked"), [("layouts", LAYOUTS), ("ui", UI)])
async def test_quirk_salesforce_27_values_that_a_record_type_lacks_are_found_before_a_row_is_refused(
    make_org, served, asked
):
    org = await make_org(record_types=True, record_type_source=served)
    org.adapter.use({"record_type_source": asked})

    found = await findings(org)

    warned = {each.where: each.what for each in found if each.level == "warning"}
    assert set(warned) == {"Lead.MQL_Status__c", "Lead.Lifecycle_Stage__c"}
    assert "Partner Lead does not allow qualified" in warned["Lead.MQL_Status__c"]


async def test_record_types_that_nothing_tells_of_are_a_note(make_org):
    org = await make_org(record_types=True, record_type_source="none")

    found = await findings(org)

    assert not [each for each in found if each.level == "warning"]
    assert "Partner Lead" in told(found, "Lead")[0][1]


async def test_most_of_the_days_calls_used_is_a_warning(make_org):
    org = await make_org(daily_limit=40, variables={"SALESFORCE_DAILY_SHARE": "1"})
    for _ in range(24):
        await org.adapter.account()

    found = await findings(org)

    levels = {each.where: each.level for each in found}
    assert levels["allowance"] == "warning"


# -------------------------------------------------------------------------------------------------- access


def test_what_to_ask_a_security_team_for_is_told_by_feature():
    found = {each.feature: each for each in PLUGIN.access(MAPPING)}

    assert "API Enabled" in found["connect"].rights
    assert "Email" in found["read Lead (person)"].reads
    assert "Read on Campaign" in found["read CampaignMember"].rights
    assert "MQL_Score__c" in found["write to Lead"].writes
    assert "Edit on Contact" in found["write to Contact"].rights
    assert "Customize Application" in found["set-up"].rights
    assert all(each.without for each in found.values())


# ------------------------------------------------------------------------------------------------- catalog


async def test_everything_that_a_mapping_may_name_is_listed_with_its_ids_and_labels(make_org):
    org = await make_org(record_types=True)

    named = await org.adapter.catalog()

    kinds = {kind: [each for each in named if each.kind == kind] for kind in {each.kind for each in named}}
    assert [each.id for each in kinds["stage"]][:3] == ["subscriber", "lead", "mql"]
    assert "Working - Contacted" in {each.name for each in kinds["status"]}
    assert "Closed Won" in {each.label for each in kinds["opportunity_stage"]}
    assert all(each.id.startswith("701") and each.label for each in kinds["campaign"])
    assert [(each.name, each.label) for each in kinds["record_type"]] == [("Partner_Lead", "Partner Lead")]
    assert {"Unassigned leads", "Round robin"} == {each.label for each in kinds["queue"]}
    assert all(each.id.startswith("005") for each in kinds["owner"])


# --------------------------------------------------------------------------------------------------- probe


async def probed(org, record):
    return {each.probe: each for each in await org.adapter.probe(record)}


@pytest.mark.parametrize("object_", ["Lead", "Contact"])
@pytest.mark.parametrize(
    ("options", "probe", "said"),
    [
        ({"noop_moves_stamps": True}, "identical write", "moves the last-modified"),
        ({"noop_moves_stamps": False}, "identical write", "leaves the last-modified"),
        ({"same_id_twice": "row"}, "same id twice", "refuses one of the two"),
        ({"same_id_twice": "request"}, "same id twice", "refuses the whole call"),
        ({"same_id_twice": "last"}, "same id twice", "takes both"),
        ({"rounding": "ROUND_HALF_UP"}, "rounding", "halves are rounded up"),
        ({"rounding": "ROUND_HALF_EVEN"}, "rounding", "not rounded up"),
    ],
)
async def test_what_documents_leave_open_is_found_out_and_the_record_is_put_back(
    make_org, object_, options, probe, said
):
    org = await make_org(**options)
    record = await org.one(object_)
    org.sandbox.edit(object_, record.ref.id, {"MQL_Score__c": 37, "MQL_Reason__c": "as it stood"})

    answers = await probed(org, record.ref)

    assert said in answers[probe].what
    row = org.sandbox.raw(object_, record.ref.id)
    assert (row["MQL_Score__c"], row["MQL_Reason__c"]) == (37, "as it stood")
    assert {write.id for write in org.sandbox.log.writes() if write.by == "api"} <= {record.ref.id}


@pytest.mark.parametrize(("served", "learned"), [("layouts", LAYOUTS), ("ui", UI), ("none", NONE)])
async def test_where_record_types_can_be_asked_for_sets_its_switch(make_org, served, learned):
    org = await make_org(record_types=True, record_type_source=served)
    record = await org.one("Lead")

    answer = (await probed(org, record.ref))["record types"]

    assert (answer.switch, answer.value) == ("record_type_source", learned)
    assert answer.switch in {switch.name for switch in PLUGIN.switches}


@pytest.mark.parametrize("editable", [False, True])
async def test_a_converted_lead_as_test_record_tells_whether_such_leads_take_writes(make_org, editable):
    org = await make_org(edit_converted=editable)
    lead = await org.one("Lead", lambda record: record.state is RecordState.CONVERTED)

    answer = (await probed(org, lead.ref))["converted leads"]

    assert (answer.switch, answer.value) == ("converted_leads_editable", editable)


async def test_a_live_lead_is_never_converted_or_asked_about_conversion(org):
    record = await org.one("Lead")

    answers = await probed(org, record.ref)

    assert "converted leads" not in answers
    assert not org.sandbox.raw("Lead", record.ref.id)["IsConverted"]


async def test_a_test_record_that_is_not_there_is_a_matter_of_configuration(org):
    with pytest.raises(FixConfig, match="test record"):
        await org.adapter.probe(Ref("salesforce", "Lead", "00Q000000000000AAA"))


async def test_a_probe_that_breaks_off_puts_the_record_back(org):
    record = await org.one("Lead")
    org.sandbox.edit("Lead", record.ref.id, {"MQL_Score__c": 37})
    org.sandbox.faults.add(method="PATCH", path="*/composite/sobjects*", skip=2, drop_after=True)

    with pytest.raises(Exception, match="arrived"):
        await org.adapter.probe(record.ref)

    org.clock.advance(timedelta(seconds=1))
    assert org.sandbox.raw("Lead", record.ref.id)["MQL_Score__c"] == 37
