"""What follows for somebody by where they stand and who they are: nurture, personas and audiences of the criteria."""

from __future__ import annotations

import pytest

from connector.core.criteria_file import parse_criteria
from connector.core.model import MqlStatus
from connector.errors import FixConfig

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
