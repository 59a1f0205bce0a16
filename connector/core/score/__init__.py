"""Scores people by the criteria: in plain Python for few, as one lazy plan over tables for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from connector.core.criteria import Criteria
from connector.core.model import Engagement, Score, Value
from connector.core.score.oracle import score_person

__all__ = ["PLAN_FROM", "score_frames", "score_parquet", "score_people", "score_person"]

PLAN_FROM = 2_000  # people from which on the plan is faster, building its tables included; measured


def score_people(
    criteria: Criteria,
    people: Sequence[tuple[Mapping[str, Value], Sequence[Engagement]]],
    as_of: datetime,
) -> list[Score]:
    """The scores of these people (fields, engagement) at `as_of`, in their order."""
    if len(people) < PLAN_FROM:
        return [score_person(criteria, fields, engagement, as_of) for fields, engagement in people]
    from connector.core.score.tables import score_many

    return score_many(criteria, people, as_of)


def score_frames(criteria: Criteria, people: Any, engagement: Any, as_of: datetime) -> Any:
    """Whole tables, Polars or PySpark; see `connector.core.score.tables.score_frames`."""
    # Polars takes its time to import, and most commands never need it.
    from connector.core.score import tables

    return tables.score_frames(criteria, people, engagement, as_of)


def score_parquet(
    criteria: Criteria,
    people: Path | str,
    engagement: Path | str,
    as_of: datetime,
    out: Path | str,
    engine: str = "polars",
) -> int:
    """Parquet in, Parquet out; see `connector.core.score.tables.score_parquet`. Returns the number of people."""
    from connector.core.score import tables

    return tables.score_parquet(criteria, people, engagement, as_of, out, engine)
