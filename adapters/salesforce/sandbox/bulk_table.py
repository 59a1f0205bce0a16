"""CSV as Bulk API 2.0 spells it: which cell says which value, both ways. Judges no record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.salesforce.sandbox.schema import Field

Json = Any
CLEAR = "#N/A"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of text."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def written(table: Table, rows: Iterable[Sequence[str]], form: tuple[str, str]) -> bytes:
    """These rows under the table's header; every cell is quoted, as Salesforce quotes."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=form[0], lineterminator=form[1], quoting=csv.QUOTE_ALL)
    writer.writerow(table.columns)
    writer.writerows(rows)
    return out.getvalue().encode()


def cell(value: Json, kind: str) -> str:
    """A stored value as text: times end in Z, an integer of zero may read `0.0`, null is nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind in ("int", "double", "currency", "percent"):
        return "0.0" if value == 0 else str(value)
    if kind == "datetime":
        return str(value).replace("+0000", "Z")
    return str(value)


def values(row: Mapping[str, str], fields: Mapping[str, Field]) -> dict[str, Json]:
    """What an uploaded row asks for: an empty cell for nothing, `#N/A` for null. What is no number stays text."""
    return {
        fields[name].name: None if text == CLEAR else _value(text, fields[name].type)
        for name, text in row.items()
        if text and fields[name].type != "id"
    }


def _value(text: str, kind: str) -> Json:
    if kind in ("int", "double", "currency", "percent"):
        try:
            number = float(text)
        except ValueError:
            return text
        return int(number) if kind == "int" and number.is_integer() else number
    return text
