"""What the sidecar knows of itself: how each CRM answered last, what is stopped and what waits. Logs a change once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from connector.pipeline import RunResult
from connector.ports import Brake

log = structlog.get_logger("connector.serve")


@dataclass(slots=True)
class Health:
    """What the last sync said, per CRM: None = reached, else why not."""

    at: datetime | None = None
    crms: dict[str, str | None] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)

    def plans_of(self, result: RunResult) -> None:
        """Log once that a CRM's plans begin to wait for a human, with what to do, and once that none does any more.

        A plan gets a new number whenever a run plans anew; that alone is told nobody again."""
        waits = {
            **result.waits,
            **{crm: plan for crm, plan in result.plans.items() if result.crms[crm].waiting},
        }
        for crm in result.crms:
            if crm in waits and crm not in self.waiting:
                self.waiting.add(crm)
                because = result.more.get("waits_because", {}).get(crm, "see `connector plan show`")
                log.warning(
                    "plan waits",
                    crm=crm,
                    plan=waits[crm],
                    because=because,
                    next_step=f"`connector plan show {waits[crm]}`, then `connector plan apply {waits[crm]}`.",
                )
            elif crm not in waits and crm in self.waiting:
                self.waiting.discard(crm)
                log.info("no plan waits", crm=crm)

    def hear_of(self, brakes: Mapping[str, Brake], crms: Iterable[str]) -> None:
        """Log a brake once when it is on and once when it is off again."""
        for crm in crms:
            brake = brakes.get(crm)
            if brake is not None and crm not in self.stopped:
                self.stopped.add(crm)
                log.warning(
                    "pushing is stopped", crm=crm, by=brake.by, why=brake.why, at=brake.at.isoformat()
                )
            elif brake is None and crm in self.stopped:
                self.stopped.discard(crm)
                log.info("pushing goes on", crm=crm)
