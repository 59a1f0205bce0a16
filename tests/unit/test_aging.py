"""Whether time alone can change a score: then, and only then, the nightly sweep looks again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.aging import ages
from connector.core.criteria import Criteria
from connector.core.criteria_file import parse_criteria
from connector.core.model import Engagement
from connector.core.score import score_person

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CRITERIA = parse_criteria({
    "fit": [{"id": "boss", "when": {"field": "seniority", "is": "vp"}, "points": 30}],
    "engagement": [
        {"id": "for-good", "event": "trial_signup", "points": 5},
        {"id": "ends", "event": "page_view", "within": "30d", "points": 4},
        {"id": "fades", "event": "email_reply", "points": 4, "decay": {"half_life": "10d"}},
        {"id": "steps", "event": "call", "points": 4, "decay": {"steps": {"7d": 1, "30d": 0.5}}},
        {"id": "many", "event": "docs_viewed", "within": "20d", "at_least": 3, "points": 2},
        {"id": "total", "event": "cart_added", "within": "20d", "sum": "value", "at_least": 8, "points": 9},
    ],
    "hand_raise": [{"id": "demo", "event": "demo_request", "within": "30d"},
                   {"id": "forever", "event": "purchase_intent"}],
})  # fmt: skip


def event(type: str, days: float, value: float | None = None) -> Engagement:
    return Engagement("any", "s", f"{type}{days}{value}", type, NOW - timedelta(days=days), value=value)


def answer(*done: Engagement, criteria: Criteria = CRITERIA) -> bool:
    fields: dict[str, Any] = {"seniority": "vp"}
    return ages(criteria, score_person(criteria, fields, done, NOW), done, NOW)


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ((), False),
        ((event("trial_signup", 900),), False),
        ((event("page_view", 29),), True),
        ((event("page_view", 31), event("page_view", 500)), False),
        ((event("email_reply", 400),), True),
        ((event("call", 31),), False),
        ((event("call", 29),), True),
        ((event("docs_viewed", 1), event("docs_viewed", 2)), False),
        ((event("demo_request", 5),), True),
        ((event("demo_request", 31), event("purchase_intent", 5)), False),
        ((event("trial_signup", -1),), True),
        ((event("cart_added", 19, -5.0), event("cart_added", 1, 10.0)), True),
        ((event("webinar_attendance", 1),), False),
    ],
)
def test_only_what_can_fade_end_or_begin_is_looked_at_again(
    done: tuple[Engagement, ...], expected: bool
) -> None:
    assert answer(*done) is expected


TYPES = (
    "trial_signup",
    "page_view",
    "email_reply",
    "call",
    "docs_viewed",
    "cart_added",
    "demo_request",
    "other",
)
EVENTS = st.lists(
    st.builds(event, st.sampled_from(TYPES), st.floats(-3, 120), st.sampled_from([None, -5.0, 3.0, 10.0])),
    max_size=6,
    unique_by=lambda each: each.key,
)


@settings(max_examples=300)
@given(EVENTS, st.floats(0.01, 200))
def test_whoever_is_left_alone_has_the_same_score_at_any_later_time(
    done: list[Engagement], days: float
) -> None:
    before = score_person(CRITERIA, {"seniority": "vp"}, done, NOW)
    later = score_person(CRITERIA, {"seniority": "vp"}, done, NOW + timedelta(days=days))
    if before != later:
        assert ages(CRITERIA, before, done, NOW)
