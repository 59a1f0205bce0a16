"""Which limits a plan crosses, told in words: case by case, each limit from both sides."""

from datetime import date

import pytest

from connector.core.limits import (
    EarlierRun,
    Freeze,
    PlanLimits,
    PlanNumbers,
    Shortfall,
    crossed,
    frozen,
    next_freeze,
    too_many_rejected,
    usual_promoted,
    usual_rows,
)

SHIPPED = PlanLimits()
OFF = PlanLimits(overwrites=None, people=None, share=None, demoted=None, rejected=None, reads=None, mqls=None)
HIDDEN = Shortfall("rows of contacts", 10, 80.0, there=20, known=500)


@pytest.mark.parametrize(
    ("plan", "names"),
    [
        (PlanNumbers(), set()),
        (PlanNumbers(overwriting=200, holding=390), {"overwrites"}),
        (PlanNumbers(overwriting=200, holding=400), set()),  # half is not more than half
        (PlanNumbers(overwriting=199, holding=199), set()),  # fewer than `at_least`
        (PlanNumbers(promoted=200, in_scope=100_000), set()),
        (PlanNumbers(promoted=201, in_scope=100_000), {"stage_changes.people"}),
        (PlanNumbers(promoted=150, demoted=51, in_scope=100_000), {"stage_changes.people"}),
        (PlanNumbers(promoted=50, in_scope=5_000), set()),
        (PlanNumbers(promoted=51, in_scope=5_000), {"stage_changes.share"}),
        (PlanNumbers(promoted=201, in_scope=5_000), {"stage_changes.people", "stage_changes.share"}),
        (PlanNumbers(promoted=3, in_scope=60), set()),  # three of sixty need nobody
        (PlanNumbers(promoted=10, in_scope=60), set()),
        (PlanNumbers(promoted=11, in_scope=60), {"stage_changes.share"}),
        (PlanNumbers(promoted=11), set()),  # whom of how many is not known
        (PlanNumbers(promoted=11, in_scope=0), {"stage_changes.share"}),
        (PlanNumbers(demoted=20, in_scope=2_000), set()),
        (PlanNumbers(demoted=21, in_scope=2_000), {"demoted", "stage_changes.share"}),
        (PlanNumbers(promoted=30, taken_up=100, usual_promoted=0.1), set()),
        (PlanNumbers(promoted=31, taken_up=100, usual_promoted=0.1), {"mqls"}),
        (PlanNumbers(promoted=10, taken_up=10, usual_promoted=0.0), set()),
        (PlanNumbers(promoted=11, taken_up=1_000, usual_promoted=0.0), {"mqls"}),
        (PlanNumbers(promoted=90, taken_up=100, usual_promoted=None), set()),
        (PlanNumbers(shortfalls=(HIDDEN,)), {"reads: rows of contacts"}),
        (PlanNumbers(shortfalls=(Shortfall("rows", 10, 80.0, there=480, known=500),)), set()),  # a quiet night
        (PlanNumbers(shortfalls=(Shortfall("rows", 40, 80.0, there=20, known=500),)), set()),  # half is enough
        (PlanNumbers(shortfalls=(Shortfall("rows", 0, 49.0, there=0, known=500),)), set()),  # noise
        (PlanNumbers(shortfalls=(Shortfall("rows", 10, 80.0),)), {"reads: rows"}),  # nobody could be asked
    ],
)  # fmt: skip
def test_a_plan_crosses_these_limits_and_no_other(plan: PlanNumbers, names: set[str]) -> None:
    assert set(crossed(SHIPPED, plan)) == names
    assert crossed(OFF, plan) == {}


def test_everything_that_is_crossed_is_told_in_words() -> None:
    plan = PlanNumbers(
        overwriting=300, holding=400, promoted=193, demoted=21, in_scope=2_000, taken_up=1_000,
        usual_promoted=0.01, shortfalls=(HIDDEN,),
    )  # fmt: skip

    assert list(crossed(SHIPPED, plan).values()) == [
        "75% of the records that hold a value would change, more than 50%",
        "214 people would change stage, more than 200",
        "214 people would change stage, 10.7% of the 2,000 in scope, more than 1.0%",
        "21 people would be demoted, 1.1% of the 2,000 in scope, more than 1.0%",
        "193 people would be promoted, 19.3% of the records taken up, more than 3 times the usual 1.0%",
        "10 rows of contacts were read, fewer than 50% of the usual 80, and the CRM shows 20 of the 500 that are known",
    ]


@pytest.mark.parametrize(
    ("rejected", "answered", "stops"),
    [(10, 10, False), (11, 550, False), (11, 549, True), (200, 10_000, False), (201, 10_000, True)],
)
def test_rejections_stop_a_push_beyond_two_percent_and_more_than_a_few(
    rejected: int, answered: int, stops: bool
) -> None:
    assert bool(too_many_rejected(SHIPPED, rejected, answered)) is stops
    assert not too_many_rejected(OFF, rejected, answered)


def test_what_is_usual_needs_three_runs_and_one_odd_run_does_not_move_it() -> None:
    runs = [EarlierRun(100, 1, {"contacts": rows}) for rows in (60, 70, 9_000)]

    assert usual_promoted(runs) == 0.01
    assert usual_rows(runs, "contacts") == 70
    assert usual_rows(runs, "companies") == 0
    assert usual_promoted(runs[:2]) is None
    assert usual_rows(runs[:2], "contacts") is None


QUARTER_END = Freeze(date(2026, 12, 28), date(2027, 1, 4), "Quarter end")
FAIR = Freeze(date(2026, 12, 1), date(2026, 12, 1))


@pytest.mark.parametrize(
    ("today", "now", "coming"),
    [
        (date(2026, 11, 30), None, FAIR),
        (date(2026, 12, 1), FAIR, FAIR),
        (date(2026, 12, 2), None, QUARTER_END),
        (date(2026, 12, 28), QUARTER_END, QUARTER_END),
        (date(2027, 1, 4), QUARTER_END, QUARTER_END),  # the last day is included
        (date(2027, 1, 5), None, None),
    ],
)
def test_a_freeze_holds_from_its_first_day_to_its_last(
    today: date, now: Freeze | None, coming: Freeze | None
) -> None:
    assert frozen([QUARTER_END, FAIR], today) == now
    assert next_freeze([QUARTER_END, FAIR], today) == coming
