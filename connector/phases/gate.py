"""The gate before the push: may a plan leave by itself, or does it wait for a human? Sends nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from connector.core.mapping import CrmMapping
from connector.phases.decide import CrmTally


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


Approve = Callable[[PlanSummary], Awaitable[bool]]
"""Asked once per plan before anything is sent; False leaves it waiting for `plan apply`."""


def crossed(mapping: CrmMapping, tally: CrmTally) -> str | None:
    """Which limit a plan crosses, in words. First fills cross none: only values already there are at stake."""
    limits = mapping.limits
    if tally.overwriting < limits.at_least or tally.overwriting <= limits.overwrites * tally.holding:
        return None
    share = tally.overwriting / tally.holding
    return f"{share:.0%} of the records that hold a value would change, more than {limits.overwrites:.0%}"


def summary_of(plan: int, crm: str, tally: CrmTally, limit: str | None) -> PlanSummary:
    """The plan in numbers."""
    return PlanSummary(
        plan, crm, tally.planned, tally.overwriting, limit, promoted=tally.promoted, demoted=tally.demoted
    )
