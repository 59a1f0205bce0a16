"""The gate before the push: may a plan leave by itself, or does it wait for a human? Sends nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.mapping import SECOND_PERSON, CrmMapping
from connector.core.model import JsonValue
from connector.phases.counting import CrmTally
from connector.phases.lease import acquired
from connector.ports import Clock, Ledger


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What somebody is asked to approve: one CRM's plan in numbers, and why it waits for a human."""

    plan: int
    crm: str
    planned: int
    overwriting: int
    limit: str | None  # None: it may leave by itself
    promoted: int = 0
    demoted: int = 0
    by_override: int = 0
    opens_with: tuple[str, ...] = ()  # lines to read before the question


Approve = Callable[[PlanSummary], Awaitable[bool]]
"""Asked once per plan before anything is sent; False leaves it waiting for `plan apply`."""


def summary_of(
    plan: int,
    crm: str,
    tally: CrmTally,
    limit: str | None,
    *,
    opens_with: Mapping[str, JsonValue] | None = None,
    imports: Sequence[str] = (),
) -> PlanSummary:
    """The plan in numbers; `opens_with` as a plan's summary keeps it, `imports` as lines."""
    told = opens_with or {}
    lines = told.get("lines")
    return PlanSummary(
        plan,
        crm,
        tally.planned,
        tally.overwriting,
        limit,
        promoted=tally.promoted,
        demoted=tally.demoted,
        by_override=tally.by_override,
        opens_with=(*(str(line) for line in (lines if isinstance(lines, list) else ())), *imports),
    )


async def why_waits(plan: PlanSummary, mapping: CrmMapping, approve: Approve, *, rehearsal: str = "") -> str:
    """Why a plan stays behind, in words; empty where it may leave. `rehearsal` names the option that sends nothing.

    Where a second person must approve, nobody at this run is asked: whoever runs it is not that person.
    """
    if plan.limit and mapping.approval == SECOND_PERSON:
        return f"{plan.limit}; a second person has to approve it"
    if rehearsal:
        return plan.limit or rehearsal
    return "" if await approve(plan) else plan.limit or "not approved"


async def keep_limits(ledger: Ledger, plan: int, crossed: Mapping[str, str], at: datetime) -> str | None:
    """Keep with the plan which limits it crosses; in one line for whoever is asked."""
    if not crossed:
        return None
    lines: list[JsonValue] = list(crossed.values())
    await ledger.tell_of_plan(plan, "limits", {"title": "Beyond the limits", "lines": lines}, at)
    return "; ".join(crossed.values())


async def leave_waiting(
    ledger: Ledger, clock: Clock, crm: str, plan: int, why: str, *, held: bool, holder: str
) -> int:
    """The plan's rows wait, and say for what. `held`: for a human, so that no later run replaces it unasked while
    nothing new is to be decided. Returns how many rows wait."""
    lease = await acquired(ledger, f"push:{crm}", holder, clock)
    try:
        if held:
            await ledger.hold_plan(plan, why, lease, clock.now())
        reason = f"waits for `connector plan apply {plan}`: {why}"
        return await ledger.wait(plan, reason, lease, clock.now())
    finally:
        await ledger.release(lease)
