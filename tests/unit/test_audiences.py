"""What follows for somebody by where they stand and who they are: nurture, personas and audiences of the criteria."""

from __future__ import annotations

import pytest

from connector.app.files import load_criteria
from connector.core.audience import other_persona
from connector.core.changed import DECIDE, NOTHING, differences
from connector.core.criteria import fields_of_criteria
from connector.core.criteria_file import parse_criteria
from connector.core.examples import run_examples, untouched
from connector.core.known import known_as
from connector.core.mapping_file import parse_mapping
from connector.core.model import MqlStatus
from connector.core.wording import changes_in_words
from connector.errors import FixConfig
from connector.insight.schema import unfilled

STAGES = {
    "lead": {"next": "Newsletter"},
    "mql": {"enter": {"score": {"gte": 60}}, "next": "Sales sequence A"},
    "sql": {"next": "Onboarding preview"},
    "recycle": {"cool_off": "10d", "next": "Win-back"},
    "customer": {"next": "Adoption"},
    "disqualified": {"next": "None of ours"},
}


def problems_of(doc):
    with pytest.raises(FixConfig) as refused:
        parse_criteria(doc)
    return [(each.path, each.what) for each in refused.value.problems]


@pytest.mark.parametrize(
    ("stage", "status", "follows"),
    [
        ("lead", MqlStatus.NONE, "Newsletter"),
        ("mql", MqlStatus.QUALIFIED, "Sales sequence A"),
        ("sql", MqlStatus.ACCEPTED, "Onboarding preview"),
        ("lead", MqlStatus.RECYCLED, "Win-back"),
        ("lead", MqlStatus.REJECTED, "Win-back"),
        ("customer", MqlStatus.NONE, "Adoption"),
        ("lead", MqlStatus.DISQUALIFIED, "None of ours"),
        ("opportunity", MqlStatus.NONE, None),
    ],
)
def test_each_stage_names_the_nurture_that_follows(stage, status, follows):
    assert parse_criteria({"stages": STAGES}).stages.next_of(stage, status) == follows


def test_whom_nobody_nurtures_has_no_next():
    stages = parse_criteria({"stages": {"lead": {"next": "Newsletter"}}}).stages
    assert stages.next_of("lead", MqlStatus.DISQUALIFIED) is None
    assert stages.next_of("lead", MqlStatus.RECYCLED) == "Newsletter"


@pytest.mark.parametrize(
    ("stages", "path"),
    [
        ({"customer": {}}, ("stages", "customer")),
        ({"customer": {"next": 3}}, ("stages", "customer", "next")),
        ({"lead": {"next": "x" * 256}}, ("stages", "lead", "next")),
        ({"sql": {}}, ("stages", "sql")),
        ({"evangelist": {"next": "a", "nxt": "b"}}, ("stages", "evangelist", "nxt")),
    ],
)
def test_a_mistake_about_what_follows_is_named_at_its_place(stages, path):
    assert path in [where for where, _ in problems_of({"stages": stages})]


# ------------------------------------------------------------------------------------------- personas and audiences

SHARED = {
    "name": "Shared",
    "currency": "EUR",
    "decay": {"half_life": "45d"},
    "groups": {"mail": {"cap": 20}},
    "fit": [{"id": "senior", "when": {"field": "seniority", "in": ["vp", "director"]}, "points": 40}],
    "engagement": [
        {"id": "clicks", "event": "email_click", "points": 5, "group": "mail"},
        {"id": "views", "event": "page_view", "points": 5},
    ],
    "personas": [
        {"id": "buyer", "name": "Buyer", "when": {"field": "seniority", "is": "vp"}},
        {"id": "user", "name": "User", "when": {"field": "seniority", "is_set": True}},
    ],
    "audiences": [
        {"id": "dach", "name": "DACH", "when": {"field": "country", "in": ["DE", "AT", "CH"]},
         "fit": [{"id": "senior", "when": {"field": "seniority", "is": "vp"}, "points": 70}]},
        {"id": "buyers", "name": "Buyers", "when": {"field": "persona", "is": "buyer"}, "decay": {"half_life": "7d"},
         "stages": {"mql": {"enter": {"score": {"gte": 80}}}}},
    ],
}  # fmt: skip


def with_audience(**keys):
    return {**SHARED, "audiences": [{"id": "own", "when": {"field": "country", "is": "DE"}, **keys}]}


@pytest.mark.parametrize(
    ("fields", "persona", "audience"),
    [
        ({"seniority": "vp"}, "buyer", "buyers"),
        ({"seniority": "vp", "country": "DE"}, "buyer", "dach"),  # the first that holds
        ({"seniority": "manager"}, "user", ""),
        ({"seniority": "manager", "persona": "Buyer"}, "Buyer", "buyers"),  # what a CRM says goes first
        ({"seniority": "vp", "persona": " "}, "buyer", "buyers"),
        ({}, None, ""),
    ],
)
def test_the_persona_comes_first_and_then_the_audience(fields, persona, audience):
    known = known_as(fields, (), parse_criteria(SHARED))
    assert (known.fields.get("persona"), known.audience) == (persona, audience)
    assert known.criteria.name == "Shared"


def test_an_audience_replaces_whole_keys_and_takes_the_rest_from_the_file():
    criteria = parse_criteria(SHARED)
    dach, buyers = criteria.of("dach"), criteria.of("buyers")
    assert [rule.points for rule in dach.fit] == [70]
    assert (dach.engagement, dach.groups, dach.currency) == (criteria.engagement, {"mail": 20.0}, "EUR")
    assert buyers.fit == criteria.fit
    assert all(rule.decay == buyers.decay != criteria.decay for rule in buyers.engagement)
    assert buyers.stages != dach.stages == criteria.stages
    assert criteria.of("gone") is criteria
    assert not dach.audiences
    assert not dach.personas


def test_a_persona_that_the_rules_would_give_is_told_beside_the_assigned_one():
    criteria = parse_criteria(SHARED)
    assert other_persona(criteria, {"seniority": "vp", "persona": "user"}) == "buyer"
    assert other_persona(criteria, {"seniority": "vp", "persona": "buyer"}) is None
    assert other_persona(criteria, {"persona": "user"}) is None


def test_the_fields_of_all_audiences_are_read():
    criteria, mapping = (
        parse_criteria(SHARED),
        parse_mapping({"crm": "x", "objects": {"p": {"kind": "person"}}}),
    )
    assert fields_of_criteria(criteria) == {"seniority", "country", "persona"}
    assert not any("persona" in each.what for each in unfilled(criteria, [mapping]))
    without = parse_criteria({**SHARED, "personas": []})
    assert any("`persona`" in each.what for each in unfilled(without, [mapping]))


@pytest.mark.parametrize(
    ("doc", "path", "says"),
    [
        (with_audience(version=3), ("audiences", 0, "version"), "once, for the whole file"),
        (with_audience(personas=[]), ("audiences", 0, "personas"), "once, for the whole file"),
        (with_audience(fitt=[]), ("audiences", 0, "fitt"), "no key here"),
        (with_audience(fit=[{"id": "a", "points": 1}]), ("audiences", 0, "fit", 0), "`when` is missing"),
        (with_audience(stages={"mql": {}}), ("audiences", 0, "stages", "mql"), "`enter` is missing"),
        (with_audience(groups={}), ("audiences", 0), "no group `mail`"),
        (with_audience(when=None), ("audiences", 0, "when"), ""),
        ({**SHARED, "audiences": [{"id": "a"}]}, ("audiences", 0), "`when` is missing"),
        ({**SHARED, "audiences": SHARED["audiences"][:1] * 2}, ("audiences", 1, "id"), "already taken"),
        ({**SHARED, "personas": SHARED["personas"][:1] * 2}, ("personas", 1, "id"), "already taken"),
        (
            {"personas": [{"id": "a", "when": {"field": "persona", "is_blank": True}}]},
            ("personas", 0, "when"),
            "which it decides",
        ),
    ],
)
def test_a_mistake_is_told_where_the_audience_has_it(doc, path, says):
    found = problems_of(doc)
    assert [where for where, what in found if says in what] == [path], found


def test_a_mistake_of_the_file_is_told_once():
    broken = {**SHARED, "fit": [{"id": "a", "points": 1}], "stages": {"mql": {}}}
    assert [path for path, _ in problems_of(broken)] == [("fit", 0), ("stages", "mql")]


def test_a_mistake_in_an_audience_has_its_line(tmp_path):
    file = tmp_path / "criteria.yaml"
    file.write_text(
        "audiences:\n  - id: a\n    when: {field: country, is: DE}\n    fit:\n      - {id: x, points: many}\n",
        encoding="utf-8",
    )
    with pytest.raises(FixConfig) as refused:
        load_criteria(file)
    assert {each.line for each in refused.value.problems} == {5}


AT = "2026-11-01T00:00:00Z"


def test_examples_of_an_audience_are_of_people_who_fall_into_it():
    def example(name, expect, **person):
        return {"name": name, "as_of": AT, "person": person, "expect": expect}

    doc = with_audience(
        fit=[{"id": "senior", "when": {"field": "seniority", "is": "vp"}, "points": 80}],
        examples=[
            example(
                "inside", {"fit": 80, "audience": "own", "persona": "buyer"}, country="DE", seniority="vp"
            ),
            example("outside", {"fit": 40}, country="FR", seniority="vp"),
        ],
    )
    doc["examples"] = [
        example("of the file", {"fit": 80, "persona": "user"}, country="DE", seniority="vp"),
        example("nobody", {"audience": None, "persona": None, "fit": 0}),
    ]
    found = {each.name: each for each in run_examples(parse_criteria(doc))}
    assert [name for name, each in found.items() if each.ok] == ["nobody", "inside"]
    assert found["outside"].differences == ("falls into no audience, not into `own`, where it stands",)
    assert found["of the file"].differences == ("persona is buyer, expected user",)
    assert found["of the file"].audience == "own"


def test_a_variant_of_a_rule_that_no_example_touches_is_named():
    doc = with_audience(fit=[{"id": "senior", "when": {"field": "seniority", "is": "vp"}, "points": 80}])
    here = {"name": "x", "as_of": AT, "expect": {"stage": "lead"}, "person": {"seniority": "vp"}}
    doc["examples"] = [here]
    assert ("points", "senior") in untouched(parse_criteria(doc))
    doc["examples"] = [here, {**here, "person": {"seniority": "vp", "country": "DE"}}]
    assert ("points", "senior") not in untouched(parse_criteria(doc))


# ------------------------------------------------------------------------------------------------------ what changed


def edited(**changes):
    """The shared file after an edit of its DACH audience."""
    first, *rest = SHARED["audiences"]
    return {**SHARED, "audiences": [{**first, **changes}, *rest]}


@pytest.mark.parametrize(
    ("now", "needs", "says", "words"),
    [
        (edited(when={"field": "country", "is": "DE"}), DECIDE, "audience `dach`: when",
         "The audience `dach` (DACH) is who: country is de; so far: country is one of de, at, ch."),
        (edited(bands=[10, 20, 30, 40]), DECIDE, "audience `dach`: bands", "For DACH: Bands: 10, 20, 30, 40"),
        (edited(name="D-A-CH"), NOTHING, "audience `dach`: name", None),
        (edited(examples=[]), None, None, None),
        ({**SHARED, "audiences": SHARED["audiences"][::-1]}, DECIDE, "audiences: another order",
         "The audiences are asked in another order: buyers, dach."),
        ({**SHARED, "audiences": SHARED["audiences"][1:]}, DECIDE, "audience `dach` is gone",
         "The audience `dach` (DACH) is gone."),
        ({**SHARED, "personas": SHARED["personas"][::-1]}, DECIDE, "personas: another order",
         "The personas are asked in another order: user, buyer."),
        ({**SHARED, "personas": SHARED["personas"][:1]}, DECIDE, "persona `user` is gone",
         "The persona `user` (User) is gone."),
        ({**SHARED, "weights": {"fit": 1, "engagement": 0}}, DECIDE, "weights: fit 0.5", "Weights: "),
        ({**SHARED, "stages": STAGES}, DECIDE, "stages.next", "After MQL follows: Sales sequence A; so far: nothing."),
    ],
)  # fmt: skip
def test_what_changed_for_an_audience_is_told_once_and_decided_anew(now, needs, says, words):
    old, new = parse_criteria(SHARED), parse_criteria(now)
    found = differences(old, new, {}, {})
    told = changes_in_words(old, new)
    assert {each.needs for each in found} == ({needs} if needs else set())
    assert len({each.what for each in found}) == len(found)
    if says:
        assert any(each.what.startswith(says) for each in found), found
    assert [line for line in told if words and line.startswith(words)] or not words, told


def test_a_new_audience_is_told_by_how_it_differs_from_the_file():
    told = changes_in_words(parse_criteria({**SHARED, "audiences": []}), parse_criteria(SHARED))
    assert told[:2] == [
        "New audience `dach` (DACH): country is one of de, at, ch.",
        "New audience `buyers` (Buyers): persona is buyer.",
    ]
    assert any(line.startswith("For DACH: `senior`") for line in told)
    assert changes_in_words(parse_criteria(SHARED), parse_criteria(SHARED)) == []
