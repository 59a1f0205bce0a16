"""A CRM held against the definition: what is counted as agreement, and which bar lets in how many."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connector.core.criteria import Criteria, MqlStage, StageAll, StageAny, StageEntry, Stages, StageTest
from connector.core.model import Contribution, MqlStatus, PersonRecord, Ref, Score
from connector.core.reconcile import Reconciliation, Standing, qualifies, told

SIXTY = StageEntry((StageTest("score", "gte", 60.0), StageTest("fit", "gte", 25.0)))
HAND = StageEntry(hand_raised=True)


def criteria(*entries: StageEntry) -> Criteria:
    return Criteria(stages=Stages(MqlStage(enter=StageAny(entries or (SIXTY, HAND)), leave=StageAny(()))))


def standing(
    number: int, score: float, stage: str | None = None, *, fit: float = 50.0, hand: str | None = None,
    disqualified: str | None = None, **fields: str,
) -> Standing:  # fmt: skip
    record = PersonRecord(Ref("hubspot", "contact", str(number)), fields, stage=stage)
    drivers = (Contribution("pricing-page", score),) if score else ()
    return Standing(
        record, number, Score(fit, score, score, 1, "B2", disqualified, hand, contributions=drivers)
    )


def counted(*standings: Standing, by: Criteria | None = None) -> Reconciliation:
    found = Reconciliation(by or criteria())
    for each in standings:
        found.add(each)
    return found


def test_of_those_the_crm_calls_mql_the_rules_alone_say_how_many_they_agree_with():
    told_of = told(
        counted(
            standing(1, 70, "mql"), standing(2, 10, "mql"), standing(3, 5, "mql", hand="demo"),
            standing(4, 90, "customer"), standing(5, 0, "customer"), standing(6, 80, "lead"), standing(7, 20),
            standing(8, 95, "mql", disqualified="competitor"),
        ),
        "hubspot",
    )  # fmt: skip
    assert told_of["stages"] == {
        "mql": {"records": 4, "agree": 2},
        "customer": {"records": 2, "agree": 1},
    }
    assert (told_of["records"], told_of["qualified"], told_of["below_mql"]) == (8, 4, 1)
    assert told_of["disqualified"] == 1
    assert "hubspot calls 4 MQL: 2 (50.0%) are MQL by the definition too." in told_of["lines"]


def test_the_split_by_source_and_record_type_says_where_both_disagree():
    told_of = told(
        counted(
            standing(1, 70, "mql", source="ads"), standing(2, 10, "mql", source="list"), standing(3, 80, source="ads"),
            standing(4, 10, "mql", source="list", record_type="Partner"), standing(5, 0),
        ),
        "hubspot",
    )  # fmt: skip
    assert {"value": "list", "stage": "mql", "records": 2, "agree": 0} in told_of["by"]["source"]
    assert {"value": "ads", "stage": "below mql", "records": 1, "agree": 1} in told_of["by"]["source"]
    assert {"value": "contact Partner", "stage": "mql", "records": 1, "agree": 0} in told_of["by"][
        "record_type"
    ]
    assert "By source, ads: 1 of 1 MQLs agree; 1 more by the definition." in told_of["lines"]


def test_examples_are_the_strongest_disagreements_each_way_and_bear_no_name():
    many = [standing(n, float(n), "mql") for n in range(20)] + [
        standing(100 + n, 70.0 + n) for n in range(20)
    ]
    shown = told(counted(*many), "hubspot")["examples"]
    assert [each["score"] for each in shown["mql_only_in_the_crm"]] == [0, 1, 2, 3, 4]
    assert [each["score"] for each in shown["mql_only_by_the_definition"]] == [89, 88, 87, 86, 85]
    assert shown["mql_only_by_the_definition"][0]["record"] == "hubspot:contact:119"
    assert shown["mql_only_by_the_definition"][0]["why"] == "pricing-page +89"


@pytest.mark.parametrize(
    ("people", "share", "bar"),
    [
        ([standing(n, float(n)) for n in range(100)], 0.05, 95),
        ([standing(n, float(n)) for n in range(100)], 0.02, 98),
        ([standing(n, float(n), fit=10.0) for n in range(100)], 0.02, 0),  # their fit lets nobody in
        ([standing(n, 50.0) for n in range(100)], 0.05, 51),
        ([standing(n, 50.0, disqualified="spam") for n in range(100)], 0.05, 0),
        ([standing(n, 0.0, hand="demo" if n < 10 else None) for n in range(100)], 0.05, None),
        ([standing(n, 0.0, hand="demo" if n < 5 else None) for n in range(100)], 0.05, 1),
    ],
)  # fmt: skip
def test_the_bar_is_the_lowest_at_which_no_more_than_that_share_would_qualify(people, share, bar):
    assert counted(*people).bar(share) == bar


def test_where_no_bar_lets_in_so_few_it_says_who_passes_any_bar():
    people = [standing(n, 100.0 if n < 10 else 0.0, hand="demo" if n == 50 else None) for n in range(100)]
    lines = told(counted(*people), "hubspot")["lines"]
    assert (
        "No bar lets in only 5%: 1 qualify whatever their score (hands raised, or conditions without a score), and 10 "
        "have a score of 100." in lines
    )


def test_whom_sales_rejected_or_gave_back_is_told_apart_from_those_who_would_qualify():
    rejected = replace(standing(1, 90), status=MqlStatus.REJECTED)
    recycled = replace(standing(2, 90), status=MqlStatus.RECYCLED)
    told_of = told(counted(rejected, recycled, standing(3, 90)), "hubspot")
    assert (told_of["below_mql"], told_of["resting"]) == (1, 2)
    assert [each["record"] for each in told_of["examples"]["mql_only_by_the_definition"]] == [
        "hubspot:contact:3"
    ]


def test_a_band_counts_as_the_score_it_is_made_of_and_all_must_hold_where_the_rule_says_all():
    band = StageEntry((StageTest("band", "gte", 4.0),))
    fit = StageEntry((StageTest("fit", "gte", 60.0),))
    both = Criteria(stages=Stages(MqlStage(enter=StageAll((band, fit)), leave=StageAny(()))))
    fits = [standing(n, float(n), fit=80.0) for n in range(50)]
    others = [standing(50 + n, 99.0, fit=10.0) for n in range(50)]
    assert counted(*fits, *others, by=both).bar(0.05) == 45


def test_a_dwell_counts_as_served_and_a_disqualified_person_never_qualifies():
    waits = criteria(StageEntry((StageTest("score", "gte", 60.0),), dwell=timedelta(days=7)))
    assert qualifies(waits, standing(1, 60).score, {})
    assert not qualifies(waits, standing(1, 99, disqualified="spam").score, {})
    assert not qualifies(waits, standing(1, 59).score, {})


def test_who_stands_under_a_human_s_override_is_counted_apart():
    rules = standing(1, 70, "mql"), standing(2, 80)
    wished = replace(standing(3, 10, "mql"), by_override=True), replace(standing(4, 90), by_override=True)
    alone, both = told(counted(*rules), "hubspot"), told(counted(*rules, *wished), "hubspot")
    assert (both["records"], both["by_override"], alone["by_override"]) == (4, 2, 0)
    assert [both[name] for name in ("stages", "qualified", "below_mql", "examples")] == [
        alone[name] for name in ("stages", "qualified", "below_mql", "examples")
    ]
    assert "2 more stand under a human's override and are counted apart." in both["lines"]
