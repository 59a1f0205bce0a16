"""The first plan for a CRM: it waits for a human, and opens with how far the CRM and the definition agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from connector.core.criteria import Criteria
from connector.core.model import JsonValue
from connector.core.reconcile import Reconciliation, told
from connector.ports import Ledger

FIRST = "it is the first plan for this CRM"
RECONCILIATION = "reconciliation"  # its name in a plan's summary
PAGE = 2_000  # records at a time


async def first_of(
    ledger: Ledger, crm: str, plan: int, criteria: Criteria, at: datetime
) -> Mapping[str, JsonValue] | None:
    """What the first plan of a CRM opens with, kept in its summary; None for a later plan.

    Nobody has seen yet what we make of a CRM to which nothing was ever sent, so its first plan waits whatever its size,
    until a write has left.
    """
    if await ledger.ever_applied(crm):
        return None
    found = await reconciled(ledger, crm, criteria)
    await ledger.tell_of_plan(plan, RECONCILIATION, found, at)
    return found


async def reconciled(ledger: Ledger, crm: str, criteria: Criteria) -> dict[str, JsonValue]:
    """Every live record in scope of this CRM, held against the definition. Asks the ledger only."""
    found, after = Reconciliation(criteria), ""
    while page := await ledger.standings(crm, PAGE, after=after):
        for each in page:
            if each.record.in_scope:
                found.add(each)
        after = str(page[-1].record.ref)
    return told(found, crm)
