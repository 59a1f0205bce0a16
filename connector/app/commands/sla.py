"""`connector report sla`: how soon sales touches its MQLs. Asks the ledger only."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connector.app.asking import ask_ledger, asked_audience
from connector.app.commands.backfill import range_of
from connector.app.csv_file import refuse_existing, write_csv
from connector.app.definition import readable_criteria
from connector.app.exits import OK
from connector.app.output import out, print_json, when
from connector.app.settings import load_settings
from connector.app.wiring import SystemClock
from connector.core.criteria import Criteria
from connector.insight.sla import Pace, SlaReport, sla_report
from connector.ledger import SqlLedger
from connector.phases.owners import known_owners

COLUMNS = (
    "group",
    "name",
    "mqls",
    "touched",
    "median_hours",
    "within_sla",
    "judged",
    "share",
    "untouched",
    "overdue",
)
"""Of a CSV, in order; `group` is total, owner or source."""


def report_sla(
    *, since: str | None, until: str | None, audience: str | None, csv_file: Path | None, json: bool
) -> int:
    """Print the report, or write its table into a new file."""
    refuse_existing(csv_file)
    within = range_of(since, until)
    criteria = (readable_criteria() or Criteria()).in_zone(ZoneInfo(load_settings().timezone))

    async def question(ledger: SqlLedger) -> SlaReport:
        of = None if audience is None else await asked_audience(ledger, audience)
        return sla_report(
            await ledger.spells(within.since, within.until, of),
            await known_owners(ledger),
            lambda name: criteria.of(name).handoff,
            SystemClock().now(),
            since=within.since,
            until=within.until,
        )

    found = ask_ledger(question)
    rows = [
        _row("total", "", found.total),
        *(_row("owner", name, pace) for name, pace in found.by_owner.items()),
        *(_row("source", name, pace) for name, pace in found.by_source.items()),
    ]
    if csv_file is not None:
        write_csv(csv_file, COLUMNS, rows)
    humans = [asdict(each) for each in found.humans]
    if json:
        print_json({"sla": rows, "needs_human": humans, "found_in_bulk": found.quiet})
        return OK
    if csv_file is not None:
        out.print(f"{csv_file}: {len(rows):,} lines.", markup=False)
    else:
        _print(rows, found)
    for each in found.humans:
        owner = f" ({each.owner})" if each.owner else ""
        out.print(
            f"needs a human: person {each.person}, MQL since {when(each.since)}: {each.why}{owner}",
            markup=False,
        )
    return OK


def _row(group: str, name: str, pace: Pace) -> dict[str, Any]:
    return {
        "group": group,
        "name": name,
        "mqls": pace.mqls,
        "touched": pace.touched,
        "median_hours": pace.hours,
        "within_sla": pace.within,
        "judged": pace.judged,
        "share": None if pace.share is None else round(pace.share, 3),
        "untouched": pace.untouched,
        "overdue": pace.overdue,
    }


def _print(rows: list[dict[str, Any]], found: SlaReport) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("", "", "MQLs", "touched", "median h", "within SLA", "untouched now", "overdue")
    for row in rows:
        share = "-" if row["share"] is None else f"{row['share']:.0%} of {row['judged']}"
        hours = "-" if row["median_hours"] is None else f"{row['median_hours']:g}"
        cells = (
            row["group"], row["name"], row["mqls"], row["touched"], hours, share, row["untouched"], row["overdue"],
        )  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))  # what a CRM holds is no markup
    out.print(table)
    if found.quiet:
        out.print(
            f"{found.quiet:,} more were found in bulk (a first load, a backfill, a new definition); not timed."
        )
