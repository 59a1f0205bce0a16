"""`connector sync`: one incremental run, its questions and its report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connector.app import exits
from connector.app.asking import ask_ledger
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.requests import carried_out
from connector.app.running import run
from connector.app.settings import load_settings
from connector.app.syncing import run_and_remind
from connector.app.who import actor
from connector.app.wiring import SystemClock, wired
from connector.core.privacy_rules import PRIVACY, in_words
from connector.phases.arrivals import IMPORTS
from connector.phases.first import RECONCILIATION
from connector.phases.places import PLACES
from connector.pipeline import RunResult


def sync(crms: list[str], *, plan_only: bool, yes: bool, mappings: Path | None, json: bool) -> int:
    """Run once and report. Exit codes as in docs/reference/commands.md."""
    settings = load_settings()
    configure(settings)

    ours = False  # whether it was begun in this process

    async def go() -> dict[str, Any]:
        async with wired(settings, crms, mappings_dir=mappings) as parts:
            for crm in parts.skipped:
                sys.stderr.write(f"{crm} is not connected (no credentials): skipped.\n")
            if parts.told:
                sys.stderr.write(f"{parts.told}\n")

            async def here() -> dict[str, Any]:
                nonlocal ours
                ours = True
                result = await run_and_remind(parts, plan_only=plan_only, yes=yes, asked_by=actor())
                return result.document()

            arguments = {"plan_only": plan_only, "yes": yes}
            return await carried_out(parts, "sync", arguments, asked_by=actor(), here=here)

    began = SystemClock().now()
    try:
        document = run(go())
    except KeyboardInterrupt:
        stopped = ask_ledger(lambda ledger: ledger.runs(1)) if json and ours else []
        if not stopped or stopped[0].started_at < began or not stopped[0].document:
            raise
        sys.stderr.write("Interrupted. What was saved stays saved; the next run goes on from there.\n")
        print_json(stopped[0].document)
        return exits.LOOK
    result = RunResult.of(document)
    if json:
        print_json(document)
    else:
        report(result)
    return exit_code(result)


def _changed(told: Mapping[str, Any]) -> str:
    """That this run is the first by another definition."""
    whom = ", ".join(f"{crm} {records:,} records" for crm, records in told["concerned"].items())
    read = ", ".join(f"{each['crm']} {each['stream'] or '(all)'}" for each in told["reread"])
    again = f" Read again for it: {read}." if read else " Nothing had to be read again for it."
    return (
        f"The definition went from version {told['from']} to {told['to']}; the plans of this run say something to"
        f" {whom or 'nobody'}.{again}"
    )


def exit_code(result: RunResult) -> int:
    """0 all accounted for, 1 failed, 3 somebody should look."""
    if result.status == "failed":
        return exits.FAILED
    return exits.LOOK if result.needs_attention else exits.OK


def report(result: RunResult) -> None:
    """The sums per CRM, for people."""
    from rich.table import Table

    table = Table(title=f"Run {result.run}: {result.status} in {result.seconds:.1f} s")
    table.add_column("records")
    names = (
        "read",
        "unchanged",
        "planned",
        "held_back",
        "quarantined",
        "written",
        "rejected",
        "unknown",
        "set_aside",
        "waiting",
        "calls",
    )
    for crm in result.crms:
        table.add_column(crm, justify="right")
    for name in names:
        table.add_row(
            name.replace("_", " "), *(f"{getattr(counts, name):,}" for counts in result.crms.values())
        )
    out.print(table)
    wished = f"; {result.by_override:,} of these by an override" if result.by_override else ""
    out.print(
        f"{result.people:,} people decided; MQL: {result.entered:,} entered, {result.left:,} left, "
        f"{result.now:,} now{wished}."
    )
    if line := in_words(result.more.get(PRIVACY, {})):
        out.print(line)
    for bar in result.more.get(PLACES, ()):
        out.print(bar["told"], markup=False)
    for crm, lines in result.more.get(IMPORTS, {}).items():
        for line in lines:
            out.print(f"{crm}: {line}", markup=False)
    for told in result.more.get(RECONCILIATION, {}).values():
        out.print(f"\n{told['title']}", markup=False)
        for line in told["lines"]:
            out.print(f"  {line}", markup=False)
    changed = result.more.get("definition")
    if changed:
        out.print(_changed(changed), markup=False)
    for crm, plan in result.waits.items():
        out.print(f"{crm}: plan {plan} of an earlier run still waits. `connector plan show {plan}`.")
    for crm, counts in result.crms.items():
        if counts.error:
            out.print(f"{crm}: {counts.error}", markup=False)  # what a CRM says is no markup
        for tug in counts.tugs:
            by = f" by {tug['by']}" if tug["by"] else ""
            told = f"{tug['field']} of {tug['record']} was changed back {tug['times']} times{by}; it is left alone."
            out.print(f"{crm}: {told}", markup=False)
        for stream, fetched in counts.fetched.items():
            if fetched.note:
                out.print(f"{crm}: {stream} {fetched.note}", markup=False)
        if counts.waiting and crm in result.plans:
            plan = result.plans[crm]
            because = result.more.get("waits_because", {}).get(crm)
            out.print(
                f"{crm}: plan {plan} waits{f': {because}' if because else ''}. `connector plan show {plan}`, then"
                f" `connector plan apply {plan}`.",
                markup=False,
            )
        elif crm in result.plans and not counts.planned:
            out.print(
                f"{crm}: nothing can be sent now. `connector plan show {result.plans[crm]}` says what would be written,"
                " and why it is held back."
            )
