"""Whether time alone can change what the criteria make of somebody. Pure.

The nightly sweep looks at these people again and leaves the others alone, so that its cost follows who is active, not
who is known: most people of a CRM have done nothing for years, and what they did has long ceased to count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.core.criteria import Criteria
from connector.core.model import Engagement, Score


def ages(criteria: Criteria, score: Score, engagement: Sequence[Engagement], at: datetime) -> bool:
    """Whether this score, made at `at` of this engagement, can be another one later without any new fact.

    It can while an engagement rule gives points that fade or end, while a hand is raised that will come down, while an
    event lies ahead, and where a total may rise because a negative part of it grows too old.
    """
    done = [event for event in engagement if event.counted and not event.deleted]
    if any(event.occurred_at > at for event in done):
        return True
    if any(rule.id == score.hand_raised and rule.within is not None for rule in criteria.hand_raise):
        return True
    giving = {each.rule for each in score.contributions}
    if any(rule.id in giving and (rule.within or rule.decay) for rule in criteria.engagement):
        return True
    types = {event.type for event in done}
    summing = (*criteria.engagement, *criteria.hand_raise)
    return any(rule.sum and rule.within and types.intersection(rule.events) for rule in summing)
