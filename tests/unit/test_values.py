"""Two spellings of one meaning are equal, and nothing else is."""

from datetime import UTC, date, datetime

import pytest

from connector.core.values import as_number, canonical, is_blank, same_value

ALIKE = [
    (42, "42"),
    (42, "42.0"),
    (42.0, "42.00"),
    (0, "-0.0"),
    (0.5, "0.50"),
    (1e-7, "0.0000001"),
    (None, ""),
    (None, "  \t"),
    (None, float("nan")),
    (True, "true"),
    (False, "FALSE"),
    ("A1", "A1 "),
    ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000+0000"),
    ("2026-11-22T10:00:00Z", "2026-11-22T11:00:00+01:00"),
    ("2026-11-22T10:00:00Z", "1795341600000"),
    ("2026-11-22T10:00:00Z", 1795341600000),
    ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
    ("2026-11-22", "2026-11-22T00:00:00.000Z"),
    ("2026-11-22", date(2026, 11, 22)),
    (["a", 1], ["a", "1"]),
    ({"a": 1, "b": None}, {"b": "", "a": "1.0"}),
]
DIFFERENT = [
    (42, "43"),
    (0, None),
    (False, None),
    (True, 1),
    ("007", 7),
    ("+4912345", 4912345),
    ("MQL", "mql"),
    ("2026-11-22", "2026-11-23"),
    ("2026-02-30", "2026-03-02"),
    (0.1, 0.2),
    (1e-7, 2e-7),
    (["a", "b"], ["b", "a"]),
]


@pytest.mark.parametrize(("a", "b"), ALIKE)
def test_spellings_of_one_meaning_are_the_same(a, b):
    assert same_value(a, b)
    assert same_value(b, a)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_meanings_are_not_the_same(a, b):
    assert not same_value(a, b)
    assert not same_value(b, a)


@pytest.mark.parametrize(
    "value", ["42.0", 3.25, "1795341600000", "2026-11-22", "x", True, None, 1e300, -7, 12345678901234]
)
def test_the_canonical_form_of_a_canonical_form_is_itself(value):
    assert canonical(canonical(value)) == canonical(value)


def test_blank_is_nothing_and_zero_is_something():
    assert is_blank("  ")
    assert is_blank(None)
    assert not is_blank(0)
    assert not is_blank(False)


def test_a_number_is_read_from_text_and_not_from_a_truth():
    assert as_number("42.5") == 42.5
    assert as_number(7) == 7.0
    assert as_number(True) is None
    assert as_number("many") is None
    assert as_number(float("inf")) is None
