"""A new CSV file from rows, as reports write it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connector.errors import FixConfig
from connector.insight.planned import harmless


def refuse_existing(file: Path | None) -> None:
    """FixConfig where the file is there: nothing is overwritten."""
    if file is not None and file.exists():
        raise FixConfig(f"{file} is there already.", next_step="Name a new file.", where="--csv")


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """These columns of each row; a cell that a spreadsheet would take for a formula is made harmless."""
    try:
        with file.open("x", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(columns)
            for row in rows:
                writer.writerow(["" if row[name] is None else harmless(row[name]) for name in columns])
    except OSError as error:
        raise FixConfig(
            f"{file} cannot be written: {error.strerror}.", next_step="Name another file.", where="--csv"
        ) from error
