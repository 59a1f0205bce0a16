"""The arithmetic of `try`: rows become leads without their outcome, and separation is measured right."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from connector.core.criteria_file import parse_criteria
from connector.core.mapping import wanted_fields
from connector.core.mapping_file import parse_mapping
from connector.core.model import Engagement
from connector.core.score.oracle import score_person
from connector.errors import FixConfig
from connector.insight.trial import read_leads, separation

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "mappings" / "examples"
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
COLUMNS = {"Prospect ID": "1", "Converted": "1.0"}


def load(name):
    return YAML(typ="safe").load((EXAMPLES / name).read_text(encoding="utf-8"))


MAPPING = parse_mapping(load("education-leads.yaml"))
CRITERIA = parse_criteria(load("education-criteria.yaml"))


def row(**more):
    wanted = set().union(*wanted_fields(MAPPING).values())
    return dict.fromkeys(wanted, "") | COLUMNS | more


def read(*rows):
    return list(read_leads(rows, MAPPING, AS_OF))


def test_a_row_becomes_a_lead():
    (lead,) = read(
        row(**{"Lead Source": "Reference", "TotalVisits": "3.0", "Total Time Spent on Website": "900",
               "Last Activity": "Email Opened", "Specialization": "Select", "Country": "India"})
    )  # fmt: skip
    assert lead.id == "1"
    assert lead.outcome is True
    assert lead.fields["source"] == "reference"
    assert lead.fields["country"] == "IN"
    assert "specialization" not in lead.fields
    assert sorted(each.type for each in lead.engagement) == ["email_open", *["page_view"] * 3, "site_time"]
    assert {each.occurred_at for each in lead.engagement} == {AS_OF}


def test_the_outcome_never_reaches_fields_or_engagement():
    (yes,), (no,) = read(row()), read(row(Converted="0.0"))
    assert (yes.outcome, no.outcome) == (True, False)
    assert (yes.fields, yes.engagement) == (no.fields, no.engagement)


def test_a_row_without_outcome_or_id_is_still_a_lead():
    (lead,) = read(row(**{"Converted": "", "Prospect ID": ""}))
    assert (lead.id, lead.outcome) == ("row 1", None)


def test_missing_columns_are_told_at_once_with_the_nearest_name():
    bad = row() | {"Lead Sources": ""}
    del bad["Lead Source"], bad["City"]
    with pytest.raises(FixConfig) as refused:
        read(bad)
    assert [(each.path[0], each.nearest) for each in refused.value.problems] == [
        ("City", None),
        ("Lead Source", "Lead Sources"),
    ]


def test_a_crms_mapping_is_no_lists_mapping():
    with pytest.raises(FixConfig, match="exported list"):
        list(read_leads([], parse_mapping({"crm": "crm", "objects": {"contact": {}}}), AS_OF))


def test_separation_is_measured():
    found = separation([10, 30, 50, 90, 90], [False, False, True, False, True])
    assert found.base_rate == pytest.approx(0.4)
    assert found.auc == pytest.approx((2 + 0 + 2 + 0.5) / 6)
    assert [(each.band, each.people, each.converted, each.rate) for each in found.bands] == [
        (1, 1, 0, 0.0), (2, 1, 0, 0.0), (3, 1, 1, 1.0), (4, 0, 0, None), (5, 2, 1, 0.5),
    ]  # fmt: skip
    assert found.top_decile_rate == pytest.approx(0.5)
    assert found.top_decile_lift == pytest.approx(1.25)


def test_with_one_kind_of_lead_nothing_is_separated():
    assert separation([1, 2], [True, True]).auc is None
    nobody = separation([1, 2], [False, False])
    assert (nobody.auc, nobody.top_decile_lift) == (None, None)


@pytest.mark.parametrize(("scores", "outcomes"), [([], []), ([1], []), ([float("nan")], [True])])
def test_what_cannot_be_measured_is_refused(scores, outcomes):
    with pytest.raises(ValueError, match=r"outcomes|number"):
        separation(scores, outcomes)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs):
    yes = [score for score, outcome in pairs if outcome]
    no = [score for score, outcome in pairs if not outcome]
    found = separation([score for score, _ in pairs], [outcome for _, outcome in pairs])
    if yes and no:
        right = sum((a > b) + (a == b) / 2 for a in yes for b in no)
        assert found.auc == pytest.approx(right / (len(yes) * len(no)))
    assert sum(each.people for each in found.bands) == found.people
    assert found == separation(*map(list, zip(*reversed(pairs), strict=True)))


def test_a_score_on_a_cut_point_reaches_the_band():
    assert separation([20 - 1e-12], [True]).bands[1].people == 1


LIST = ROOT.parent / "shared" / "data" / "education-leads.csv"  # real leads, not ours to publish


@pytest.mark.skipif(not LIST.exists(), reason="the list of real leads is not on this machine")
def test_the_example_separates_real_leads():
    with LIST.open(encoding="utf-8", newline="") as file:
        leads = list(read_leads(csv.DictReader(file), MAPPING, AS_OF))
    scores = [score_person(CRITERIA, lead.fields, lead.engagement, AS_OF).score for lead in leads]
    found = separation(scores, [bool(lead.outcome) for lead in leads])
    rates = [each.rate for each in found.bands]
    assert found.auc > 0.8
    assert found.top_decile_lift > 2
    assert rates == sorted(rates)


def test_the_examples_of_the_example_hold():
    for example in load("education-criteria.yaml")["examples"]:
        events = [
            Engagement("csv", "s", str(place), **each) for place, each in enumerate(example["engagement"])
        ]
        score = score_person(CRITERIA, example["person"], events, example["as_of"])
        assert score.band == example["expect"]["band"], example["name"]


def test_the_example_reads_no_column_that_came_after_the_conversation():
    read_columns = set().union(*wanted_fields(MAPPING).values())
    forbidden = ("Tags", "Lead Quality", "Asymmetrique", "Last Notable Activity", "Converted", "Lead Profile")
    assert [column for column in read_columns if column.startswith(forbidden)] == []
