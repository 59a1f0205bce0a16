"""What the sidecar knows of itself: how each CRM answered last, what is stopped and what waits, and whether it still
moves at all. Logs a change once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from connector.app.log_errors import frames_of
from connector.errors import ConnectorError, StopRun
from connector.pipeline import RunResult
from connector.ports import Brake

log = structlog.get_logger("connector.serve")

SCHEDULER, LOOKING = "scheduler", "look"
SILENCE: Mapping[str, float] = {SCHEDULER: 60.0, LOOKING: 180.0}
"""Seconds without a beat after which a part counts as stopped: the scheduler beats every 5, the look every second but
for a ledger that does not answer, which is given up on after a minute."""


@dataclass(slots=True)
class Health:
    """What the last sync said, per CRM: None = reached, else why not."""

    at: datetime | None = None
    crms: dict[str, str | None] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    trouble: dict[str, str] = field(default_factory=dict)  # of our own, by what cannot be done
    seconds: Callable[[], float] = time.monotonic
    beats: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in SILENCE:
            self.beat(part)

    def beat(self, part: str) -> None:
        """It still moves."""
        self.beats[part] = self.seconds()

    def silent(self) -> list[str]:
        """The parts that have stopped: only a restart helps."""
        now = self.seconds()
        return [part for part, longest in SILENCE.items() if now - self.beats[part] > longest]

    def heard(self, result: RunResult, at: datetime) -> None:
        """A run has ended. Logs a CRM once when it goes away and once when it is back."""
        self.at = at
        for crm, counts in result.crms.items():
            self.crms[crm] = None if counts.fetched else counts.error
            if counts.error and crm not in self.failing:
                self.failing.add(crm)
                log.warning(
                    "crm has errors" if counts.fetched else "crm is away", crm=crm, error=counts.error
                )
            elif not counts.error and crm in self.failing:
                self.failing.discard(crm)
                log.info("crm is back", crm=crm)
        self.plans_of(result)

    def cannot(self, what: str, error: ConnectorError | None) -> None:
        """Something of ours cannot be done, or (None) can again. Logged once each."""
        told = str(error) if error is not None else ""
        if told and self.trouble.get(what) != told:
            log.error(f"{what} failed", error=told, next_step=error.next_step if error else "")
        elif not told and what in self.trouble:
            log.info(f"{what} works again")
        if told:
            self.trouble[what] = told
        else:
            self.trouble.pop(what, None)

    def unforeseen(self, what: str, error: Exception) -> str:
        """The same for an error that nobody foresaw, with where it came from. What it says may hold personal data, so
        only its class is told."""
        told = StopRun(f"An error that nobody foresaw ({type(error).__name__}).", next_step="Report it.")
        if self.trouble.get(what) != str(told):
            log.error("unforeseen", error=type(error).__name__, frames=frames_of(error))
        self.cannot(what, told)
        return str(told)

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
