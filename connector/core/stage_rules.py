"""Whether a rule of `stages` holds for a person at a moment. Pure; decides nothing (`connector.core.stage` does)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.conditions import holds
from connector.core.criteria import (
    Criteria,
    StageAll,
    StageAny,
    StageEntry,
    StageRule,
    compare,
)
from connector.core.guards import guard_of
from connector.core.model import Engagement, Score, Value
from connector.core.score.oracle import events_that_count


@dataclass(frozen=True, slots=True)
class Measured:
    """A person at a moment as the rules of the stages see them: the score, and what it was made of."""

    score: Score
    fields: Mapping[str, Value] = field(default_factory=dict)
    engagement: Sequence[Engagement] = ()


def entry_holds(entry: StageEntry, person: Measured) -> bool:
    """Whether everything but the dwell of an entry holds for this person."""
    score = person.score
    measures = {
        "score": score.score,
        "fit": score.fit,
        "engagement": score.engagement,
        "band": float(score.band),
    }
    return (
        all(compare(test.op, measures[test.measure], test.value) for test in entry.tests)
        and (entry.hand_raised is None or entry.hand_raised == (score.hand_raised is not None))
        and (entry.disqualified is None or entry.disqualified == (score.disqualified is not None))
        and (entry.when is None or holds(entry.when, person.fields.get))
    )


def stage_holds(
    rule: StageRule, person: Measured, *, dwelt: Callable[[StageEntry], bool] | None = None
) -> bool:
    """Whether a stage rule holds for this person.

    `dwelt` is asked about entries with a dwell whose tests hold now; without it a dwell is as good as served.
    """
    match rule:
        case StageAll():
            return all(stage_holds(part, person, dwelt=dwelt) for part in rule.parts)
        case StageAny():
            return any(stage_holds(part, person, dwelt=dwelt) for part in rule.parts)
    if not entry_holds(rule, person):
        return False
    return rule.dwell is None or dwelt is None or dwelt(rule)


def dwelling(rule: StageRule) -> list[StageEntry]:
    """The entries of a rule that have a dwell."""
    match rule:
        case StageAll() | StageAny():
            return [entry for part in rule.parts for entry in dwelling(part)]
        case StageEntry():
            return [rule] if rule.dwell else []


def keeps_from_entering(person: Measured, criteria: Criteria, at: datetime) -> str:
    """What keeps somebody who qualifies from becoming MQL now, in words for a marketer; empty: nothing does.

    Asked only where an enter rule holds, and never of who is MQL already. Who raised a hand passes. The first that
    speaks is told; another kind of guard is one more line here.
    """
    if person.score.hand_raised is not None:
        return ""
    guard = guard_of(criteria, person.fields, at)
    return guard.reason if guard else _too_little_evidence(person, criteria, at)


def _too_little_evidence(person: Measured, criteria: Criteria, at: datetime) -> str:
    """Points may come from fit alone, or from one busy hour: sales is given whoever has shown it."""
    least = criteria.stages.mql.evidence
    if least is None:
        return ""
    found = events_that_count(criteria, person.engagement, at)
    days = {event.occurred_at.date() for event in found}  # UTC, as everything we hold
    have = (len(found), len({event.type for event in found}), len(days))
    wants = (least.events, least.types, least.days)
    words = ("engagements", "kinds of engagement", "days of engagement")
    missing = [
        f"{has} of {want} {what}" for has, want, what in zip(have, wants, words, strict=True) if has < want
    ]
    return f"too little evidence so far ({', '.join(missing)})" if missing else ""
