"""Every transform, row by row: what it reads, and that what it cannot read becomes missing."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.mapping import TRANSFORMS
from connector.core.normalize import transforms
from connector.core.normalize.transforms import Around, apply

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=60), st.lists(st.text(max_size=9),
    max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


def test_the_documented_transforms_are_those_that_exist():
    assert set(TRANSFORMS) == transforms.NAMES


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
@settings(deadline=None)  # the first name of a country loads tables
@given(raw=JUNK)
def test_no_value_makes_a_transform_fail(name, raw):
    found = apply(name, raw, Around(country="DE"))
    assert found is None or isinstance(found, str | int | float | bool | datetime)


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
@pytest.mark.parametrize("blank", [None, "", " \t ", "\u00a0", [], float("nan")])
def test_a_blank_stays_missing(name, blank):
    assert apply(name, blank) is None


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("3.0", 3), ("3", 3), (3, 3), ("1,234.56", 1234.56), ("1.234,56", 1234.56), ("1 234,56", 1234.56),
        ("1'234.50", 1234.5), ("1.234.567", 1234567), ("1,234,567", 1234567), ("1,234", 1234), ("1.234", 1.234),
        ("12,5", 12.5), ("0,125", 0.125), ("-7", -7), ("−7", -7), ("(1,200)", -1200), ("1.5E6", 1_500_000),
        ("€ 2,5 Mio", 2_500_000), ("$3.2M", 3_200_000), ("50k", 50_000), ("10 %", 10), ("１２３", 123),
        ("2,345.67,8", None), ("1-200", None), ("12.11.2026", None), ("B2B", None), ("n/a", None), ("1e999", None),
        (True, None), (float("inf"), None), ("12,34,56", None),
    ],
)  # fmt: skip
def test_numbers_are_read_in_both_spellings(raw, number):
    assert apply("number", raw) == (None if number is None else pytest.approx(number))


@pytest.mark.parametrize(("raw", "whole"), [("2.5", 3), ("-2.5", -3), ("7,4", 7), ("x", None)])
def test_integers_round_halves_away_from_zero(raw, whole):
    assert apply("integer", raw) == whole


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        ("51-200", 51), ("1.001 bis 5.000", 1001), ("1,001-5,000", 1001), ("10,000+", 10000), ("10.000", 10000),
        ("11 to 50 employees", 11), ("201 – 500", 201), ("<10", 1), ("up to 50", 1), ("1000", 1000), (250, 250),
        ("250.0", 250), ("5k-10k", 5000), ("self-employed", None), ("-5", None), (True, None),
    ],
)  # fmt: skip
def test_a_range_of_employees_promises_its_lower_end(raw, count):
    assert apply("employees", raw) == count


@pytest.mark.parametrize(
    ("raw", "answer"),
    [("true", True), ("Yes", True), ("ja", True), ("oui", True), ("はい", True), ("1", True), (1, True),
    (False, False),
     ("No", False), ("nein", False), ("0", False), ("maybe", None), ("2", None), (0.0, False)],
)  # fmt: skip
def test_yes_and_no_are_understood(raw, answer):
    assert apply("boolean", raw) is answer


@pytest.mark.parametrize(
    ("raw", "when"),
    [
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00.123Z", datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC)),
        ("2026-11-22T10:00:00.000+0000", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00+02:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
        ("2026-11-22 10:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00.1234567890Z", datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("1762000000000", datetime(2025, 11, 1, 12, 26, 40, tzinfo=UTC)),
        (1762000000, datetime(2025, 11, 1, 12, 26, 40, tzinfo=UTC)),
        ("20.11.2026", None), ("0001-01-01T00:00:00Z", None), ("9999-12-31", None), ("2026-13-01", None),
        ("soon", None),
    ],
)  # fmt: skip
def test_instants_are_read_in_every_form_the_vendors_use(raw, when):
    assert apply("datetime", raw) == when


def test_a_date_is_its_midnight():
    assert apply("date", "2026-11-22T10:00:00Z") == datetime(2026, 11, 22, tzinfo=UTC)
    assert apply("date", "22.11.2026") == datetime(2026, 11, 22, tzinfo=UTC)
    assert apply("date", "31.02.2026") is None


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("DE", "DE"), ("de", "DE"), ("DEU", "DE"), ("Germany", "DE"), ("Deutschland", "DE"), ("Allemagne", "DE"),
        ("Alemania", "DE"), ("Germania", "DE"), ("Alemanha", "DE"), ("Duitsland", "DE"), ("ドイツ", "DE"),
        ("USA", "US"),
        ("U.S.A.", "US"), ("United States of America", "US"), ("the United States", "US"), ("UK", "GB"),
        ("England", "GB"), ("Great Britain", "GB"), ("Holland", "NL"), ("The Netherlands", "NL"), ("Türkiye", "TR"),
        ("Turkey", "TR"), ("Czech Republic", "CZ"), ("South Korea", "KR"), ("Österreich", "AT"),
        ("oesterreich", "AT"),
        ("Côte d’Ivoire", "CI"), ("México", "MX"), ("日本", "JP"), ("Россия", "RU"), ("Germany (DE)", "DE"),
        ("Atlantis", None), ("EU", None), ("ZZ", None), ("x" * 500, None), ("12", None),
    ],
)  # fmt: skip
def test_countries_become_their_iso_code(raw, code):
    assert apply("country", raw) == code


@pytest.mark.parametrize(
    ("raw", "code"),
    [("de", "de"), ("de_DE", "de"), ("pt-BR", "pt"), ("German", "de"), ("Deutsch", "de"), ("Français", "fr"),
     ("日本語", "ja"), ("English (UK)", "en"), ("Klingonese", None)],
)  # fmt: skip
def test_languages_become_their_iso_code(raw, code):
    assert apply("language", raw) == code


def test_telephone_numbers_are_read_with_the_persons_country():
    assert apply("phone", "030 123456", Around(country="DE")) == "+4930123456"
    assert apply("phone", "+49 (30) 123456") == "+4930123456"
    assert apply("phone", "030 123456") is None
    assert apply("phone", "call me", Around(country="DE")) is None


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("  Ada@Example.COM ", "ada@example.com"), ("ada+news@example.com", "ada+news@example.com"),
        ("a.d.a@example.com", "a.d.a@example.com"), ("Ada <Ada@Example.com>", "ada@example.com"),
        ("mailto:ada@example.com", "ada@example.com"), ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"), ("ada@example.com.", "ada@example.com"),
        ("ada", None), ("ada@", None), ("@example.com", None), ("ada@localhost", None), ("a b@example.com", None),
        ("ada@@example.com", None), ("a@" + "x" * 300 + ".com", None),
    ],
)  # fmt: skip
def test_addresses_keep_tags_and_dots_and_lose_case(raw, address):
    assert apply("email", raw) == address


@pytest.mark.parametrize(
    ("raw", "host"),
    [("https://www.Example.com/a?b", "example.com"), ("example.com", "example.com"), ("ada@example.com",
    "example.com"),
     ("http://shop.example.co.uk:8080", "shop.example.co.uk"), ("http://bücher.example/", "xn--bcher-kva.example"),
     ("10.0.0.1", None), ("localhost", None), ("http://[::1", None), ("no site yet", None)],
)  # fmt: skip
def test_domains_come_from_sites_and_addresses(raw, host):
    assert apply("domain", raw) == host


@pytest.mark.parametrize(
    ("raw", "amount", "currency"),
    [("1.000.000,00 €", 1_000_000, "EUR"), ("USD 5,000", 5000, "USD"), ("£2.5m", 2_500_000, "GBP"),
    ("100", 100, "CHF"),
     (12.5, 12.5, "CHF"), ("$7", 7, "CHF"), ("EUR1000", 1000, "EUR")],
)  # fmt: skip
def test_money_says_its_currency_or_takes_the_mappings(raw, amount, currency):
    assert transforms.money(raw, "CHF") == transforms.Money(pytest.approx(amount), currency)


def test_the_first_of_a_list_is_taken():
    assert apply("list_first", "; red ;blue") == "red"
    assert apply("list_first", ["", "blue"]) == "blue"
    assert apply("text", ["red", "blue"]) == "red; blue"
    assert apply("text", 3.0) == "3"
    assert apply("lower", " ÄB ") == "äb"
