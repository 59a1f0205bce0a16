"""What Salesforce's answers mean for the run, row by row of the table."""

import pytest

from adapters.salesforce.errors import (
    ChangedSince,
    CursorLost,
    Fate,
    Fault,
    FieldRefused,
    ObjectRefused,
    QueryTooSlow,
    classify,
    classify_login,
    fate_of,
    fault_of,
)
from connector.errors import FixConfig, RetryLater, StopRun
from connector.transport import Answer, Fail, Ok, Refresh, Retry


def answer(status, code="", message="", *, content="application/json", size=100):
    body = [{"errorCode": code, "message": message}] if code else None
    return Answer(status, {"content-type": content}, body, readable=bool(code), size=size, asked="GET /query")


def login(status, error, description=""):
    body = {"error": error, "error_description": description}
    return Answer(status, {}, body, asked="POST /services/oauth2/token")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_is_a_success(status):
    assert isinstance(classify(answer(status)), Ok)


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (400, "INVALID_FIELD", "No such column 'X__c' on entity 'Lead'.", FieldRefused),
        (400, "INVALID_TYPE", "sObject type 'Campaign' is not supported.", ObjectRefused),
        (400, "INVALID_QUERY_LOCATOR", "invalid query locator", CursorLost),
        (400, "QUERY_TIMEOUT", "Your query request was running for too long.", QueryTooSlow),
        (400, "MALFORMED_QUERY", "unexpected token", StopRun),
        (403, "API_DISABLED_FOR_ORG", "The REST API is not enabled", FixConfig),
        (403, "INSUFFICIENT_ACCESS", "no", FixConfig),
        (403, "SOMETHING_NEW", "no", FixConfig),
        (404, "NOT_FOUND", "The requested resource does not exist", FixConfig),
        (410, "UNSUPPORTED_API_VERSION", "retired", FixConfig),
        (412, "ENTITY_CHANGED", "changed", ChangedSince),
        (418, "", "", StopRun),
    ],
)
def test_a_fault_that_stays_is_not_tried_again(status, code, message, error):
    verdict = classify(answer(status, code, message))

    assert isinstance(verdict, Fail)
    assert type(verdict.error) is error
    assert str(status) in verdict.error.message
    assert verdict.error.next_step


@pytest.mark.parametrize("status", [406, 420, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("content", ["application/json", "text/html"])
def test_a_fault_that_passes_is_tried_again_whatever_its_body(status, content):
    verdict = classify(answer(status, content=content))

    assert isinstance(verdict, Retry)
    assert isinstance(verdict.error, RetryLater)


def test_a_page_of_html_is_named_as_what_it_is():
    verdict = classify(answer(431, content="text/html"))

    assert "431" in verdict.error.message
    assert "text/html" in verdict.error.message
    assert "fewer fields" in verdict.error.next_step


def test_the_daily_limit_stops_and_the_concurrent_one_waits():
    daily = classify(answer(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    concurrent = classify(
        answer(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
    )

    assert isinstance(daily, Fail)
    assert isinstance(daily.error, RetryLater)
    assert daily.error.after.total_seconds() >= 3600
    assert isinstance(concurrent, Retry)
    assert concurrent.refused
    assert concurrent.after.total_seconds() < 120


@pytest.mark.parametrize(
    ("code", "message", "verdict"),
    [
        ("INVALID_SESSION_ID", "Session expired or invalid", Refresh),
        ("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE", Refresh),
        ("INVALID_JWT_FORMAT", "INVALID_JWT_FORMAT", Refresh),
        ("INVALID_SESSION_ID", "This session is not valid for use with the REST API", Fail),
        ("INVALID_SESSION_ID", "Connected app is not attached to Agent", Fail),
        ("INVALID_LOGIN", "wrong", Fail),
    ],
)
def test_only_a_session_that_ended_is_renewed(code, message, verdict):
    decided = classify(answer(401, code, message))

    assert type(decided) is verdict
    assert isinstance(decided.error, FixConfig)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([{"errorCode": "A", "message": "m"}], "A"),
        ([{"statusCode": "B", "message": "m", "fields": []}], "B"),
        ({"error": "C", "error_description": "m"}, "C"),
        ([], ""),
        (None, ""),
        ("<html>", ""),
        ([["x"]], ""),
    ],
)
def test_every_shape_of_an_error_body_reads_the_same(body, code):
    fault = fault_of(body)

    assert (fault.code, fault.message) == (code, "m" if code else "")


def test_an_address_in_a_vendors_message_is_not_repeated():
    fault = fault_of([{"errorCode": "X", "message": "bad value: ada@example.com"}])

    assert "ada@example.com" not in str(fault)


@pytest.mark.parametrize(
    ("code", "message", "fate"),
    [
        ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", Fate.AGAIN),
        ("CANNOT_EXECUTE_FLOW_TRIGGER", "... UNABLE_TO_LOCK_ROW, unable to obtain ...", Fate.AGAIN),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "FIELD_CUSTOM_VALIDATION_EXCEPTION, no", Fate.REJECT),
        ("TooManyLockFailure", "", Fate.AGAIN),
        ("SERVER_UNAVAILABLE", "", Fate.AGAIN),
        ("QUERY_TIMEOUT", "", Fate.SMALLER),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "LeadTrigger: Apex CPU time limit exceeded", Fate.SMALLER),
        ("UNKNOWN_EXCEPTION", "System.LimitException: Too many SOQL queries: 101", Fate.SMALLER),
        ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", Fate.STOP),
        ("STORAGE_LIMIT_EXCEEDED", "full", Fate.STOP),
        ("TXN_SECURITY_NO_ACCESS", "policy", Fate.STOP),
        ("DUPLICATES_DETECTED", "Use one of these records?", Fate.REJECT),
        ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Company]", Fate.REJECT),
        ("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", Fate.RESOLVE),
        ("ENTITY_IS_DELETED", "entity is deleted", Fate.RESOLVE),
        ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", Fate.RESOLVE),
        ("STRING_TOO_LONG", "data value too large", Fate.REJECT),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value", Fate.REJECT),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "no", Fate.REJECT),
        ("A_CODE_OF_NEXT_YEAR", "?", Fate.REJECT),
    ],
)
def test_each_row_has_one_fate_and_an_unknown_code_is_never_sent_again(code, message, fate):
    assert fate_of(Fault(code, message)) is fate


@pytest.mark.parametrize(
    ("description", "hint"),
    [
        ("user hasn't approved this consumer", "Pre-authorise"),
        ("audience is invalid", "SALESFORCE_JWT_AUDIENCE"),
        ("expired access/refresh token", "authorise again"),
        ("expired authorization code", "clock"),
        ("no client credentials user enabled", "run-as user"),
        ("request not supported on this domain", "My Domain"),
        ("something else", "connector check salesforce"),
    ],
)
def test_a_refused_login_is_final_and_says_what_to_do(description, hint):
    verdict = classify_login(login(400, "invalid_grant", description))

    assert isinstance(verdict, Fail)
    assert isinstance(verdict.error, FixConfig)
    assert hint in verdict.error.next_step


def test_a_login_in_maintenance_is_tried_again_and_a_foreign_page_is_not():
    assert isinstance(classify_login(answer(503, content="text/html")), Retry)
    assert isinstance(classify_login(answer(404, content="text/html")), Fail)
