"""One person at one moment, as the decision about the stage sees them: what was decided before, the facts, the ladder.
Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from connector.core.criteria import Criteria
from connector.core.model import StageState
from connector.core.override import Override
from connector.core.score.oracle import events_that_count
from connector.core.stage_rules import Measured

DEFAULT_LADDER = ("subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist")


@dataclass(frozen=True, slots=True)
class Case:
    """One person at one moment, and what there is to know. The parts are told at `decide_stage`."""

    before: StageState | None
    at: datetime
    now: Measured
    then: Callable[[datetime], Measured]
    newer: Callable[[datetime], Measured] | None
    criteria: Criteria
    ladder: tuple[str, ...]
    may_leave: bool
    has_place: bool
    override: Override | None = None
    take_back_at: datetime | None = None  # when an MQL whom sales has not touched is taken back

    def rank(self, stage: str) -> int:
        return self.ladder.index(stage) if stage in self.ladder else -1

    def past_mql(self, stage: str) -> bool:
        return self.rank(stage) > self.rank("mql")

    def below_mql(self, stage: str) -> bool:
        return 0 <= self.rank(stage) < self.rank("mql")

    def counted(self, state: StageState) -> Measured | None:
        """What may qualify: all of it, or after a rejection what is newer. None where nothing newer counts, whoever the
        person is, or nobody can tell."""
        if state.rejected_at is None:
            return self.now
        newer = self.newer(state.rejected_at) if self.newer else None
        return newer if newer and events_that_count(self.criteria, newer.engagement, self.at) else None

    def not_later(self, moment: datetime | None) -> datetime:
        return self.at if moment is None else min(moment, self.at)
