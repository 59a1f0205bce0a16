"""What a planned write means for its person, case by case."""

import pytest

from connector.core.kinds import kind_of, responsible
from connector.core.model import Contribution, FieldWrite, Score

ORDER = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "customer")
VALUES = {"lead": "lead", "mql": "marketingqualifiedlead"}


def line(result, before, after):
    return FieldWrite(f"mql_{result}", before, after, "always", result)


@pytest.mark.parametrize(
    ("writes", "kind"),
    [
        ([line("stage", "lead", "marketingqualifiedlead"), line("score", 10, 70)], "promotion"),
        ([line("stage", None, "marketingqualifiedlead")], "promotion"),
        ([line("stage", None, "lead"), line("score", None, 12)], "score"),
        ([line("stage", "marketingqualifiedlead", "lead")], "demotion"),
        ([line("status", "none", "qualified")], "promotion"),
        ([line("status", "qualified", "recycled"), line("since", "2026-01-01T00:00:00Z", None)], "demotion"),
        ([line("status", "qualified", "accepted"), line("score", 60, 70)], "score"),
        ([line("status", None, "none")], "score"),
        ([line("stage", "marketingqualifiedlead", "salesqualifiedlead"), line("status", "qualified", "none")],
         "promotion"),
        ([line("grade", "B2", None)], "clearing"),
        ([line("score", 40, 62)], "score"),
        ([], "score"),
    ],
)  # fmt: skip
def test_a_write_is_told_by_the_strongest_thing_it_does(writes, kind):
    assert kind_of(writes, ORDER, VALUES) == kind


def test_the_rule_that_disqualifies_or_raises_a_hand_is_responsible_alone_else_the_strongest_drivers():
    drivers = tuple(
        Contribution(rule, points) for rule, points in [("a", 5), ("b", -20), ("c", 10), ("d", 1)]
    )
    score = Score(50, 50, 50, 3, "B2", contributions=drivers)
    assert responsible(score) == ("b", "c", "a")
    raised = Score(50, 50, 50, 3, "B2", hand_raised="demo", contributions=drivers)
    assert responsible(raised) == ("demo",)
    assert responsible(Score(0, 0, 0, 1, "D4", disqualified="competitor", hand_raised="demo")) == (
        "competitor",
    )
