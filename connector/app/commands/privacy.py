"""`connector report privacy`: who was deleted in one CRM and lives on in another, and who is treated how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connector.app.asking import ask_ledger
from connector.app.csv_file import refuse_existing, write_csv
from connector.app.exits import OK
from connector.app.output import out, print_json, when
from connector.core.privacy_rules import in_words
from connector.ledger import SqlLedger
from connector.ledger.store_deleted import ERASED, DeletedElsewhere

COLUMNS = ("deleted", "how", "found_at", "alive", "person")
"""Of a CSV and of each row in JSON, in order. Records and numbers only: no name, no address."""


def report_privacy(*, csv_file: Path | None, json: bool) -> int:
    """Print the report, or write its rows into a new file."""
    refuse_existing(csv_file)

    async def question(ledger: SqlLedger) -> tuple[list[DeletedElsewhere], dict[str, int]]:
        return await ledger.deleted_elsewhere(), await ledger.treated()

    found, treated = ask_ledger(question)
    rows = [_row(each) for each in sorted(found, key=lambda each: (each.how != ERASED, each.ref))]
    if csv_file is not None:
        write_csv(csv_file, COLUMNS, [{**row, "alive": " ".join(row["alive"])} for row in rows])
    if json:
        print_json({"deleted_elsewhere": rows, "privacy": treated})
        return OK
    if line := in_words(treated):
        out.print(line)
    if csv_file is not None:
        out.print(f"{csv_file}: {len(rows):,} records.", markup=False)
    else:
        _print(rows)
    return OK


def _row(each: DeletedElsewhere) -> dict[str, Any]:
    told = (str(each.ref), each.how, each.found_at, [str(ref) for ref in each.alive], each.person)
    return dict(zip(COLUMNS, told, strict=True))


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("Nobody who was deleted in one CRM is known to live on in another.")
        return
    out.print(f"{len(rows):,} were deleted in one CRM and live on in another:")
    for row in rows:
        out.print(
            f"  {row['deleted']} {row['how']}, found {when(row['found_at']) or '-'} UTC;"
            f" alive: {', '.join(row['alive'])}, person {row['person']}",
            markup=False,
        )
    out.print(
        "Erased means at one stroke, as under privacy law: ask whoever did it whether the person is to go everywhere."
    )
