"""The sandbox's SOQL: what it reads, what it refuses, and that its indexes find what a scan would find."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.salesforce.sandbox.evaluate import World, run, shape_rows
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.schema import make_schema
from adapters.salesforce.sandbox.soql import SoqlError, parse, unescape, wire_time
from adapters.salesforce.sandbox.tables import Table
from connector.sandbox.population import salesforce_id

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
LEADS = 60
ACCOUNT = salesforce_id("001", 1)
QUEUE = salesforce_id("00G", 1)


def at(minutes: int) -> str:
    return wire_time(NOW + timedelta(minutes=minutes))


def literal(moment: str) -> str:
    return moment.replace(".000+0000", "Z")


def lead(n: int, **more):
    """Three leads share each stamp."""
    row = {
        "Id": salesforce_id("00Q", n),
        "LastName": f"Name {n:03d}",
        "Email": f"Person{n}@example.com" if n % 4 else None,
        "AnnualRevenue": float(n) * 1000 if n % 5 else None,
        "NumberOfEmployees": n,
        "HasOptedOutOfEmail": n % 2 == 0,
        "CreatedDate": at(-1000),
        "SystemModstamp": at(n // 3),
        "OwnerId": QUEUE,
        **more,
    }
    return {name: value for name, value in row.items() if value is not None}


@pytest.fixture(scope="module")
def world() -> World:
    schema = make_schema()
    tables = {name: Table(kind) for name, kind in schema.items()}
    tables["Lead"].fill(lead(n) for n in range(LEADS))
    tables["Lead"].put(lead(LEADS, IsDeleted=True, MasterRecordId=salesforce_id("00Q", 1)))
    stamps = {"CreatedDate": at(0), "SystemModstamp": at(0)}
    tables["Account"].fill([{"Id": ACCOUNT, "Name": "Nordwind & Söhne", "OwnerId": "", **stamps}])
    tables["Group"].fill([{"Id": QUEUE, "Name": "Unassigned", "Type": "Queue", **stamps}])
    contacts = [
        {"Id": salesforce_id("003", 1), "LastName": "O'Neill", "AccountId": ACCOUNT, **stamps},
        {"Id": salesforce_id("003", 2), "LastName": "100%_\\x", "Description": "long", **stamps},
    ]
    tables["Contact"].fill(contacts)
    return World(schema, tables, {kind.prefix: name for name, kind in schema.items()})


def ask(world: World, text: str, everything: bool = False):
    found = run(text, world, "66.0", everything=everything)
    return shape_rows(found.ids, found.object, found.shape, world, "66.0") if found.shape else found


def numbers(world: World, where: str) -> list[int]:
    rows = ask(world, f"SELECT NumberOfEmployees FROM Lead {where}")
    return [row["NumberOfEmployees"] for row in rows]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("WHERE NumberOfEmployees < 3", [0, 1, 2]),
        ("WHERE NumberOfEmployees >= 58", [58, 59]),
        ("WHERE AnnualRevenue = 1000", [1]),
        ("WHERE AnnualRevenue = 1000.0 OR AnnualRevenue = 2000", [1, 2]),
        ("WHERE Email = 'PERSON1@EXAMPLE.COM'", [1]),
        ("WHERE Email = null AND NumberOfEmployees < 9", [0, 4, 8]),
        ("WHERE Email != null AND NumberOfEmployees < 4", [1, 2, 3]),
        ("WHERE Email != 'person1@example.com' AND NumberOfEmployees < 3", [0, 2]),
        ("WHERE NOT Email = 'person1@example.com' AND NumberOfEmployees < 3", [0, 2]),
        ("WHERE NOT (NumberOfEmployees > 1 OR NumberOfEmployees = 0)", [1]),
        ("WHERE HasOptedOutOfEmail = true AND NumberOfEmployees <= 4", [0, 2, 4]),
        ("WHERE LastName IN ('name 001', 'Name 003')", [1, 3]),
        ("WHERE NumberOfEmployees NOT IN (2, 3) AND NumberOfEmployees < 5", [0, 1, 4]),
        ("WHERE LastName LIKE 'Name 00_' AND LastName LIKE '%1'", [1]),
        ("WHERE LastName < 'name 002'", [0, 1]),
        ("where numberofemployees < 2", [0, 1]),
        ("WHERE NumberOfEmployees < 3 ORDER BY NumberOfEmployees DESC", [2, 1, 0]),
        ("WHERE NumberOfEmployees < 3 ORDER BY HasOptedOutOfEmail, NumberOfEmployees DESC", [1, 2, 0]),
        ("WHERE NumberOfEmployees IN (4, 5, 6) ORDER BY AnnualRevenue", [5, 4, 6]),
        ("WHERE NumberOfEmployees IN (4, 5, 6) ORDER BY AnnualRevenue NULLS LAST", [4, 6, 5]),
        ("WHERE NumberOfEmployees IN (4, 5, 6) ORDER BY AnnualRevenue DESC NULLS LAST", [6, 4, 5]),
        ("WHERE NumberOfEmployees IN (4, 5, 6) ORDER BY AnnualRevenue DESC", [5, 6, 4]),
        ("ORDER BY Id LIMIT 2 OFFSET 3", [3, 4]),
        ("LIMIT 0", []),
        ("WHERE Owner.Name = 'unassigned' AND NumberOfEmployees < 2", [0, 1]),
        ("WHERE Owner.Type = 'Group' AND NumberOfEmployees < 2", [0, 1]),
        (f"WHERE Id = '{salesforce_id('00Q', 7)[:15]}'", [7]),
        (
            f"WHERE Id IN ('{salesforce_id('00Q', 9)}', '{salesforce_id('00Q', 7)}', '001000000000000')",
            [7, 9],
        ),
        (f"WHERE SystemModstamp >= {literal(at(19))}", [57, 58, 59]),
        ("WHERE SystemModstamp < 2026-11-22T11:01:00+01:00", [0, 1, 2]),
        ("WHERE CreatedDate = 2026-11-21T17:20:00.000Z AND NumberOfEmployees = 0", [0]),
    ],
)
def test_a_condition_selects_these_rows_in_this_order(world, where, expected):
    assert numbers(world, where) == expected


@pytest.mark.parametrize("limit", [1, 2, 4, 1000])
def test_keyset_paging_by_stamp_and_id_meets_every_row_once(world, limit):
    seen = []
    stamp, id = literal(at(-9)), "000000000000000"
    while True:
        rows = ask(
            world,
            f"SELECT Id, SystemModstamp FROM Lead WHERE SystemModstamp < {literal(at(999))} AND "
            f"(SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '{id}')) "
            f"ORDER BY SystemModstamp ASC, Id ASC LIMIT {limit}",
        )
        if not rows:
            break
        seen += [row["Id"] for row in rows]
        stamp, id = literal(rows[-1]["SystemModstamp"]), rows[-1]["Id"]

    assert seen == [salesforce_id("00Q", n) for n in range(LEADS)]


def test_keyset_paging_by_id_meets_every_row_once(world):
    seen, last = [], "000000000000000"
    while rows := ask(world, f"SELECT Id FROM Lead WHERE Id > '{last}' ORDER BY Id LIMIT 7"):
        seen += [row["Id"] for row in rows]
        last = rows[-1]["Id"]

    assert seen == [salesforce_id("00Q", n) for n in range(LEADS)]


@pytest.mark.parametrize(
    "bounds",
    [
        f"SystemModstamp >= {literal(at(3))} AND SystemModstamp < {literal(at(7))}",
        f"(SystemModstamp = {literal(at(3))} OR SystemModstamp >= {literal(at(18))})",
        f"SystemModstamp > {literal(at(3))} AND Id < '{salesforce_id('00Q', 40)}'",
        f"NOT SystemModstamp > {literal(at(3))}",
        f"(SystemModstamp < {literal(at(2))} OR NumberOfEmployees = 50)",
    ],
)
@pytest.mark.parametrize("order", ["SystemModstamp, Id", "Id", "Id DESC", "SystemModstamp DESC, Id DESC"])
def test_an_indexed_query_finds_what_a_scan_finds(world, bounds, order):
    indexed = ask(world, f"SELECT Id FROM Lead WHERE {bounds} ORDER BY {order}")

    # Through a parent nothing is indexed: the same question, answered by scanning.
    every = ask(world, f"SELECT Id, SystemModstamp FROM Lead WHERE {bounds} AND Owner.Name = 'Unassigned'")
    keys = [key.split()[0] for key in order.split(", ")]
    scanned = sorted(every, key=lambda row: [row[key] for key in keys], reverse="DESC" in order)
    assert [row["Id"] for row in indexed] == [row["Id"] for row in scanned]
    assert indexed


def test_only_query_all_shows_what_was_deleted(world):
    question = f"SELECT Id, MasterRecordId FROM Lead WHERE Id = '{salesforce_id('00Q', LEADS)}'"

    assert ask(world, question) == []
    assert ask(world, question, everything=True)[0]["MasterRecordId"] == salesforce_id("00Q", 1)


def test_a_record_carries_attributes_first_and_parents_nested(world):
    (row,) = ask(
        world, "SELECT Id, Account.Name, Account.Owner.Name, Owner.Name FROM Contact WHERE LastName LIKE 'O%'"
    )

    assert next(iter(row)) == "attributes"
    assert row["attributes"] == {
        "type": "Contact",
        "url": f"/services/data/v66.0/sobjects/Contact/{salesforce_id('003', 1)}",
    }
    assert row["Account"]["Name"] == "Nordwind & Söhne"
    assert row["Account"]["Owner"] is None
    assert row["Owner"] is None


def test_a_child_query_nests_its_rows(world):
    (row,) = ask(world, "SELECT Id, (SELECT LastName FROM Contacts WHERE LastName != null) FROM Account")

    assert row["Contacts"]["totalSize"] == 1
    assert row["Contacts"]["records"][0]["LastName"] == "O'Neill"


def test_a_semi_join_takes_ids_from_another_object(world):
    rows = ask(world, "SELECT Name FROM Account WHERE Id IN (SELECT AccountId FROM Contact)")
    assert [row["Name"] for row in rows] == ["Nordwind & Söhne"]


def test_counting_and_aggregating(world):
    assert ask(world, "SELECT COUNT() FROM Lead WHERE NumberOfEmployees < 10").total == 10
    found = ask(world, "SELECT COUNT(Id), MAX(SystemModstamp) newest, MIN(NumberOfEmployees) FROM Lead")
    assert found.aggregates == [{"expr0": LEADS, "newest": at(19), "expr2": 0}]


def test_fields_standard_leaves_custom_fields_out(world):
    (row,) = ask(world, "SELECT FIELDS(STANDARD) FROM Lead LIMIT 1")
    assert "Company" in row
    assert not [name for name in row if name.endswith("__c")]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("SELECT Id FROM", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT FROM Lead", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY", "<EOF>"),
        ("SELECT Id FROM Lead LIMIT -1", "MALFORMED_QUERY", "-1"),
        ("SELECT Id FROM Lead WHERE IsDeleted = true AND Name = 'a' OR Name = 'b'", "MALFORMED_QUERY", "OR"),
        ("SELECT Id FROM Lead WHERE Name = 'it\\q'", "MALFORMED_QUERY", "\\q"),
        ("SELECT Id FROM Lead WHERE Name = 'a' b'", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Lead; DELETE", "MALFORMED_QUERY", ";"),
        ("SELECT Nope FROM Lead", "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
        ("SELECT Id FROM Lead WHERE Nope__c = 1", "INVALID_FIELD", "No such column 'Nope__c'"),
        ("SELECT Id FROM Lead ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope'"),
        ("SELECT Parent.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Parent'"),
        ("SELECT Account.Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("SELECT Id, Email, id FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id FROM Leads", "INVALID_TYPE", "sObject type 'Leads' is not supported"),
        (
            "SELECT Id FROM Lead WHERE SystemModstamp > '2026-11-22T10:00:00Z'",
            "INVALID_FIELD",
            "must be of type dateTime and should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Lead WHERE SystemModstamp > 2026-11-22",
            "INVALID_FIELD",
            "must be of type dateTime",
        ),
        ("SELECT Id FROM Lead WHERE ConvertedDate > 2026-11-22T10:00:00Z", "INVALID_FIELD", "of type date "),
        ("SELECT Id FROM Lead WHERE SystemModstamp > 2026-13-45T10:00:00Z", "MALFORMED_QUERY", "2026-13-45"),
        ("SELECT Id FROM Lead WHERE Email = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        (
            "SELECT Id FROM Lead WHERE IsConverted = 'true'",
            "INVALID_FIELD",
            "should not be enclosed in quotes",
        ),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees = '5'", "INVALID_FIELD", "not be enclosed in quotes"),
        ("SELECT Id FROM Lead WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees LIKE '5'", "INVALID_QUERY_FILTER_OPERATOR", ""),
        ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Lead ORDER BY Description", "INVALID_FIELD", "can not be sorted"),
        ("SELECT Id FROM Lead LIMIT 5 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT FIELDS(ALL) FROM Lead", "MALFORMED_QUERY", "LIMIT of at most 200"),
        ("SELECT Id, COUNT(Id) FROM Lead", "MALFORMED_QUERY", "GROUP BY"),
        ("SELECT Id FROM Lead WHERE Name = '" + "x" * 100_000 + "'", "MALFORMED_QUERY", "100000"),
    ],
)
def test_a_wrong_query_is_refused_in_salesforces_words(world, text, code, message):
    with pytest.raises(SoqlError) as refused:
        run(text, world, "66.0")

    assert refused.value.code == code
    assert message in refused.value.message


def test_a_hidden_field_looks_like_one_that_does_not_exist(world):
    blind = World(make_schema(hidden=["Lead.Email"]), world.tables, world.prefixes)
    with pytest.raises(SoqlError, match="No such column 'Email' on entity 'Lead'"):
        run("SELECT Email FROM Lead", blind, "66.0")


@pytest.mark.parametrize(
    ("quoted", "meant"),
    [
        (r"'O\'Neill'", "O'Neill"),
        (r"'a\\b'", "a\\b"),
        (r"'\"\n\r\t\b\f'", '"\n\r\t\b\f'),
        (r"'é\u4e2d'", "é中"),
        (r"'plain % _'", "plain % _"),
    ],
)
def test_escapes_in_strings_are_undone(quoted, meant):
    assert unescape(quoted) == meant


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [(r"'100\%%'", 1), (r"'100\%\_%'", 1), (r"'1000%'", 0), (r"'%\\x'", 1), (r"'O\'N_ill'", 1)],
)
def test_like_tells_wild_cards_from_escaped_ones(world, pattern, expected):
    assert len(ask(world, f"SELECT Id FROM Contact WHERE LastName LIKE {pattern}")) == expected


def test_fifteen_characters_gain_the_right_checksum():
    for n in (0, 35, 61, 62**3 + 17):
        whole = salesforce_id("00Q", n)
        assert full_id(whole[:15]) == whole
        assert full_id(whole) == whole
    assert full_id("00Q") is None


def test_two_thousand_ids_in_one_list_are_read():
    ids = ",".join(f"'{salesforce_id('00Q', n)}'" for n in range(2000))
    assert len(parse(f"SELECT Id FROM Lead WHERE Id IN ({ids})").where.values) == 2000


def test_a_row_moves_in_the_index_when_its_stamp_moves(world):
    table = Table(world.schema["Lead"])
    table.fill(lead(n) for n in range(9))
    table.put({**table.rows[salesforce_id("00Q", 0)], "SystemModstamp": at(500)})
    table.drop(salesforce_id("00Q", 1))

    assert list(table.by_stamp(at(100), None)) == [salesforce_id("00Q", 0)]
    assert list(table.by_stamp(None, at(0))) == [salesforce_id("00Q", 2)]
    assert table.by_id(None, None) == [salesforce_id("00Q", n) for n in (0, 2, 3, 4, 5, 6, 7, 8)]


def test_rows_are_grouped_and_counted(world):
    found = ask(world, "SELECT Status, COUNT(Id) n FROM Lead WHERE Status != null GROUP BY Status")
    assert (
        sum(row["n"] for row in found.aggregates)
        == ask(world, "SELECT COUNT() FROM Lead WHERE Status != null").total
    )
    assert [row["Status"] for row in found.aggregates] == sorted({row["Status"] for row in found.aggregates})
    with pytest.raises(SoqlError, match="grouped or aggregated"):
        ask(world, "SELECT Status, Id, COUNT(Id) FROM Lead GROUP BY Status")
    with pytest.raises(SoqlError, match="can not be grouped"):
        ask(world, "SELECT COUNT(Id) FROM Lead GROUP BY SystemModstamp")
