"""The brake: nothing more is pushed to a CRM, reading and deciding go on. Prints nothing; needs the ledger alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connector.ledger import SqlLedger
from connector.ports import Brake


async def set_brakes(
    ledger: SqlLedger, crms: Sequence[str], on: bool, *, by: str, why: str, at: datetime
) -> dict[str, dict[str, Any]]:
    """Stop these CRMs, or let them go on; by CRM how it stands now, whether that is new, and the writes of the vendor's
    own jobs that no brake stops (`jobs`, by job)."""
    before = await ledger.brakes()
    for crm in crms:
        await ledger.set_brake(crm, on, by, why, at)
    brakes = await ledger.brakes()
    return {
        crm: {
            **document(brakes.get(crm)),
            "changed": (crm in before) != on,
            "jobs": dict(Counter(row.job for row in await ledger.sending(crm) if row.job)) if on else {},
        }
        for crm in crms
    }


def document(brake: Brake | None) -> dict[str, Any]:
    """A brake as it is printed, and told by the sidecar."""
    at: datetime | None = brake.at if brake else None
    return {
        "stopped": brake is not None,
        "by": brake.by if brake else None,
        "why": brake.why if brake else None,
        "at": at,
    }
