"""The meaning of conditions, table by table."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from connector.core.conditions import (
    All,
    Any,
    Instant,
    Leaf,
    Not,
    fields_of,
    holds,
    instant_of,
    number_of,
    parse_condition,
    text_of,
)

MISSING = [None, math.nan, "", "   ", "\t\r\n", "\u00a0", " \u00a0\x0b\x0c"]


def parsed(doc, **keys):
    problems = []
    condition = parse_condition(doc, ("when",), problems, **keys)
    assert problems == []
    return condition


def problems_of(doc, **keys):
    problems = []
    parse_condition(doc, ("when",), problems, **keys)
    return problems


def true_for(op, operand, value):
    return holds(parsed({"field": "x", op: operand}), {"x": value}.get)


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize(
    ("op", "operand", "expected"),
    [
        ("is_blank", True, True),
        ("is_set", False, True),
        ("is_not", "a", True),
        ("is_not", 3, True),
        ("not_in", ["a", 3], True),
        ("is_set", True, False),
        ("is_blank", False, False),
        ("is", "a", False),
        ("is", "", False),
        ("in", ["a", ""], False),
        ("contains", "", False),
        ("starts_with", "", False),
        ("ends_with", "", False),
        ("matches", "*", False),
        ("gt", -1, False),
        ("lt", 1, False),
        ("between", [-9, 9], False),
    ],
)
def test_on_a_missing_value_only_blank_and_negative_operators_hold(value, op, operand, expected):
    assert true_for(op, operand, value) is expected


@pytest.mark.parametrize(
    ("op", "operand", "value", "expected"),
    [
        ("is", " VP ", "vp\u00a0", True),
        ("is", "İstanbul", "i̇stanbul", True),
        ("is", "STRASSE", "straße", False),
        ("is", "ΟΔΟΣ", "οδος", True),
        ("is", "a", "\u2003a", False),  # an em space is not trimmed
        ("is_not", "a", "b", True),
        ("is_not", "A", " a", False),
        ("in", ["a", "b"], "B", True),
        ("not_in", ["a", "b"], "B", False),
        ("contains", "/Pricing", "https://x.example/pricing?a=1", True),
        ("starts_with", "http", " HTTPS://", True),
        ("ends_with", ".PDF", "a.pdf ", True),
        ("ends_with", ".pdf", "a.pdf.exe", False),
    ],
)
def test_text_is_trimmed_and_lower_cased_on_both_sides(op, operand, value, expected):
    assert true_for(op, operand, value) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*student*", "PhD Student, year 2", True),
        ("student", "students", False),
        ("s?udent", "student", True),
        ("s?udent", "sudent", False),
        ("a*z", "a\nb\r\nz", True),
        ("a?z", "a\nz", True),
        ("a?z", "a😀z", True),
        ("a.c", "abc", False),
        ("a[bc]", "ab", False),
        ("a[bc]", "A[BC]", True),
        ("(x) $1 ^|+{2}\\", "(x) $1 ^|+{2}\\", True),
        ("**", "x", True),
        ("x", "x\u2028", False),
    ],
)
def test_matches_covers_the_whole_text_and_knows_two_wildcards(pattern, text, expected):
    assert true_for("matches", pattern, text) is expected


@pytest.mark.parametrize(
    ("op", "operand", "value", "expected"),
    [
        ("is", 3, "3", True),
        ("is", 3, " 3.0 ", True),
        ("is", 3, "+3", True),
        ("is", 3, "003", True),
        ("is", 3, "3.", False),
        ("is", 3, ".3", False),
        ("is", 1000, "1e3", False),
        ("is", 3, "three", False),
        ("is_not", 3, "three", True),
        ("gt", 3, "3.5", True),
        ("gt", 3, "many", False),
        ("lt", 3, "many", False),
        ("gte", -3, "-3", True),
        ("is", 3, 3.0, True),
        ("is", 1, True, False),
        ("gt", 0, True, False),
        ("is_not", 1, True, True),
        ("is", 3, datetime(2026, 1, 1, tzinfo=UTC), False),
        ("between", [10, 50], 10, True),
        ("between", [10, 50], 50, True),
        ("between", [10, 50], 50.0001, False),
        ("in", [1, "many"], "MANY", True),
        ("gt", 5, 10**400, True),
        ("lt", 5, -(10**400), True),
    ],
)
def test_a_number_on_the_rules_side_reads_numbers_and_texts_that_look_like_one(op, operand, value, expected):
    assert true_for(op, operand, value) is expected


@pytest.mark.parametrize(
    ("op", "operand", "value", "expected"),
    [
        ("is", "3", 3, True),
        ("is", "3", 3.0, True),
        ("is", "3.0", 3, False),
        ("is", "2.5", 2.5, True),
        ("contains", 5, "25 people", True),
        ("starts_with", 49, "+49", False),
        ("is", "1e20", 1e20, False),  # a number that needs an exponent has no one spelling as text
        ("is_set", True, 1e20, True),
        ("is", True, True, True),
        ("is", True, "TRUE ", True),
        ("is", True, "yes", False),
        ("is", "false", False, True),
        ("is", False, None, False),
        ("is", True, 1, False),
    ],
)
def test_a_text_or_boolean_on_the_rules_side_reads_the_value_as_text(op, operand, value, expected):
    assert true_for(op, operand, value) is expected


@pytest.mark.parametrize(
    ("op", "operand", "value", "expected"),
    [
        ("is", date(2026, 11, 1), datetime(2026, 11, 1, tzinfo=UTC), True),
        ("is", date(2026, 11, 1), datetime(2026, 11, 1, 0, 0, 1, tzinfo=UTC), False),
        ("gte", date(2026, 11, 1), date(2026, 11, 1), True),
        ("gt", date(2026, 11, 1), datetime(2026, 11, 1, 0, 0, 0, 1, tzinfo=UTC), True),
        (
            "is",
            datetime(2026, 11, 1, 10, tzinfo=UTC),
            datetime(2026, 11, 1, 11, tzinfo=timezone(timedelta(hours=1))),
            True,
        ),
        ("is", datetime.fromisoformat("2026-11-01T10:00"), datetime(2026, 11, 1, 10, tzinfo=UTC), True),
        ("lt", date(2026, 11, 1), "2026-10-31T23:59:59Z", True),
        ("is", datetime(2026, 10, 31, 9, tzinfo=UTC), "2026-10-31 10:00+01:00", True),
        ("lt", date(2026, 11, 1), "yesterday", False),
        ("lt", date(2026, 11, 1), "2026-02-30", False),
        ("lt", date(2026, 11, 1), 5, False),
        ("between", [date(2026, 1, 1), date(2026, 12, 31)], date(2026, 12, 31), True),
        ("is", "2026-11-01", date(2026, 11, 1), True),
        ("starts_with", "2026-11", datetime(2026, 11, 1, 10, tzinfo=UTC), True),
    ],
)
def test_dates_and_times_compare_as_instants_in_utc(op, operand, value, expected):
    assert true_for(op, operand, value) is expected


def test_not_is_plain_negation_so_it_holds_on_a_missing_value():
    condition = parsed({"not": {"field": "size", "gte": 50}})
    assert holds(condition, {"size": 10}.get)
    assert holds(condition, {}.get)
    assert not holds(condition, {"size": 50}.get)


def test_all_any_and_not_join():
    condition = parsed(
        {
            "all": [
                {"field": "a", "is": 1},
                {"any": [{"field": "b", "is": 2}, {"not": {"field": "c", "is_set": True}}]},
            ]
        }
    )
    assert holds(condition, {"a": 1, "b": 2, "c": 3}.get)
    assert holds(condition, {"a": 1}.get)
    assert not holds(condition, {"a": 1, "c": 3}.get)
    assert fields_of(condition) == {"a", "b", "c"}


def test_in_list_compares_with_the_entries_trimmed_and_lower_cased():
    condition = parsed(
        {"field": "x", "in_list": "some.csv"}, lists=lambda name: frozenset({" Rival.Example ", "3", ""})
    )
    assert holds(condition, {"x": "RIVAL.example\u00a0"}.get)
    assert holds(condition, {"x": 3.0}.get)
    assert not holds(condition, {"x": ""}.get)
    assert not holds(condition, {"x": "other.example"}.get)


def test_a_condition_comes_back_as_a_small_frozen_tree():
    doc = {"any": [{"field": "x", "in": ["A", 3, True]}, {"not": {"field": "y", "gt": date(1970, 1, 2)}}]}
    assert parsed(doc) == Any(
        (Leaf("x", "in", ("a", 3.0, "true")), Not(Leaf("y", "gt", Instant(86_400_000_000))))
    )
    assert parsed({"all": [{"field": "x", "is_blank": False}]}) == All((Leaf("x", "is_set"),))


@pytest.mark.parametrize(
    ("doc", "says", "near"),
    [
        ("x", "is a map", None),
        ([], "is a map", None),
        ({}, "names no `field`", None),
        ({"field": "x"}, "needs one operator", None),
        ({"is": 1}, "names no `field`", None),
        ({"field": 3, "is": 1}, "needs the name of a field", None),
        ({"field": "x", "is": 1, "gt": 2}, "one operator, not `is`, `gt`", None),
        ({"field": "x", "contians": "a"}, "no operator", "contains"),
        ({"field": "x", "equals": "a"}, "no operator", None),
        ({"field": "x", "is": None}, "is_blank", None),
        ({"field": "x", "is": [1]}, "single value", None),
        ({"field": "x", "is": math.nan}, "no number to compare", None),
        ({"field": "x", "is": math.inf}, "no number to compare", None),
        ({"field": "x", "in": "a"}, "list of values", None),
        ({"field": "x", "in": []}, "list of values", None),
        ({"field": "x", "in": [None]}, "is_blank", None),
        ({"field": "x", "gt": "60"}, "needs a number, a date or a time", None),
        ({"field": "x", "gte": True}, "needs a number, a date or a time", None),
        ({"field": "x", "lt": None}, "value is missing", None),
        ({"field": "x", "between": [1]}, "two ends", None),
        ({"field": "x", "between": [5, 1]}, "never holds", None),
        ({"field": "x", "between": [1, date(2026, 1, 1)]}, "one of each", None),
        ({"field": "x", "contains": True}, "needs a text", None),
        ({"field": "x", "contains": ["a"]}, "needs a text", None),
        ({"field": "x", "is_set": "yes"}, "true or false", None),
        ({"field": "x", "in_list": "a.csv"}, "no lists", None),
        ({"all": []}, "at least one condition", None),
        ({"any": {"field": "x", "is": 1}}, "at least one condition", None),
        ({"not": [{"field": "x", "is": 1}]}, "is a map", None),
        ({"all": [{"field": "x", "is": 1}], "any": [{"field": "x", "is": 1}]}, "stands alone", None),
        ({"not": {"field": "x", "is": 1}, "field": "y"}, "stands alone", None),
    ],
)
def test_what_makes_no_sense_is_a_problem(doc, says, near):
    (problem,) = problems_of(doc)
    assert says in problem.what
    assert problem.nearest == near


def test_all_problems_are_found_at_once_with_their_paths():
    doc = {"all": [{"field": "x", "gt": "a"}, {"any": [{"field": "y"}, {"not": {"fild": "z", "is": 1}}]}]}
    paths = {problem.path for problem in problems_of(doc)}
    assert paths >= {
        ("when", "all", 0, "gt"),
        ("when", "all", 1, "any", 0),
        ("when", "all", 1, "any", 1, "not", "fild"),
    }


def test_known_fields_limit_what_may_be_named():
    known = ("url", "status", "attributes.")
    assert problems_of({"field": "attributes.plan", "is": "a"}, known_fields=known) == []
    (problem,) = problems_of({"field": "stauts", "is": "a"}, known_fields=known)
    assert problem.nearest == "status"
    assert problems_of({"field": "attributes.", "is": "a"}, known_fields=known)


def test_a_list_that_cannot_be_read_is_a_problem():
    def lists(name):
        raise ValueError("There is no list a.csv.")

    (problem,) = problems_of({"field": "x", "in_list": "a.csv"}, lists=lists)
    assert problem.path == ("when", "in_list")
    assert problem.what == "There is no list a.csv."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1234567.25, "1234567.25"),
        (12345678.5, None),
        (1e-7, None),
        (math.inf, None),
        (10**30, str(10**30)),
        (True, "true"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC), "2026-01-02t03:04:05.000060z"),
    ],
)
def test_each_kind_of_value_has_one_spelling_as_text(value, text):
    assert text_of(value) == text


def test_numbers_and_instants_are_read_from_text():
    assert number_of("\u00a0-2.50\n") == -2.5
    assert number_of("٣") is None
    assert instant_of("1969-12-31T23:59:59.5Z") == -500_000
    assert instant_of("2026-11-01T00:00:60Z") is None
    assert instant_of("0000-01-01") is None
