"""The CSV of Bulk API 2.0: what a cell says by the type of its field, and what a value is as a cell."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.salesforce.bulk_csv import columns_of, fits, rows_of, table_of, texts_of
from adapters.salesforce.sandbox.bulk_table import Table, cell, values, written
from adapters.salesforce.sandbox.schema import Field
from connector.errors import StopRun

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def body(text, encoding="utf-8"):
    return io.BytesIO(text.encode(encoding))


def one(kind, text):
    [row] = rows_of(body(f'"X"\n"{text}"\n'), {"X": kind})
    return row["X"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "0.0", 0),
        ("int", "12", 12),
        ("int", "12.0", 12),
        ("double", "0.0", 0.0),
        ("double", "87", 87.0),
        ("currency", "1234.5", 1234.5),
        ("percent", "1E+2", 100.0),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("datetime", "2026-11-01T08:00:00.000Z", "2026-11-01T08:00:00.000+0000"),
        ("datetime", "2026-11-01T08:00:00.000+0000", "2026-11-01T08:00:00.000+0000"),
        ("date", "2026-11-01", "2026-11-01"),
        ("string", "N/A", "N/A"),
        ("string", "null", "null"),
        ("picklist", "NA", "NA"),
        ("string", "", None),
        ("double", "", None),
        ("something new", "x", "x"),
    ],
)
def test_a_cell_reads_by_the_type_of_its_field(kind, text, value):
    found = one(kind, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("kind", "text"), [("int", "many"), ("double", "NaN"), ("boolean", "maybe")])
def test_a_cell_of_another_type_is_an_answer_that_does_not_add_up(kind, text):
    with pytest.raises(StopRun):
        one(kind, text)


def test_parents_are_nested_as_rest_nests_them():
    [row] = rows_of(
        body("Id,account.owner.name,Account.Name\n1,,Acme\n"),
        {"Id": "id", "Account.Name": "string", "Account.Owner.Name": "string"},
    )
    assert row == {"Id": "1", "Account": {"Name": "Acme", "Owner": {"Name": None}}}


def test_columns_are_read_by_name_in_any_order_and_case_and_unknown_ones_are_left_out():
    [row] = rows_of(body('"EMAIL","More","Id"\n"a@b.example","x","1"\n'), {"Id": "id", "Email": "email"})
    assert row == {"Email": "a@b.example", "Id": "1"}


@pytest.mark.parametrize(
    "text",
    ["", "\ufeff" + '"Id"\n"1"\n', '"Id"\n"1"\n\n', '"Id"\n"\0001"\n'],
    ids=["nothing", "mark", "line", "nul"],
)
def test_marks_empty_lines_and_nuls_are_no_data(text):
    assert [row["Id"] for row in rows_of(body(text), {"Id": "id"})] == (["1"] if text else [])


@pytest.mark.parametrize("text", ['"Email"\n"x"\n', '"Id","Email"\n"1"\n', '"Id","Email"\n"1","x","y"\n'])
def test_a_result_without_its_columns_or_of_another_width_is_refused(text):
    with pytest.raises(StopRun):
        list(rows_of(body(text), {"Id": "id", "Email": "email"}))


def test_a_cell_may_be_longer_than_pythons_own_limit():
    long = "x" * 200_000
    assert one("textarea", long) == long


def test_a_result_file_leaves_out_a_row_that_was_cut():
    text = '"sf__Id","sf__Error","Id"\n"1","A:b:--","1"\n"2","UNABLE_TO_L'
    assert [row["Id"] for row in texts_of(body(text))] == ["1"]


@given(st.lists(st.tuples(TEXT, st.one_of(st.none(), st.integers(-(10**9), 10**9)), st.booleans())))
def test_whatever_an_org_writes_is_read_as_it_stands(rows):
    columns = {"T": "string", "N": "double", "B": "boolean"}
    cells = [
        tuple(cell(value, kind) for value, kind in zip(row, columns.values(), strict=True)) for row in rows
    ]
    raw = written(Table(tuple(columns), []), cells, (",", "\n"))

    found = list(rows_of(io.BytesIO(raw), columns))

    assert [(row["T"] or "", row["N"], row["B"]) for row in found] == rows


@given(
    st.dictionaries(
        st.sampled_from(["T", "N", "B"]), st.one_of(st.none(), TEXT, st.booleans(), st.floats(-1e9, 1e9))
    )
)
@example({"T": "\r0"})
def test_whatever_we_upload_an_org_reads_as_rest_would(element):
    kinds = {"T": "string", "N": "double", "B": "boolean"}
    wanted = {name: value for name, value in element.items() if _suits(kinds[name], value)}
    row = {"attributes": {"type": "Lead"}, "id": "00Q000000000001AAA", **wanted}
    if not fits(row):
        return

    raw = table_of([row], columns_of([row]))

    assert not raw.startswith(b"\xef\xbb\xbf")
    [told] = csv.DictReader(io.StringIO(raw.decode(), newline=""))
    stored = values(
        told, {name: Field(name, kind) for name, kind in {"Id": "id", **kinds}.items() if name in told}
    )
    assert {name: _stored(value) for name, value in stored.items()} == {
        name: _stored(value) for name, value in wanted.items()
    }


def _suits(kind, value):
    fitting = {"string": str, "double": float, "boolean": bool}[kind]
    return value is None or type(value) is fitting


def _stored(value):
    return {"true": True, "false": False, "": None}.get(value, value) if isinstance(value, str) else value


def test_a_column_that_a_row_lacks_stays_empty_and_none_clears():
    rows = [{"attributes": {}, "id": "1", "A": None}, {"attributes": {}, "id": "2", "B": 1e21}]
    assert table_of(rows, columns_of(rows)) == b"Id,A,B\n1,#N/A,\n2,,1000000000000000000000\n"


@pytest.mark.parametrize("value", ["#N/A", " #N/A ", "x" * 32_001])
def test_a_value_that_no_cell_can_say_does_not_fit(value):
    assert not fits({"attributes": {}, "id": "1", "A": value})
