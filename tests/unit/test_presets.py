"""The three presets: what each is worth, that none forgets an engagement type, and where they disagree."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from connector.app.commands.init import presets, shipped
from connector.app.files import Beside, load_criteria
from connector.core.criteria import Criteria
from connector.core.examples import run_examples, untouched
from connector.core.fields import ENGAGEMENT_TYPES
from connector.core.guards import guard_of
from connector.core.model import Engagement, Score
from connector.core.score import score_person

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = tuple(presets())
A_FIT = {
    "seniority": "manager", "email_kind": "business", "company_size": 400, "company_domain": "acme.example",
}  # fmt: skip


@cache
def preset(name: str) -> Criteria:
    return load_criteria(presets()[name], Beside(shipped()))


def events(type: str, count: int = 1, **more: object) -> list[Engagement]:
    day = NOW - timedelta(days=1)
    return [
        Engagement("any", "s", f"{type}{i}", type, day + timedelta(hours=i), **more) for i in range(count)
    ]  # type: ignore[arg-type]


def score(name: str, *done: Engagement, fields: dict[str, object] | None = None) -> Score:
    return score_person(preset(name), fields or A_FIT, done, NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_names_itself_its_owners_and_keeps_its_own_examples(name: str) -> None:
    criteria = preset(name)
    assert criteria.preset == name
    assert set(criteria.agreed_by) == {"marketing", "sales"}
    assert criteria.review_by
    assert criteria.warnings == ()
    assert [result.differences for result in run_examples(criteria) if not result.ok] == []
    assert untouched(criteria) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_engagement_type_has_its_rule(name: str) -> None:
    criteria = preset(name)
    named = {type for rule in (*criteria.engagement, *criteria.hand_raise) for type in rule.events}
    assert named == set(ENGAGEMENT_TYPES)


def test_a_rule_that_no_example_touches_is_named_also_one_that_another_hides() -> None:
    criteria = preset("classic")
    competitor, student = criteria.disqualify[0], criteria.disqualify[2]
    [example] = [each for each in criteria.examples if "competitor" in each.name.lower()]
    both = replace(example, person={**example.person, "title": "student"})
    missed = untouched(replace(criteria, examples=(both,)))
    assert ("disqualify", competitor.id) not in missed
    assert ("disqualify", student.id) not in missed
    assert ("hand_raise", "demo") not in missed
    assert ("guard", criteria.guards[0].id) in missed
    assert ("points", "opens") in missed
    assert missed[0] == ("points", "manager")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_shows_what_a_machine_did_and_a_rule_of_suspect_that_none_shows_is_named(
    name: str,
) -> None:
    criteria = preset(name)
    [scanner] = [each for each in criteria.examples if "scanner" in each.name]
    [again] = [each for each in criteria.examples if "sent again" in each.name]
    [counted] = run_examples(replace(criteria, examples=(scanner,), suspect=()))
    assert not counted.ok, "without the rules it is a crowd of clicks"

    missed = untouched(replace(criteria, examples=(scanner,)))
    assert [rule for kind, rule in missed if kind == "suspect"] == ["sent-again"]
    assert {rule for kind, rule in untouched(replace(criteria, examples=(again,))) if kind == "suspect"} == {
        rule.id for rule in criteria.suspect if rule.id != "sent-again"
    }
    first, second = again.engagement
    assert len({first.type, second.type}) == 1
    once = run_examples(replace(criteria, examples=(replace(again, engagement=(second,)),)))[0].score
    assert run_examples(replace(criteria, examples=(again,)))[0].score == once


@pytest.mark.parametrize("name", NAMES)
def test_opens_give_nothing_and_clicks_do_from_the_second_or_third_on(name: str) -> None:
    assert score(name, *events("email_open", 20)).engagement == 0
    assert score(name, *events("email_click", 1)).engagement == 0
    assert score(name, *events("email_open", 3), *events("email_click", 3)).engagement > 0


@pytest.mark.parametrize("name", NAMES)
def test_what_is_closer_to_buying_weighs_more(name: str) -> None:
    ladder = (
        "newsletter_subscription",
        "content_download",
        "webinar_attendance",
        "pricing_download",
        "trial_signup",
    )
    worth = [score(name, *events(type)).engagement for type in ladder]
    assert worth == sorted(worth)
    assert worth[0] < worth[2] < worth[-1]


@pytest.mark.parametrize("name", NAMES)
def test_no_business_mail_and_no_web_site_downgrade_and_so_does_a_free_plan_without_means(name: str) -> None:
    fit = score(name).fit
    assert score(name, fields={**A_FIT, "email_kind": "free"}).fit < fit
    assert score(name, fields={k: v for k, v in A_FIT.items() if k != "company_domain"}).fit < fit
    small = {**A_FIT, "company_size": 60, "plan_type": "Free forever"}
    assert score(name, fields=small).fit < score(name, fields={**small, "budget": "high"}).fit
    assert score(name, fields=small).fit < score(name, fields={**small, "plan_type": "Enterprise"}).fit


@pytest.mark.parametrize("name", NAMES)
def test_customers_partners_open_deals_and_lost_ones_are_kept_from_sales_in_every_preset(name: str) -> None:
    def kept(days: int = 0, **account: object) -> str:
        fields = {**A_FIT, **{f"account.{name}": value for name, value in account.items()}}
        guard = guard_of(preset(name), fields, NOW + timedelta(days=days))  # type: ignore[arg-type]
        return guard.reason if guard else ""

    assert kept(is_customer=False, is_partner=False, open_opportunity=False) == kept() == ""
    for field in ("is_customer", "is_partner", "open_opportunity"):
        assert kept(**{field: True})
    assert kept(89, lost_at=NOW)
    assert not kept(90, lost_at=NOW)


@pytest.mark.parametrize("name", NAMES)
def test_frequency_and_length_count(name: str) -> None:
    def ids(*done: Engagement) -> set[str]:
        return {each.rule for each in score(name, *done).contributions}

    assert "many-downloads" in ids(*events("content_download", 3)) - ids(*events("content_download", 2))
    assert "came-back" in ids(*events("page_view", 10)) - ids(*events("page_view", 1))
    assert "long-stay" in ids(*events("page_view", 2, attributes={"seconds": 320})) - ids(
        *events("page_view", 2)
    )
    assert "whole-webinar" in ids(*events("webinar_attendance", value=2400.0)) - ids(
        *events("webinar_attendance")
    )


# What the field disagrees about, and the three answers: worth as engagement, and whether it qualifies at once.
DEBATED = {
    "newsletter_subscription": ((1, False), (4, False), (10, False)),
    "content_download": ((2, False), (8, False), (15, False)),
    "demo_signup": ((12, False), (35, False), (30, True)),
    "demo_request": ((0, True), (0, True), (0, True)),
    "contact_request": ((20, False), (0, True), (25, True)),
}


@pytest.mark.parametrize(("type", "answers"), DEBATED.items())
def test_the_three_answers_to_what_is_debated(type: str, answers: tuple[tuple[int, bool], ...]) -> None:
    for name, (points, raises) in zip(NAMES, answers, strict=True):
        made = score(name, *events(type))
        assert made.engagement <= points
        assert made.engagement > points * 0.9 or points == 0
        assert (made.hand_raised is not None) is raises, name
