"""One incremental run with what is wired, and the question about its plans. Reports nothing."""

from __future__ import annotations

import sys

from connector import pipeline
from connector.app.observed import observed, work
from connector.app.progress import out_of_the_way, watching
from connector.app.reminding import remind_of_review
from connector.app.wiring import Wired
from connector.phases.gate import PlanSummary
from connector.pipeline import RunResult, Watching


async def run_once(
    parts: Wired,
    *,
    asked_by: str,
    plan_only: bool = False,
    yes: bool = False,
    quiet: bool = False,
    watched: Watching | None = None,
) -> RunResult:
    """One run with what is wired. A plan beyond the limits asks at a terminal, else it waits. `watched`: told how it
    gets on in place of the terminal, which is not asked then; `quiet`: nobody is."""

    async def approve(plan: PlanSummary) -> bool:
        if plan.limit is None or yes:
            return True
        return ask_about(plan) if sys.stdin.isatty() and not quiet and watched is None else False

    with work("sync") as note, watching(quiet=quiet or watched is not None) as told:
        result = await pipeline.sync(
            parts.adapters,
            parts.definition,
            parts.ledger,
            parts.clock,
            holder=parts.holder,
            approve=approve,
            asked_by=asked_by,
            plan_only=plan_only,
            anew=yes,
            watching=observed(watched or told, note),
        )
    return result


async def run_and_remind(
    parts: Wired, *, asked_by: str, plan_only: bool = False, yes: bool = False, quiet: bool = False
) -> RunResult:
    """One run, and the reminder of the review: where no sidecar is alive that has a job for it."""
    result = await run_once(parts, asked_by=asked_by, plan_only=plan_only, yes=yes, quiet=quiet)
    criteria, now = parts.definition.criteria, parts.clock.now()
    await remind_of_review(parts.ledger, criteria, now, run=result.run)
    return result


def ask_about(plan: PlanSummary) -> bool:
    """A question at the terminal: may this plan be applied although it is beyond the limits?"""
    wished = f"; overrides move {plan.by_override} more" if plan.by_override else ""
    with out_of_the_way():
        sys.stderr.writelines(f"{line}\n" for line in plan.opens_with)
        sys.stderr.write(
            f"The plan for {plan.crm} changes {plan.planned} records, {plan.overwriting} of them over a value "
            f"already there; it promotes {plan.promoted} people and demotes {plan.demoted}{wished}. "
            f"It waits because: {plan.limit}. Apply it? [y/N] "
        )
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
