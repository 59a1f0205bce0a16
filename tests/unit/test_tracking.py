"""One call of the tracking API: when it was, whose it is, which engagement it is, and why it is set aside."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.criteria_file import parse_criteria
from connector.core.tracking import read_call
from connector.errors import FixConfig, SkipRecord

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def call(kind: str = "track", **more: Any) -> dict[str, Any]:
    event = {"event": "Plan Compared"} if kind == "track" else {}
    return {"type": kind, "messageId": "m1", "anonymousId": "a1", **event, **more}


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("Product Added", "cart_added"),
        ("Product Added to Wishlist", "favorite_added"),
        ("Application Installed", "app_download"),
        ("Trial Started", "trial_signup"),
        ("Signed Up", "trial_signup"),
        ("demo_request", "demo_request"),
        ("Demo Request", "demo_request"),
        ("demoRequest", "demo_request"),
        ("Docs Viewed", "docs_viewed"),
        ("Checkout Started", "purchase_intent"),
        ("Plan Compared", "other"),
    ],
)
def test_an_event_is_of_our_type_by_its_name(name: str, type: str) -> None:
    found = read_call(call(event=name, properties={"plan": "pro"}), NOW)
    assert found.event is not None
    assert (found.event.type, found.event.name) == (type, name)
    assert found.event.attributes == {"plan": "pro", "event": name}


def test_rules_of_the_file_go_first_and_say_where_name_value_and_address_stand() -> None:
    rules = parse_criteria(
        {
            "tracking": [
                {"event": ["Plan *", "Pricing ?"], "where": {"field": "properties.plan", "is": "pro"},
                 "type": "price_question", "name": "properties.plan", "value": "properties.seats",
                 "email": "properties.contact"},
                {"call": "page", "where": {"field": "url", "contains": "/docs/"}, "type": "docs_viewed"},
            ]
        }
    ).tracking  # fmt: skip
    asked = read_call(
        call(event="plan compared", properties={"plan": "Pro", "seats": "12", "contact": "Ada@Example.com"}),
        NOW,
        rules=rules,
    )
    docs = read_call(call("page", context={"page": {"url": "https://x.example/docs/a"}}), NOW, rules=rules)
    page = read_call(call("page", name="Home", properties={"url": "https://x.example/"}), NOW, rules=rules)
    screen = read_call(call("screen", name="Start"), NOW, rules=rules)

    assert asked.event is not None
    assert docs.event is not None
    assert page.event is not None
    assert screen.event is not None
    assert (asked.event.type, asked.event.name, asked.event.value) == ("price_question", "Pro", 12.0)
    assert asked.email == asked.event.email == "ada@example.com"
    assert (docs.event.type, docs.event.url) == ("docs_viewed", "https://x.example/docs/a")
    assert (page.event.type, page.event.name, page.event.url) == ("page_view", "Home", "https://x.example/")
    assert screen.event.type == "product_use"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"event": "X"}, "`type` is missing"),
        ({"type": "other"}, "names an `event`"),
        ({"event": "X", "typ": "other", "type": "other"}, "Did you mean `type`?"),
        ({"event": "X", "type": "Sign Up"}, "trial_signup"),
        ({"call": "pages", "type": "other"}, "Did you mean `page`?"),
        ({"event": "X", "type": "other", "where": {"field": "plan", "is": 1}}, "There is no field `plan`"),
        ({"event": [""], "type": "other"}, "is a text"),
        ({"event": "X", "type": "other", "value": "seats"}, "as in `properties.plan`"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_is_right(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(FixConfig) as refused:
        parse_criteria({"tracking": [rule]})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({}, NOW),
        ({"timestamp": "2026-11-26T11:00:00Z"}, NOW - timedelta(hours=1)),
        # A clock an hour ahead: sent at 13:00 by it, done ten minutes before.
        ({"timestamp": "2026-11-26T12:50:00Z", "sentAt": "2026-11-26T13:00:00Z"}, NOW - timedelta(minutes=10)),
        # An hour behind; the original time goes first.
        (
            {"originalTimestamp": "2026-11-26T10:59:00Z", "timestamp": "2026-11-26T01:00:00Z",
             "sentAt": "2026-11-26T11:00:00.000Z"},
            NOW - timedelta(minutes=1),
        ),
        ({"timestamp": "2026-11-26T15:00:00+01:00"}, NOW),  # nothing lies in the future
        ({"timestamp": "2026-11-26T12:00:00+02:00"}, NOW - timedelta(hours=2)),
    ],
)  # fmt: skip
def test_a_devices_clock_is_corrected_by_when_it_sent(times: dict[str, str], at: datetime) -> None:
    assert read_call(call(**times), NOW).at == at
    batched = {name: value for name, value in times.items() if name != "sentAt"}
    assert read_call(call(**batched), NOW, sent=times.get("sentAt")).at == at


@pytest.mark.parametrize(
    ("kind", "more", "email"),
    [
        ("identify", {"traits": {"email": " Ada@Example.COM "}}, "ada@example.com"),
        ("track", {"context": {"traits": {"email": "ada@example.com"}}}, "ada@example.com"),
        ("track", {"userId": "ada@example.com"}, "ada@example.com"),
        ("track", {"event": "Signed Up", "properties": {"email": "ada@example.com"}}, "ada@example.com"),
        ("track", {"event": "Invite Sent", "properties": {"email": "bob@example.com"}}, None),
        ("group", {"groupId": "g", "traits": {"email": "info@acme.example"}}, None),
        ("identify", {"traits": {"email": "nobody"}}, None),
    ],
)
def test_whose_a_call_is_as_far_as_it_says_so_itself(
    kind: str, more: dict[str, Any], email: str | None
) -> None:
    assert read_call(call(kind, **more), NOW).email == email


def test_what_says_who_somebody_is_is_not_kept_with_what_they_did_and_nothing_grows_without_end() -> None:
    many = {f"p{n}": n for n in range(80)}
    cart = {"id": 7, "deep": {"x": 1}}
    found = read_call(
        call(properties={"Email": "a@b.example", "password": "x", "cart": cart, "note": "x" * 900,
                         "tags": ["a", "b"], "nul\x00": True, **many}),
        NOW,
    ).event  # fmt: skip
    assert found is not None
    kept = dict(found.attributes)
    assert len(kept) <= 51
    assert {"Email", "password"}.isdisjoint(kept)
    assert (kept["cart.id"], kept["tags"], kept["nul"]) == (7, "a; b", True)
    assert len(str(kept["note"])) == 500


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ([], "no object"),
        ({"type": "delete", "userId": "1"}, "`type`"),
        ({"type": "track", "event": "X"}, "neither"),
        ({"type": "track", "userId": "1"}, "`event`"),
        ({"type": "track", "userId": "1", "event": 7}, "`event`"),
        ({"type": "track", "userId": {}, "event": "X"}, "`userId`"),
        ({"type": "track", "userId": "1" * 300, "event": "X"}, "255"),
        ({"type": "track", "userId": "1", "event": "X", "properties": []}, "`properties`"),
        ({"type": "track", "userId": "1", "event": "X", "timestamp": "yesterday"}, "`timestamp`"),
        ({"type": "track", "userId": "1", "event": "X", "timestamp": "2026-13-45T00:00:00Z"}, "`timestamp`"),
        (
            {"type": "track", "userId": "1", "event": "X", "timestamp": "0001-01-01T00:00:00+14:00"},
            "`timestamp`",
        ),
        ({"type": "track", "userId": "1", "event": "X", "timestamp": "9" * 30}, "`timestamp`"),
        ({"type": "alias", "userId": "1"}, "`previousId`"),
    ],
)
def test_what_is_malformed_is_set_aside_with_the_reason_and_without_its_values(raw: Any, why: str) -> None:
    with pytest.raises(SkipRecord) as aside:
        read_call(raw, NOW)
    assert why in aside.value.message
    assert "yesterday" not in aside.value.message


def test_without_a_message_id_the_same_event_at_the_same_time_is_the_same_and_without_a_time_another() -> (
    None
):
    timed = {"type": "track", "userId": "1", "event": "X", "timestamp": "2026-11-26T11:00:00Z"}
    again = {**timed, "sentAt": "2026-11-26T11:30:00Z"}
    other = {**timed, "event": "Y"}
    untimed = {"type": "track", "userId": "1", "event": "X"}
    ids = [read_call(each, NOW).id for each in (timed, again, other, untimed, untimed)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


TEXTS = st.sampled_from(
    ["", "\x00", "a@b.example", "<a@b>", "a@xn--.com", "x" * 5_000, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z",
     "2026-02-30", "9" * 30, "1e999", "\u00b2\u00bd", "//[", "\u202e"]
)  # fmt: skip
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False) | TEXTS | st.text()
)
NAMES = st.sampled_from(["email", "url", "page", "name", "campaign", "traits", "value", "revenue", "a", ""])
SOME = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
MEMBERS = st.sampled_from(
    [
        "event", "userId", "anonymousId", "previousId", "messageId", "timestamp", "originalTimestamp", "sentAt",
        "properties", "traits", "context", "name", "type", "groupId",
    ]
)  # fmt: skip
ODD_RULES = parse_criteria(
    {
        "tracking": [
            {"event": "X*", "type": "other", "name": "properties.a", "value": "properties.value",
             "email": "properties.email", "where": {"any": [
                 {"field": "properties.a", "gt": 3}, {"field": "context.a", "contains": "x"},
                 {"field": "properties.value", "between": [1, 2]}, {"not": {"field": "url", "matches": "*a?"}}]}}
        ]
    }
).tracking  # fmt: skip


@settings(max_examples=150)
@given(st.dictionaries(MEMBERS, SOME, max_size=6), st.dictionaries(NAMES, SOME, max_size=4), SOME)
def test_whatever_is_sent_is_a_call_or_is_set_aside(
    raw: dict[str, Any], inner: dict[str, Any], sent: Any
) -> None:
    for event in (raw, {**call(event="X1", userId="7", properties=inner, context=inner), **raw}, inner, sent):
        with contextlib.suppress(SkipRecord):
            found = read_call(event, NOW, sent=sent, rules=ODD_RULES)
            assert found.keys
            assert found.at <= NOW
