"""`connector db size`: what the ledger holds, how it grows, and the calls to the CRMs, a day."""

from __future__ import annotations

from typing import Any

from connector.app.asking import ask_ledger
from connector.app.exits import OK
from connector.app.growth import Growth, growth_of
from connector.app.output import out, print_json
from connector.app.wiring import SystemClock


def db_size(*, json: bool) -> int:
    """Print it."""
    found: Growth = ask_ledger(lambda ledger: growth_of(ledger, SystemClock().now()))
    if json:
        print_json(document(found))
        return OK
    from rich.table import Table

    table = Table("table", "rows", "rows a day", "bytes", "bytes a day")
    for name in sorted(found.rows, key=lambda each: (-found.bytes.get(each, 0), -found.rows[each], each)):
        if found.rows[name] or found.bytes.get(name):
            table.add_row(
                name,
                f"{found.rows[name]:,}",
                _shown(found.rows_a_day.get(name)),
                _shown(found.bytes.get(name)),
                _shown(found.bytes_a_day.get(name)),
            )
    out.print(table)
    out.print(f"{found.whole:,} bytes in all, {found.unused:,} of them wait for new rows.")
    if found.whole_a_day is not None:
        out.print(f"It grew by {found.whole_a_day:,.0f} bytes a day over the last {found.days:g} days.")
    else:
        out.print("How it grows is known once the sidecar has run for two nights.")
    for day, calls in found.calls.items():
        told = ", ".join(f"{name} {many:,}" for name, many in calls.items())
        out.print(f"{day}: calls of {told}", markup=False)
    return OK


def document(found: Growth) -> dict[str, Any]:
    """As JSON."""
    return {
        "bytes": found.whole,
        "unused_bytes": found.unused,
        "bytes_a_day": found.whole_a_day,
        "days": found.days,
        "tables": {
            name: {
                "rows": rows,
                "rows_a_day": found.rows_a_day.get(name),
                "bytes": found.bytes.get(name),
                "bytes_a_day": found.bytes_a_day.get(name),
            }
            for name, rows in sorted(found.rows.items())
        },
        "calls": {day.isoformat(): calls for day, calls in found.calls.items()},
    }


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"
