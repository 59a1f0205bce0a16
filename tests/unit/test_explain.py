"""One person explained: why, why not yet, why it changed. Every sentence is held to the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.core.criteria import Criteria
from connector.core.criteria_file import parse_criteria
from connector.core.known import Known, known_as, score_known
from connector.core.model import Engagement, MqlStatus, Ref, StageState
from connector.core.override import HOLD_UNTIL, NEVER, Override
from connector.insight.explain.changed import Change, Moment, changed
from connector.insight.explain.deciding import Case
from connector.insight.explain.missing import Missing, missing
from connector.insight.explain.why import why

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def definition(**more: Any) -> Criteria:
    """Few rules, round numbers: score = fit / 2 + engagement / 2, MQL from 60 with a fit of 40 or by a demo."""
    rules: dict[str, Any] = {
        "version": 1,
        "name": "Small",
        "groups": {"web": {"cap": 30}},
        "fit": [
            {"id": "big", "name": "Big", "when": {"field": "company_size", "gte": 50}, "points": 30},
            {"id": "senior", "name": "Senior", "when": {"field": "seniority", "in": ["vp", "director"]}, "points": 50},
        ],
        "engagement": [
            {"id": "pricing", "name": "Pricing", "event": "page_view",
             "where": {"field": "url", "contains": "/pricing"}, "within": "30d", "points": 24,
             "decay": {"half_life": "10d"}, "group": "web"},
            {"id": "webinar", "name": "Webinar", "event": "webinar_attendance", "within": "90d", "points": 30},
        ],
        "disqualify": [
            {"id": "rival", "name": "Rival", "when": {"field": "rival", "is": True}, "reason": "Sells the same"}
        ],
        "hand_raise": [{"id": "demo", "name": "Demo", "event": "demo_request", "within": "30d", "min_fit": 10}],
        "stages": {"mql": {"enter": {"any": [{"score": {"gte": 60}, "fit": {"gte": 40}}, {"hand_raised": True}]},
                           "leave": {"any": [{"score": {"lt": 40}}]}}},
    }  # fmt: skip
    return parse_criteria({**rules, **more})


def did(type: str, days: float = 0, key: str = "", **more: Any) -> Engagement:
    return Engagement("hubspot", "s", key or f"{type}{days}", type, AT - days * DAY, **more)


def pricing(days: float, **more: Any) -> Engagement:
    return did("page_view", days, url="https://www.example.com/pricing", **more)


def a_case(known: Known, state: StageState | None = None, **more: Any) -> Case:
    """Somebody of whom all has been known all along."""

    def newer(since: datetime) -> Known:
        return replace(known, engagement=tuple(e for e in known.engagement if e.occurred_at > since))

    return Case(
        state or StageState("lead", since=AT - 9 * DAY), AT, known, lambda moment: known, newer, **more
    )


def told(known: Known, state: StageState | None = None, **more: Any) -> Missing:
    return missing(a_case(known, state, **more))


# ------------------------------------------------------------ why


def test_why_names_rules_points_dates_newest_first_and_what_a_cap_took() -> None:
    done = (pricing(10), pricing(0), did("webinar_attendance", 3))
    known = Known({"seniority": "vp", "email": "ada@example.com"}, done, definition())

    found = why(known, score_known(known, AT), AT)

    assert [(driver.rule, round(driver.points, 6)) for driver in found.drivers] == [
        ("senior", 50), ("pricing", 36), ("webinar", 30)
    ]  # fmt: skip
    behind = found.drivers[1].events
    assert [(each.at, each.points) for each in behind] == [(AT, 24), (AT - 10 * DAY, 12)]
    assert [(group.group, group.given, group.counts) for group in found.arithmetic.groups] == [
        ("web", 36, 30)
    ]
    assert found.arithmetic.shares()["cap", "web"] == pytest.approx(-3)
    assert sum(found.arithmetic.shares().values()) == pytest.approx(found.arithmetic.score)
    assert found.drivers[0].fields == {"seniority": "vp"}
    assert "ada@example.com" not in repr(found)


def test_why_tells_raised_hands_and_disqualifiers_first_and_a_hand_that_fits_too_little() -> None:
    known = Known({"rival": True}, (did("demo_request", 1),), definition())

    first, second = why(known, score_known(known, AT), AT).drivers

    assert (first.rule, first.says) == ("rival", "Sells the same")
    assert (second.rule, second.says) == ("demo", "fit below 10: does not count")


def test_evidence_that_does_not_count_is_shown_with_its_reason() -> None:
    aside = did("email_click", 2, counted=False, why_not="a scanner")
    twice = did("webinar_attendance", 3, key="again")
    done = did("webinar_attendance", 3)
    known = Known({}, (done,), definition())

    found = why(known, score_known(known, AT), AT, (done, aside, twice))

    assert [(each.what, each.why) for each in found.not_counted] == [
        ("email click", "a scanner"),
        ("webinar attendance", "the same event was told more than once, and counts once"),
    ]


# ------------------------------------------------------------ why not yet


def test_the_cheapest_comes_first_and_the_points_that_are_missing_are_told_with_what_gives_them() -> None:
    found = told(Known({"seniority": "vp", "company_size": 60}, (pricing(0),), definition()))

    assert found.sentences == (
        "One demo request makes this person an MQL at once.",
        "One webinar attendance makes this person an MQL at once.",
        "8 points are missing: one webinar attendance gives 15, one page view whose url contains /pricing gives 3.",
    )
    assert found.shortfalls[0].short == pytest.approx(60 - (80 + 24) / 2)
    assert [[step.rule for step in way.steps] for way in found.ways] == [["demo"], ["webinar"]]


def test_a_fit_that_is_too_low_is_nothing_the_person_can_change() -> None:
    found = told(
        Known(
            {"company_size": 60},
            (pricing(0), *(did("webinar_attendance", n) for n in range(4))),
            definition(),
        )
    )

    assert found.sentences[-1] == (
        "Fit is too low by 10: nothing this person does can change that; "
        "knowing that seniority is one of vp, director gives 50."
    )
    assert [[step.rule for step in way.steps] for way in found.ways] == [["demo"], ["senior"]]


def test_a_known_field_is_not_proposed_to_be_otherwise() -> None:
    found = told(Known({"company_size": 10, "seniority": "entry"}, (), definition()))

    assert found.ways == ()
    assert "nothing this person does can change that." in found.sentences[-1]


def test_several_events_are_asked_for_where_a_rule_needs_several_less_what_is_there() -> None:
    visits = {"id": "back", "name": "Came back", "event": "page_view", "within": "14d", "at_least": 4, "newest": 1,
              "points": 90}  # fmt: skip
    found = told(
        Known({"seniority": "vp"}, (did("page_view", 1),), definition(engagement=[visits], hand_raise=[]))
    )

    assert found.sentences[0] == "Three page views together make this person an MQL at once."


def test_a_sum_asks_for_the_rest_of_it() -> None:
    stay = {"id": "stay", "name": "Stayed", "event": "page_view", "sum": "attributes.seconds", "at_least": 600,
            "within": "14d", "newest": 1, "points": 90}  # fmt: skip
    here = did("page_view", 1, attributes={"seconds": 450})
    found = told(Known({"seniority": "vp"}, (here,), definition(engagement=[stay], hand_raise=[])))

    assert found.sentences[0] == "One page view with seconds 150 makes this person an MQL at once."


def test_a_dwell_is_told_as_what_it_is() -> None:
    enter = {"any": [{"score": {"gte": 60}, "for": "3d"}]}
    known = Known({"seniority": "vp", "company_size": 60}, (did("webinar_attendance", 1),), definition(
        stages={"mql": {"enter": enter}}, hand_raise=[]
    ))  # fmt: skip
    found = told(known)

    assert [[step.rule for step in way.steps] for way in found.ways] == [["pricing"], ["webinar"]]
    waits = [way.not_before - AT for way in found.ways if way.not_before]
    assert len(waits) == 2
    assert all(timedelta(days=2) < wait <= timedelta(days=4) for wait in waits)
    assert "if that stays" in found.sentences[0]


def test_what_stands_in_the_way_is_said_first() -> None:
    ready = (did("webinar_attendance", 30), did("webinar_attendance", 31), pricing(20))
    known = Known({"seniority": "vp", "company_size": 60}, ready, definition())
    rejected = StageState("lead", MqlStatus.REJECTED, since=AT - 5 * DAY, rejected_at=AT - 5 * DAY,
                          cool_off_until=AT + 25 * DAY)  # fmt: skip
    rested = replace(rejected, cool_off_until=None)

    resting, newer = told(known, rejected), told(known, rested)

    assert resting.sentences[0] == "At rest until 2026-12-21: until then only a raised hand counts."
    assert resting.sentences[1] == "Sales said no on 2026-11-21: only newer engagement counts."
    assert [step.rule for step in resting.ways[0].steps] == ["demo"]
    assert [way.not_before for way in resting.ways] == [None, rejected.cool_off_until]
    assert newer.shortfalls[0].have == pytest.approx(40)
    assert [step.rule for step in newer.ways[1].steps] == ["webinar", "pricing"]


@pytest.mark.parametrize(("kind", "says"), [
    (NEVER, "Never MQL, by override of Grace: a partner."),
    (HOLD_UNTIL, "On hold until 2026-12-01, by override of Grace: a partner."),
])  # fmt: skip
def test_a_human_word_against_it_leaves_no_way(kind: str, says: str) -> None:
    until = datetime(2026, 12, 1, tzinfo=UTC) if kind == HOLD_UNTIL else None
    word = Override(1, kind, "person", "x", "Grace", "a partner", AT - DAY, until=until)

    found = told(Known({"seniority": "vp"}, (), definition()), override=word)

    assert found.sentences[0] == says
    assert found.ways == ()


def test_the_disqualified_are_told_why_and_offered_nothing() -> None:
    found = told(Known({"rival": True, "seniority": "vp"}, (), definition()))

    assert found.sentences == ("Disqualified by Rival: Sells the same.",)


def test_evidence_that_is_missing_is_asked_for_in_other_kinds() -> None:
    stages = {"mql": {"enter": {"any": [{"score": {"gte": 40}}]}, "evidence": {"events": 2, "types": 2}}}
    known = Known({"seniority": "vp", "company_size": 60}, (did("webinar_attendance", 1),), definition(
        stages=stages, hand_raise=[]
    ))  # fmt: skip
    found = told(known)

    assert "too little evidence so far" in found.sentences[0]
    assert [[step.rule for step in way.steps] for way in found.ways] == [["pricing"]]


def test_evidence_of_several_days_is_asked_for_on_as_many_days_as_it_takes() -> None:
    rules = {"enter": {"any": [{"score": {"gte": 40}}]}, "evidence": {"events": 3, "days": 3}}
    criteria = definition(stages={"mql": rules}, hand_raise=[])
    fields = {"seniority": "vp", "company_size": 60}

    nothing, once = (told(Known(fields, done, criteria)) for done in ((), (did("webinar_attendance", 1),)))

    for found, days in ((nothing, 3), (once, 2)):
        (way,) = found.ways
        moments = [event.occurred_at for step in way.steps for event in step.events]
        assert moments == [AT + day * DAY for day in range(days)]
        assert (way.days, way.not_before) == (days, moments[-1])
    assert once.sentences[1].endswith("on two days, together make this person an MQL on the last of them.")


def test_who_becomes_one_of_another_audience_is_told_by_its_rules() -> None:
    """A field that is unknown yet may be what an audience asks for."""
    large = {
        "id": "large",
        "when": {"field": "company_size", "gte": 50},
        "stages": {"mql": {"enter": {"any": [{"score": {"gte": 20}}]}}},
    }
    small = {"id": "small", "when": {"field": "seniority", "is": "intern"}, "hand_raise": []}
    criteria = definition(audiences=[large, small], hand_raise=[])

    def a_case_of(fields: dict[str, Any]) -> Case:
        return replace(a_case(known_as(fields, (did("webinar_attendance", 1),), criteria)), base=criteria)

    unknown = missing(a_case_of({"seniority": "clerk"}))
    assert ["company_size"] in [list(step.fields) for way in unknown.ways for step in way.steps]
    assert unknown.sentences[0].startswith(
        "Knowing that company size is at least 50 makes this person an MQL"
    )
    assert unknown.shortfalls[0].needs == 60  # by the bar of the file, as they stand
    intern = a_case_of({"seniority": "intern"})  # whom an audience has already, the second in the file
    by_size = [
        [list(step.fields) for way in missing(case).ways for step in way.steps]
        for case in (intern, replace(intern, base=None))
    ]
    assert ["company_size"] in by_size[0]
    assert by_size[1] != [["company_size"]]
    inside = missing(a_case_of({"company_size": 60, "seniority": "clerk"}))
    assert inside == Missing()  # 30 of fit and of engagement: the bar of this audience is lower


def test_who_waits_for_a_place_is_told_so_and_offered_nothing() -> None:
    stages = {"mql": {"enter": {"any": [{"score": {"gte": 60}}]}, "capacity": 40}}
    contested = definition(stages=stages, hand_raise=[])
    done = (did("webinar_attendance", 1), pricing(0))

    found = missing(a_case(Known({"seniority": "vp", "company_size": 60}, done, contested)), waits=True)
    below = told(Known({"seniority": "vp", "company_size": 60}, done[:1], contested))

    assert found.sentences == ("Qualifies, and waits for a place among the best.",)
    assert found.ways == ()
    assert below.sentences[0].endswith("an MQL at once, where there is a place among the best.")


def test_nothing_is_missing_of_an_mql() -> None:
    assert told(Known({"seniority": "vp"}, (did("demo_request", 1),), definition())) == Missing()


# ------------------------------------------------------------ why it changed


def causes(changes: Sequence[Change]) -> dict[tuple[str, str], float]:
    return {(each.part, each.cause): round(each.points, 6) for each in changes}


def test_every_cause_has_its_points_and_they_add_up() -> None:
    old = Known(
        {"seniority": "vp", "company_size": 20},
        (pricing(10), pricing(35), did("webinar_attendance", 12), did("webinar_attendance", 13, key="gone")),
        definition(),
    )
    richer = definition(
        fit=[
            {"id": "big", "name": "Big", "when": {"field": "company_size", "gte": 50}, "points": 40},
            {
                "id": "senior",
                "name": "Senior",
                "when": {"field": "seniority", "in": ["vp", "director"]},
                "points": 50,
            },
        ]
    )
    came = did("webinar_attendance", 1, key="new")
    now = Known({"seniority": "vp", "company_size": 60}, (*old.engagement[:3], came), richer)

    found = changed(Moment(old, AT - 10 * DAY, 1), Moment(now, AT, 2))

    assert causes(found.changes) == {
        ("pricing", "too_old"): round(0.5 * (12 - (24 + 24 * 0.5**2.5)), 6),
        ("webinar", "gone"): -15,
        ("big", "field"): 15,
        ("webinar", "new"): 15,
        ("big", "definition"): 5,
    }
    says = {(each.part, each.cause): each.says for each in found.changes}
    assert says["big", "field"] == "company size: 20 -> 60"
    assert says["big", "definition"] == "+30 -> +40 in version 2 of the definition"
    assert says["webinar", "gone"] == "deleted in its CRM: webinar attendance on 2026-11-13"
    assert says["webinar", "new"] == "new: webinar attendance on 2026-11-25"
    assert says["pricing", "too_old"].startswith("older than 30 days: page view")
    assert sum(each.points for each in found.changes) == pytest.approx(found.now.score - found.then.score)


def test_what_a_joined_record_brought_is_told_as_that() -> None:
    other = Ref("salesforce", "Lead", "00Q1")
    before = Known({}, (), definition())
    after = replace(before, engagement=(did("webinar_attendance", 20, about=other),))

    (change,) = changed(Moment(before, AT - DAY), Moment(after, AT), joined=[other]).changes

    assert (change.cause, change.points) == ("joined", 15)
    assert "salesforce:Lead:00Q1" in change.says
