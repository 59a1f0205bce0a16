"""Query text: every value stays a value, and each query reads in one order."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters.salesforce import soql
from connector.errors import FixConfig, SkipRecord

LEAD = "00Q5e00000AbcdEAAR"
NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "literal"),
    [
        (NOON, "2026-11-22T12:00:00.000Z"),
        (NOON.replace(microsecond=123999), "2026-11-22T12:00:00.123Z"),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-11-22T12:00:00.000Z"),
    ],
)
def test_a_time_is_an_unquoted_instant_in_utc(moment, literal):
    assert soql.instant(moment) == literal


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="aware"):
        soql.instant(datetime(2026, 11, 22))  # noqa: DTZ001


@pytest.mark.parametrize("value", [LEAD, LEAD[:15]])
def test_an_id_of_15_or_18_characters_passes(value):
    assert soql.record_id(value) == f"'{value}'"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "151",
        LEAD[:16],
        LEAD + "A",
        "00Q5e00000Abcd'--",
        "00Q5e00000Abcd\n",
        LEAD + "\n",
        "００Q5e00000AbcdE",
    ],
)
def test_anything_else_is_no_id(value):
    with pytest.raises(SkipRecord):
        soql.record_id(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Id FROM User--",
        "Name,Id",
        "Account..Name",
        ".Name",
        "1st",
        "Näme",
        "a b",
        "A.B.C.D.E.F.G",
        "Id\n",
    ],
)
def test_a_hostile_field_name_never_reaches_a_query(value):
    with pytest.raises(FixConfig):
        soql.select([value], "Lead")


def test_a_hostile_object_name_never_reaches_a_query():
    with pytest.raises(FixConfig):
        soql.select(["Id"], "Lead WHERE Id != null")


def test_a_field_is_named_once_even_when_spelled_twice():
    assert soql.select(["Email", "Id", "EMAIL", "Email"], "Lead") == "SELECT Email,Id FROM Lead"


def test_a_first_load_reads_in_the_order_of_ids():
    query = soql.select(["Id"], "Lead", [soql.after_id(LEAD)], order=soql.BY_ID, limit=2000)

    assert query == f"SELECT Id FROM Lead WHERE Id > '{LEAD}' ORDER BY Id ASC LIMIT 2000"


def test_an_increment_resumes_behind_a_row_and_not_behind_its_stamp():
    query = soql.select(["Id"], "Lead", [soql.after_change(NOON, LEAD)], order=soql.BY_CHANGE, limit=10)

    assert query == (
        "SELECT Id FROM Lead WHERE (SystemModstamp > 2026-11-22T12:00:00.000Z OR "
        f"(SystemModstamp = 2026-11-22T12:00:00.000Z AND Id > '{LEAD}')) "
        "ORDER BY SystemModstamp ASC, Id ASC LIMIT 10"
    )


def test_conditions_are_joined_and_empty_ones_left_out():
    query = soql.select(["Id"], "Task", [soql.changed_from(NOON), "", "IsDeleted = false"])

    assert (
        query == "SELECT Id FROM Task WHERE SystemModstamp >= 2026-11-22T12:00:00.000Z AND IsDeleted = false"
    )


def test_a_list_of_ids_holds_only_ids():
    assert soql.id_in("OpportunityId", [LEAD, LEAD[:15]]) == f"OpportunityId IN ('{LEAD}','{LEAD[:15]}')"
    with pytest.raises(SkipRecord):
        soql.id_in("Id", [LEAD, "') OR Id != null"])
