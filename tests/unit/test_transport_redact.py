"""Nothing secret and nobody's address comes through, in whatever spelling."""

from __future__ import annotations

import pytest

from connector.transport import redact, redact_processor, remember_secrets, scrub
from connector.transport.redact import MOST_PASSING

# Put together here so that no scanner mistakes a made-up example for a leaked token.
PAT = "pat-" + "na1-11111111-2222-3333-4444-555555555555"
SESSION = "00D" + "000000000062EAA!" + "AQEAQNotARealSessionIdAtAll_x.y"
JWT = "eyJ" + "hbGciOiJSUzI1NiJ9.eyJpc3MiOiJtYWRlLXVwIn0.c2lnbmF0dXJl"
OURS = "mqlc_" + "made_up-made_up-made_up-made_up-made_up-made_up-x"
REFRESH = "5Aep" + "861made.up.refresh_token-value"
KEY = "-----BEGIN " + "PRIVATE KEY-----\nTUFERSBVUA==\n-----END " + "PRIVATE KEY-----"


@pytest.mark.parametrize("secret", [PAT, OURS, SESSION, SESSION.replace("!", "%21"), JWT, REFRESH, KEY])
@pytest.mark.parametrize("text", ["{}", "Authorization: Bearer {}", "x={}&y=1", "failed for '{}', next"])
def test_a_token_is_known_by_its_shape(secret, text):
    shown = redact(text.format(secret))

    assert secret not in shown
    assert secret[10:22] not in shown


@pytest.mark.parametrize(
    "text",
    [
        "grant_type=refresh_token&client_id=abc&client_secret=VALUE-1&x=1",
        "https://api.crm.example/token?refresh_token=VALUE-1",
        '{"access_token": "VALUE-1", "expires_in": 1800}',
        "{'client_secret': 'VALUE-1'}",
        "Authorization: VALUE-1xyz",
        "authorization: Bearer VALUE-1xyz",
        "postgresql://user:VALUE-1@db.example/x",
    ],
)
def test_a_secret_is_known_by_its_name(text):
    assert "VALUE-1" not in redact(text)


def test_a_remembered_secret_is_hidden_in_every_spelling():
    remember_secrets(["p/4+ss w0rd=", None, "no"])

    assert redact("a p/4+ss w0rd= b p%2F4%2Bss%20w0rd%3D c p%2F4%2Bss+w0rd%3D") == (
        "a [hidden] b [hidden] c [hidden]"
    )
    assert redact("no, short words stay") == "no, short words stay"


def test_ordinary_text_is_left_alone():
    text = "GET /crm/objects/2026-03/contacts answered 400: token expired 42 seconds ago for basic plan"
    assert scrub(text) == text


def test_addresses_of_people_are_scrubbed():
    assert scrub("Email address Ada.L+x@sub.example.com is invalid") == "Email address [email] is invalid"
    assert scrub("email=ada%40example.com") == "[email]" or "ada" not in scrub("email=ada%40example.com")


def test_a_log_line_is_cleaned_however_deep():
    event = {
        "event": f"refused {PAT}",
        "headers": {"authorization": "anything at all", "date": "today"},
        "list": [("to", "ada@example.com")],
        "error": ValueError(f"bad {SESSION}"),
        "refresh_token": "abc",
        "count": 3,
    }

    clean = redact_processor(None, "info", event)

    shown = repr(clean)
    assert PAT not in shown
    assert SESSION not in shown
    assert "anything" not in shown
    assert "ada@" not in shown
    assert clean["refresh_token"] == "[hidden]"
    assert clean["count"] == 3
    assert clean["headers"]["date"] == "today"


def test_of_tokens_that_come_and_go_the_newest_are_known_and_what_is_set_stays_known():
    remember_secrets(["set-once-and-for-all"])
    remember_secrets(["set-once-and-for-all", "session-first"], passing=True)
    remember_secrets([f"session-{number:05d}" for number in range(MOST_PASSING)], passing=True)
    remember_secrets(["session-last"], passing=True)
    told = redact("set-once-and-for-all session-first session-last")
    assert told == "[hidden] session-first [hidden]"


def test_a_secret_that_is_part_of_another_leaves_no_rest():
    remember_secrets(["canary-within"])
    remember_secrets(["canary-within-a-longer-one"])
    assert redact("<canary-within-a-longer-one> <canary-within>") == "<[hidden]> <[hidden]>"
