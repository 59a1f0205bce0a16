"""What must be true of every definition, whatever stands in it: more is never less, order says nothing, tomorrow
changes no yesterday. Random criteria with everything that a file may hold: suspects, groups, caps,
points below zero, personas, audiences, guards and stages."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from connector.core.criteria_file import parse_criteria
from connector.core.definition import Definition
from connector.core.facts import Facts, KnownEngagement, PastRecord
from connector.core.known import known_as, known_now, known_then, measure, score_all, score_known
from connector.core.model import Engagement, MqlStatus, PersonRecord, Ref, StageState
from connector.core.score import score_person
from connector.core.stage import decide_stage
from connector.core.stage_case import DEFAULT_LADDER
from tests.properties.random_criteria import (
    AGES,
    AS_OF,
    EVENTS,
    SOME,
    TYPED_PEOPLE,
    TYPES,
    whole_docs,
)

DAY = timedelta(days=1)
MANY = settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def criteria_of(doc):
    return parse_criteria(doc, lists=lambda name: SOME)


def tagged(events):
    """Each an event of its own."""
    return tuple(replace(each, key=str(n)) for n, each in enumerate(events))


RECENT = st.builds(
    lambda each, hours: replace(each, occurred_at=AS_OF - timedelta(hours=hours)),
    EVENTS,
    st.integers(-30, 1500),
)
DONE = st.lists(RECENT, min_size=3, max_size=8).map(tagged)


def never_lower(lower, higher):
    """In no measure, and no raised hand is lost; who is disqualified is so by who they are, not by points."""
    for name in ("fit", "engagement", "score", "band"):
        assert getattr(higher, name) >= getattr(lower, name) - 1e-9, name
    assert higher.grade <= lower.grade or higher.grade[0] < lower.grade[0]  # A1 is the best
    assert lower.hand_raised is None or higher.hand_raised is not None
    assert higher.disqualified == lower.disqualified


def every_definition(doc):
    return [doc, *doc["audiences"]]


@st.composite
def raised(draw):
    """Criteria, and the same with more points for one rule or a higher cap of one group, anywhere in them."""
    doc = draw(whole_docs())
    more = deepcopy(doc)
    places = [
        (each, key)
        for part in every_definition(more)
        for each, key in [
            *((rule, "points") for kind in ("fit", "engagement") for rule in part.get(kind, [])),
            *((group, "cap") for group in part.get("groups", {}).values()),
        ]
    ]
    assume(places)
    rule, key = draw(st.sampled_from(places))
    rule[key] += draw(st.sampled_from([30, 60, 7, 300, 0.1]))
    return criteria_of(doc), criteria_of(more)


STATES = st.one_of(
    st.none(),
    st.sampled_from(
        [
            StageState("subscriber", since=AS_OF - 50 * DAY, seen=()),
            StageState("lead", since=AS_OF - 50 * DAY, dwell_from=AS_OF - 9 * DAY, raised_from="subscriber", seen=()),
            StageState(
                "lead", MqlStatus.REJECTED, AS_OF - 9 * DAY, rejected_at=AS_OF - 9 * DAY,
                cool_off_until=AS_OF + 9 * DAY, seen=(),
            ),
            StageState("lead", MqlStatus.RECYCLED, AS_OF - 9 * DAY, rejected_at=AS_OF - 9 * DAY, seen=()),
            StageState(
                "mql", MqlStatus.QUALIFIED, AS_OF - 9 * DAY, mql_since=AS_OF - 9 * DAY,
                first_mql_at=AS_OF - 9 * DAY, dwell_from=AS_OF - 9 * DAY, seen=(),
            ),
            StageState(
                "sql", MqlStatus.QUALIFIED, AS_OF - 9 * DAY, first_mql_at=AS_OF - 20 * DAY,
                dwell_from=AS_OF - 9 * DAY, raised_from="mql", handed_at=AS_OF - 20 * DAY, seen=(),
            ),
        ]
    ),
)  # fmt: skip


def decided(criteria, fields, done, before, *, has_place=True, at=AS_OF):
    """By the criteria of the person's audience, with a past in which the fields were the same."""
    person = known_as(fields, done, criteria)

    def then(moment):
        known = tuple(each for each in done if each.occurred_at <= moment)
        return measure(replace(person, engagement=known), moment)

    def newer(since):
        return measure(
            replace(person, engagement=tuple(each for each in done if each.occurred_at > since)), at
        )

    return decide_stage(
        before, at=at, now=measure(person, at), then=then, newer=newer, criteria=person.criteria,
        has_place=has_place,
    )  # fmt: skip


def fitting(points, **more):
    """Criteria with one rule, of so many points, for whoever has a title."""
    rule = {"id": "f", "when": {"field": "title", "is_set": True}, "points": points}
    return criteria_of({"fit": [rule], "weights": {"fit": 1, "engagement": 0}, **more})


HAND = {"hand_raise": [{"id": "h", "event": "page_view", "min_fit": 5}]}
LOOSENED = {
    "stages": {
        "mql": {"enter": {"score": {"gte": 60}}, "best": {"per_week": 9, "from": {"score": {"gte": 20}}}}
    }
}
VIEW = Engagement("x", "s", "k", "page_view", AS_OF - DAY)


@settings(MANY, max_examples=200)
@example((fitting(5, **HAND), fitting(30, **HAND)), {"title": "VP"}, (VIEW,), None, True)
@example((fitting(30, **LOOSENED), fitting(90, **LOOSENED)), {"title": "VP"}, (VIEW,), None, False)
@given(raised(), TYPED_PEOPLE, DONE, STATES, st.booleans())
def test_more_points_for_a_rule_or_a_higher_cap_lower_no_score_and_no_stage(both, fields, done, state, place):
    less, more = both
    before, after = known_as(fields, done, less), known_as(fields, done, more)
    never_lower(score_known(before, AS_OF), score_known(after, AS_OF))
    assert before.audience == after.audience

    ranks = [
        DEFAULT_LADDER.index(decided(each, fields, done, state, has_place=place).state.stage)
        for each in (less, more)
    ]
    assert ranks[0] <= ranks[1]


def no_points_below_zero(doc, sign=1):
    for part in every_definition(doc):
        for rule in part.get("engagement", []):
            rule["points"] = sign * abs(rule["points"])
        for group in part.get("groups", {}).values():
            group["cap"] = abs(group["cap"])
    return doc


@settings(MANY, max_examples=200)
@given(whole_docs(), TYPED_PEOPLE, DONE, RECENT, st.sampled_from([1, 1, -1]))
def test_more_engagement_lowers_no_score_unless_it_costs_points_and_raises_none_that_it_costs(
    doc, fields, done, another, sign
):
    """Where no amount that a rule adds up is below zero: such an amount takes from a sum what others brought."""
    *done, another = (
        each if each.value is None else replace(each, value=abs(each.value)) for each in (*done, another)
    )
    criteria = criteria_of(no_points_below_zero(doc, sign))
    person = known_as(fields, done, criteria)
    less = score_known(person, AS_OF)
    more = score_known(replace(person, engagement=tagged((*done, another))), AS_OF)
    if sign > 0:
        never_lower(less, more)
        return
    assert more.engagement <= less.engagement
    assert more.score <= less.score
    assert less.hand_raised is None or more.hand_raised is not None  # a hand is a hand, whatever it costs


HUB, FORCE = Ref("hubspot", "contact", "1"), Ref("salesforce", "Lead", "00Q1")
CLOSE = st.builds(
    lambda type, seconds, message, link: Engagement(
        "x", "s", "k", type, AS_OF - 2 * DAY + timedelta(seconds=seconds), url=link,
        attributes={"message": message, "sent": int((AS_OF - 2 * DAY).timestamp() * 1000)},
    ),
    st.sampled_from([*TYPES, "email_open"]),
    st.sampled_from([0, 3, 9, 40, 299, 90_000]),
    st.sampled_from(["m1", "m2"]),
    st.sampled_from(["/a", "/b", "3"]),
)  # fmt: skip
"""What machines and two CRMs that tell the same look like."""


@st.composite
def facts_of_somebody(draw, most=8):
    """Two records of one person in two CRMs, and what either tells of what was done."""
    told = []
    for n, each in enumerate(draw(st.lists(st.one_of(CLOSE, CLOSE, EVENTS), max_size=most))):
        ref = draw(st.sampled_from([HUB, FORCE]))
        event = replace(each, crm=ref.crm, about=ref, key=str(n))
        told.append(event)
        if draw(st.booleans()):  # the other CRM knows it too, or the same one tells it of both records
            other = FORCE if ref == HUB else HUB
            told.append(replace(event, about=other, crm=draw(st.sampled_from([ref.crm, other.crm]))))
    records = [
        PersonRecord(
            ref, {name: value for name, value in draw(TYPED_PEOPLE).items() if value is not None},
            emails=("ada@x.example",), created_at=AS_OF - age * DAY, changed_at=AS_OF - draw(st.integers(0, 9)) * DAY,
        )
        for ref, age in ((HUB, 99), (FORCE, 98))
    ]  # fmt: skip
    return Facts(
        records=tuple(records),
        engagement=tuple(KnownEngagement(each, each.occurred_at) for each in told),
    )


def of_anybody(events):
    """Without the record that they are about: of one event told about two records either may stand for it."""
    return [replace(each, about=None) for each in events]


@MANY
@given(whole_docs(), facts_of_somebody(), TYPED_PEOPLE, DONE, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_and_people_come_says_nothing(doc, facts, fields, done, random):
    definition = Definition(criteria_of(doc), {})

    def shuffled(found):
        return tuple(random.sample(found, len(found)))

    again = replace(facts, records=shuffled(facts.records), engagement=shuffled(facts.engagement))
    one, other = known_now(facts, definition), known_now(again, definition)

    assert (one.fields, one.audience) == (other.fields, other.audience)
    assert of_anybody(one.engagement) == of_anybody(other.engagement)
    assert score_known(one, AS_OF) == score_known(other, AS_OF)
    stranger = known_as(fields, done, definition.criteria)
    people = random.sample([one, other, stranger], 3)
    assert score_all(people, AS_OF) == [score_known(each, AS_OF) for each in people]


@MANY
@given(whole_docs(), TYPED_PEOPLE, DONE, st.randoms(use_true_random=False))
def test_the_order_of_rules_says_only_which_is_named_first(doc, fields, done, random):
    turned = deepcopy(doc)
    for part in every_definition(turned):
        for kind in ("fit", "engagement", "hand_raise", "disqualify"):
            if kind in part:
                random.shuffle(part[kind])
        if "groups" in part:
            part["groups"] = dict(random.sample(list(part["groups"].items()), len(part["groups"])))
    one, other = (score_known(known_as(fields, done, criteria_of(each)), AS_OF) for each in (doc, turned))

    assert other.score == pytest.approx(one.score, abs=1e-9)
    assert (other.band, other.grade) == (one.band, one.grade)
    assert (other.disqualified is None, other.hand_raised is None) == (
        one.disqualified is None,
        one.hand_raised is None,
    )
    assert sorted(each.rule for each in other.contributions) == sorted(
        each.rule for each in one.contributions
    )


@MANY
@given(whole_docs(), TYPED_PEOPLE, DONE, STATES, st.booleans())
def test_deciding_again_on_the_same_facts_changes_nothing(doc, fields, done, state, place):
    criteria = criteria_of(doc)
    first = decided(criteria, fields, done, state, has_place=place)
    again = decided(criteria, fields, done, first.state, has_place=place)

    assert again.change is None
    assert not again.entered_mql
    assert not again.left_mql
    assert (again.state, again.because) == (first.state, first.because)


@MANY
@given(whole_docs(), facts_of_somebody(), facts_of_somebody(most=4), AGES)
def test_what_came_to_be_known_later_changes_no_answer_of_before(doc, facts, later, age):
    """As of a moment: what happened after it, what came in after it, and what a record has become since."""
    definition, at = Definition(criteria_of(doc), {}), AS_OF - abs(age)
    come: tuple[KnownEngagement, ...] = tuple(
        KnownEngagement(replace(each.engagement, key=f"late{n}"), at + timedelta(hours=1 + n))
        for n, each in enumerate(later.engagement)
    )
    then = replace(facts, engagement=tuple(each for each in facts.engagement if each.known_at <= at))
    now = replace(
        facts,
        records=later.records,
        engagement=(*come, *facts.engagement),
        past=tuple(PastRecord(each, at + DAY) for each in facts.records),
    )
    known = known_now(then, definition)

    assert known_then(now, definition, at) == known
    assert score_known(known_then(now, definition, at), at) == score_known(known, at)
    assert score_then(facts, definition, at) == score_known(known, at)


def score_then(facts: Facts, definition: Definition, at: datetime):
    """Of all that ever happened, as of a moment: the arithmetic itself looks at nothing later."""
    known = known_then(facts, definition, at)
    after = tuple(
        replace(each.engagement, crm="z", key=f"after{n}")
        for n, each in enumerate(facts.engagement)
        if each.engagement.occurred_at > at
    )
    return score_person(known.criteria, known.fields, (*after, *known.engagement), at)
