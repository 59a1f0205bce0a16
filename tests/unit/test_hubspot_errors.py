"""The table from HubSpot's statuses and bodies to what the run does next."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from adapters.hubspot.errors import BadRequest, classifier, message_of
from connector.errors import FixConfig, RetryLater
from connector.transport import Answer, Fail, Ok, Refresh, Retry

classify = classifier(lambda: timedelta(hours=3))


def answer(status, json=None, headers=None):
    return Answer(
        status,
        httpx.Headers(headers or {}),
        json,
        readable=json is not None,
        asked="GET /crm/objects/2026-03/contacts",
        correlation_id="c-1",
    )


LIMIT = {"status": "error", "message": "You have reached your ten_secondly_rolling limit."}


@pytest.mark.parametrize("status", [200, 201, 204, 207])
def test_every_2xx_is_read_by_its_body(status):
    assert classify(answer(status)) == Ok()


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        ({**LIMIT, "policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT"}, {}, 10),
        ({**LIMIT, "category": "RATE_LIMITS"}, {}, 10),
        ({"policyName": "SECONDLY"}, {}, 1),
        ({"message": "You have reached your secondly limit."}, {}, 1),
        (None, {}, 10),
        ({"policyName": "SECONDLY"}, {"Retry-After": "7"}, 7),
        ({"policyName": "SECONDLY"}, {"Retry-After": "tomorrow"}, 1),
    ],
)
def test_a_full_window_is_waited_out_as_its_policy_says(body, headers, seconds):
    verdict = classify(answer(429, body, headers))

    assert isinstance(verdict, Retry)
    assert verdict.after == timedelta(seconds=seconds)
    assert verdict.refused
    assert verdict.hold


@pytest.mark.parametrize("body", [{"policyName": "DAILY"}, {"message": "You have reached your daily limit."}])
def test_a_spent_day_waits_until_midnight_of_the_account(body):
    verdict = classify(answer(429, body))

    assert isinstance(verdict, Retry)
    assert verdict.after == timedelta(hours=3)
    assert isinstance(verdict.error, RetryLater)


def test_an_expired_token_is_renewed():
    assert isinstance(classify(answer(401, {"category": "EXPIRED_AUTHENTICATION"})), Refresh)


@pytest.mark.parametrize(
    "body",
    [
        {"category": "MISSING_SCOPES", "errors": [{"context": {"requiredGranularScopes": ["forms"]}}]},
        {"category": "MISSING_SCOPES", "context": {"requiredGranularScopes": ["forms"]}},
    ],
)
def test_a_missing_scope_is_named(body):
    verdict = classify(answer(403, body))

    assert isinstance(verdict, Fail)
    assert isinstance(verdict.error, FixConfig)
    assert "forms" in verdict.error.message
    assert verdict.error.next_step


@pytest.mark.parametrize("status", [302, 403, 530])
def test_what_a_human_must_change_is_configuration(status):
    verdict = classify(answer(status))

    assert isinstance(verdict, Fail)
    assert isinstance(verdict.error, FixConfig)
    assert verdict.error.next_step


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521, 524])
def test_trouble_at_hubspot_is_tried_again_but_a_write_may_have_happened(status):
    verdict = classify(answer(status))

    assert isinstance(verdict, Retry)
    assert not verdict.refused


@pytest.mark.parametrize(("status", "seconds"), [(423, 2), (477, 3600)])
def test_a_lock_and_a_move_surely_wrote_nothing(status, seconds):
    verdict = classify(answer(status))

    assert isinstance(verdict, Retry)
    assert verdict.after == timedelta(seconds=seconds)
    assert verdict.refused


@pytest.mark.parametrize("status", [400, 404, 409, 414, 418])
@pytest.mark.parametrize(
    "body", [None, [], "text", {"message": None}, {"errors": "none"}, {"errors": [None]}]
)
def test_a_refusal_keeps_its_answer_whatever_the_body_looks_like(status, body):
    verdict = classify(answer(status, body))

    assert isinstance(verdict, Fail)
    assert isinstance(verdict.error, BadRequest)
    assert "c-1" in str(verdict.error)


def test_what_hubspot_says_comes_without_addresses_and_not_too_long():
    said = message_of({"message": "Email address ada@example.com is invalid. " + "x" * 900})

    assert "ada@" not in said
    assert len(said) <= 300
