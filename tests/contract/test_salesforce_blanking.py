"""A field of each kind becomes blank again, whichever way the write goes; a stage goes back unless a rule forbids."""

import pytest

from connector.core.model import Outcome, Write
from tests.contract.test_salesforce_bulk_push import QUIET, jobs, live, send

FULL = {
    "MQL_Score__c": 40,  # number
    "AnnualRevenue": 1_000.5,  # currency
    "NumberOfEmployees": 12,  # whole number
    "MQL_Status__c": "qualified",  # restricted picklist
    "Lifecycle_Stage__c": "mql",  # picklist
    "MQL_Since__c": "2026-11-20T08:00:00Z",  # date and time
    "MQL_Reason__c": "because",  # text
    "Description": "long\ntext",  # long text
    "Email": "ada@example.com",
    "HasOptedOutOfEmail": True,  # a checkbox knows no blank: false is its
}
BLANK = dict.fromkeys(FULL)
STANDS_BLANK = {**BLANK, "HasOptedOutOfEmail": False}
WANTED = {"Lead": frozenset(FULL)}


async def full_lead(org, ref):
    org.sandbox.edit("Lead", ref.id, FULL)
    before = (await org.adapter.read([ref], WANTED))[ref].values
    assert all(before[name] for name in FULL)


async def stands(org, ref):
    values = (await org.adapter.read([ref], WANTED))[ref].values
    return {name: values[name] for name in FULL}


async def test_by_a_collection(org):
    ref = (await live(org))[0]
    await full_lead(org, ref)

    [receipt] = await org.adapter.push([Write(1, ref, BLANK)])

    assert receipt.outcome is Outcome.WRITTEN
    assert await stands(org, ref) == STANDS_BLANK


async def test_by_a_single_row_on_condition(make_org):
    org = await make_org(variables={"SALESFORCE_GUARD_STAGE": "true"})
    ref = (await live(org))[0]
    await full_lead(org, ref)

    [receipt] = await org.adapter.push([Write(1, ref, BLANK, stood={"Lifecycle_Stage__c": "mql"})])

    assert receipt.outcome is Outcome.WRITTEN
    assert [call.method for call in org.sandbox.log.calls(f"sobjects/Lead/{ref.id}")] == ["PATCH"]
    assert await stands(org, ref) == STANDS_BLANK


async def test_by_a_job(make_org):
    org = await make_org(**QUIET)
    refs = (await live(org))[:6]
    for ref in refs:
        await full_lead(org, ref)

    receipts = await send(org, [Write(at, ref, BLANK) for at, ref in enumerate(refs)])

    assert {receipt.outcome for receipt in receipts} == {Outcome.WRITTEN}
    [job] = jobs(org)
    assert b"#N/A" in job.upload
    for ref in refs:
        assert await stands(org, ref) == STANDS_BLANK


@pytest.mark.parametrize("strict", [True, False])
async def test_a_checkbox_is_never_sent_a_blank(make_org, strict):
    org = await make_org(checkbox_takes_null=not strict)
    ref = (await live(org))[0]
    org.sandbox.edit("Lead", ref.id, {"HasOptedOutOfEmail": True})

    [receipt] = await org.adapter.push([Write(1, ref, {"HasOptedOutOfEmail": None})])

    assert receipt.outcome is Outcome.WRITTEN
    assert org.sandbox.raw("Lead", ref.id)["HasOptedOutOfEmail"] is False


async def test_a_field_that_the_org_requires_cannot_become_blank_and_that_is_a_receipt(org):
    ref = (await live(org))[0]

    [receipt] = await org.adapter.push([Write(1, ref, {"LastName": None})])

    assert (receipt.outcome, receipt.code) == (Outcome.REJECTED, "REQUIRED_FIELD_MISSING")


@pytest.mark.parametrize(("before", "after"), [("customer", "lead"), ("mql", "subscriber"), ("sql", None)])
async def test_a_stage_goes_back_freely(org, before, after):
    ref = (await live(org))[0]
    org.sandbox.edit("Lead", ref.id, {"Lifecycle_Stage__c": before})

    [receipt] = await org.adapter.push([Write(1, ref, {"Lifecycle_Stage__c": after})])

    assert receipt.outcome is Outcome.WRITTEN
    assert org.sandbox.raw("Lead", ref.id)["Lifecycle_Stage__c"] == after


async def test_a_validation_rule_that_forbids_the_way_back_is_a_receipt_with_its_text(org):
    first, second = (await live(org))[:2]
    for ref in (first, second):
        org.sandbox.edit("Lead", ref.id, {"Lifecycle_Stage__c": "sql"})
    text = "A stage that sales set may not go back. Ask RevOps."
    org.sandbox.act("Lead", first.id, "refuse", code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message=text)

    refused, written = await org.adapter.push(
        [Write(at, ref, {"Lifecycle_Stage__c": "lead"}) for at, ref in enumerate((first, second))]
    )

    assert (refused.outcome, refused.code) == (Outcome.REJECTED, "FIELD_CUSTOM_VALIDATION_EXCEPTION")
    assert text in refused.reason
    assert written.outcome is Outcome.WRITTEN
    assert org.sandbox.raw("Lead", first.id)["Lifecycle_Stage__c"] == "sql"
    assert org.sandbox.raw("Lead", second.id)["Lifecycle_Stage__c"] == "lead"
