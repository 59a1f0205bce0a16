"""A CSV that a human has filled in, line by line as they see it. Pure: knows no column."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """What stands in one row, by column, trimmed. `number`: where it begins, counted from 1 with the heading. `wrong`:
    why nothing of it can be used."""

    number: int
    cells: Mapping[str, str]
    wrong: str = ""


def csv_lines(text: str) -> tuple[Sequence[str], list[Line]]:
    """The heading, trimmed and lower-cased, and the rows below it that are not blank. Separated by commas or, as
    spreadsheets of many countries write it, semicolons. After a row that is no CSV nothing more is read."""
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    heading: list[str] = []
    lines: list[Line] = []
    begins = 1
    try:
        heading = [name.strip().lower() for name in next(reader, [])]
        begins = reader.line_num + 1
        for cells in reader:
            number, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(heading):
                lines.append(Line(number, {}, f"{len(cells)} cells, the heading has {len(heading)}"))
            else:
                cut = (cell.strip() for cell in cells)
                lines.append(Line(number, dict(zip(heading, cut, strict=True))))
    except csv.Error as error:
        lines.append(Line(begins, {}, f"this is no CSV: {error}"))
    return heading, lines
