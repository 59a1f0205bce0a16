"""Which guard of the criteria keeps a person from becoming MQL, and until when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from connector.core.conditions import holds
from connector.core.criteria import Criteria, Guard
from connector.core.model import Value


def guard_of(criteria: Criteria, fields: Mapping[str, Value], at: datetime) -> Guard | None:
    """The first guard that holds for whom these fields describe at `at` (aware UTC)."""
    return next((each for each in criteria.guards if _holds(each, fields, at)), None)


def guards_that_hold(criteria: Criteria, fields: Mapping[str, Value], at: datetime) -> frozenset[str]:
    """The ids of all that hold, not of the first alone."""
    return frozenset(each.id for each in criteria.guards if _holds(each, fields, at))


def guard_ends(criteria: Criteria, fields: Mapping[str, Value], at: datetime) -> list[datetime]:
    """When guards that hold now stop doing so by time alone."""
    return [
        moment for each in criteria.guards if _holds(each, fields, at) and (moment := _until(each, fields))
    ]


def _holds(guard: Guard, fields: Mapping[str, Value], at: datetime) -> bool:
    if guard.since is not None:
        until = _until(guard, fields)
        if until is None or at >= until:
            return False
    return guard.when is None or holds(guard.when, fields.get)


def _until(guard: Guard, fields: Mapping[str, Value]) -> datetime | None:
    since = fields.get(guard.since) if guard.since else None
    return since + guard.within if isinstance(since, datetime) and guard.within is not None else None
