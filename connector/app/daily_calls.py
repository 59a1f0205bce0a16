"""Counts the requests of this process to each CRM by what they were for, and adds them to the numbers of the day in the
ledger: those of all replicas and commands come together there."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime

from connector.errors import ConnectorError
from connector.ledger import SqlLedger
from connector.ledger.store_daily import CALLS


class DailyCalls:
    """What was not added yet."""

    def __init__(self) -> None:
        self.waiting: Counter[str] = Counter()

    def count(self, crm: str, feature: str) -> None:
        """One request has left."""
        self.waiting[f"{crm} {feature}"] += 1

    async def keep(self, ledger: SqlLedger, at: datetime) -> None:
        """Add them to the UTC day of this moment. While the ledger is away they wait."""
        now, self.waiting = self.waiting, Counter()
        if now:
            kept = False
            try:
                with suppress(ConnectorError):
                    await ledger.add_daily(CALLS, at.date(), now)
                    kept = True
            finally:
                if not kept:
                    self.waiting.update(now)
