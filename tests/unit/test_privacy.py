"""How people may be treated: who is scored, by what, and what is left of the definition for whom it is not all."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connector.app.files import load_criteria
from connector.core.changed import DECIDE, differences
from connector.core.criteria import fields_of_criteria
from connector.core.criteria_file import parse_criteria
from connector.core.definition import Definition
from connector.core.examples import as_new, run_examples
from connector.core.facts import Facts
from connector.core.known import known_as, score_known, told_as
from connector.core.mapping import WriteLine
from connector.core.mapping_file import parse_mapping
from connector.core.model import Engagement, MqlStatus, PersonRecord, Ref, StageState
from connector.core.override import MQL_NOW, Override
from connector.core.privacy import behaviour_counts, set_aside_behaviour
from connector.core.privacy_rules import DO_NOT_SCORE, NO_BEHAVIOUR, SCORE
from connector.core.stage import decide_stage
from connector.core.stage_rules import Measured
from connector.core.wording import changes_in_words
from connector.core.write_plan import plan_record
from connector.errors import FixConfig
from connector.insight.compared import Compared, verdicts
from connector.insight.explain.deciding import Case
from connector.insight.explain.missing import missing
from connector.insight.explain.why import why
from connector.insight.schema import left_standing

AT = datetime(2026, 11, 1, tzinfo=UTC)
RULES = [
    {"when": {"field": "legal_basis", "is": "contract"}, "do": "score", "because": "Agreed in the contract"},
    {"when": {"field": "country", "in": ["DE", "AT"]}, "do": "no_behaviour", "because": "No consent to profiling"},
    {"when": {"field": "objected", "is": True}, "do": "do_not_score", "because": "Objected"},
    {"when": {"field": "country", "is": "DE"}, "do": "do_not_score", "because": "Never reached: asked too late"},
]  # fmt: skip
DOC = {
    "fit": [{"id": "senior", "name": "Senior", "when": {"field": "seniority", "is": "vp"}, "points": 80}],
    "engagement": [{"id": "pricing", "event": "page_view", "points": 60}],
    "hand_raise": [{"id": "demo", "event": "demo_request"}],
    "disqualify": [{"id": "rival", "when": {"field": "rival", "is": True}}],
    "guards": [{"id": "known", "when": {"field": "company_name", "is": "Acme"}}],
    "personas": [{"id": "chief", "when": {"field": "seniority", "is_set": True}}],
    "audiences": [
        {"id": "big", "when": {"field": "company_size", "gte": 1000}, "weights": {"fit": 1, "engagement": 0}}
    ],
    "stages": {
        "mql": {
            "enter": {"any": [{"score": {"gte": 60}}, {"hand_raised": True}]},
            "leave": {"score": {"lt": 10}},
        }
    },
    "privacy": RULES,
}
CRITERIA = parse_criteria(DOC)
DONE = tuple(
    Engagement("x", "s", str(i), type, AT - timedelta(days=1))
    for i, type in enumerate(("page_view", "demo_request"))
)


def made_of(**fields):
    known = known_as({"seniority": "vp", **fields}, DONE, CRITERIA)
    score, decision = as_new(CRITERIA, {"seniority": "vp", **fields}, DONE, AT)
    assert score == score_known(known, AT)
    return known, score, decision.state


@pytest.mark.parametrize(
    ("fields", "treated", "score", "stage", "hand"),
    [
        ({"country": "FR"}, "", 70, "mql", "demo"),
        ({}, "", 70, "mql", "demo"),
        ({"country": "DE", "legal_basis": "Contract"}, "", 70, "mql", "demo"),  # the exception goes first
        ({"country": "DE"}, NO_BEHAVIOUR, 40, "lead", None),
        ({"country": "at", "objected": True}, NO_BEHAVIOUR, 40, "lead", None),  # the first that holds
        ({"country": "DE", "company_size": 5000}, NO_BEHAVIOUR, 80, "mql", None),  # by the weights of an audience
        ({"country": "FR", "objected": True}, DO_NOT_SCORE, 0, "lead", None),
        ({"objected": True, "rival": True, "company_size": 5000}, DO_NOT_SCORE, 0, "lead", None),
    ],
)  # fmt: skip
def test_the_first_rule_that_holds_says_how_somebody_is_treated(fields, treated, score, stage, hand):
    known, scored, state = made_of(**fields)
    assert (state.privacy, scored.score, state.stage, scored.hand_raised) == (treated, score, stage, hand)
    assert scored.disqualified is None
    assert behaviour_counts(CRITERIA, fields) is (treated == "")
    assert bool(known.engagement) is (treated == "")
    assert known.fields.get("persona") == (None if treated == DO_NOT_SCORE else "chief")
    assert known.audience == ("big" if "company_size" in fields else "")


def test_what_was_made_of_somebody_is_judged_the_same_again():
    known, _, _ = made_of(country="DE")
    again = known_as(known.fields, DONE, known.criteria)
    assert (again.criteria, again.engagement) == (known.criteria, ())
    assert told_as(known.fields, DONE, CRITERIA).engagement == ()
    assert known_as({"country": "DE"}, (), CRITERIA).criteria is known.criteria, (
        "one batch is scored in one go"
    )


def test_the_reason_says_on_which_ground():
    _, _, fit_only = made_of(country="DE")
    assert fit_only.because == "Lead: band 3; behaviour is not counted: No consent to profiling; Senior +80"
    _, _, unscored = made_of(objected=True)
    assert unscored.because == "Lead: not scored: Objected"


def staged(before, override=None, **fields):
    known = known_as({"seniority": "vp", **fields}, DONE, CRITERIA)
    now = Measured(score_known(known, AT), known.fields, known.engagement)
    return decide_stage(
        before, at=AT, now=now, then=lambda _: now, criteria=known.criteria, override=override
    )


OURS = StageState("mql", MqlStatus.QUALIFIED, since=AT, mql_since=AT, first_mql_at=AT, because="MQL", band=4)


def test_who_is_not_scored_is_no_mql_of_ours_any_more_and_the_reason_is_told_anew():
    found = staged(OURS, objected=True)
    assert (found.state.stage, found.state.status, found.left_mql) == ("lead", MqlStatus.NONE, True)
    assert found.because == "Lead: not scored: Objected"
    assert found.look_again_at is None
    by_human = StageState("mql", by_human=True, since=AT, mql_since=AT)
    assert staged(by_human, objected=True).state.stage == "mql", "what a human says is observed"
    sales = StageState("sql", MqlStatus.ACCEPTED, since=AT)
    assert (staged(sales, objected=True).state.stage) == "sql"


def test_the_reason_is_told_anew_though_nothing_else_has_changed():
    told = StageState("lead", since=AT, because="Lead: band 1", band=1)
    assert staged(told, objected=True).because == "Lead: not scored: Objected"
    same = StageState("lead", since=AT, because="as it was told", band=1, privacy=DO_NOT_SCORE)
    assert staged(same, objected=True).because == "as it was told"


def test_a_reason_of_ours_is_cleared_with_the_score_beside_which_it_stands():
    lines = [WriteLine("p", name, name, "always", clear=True) for name in ("score", "reason")]
    record = PersonRecord(Ref("x", "p", "1"), {}, held={"score": 70, "reason": "MQL"})
    planned = plan_record(
        record, lines, {"score": None, "reason": None}, written={}, refused=None, stage_order=(),
        stage_values={}, min_change=3, at=AT,
    )  # fmt: skip
    assert {write.field: write.after for write in planned.writes} == {"score": None, "reason": None}
    alone = plan_record(
        record, lines[1:], {"reason": None}, written={}, refused=None, stage_order=(), stage_values={},
        min_change=3, at=AT,
    )  # fmt: skip
    assert [write.field for write in alone.writes] == ["reason"]


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        ("Lead: band 1; Pricing +10", "Lead: band 1; behaviour is not counted: Law", True),
        ("Lead: band 1; behaviour is not counted: Law", "Lead: band 1; Pricing +10", True),
        ("Lead: band 1; Pricing +10", "Lead: band 1; Pricing +5", False),  # as ever: with a band or stage
    ],
)
def test_that_behaviour_counts_no_longer_is_told_in_the_crm_at_once(before, after, written):
    record = PersonRecord(Ref("x", "p", "1"), {}, held={"reason": before})
    planned = plan_record(
        record, [WriteLine("p", "reason", "reason", "always")], {"reason": after}, written={}, refused=None,
        stage_order=(), stage_values={}, min_change=3, at=AT,
    )  # fmt: skip
    assert bool(planned.writes) is written
    assert not planned.held_back


def test_no_word_stands_above_it():
    word = Override(1, MQL_NOW, "person", "x", "Ada", "A friend of the house", AT - timedelta(days=1))
    assert staged(None, word).state.stage == "mql"
    assert staged(None, word, objected=True).state.stage == "lead"
    assert staged(None, word, country="DE").state.stage == "mql", "a word is no behaviour"


def test_who_may_be_scored_again_is_told_so():
    lead = staged(None, objected=True).state
    back = staged(lead)
    assert (back.state.stage, back.state.privacy) == ("mql", "")
    quiet = staged(staged(None, country="DE").state, country="DE")
    assert quiet.change is None


def test_explain_tells_what_did_not_count_and_why_it_is_not_mql():
    known, score, _ = made_of(country="DE")
    found = why(known, score, AT, set_aside_behaviour(DONE, known.criteria))
    assert {each.why for each in found.not_counted} == {"behaviour is not counted: No consent to profiling"}
    case = Case(None, AT, known, then=lambda _: known, newer=lambda _: known, base=CRITERIA)
    assert missing(case).blockers == ("behaviour is not counted: No consent to profiling",)
    gone, _, _ = made_of(objected=True)
    found = missing(Case(None, AT, gone, then=lambda _: gone, newer=lambda _: gone, base=CRITERIA))
    assert (found.blockers, found.ways, found.gains) == (("not scored: Objected",), (), ())


def example(expect, **person):
    return {"name": str(person), "as_of": AT.isoformat(), "person": person, "expect": expect}


def test_examples_may_expect_how_somebody_is_treated():
    doc = {**DOC, "examples": [
        example({"privacy": "do_not_score", "stage": "lead"}, objected=True),
        example({"privacy": "no_behaviour"}, country="DE"),
        example({"privacy": None}, country="FR"),
        example({"privacy": None}, country="DE"),
    ]}  # fmt: skip
    found = run_examples(parse_criteria(doc))
    assert [each.ok for each in found] == [True, True, True, False]
    assert found[3].differences == ("privacy is no_behaviour, expected none",)


def test_a_difference_is_told_and_decided_anew():
    less = parse_criteria({**DOC, "privacy": RULES[:2]})
    found = differences(less, CRITERIA, {}, {})
    assert {each.needs for each in found} == {DECIDE}
    assert found[0].what.startswith("privacy: no rule -> do_not_score where objected")
    assert changes_in_words(less, CRITERIA)[0] == (
        "New rule of privacy: somebody with objected is true is not scored, because: Objected."
    )
    turned = parse_criteria({**DOC, "privacy": RULES[::-1]})
    assert changes_in_words(CRITERIA, turned) == ["The rules of privacy are asked in another order."]
    assert {"country", "objected", "legal_basis"} <= fields_of_criteria(CRITERIA)


@pytest.mark.parametrize(
    ("rule", "path", "says"),
    [
        ({"when": {"field": "a", "is": 1}, "do": "no_behavior", "because": "x"}, (0, "do"), "no_behaviour"),
        ({"when": {"field": "a", "is": 1}, "do": "score"}, (0,), "`because` is missing"),
        ({"do": "score", "because": "x"}, (0,), "`when` is missing"),
        ({"when": {"field": "a", "is": 1}, "do": "score", "because": " "}, (0, "because"), "empty"),
        ({"when": {"field": "a", "is": 1}, "do": "score", "because": "x", "id": "y"}, (0, "id"), "no key"),
        ({"when": {"field": "account.mqls", "gt": 1}, "do": "score", "because": "x"}, (0, "when"), "account"),
        ({"when": {"field": "persona", "is": "x"}, "do": "score", "because": "x"}, (0, "when"), "persona"),
        ("no rule", (0,), "map"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(rule, path, says):
    with pytest.raises(FixConfig) as refused:
        parse_criteria({**DOC, "privacy": [rule]})
    found = [each for each in refused.value.problems if each.path == ("privacy", *path)]
    assert [each for each in found if says in f"{each.what} {each.nearest}"], refused.value.problems
    assert len(found) == len({each.what for each in found}), (
        "an audience reads the file again, and tells nothing twice"
    )


def test_an_audience_has_no_rules_of_its_own_and_a_mistake_has_its_line(tmp_path):
    file = tmp_path / "criteria.yaml"
    file.write_text(
        "privacy:\n  - {when: {field: country, is: DE}, because: Law,\n     do: hide}\n"
        "audiences:\n  - {id: a, when: {field: country, is: FR}, privacy: []}\n",
        encoding="utf-8",
    )
    with pytest.raises(FixConfig) as refused:
        load_criteria(file)
    assert [(each.line, each.path) for each in refused.value.problems] == [
        (3, ("privacy", 0, "do")),
        (5, ("audiences", 0, "privacy")),
    ]


def test_check_names_the_lines_that_leave_a_value_of_ours_standing():
    write = [
        {"result": "score", "to": "s", "rule": "always", "clear": True},
        {"result": "band", "to": "b", "rule": "always"},
    ]
    mapping = parse_mapping({"crm": "x", "objects": {"p": {"kind": "person", "write": write}}})
    [note] = left_standing(CRITERIA, [mapping])
    assert (note.where, note.what.endswith("before: b")) == ("x.yaml", True)
    assert left_standing(parse_criteria({**DOC, "privacy": RULES[:2]}), [mapping]) == []


def test_two_definitions_compared_tell_whom_one_of_them_does_not_score():
    facts = [Facts(records=(PersonRecord(Ref("x", "p", "1"), {"seniority": "vp", "objected": True}),))]
    [free] = verdicts(Definition(parse_criteria({**DOC, "privacy": []}), {}), facts, AT)
    [private] = verdicts(Definition(CRITERIA, {}), facts, AT)
    counted = Compared()
    counted.add((), free, private)
    assert (counted.unscored_before, counted.unscored_after) == (0, 1)
    assert (sum(counted.bands_before.values()), sum(counted.bands_after.values())) == (1, 0)
    assert counted.scores == [0, 0, 0], "no score is neither lower nor higher"


PAGES = Path(__file__).parents[2] / "docs"


def yaml_of(page: str) -> dict[str, object]:
    """What the YAML blocks of a page say together."""
    text = (PAGES / page).read_text(encoding="utf-8")
    found: dict[str, object] = {}
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        found |= YAML(typ="safe").load(block)
    return found


def test_the_steps_on_the_page_lead_to_a_definition_that_is_right_and_green() -> None:
    shown = yaml_of("how-to/privacy-rules.md")
    parse_mapping(
        {"crm": "x", "objects": {"p": {"kind": "person"}}, "extra_fields": shown.pop("extra_fields")}
    )
    results = run_examples(parse_criteria(shown))
    assert [each.differences for each in results] == [()]
    assert {rule.do for rule in parse_criteria(shown).privacy} == {SCORE, DO_NOT_SCORE, NO_BEHAVIOUR}
