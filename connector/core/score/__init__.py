"""Scores people by the criteria: in plain Python for few, as one lazy plan over tables for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from connector.core.criteria import Criteria
from connector.core.model import Engagement, Score, Value
from connector.core.score.oracle import score_person

__all__ = ["score_people", "score_person"]


def score_people(
    criteria: Criteria,
    people: Sequence[tuple[Mapping[str, Value], Sequence[Engagement]]],
    as_of: datetime,
) -> list[Score]:
    """The scores of these people (fields, engagement) at `as_of`, in their order."""
    return [score_person(criteria, fields, engagement, as_of) for fields, engagement in people]
