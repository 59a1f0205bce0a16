"""Salesforce's write-side quirks, one by one, over real HTTP against the made-up org.

Quirk 34 (a replay id that is too old) is of the streaming API, which this release does not use.
"""

import pytest

from adapters.salesforce.sandbox.record_types import PARTNER
from adapters.salesforce.sandbox.rows import ROUND_ROBIN
from connector.core.model import Outcome, RecordState, Ref, Write
from tests.contract.salesforce_org import FIELDS


def write(number, record, **values):
    return Write(number, getattr(record, "ref", record), values)


async def leads(org, many):
    found = [record for record in (await org.records("Lead")).values() if record.state is RecordState.LIVE]
    return found[:many]


def score(org, record):
    return org.sandbox.raw(record.ref.object, record.ref.id)["MQL_Score__c"]


def collections(org):
    return org.sandbox.log.calls("composite/sobjects")


# ------------------------------------------------------------------------------- what leaves, and with which headers


async def test_quirk_salesforce_18_an_alert_of_a_duplicate_rule_does_not_stop_a_score(make_org):
    org = await make_org(duplicate_rule=True)
    lead = await org.one("Lead")
    org.sandbox.create("Lead", {"LastName": "Twin", "Company": "Twin Inc.", "Email": lead.values["Email"]})

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert receipt.outcome is Outcome.WRITTEN
    assert score(org, lead) == 42


async def test_quirk_salesforce_19_a_score_never_hands_a_lead_to_another_owner(make_org):
    """The org has an active assignment rule, which an update without the header would set off."""
    org = await make_org(assignment_rule=True)
    lead = await org.one("Lead")
    before = org.sandbox.raw("Lead", lead.ref.id)["OwnerId"]

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert receipt.outcome is Outcome.WRITTEN
    assert org.sandbox.raw("Lead", lead.ref.id)["OwnerId"] == before != ROUND_ROBIN
    assert all(call.status == 200 for call in collections(org))


# ------------------------------------------------------------------------------------ converted, merged, deleted


async def test_quirk_salesforce_20_a_lead_converted_since_the_plan_stops_nobody_else_and_names_its_contact(
    org,
):
    converted, other = await leads(org, 2)
    org.sandbox.act("Lead", converted.ref.id, "convert")
    contact = org.sandbox.raw("Lead", converted.ref.id)["ConvertedContactId"]

    first, second = await org.adapter.push(
        [write(1, converted, MQL_Score__c=42), write(2, other, MQL_Score__c=43)]
    )

    assert (first.outcome, first.moved_to) == (Outcome.SET_ASIDE, Ref("salesforce", "Contact", contact))
    assert second.outcome is Outcome.WRITTEN
    assert len(collections(org)) == 1, "nobody waits for a second call"
    assert score(org, converted) is None


@pytest.mark.parametrize("known", [True, False])
async def test_quirk_salesforce_20_where_the_org_lets_dead_leads_be_edited_they_are_looked_for(
    make_org, known
):
    """No error tells then. Once the switch says so, a converted lead gets nothing, whatever the org permits."""
    org = await make_org(edit_converted=True)
    org.adapter.use({"converted_leads_editable": known})
    converted, other = await leads(org, 2)
    org.sandbox.act("Lead", converted.ref.id, "convert")

    first, second = await org.adapter.push(
        [write(1, converted, MQL_Score__c=42), write(2, other, MQL_Score__c=43)]
    )

    assert second.outcome is Outcome.WRITTEN
    assert first.outcome is (Outcome.SET_ASIDE if known else Outcome.WRITTEN)
    assert score(org, converted) == (None if known else 42)
    assert bool(first.moved_to) is known


async def test_quirk_salesforce_21_a_merged_record_is_followed_to_the_one_that_remains_through_a_chain(org):
    first, second, winner = await leads(org, 3)
    org.sandbox.act("Lead", first.ref.id, "merge", into=second.ref.id)
    org.sandbox.act("Lead", second.ref.id, "merge", into=winner.ref.id)

    [receipt] = await org.adapter.push([write(1, first, MQL_Score__c=42)])

    assert (receipt.outcome, receipt.moved_to) == (Outcome.SET_ASIDE, winner.ref)


# ----------------------------------------------------------------------------------------- locks, triggers, flows


async def test_quirk_salesforce_26_a_locked_row_is_sent_again_alone_and_the_others_are_not(org):
    locked, *others = await leads(org, 4)
    org.sandbox.act("Lead", locked.ref.id, "refuse", times=2)

    receipts = await org.adapter.push(
        [write(n, each, MQL_Score__c=42) for n, each in enumerate([locked, *others])]
    )

    assert {receipt.outcome for receipt in receipts} == {Outcome.WRITTEN}
    assert len(collections(org)) == 3
    times = [w.id for w in org.sandbox.log.writes() if w.by == "api"]
    assert sorted(times) == sorted(each.ref.id for each in [locked, *others])


@pytest.mark.parametrize("wrapper", ["CANNOT_EXECUTE_FLOW_TRIGGER", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"])
async def test_quirk_salesforce_26_a_lock_inside_a_flow_or_trigger_counts_as_a_lock(org, wrapper):
    lead = await org.one("Lead")
    inside = (
        "RollUp: execution of AfterUpdate caused by: first error: UNABLE_TO_LOCK_ROW, unable to obtain ..."
    )
    org.sandbox.act("Lead", lead.ref.id, "refuse", code=wrapper, message=inside)

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert receipt.outcome is Outcome.WRITTEN


async def test_a_validation_rule_inside_a_flow_is_no_lock_and_is_not_sent_again(org):
    lead = await org.one("Lead")
    inside = "Sync: first error: FIELD_CUSTOM_VALIDATION_EXCEPTION, Industry is missing"
    org.sandbox.act(
        "Lead", lead.ref.id, "refuse", code="CANNOT_EXECUTE_FLOW_TRIGGER", message=inside, times=9
    )

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert receipt.outcome is Outcome.REJECTED
    assert "validation rule" in receipt.reason
    assert len(collections(org)) == 1


async def test_rows_whose_lock_never_goes_are_rejected_after_a_few_tries(org):
    lead = await org.one("Lead")
    org.sandbox.act("Lead", lead.ref.id, "refuse", times=99)

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert (receipt.outcome, receipt.code) == (Outcome.REJECTED, "UNABLE_TO_LOCK_ROW")
    assert len(collections(org)) == 4


async def test_a_trigger_that_runs_out_of_time_gets_half_as_many_rows_until_it_gets_through(make_org):
    org = await make_org(trigger_rows=5)
    people = await leads(org, 20)

    receipts = await org.adapter.push([write(n, each, MQL_Score__c=42) for n, each in enumerate(people)])
    tried = len(collections(org))
    again = await org.adapter.push([write(n, each, MQL_Score__c=43) for n, each in enumerate(people)])

    assert {receipt.outcome for receipt in [*receipts, *again]} == {Outcome.WRITTEN}
    assert {score(org, each) for each in people} == {43}
    assert tried == 2 + 4  # 20 and 10 were too many, then four times 5
    assert len(collections(org)) - tried == 4  # what was learned is kept


async def test_a_trigger_that_fails_for_a_single_row_rejects_that_row_alone(org):
    bad, *others = await leads(org, 4)
    text = "LeadTrigger: System.LimitException: Apex CPU time limit exceeded"
    code = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    org.sandbox.act("Lead", bad.ref.id, "refuse", code=code, message=text, times=99)

    receipts = await org.adapter.push(
        [write(n, each, MQL_Score__c=42) for n, each in enumerate([bad, *others])]
    )

    assert [receipt.outcome for receipt in receipts] == [Outcome.REJECTED, *[Outcome.WRITTEN] * 3]


# --------------------------------------------------------------------------- what the schema tells before the call


async def test_quirk_salesforce_27_a_value_that_only_the_record_type_refuses_is_rejected_and_says_so(
    make_org,
):
    """Describe lists the union of all record types, so the value passes our own check."""
    org = await make_org(record_types=True)
    every = await leads(org, 60)
    kind = {each.ref.id: org.sandbox.raw("Lead", each.ref.id)["RecordTypeId"] for each in every}
    partner = next(each for each in every if kind[each.ref.id] == PARTNER)
    plain = next(each for each in every if kind[each.ref.id] is None)

    first, second = await org.adapter.push(
        [write(1, partner, MQL_Status__c="qualified"), write(2, plain, MQL_Status__c="qualified")]
    )

    assert first.outcome is Outcome.REJECTED
    assert "record's type" in first.reason
    assert second.outcome is Outcome.WRITTEN


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ({"MQL_Status__c": "Qualified!"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "no active value"),
        ({"MQL_Status__c": "QUALIFIED"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Spell it `qualified`"),
        ({"MQL_Reason__c": "x" * 256}, "STRING_TOO_LONG", "256 characters"),
        ({"MQL_Score__c": 1000}, "NUMBER_OUTSIDE_VALID_RANGE", "more digits"),
        ({"MQL_Score__c": "high"}, "INVALID_TYPE_ON_FIELD_IN_RECORD", "a text"),
        ({"MQL_Since__c": "yesterday"}, "INVALID_TYPE_ON_FIELD_IN_RECORD", "date and time"),
        ({"MQL_Nothing__c": 1}, "INVALID_FIELD", "field-level security"),
        ({"IsConverted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", "may not be edited"),
        ({"Ext_Id__c": "k"}, "DUPLICATE_VALUE", "unique"),
    ],
)
async def test_what_the_schema_refuses_is_rejected_before_the_call_and_the_rest_of_the_batch_goes(
    org, values, code, said
):
    bad, good = await leads(org, 2)

    first, second = await org.adapter.push([write(1, bad, **values), write(2, good, MQL_Score__c=42)])

    assert (first.outcome, first.code) == (Outcome.REJECTED, code)
    assert said in first.reason
    assert second.outcome is Outcome.WRITTEN
    assert not [w for w in org.sandbox.log.writes() if w.id == bad.ref.id]


@pytest.mark.parametrize(
    ("field", "sent", "stored"),
    [
        ("AnnualRevenue", 1.005, 1.01),
        ("AnnualRevenue", 2.675, 2.68),
        ("MQL_Score__c", 41.5, 42.0),
        ("MQL_Since__c", "2026-11-22T11:30:00.75+01:00", "2026-11-22T10:30:00.000+0000"),
        ("MQL_Reason__c", "  asked for a demo ", "asked for a demo"),
        ("MQL_Reason__c", "   ", None),
        ("MQL_Reason__c", 41.0, "41"),
    ],
)
@pytest.mark.parametrize("rounding", ["ROUND_HALF_UP", "ROUND_HALF_EVEN", "ROUND_DOWN"])
async def test_a_value_is_sent_as_it_will_be_stored_whatever_the_org_would_make_of_it(
    make_org, field, sent, stored, rounding
):
    """How Salesforce rounds is not documented; what is rounded already is rounded by nobody."""
    org = await make_org(people=10, rounding=rounding)
    lead = await org.one("Lead")

    [receipt] = await org.adapter.push([write(1, lead, **{field: sent})])

    assert receipt.outcome is Outcome.WRITTEN
    assert org.sandbox.raw("Lead", lead.ref.id)[field] == stored


@pytest.mark.parametrize("answer", ["row", "request", "last"])
async def test_a_record_named_by_both_its_ids_in_one_batch_is_sent_once(make_org, answer):
    org = await make_org(same_id_twice=answer)
    lead = await org.one("Lead")
    short = Ref("salesforce", "Lead", lead.ref.id[:15])

    receipts = await org.adapter.push([write(1, lead, MQL_Score__c=42), write(2, short, MQL_Band__c=3)])

    assert [receipt.outcome for receipt in receipts] == [Outcome.WRITTEN] * 2
    row = org.sandbox.raw("Lead", lead.ref.id)
    assert (row["MQL_Score__c"], row["MQL_Band__c"]) == (42, 3)
    assert len([w for w in org.sandbox.log.writes() if w.by == "api"]) == 1


async def test_quirk_salesforce_28_a_person_account_is_written_through_its_contact_alone(make_org):
    """One side only; what is not writable there is refused for that row, and the rest of the batch goes."""
    org = await make_org(person_accounts=3)
    people = list((await org.records("Contact")).values())
    persons = [each for each in people if org.sandbox.raw("Contact", each.ref.id)["IsPersonAccount"]]
    plain = next(each for each in people if each not in persons and each.state is RecordState.LIVE)

    receipts = await org.adapter.push(
        [
            write(1, persons[0], MQL_Score__c=42),
            write(2, persons[1], AccountId=org.sandbox.raw("Contact", plain.ref.id)["AccountId"]),
            write(3, plain, MQL_Score__c=43),
        ]
    )

    assert [receipt.outcome.value for receipt in receipts] == ["written", "rejected", "written"]
    assert receipts[1].code == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert score(org, persons[0]) == 42
    written = [call for call in org.sandbox.log.calls("services/data") if call.method != "GET"]
    assert not [call for call in written if "Account/" in call.path]
    account = org.sandbox.raw("Contact", persons[0].ref.id)["AccountId"]
    assert org.sandbox.raw("Account", account)["MQL_Score__pc"] == 42


async def test_trap_a_failure_while_building_the_payload_costs_only_its_record(org):
    """A value that nothing can serialize, an id that is none: the batch goes on, and each has its receipt."""
    a, b, c, d = await leads(org, 4)
    broken = Write(2, Ref("salesforce", "Lead", "not-an-id"), {"MQL_Score__c": 5})
    receipts = await org.adapter.push(
        [
            write(1, a, MQL_Score__c=42),
            broken,
            write(3, b, MQL_Score__c=float("nan")),
            write(4, c, MQL_Reason__c={"not": "text"}),
            write(5, d, MQL_Reason__c="half \ud83d a character"),
        ]
    )

    assert [receipt.outcome.value for receipt in receipts] == ["written", *["rejected"] * 4]
    assert all(receipt.reason for receipt in receipts[1:])
    assert (await org.adapter.read([a.ref], FIELDS))[a.ref].values["MQL_Score__c"] == 42
