"""A plan as people read it: filters that combine, one line a field, cells that no spreadsheet takes for a formula."""

import csv
import io

import pytest

from connector.core.model import FieldWrite, HeldBack, Ref
from connector.insight.planned import COLUMNS, Filter, Tally, as_csv, as_json, harmless, lines_of, sections
from connector.ports import PlanRow

ADA = {"first_name": "Ada", "last_name": "=Love", "email": "ada@example.com"}


def a_row(number=1, ref=None, **values):
    values.setdefault("writes", (FieldWrite("mql_score", 40, 61, "always", "score"),))
    values.setdefault(
        "held_back", (HeldBack("lifecyclestage", "customer", "mql", "it would lower (`only_raise`)"),)
    )
    values.setdefault("kind", "promotion")
    values.setdefault("rules", ("pricing-page", "clicks"))
    ref = ref or Ref("hubspot", "contact", str(number))
    return PlanRow(
        number,
        7,
        number + 100,
        ref,
        because="score 61 >= 60",
        status=values.pop("status", "waiting"),
        **values,
    )


def test_a_row_becomes_one_line_for_each_field_held_back_ones_included():
    lines = list(lines_of(a_row(), ADA, Filter()))
    assert [(line.field, line.stands_now, line.would_stand, line.sent) for line in lines] == [
        ("mql_score", 40, 61, True),
        ("lifecyclestage", "customer", "mql", False),
    ]
    assert (lines[0].write_rule, lines[0].held_because) == ("always", "")
    assert (lines[1].write_rule, lines[1].held_because) == ("", "it would lower (`only_raise`)")
    assert {(line.name, line.person, line.rules) for line in lines} == {
        ("Ada =Love", 101, ("pricing-page", "clicks"))
    }


def test_an_address_is_shown_only_on_request():
    shy, open_ = (next(lines_of(a_row(), ADA, Filter(), email=email)) for email in (False, True))
    assert "ada@example.com" not in str(as_json(shy)) + str(as_csv(shy))
    assert as_json(open_)["email"] == "ada@example.com"


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (Filter(), True),
        (Filter(kind="promotion", object="Contact", rule="clicks", people=frozenset({101})), True),
        (Filter(kind="demotion"), False),
        (Filter(kind="promotion", rule="fit"), False),
        (Filter(field="MQL_Score"), True),
        (Filter(field="lifecyclestage"), True),
        (Filter(field="mql_band"), False),
        (Filter(status="written"), False),
        (Filter(object="Lead"), False),
        (Filter(people=frozenset()), False),
        (Filter(record="1"), True),
        (Filter(record="hubspot:contact:1"), True),
        (Filter(record="2"), False),
    ],
)
def test_filters_combine(wanted, holds):
    assert wanted.holds(a_row()) is holds


def test_a_filter_by_field_leaves_out_the_other_fields():
    assert [line.field for line in lines_of(a_row(), ADA, Filter(field="mql_score"))] == ["mql_score"]


def test_a_row_of_which_nothing_may_be_written_is_held_back_whatever_its_kind():
    tally, row = Tally(), a_row(writes=(), kind="score", status="held_back")
    tally.add(row, Filter())
    assert (tally.groups["held_back"], tally.groups["score"], tally.statuses["held_back"]) == (1, 0, 1)
    assert Filter(kind="held_back").holds(row)
    assert not Filter(kind="score").holds(row)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_begins_like_a_formula_is_made_a_text(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"), [(-5, "-5"), ("-5.5", "-5.5"), ("+3", "+3"), (None, ""), (0, "0"), ("a=b", "a=b")]
)
def test_numbers_and_other_texts_stay_as_they_are(value, cell):
    assert harmless(value) == cell


def test_every_cell_of_a_csv_is_harmless_and_has_its_column():
    row = a_row(
        writes=(FieldWrite("mql_reason", "=HYPERLINK(1)", "+x", "always", "reason"),),
        held_back=(),
        status="set_aside",
        reason="@b",
    )
    file = io.StringIO()
    csv.writer(file).writerows([COLUMNS, as_csv(next(lines_of(row, {"first_name": "=A"}, Filter())))])
    [line] = csv.DictReader(io.StringIO(file.getvalue()))
    assert (line["stands_now"], line["would_stand"], line["reason"], line["name"]) == (
        "'=HYPERLINK(1)",
        "'+x",
        "'@b",
        "'=A",
    )
    assert (line["rules"], line["sent"], line["outcome"]) == ("pricing-page clicks", "yes", "set_aside")


def test_what_others_kept_with_a_plan_is_told_as_title_and_lines():
    summary = {
        "limits": {"title": "Beyond the limits", "lines": ["214 people"], "n": 3},
        "odd": 5,
        "bare": {},
    }
    assert list(sections(summary)) == [("Beyond the limits", ["214 people"]), ("odd", ["5"]), ("bare", [])]
