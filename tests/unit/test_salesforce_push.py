"""Pushing against scripted answers: what leaves, and which receipt each row gets."""

from datetime import timedelta

import httpx
import orjson
import pytest
import respx

from adapters.salesforce import PLUGIN
from connector.core.model import Outcome, Ref, Write
from connector.errors import FixConfig, OutcomeUnknown, RetryLater, StopRun
from connector.testing.clock import HandClock

DOMAIN = "https://acme.my.salesforce.com"
API = f"{DOMAIN}/services/data/v66.0"
CONTACT = "0035e00000ZyxwVAAA"


def lead_id(number):
    return f"00Q5e0000000{number:03d}EAA"


def write(number, **values):
    return Write(number, Ref("salesforce", "Lead", lead_id(number)), values or {"MQL_Score__c": 40 + number})


def saved(number):
    return {"id": lead_id(number), "success": True, "errors": []}


def failed(code, message="no"):
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}


def described(**changes):
    """A describe document of our fields, as a user sees it who may edit them."""
    kinds = {
        "MQL_Score__c": {"type": "double", "precision": 3, "scale": 0},
        "MQL_Status__c": {"type": "picklist", "length": 255},
        "MQL_Reason__c": {"type": "string", "length": 255},
        "MQL_Since__c": {"type": "datetime"},
    }
    fields = [
        {"name": name, "updateable": True, **kind, **changes.get(name, {})} for name, kind in kinds.items()
    ]
    return httpx.Response(200, json={"name": "Lead", "updateable": True, "fields": fields})


def rows(*found):
    return httpx.Response(200, json={"totalSize": len(found), "done": True, "records": list(found)})


@pytest.fixture
async def salesforce():
    clock = HandClock()
    adapter = PLUGIN.connect(
        {
            "SALESFORCE_LOGIN_URL": DOMAIN,
            "SALESFORCE_CLIENT_ID": "c",
            "SALESFORCE_CLIENT_SECRET": "consumer-secret",
        },
        clock,
        None,
    )
    with respx.mock(assert_all_called=False) as router:
        identity = "https://login.salesforce.com/id/00D5e000000OrgAEAS/0055e000000UserAAA"
        body = {"access_token": "session-token", "instance_url": DOMAIN, "id": identity}
        router.post(f"{DOMAIN}/services/oauth2/token").mock(return_value=httpx.Response(200, json=body))
        router.get(f"{API}/sobjects/Lead/describe").mock(return_value=described())
        adapter.router, adapter.clock = router, clock
        yield adapter
    await adapter.close()


def answers(salesforce, *bodies):
    responses = [body if not isinstance(body, list) else httpx.Response(200, json=body) for body in bodies]
    return salesforce.router.patch(f"{API}/composite/sobjects").mock(side_effect=responses)


def where(salesforce, *responses):
    return salesforce.router.get(url__startswith=f"{API}/queryAll").mock(side_effect=list(responses))


def told(receipts):
    return [(receipt.write_id, receipt.outcome.value, receipt.code) for receipt in receipts]


async def test_a_batch_is_one_call_that_changes_no_owner_and_passes_duplicate_alerts(salesforce):
    route = answers(salesforce, [saved(1), saved(2)])

    receipts = await salesforce.push([write(1, MQL_Score__c=87, MQL_Since__c=None), write(2)])

    assert told(receipts) == [(1, "written", ""), (2, "written", "")]
    request = route.calls.last.request
    assert request.headers["Sforce-Auto-Assign"] == "FALSE"
    assert request.headers["Sforce-Duplicate-Rule-Header"] == "allowSave=true"
    assert request.headers["Sforce-Call-Options"] == "client=mql-connector"
    body = orjson.loads(request.content)
    assert body["allOrNone"] is False
    assert body["records"][0] == {
        "attributes": {"type": "Lead"}, "id": lead_id(1), "MQL_Score__c": 87, "MQL_Since__c": None,
    }  # fmt: skip
    assert request.content.index(b'"attributes"') < request.content.index(b'"id"')


async def test_a_bad_row_fails_only_itself(salesforce):
    answers(
        salesforce,
        [saved(1), failed("STRING_TOO_LONG", "MQL Reason: data value too large: Asked for a demo (max length=9)"),
         failed("A_NEW_CODE"), {"success": False, "errors": []}, saved(5)],
    )  # fmt: skip
    batch = [write(1), write(2, MQL_Reason__c="Asked for a demo"), write(3), write(4), write(5)]

    receipts = await salesforce.push(batch)

    assert [code for _, _, code in told(receipts)] == ["", "STRING_TOO_LONG", "A_NEW_CODE", "UNNAMED", ""]
    assert [receipt.outcome for receipt in receipts[1:4]] == [Outcome.REJECTED] * 3
    assert "max length=9" in receipts[1].reason
    assert "Make the field longer" in receipts[1].reason


async def test_a_rejection_repeats_neither_what_was_sent_nor_an_address(salesforce):
    message = "bad value for restricted picklist field: Ada Lovelace, ada@example.com"
    answers(salesforce, [failed("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message)])

    [receipt] = await salesforce.push([write(1, MQL_Status__c="Ada Lovelace")])

    assert "Ada" not in receipt.reason
    assert "ada@example.com" not in receipt.reason
    assert "picklist" in receipt.reason


async def test_a_value_that_no_field_can_hold_is_rejected_without_being_sent(salesforce):
    route = answers(salesforce, [saved(2)])
    hostile = Write(3, Ref("salesforce", "Lead", "'-- no id"), {"MQL_Score__c": 1})

    receipts = await salesforce.push([write(1, MQL_Score__c=float("nan")), write(2), hostile])

    assert told(receipts) == [(1, "rejected", "NOT_SENT"), (2, "written", ""), (3, "rejected", "NOT_SENT")]
    assert len(orjson.loads(route.calls.last.request.content)["records"]) == 1


async def test_a_row_that_another_transaction_holds_is_sent_again_alone(salesforce):
    route = answers(salesforce, [saved(1), failed("UNABLE_TO_LOCK_ROW")], [saved(2)])

    receipts = await salesforce.push([write(1), write(2)])

    assert told(receipts) == [(1, "written", ""), (2, "written", "")]
    assert [each["id"] for each in orjson.loads(route.calls[1].request.content)["records"]] == [lead_id(2)]


async def test_a_row_that_stays_held_is_rejected_after_a_few_tries(salesforce):
    route = answers(salesforce, *[[failed("UNABLE_TO_LOCK_ROW")]] * 9)

    receipts = await salesforce.push([write(1)])

    assert told(receipts) == [(1, "rejected", "UNABLE_TO_LOCK_ROW")]
    assert route.call_count == 4


async def test_a_record_that_comes_twice_under_two_spellings_of_its_id_is_sent_once(salesforce):
    route = answers(salesforce, [saved(1)])
    short = Write(2, Ref("salesforce", "Lead", lead_id(1)[:15]), {"MQL_Reason__c": "why"})

    receipts = await salesforce.push([write(1, MQL_Score__c=7), short])

    assert told(receipts) == [(1, "written", ""), (2, "written", "")]
    [element] = orjson.loads(route.calls.last.request.content)["records"]
    assert (element["MQL_Score__c"], element["MQL_Reason__c"]) == (7, "why")


async def test_of_two_values_for_one_field_the_later_is_sent_and_the_earlier_is_not_called_written(
    salesforce,
):
    answers(salesforce, [saved(1)])

    receipts = await salesforce.push([write(1, MQL_Score__c=7), Write(2, write(1).ref, {"MQL_Score__c": 8})])

    assert told(receipts) == [(1, "set_aside", ""), (2, "written", "")]


async def test_rows_of_an_org_whose_storage_is_full_stop_the_run_instead_of_being_sent_batch_after_batch(
    salesforce,
):
    answers(salesforce, [failed("STORAGE_LIMIT_EXCEEDED"), failed("STORAGE_LIMIT_EXCEEDED")])

    with pytest.raises(FixConfig, match="storage"):
        await salesforce.push([write(1), write(2)])


async def test_rows_that_the_days_allowance_stopped_wait_and_the_saved_ones_stay_written(salesforce):
    answers(salesforce, [saved(1), failed("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")])

    assert told(await salesforce.push([write(1), write(2)])) == [
        (1, "written", ""),
        (2, "waiting", "REQUEST_LIMIT_EXCEEDED"),
    ]


async def test_a_field_granted_a_minute_ago_is_written_although_it_was_hidden_when_last_described(salesforce):
    without = httpx.Response(200, json={"name": "Lead", "updateable": True, "fields": []})
    described_as = salesforce.router.get(f"{API}/sobjects/Lead/describe").mock(
        side_effect=[without, described()]
    )
    answers(salesforce, [saved(1)])
    await salesforce.schema("Lead")
    salesforce.clock.advance(timedelta(minutes=2))

    assert told(await salesforce.push([write(1)])) == [(1, "written", "")]
    assert described_as.call_count == 2


async def test_a_user_who_may_not_edit_the_object_is_told_before_anything_is_sent(salesforce):
    locked = httpx.Response(200, json={"name": "Lead", "updateable": False, "fields": []})
    salesforce.router.get(f"{API}/sobjects/Lead/describe").mock(return_value=locked)

    with pytest.raises(FixConfig, match="Grant Edit"):
        await salesforce.push([write(1)])


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        (httpx.ReadTimeout("late"), "unknown"),
        (
            httpx.Response(403, json=[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests"}]),
            "waiting",
        ),
    ],
)
async def test_what_was_written_stays_written_when_a_later_try_breaks_off(salesforce, second, outcome):
    answers(salesforce, [saved(1), failed("UNABLE_TO_LOCK_ROW")], second)

    receipts = await salesforce.push([write(1), write(2)])

    assert [receipt.outcome.value for receipt in receipts] == ["written", outcome]


async def test_converted_merged_and_deleted_records_are_set_aside_with_where_they_went(salesforce):
    answers(
        salesforce,
        [failed("CANNOT_UPDATE_CONVERTED_LEAD"), failed("ENTITY_IS_DELETED"), failed("ENTITY_IS_DELETED"),
         failed("INVALID_CROSS_REFERENCE_KEY"), failed("INVALID_CROSS_REFERENCE_KEY")],
    )  # fmt: skip
    asked = where(
        salesforce,
        rows(
            {"Id": lead_id(1), "IsDeleted": False, "IsConverted": True, "ConvertedContactId": CONTACT},
            {"Id": lead_id(2), "IsDeleted": True, "MasterRecordId": lead_id(7)},
            {"Id": lead_id(3), "IsDeleted": True, "MasterRecordId": None},
            {"Id": lead_id(4), "IsDeleted": False, "IsConverted": False},
        ),
        rows({"Id": lead_id(7), "IsDeleted": True, "MasterRecordId": lead_id(8)}),
        rows({"Id": lead_id(8), "IsDeleted": False, "IsConverted": False}),
    )

    receipts = await salesforce.push([write(number) for number in range(1, 6)])

    assert [(receipt.outcome.value, receipt.moved_to) for receipt in receipts] == [
        ("set_aside", Ref("salesforce", "Contact", CONTACT)),
        ("set_aside", Ref("salesforce", "Lead", lead_id(8))),
        ("set_aside", None),
        ("rejected", None),
        ("set_aside", None),
    ]
    assert asked.call_count == 3


async def test_merges_that_point_at_each_other_end(salesforce):
    answers(salesforce, [failed("ENTITY_IS_DELETED")])
    where(
        salesforce,
        rows({"Id": lead_id(1), "IsDeleted": True, "MasterRecordId": lead_id(2)}),
        rows({"Id": lead_id(2), "IsDeleted": True, "MasterRecordId": lead_id(1)}),
    )

    [receipt] = await salesforce.push([write(1)])

    assert receipt.outcome is Outcome.SET_ASIDE


async def test_where_a_record_went_cannot_be_asked_and_nothing_else_is_lost(salesforce):
    answers(salesforce, [saved(1), failed("ENTITY_IS_DELETED")])
    where(salesforce, httpx.Response(403, json=[{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]))

    receipts = await salesforce.push([write(1), write(2)])

    assert told(receipts) == [(1, "written", ""), (2, "set_aside", "ENTITY_IS_DELETED")]


@pytest.mark.parametrize(
    "body",
    [
        [],
        [saved(1)],
        [saved(1), saved(2), saved(3)],
        [saved(2), saved(1)],
        [saved(1), {"id": lead_id(2)}],
        [saved(1), None],
        [saved(1), {"success": "true", "id": lead_id(2)}],
        httpx.Response(200, json={"hasErrors": False}),
        httpx.Response(200, html="<html>"),
        httpx.Response(200, content=b'[{"id":'),
        httpx.Response(200, content=b""),
        httpx.Response(500, json=[{"errorCode": "UNKNOWN_EXCEPTION", "message": "1234-5 (67)"}]),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("cut"),
    ],
)
async def test_an_answer_that_names_no_outcome_for_each_row_leaves_it_unknown(salesforce, body):
    route = answers(salesforce, body)

    with pytest.raises(OutcomeUnknown):
        await salesforce.push([write(1), write(2)])
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", RetryLater),
        (403, "API_DISABLED_FOR_ORG", "no", FixConfig),
        (400, "JSON_PARSER_ERROR", "no", StopRun),
    ],
)
async def test_a_batch_that_is_refused_whole_says_what_the_run_does_next(
    salesforce, status, code, message, error
):
    answers(salesforce, httpx.Response(status, json=[{"errorCode": code, "message": message}]))

    with pytest.raises(error, match=code):
        await salesforce.push([write(1)])


async def test_too_many_calls_at_once_are_waited_out(salesforce):
    busy = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentPerOrgLongTxn Limit exceeded."}]
    answers(salesforce, httpx.Response(403, json=busy), [saved(1)])

    assert told(await salesforce.push([write(1)])) == [(1, "written", "")]


@pytest.mark.parametrize(
    "batch",
    [
        [write(1), Write(2, Ref("salesforce", "Contact", CONTACT), {"X__c": 1})],
        [write(number) for number in range(201)],
    ],
)
async def test_a_batch_whose_answer_would_be_ambiguous_never_leaves(salesforce, batch):
    with pytest.raises(StopRun):
        await salesforce.push(batch)
    assert salesforce.calls() == 0


async def test_an_empty_batch_needs_no_call(salesforce):
    assert await salesforce.push([]) == []
    assert salesforce.calls() == 0
