"""Splits a prepared table of people by audience and `privacy`, for every engine through Narwhals. Computes no points.

First `privacy`, then the persona, then the audience, as `connector.core.known` does for one person; what a rule of
`privacy` leaves of the criteria is as `connector.core.privacy` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw

from connector.core.audience import PERSONA
from connector.core.criteria import Criteria
from connector.core.privacy import held_to
from connector.core.privacy_rules import DO_NOT_SCORE, SCORE, PrivacyRule
from connector.core.score.plan import Frame, Planned, condition_expr, plan_scores
from connector.core.score.prepare import READ, Columns, readings_of_events, readings_of_people, types_of

_AUDIENCE = (
    "audience_place"  # of the person's audience among the criteria's; as many as there are: none of them
)
_TREATED = "privacy_place"  # likewise of the treatment among those that the rules of `privacy` name
_NUMBERS = ("fit", "engagement", "score")
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
    """The scores of the people of one audience and treatment; None: of those in none. Who is not scored has a row of
    nulls."""

    audience: str | None
    privacy: str | None
    criteria: Criteria
    planned: Planned


def needs_of(criteria: Criteria) -> Needs:
    """What the conditions and the rules of every audience read."""
    deciding = [each.when for each in criteria.personas] + [each.when for each in criteria.audiences]
    deciding += [each.when for each in criteria.privacy]
    variants = criteria.variants()
    return Needs(
        readings_of_people(*variants, deciding=deciding), readings_of_events(*variants), types_of(*variants)
    )


def plan_parts(
    criteria: Criteria, people: Frame, events: Frame, needs: Needs, as_of_us: int
) -> Iterator[Part]:
    """Everyone in `people` is in exactly one part. Without audiences there is one."""
    rules = _one_of_each(criteria.privacy)
    if rules:
        ways = list(rules)
        treated = [condition_expr(each.when, needs.people) for each in criteria.privacy]
        place = _first(treated, [ways.index(each.do) for each in criteria.privacy], len(ways))
        people = people.with_columns(place.alias(_TREATED))
    if criteria.personas:
        people = _with_personas(criteria, people, needs.people)
    if not criteria.audiences and not rules:
        yield Part(
            None, None, criteria, plan_scores(criteria, people, events, needs.people, needs.events, as_of_us)
        )
        return
    holds = [condition_expr(each.when, needs.people) for each in criteria.audiences]
    placed = people.with_columns(_first(holds, range(len(holds)), len(holds)).alias(_AUDIENCE))
    whose = [*((one.id, one.criteria) for one in criteria.audiences), (None, criteria)]
    for i, (id, own) in enumerate(whose):
        for j, rule in enumerate([*rules.values(), None]):
            each = held_to(own, rule)
            here = nw.col(_AUDIENCE) == i
            if rules:
                here = here & (nw.col(_TREATED) == j)
            mine = placed.filter(here).drop(_AUDIENCE, *([_TREATED] if rules else []))
            theirs = events.join(mine.select("pid"), on="pid", how="semi")
            planned = plan_scores(each, mine, theirs, needs.people, needs.events, as_of_us)
            if rule is not None and rule.do == DO_NOT_SCORE:
                planned = replace(planned, scores=_unscored(planned.scores))
            yield Part(id, None if rule is None or rule.do == SCORE else rule.do, each, planned)


def told_of(criteria: Criteria, part: Part) -> list[tuple[str, str | None]]:
    """What a table of scores says of everybody in this part, by column: what the criteria split by, and no more."""
    found = [("audience", part.audience)] if criteria.audiences else []
    return [*found, ("privacy", part.privacy)] if criteria.privacy else found


def _one_of_each(rules: Sequence[PrivacyRule]) -> dict[str, PrivacyRule]:
    """A rule for each treatment; two of the same one leave the same of the criteria."""
    return {rule.do: rule for rule in reversed(rules)}


def _first(tests: Sequence[nw.Expr], places: Iterable[int], other: int) -> nw.Expr:
    """The place that belongs to the first test that holds."""
    found = nw.lit(other, nw.Int64)
    for test, place in reversed(list(zip(tests, places, strict=True))):
        found = nw.when(test).then(nw.lit(place, nw.Int64)).otherwise(found)
    return found


def _unscored(scores: Frame) -> Frame:
    """No number, band or grade: a null says that there is none, a zero would be one."""
    return scores.with_columns(
        *(nw.lit(None, nw.Float64).alias(name) for name in _NUMBERS),
        nw.lit(None, nw.Int64).alias("band"),
        nw.lit(None, nw.String).alias("grade"),
    )


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
