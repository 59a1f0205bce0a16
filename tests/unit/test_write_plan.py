"""What is written, what is held back and why, and what is left alone."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.mapping import WriteLine
from connector.core.model import (
    MqlStatus,
    PersonRecord,
    PlannedWrite,
    RecordState,
    Ref,
    Score,
    StageDecision,
    StageState,
)
from connector.core.write_plan import judge_again, plan_record, results, whole

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
REF = Ref("hubspot", "contact", "1")
ORDER = [
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "customer",
    "51439524",
    "other",
]
VALUES = {
    "subscriber": "subscriber",
    "lead": "lead",
    "mql": "marketingqualifiedlead",
    "sql": "salesqualifiedlead",
    "customer": "customer",
    "other": "other",
}
NAMES = {name: f"mql_{name}" for name in ("score", "fit", "engagement", "band", "grade", "status", "reason")}
SHIPPED = [
    *(WriteLine("contact", name, to, "always") for name, to in NAMES.items()),
    WriteLine("contact", "since", "mql_since", "always", clear=True),
    WriteLine("contact", "criteria_version", "mql_criteria_version", "always"),
    WriteLine("contact", "stage", "lifecyclestage", "only_raise"),
]
WANTED = {
    "score": 62,
    "fit": 50,
    "engagement": 74,
    "band": 4,
    "grade": "B2",
    "status": "qualified",
    "reason": "MQL: Asked for a demo",
    "since": "2026-11-20T08:00:00Z",
    "criteria_version": 7,
    "stage": "mql",
}
HELD = {  # the same, as HubSpot spells it
    "mql_score": "62",
    "mql_fit": "50",
    "mql_engagement": "74.0",
    "mql_band": "4",
    "mql_grade": "B2",
    "mql_status": "qualified",
    "mql_reason": "MQL: Asked for a demo",
    "mql_since": "2026-11-20T08:00:00.000Z",
    "mql_criteria_version": "7",
    "lifecyclestage": "marketingqualifiedlead",
}


@dataclass(frozen=True)
class Last:
    value: object
    at: datetime = AT
    theirs: bool = False


@dataclass(frozen=True)
class No:
    kind: str
    wanted: dict
    at: datetime = field(default=AT)


def record(held, **rest):
    return PersonRecord(ref=REF, fields={}, held=held, **rest)


def plan(held, wanted=WANTED, lines=SHIPPED, *, written=None, refused=None, at=AT, closed=None, **rest):
    return plan_record(
        record(held, **rest),
        lines,
        wanted,
        written=written or {},
        refused=refused,
        stage_order=ORDER,
        stage_values=VALUES,
        min_change=3,
        at=at,
        closed=closed,
    )


def again(planned, fresh, written=None):
    return judge_again(
        planned, fresh, written=written or {}, stage_order=ORDER, stage_values=VALUES, min_change=3
    )


def one(rule, before, after, *, result="status", to="field", clear=False, **rest):
    return plan({to: before}, {result: after}, [WriteLine("contact", result, to, rule, clear)], **rest)


# --------------------------------------------------------------------------------------------- results


def test_results_are_whole_numbers_and_seconds():
    score = Score(fit=49.5, engagement=74.49, score=61.9999999999, band=4, grade="B2")
    state = StageState(
        "mql", MqlStatus.QUALIFIED, mql_since=datetime(2026, 11, 20, 8, 0, 0, 999999, tzinfo=UTC)
    )
    wanted = results(score, StageDecision(state, None, "MQL: Asked for a demo"), 7)
    assert wanted == {**WANTED, "next": None, "persona": None, "audience": None}
    told = results(score, StageDecision(state, None, ""), 7, next="A", persona="buyer", audience="dach")
    assert (told["next"], told["persona"], told["audience"]) == ("A", "buyer", "dach")


@pytest.mark.parametrize(
    ("number", "written"), [(0.5, 1), (0.4999999999, 1), (0.49, 0), (-0.2, 0), (100.0, 100)]
)
def test_halves_are_rounded_up_with_a_billionth_of_tolerance(number, written):
    assert whole(number) == written


# --------------------------------------------------------------------------------------- the unchanged


def test_what_the_crm_holds_in_its_own_spelling_is_unchanged():
    assert plan(HELD).fate == "unchanged"


def test_a_record_with_nothing_gets_every_field():
    assert {w.result for w in plan({}).writes} == set(WANTED)
    assert {w.field: w.after for w in plan({}).writes}["lifecyclestage"] == "marketingqualifiedlead"


@pytest.mark.parametrize(
    ("moved", "fate"), [(2, "unchanged"), (-2, "unchanged"), (3, "planned"), (-3, "planned")]
)
def test_a_score_alone_is_sent_when_it_moved_by_min_change(moved, fate):
    planned = plan(HELD, WANTED | {"score": 62 + moved})
    assert planned.fate == fate
    assert [w.field for w in planned.writes] == (["mql_score"] if fate == "planned" else [])


def test_small_moves_ride_along_with_a_change_of_band():
    planned = plan(HELD, WANTED | {"score": 60, "fit": 49, "band": 3, "criteria_version": 8})
    assert {w.result for w in planned.writes} == {"score", "fit", "band", "criteria_version"}


def test_a_blank_score_counts_as_moved():
    assert [w.field for w in plan(HELD | {"mql_score": ""}).writes] == ["mql_score"]


def test_a_new_criteria_version_alone_writes_nothing():
    assert plan(HELD, WANTED | {"criteria_version": 8}).fate == "unchanged"


def test_a_new_reason_waits_for_a_change_of_stage_or_band():
    new = WANTED | {"reason": "MQL: Looked at pricing"}
    assert plan(HELD, new).fate == "unchanged"
    assert [w.result for w in plan(HELD, new | {"score": 70}).writes] == ["score"]
    assert [w.result for w in plan(HELD, new | {"band": 5}).writes] == ["band", "reason"]
    assert [w.result for w in plan(HELD | {"mql_reason": None}, new).writes] == ["reason"]


def test_since_is_cleared_outside_the_spell():
    planned = plan(HELD, WANTED | {"since": None})
    assert [(w.field, w.before, w.after) for w in planned.writes] == [
        ("mql_since", "2026-11-20T08:00:00.000Z", None)
    ]


# ----------------------------------------------------------------------------------------- write rules


def test_always_overwrites_and_keeps_the_before_image():
    write = one("always", "none", "qualified").writes[0]
    assert (write.before, write.after, write.rule) == ("none", "qualified", "always")


def test_a_blank_never_overwrites_unless_the_line_says_clear():
    assert one("always", "x", None).fate == "held_back"
    assert one("always", "x", "").fate == "held_back"
    assert one("always", "x", None, clear=True).fate == "planned"
    assert one("always", "", None).fate == "unchanged"


def test_if_blank_fills_and_never_overwrites():
    assert one("if_blank", "", "qualified").fate == "planned"
    assert one("if_blank", "none", "qualified").fate == "held_back"


def test_if_ours_overwrites_only_what_we_wrote_last():
    assert one("if_ours", None, "qualified").fate == "planned"
    assert one("if_ours", "none", "qualified", written={"field": Last("none")}).fate == "planned"
    assert one("if_ours", "none", "qualified").fate == "held_back"
    assert one("if_ours", "theirs", "qualified", written={"field": Last("none")}).fate == "held_back"


def test_what_an_undo_put_back_for_somebody_else_is_not_ours():
    put_back = {"field": Last("none", theirs=True)}
    assert one("if_ours", "none", "qualified", written=put_back).fate == "held_back"


@pytest.mark.parametrize(
    ("before", "after", "fate"),
    [
        ("lead", "mql", "planned"),
        (None, "mql", "planned"),
        ("salesqualifiedlead", "mql", "held_back"),
        ("customer", "lead", "held_back"),
        ("51439524", "mql", "held_back"),  # an account's own stage, higher than ours
        ("customer", "51439524", "planned"),
        ("other", "mql", "held_back"),
        ("lead", "other", "held_back"),
        ("unheard-of", "mql", "held_back"),
        ("marketingqualifiedlead", "mql", "unchanged"),
        ("lead", "a_stage_of_the_other_crm", "held_back"),
    ],
)
def test_a_stage_only_rises(before, after, fate):
    assert one("only_raise", before, after, result="stage").fate == fate


@pytest.mark.parametrize(
    ("before", "after", "fate"), [("40", 62, "planned"), ("62.5", 62, "unchanged"), ("99", 62, "held_back")]
)
def test_a_number_only_rises_where_the_line_says_so(before, after, fate):
    assert one("only_raise", before, after, result="score").fate == fate


def test_never_shows_the_difference_and_sends_nothing():
    planned = one("never", "none", "qualified")
    assert planned.writes == ()
    assert planned.held_back[0].wanted == "qualified"
    assert "never" in planned.held_back[0].why


def test_a_record_out_of_scope_is_held_back_and_an_equal_one_unchanged():
    assert {h.why for h in plan({}, in_scope=False).held_back} == {"out of scope"}
    assert plan({}, in_scope=False).fate == "held_back"
    assert plan(HELD, in_scope=False).fate == "unchanged"


def test_a_field_that_the_crm_lacks_is_held_back_and_the_others_are_sent():
    planned = plan({}, closed={"mql_grade": "would be written, but is not there yet"})
    assert [h.field for h in planned.held_back] == ["mql_grade"]
    assert len(planned.writes) == len(WANTED) - 1


def test_lines_of_another_object_do_not_concern_the_record():
    assert plan({}, lines=[WriteLine("Lead", "score", "MQL_Score__c", "always")]).fate == "unchanged"


def test_a_stage_that_may_not_be_lowered_does_not_drag_small_moves_along():
    held = HELD | {"lifecyclestage": "customer", "mql_score": "61"}
    planned = plan(held)
    assert planned.fate == "held_back"
    assert [h.field for h in planned.held_back] == ["lifecyclestage"]


# --------------------------------------------------------------------------------- refused differences


def test_what_a_crm_rejected_waits_a_day_or_for_a_new_value():
    before = HELD | {"mql_band": "3", "mql_status": "none"}
    refused = No("rejected", {"mql_band": 4, "mql_status": "qualified"})
    assert plan(before, refused=refused).fate == "held_back"
    assert plan(before, refused=refused, at=AT + timedelta(hours=24)).fate == "planned"
    changed = plan(before, WANTED | {"band": 5}, refused=refused)
    assert {w.result for w in changed.writes} == {"band", "status"}


def test_what_a_human_discarded_is_not_proposed_again_until_its_value_changes():
    before = HELD | {"mql_band": "3", "mql_score": "10"}
    refused = No("discarded", {"mql_band": 4, "mql_score": 62})
    assert plan(before, refused=refused, at=AT + timedelta(days=90)).fate == "held_back"
    assert plan(before, WANTED | {"score": 61}, refused=refused).fate == "held_back"  # a day's decay
    moved = plan(before, WANTED | {"score": 50}, refused=refused)
    assert [w.result for w in moved.writes] == ["score"]
    assert [h.field for h in moved.held_back] == ["mql_band"]


def test_an_unknown_outcome_does_not_hold_a_difference_back():
    assert plan({}, refused=No("unknown", {"mql_score": 62})).fate == "planned"


# ---------------------------------------------------------------------------------------- judged again


def test_before_images_become_what_was_read():
    judged = again(plan(HELD | {"mql_band": "2"}), record(HELD | {"mql_band": "3"}))
    assert isinstance(judged, PlannedWrite)
    assert [(w.field, w.before, w.after) for w in judged.writes] == [("mql_band", "3", 4)]


def test_what_became_equal_is_dropped():
    judged = again(plan(HELD | {"mql_band": "2", "mql_status": "none"}), record(HELD | {"mql_band": "2"}))
    assert [w.field for w in judged.writes] == ["mql_band"]
    assert again(plan(HELD | {"mql_band": "2"}), record(HELD)) == "the CRM already holds these values"


def test_a_stage_that_a_human_raised_meanwhile_sets_the_record_aside():
    planned = plan({})
    why = again(planned, record({"lifecyclestage": "salesqualifiedlead"}))
    assert why.startswith("changed since it was planned")


def test_a_value_that_a_human_set_meanwhile_is_kept_under_if_ours_and_the_rest_is_sent():
    lines = [
        WriteLine("contact", "status", "s", "if_ours"),
        WriteLine("contact", "band", "b", "always"),
    ]
    planned = plan({"s": "none", "b": "1"}, lines=lines, written={"s": Last("none")})
    judged = again(planned, record({"s": "by hand", "b": "1"}), {"s": Last("none")})
    assert [w.field for w in judged.writes] == ["b"]
    assert [h.field for h in judged.held_back] == ["s"]
    alone = plan({"s": "none"}, lines=lines[:1], written={"s": Last("none")})
    assert again(alone, record({"s": "by hand"}), {"s": Last("none")}) == "changed since it was planned"


def test_a_clearing_is_still_allowed_when_judged_again():
    judged = again(plan(HELD, WANTED | {"since": None}), record(HELD))
    assert [w.after for w in judged.writes] == [None]


@pytest.mark.parametrize(
    ("fresh", "word"),
    [
        (None, "no longer exists"),
        (record({}, state=RecordState.GONE), "no longer exists"),
        (record({}, state=RecordState.ARCHIVED), "deleted"),
        (
            record({}, state=RecordState.CONVERTED, moved_to=Ref("salesforce", "Contact", "003")),
            "Contact:003",
        ),
        (record({}, state=RecordState.MERGED), "merged"),
        (PersonRecord(ref=Ref("hubspot", "contact", "2"), fields={}), "merged into hubspot:contact:2"),
        (record({}, in_scope=False), "out of scope"),
    ],
)
def test_a_record_that_is_no_target_any_more_is_set_aside_with_the_reason(fresh, word):
    assert word in again(plan({}), fresh)


BLANKS = {
    "absent": {},
    "null": {"mql_score": None},
    "empty": {"mql_score": ""},
    "spaces": {"mql_score": " \t"},
}
FILLERS = {text: {"mql_score": text} for text in ("N/A", "-", "unknown", "#N/A", "null")}


@pytest.mark.parametrize("rule", ["always", "if_blank", "if_ours", "only_raise", "never"])
@pytest.mark.parametrize(
    ("stored", "blank"),
    [*((held, True) for held in BLANKS.values()), *((held, False) for held in FILLERS.values())],
    ids=[*BLANKS, *FILLERS],
)
def test_trap_blank_null_and_filler_against_each_write_rule(rule, stored, blank):
    """A filler is a value: somebody or something put it there, so only `always` writes over it, and only a line that
    says `clear` empties it."""
    line = WriteLine("contact", "score", "mql_score", rule)
    fills = plan(stored, {"score": 62}, [line])
    empties = plan(stored, {"score": None}, [line])
    clears = plan(stored, {"score": None}, [WriteLine("contact", "score", "mql_score", rule, clear=True)])

    written = rule == "always" or (blank and rule != "never")
    assert [(write.field, write.after) for write in fills.writes] == ([("mql_score", 62)] if written else [])
    assert [each.field for each in fills.held_back] == ([] if written else ["mql_score"])
    assert empties.writes == ()  # a blank never overwrites a value
    assert bool(empties.held_back) is not blank
    assert [write.after for write in clears.writes] == ([None] if rule == "always" and not blank else [])
    for verdict in (again(fills, record(stored)), again(fills, record({}))):
        assert isinstance(verdict, str) or [write.after for write in verdict.writes] == [62]
