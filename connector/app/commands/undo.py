"""`connector undo`: take a run back, as far as what it wrote still stands and is ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from connector.app.asking import ask_ledger
from connector.app.commands.sync import exit_code
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.requests import carried_out
from connector.app.running import run
from connector.app.settings import load_settings
from connector.app.undoing import undo_here
from connector.app.who import actor
from connector.app.wiring import wired
from connector.core.model import OUTCOMES, JsonValue
from connector.errors import FixConfig
from connector.pipeline import RunResult


def undo(
    number: int, *, crm: str | None, plan_only: bool, yes: bool, given: str | None, why: str, json: bool
) -> int:
    """Plan what goes back, show it, and send it once a human says so. Exit codes as in docs/reference/commands.md."""
    settings = load_settings()
    configure(settings)
    info = ask_ledger(lambda ledger: ledger.run(number))
    if info is None:
        raise FixConfig(f"There is no run {number}.", next_step="`connector runs list` shows them.")
    if crm is not None and crm not in info.crms:
        raise FixConfig(
            f"Run {number} wrote nothing to `{crm}`.", next_step=f"It was of {', '.join(info.crms)}."
        )
    arguments: dict[str, JsonValue] = {"run": number, "plan_only": plan_only, "yes": yes, "why": why}
    by = actor(given)

    async def go() -> dict[str, Any]:
        async with wired(settings, [crm] if crm is not None else list(info.crms)) as parts:

            async def here() -> dict[str, Any]:
                ask = sys.stdin.isatty() and not json
                return await undo_here(parts, arguments, by, ask=ask)

            return await carried_out(parts, "undo", arguments, asked_by=by, here=here)

    document = run(go())
    if json:
        print_json(document)
    else:
        _report(document)
    return exit_code(RunResult.of(document))


def _report(document: Mapping[str, Any]) -> None:
    """What goes back in each CRM, what does not and why, and what came of it."""
    told = document.get("undo", {"run": "?", "crms": {}})
    out.print(f"Run {document['run']}, the undo of run {told['run']}: {document['status']}", markup=False)
    for crm, counts in document["crms"].items():
        out.print(f"{crm}:")
        for line in told["crms"].get(crm, {}).get("lines", ()):
            out.print(f"  {line}", markup=False)
        if counts["planned"]:
            said = ", ".join(
                f"{counts[name]:,} {name.replace('_', ' ')}" for name in OUTCOMES if counts[name]
            )
            out.print(f"  Records: {said}")
        elif not counts["error"]:
            out.print("  There is nothing to take back.")
        if counts["error"]:
            out.print(f"  {counts['error']}", markup=False)
        if counts["waiting"] and crm in document["plans"]:
            plan = document["plans"][crm]
            out.print(
                f"  Plan {plan} waits. `connector plan show {plan}`, then `connector plan apply {plan}` or "
                f"`connector plan discard {plan}`."
            )
