"""`connector runs`: what ran, with the counts it printed then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from connector.app.exits import OK
from connector.app.output import out, print_json, to_json, when
from connector.app.settings import load_settings
from connector.errors import FixConfig
from connector.ledger import SqlLedger, open_ledger
from connector.ports import RunInfo

T = TypeVar("T")


def ask_ledger(question: Callable[[SqlLedger], Awaitable[T]]) -> T:
    """Open the ledger, ask one thing, close it."""

    async def go() -> T:
        ledger = open_ledger(load_settings().database_url)
        try:
            return await question(ledger)
        finally:
            await ledger.close()

    return asyncio.run(go())


def runs_list(*, limit: int, json: bool) -> int:
    """The latest runs, newest first."""
    found = ask_ledger(lambda ledger: ledger.runs(limit))
    if json:
        print_json({"runs": [_line(run) for run in found]})
        return OK
    from rich.table import Table

    table = Table("run", "kind", "status", "started (UTC)", "people", "written")
    for run in found:
        written = sum(counts.get("written", 0) for counts in run.document.get("crms", {}).values())
        table.add_row(
            str(run.id),
            run.kind,
            run.status,
            when(run.started_at),
            f"{run.document.get('people', 0):,}",
            f"{written:,}",
        )
    out.print(table if found else "No run yet.")
    return OK


def runs_show(number: int, *, json: bool) -> int:
    """One run, whole."""
    run = ask_ledger(lambda ledger: ledger.run(number))
    if run is None:
        raise FixConfig(f"There is no run {number}.", next_step="`connector runs list` shows them.")
    if json:
        print_json({**_line(run), **run.document})
    else:
        out.print(
            f"Run {run.id} ({run.kind}): {run.status}, {when(run.started_at)} to {when(run.finished_at)} UTC"
        )
        out.print(to_json(run.document))
    return OK


def _line(run: RunInfo) -> dict[str, object]:
    return {
        "run": run.id,
        "kind": run.kind,
        "status": run.status,
        "crms_asked": list(run.crms),
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }
