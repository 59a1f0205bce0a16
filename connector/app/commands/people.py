"""`connector people`: the ranked work list, with why. Asks the ledger only; addresses are shown on request."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from connector.app.asking import ask_ledger, choice
from connector.app.definition import readable_criteria
from connector.app.exits import OK
from connector.app.output import out, print_json, when
from connector.app.overriding import WORDS
from connector.app.ranking import SORTS, Asked, ranked
from connector.core.model import MqlStatus
from connector.errors import FixConfig
from connector.insight.planned import harmless
from connector.ledger import SqlLedger

SHOWN = 50
COLUMNS = (
    "rank", "person", "name", "email", "company", "owner", "stage", "mql_status", "mql_since", "audience",
    "privacy", "persona",
    "persona_by_rule", "score", "fit", "engagement", "band", "grade", "why",
    "override", "override_reason", "records",
)  # fmt: skip
"""Of a CSV and of each person in JSON, in order; `email` only on request."""


def people(asked: Asked, *, csv_file: Path | None, json: bool) -> int:
    """Print the list, or write it into a new file. A file holds everybody, a screen the first few, unless told."""
    choice(asked.sort, SORTS, "--sort")
    if asked.status is not None:
        choice(asked.status, tuple(each.value for each in MqlStatus), "--status")
    if csv_file is not None and csv_file.exists():
        raise FixConfig(f"{csv_file} is there already.", next_step="Name a new file.", where="--csv")
    criteria = readable_criteria()

    async def question(ledger: SqlLedger) -> list[dict[str, Any]] | int:
        if csv_file is None:
            return [row async for row in ranked(ledger, asked, asked.limit or SHOWN, criteria)]
        return await _written(csv_file, ranked(ledger, asked, asked.limit, criteria), email=asked.email)

    found = ask_ledger(question)
    if isinstance(found, int):
        if json:
            print_json({"file": str(csv_file), "people": found})
        else:
            out.print(f"{csv_file}: {found:,} people.", markup=False)
    elif json:
        print_json({"people": found})
    else:
        _print(found, email=asked.email)
    return OK


async def _written(file: Path, rows: AsyncIterator[dict[str, Any]], *, email: bool) -> int:
    columns = [name for name in COLUMNS if email or name != "email"]
    count = 0
    try:
        with file.open("x", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(columns)
            async for row in rows:
                since = row["mql_since"]
                told = {
                    **row,
                    "records": " ".join(row["records"]),
                    "mql_since": since.isoformat() if since else "",
                }
                writer.writerow([harmless(told[name]) for name in columns])
                count += 1
    except OSError as error:
        raise FixConfig(
            f"{file} cannot be written: {error.strerror}.", next_step="Name another file.", where="--csv"
        ) from error
    return count


def _wish(row: dict[str, Any]) -> str:
    """A human's word in force, and its reason."""
    if row["override"] is None:
        return ""
    reason = row["override_reason"]
    return WORDS[row["override"]] + (f": {reason}" if reason else "")


def _print(rows: list[dict[str, Any]], *, email: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        out.print("Nobody.")
        return
    table = Table(
        "",
        "person",
        *(["email"] if email else []),
        "company",
        "stage",
        "score",
        "grade",
        "since (UTC)",
        "why",
    )
    audiences = any(row["audience"] for row in rows)
    if audiences:
        table.add_column("audience")
    wished = any(row["override"] for row in rows)
    if wished:
        table.add_column("override")
    for row in rows:
        status = "" if row["mql_status"] == "none" else f" ({row['mql_status']})"
        cells = [
            row["rank"],
            f"{row['person']} {row['name']}",
            *([row["email"] or ""] if email else []), row["company"] or "",
            row["stage"] + status, "-" if row["score"] is None else row["score"], row["grade"] or "-",
            when(row["mql_since"]), row["why"],
            *([row["audience"] or ""] if audiences else []),
            *([_wish(row)] if wished else []),
        ]  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))  # what a CRM holds is no markup
    out.print(table)
