"""A batch goes in, one receipt per write comes out: every way in which HubSpot half-answers."""

from __future__ import annotations

import httpx
import orjson
import pytest
import respx

from adapters.hubspot import connect
from connector.core.model import Outcome, Ref, Write
from connector.errors import FixConfig, OutcomeUnknown, RetryLater
from connector.testing.clock import HandClock

BASE = "https://api.crm.example"
UPDATE = f"{BASE}/crm/objects/2026-03/contacts/batch/update"
ONE = f"{BASE}/crm/objects/2026-03/contacts"


def write(number: int, **values):
    return Write(number, Ref("hubspot", "contact", str(100 + number)), values or {"mql_score": number})


def accepted(inputs):
    return [{"id": one["id"], "properties": one["properties"]} for one in inputs]


def sent(call=-1):
    return orjson.loads(respx.calls[call].request.content)["inputs"]


@pytest.fixture
async def hubspot():
    variables = {"HUBSPOT_ACCESS_TOKEN": "a-made-up-token", "HUBSPOT_BASE_URL": BASE}
    adapter = connect(variables, HandClock(), None)
    yield adapter
    await adapter.close()


@pytest.fixture(autouse=True)
def wire():
    with respx.mock:  # a token that may not read the schema: HubSpot's own answers have to say everything
        respx.get(f"{BASE}/crm/properties/2026-03/contacts").respond(403, json={"message": "not for you"})
        yield


def answers(respond):
    """HubSpot's batch update, by what is done with its inputs."""

    def handle(request: httpx.Request) -> httpx.Response:
        return respond(orjson.loads(request.content)["inputs"])

    return respx.post(UPDATE).mock(side_effect=handle)


async def test_each_write_is_one_input_with_its_own_trace_id_and_values_as_text(hubspot):
    answers(lambda inputs: httpx.Response(200, json={"results": accepted(inputs)}))

    receipts = await hubspot.push([write(1, mql_score=42, mql_since=None), write(2, mql_band=3.0)])

    assert [r.outcome for r in receipts] == [Outcome.WRITTEN] * 2
    assert [one["id"] for one in sent()] == ["101", "102"]
    assert sent()[0]["properties"] == {"mql_score": "42", "mql_since": ""}
    assert sent()[1]["properties"] == {"mql_band": "3"}
    assert len({one["objectWriteTraceId"] for one in sent()}) == 2


async def test_receipts_keep_the_order_of_the_writes_whatever_the_order_of_the_results(hubspot):
    answers(lambda inputs: httpx.Response(200, json={"results": accepted(inputs)[::-1]}))

    receipts = await hubspot.push([write(n) for n in (3, 1, 2)])

    assert [r.write_id for r in receipts] == [3, 1, 2]


@pytest.mark.parametrize("status", [200, 207])
async def test_an_error_with_a_trace_id_rejects_only_its_record_under_any_status(hubspot, status):
    def respond(inputs):
        error = {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "code": "INVALID_OPTION",
            "message": "Z is not an option",
            "context": {
                "objectWriteTraceId": [inputs[0]["objectWriteTraceId"]],
                "propertyName": ["mql_grade"],
            },
        }
        return httpx.Response(
            status, json={"results": accepted(inputs[1:]), "errors": [error], "numErrors": 1}
        )

    answers(respond)

    bad, good = await hubspot.push([write(1), write(2)])

    assert (bad.outcome, bad.code) == (Outcome.REJECTED, "INVALID_OPTION")
    assert "Z is not an option" in bad.reason
    assert "mql_grade" in bad.reason
    assert good.outcome is Outcome.WRITTEN


async def test_a_refused_batch_is_halved_until_the_bad_record_is_found(hubspot):
    def respond(inputs):
        if any(one["id"] == "105" for one in inputs):
            return httpx.Response(400, json={"category": "VALIDATION_ERROR", "message": "bad value"})
        return httpx.Response(200, json={"results": accepted(inputs)})

    answers(respond)

    receipts = await hubspot.push([write(n) for n in range(8)])

    assert [r.write_id for r in receipts if r.outcome is Outcome.REJECTED] == [5]
    assert sum(r.outcome is Outcome.WRITTEN for r in receipts) == 7


async def test_a_property_that_is_missing_rejects_who_carries_it_without_halving(hubspot):
    def respond(inputs):
        if any("mql_gone" in one["properties"] for one in inputs):
            error = {"code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["mql_gone"]}}
            return httpx.Response(400, json={"message": "Property values were not valid", "errors": [error]})
        return httpx.Response(200, json={"results": accepted(inputs)})

    route = answers(respond)

    receipts = await hubspot.push([write(n, mql_gone=1) for n in range(50)] + [write(60)])

    assert route.call_count == 2
    assert receipts[-1].outcome is Outcome.WRITTEN
    assert all(r.code == "PROPERTY_DOESNT_EXIST" and "Create it" in r.reason for r in receipts[:-1])


async def test_a_merged_record_that_the_answer_leaves_out_is_set_aside_with_its_survivor(hubspot):
    answers(lambda inputs: httpx.Response(200, json={"results": accepted(inputs[1:])}))
    respx.get(f"{ONE}/101").respond(200, json={"id": "900", "properties": {"hs_merged_object_ids": "101"}})

    merged, good = await hubspot.push([write(1), write(2)])

    assert merged.outcome is Outcome.SET_ASIDE
    assert merged.moved_to == Ref("hubspot", "contact", "900")
    assert good.outcome is Outcome.WRITTEN


async def test_a_deleted_record_is_set_aside(hubspot):
    def respond(inputs):
        error = {"category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": [inputs[0]["id"]]}}
        return httpx.Response(207, json={"results": accepted(inputs[1:]), "errors": [error], "numErrors": 1})

    answers(respond)
    respx.get(f"{ONE}/101").respond(404, json={"category": "OBJECT_NOT_FOUND", "message": "gone"})

    gone, _ = await hubspot.push([write(1), write(2)])

    assert (gone.outcome, gone.moved_to) == (Outcome.SET_ASIDE, None)


async def test_an_answer_that_did_nothing_silently_is_not_taken_for_a_success(hubspot):
    answers(lambda inputs: httpx.Response(200, json={"status": "COMPLETE", "results": []}))
    respx.get(f"{ONE}/101").respond(200, json={"id": "101", "properties": {"mql_score": "0"}})
    respx.get(f"{ONE}/102").respond(200, json={"id": "102", "properties": {"mql_score": "2"}})

    one, two = await hubspot.push([write(1), write(2)])

    assert one.outcome is Outcome.UNKNOWN
    assert two.outcome is Outcome.WRITTEN  # it holds what we sent


@pytest.mark.parametrize("reply", [{"lifecyclestage": "customer"}, {}])
async def test_a_stage_that_hubspot_kept_is_rejected_with_what_it_kept(hubspot, reply):
    answers(lambda inputs: httpx.Response(200, json={"results": [{"id": "101", "properties": reply}]}))
    respx.get(f"{ONE}/101").respond(200, json={"id": "101", "properties": {"lifecyclestage": "customer"}})

    (receipt,) = await hubspot.push([write(1, lifecyclestage="marketingqualifiedlead", mql_score=9)])

    assert receipt.outcome is Outcome.REJECTED
    assert "HubSpot kept lifecyclestage `customer`" in receipt.reason
    assert "other fields were written" in receipt.reason


async def test_the_same_record_twice_goes_out_once(hubspot):
    answers(lambda inputs: httpx.Response(200, json={"results": accepted(inputs)}))
    twice = [write(1, mql_score=1), Write(7, Ref("hubspot", "contact", "101"), {"mql_score": 2})]

    receipts = await hubspot.push(twice)

    assert len(sent()) == 1
    assert sent()[0]["properties"] == {"mql_score": "2"}
    assert [r.outcome for r in receipts] == [Outcome.WRITTEN] * 2


async def test_a_lost_answer_is_an_unknown_outcome_and_is_not_sent_again(hubspot):
    route = respx.post(UPDATE).mock(side_effect=httpx.ReadTimeout("lost"))

    with pytest.raises(OutcomeUnknown):
        await hubspot.push([write(1)])

    assert route.call_count == 1


async def test_an_answer_lost_after_a_part_was_answered_keeps_the_answered_part(hubspot):
    count = 0

    def respond(inputs):
        nonlocal count
        count += 1
        if count == 1:
            return httpx.Response(400, json={"message": "bad"})
        if count == 3:
            raise httpx.ReadTimeout("lost")
        return httpx.Response(200, json={"results": accepted(inputs)})

    answers(respond)

    receipts = await hubspot.push([write(n) for n in range(4)])

    assert [r.outcome for r in receipts] == [Outcome.WRITTEN] * 2 + [Outcome.UNKNOWN] * 2


async def test_a_missing_scope_stops_every_write(hubspot):
    body = {
        "category": "MISSING_SCOPES",
        "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]},
    }
    respx.post(UPDATE).respond(403, json=body)

    with pytest.raises(FixConfig, match=r"crm\.objects\.contacts\.write"):
        await hubspot.push([write(1)])


async def test_writing_stops_when_the_days_share_is_spent_by_whomever(hubspot):
    spent = {"X-HubSpot-RateLimit-Daily": "1000", "X-HubSpot-RateLimit-Daily-Remaining": "700"}
    respx.get(f"{BASE}/account-info/2026-03/details").respond(200, json={"portalId": 1}, headers=spent)
    route = respx.post(UPDATE)
    await hubspot.account()

    with pytest.raises(RetryLater, match="30%") as caught:
        await hubspot.push([write(1)])

    assert caught.value.after
    assert route.call_count == 0


async def test_nothing_to_push_sends_nothing(hubspot):
    assert await hubspot.push([]) == []
    assert hubspot.calls() == 0


@pytest.mark.parametrize("junk", [[], {"results": None}, {"results": "x"}, "text"])
async def test_an_answer_without_results_leaves_the_outcome_unknown(hubspot, junk):
    respx.post(UPDATE).respond(200, json=junk)

    with pytest.raises(OutcomeUnknown):
        await hubspot.push([write(1)])
