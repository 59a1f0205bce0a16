"""An approved row leaves as somebody saw it, or is set aside with the reason."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connector.core.exact import Aside, judge_exactly
from connector.core.model import FieldWrite, PersonRecord, PlannedWrite, RecordState, Ref

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ADA = Ref("hubspot", "contact", "1")
SCORE = FieldWrite("mql_score", 40, 61, "always", "score")
BAND = FieldWrite("mql_band", None, 4, "always", "band")
STAGE = FieldWrite("lifecyclestage", "lead", "marketingqualifiedlead", "only_raise", "stage")
PLANNED = PlannedWrite(ADA, (SCORE, BAND, STAGE), because="score 61 >= 60", stage="lead")
STOOD = {"mql_score": "40", "mql_band": None, "lifecyclestage": "lead"}


def record(*, stage="lead", in_scope=True, state=RecordState.LIVE, moved_to=None, ref=ADA, **held):
    return PersonRecord(
        ref=ref,
        fields={},
        changed_at=NOW,
        stage=stage,
        in_scope=in_scope,
        state=state,
        moved_to=moved_to,
        held={**STOOD, **held},
    )


def judged(fresh, planned=PLANNED):
    return judge_exactly(planned, fresh, stage_field="lifecyclestage")


def told(verdict):
    assert isinstance(verdict, Aside)
    return verdict.told({"mql_score": "by user 42, 2026-11-25 11:00 UTC"})


def test_a_row_of_which_nothing_changed_leaves_as_it_is():
    assert judged(record()) == PLANNED


def test_one_changed_field_sets_the_whole_row_aside_and_says_what_was_what_is_and_who():
    assert told(judged(record(mql_score="55"))) == (
        "changed since it was planned: `mql_score` was `40` when this was planned and is `55` now"
        " (by user 42, 2026-11-25 11:00 UTC)"
    )


def test_a_change_below_what_is_worth_a_write_is_still_a_change():
    assert "`mql_score` was `40`" in told(judged(record(mql_score="41")))


def test_a_blank_that_was_filled_is_told_as_blank():
    assert "`mql_band` was blank when this was planned and is `2` now" in told(judged(record(mql_band="2")))


def test_what_the_crm_already_holds_is_left_out_and_the_rest_leaves():
    verdict = judged(record(mql_score="61"))
    assert isinstance(verdict, PlannedWrite)
    assert verdict.writes == (BAND, STAGE)
    assert [(held.field, held.why) for held in verdict.held_back] == [
        ("mql_score", "the CRM already holds this value")
    ]


def test_a_follower_alone_still_leaves_for_it_is_in_the_plan():
    reason = FieldWrite("mql_reason", "old", "new", "always", "reason")
    verdict = judged(record(mql_score="61", mql_reason="old"), replace(PLANNED, writes=(SCORE, reason)))
    assert isinstance(verdict, PlannedWrite)
    assert verdict.writes == (reason,)


def test_a_row_that_the_crm_holds_whole_is_unchanged():
    held = {"mql_score": "61", "mql_band": "4", "lifecyclestage": "marketingqualifiedlead"}
    assert told(judged(record(stage="mql", **held))) == "unchanged: the CRM already holds these values"


def test_a_stage_that_moved_to_what_is_wanted_is_no_change():
    verdict = judged(record(stage="mql", lifecyclestage="marketingqualifiedlead"))
    assert isinstance(verdict, PlannedWrite)
    assert verdict.writes == (SCORE, BAND)


@pytest.mark.parametrize("writes", [(SCORE, STAGE), (SCORE,)])
def test_a_stage_that_moved_sets_the_row_aside_whether_or_not_it_is_written(writes):
    reason = told(
        judged(record(stage="sql", lifecyclestage="salesqualifiedlead"), replace(PLANNED, writes=writes))
    )
    assert reason.count("lifecyclestage") == 1
    assert "was `lead`" in reason


@pytest.mark.parametrize(
    ("fresh", "word"),
    [
        (None, "no longer exists"),
        (record(state=RecordState.GONE), "no longer exists"),
        (record(state=RecordState.ARCHIVED), "was deleted"),
        (record(state=RecordState.CONVERTED, moved_to=Ref("salesforce", "Contact", "003")), "converted into"),
        (record(state=RecordState.MERGED), "was merged"),
        (record(ref=Ref("hubspot", "contact", "2")), "merged into"),
        (record(in_scope=False), "out of scope"),
    ],
)
def test_what_is_no_target_any_more_is_set_aside(fresh, word):
    assert word in told(judged(fresh))
