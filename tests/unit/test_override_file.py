"""A CSV of overrides: every bad cell is told with its line and column, and nothing of a bad file is used."""

from datetime import UTC, datetime

import pytest

from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER
from connector.core.override_file import names_in, read_overrides, target_of

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
NAMED = {
    "hubspot:company:7": [("company", "hubspot:company:7")],
    "151": [("person", "hubspot:contact:151")],
    "9": [("company", "hubspot:company:9"), ("person", "hubspot:contact:9")],
}
GOOD = """who,kind,until,reason,expires
Ada@Acme.example,MQL now,,Met at the fair,2026-12-31
hubspot:company:7,never,,"A partner,
since May",

@Bücher.example,hold until,2027-01-01,Budget next year,
"""


def read(text):
    return read_overrides(text, NAMED, author="Grace", at=AT)


def test_a_good_file_says_who_what_until_when_and_why():
    words, problems = read(GOOD)

    assert problems == []
    assert [(word.kind, word.scope, word.target) for word in words] == [
        (MQL_NOW, "person", "ada@acme.example"),
        (NEVER, "company", "hubspot:company:7"),
        (HOLD_UNTIL, "domain", "xn--bcher-kva.example"),
    ]
    assert words[0].expires_at == datetime(2026, 12, 31, tzinfo=UTC)
    assert words[2].until == datetime(2027, 1, 1, tzinfo=UTC)
    assert {word.author for word in words} == {"Grace"}
    assert names_in(GOOD) == ["hubspot:company:7"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("nobody,never,,x,", "line 3, who: no record has this id"),
        ("9,never,,x,", "line 3, who: several records have this id"),
        ("a@b,never,,x,", "line 3, who: this is no e-mail address"),
        ("gmail.com,never,,x,", "line 3, who: gmail.com is a free mail provider"),
        ("b@acme.example,maybe,,x,", "line 3, kind: write mql_now, never or hold"),
        ("b@acme.example,hold,,x,", "line 3, until: a hold needs its date"),
        ("b@acme.example,never,2027-01-01,x,", "line 3, until: only a hold has one"),
        ("b@acme.example,hold,soon,x,", "line 3, until: this is no date"),
        ("b@acme.example,never,,x,2026-11-01", "line 3, expires: 2026-11-01 is not to come any more"),
        ("b@acme.example,never,,,", "line 3, reason: a reason is needed"),
        ("b@acme.example,never,,x", "line 3, who: 4 cells, the heading has 5"),
        ('b@acme.example,never,,"x"y,', "line 3, who: this is no CSV: "),
        ("ADA@acme.example,hold,2027-01-01,x,", "line 3, who: line 2 is about the same"),
    ],
)
def test_a_bad_cell_is_told_with_line_and_column_and_nothing_is_used(row, told):
    words, problems = read(f"who,kind,until,reason,expires\nada@acme.example,never,,x,\n{row}\n")
    assert words == []
    (problem,) = problems
    assert str(problem).startswith(told)


def test_a_reason_of_several_lines_is_one_row_that_a_spreadsheet_may_part_by_semicolons():
    (word,), problems = read('who;kind;reason\n\nada@acme.example;never;"a partner,\u2028as told\nby Eve"\n')
    assert (word.reason, problems) == ("a partner,\u2028as told\nby Eve", [])
    text = 'who,kind,reason\nada@acme.example,never,"one\ntwo"\nb@acme.example,maybe,x\n'
    assert [each.line for each in read(text)[1]] == [4]


def test_every_problem_is_told_at_once():
    _, problems = read("who,kind,until,reason,expires\n\nnobody,maybe,soon,,\n")
    assert [(each.line, each.column) for each in problems] == [
        (3, "who"), (3, "kind"), (3, "until"), (3, "reason"),
    ]  # fmt: skip


def test_a_heading_that_is_not_ours_is_told():
    _, problems = read("who,kind,why\n")
    assert [str(each) for each in problems] == [
        "line 1, why: no such column; known: who, kind, until, reason, expires",
        "line 1, reason: this column is missing",
    ]
    assert [each.column for each in read("")[1]] == ["who", "kind", "reason"]


def test_a_record_is_meant_by_its_name_or_its_id_alone():
    assert target_of("151", NAMED) == ("person", "hubspot:contact:151")
    assert target_of("www.acme.example", NAMED) == ("domain", "acme.example")
