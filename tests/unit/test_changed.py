"""What differs between two definitions, and what it takes until it is in force."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.changed import DECIDE, NOTHING, READ, Difference, differences, to_read

CASES = {
    "points": ("criteria.yaml", "points: 18}", "points: 20}", DECIDE, "", "fit rule `manager` has changed"),
    "weights": ("criteria.yaml", "{fit: 0.5, engagement: 0.5}", "{fit: 0.6, engagement: 0.4}", DECIDE, "",
                "fit 0.6, engagement 0.4"),
    "bands": ("criteria.yaml", "bands: [20,", "bands: [15,", DECIDE, "", "bands: 20, 40, 60, 80 -> 15, 40, 60, 80"),
    "agreed": ("criteria.yaml", "review_by: 2027-02-22", "review_by: 2027-03-22", NOTHING, "", "review_by"),
    "stage": ("criteria.yaml", "enter: {any: [{score: {gte: 60}", "enter: {any: [{score: {gte: 55}", DECIDE, "",
              "stages.mql.enter score gte: 60 -> 55"),
    "field": ("hubspot.yaml", "country: country", "country: state", READ, "contact", "field `country` has changed"),
    "emails": ("hubspot.yaml", "[email, hs_additional_emails]", "[email]", READ, "contact", "emails changed"),
    "limits": ("hubspot.yaml", "  mqls: 3 ", "  mqls: 4 ", NOTHING, "", "mqls: 3 -> 4"),
    "approval": ("hubspot.yaml", "# approval: second_person", "approval: second_person", NOTHING, "", "approval"),
    "target": ("hubspot.yaml", "mql_score", "my_score", READ, "contact", "writing `my_score` is new"),
}  # fmt: skip


def compared(tmp_path: Path, file: str, old: str, new: str) -> tuple[Difference, ...]:
    shutil.copytree(shipped(), tmp_path / "new")
    path = tmp_path / "new" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    one, other = (load_definition(folder, plugins()) for folder in (shipped(), tmp_path / "new"))
    return differences(one.criteria, other.criteria, one.mappings, other.mappings)


@pytest.mark.parametrize("name", CASES)
def test_a_difference_is_told_with_what_it_needs(name: str, tmp_path: Path) -> None:
    file, old, new, needs, source, said = CASES[name]

    found = compared(tmp_path, file, old, new)

    told = [each for each in found if said in each.what]
    assert [(each.needs, each.source) for each in told] == [(needs, source)], found
    assert all(each.needs == needs for each in found if needs == NOTHING)


def test_the_same_files_and_other_comments_mean_the_same(tmp_path: Path) -> None:
    assert compared(tmp_path, "criteria.yaml", "# What makes", "# All that makes") == ()


def test_a_crm_that_is_new_is_read_whole_and_one_that_is_gone_is_not() -> None:
    one = load_definition(shipped(), plugins())
    alone = {"hubspot": one.mappings["hubspot"]}

    added = differences(one.criteria, one.criteria, alone, one.mappings)
    gone = differences(one.criteria, one.criteria, one.mappings, alone)

    assert to_read(added) == {"salesforce": None}
    assert to_read(gone) == {}


def test_all_of_a_crm_takes_in_its_parts() -> None:
    part, whole = Difference("", READ, "hubspot", "contact"), Difference("", READ, "hubspot")

    assert to_read([part]) == {"hubspot": frozenset({"contact"})}
    assert to_read([part, whole]) == to_read([whole, part]) == {"hubspot": None}


def test_another_master_of_the_stage_concerns_both_crms_and_has_nothing_read_again(tmp_path: Path) -> None:
    found = compared(tmp_path, "hubspot.yaml", "# master: salesforce", "master: salesforce")
    assert {(each.crm, each.needs) for each in found} == {("hubspot", DECIDE), ("salesforce", DECIDE)}
