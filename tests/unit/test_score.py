"""The arithmetic, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.app.files import load_criteria
from connector.core.criteria_file import parse_criteria
from connector.core.examples import run_examples
from connector.core.model import Contribution, Engagement
from connector.core.score import PLAN_FROM, score_people, score_person
from connector.core.score.tables import score_many
from connector.errors import FixConfig

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
SHIPPED = Path(__file__).parents[2] / "mappings" / "criteria.yaml"


def event(type="page_view", ago=timedelta(0), **keys):
    return Engagement(crm="x", stream="s", key="k", type=type, occurred_at=AS_OF - ago, **keys)


def days(n):
    return timedelta(days=n)


def scored(doc, fields=None, events=()):
    return score_person(parse_criteria(doc), fields or {}, events, AS_OF)


def one_rule(**keys):
    return {"engagement": [{"id": "r", "event": "page_view", "points": 10, **keys}]}


def points_of(rule, events):
    return sum(one.points for one in scored(rule, events=events).contributions)


@pytest.mark.parametrize(
    ("rule", "agos", "expected"),
    [
        (one_rule(), [days(0), days(400)], 20),
        (one_rule(within="30d"), [days(30) - timedelta(microseconds=1)], 10),
        (one_rule(within="30d"), [days(30)], 0),
        (one_rule(), [-timedelta(microseconds=1)], 0),
        (one_rule(), [timedelta(0)], 10),
        (one_rule(at_least=2), [days(1)], 0),
        (one_rule(at_least=2), [days(1), days(2)], 20),
        (one_rule(newest=1, decay={"half_life": "7d"}), [days(14), days(7)], 5),
        (one_rule(at_least=2, newest=1), [days(1), days(2)], 10),
        (one_rule(decay={"half_life": "7d"}), [days(0), days(7), days(21)], 10 + 5 + 1.25),
        (one_rule(decay={"half_life": "30d"}), [days(45)], 10 * 0.5**1.5),
        (one_rule(decay={"steps": {"7d": 1, "30d": 0.5}}), [days(6), days(7), days(29), days(30)], 20),
        ({**one_rule(), "decay": {"half_life": "1d"}}, [days(1)], 5),
        ({**one_rule(decay="none"), "decay": {"half_life": "1d"}}, [days(1)], 10),
    ],
)
def test_an_engagement_rule_counts_in_its_window_and_fades(rule, agos, expected):
    assert points_of(rule, [event(ago=ago) for ago in agos]) == pytest.approx(expected, abs=1e-12)


def test_a_sum_must_reach_the_bound_before_a_rule_counts():
    rule = one_rule(sum="value", at_least=0.3)
    assert points_of(rule, [event(value=0.1), event(value=0.1)]) == 0
    assert points_of(rule, [event(value=0.1), event(value=0.2)]) == 20
    assert points_of(rule, [event(value=None), event(value=float("nan"))]) == 0
    by_attribute = one_rule(sum="attributes.seats", at_least=5)
    assert (
        points_of(by_attribute, [event(attributes={"seats": "5"}), event(attributes={"seats": "many"})]) == 20
    )


def test_an_infinite_value_is_not_missing_and_both_infinities_together_reach_no_bound():
    rule, infinite = one_rule(sum="value", at_least=0.3), float("inf")
    for values, points in (
        ([infinite, -1.0], 20),
        ([-infinite, 1.0], 0),
        ([infinite, -infinite], 0),
    ):
        history = [event(value=value) for value in values]
        many = score_many(parse_criteria(rule), [({}, history)], AS_OF)
        assert points_of(rule, history) == points
        assert sum(one.points for one in many[0].contributions) == points


def test_types_compare_exactly_and_conditions_do_not():
    rule = one_rule(where={"field": "url", "contains": "/PRICING"})
    assert points_of(rule, [event(url="https://x.example/pricing"), event("Page_View", url="/pricing")]) == 10


def test_what_was_taken_back_or_set_aside_does_not_count():
    assert points_of(one_rule(), [event(deleted=True), event(counted=False), event()]) == 10


def test_groups_cap_their_sum_and_lone_rules_stand_alone():
    doc = {
        "groups": {"mail": {"cap": 15}, "off": {"cap": -5}},
        "engagement": [
            {"id": "a", "event": "email_click", "points": 10, "group": "mail"},
            {"id": "b", "event": "email_reply", "points": 10, "group": "mail"},
            {"id": "c", "event": "page_view", "points": 7},
        ],
    }
    score = scored(doc, events=[event("email_click"), event("email_reply"), event()])
    assert score.engagement == 15 + 7 - 5
    assert score.contributions == (Contribution("a", 10), Contribution("b", 10), Contribution("c", 7))
    minus = {**doc, "engagement": [{**doc["engagement"][0], "points": -10}, doc["engagement"][2]]}
    assert scored(minus, events=[event("email_click"), *[event()] * 3]).engagement == -10 + 21 - 5


def test_parts_and_score_stay_between_0_and_100():
    doc = {
        "weights": {"fit": 2, "engagement": 2},
        "fit": [{"id": "f", "when": {"field": "a", "is": 1}, "points": 130}],
        "engagement": [{"id": "e", "event": "page_view", "points": -5}],
    }
    score = scored(doc, {"a": 1}, [event()])
    assert (score.fit, score.engagement, score.score) == (100, 0, 100)
    assert (score.band, score.grade) == (5, "A4")


@pytest.mark.parametrize(
    ("points", "band"), [(40 - 4e-9, 1), (40 - 1e-9, 2), (40, 2), (79.9, 2), (160, 5), (0, 1)]
)
def test_bands_are_reached_within_a_billionth(points, band):
    doc = {
        "weights": {"fit": 0.5, "engagement": 1},
        "fit": [{"id": "f", "when": {"field": "a", "is": 1}, "points": min(points, 100)}],
        "engagement": [{"id": "e", "event": "page_view", "points": max(points - 100, 0)}],
    }
    assert scored(doc, {"a": 1}, [event()]).band == band


@pytest.mark.parametrize("many", [1, PLAN_FROM])
def test_an_id_shared_by_rules_of_different_kinds_mixes_nothing(many):
    doc = {
        "fit": [{"id": "vp", "when": {"field": "title", "is": "vp"}, "points": 30}],
        "engagement": [{"id": "demo", "event": "page_view", "points": 5}],
        "disqualify": [{"id": "demo", "when": {"field": "title", "is": "spam"}}],
        "hand_raise": [{"id": "demo", "event": "demo_request", "at_least": 2}, {"id": "vp", "event": "call"}],
    }
    one = ({"title": "vp"}, [event(), event("demo_request"), event("call")])

    for score in score_people(parse_criteria(doc), [one] * many, AS_OF):
        assert score.contributions == (Contribution("vp", 30), Contribution("demo", 5))
        assert (score.disqualified, score.hand_raised) == (None, "vp")


def test_the_first_disqualifier_and_hand_raise_in_the_file_are_named_and_change_no_score():
    doc = {
        "fit": [{"id": "f", "when": {"field": "a", "is": 1}, "points": 10}],
        "disqualify": [{"id": d, "when": {"field": "a", "is": 1}} for d in ("second", "first")],
        "hand_raise": [
            {"id": "too-picky", "event": "demo_request", "min_fit": 10.1},
            {"id": "too-late", "event": "demo_request", "within": "1d"},
            {"id": "demo", "event": "demo_request", "min_fit": 10},
        ],
    }
    score = scored(doc, {"a": 1}, [event("demo_request", days(2))])
    assert (score.disqualified, score.hand_raised) == ("second", "demo")
    assert (score.fit, score.engagement, score.score) == (10, 0, 5)
    assert score.contributions == (Contribution("f", 10),)


def test_points_of_nothing_are_no_contribution():
    doc = {
        **one_rule(decay={"steps": {"1d": 0}}),
        "fit": [{"id": "f", "when": {"field": "a", "is": 1}, "points": 0}],
    }
    assert scored(doc, {"a": 1}, [event()]).contributions == ()


def test_many_people_score_in_their_order_as_each_of_them_alone():
    criteria = load_criteria(SHIPPED)
    people = [
        ({"seniority": "vp", "company_size": i % 300}, [event(url="/pricing", ago=days(i % 40))] * (i % 4))
        for i in range(PLAN_FROM)
    ]
    together = score_people(criteria, people, AS_OF)
    for mine, (fields, events) in zip(together, people, strict=True):
        alone = score_person(criteria, fields, events, AS_OF)
        assert mine.score == pytest.approx(alone.score, abs=1e-9)
        assert [one.rule for one in mine.contributions] == [one.rule for one in alone.contributions]


def test_the_shipped_examples_are_green():
    results = run_examples(load_criteria(SHIPPED))
    assert len(results) >= 4
    assert [(result.name, result.differences) for result in results if not result.ok] == []


def test_a_red_example_says_what_is_different():
    doc = {
        "fit": [{"id": "f", "when": {"field": "a", "is": 1}, "points": 31}],
        "examples": [
            {
                "name": "x",
                "as_of": "2026-11-01",
                "person": {"a": 1},
                "expect": {
                    "score": {"gte": 20},
                    "fit": 31,
                    "grade": "A1",
                    "stage": "mql",
                    "disqualified": True,
                },
            }
        ],
    }
    (result,) = run_examples(parse_criteria(doc))
    assert not result.ok
    assert result.differences == (
        "score is 15.5, expected at least 20",
        "grade is C4, expected A1",
        "stage is lead, expected mql",
        "disqualified by no rule, expected by any",
    )


def test_the_shipped_definition_gives_nothing_for_opens_and_no_mql_for_one_click():
    criteria = load_criteria(SHIPPED)
    opens = [event("email_open", days(n)) for n in range(50)]
    assert score_person(criteria, {}, [*opens, event("email_click")], AS_OF).engagement == 0


def test_an_unknown_list_stops_the_file(tmp_path):
    (tmp_path / "criteria.yaml").write_text(
        "disqualify: [{id: a, when: {field: b, in_list: c.csv}}]", encoding="utf-8"
    )
    with pytest.raises(FixConfig):
        load_criteria(tmp_path / "criteria.yaml")
