"""What the criteria file may say, and how its mistakes come back."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pytest

from connector.core.conditions import Leaf
from connector.core.criteria import (
    DEFAULT_STAGES,
    Decay,
    StageAny,
    StageEntry,
    StageTest,
    compare,
    fields_of_criteria,
    whole,
)
from connector.core.criteria_file import parse_criteria
from connector.core.model import Score
from connector.core.stage_rules import Measured, stage_holds
from connector.errors import FixConfig

FIT = {"id": "vp", "when": {"field": "seniority", "is": "vp"}, "points": 30}
PRICING = {"id": "pricing", "event": "page_view", "points": 10}
HAND = {"id": "demo", "event": "demo_request"}


def problems_of(doc):
    with pytest.raises(FixConfig) as caught:
        parse_criteria(doc)
    return {".".join(map(str, problem.path)): problem for problem in caught.value.problems}


def a_score(score=0.0, fit=0.0, engagement=0.0, **keys):
    return Measured(Score(fit=fit, engagement=engagement, score=score, band=1, grade="D4", **keys))


def test_an_empty_file_means_the_defaults():
    criteria = parse_criteria({})
    assert (criteria.weights.fit, criteria.weights.engagement) == (0.5, 0.5)
    assert criteria.bands == (20, 40, 60, 80)
    assert criteria.grades == (75, 50, 25)
    assert criteria.min_change == 3
    assert criteria.stages == DEFAULT_STAGES


def test_a_whole_file_becomes_typed_values():
    criteria = parse_criteria(
        {
            "version": 7,
            "name": "How we qualify",
            "preset": "classic",
            "agreed_by": {"marketing": "Ada", "sales": "Grace"},
            "review_by": date(2027, 2, 22),
            "currency": "EUR",
            "decay": {"half_life": "45d"},
            "groups": {"email": {"cap": 20}},
            "fit": [FIT],
            "engagement": [
                {**PRICING, "where": {"field": "attributes.plan", "is": "pro"}, "within": "30d", "newest": 3},
                {
                    "id": "clicks",
                    "name": "Clicks",
                    "event": ["email_click", "email_reply"],
                    "at_least": 2,
                    "points": 2,
                    "group": "email",
                    "decay": {"steps": {"7d": 1, "30d": 0.5}},
                },
                {
                    "id": "paid",
                    "event": "other",
                    "sum": "value",
                    "at_least": 99.5,
                    "points": 1,
                    "decay": "none",
                },
            ],
            "disqualify": [{"id": "rival", "when": {"field": "email_domain", "is": "rival.example"}}],
            "hand_raise": [{"id": "demo", "event": "demo_request", "within": "30d", "min_fit": 10}],
        }
    )
    pricing, clicks, paid = criteria.engagement
    assert pricing.where == Leaf("attributes.plan", "is", "pro")
    assert (pricing.within, pricing.newest, pricing.at_least) == (timedelta(days=30), 3, 1)
    assert pricing.decay == Decay(half_life=timedelta(days=45))
    assert clicks.events == ("email_click", "email_reply")
    assert clicks.decay == Decay(steps=((timedelta(days=7), 1.0), (timedelta(days=30), 0.5)))
    assert (paid.decay, paid.sum, paid.at_least) == (None, "value", 99.5)
    assert criteria.disqualify[0].reason == "rival"
    assert criteria.hand_raise[0].min_fit == 10
    assert criteria.name_of("clicks") == "Clicks"
    assert criteria.name_of("gone") == "gone"
    assert fields_of_criteria(criteria) == {"seniority", "email_domain"}


def test_an_id_names_one_rule_of_each_kind():
    criteria = parse_criteria(
        {
            "engagement": [{**HAND, "name": "Demo, counted", "points": 5}],
            "disqualify": [{"id": "demo", "name": "Demo account", "when": {"field": "title", "is": "demo"}}],
            "hand_raise": [{**HAND, "name": "Asked for a demo"}],
        }
    )

    assert criteria.name_of("demo") == "Demo, counted"
    assert criteria.name_of("demo", "disqualify") == "Demo account"
    assert criteria.name_of("demo", "hand_raise") == "Asked for a demo"


@pytest.mark.parametrize(
    ("doc", "path", "says", "near"),
    [
        ([], "", "A map", None),
        ({"fitt": []}, "fitt", "no key here", "fit"),
        ({"fit": {}}, "fit", "A list", None),
        ({"fit": [{**FIT, "pionts": 3}]}, "fit.0.pionts", "no key here", "points"),
        ({"fit": [{"id": "a", "when": FIT["when"]}]}, "fit.0", "`points` is missing", None),
        ({"fit": [{**FIT, "points": True}]}, "fit.0.points", "A number", None),
        ({"fit": [{**FIT, "points": "30"}]}, "fit.0.points", "A number", None),
        ({"fit": [{**FIT, "points": math.nan}]}, "fit.0.points", "no number", None),
        ({"fit": [{**FIT, "points": math.inf}]}, "fit.0.points", "no number", None),
        ({"fit": [{**FIT, "id": 3}]}, "fit.0.id", "in quotes", None),
        ({"fit": [{**FIT, "group": "web"}]}, "fit.0.group", "no key here", None),
        ({"fit": [{**FIT, "when": {"field": "size", "gt": "big"}}]}, "fit.0.when.gt", "needs a number", None),
        ({"fit": [FIT, FIT]}, "fit.1.id", "already taken", None),
        ({"fit": [FIT], "engagement": [{**PRICING, "id": "vp"}]}, "engagement.0.id", "already taken", None),
        ({"hand_raise": [HAND, HAND]}, "hand_raise.1.id", "already taken", None),
        (
            {"engagement": [{**PRICING, "group": "wbe"}], "groups": {"web": {"cap": 3}}},
            "engagement.0.group",
            "no group",
            "web",
        ),
        ({"engagement": [{**PRICING, "within": "30"}]}, "engagement.0.within", "no duration", None),
        ({"engagement": [{**PRICING, "within": 30}]}, "engagement.0.within", "no duration", None),
        ({"engagement": [{**PRICING, "within": "-3d"}]}, "engagement.0.within", "no duration", None),
        ({"engagement": [{**PRICING, "within": "0d"}]}, "engagement.0.within", "no time at all", None),
        ({"engagement": [{**PRICING, "newest": 0}]}, "engagement.0.newest", "whole number", None),
        ({"engagement": [{**PRICING, "newest": 1.5}]}, "engagement.0.newest", "whole number", None),
        ({"engagement": [{**PRICING, "at_least": True}]}, "engagement.0.at_least", "whole number", None),
        ({"engagement": [{**PRICING, "sum": "name"}]}, "engagement.0.sum", "adds up", None),
        ({"engagement": [{**PRICING, "event": []}]}, "engagement.0.event", "at least one type", None),
        ({"engagement": [{**PRICING, "event": [3]}]}, "engagement.0.event.0", "is a text", None),
        (
            {"engagement": [{**PRICING, "where": {"field": "ulr", "is": "a"}}]},
            "engagement.0.where.field",
            "no field",
            "url",
        ),
        (
            {"engagement": [{**PRICING, "decay": {"half_life": "3x"}}]},
            "engagement.0.decay.half_life",
            "no duration",
            None,
        ),
        ({"engagement": [{**PRICING, "decay": {}}]}, "engagement.0.decay", "either", None),
        (
            {"engagement": [{**PRICING, "decay": {"steps": {"30d": 1, "7d": 0.5}}}]},
            "engagement.0.decay.steps",
            "ascend",
            None,
        ),
        (
            {"engagement": [{**PRICING, "decay": {"steps": {"7d": -1}}}]},
            "engagement.0.decay.steps.7d",
            "too low",
            None,
        ),
        ({"hand_raise": [{**PRICING}]}, "hand_raise.0.points", "no key here", None),
        ({"groups": {"web": {}}}, "groups.web", "`cap` is missing", None),
        ({"bands": [20, 60, 40, 80]}, "bands", "ascending", None),
        ({"bands": [20, 40, 60]}, "bands", "4 cut points", None),
        ({"bands": [20, 40, True, 80]}, "bands.2", "A number", None),
        ({"grades": [25, 50, 75]}, "grades", "descending", None),
        ({"weights": {"fit": 1}}, "weights", "`engagement` is missing", None),
        ({"weights": {"fit": -1, "engagement": 1}}, "weights.fit", "too low", None),
        ({"version": 0}, "version", "whole number", None),
        ({"review_by": "soon"}, "review_by", "a date", None),
        ({"currency": "euro"}, "currency", "ISO code", None),
        (
            {"stages": {"mql": {"enter": {"scor": {"gte": 60}}}}},
            "stages.mql.enter.scor",
            "no key here",
            "score",
        ),
        (
            {"stages": {"mql": {"enter": {"score": {"gte": "60"}}}}},
            "stages.mql.enter.score.gte",
            "A number",
            None,
        ),
        ({"stages": {"mql": {"enter": {"for": "3d"}}}}, "stages.mql.enter", "An entry needs", None),
        ({"stages": {"mql": {"enter": {"any": []}}}}, "stages.mql.enter.any", "at least one entry", None),
        (
            {"stages": {"mql": {"enter": {"hand_raised": "yes"}}}},
            "stages.mql.enter.hand_raised",
            "true or false",
            None,
        ),
        ({"stages": {"recycle": {"cool_off": "soon"}}}, "stages.recycle.cool_off", "no duration", None),
        (
            {"examples": [{"name": "x", "as_of": "then", "expect": {"band": 1}}]},
            "examples.0.as_of",
            "a time",
            None,
        ),
        (
            {"examples": [{"name": "x", "as_of": "2026-11-01", "expect": {"bnad": 1}}]},
            "examples.0.expect.bnad",
            "no key",
            "band",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_nearest_right_name(doc, path, says, near):
    problems = problems_of(doc)
    assert path in problems, problems
    assert says in problems[path].what
    assert problems[path].nearest == near


def test_all_mistakes_come_back_at_once():
    problems = problems_of(
        {"bands": [1], "fit": [{**FIT, "points": "x"}], "engagement": [{**PRICING, "within": "x"}]}
    )
    assert set(problems) == {"bands", "fit.0.points", "engagement.0.within"}


def test_doubts_are_warnings_and_stop_nothing():
    doc = {"groups": {"web": {"cap": 5}}, "engagement": [{**PRICING, "event": "page_veiw"}]}
    warnings = {".".join(map(str, one.path)): one for one in parse_criteria(doc).warnings}
    assert warnings["engagement.0.event"].nearest == "page_view"
    assert "groups.web" in warnings


def test_stage_rules_are_a_typed_tree_with_their_dwell():
    stages = parse_criteria(
        {
            "stages": {
                "mql": {
                    "enter": {
                        "any": [{"score": {"gte": 60, "lt": 99}, "fit": {"gte": 25}}, {"hand_raised": True}]
                    },
                    "leave": {"any": [{"score": {"lt": 40}, "for": "14d"}, {"disqualified": True}]},
                },
                "recycle": {"cool_off": "2w"},
            }
        }
    ).stages
    first = StageEntry(
        (StageTest("score", "gte", 60.0), StageTest("score", "lt", 99.0), StageTest("fit", "gte", 25.0))
    )
    assert stages.mql.enter == StageAny((first, StageEntry(hand_raised=True)))
    assert stages.mql.leave.parts[0].dwell == timedelta(days=14)
    assert stages.recycle.cool_off == timedelta(days=14)


def test_a_stage_rule_holds_at_its_bound_give_or_take_a_billionth():
    enter = DEFAULT_STAGES.mql.enter
    assert stage_holds(enter, a_score(60 - 9e-10, fit=25 - 9e-10))
    assert not stage_holds(enter, a_score(60 - 2e-9, fit=25))
    assert stage_holds(enter, a_score(hand_raised="demo"))
    leave = DEFAULT_STAGES.mql.leave
    assert stage_holds(leave, a_score(39))
    assert not stage_holds(leave, a_score(39), dwelt=lambda entry: False)
    assert not stage_holds(leave, a_score(40 - 9e-10))
    assert stage_holds(leave, a_score(90, disqualified="rival"))


@pytest.mark.parametrize(
    ("op", "a", "b", "expected"),
    [
        ("gte", 60 - 9e-10, 60, True),
        ("lt", 60 - 9e-10, 60, False),
        ("gt", 60 + 9e-10, 60, False),
        ("lte", 60 + 9e-10, 60, True),
        ("is", 60 + 9e-10, 60, True),
        ("is_not", 60 + 2e-9, 60, True),
        ("between", 60 + 9e-10, (40.0, 60.0), True),
    ],
)
def test_bounds_have_a_tolerance(op, a, b, expected):
    assert compare(op, a, b) is expected


@pytest.mark.parametrize(("x", "shown"), [(2.5, 3), (2.4999999999, 3), (2.49, 2), (0.0, 0), (99.5, 100)])
def test_half_is_rounded_up(x, shown):
    assert whole(x) == shown


def test_examples_carry_people_and_moments_in_utc():
    (example,) = parse_criteria(
        {
            "examples": [
                {
                    "name": "x",
                    "as_of": datetime(2026, 11, 1, tzinfo=UTC),
                    "person": {"seniority": "vp", "created_at": date(2026, 1, 1)},
                    "engagement": [
                        {"type": "page_view", "occurred_at": "2026-10-31T10:00:00Z", "attributes": {"n": 3}}
                    ],
                    "expect": {"band": {"gte": 2}, "disqualified": None},
                }
            ]
        }
    ).examples
    assert example.person["created_at"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert example.engagement[0].attributes == {"n": 3}
    assert example.expect[0].tests == (("gte", 2.0),)
