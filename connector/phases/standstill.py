"""Why nothing may leave for a CRM now: somebody has stopped it, or a freeze holds. Reading and deciding go on.

Both are for a while only, so a plan that stops for one of them is not held for a human: once they end, the next run
decides anew.
"""

from __future__ import annotations

from datetime import datetime

from connector.core.limits import frozen
from connector.core.mapping import CrmMapping
from connector.ports import Brake, Ledger


async def standstill(
    ledger: Ledger, mapping: CrmMapping, now: datetime, *, during_freeze: bool = False
) -> str:
    """The reason in words; empty where plans may leave. `during_freeze`: a human has said so for this one plan."""
    brake = (await ledger.brakes()).get(mapping.crm)
    if brake is not None:
        return told(brake)
    freeze = frozen(mapping.freeze, now.astimezone(mapping.zone).date())
    if freeze is not None and not during_freeze:
        return f"frozen from {freeze}; `plan apply --during-freeze` sends it nevertheless"
    return ""


def told(brake: Brake) -> str:
    """A brake in words: who stopped what, when, and how it goes on."""
    why = f": {brake.why}" if brake.why else ""
    return (
        f"pushing to {brake.crm} was stopped by {brake.by} at {brake.at:%Y-%m-%d %H:%M} UTC{why}; "
        f"`connector start {brake.crm}` lets it go on"
    )
