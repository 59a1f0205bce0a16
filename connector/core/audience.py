"""Who somebody is by the criteria: their persona, then their audience, then the criteria that hold for them. Pure.

In this order, in every engine: personas read the fields as CRMs tell them, audiences read the persona too, rules read
all of it. `connector.core.score.split` says the same for whole tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from connector.core.conditions import Get, compiled, is_missing
from connector.core.criteria import Audience, Criteria, Persona
from connector.core.model import Value

PERSONA = "persona"

Tests = tuple[Callable[[Get], bool], ...]


def settled(criteria: Criteria, fields: Mapping[str, Value]) -> tuple[dict[str, Value], Audience | None]:
    """The fields with the persona in them, and the audience of whoever has them; None: the file's own criteria hold."""
    found = dict(fields)
    if criteria.personas and is_missing(found.get(PERSONA)):
        persona = persona_by_rule(criteria, found)
        if persona is not None:
            found[PERSONA] = persona
    place = _first(_audience_tests(criteria), found)
    return found, None if place is None else criteria.audiences[place]


def persona_by_rule(criteria: Criteria, fields: Mapping[str, Value]) -> str | None:
    """The persona that the rules give, whatever a CRM has assigned; None: no rule holds."""
    place = _first(_persona_tests(criteria), fields)
    return None if place is None else criteria.personas[place].id


def other_persona(criteria: Criteria, fields: Mapping[str, Value]) -> str | None:
    """The persona that the rules would give, where the person has another one; None: both agree, or no rule holds."""
    by_rule, has = persona_by_rule(criteria, fields), fields.get(PERSONA)
    return None if by_rule is None or is_missing(has) or str(has) == by_rule else by_rule


def _first(tests: Tests, fields: Mapping[str, Value]) -> int | None:
    return next((place for place, test in enumerate(tests) if test(fields.get)), None)


@lru_cache(maxsize=8)  # criteria are compared by identity; few are in use at a time
def _persona_tests(criteria: Criteria) -> Tests:
    return _tests(criteria.personas)


@lru_cache(maxsize=8)
def _audience_tests(criteria: Criteria) -> Tests:
    return _tests(criteria.audiences)


def _tests(whose: Sequence[Persona | Audience]) -> Tests:
    return tuple(compiled(each.when) for each in whose)
