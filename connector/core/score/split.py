"""Splits a prepared table of people by audience, for every engine through Narwhals. Computes no points.

First the persona, then the audience, as `connector.core.audience` does for one person.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from connector.core.audience import PERSONA
from connector.core.criteria import Criteria
from connector.core.score.plan import Frame, Planned, condition_expr, plan_scores
from connector.core.score.prepare import READ, Columns, readings_of_events, readings_of_people, types_of

_AUDIENCE = (
    "audience_place"  # of the person's audience among the criteria's; as many as there are: none of them
)
_READING_TYPES: dict[str, nw.dtypes.DType] = {
    "text": nw.String(),
    "number": nw.Float64(),
    "instant": nw.Int64(),
    "set": nw.Boolean(),
}


@dataclass(frozen=True, slots=True)
class Needs:
    """What of both tables has to be prepared for the criteria and all their audiences."""

    people: Columns
    events: Columns
    types: list[str]


@dataclass(frozen=True, slots=True)
class Part:
    """The scores of the people of one audience; None: of those in none."""

    audience: str | None
    criteria: Criteria
    planned: Planned


def needs_of(criteria: Criteria) -> Needs:
    """What the conditions and the rules of every audience read."""
    deciding = [each.when for each in criteria.personas] + [each.when for each in criteria.audiences]
    variants = criteria.variants()
    return Needs(
        readings_of_people(*variants, deciding=deciding), readings_of_events(*variants), types_of(*variants)
    )


def plan_parts(
    criteria: Criteria, people: Frame, events: Frame, needs: Needs, as_of_us: int
) -> Iterator[Part]:
    """Everyone in `people` is in exactly one part. Without audiences there is one."""
    if criteria.personas:
        people = _with_personas(criteria, people, needs.people)
    if not criteria.audiences:
        yield Part(
            None, criteria, plan_scores(criteria, people, events, needs.people, needs.events, as_of_us)
        )
        return
    place = nw.lit(len(criteria.audiences), nw.Int64)
    for i, audience in reversed(list(enumerate(criteria.audiences))):
        here = condition_expr(audience.when, needs.people)
        place = nw.when(here).then(nw.lit(i, nw.Int64)).otherwise(place)
    placed = people.with_columns(place.alias(_AUDIENCE))
    for i, (id, each) in enumerate(
        [*((one.id, one.criteria) for one in criteria.audiences), (None, criteria)]
    ):
        mine = placed.filter(nw.col(_AUDIENCE) == i).drop(_AUDIENCE)
        theirs = events.join(mine.select("pid"), on="pid", how="semi")
        yield Part(id, each, plan_scores(each, mine, theirs, needs.people, needs.events, as_of_us))


def _with_personas(criteria: Criteria, people: Frame, columns: Columns) -> Frame:
    """Each reading of `persona` becomes that of the first persona that holds, where no CRM assigned one."""
    assigned = nw.col(columns[PERSONA, "set"])
    holds = [condition_expr(each.when, columns) for each in criteria.personas]
    told: dict[str, nw.Expr] = {}
    for (field, reading), name in columns.items():
        if field != PERSONA:
            continue
        kind = _READING_TYPES[reading]
        by_rule = nw.lit(False if reading == "set" else None, kind)
        for persona, here in reversed(list(zip(criteria.personas, holds, strict=True))):
            by_rule = nw.when(here).then(_literal(READ[reading](persona.id), kind)).otherwise(by_rule)
        told[name] = nw.when(assigned).then(nw.col(name)).otherwise(by_rule)
    return people.with_columns(**told)


def _literal(value: Any, kind: nw.dtypes.DType) -> nw.Expr:
    return nw.lit(value, kind)
