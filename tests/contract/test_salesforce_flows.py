"""Flows of the made-up org really run, as the platform runs them: whoever saves, each once in a save, some later."""

from datetime import timedelta

import pytest

from adapters.salesforce.sandbox.store import API_USER, AUTOMATED, SALES_USER
from connector.core.model import Outcome, Write
from tests.contract.test_salesforce_last_changes import leads, name_of, ref

SCORE, STAGE = "MQL_Score__c", "Lifecycle_Stage__c"
TRACKED = ("Lead.MQL_Score__c", "Lead.Lifecycle_Stage__c", "Lead.Rating")


async def write(org, lead, **values):
    [receipt] = await org.adapter.push([Write(1, ref(lead), values)])
    return receipt


async def change(org, lead, field):
    return (await org.adapter.last_changes([ref(lead)], {"Lead": frozenset({field})}))[ref(lead), field]


@pytest.mark.parametrize("before_save", [True, False])
@pytest.mark.parametrize("by", [API_USER, SALES_USER])
async def test_a_flow_changes_back_what_is_saved_in_the_name_of_who_saved(make_org, before_save, by):
    org = await make_org(tracked=TRACKED)
    [lead] = await leads(org)
    org.sandbox.create(
        "flows", {"name": "Freeze", "when": SCORE, "sets": SCORE, "to": 7, "before_save": before_save}
    )

    if by == API_USER:
        assert (await write(org, lead, **{SCORE: 80})).outcome is Outcome.WRITTEN
    else:
        org.sandbox.edit("Lead", lead, {SCORE: 80})

    assert org.sandbox.raw("Lead", lead)[SCORE] == 7
    told = await change(org, lead, SCORE)
    assert (told.value, told.by, told.of_record) == (7, name_of(org, by), False)


async def test_a_flow_waits_for_its_value_and_puts_back_what_stood_there(make_org):
    org = await make_org()
    [lead] = await leads(org)
    org.sandbox.edit("Lead", lead, {STAGE: "sql"})
    org.sandbox.create(
        "flows",
        {"name": "Keep", "when": STAGE, "equals": "mql", "sets": STAGE, "to": f"$Record__Prior.{STAGE}"},
    )

    await write(org, lead, **{STAGE: "customer"})
    assert org.sandbox.raw("Lead", lead)[STAGE] == "customer"

    await write(org, lead, **{STAGE: "mql"})
    assert org.sandbox.raw("Lead", lead)[STAGE] == "customer"


async def test_a_flow_may_run_later_by_itself(make_org):
    org = await make_org(tracked=TRACKED)
    [lead] = await leads(org)
    org.sandbox.create("flows", {"name": "Later", "when": SCORE, "sets": "Rating", "to": "Hot", "after": 600})
    await write(org, lead, **{SCORE: 80})
    assert org.sandbox.raw("Lead", lead)["Rating"] != "Hot"

    org.clock.advance(timedelta(minutes=11))

    assert org.sandbox.raw("Lead", lead)["Rating"] == "Hot"
    assert (await change(org, lead, "Rating")).by == f"user {AUTOMATED} (Automated Process)"
    assert [each.by for each in org.sandbox.log.writes("Lead", lead)] == ["api", "flow"]


async def test_two_flows_that_undo_each_other_end(make_org):
    org = await make_org()
    [lead] = await leads(org)
    org.sandbox.create("flows", {"name": "Up", "when": SCORE, "sets": SCORE, "to": 100})
    org.sandbox.create("flows", {"name": "Down", "when": SCORE, "sets": SCORE, "to": 0})

    await write(org, lead, **{SCORE: 80})

    assert org.sandbox.raw("Lead", lead)[SCORE] in (0, 100)


async def test_a_flow_that_is_off_does_nothing(make_org):
    org = await make_org()
    [lead] = await leads(org)
    flow = org.sandbox.create("flows", {"name": "Freeze", "when": SCORE, "sets": SCORE, "to": 7})

    org.sandbox.act("flows", flow, "off")
    await write(org, lead, **{SCORE: 80})
    assert org.sandbox.raw("Lead", lead)[SCORE] == 80

    org.sandbox.act("flows", flow, "on")
    await write(org, lead, **{SCORE: 81})
    assert org.sandbox.raw("Lead", lead)[SCORE] == 7


async def test_what_is_created_starts_flows_too(make_org):
    org = await make_org()
    org.sandbox.create(
        "flows", {"name": "Greet", "when": "LastName", "sets": "Rating", "to": "Warm", "before_save": True}
    )
    org.sandbox.create("flows", {"name": "Stage", "when": "Rating", "sets": STAGE, "to": "lead"})

    lead = org.sandbox.create("Lead", {"LastName": "Noether", "Company": "Göttingen"})

    assert (org.sandbox.raw("Lead", lead)["Rating"], org.sandbox.raw("Lead", lead)[STAGE]) == ("Warm", "lead")


async def test_a_flow_over_a_field_that_is_not_there_is_refused(make_org):
    org = await make_org()

    with pytest.raises(ValueError, match="Lead has no field Nothing__c"):
        org.sandbox.create("flows", {"name": "Broken", "when": "Nothing__c", "sets": SCORE, "to": 1})
