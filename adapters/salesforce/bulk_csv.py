"""The CSV of Bulk API 2.0, both ways: cells to the values that REST would give, values to cells. Sends nothing.

Bytes are UTF-8 without a mark at their beginning, lines end with LF, cells are parted by commas:
https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/datafiles_prepare_csv.htm
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from connector.core.model import JsonValue
from connector.errors import SkipRecord, StopRun

LONGEST_CELL = 131_072 * 4  # long text areas reach 131,072 characters; Python's own limit stops just there
LONGEST_CELL_OUT = 32_000  # of an upload
CLEAR = "#N/A"  # an empty cell leaves the field as it is

csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))

Row = dict[str, Any]
_Cell = Callable[[str], JsonValue]


# ----------------------------------------------------------------------------------------------- in


def rows_of(body: io.BytesIO, types: Mapping[str, str]) -> Iterator[Row]:
    """The rows of a result, one by one, in the shape of REST's records: parents nested, blanks None.

    `types`: describe's type per column that was asked for, dotted for parents; columns that nobody asked for are left
    out. Reads bytes as UTF-8 whatever the answer says of them, and drops NULs. Raises StopRun for a header without
    the columns asked for, or a row of another width.
    """
    reader = _reader(body)
    header = next(reader, None)
    if header is None:
        return  # nothing at all; whether that is so, the count tells
    asked = {name.lower(): name for name in types}
    places = [(at, asked[name.lower()]) for at, name in enumerate(header) if name.lower() in asked]
    missing = set(types) - {name for _, name in places}
    if missing:
        raise _broken(f"lacks the column {sorted(missing)[0]}")
    plain = [(at, name, _cell(types[name])) for at, name in places if "." not in name]
    nested = [(at, name.split("."), _cell(types[name])) for at, name in places if "." in name]
    width = len(header)
    for cells in reader:
        if len(cells) != width:
            if not cells:
                continue  # an empty line is no row
            raise _broken("has a row of another width than its header")
        row: Row = {name: convert(cells[at]) if cells[at] else None for at, name, convert in plain}
        for at, path, convert in nested:
            inner = row
            for part in path[:-1]:
                inner = inner.setdefault(part, {})
            inner[path[-1]] = convert(cells[at]) if cells[at] else None
        yield row


def texts_of(body: io.BytesIO) -> Iterator[dict[str, str]]:
    """The whole rows of a result file as they stand, by column; one that was cut is left out."""
    reader = _reader(body)
    header = next(reader, [])
    for cells in reader:
        if len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))


def _reader(body: io.BytesIO) -> Iterator[list[str]]:
    """Cells of each row. The stream goes through a CSV parser whole: quoted cells hold line ends."""
    text = io.TextIOWrapper(body, encoding="utf-8-sig", errors="replace", newline="")
    return csv.reader(line.replace("\0", "") if "\0" in line else line for line in text)


def _cell(kind: str) -> _Cell:
    return _CELLS.get(kind, _text)


def _text(cell: str) -> JsonValue:
    return cell


def _whole(cell: str) -> JsonValue:
    """Whole numbers come as `0.0` at times."""
    number = _decimal(cell)
    return int(number) if number == number.to_integral_value() else float(number)


def _number(cell: str) -> JsonValue:
    return float(_decimal(cell))


def _decimal(cell: str) -> Decimal:
    try:
        number = Decimal(cell)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise _broken("holds something else where a number is due")
    return number


def _flag(cell: str) -> JsonValue:
    if cell.lower() not in ("true", "false"):
        raise _broken("holds something else where true or false is due")
    return cell.lower() == "true"


def _moment(cell: str) -> JsonValue:
    """`2026-11-01T08:00:00.000Z` as REST spells it: `2026-11-01T08:00:00.000+0000`."""
    return f"{cell[:-1]}+0000" if cell.endswith("Z") else cell


_CELLS: Mapping[str, _Cell] = {
    **dict.fromkeys(("int", "long"), _whole),
    **dict.fromkeys(("double", "currency", "percent"), _number),
    "boolean": _flag,
    "datetime": _moment,
}


def _broken(what: str) -> StopRun:
    return StopRun(
        f"A result of Salesforce's Bulk API {what}.",
        next_step="The watermark stays; the next run asks again. Check whether a proxy answers instead.",
    )


# ---------------------------------------------------------------------------------------------- out


def table_of(elements: Sequence[Mapping[str, JsonValue]], columns: Sequence[str]) -> bytes:
    """An upload: `Id` and these columns. A column that an element lacks stays empty, which leaves the field alone;
    None clears it. Raises SkipRecord for what `fits` refuses."""
    lines = [["Id", *columns]]
    for element in elements:
        cells = [_out(element[name]) if name in element else "" for name in columns]
        lines.append([str(element["id"]), *cells])
    return "".join(",".join(map(_quoted, line)) + "\n" for line in lines).encode("utf-8")


def _quoted(text: str) -> str:
    """A cell as it goes out. Python's own writer leaves a lone carriage return bare where lines end by a line feed, and
    Salesforce reads two lines then."""
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


def columns_of(elements: Iterable[Mapping[str, JsonValue]]) -> list[str]:
    """All fields that any element sets, in order."""
    return sorted({name for element in elements for name in element if name not in ("id", "attributes")})


def fits(element: Mapping[str, JsonValue]) -> bool:
    """Whether a cell can say it: a text that reads as the mark for clearing cannot, nor one that is too long."""
    return all(
        not isinstance(value, str) or (value.strip() != CLEAR and len(value) <= LONGEST_CELL_OUT)
        for name, value in element.items()
        if name != "attributes"
    )


def _out(value: JsonValue) -> str:
    if value is None or value == "":
        return CLEAR
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, str):
        if value.strip() == CLEAR:
            raise SkipRecord("This text means that a field be cleared where rows are uploaded.")
        return value.replace("\0", "")
    return str(value)
