"""Has the stage decided for somebody as known, once more or with something added, by `connector.core.stage`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.criteria import Criteria
from connector.core.known import Known, measure
from connector.core.model import Answer, StageDecision, StageState
from connector.core.override import Override
from connector.core.stage import decide_stage
from connector.core.stage_case import DEFAULT_LADDER
from connector.core.stage_heard import StageEvidence


@dataclass(frozen=True, slots=True)
class Case:
    """One person at a moment. `then(t)`: as known at `t`; `newer(t)`: at `at`, by engagement newer than `t` alone."""

    before: StageState | None
    at: datetime
    now: Known
    then: Callable[[datetime], Known]
    newer: Callable[[datetime], Known]
    evidence: tuple[StageEvidence, ...] = ()
    answers: tuple[Answer, ...] = ()
    adopt: bool = False
    ladder: Sequence[str] = field(default=DEFAULT_LADDER)
    override: Override | None = None
    has_place: bool = True  # among the best, where places are contested
    base: Criteria | None = None  # of the file, where `now` may hold those of an audience


def decide_case(case: Case) -> StageDecision:
    """Where this person stands."""
    return decide_stage(
        case.before,
        at=case.at,
        now=measure(case.now, case.at),
        then=lambda moment: measure(case.then(moment), moment),
        newer=lambda since: measure(case.newer(since), case.at),
        criteria=case.now.criteria,
        evidence=case.evidence,
        answers=case.answers,
        adopt=case.adopt,
        has_place=case.has_place,
        ladder=case.ladder,
        override=case.override,
    )


def counted(case: Case, state: StageState) -> Known:
    """What may qualify somebody who stands so: all that is known, or after a rejection the newer engagement."""
    return case.now if state.rejected_at is None else case.newer(state.rejected_at)
