"""Whose records are written to: by the record's own fields, then the person's, and asked again at the last look."""

from dataclasses import replace

import pytest

from connector.core.conditions import Condition, parse_condition
from connector.core.mapping import ObjectMapping, WriteLine
from connector.core.model import FieldWrite, PersonRecord, PlannedWrite, Ref
from connector.core.write_only import WHY, keep_inside, outside

ADA = Ref("hubspot", "contact", "1")


def germany() -> Condition:
    found = parse_condition({"field": "country", "is": "DE"}, (), [])
    assert found is not None
    return found


SCORE = WriteLine("contact", "score", "mql_score", "always")
STAGE = WriteLine("contact", "stage", "lifecyclestage", "only_raise", write_only=germany())
LINES = ObjectMapping("contact", "person", write=(SCORE, STAGE))
ALL = replace(LINES, write=(SCORE, replace(STAGE, write_only=None)), write_only=germany())


@pytest.mark.parametrize(
    ("record", "person", "inside"),
    [
        ({"country": "DE"}, {"country": "DE"}, True),
        ({"country": "AT"}, {"country": "DE"}, False),  # the record itself says otherwise
        ({}, {"country": "DE"}, True),  # another CRM, or the company, knows
        ({}, {}, False),
    ],
)
def test_the_record_is_asked_first_and_the_person_where_it_is_blank(record, person, inside):
    assert outside(LINES, record, person) == ({} if inside else {"lifecyclestage": WHY})
    assert outside(ALL, record, person) == ({} if inside else {"mql_score": WHY, "lifecyclestage": WHY})


def planned() -> PlannedWrite:
    writes = (
        FieldWrite("mql_score", 10, 70, "always", "score"),
        FieldWrite("lifecyclestage", "lead", "marketingqualifiedlead", "only_raise", "stage"),
    )
    return PlannedWrite(ADA, writes)


def test_what_has_left_the_segment_since_it_was_planned_is_held_back_and_the_rest_goes():
    moved = PersonRecord(ADA, {"country": "FR"})

    verdict = keep_inside(planned(), moved, LINES, {"country": "DE"})

    assert isinstance(verdict, PlannedWrite)
    assert [write.field for write in verdict.writes] == ["mql_score"]
    assert [(held.field, held.why) for held in verdict.held_back] == [("lifecyclestage", WHY)]
    assert keep_inside(planned(), replace(moved, fields={"country": "DE"}), LINES, {}) == planned()


def test_a_row_that_leaves_whole_or_not_at_all_is_set_aside_and_so_is_one_of_which_nothing_is_left():
    moved = PersonRecord(ADA, {"country": "FR"})

    approved = keep_inside(planned(), moved, LINES, {}, whole=True)
    nothing = keep_inside(planned(), moved, ALL, {})

    assert approved == "changed since it was planned: `lifecyclestage` is outside `write_only` now"
    assert isinstance(nothing, str)
