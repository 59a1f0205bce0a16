"""Two definitions over the same people: who qualifies by which, and who by one alone. Pure; asks no ledger.

Everybody is judged as somebody new: what the definitions say, not what became of a person's past.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.criteria import whole
from connector.core.definition import Definition
from connector.core.examples import as_new
from connector.core.facts import Facts
from connector.core.known import known_now
from connector.core.model import RecordState, Ref, Score
from connector.core.privacy import is_unscored

EXAMPLES = 5  # named on each side
QUALIFIED = ("mql", "sql")  # what a definition alone may say of somebody new


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a definition makes of one person who is new to it."""

    stage: str
    score: Score
    because: str
    scored: bool = True  # else `score` says nothing

    @property
    def qualifies(self) -> bool:
        """Whether sales would see this person."""
        return self.stage in QUALIFIED


@dataclass(frozen=True, slots=True)
class Shift:
    """Somebody who qualifies by one of the two alone."""

    refs: tuple[Ref, ...]
    before: Verdict
    after: Verdict


@dataclass(slots=True)
class Compared:
    """The two definitions, called before and after, over everybody. Numbers are people."""

    people: int = 0
    before: int = 0  # who qualify
    after: int = 0
    both: int = 0
    unscored_before: int = 0  # whom `privacy` forbids to score; they are in no band
    unscored_after: int = 0
    bands_before: Counter[int] = field(default_factory=Counter)
    bands_after: Counter[int] = field(default_factory=Counter)
    scores: list[int] = field(
        default_factory=lambda: [0, 0, 0]
    )  # lower, the same, higher: as written to a CRM
    lost: list[Shift] = field(default_factory=list)  # the first of those who qualify by the first alone
    gained: list[Shift] = field(default_factory=list)

    def add(self, refs: Sequence[Ref], before: Verdict, after: Verdict) -> None:
        """Count one person."""
        self.people += 1
        self.before += before.qualifies
        self.after += after.qualifies
        self.both += before.qualifies and after.qualifies
        self.bands_before[before.score.band] += before.scored
        self.bands_after[after.score.band] += after.scored
        self.unscored_before += not before.scored
        self.unscored_after += not after.scored
        if before.scored and after.scored:
            one, other = whole(before.score.score), whole(after.score.score)
            self.scores[1 + (other > one) - (other < one)] += 1
        if before.qualifies != after.qualifies:
            named = self.lost if before.qualifies else self.gained
            if len(named) < EXAMPLES:
                named.append(Shift(tuple(refs), before, after))


def verdicts(definition: Definition, people: Sequence[Facts], at: datetime) -> list[Verdict]:
    """What the definition makes of these people at a moment (aware UTC), each as somebody new, in order."""
    found = []
    for facts in people:
        live = [record for record in facts.records if record.state is RecordState.LIVE]
        known = known_now(facts, definition, live)
        score, decision = as_new(known.criteria, known.fields, known.engagement, at)
        scored = not is_unscored(known.criteria)
        found.append(Verdict(decision.state.stage, score, decision.because, scored))
    return found
