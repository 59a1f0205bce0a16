"""Who gets a place where more people qualify by points than are to become MQL. Pure: counts nothing itself.

A place is given for seven days; whoever raised a hand takes one without having to wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from connector.core.criteria import Criteria, MqlStage, compare

WEEK = timedelta(days=7)
EVERYBODY = "all"  # the contest of whoever has no stages of their own


@dataclass(frozen=True, slots=True)
class Bar:
    """The relative bar of a contest as a run found it, at a moment (UTC). `audience` is the name of the contest.

    `score`: of the last who got in; where nobody did, the least that the top per cent asks for. `places`: free before,
    None: as many as reach the bar.
    `taken` now, of whom `loosened` stand below the fixed bar; `waiting` still.
    """

    audience: str
    at: datetime
    score: float | None
    places: int | None
    taken: int
    waiting: int
    loosened: int = 0


@dataclass(frozen=True, slots=True)
class Contest:
    """Who competes for the same places: people of these audiences; the empty one is of those in none."""

    name: str
    stage: MqlStage
    audiences: frozenset[str]


@lru_cache(maxsize=16)
def contests(criteria: Criteria) -> tuple[Contest, ...]:
    """Everybody without stages of their own competes in one, each audience that has its own in another."""
    own = {
        each.id: each.criteria.stages
        for each in criteria.audiences
        if each.criteria.stages != criteria.stages
    }
    shared = {"", *(each.id for each in criteria.audiences if each.id not in own)}
    found = [Contest(EVERYBODY, criteria.stages.mql, frozenset(shared))]
    found += [Contest(name, stages.mql, frozenset({name})) for name, stages in own.items()]
    return tuple(each for each in found if each.stage.contested)


def contest_of(criteria: Criteria, audience: str) -> str:
    """The name of the contest that somebody of this audience is in; empty: in none."""
    return next((each.name for each in contests(criteria) if audience in each.audiences), "")


def free(stage: MqlStage, entered: int) -> int | None:
    """How many places are left, with so many who entered in the last seven days; None: places are not counted."""
    per_week = stage.best.per_week if stage.best is not None else None
    limits = [limit for limit in (per_week, stage.capacity) if limit is not None]
    return max(0, min(limits) - entered) if limits else None


def rank(stage: MqlStage, people: int) -> int | None:
    """The place in the order of scores, from 1, that the top per cent of so many people ends with; None: no per cent is
    asked for. At least one person is in it."""
    if stage.best is None or stage.best.top is None:
        return None
    return max(1, math.floor(people * stage.best.top / 100 + 1e-9))


def taken(
    waiting: Iterable[tuple[int, float]], places: int | None, least: float | None
) -> list[tuple[int, float]]:
    """Who gets in, of (person, score), the best first; at the same score whoever is known longer (the smaller id)."""
    order = sorted(waiting, key=lambda each: (-each[1], each[0]))
    enough = [each for each in order if least is None or compare("gte", each[1], least)]
    return enough if places is None else enough[:places]


def told(bar: Bar) -> str:
    """The bar of one contest in a line: who got in, who waits, and whether the bar was loosened for it."""
    whom = "" if bar.audience == EVERYBODY else f"{bar.audience}: "
    score = "" if bar.score is None else f", from score {bar.score:.1f} on"
    of = "" if bar.places is None else f" of {bar.places}"
    said = f"{whom}{bar.taken}{of} places among the best taken{score}; {bar.waiting} qualify and wait"
    return f"{said}; LOOSENED: {bar.loosened} of them stand below the fixed bar" if bar.loosened else said
