"""`connector db prune`: let go of what is older than it is kept, now instead of tonight."""

from __future__ import annotations

from typing import Any

from connector.app.asking import ask_ledger
from connector.app.definition import in_zone, load_definition
from connector.app.exits import OK
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.pruning import Pruned, prune, would_prune
from connector.app.settings import Settings, load_settings
from connector.app.wiring import SystemClock, holder, plugins, read_version
from connector.core.definition import Definition
from connector.core.durations import show_duration
from connector.errors import FixConfig
from connector.ledger import SqlLedger

SAID = {
    "raw_payloads": "records lose their CRM's own values as they were read",
    "before_images": "planned writes lose what stood there before; their runs cannot be undone any more",
    "unknown_visitors": "events of your application that are still nobody's",
    "plan_rows": "rows of plans",
    "plan_summaries": "summaries of plans",
    "run_documents": "details of runs",
    "requests": "requests that commands had left to the sidecar",
    "bars": "bars of audiences",
    "deliveries": "deliveries of notices",
}


def db_prune(*, dry_run: bool, shrink: bool, json: bool) -> int:
    """Tell what went, by what it is."""
    settings = load_settings()
    configure(settings)

    async def question(ledger: SqlLedger) -> tuple[Pruned, Definition, int]:
        clock = SystemClock()
        definition = await _in_force(ledger, settings)
        if dry_run:
            return await would_prune(ledger, definition, clock.now()), definition, 0
        pruned = await prune(ledger, definition, holder(), clock)
        return pruned, definition, await ledger.shrink() if shrink else 0

    pruned, definition, smaller = ask_ledger(question)
    kept = definition.criteria.retention
    if json:
        spans = {
            name: show_duration(span) if span else "keep"
            for name, span in (
                ("run_details", kept.run_details),
                ("raw_payloads", kept.raw_payloads),
                ("before_images", kept.before_images),
                ("unknown_visitors", kept.unknown_visitors),
            )
        }
        document: dict[str, Any] = {"dry_run": dry_run, "retention": spans, "gone": pruned.gone}
        print_json(document | ({"smaller_by_bytes": smaller} if shrink and not dry_run else {}))
        return OK
    for what, many in pruned.gone.items():
        if many:
            out.print(f"{many:,} {SAID[what]}.", markup=False)
    if not any(pruned.gone.values()):
        out.print("Nothing is older than it is kept.")
    elif dry_run:
        out.print("Nothing was changed: this was a dry run.")
    if shrink and not dry_run:
        out.print(f"The file is {smaller:,} bytes smaller.")
    return OK


async def _in_force(ledger: SqlLedger, settings: Settings) -> Definition:
    """The definition by which this ledger is kept; of an empty one, that of the folder."""
    if await ledger.version() is None:
        return in_zone(load_definition(settings.mappings_dir, plugins()), settings)
    found = read_version(await ledger.files(), settings)
    if found is None:
        raise FixConfig(
            "The definition in force cannot be read, so for how long things are kept is not known.",
            next_step="`connector criteria test` says what is wrong; publish a good version, then run this again.",
        )
    return found
