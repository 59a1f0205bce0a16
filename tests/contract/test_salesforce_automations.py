"""What in the org itself listens to fields of ours or writes them, as far as the API shows it."""

import pytest

from adapters.salesforce.automations import A_CALL
from tests.contract.test_salesforce_last_changes import leads

SCORE, STAGE, STATUS = "Lead.MQL_Score__c", "Lead.Lifecycle_Stage__c", "Lead.MQL_Status__c"
TARGETS = (SCORE, STAGE, STATUS, "Contact.MQL_Score__c")
MAY = ("ApiEnabled", "ViewSetup")
DECOY = "MQL_Score__c_Old__c"  # no field of ours, though its name begins with one


def store_of(org):
    return org.sandbox.sandbox.store


async def found(org, kind="", targets=TARGETS):
    """By name: what it listens to, what it writes."""
    told = await org.adapter.automations(targets)
    every = {
        each.name: (set(each.listens), set(each.writes)) for each in told.found if kind in ("", each.kind)
    }
    assert len(every) == len([each for each in told.found if kind in ("", each.kind)])
    return every


async def unseen(org):
    return " ".join((await org.adapter.automations(TARGETS)).unseen)


async def test_a_flow_is_told_with_what_starts_it_and_what_it_sets(make_org):
    org = await make_org(rights=MAY)
    flows = store_of(org).flows
    flows.add("Round the score", when="MQL_Score__c", sets="MQL_Status__c", to="none", before_save=True)
    flows.add("Reject", when="Status", equals="Closed - Not Converted", sets="Lifecycle_Stage__c", to="other")
    flows.add("Call them", when="Lifecycle_Stage__c", equals="mql", sets="Rating", to="Hot")
    flows.add("Nothing of ours", when="Status", sets="Rating", to="Cold")
    flows.add("Turned off", when="MQL_Score__c", sets="Rating", to="Cold", active=False)
    flows.add("Of contacts", object="Contact", when="Title", sets="MQL_Score__c", to=0)

    assert await found(org) == {
        "Round the score": ({SCORE}, {STATUS}),
        "Reject": (set(), {STAGE}),
        "Call them": ({STAGE}, set()),
        "Of contacts": (set(), {"Contact.MQL_Score__c"}),
    }


async def test_a_flow_that_starts_at_every_change_listens_to_all_of_it(make_org):
    org = await make_org(rights=MAY)
    store_of(org).flows.add("Always", sets="Rating", to="Hot")

    assert await found(org) == {"Always": ({SCORE, STAGE, STATUS}, set())}


async def test_a_flow_elsewhere_that_updates_our_records_is_found_by_what_it_mentions(make_org):
    org = await make_org(rights=MAY)
    details = {
        "start": {"object": "Campaign", "recordTriggerType": "Update", "filters": [{"field": "Status"}]},
        "variables": [{"name": "them", "objectType": "Lead", "dataType": "SObject"}],
        "recordUpdates": [
            {"object": "Lead", "inputAssignments": [{"field": "mql_score__c", "value": {"numberValue": 1}}]}
        ],
        "assignments": [
            {
                "assignmentItems": [
                    {"assignToReference": "them.Lifecycle_Stage__c", "value": {"stringValue": "x"}}
                ]
            }
        ],
        "formulas": [{"expression": f"IF({{!them.MQL_Status__c}} = 'x', {{!them.{DECOY}}}, 1)"}],
    }
    store_of(org).flows.add("Campaign ends", object="Campaign", when="Status", details=details)
    other = {
        **details,
        "recordUpdates": [],
        "assignments": [],
        "formulas": [{"expression": f"{{!them.{DECOY}}}"}],
    }
    store_of(org).flows.add("Decoy", object="Campaign", when="Status", details=other)

    assert await found(org) == {"Campaign ends": ({STATUS}, {SCORE, STAGE})}


async def test_triggers_run_at_every_update_and_write_what_their_code_assigns(make_org):
    org = await make_org(rights=MAY)
    setup = store_of(org).setup
    writes = "trigger T on Lead (before update) { for (Lead l : Trigger.new) { l.mql_score__c = 1; } }"
    setup.add_trigger("Sets", writes)
    setup.add_trigger("Compares", f"if (l.MQL_Score__c == 1) {{ l.{DECOY} = 2; }} // l.MQL_Score__c = 3;")
    setup.add_trigger("On insert", "l.Rating = 'Hot';", updates=False)
    setup.add_trigger("Off", writes, active=False)
    setup.add_trigger("Elsewhere", "o.Amount = 1;", object="Opportunity")

    assert await found(org) == {
        "Sets": ({SCORE, STAGE, STATUS}, {SCORE}),
        "Compares": ({SCORE, STAGE, STATUS}, set()),
    }


async def test_a_class_that_a_trigger_calls_is_found_by_what_it_mentions(make_org):
    org = await make_org(rights=MAY)
    setup = store_of(org).setup
    setup.add_class(
        "Rescore",
        "update new Lead(Id = id, MQL_Score__c = 4); x = [SELECT Id, (SELECT MQL_Status__c FROM L)];",
    )
    setup.add_class("RescoreTest", "@IsTest class RescoreTest { Lead l = new Lead(MQL_Score__c = 1); }")
    setup.add_class("Other", f"l.{DECOY} = 4;")

    assert await found(org) == {"Rescore": ({STATUS}, {SCORE})}


async def test_rules_that_name_a_field_are_told_and_field_updates_write(make_org):
    org = await make_org(rights=MAY)
    setup = store_of(org).setup
    setup.add_validation_rule("No_way_back", 'ISPICKVAL(PRIORVALUE(Lifecycle_Stage__c), "sql")')
    setup.add_validation_rule("Decoy", f"ISBLANK({DECOY}) || ISBLANK(Account.MQL_Score__c)")
    setup.add_validation_rule("Off", "ISBLANK(MQL_Score__c)", active=False)
    setup.add_workflow_rule("Alert", criteria=["MQL_Score__c"])
    setup.add_workflow_rule("Reset", criteria=["Status"], updates=["MQL_Score__c", "Rating"])
    setup.add_workflow_rule("Retired", updates=["MQL_Score__c"], active=False)

    assert await found(org) == {
        "No_way_back": ({STAGE}, set()),
        "Alert": ({SCORE}, set()),
        "Reset": (set(), {SCORE}),
    }


async def test_an_admin_is_told_the_way_to_it(make_org):
    org = await make_org(rights=MAY)
    store_of(org).flows.add("Call them", when="Lifecycle_Stage__c", sets="Rating", to="Hot")
    store_of(org).setup.add_validation_rule("No_way_back", "ISBLANK(Lifecycle_Stage__c)")

    told = {each.kind: each.where for each in (await org.adapter.automations(TARGETS)).found}

    assert told == {
        "flow": "Setup > Flows > Call them",
        "validation rule": "Setup > Object Manager > Lead > Validation Rules > No_way_back",
    }


async def test_without_the_right_to_view_setup_nothing_is_found_and_that_is_said(make_org):
    org = await make_org()
    store_of(org).flows.add("Call them", when="Lifecycle_Stage__c", sets="Rating", to="Hot")

    told = await org.adapter.automations(TARGETS)

    assert told.found == ()
    for what in (
        "flows",
        "Apex triggers",
        "validation rules",
        "workflow rules",
        "where else a field is used",
    ):
        assert what in told.unseen[0]
    assert "View Setup and Configuration" in told.unseen[0]


async def test_without_the_beta_of_dependencies_what_runs_on_our_objects_is_still_found(make_org):
    org = await make_org(rights=MAY, dependencies=False)
    store_of(org).flows.add("Call them", when="Lifecycle_Stage__c", sets="Rating", to="Hot")
    store_of(org).setup.add_class("Rescore", "l.MQL_Score__c = 4;")

    assert await found(org) == {"Call them": ({STAGE}, set())}
    assert "where else a field is used" in await unseen(org)


async def test_an_org_that_does_not_say_on_what_a_flow_runs_is_asked_the_flow(make_org):
    org = await make_org(rights=MAY, dependencies=False)
    store_of(org).flows.add("Call them", when="Lifecycle_Stage__c", sets="Rating", to="Hot")
    store_of(org).flows.add("Of deals", object="Opportunity", when="Amount", sets="Type", to="x")
    org.sandbox._run(lambda: store_of(org).set_visible("FlowDefinitionView", "TriggerObjectOrEventId", False))

    assert await found(org) == {"Call them": ({STAGE}, set())}


async def test_what_a_package_hides_is_named_as_unseen(make_org):
    org = await make_org(rights=MAY)
    store_of(org).flows.add("Grow", when="MQL_Score__c", sets="Rating", to="Hot", package="acme")
    store_of(org).setup.add_trigger("Spread", "l.MQL_Score__c = 3;", package="acme")

    assert await found(org) == {}
    assert (
        "The package acme does not show what these of its parts do: the flow Grow, the trigger Spread."
        in (await unseen(org))
    )


async def test_standard_fields_ask_for_no_dependencies(make_org):
    org = await make_org(rights=MAY)
    store_of(org).flows.add("Reject", when="Status", sets="Rating", to="Cold")

    assert await found(org, targets=["Lead.Status"]) == {"Reject": ({"Lead.Status"}, set())}
    assert not [call for call in org.sandbox.log.calls() if "MetadataComponentDependency" in call.query]


@pytest.mark.parametrize("flows", [1, A_CALL + 1, 110])
async def test_many_flows_cost_a_call_per_25_and_are_looked_at_up_to_a_limit(make_org, flows):
    org = await make_org(rights=MAY)
    for number in range(flows):
        store_of(org).flows.add(f"Flow {number}", when="MQL_Score__c", sets="Rating", to="Hot")
    before = org.adapter.calls()

    told = await org.adapter.automations(TARGETS)

    assert len(told.found) == min(flows, 100)
    assert org.adapter.calls() - before == 6 + -(-min(flows, 100) // A_CALL)
    assert ("Of 110 active flows, 100 were looked into." in told.unseen) == (flows == 110)


async def test_nothing_of_it_is_asked_of_the_records(make_org):
    org = await make_org(rights=MAY)
    [lead] = await leads(org)
    before = org.sandbox.raw("Lead", lead)

    await org.adapter.automations(TARGETS)

    assert org.sandbox.raw("Lead", lead) == before
