"""A run is taken back with what is wired. Reports nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from connector import undo as undoing
from connector.app.observed import observed, work
from connector.app.progress import watching
from connector.app.syncing import ask_about
from connector.app.wiring import Wired
from connector.core.model import JsonValue
from connector.phases.gate import PlanSummary
from connector.pipeline import Watching


async def undo_here(
    parts: Wired,
    arguments: Mapping[str, JsonValue],
    asked_by: str,
    watched: Watching | None = None,
    *,
    ask: bool = False,
) -> dict[str, Any]:
    """The undo of `arguments["run"]` in the CRMs that are wired. `ask`: a question at the terminal once the plan is
    shown; without it, and without `yes`, the plan waits."""

    async def approve(plan: PlanSummary) -> bool:
        if arguments["yes"] or not ask:
            return bool(arguments["yes"])
        info = await parts.ledger.plan(plan.plan)
        for line in info.summary["undo"]["lines"] if info else ():
            sys.stderr.write(f"{line}\n")
        return ask_about(plan)

    with work("undo") as note, watching(quiet=watched is not None) as told:
        result = await undoing.undo(
            int(arguments["run"]),
            parts.adapters,
            parts.definition,
            parts.ledger,
            parts.clock,
            holder=parts.holder,
            approve=approve,
            asked_by=asked_by,
            why=str(arguments.get("why") or ""),
            plan_only=bool(arguments["plan_only"]),
            watching=observed(watched or told, note),
        )
    return result.document()
