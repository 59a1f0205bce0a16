"""A stage that is lowered only where nobody changed the record since: off by default, one conditional call a record."""

from datetime import timedelta

import pytest

from connector.core.model import Outcome, RecordState, Ref, Write
from connector.errors import FixConfig


async def lead_at(org, stage):
    lead = await org.one("Lead", lambda record: record.state is RecordState.LIVE)
    org.sandbox.edit("Lead", lead.ref.id, {"Lifecycle_Stage__c": stage})
    org.clock.advance(timedelta(minutes=1))
    return lead.ref


def lower(number, ref, before="mql", after="lead"):
    values = {"Lifecycle_Stage__c": after, "MQL_Score__c": 12}
    return Write(number, ref, values, stood={"Lifecycle_Stage__c": before})


@pytest.fixture
async def guarded(make_org):
    return await make_org(variables={"SALESFORCE_GUARD_STAGE": "true"})


def conditional(org):
    return [call for call in org.sandbox.log.calls("sobjects/Lead/") if call.method == "PATCH"]


async def test_a_stage_that_still_stands_is_lowered_on_condition(guarded):
    ref = await lead_at(guarded, "mql")
    owner = guarded.sandbox.raw("Lead", ref.id)["OwnerId"]

    [receipt] = await guarded.adapter.push([lower(1, ref)])

    assert receipt.outcome is Outcome.WRITTEN
    row = guarded.sandbox.raw("Lead", ref.id)
    assert (row["Lifecycle_Stage__c"], row["MQL_Score__c"], row["OwnerId"]) == ("lead", 12, owner)
    assert len(conditional(guarded)) == 1


async def test_a_stage_that_somebody_raised_since_is_left_alone(guarded):
    ref = await lead_at(guarded, "sql")

    [receipt] = await guarded.adapter.push([lower(1, ref)])

    assert receipt.outcome is Outcome.SET_ASIDE
    assert guarded.sandbox.raw("Lead", ref.id)["Lifecycle_Stage__c"] == "sql"
    assert not conditional(guarded)


async def test_a_record_that_changes_between_look_and_write_is_set_aside_as_changed_since(guarded):
    ref = await lead_at(guarded, "mql")
    changed = [{"errorCode": "PRECONDITION_FAILED", "message": "modified"}]
    guarded.sandbox.faults.add(method="PATCH", path="*/sobjects/Lead/*", status=412, json=changed)

    [receipt] = await guarded.adapter.push([lower(1, ref)])

    assert (receipt.outcome, "since" in receipt.reason) == (Outcome.SET_ASIDE, True)


async def test_a_raise_goes_with_the_batch_as_ever(guarded):
    ref = await lead_at(guarded, "lead")

    [receipt] = await guarded.adapter.push([lower(1, ref, before="lead", after="mql")])

    assert receipt.outcome is Outcome.WRITTEN
    assert not conditional(guarded)


async def test_a_batch_of_both_kinds_gets_a_receipt_for_each_in_order(guarded):
    first = await lead_at(guarded, "mql")
    others = [id for id in guarded.ids("Lead") if id != first.id]
    live = next(id for id in others if not guarded.sandbox.raw("Lead", id)["IsConverted"])
    other = Ref("salesforce", "Lead", live)

    receipts = await guarded.adapter.push([Write(1, other, {"MQL_Score__c": 5}), lower(2, first)])

    assert [(receipt.write_id, receipt.outcome) for receipt in receipts] == [
        (1, Outcome.WRITTEN),
        (2, Outcome.WRITTEN),
    ]


async def test_an_answer_that_is_lost_is_unknown_for_that_row_alone(guarded):
    ref = await lead_at(guarded, "mql")
    guarded.sandbox.faults.add(method="PATCH", path="*/sobjects/Lead/*", drop_after=True)

    [receipt] = await guarded.adapter.push([lower(1, ref)])

    assert receipt.outcome is Outcome.UNKNOWN
    assert guarded.sandbox.raw("Lead", ref.id)["Lifecycle_Stage__c"] == "lead"


async def test_it_is_off_unless_asked_for(org):
    ref = await lead_at(org, "sql")

    [receipt] = await org.adapter.push([lower(1, ref)])

    assert receipt.outcome is Outcome.WRITTEN
    assert not conditional(org)


async def test_anything_but_true_and_false_is_refused(make_org):
    with pytest.raises(FixConfig, match="SALESFORCE_GUARD_STAGE"):
        await make_org(variables={"SALESFORCE_GUARD_STAGE": "sometimes"})


async def test_the_org_itself_refuses_a_write_whose_condition_fails(org):
    """The made-up org judges the header as the real one does, in whole seconds."""
    ref = await lead_at(org, "mql")
    rest = org.adapter._rest
    path = f"/sobjects/Lead/{ref.id}"

    with pytest.raises(Exception, match="412"):
        await rest.send(
            "PATCH",
            path,
            json={"MQL_Score__c": 1},
            headers={"If-Unmodified-Since": "Sun, 01 Nov 2026 00:00:00 GMT"},
        )

    assert org.sandbox.raw("Lead", ref.id)["MQL_Score__c"] is None
