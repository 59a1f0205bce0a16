"""What is news, and what is only our own voice coming back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.echo import is_news, supersedes
from connector.core.model import Answer, PersonRecord, RecordState, Ref
from connector.ports import Held

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BASE = PersonRecord(
    Ref("hubspot", "contact", "1"),
    {"title": "CTO"},
    emails=("ada@example.com",),
    stage="lead",
    held={"mql_score": "40", "lifecyclestage": "lead"},
    changed_at=NOON,
)


def wrote(value, stage=None):
    return Held(value, NOON, stage)


def test_somebody_new_is_news():
    assert is_news(None, BASE, {})


def test_a_new_time_alone_is_no_news():
    assert not is_news(BASE, replace(BASE, changed_at=NOON + timedelta(hours=1)), {})


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"title": "CEO"}},
        {"emails": ("ada@example.org",)},
        {"same_as": (Ref("salesforce", "Lead", "00Q1"),)},
        {"company": Ref("hubspot", "company", "7")},
        {"answer": Answer("accepted", "Working", NOON)},
        {"state": RecordState.ARCHIVED},
        {"moved_to": Ref("hubspot", "contact", "2")},
        {"in_scope": False},
        {"stage": "customer"},
        {"held": {"mql_score": "41", "lifecyclestage": "lead"}},
    ],
)
def test_whatever_a_human_changes_is_news(change):
    assert is_news(BASE, replace(BASE, **change), {})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (42, "42"),
        (3, "3.0"),
        (None, ""),
        (True, "true"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000+0000"),
        ("2026-11-22", "2026-11-22T00:00:00Z"),
    ],
)
def test_our_value_in_their_spelling_is_no_news(ours, theirs):
    new = replace(BASE, held={**BASE.held, "mql_score": theirs})
    assert not is_news(BASE, new, {"mql_score": wrote(ours)})


def test_a_humans_edit_beside_our_echo_is_news():
    new = replace(BASE, held={**BASE.held, "mql_score": "61"}, fields={"title": "CEO"})
    assert is_news(BASE, new, {"mql_score": wrote(61)})


def test_a_written_field_that_a_human_clears_is_news():
    assert is_news(BASE, replace(BASE, held={"lifecyclestage": "lead"}), {"mql_score": wrote(40)})


def test_the_stage_we_wrote_is_no_news_when_its_field_holds_it():
    new = replace(BASE, stage="mql", held={**BASE.held, "lifecyclestage": "marketingqualifiedlead"})
    assert not is_news(BASE, new, {"lifecyclestage": wrote("marketingqualifiedlead", "mql")})
    assert not is_news(BASE, new, {"lifecyclestage": wrote("marketingqualifiedlead")})


def test_a_stage_read_from_another_field_is_news_although_our_field_stands():
    old = replace(BASE, held={"Lifecycle_Stage__c": "MQL"}, stage="mql")
    new = replace(old, stage="customer")
    assert is_news(old, new, {"Lifecycle_Stage__c": wrote("MQL", "mql")})
    assert is_news(old, new, {"Lifecycle_Stage__c": wrote("MQL")})


def test_addresses_that_only_change_their_order_are_told_because_the_first_counts_most():
    two = replace(BASE, emails=("a@example.com", "b@example.com"))
    assert is_news(two, replace(two, emails=("b@example.com", "a@example.com")), {})


@pytest.mark.parametrize(
    ("change", "kept"),
    [({"fields": {}}, True), ({"stage": "mql"}, True), ({"held": {}}, False), ({"changed_at": None}, True)],
)
def test_only_forms_that_could_score_differently_are_kept_as_history(change, kept):
    assert supersedes(BASE, replace(BASE, **change)) is kept
