"""Reads `limits` and `freeze` of a mapping document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from connector.core.conditions import Path
from connector.core.limits import Freeze, PlanLimits
from connector.core.mapping_reading import a_text, a_whole, entries, is_map, items, known_keys
from connector.errors import Problem

LIMIT_KEYS = (
    "overwrites",
    "at_least",
    "stage_changes",
    "demoted",
    "rejected",
    "reads",
    "mqls",
    "few",
    "audiences",
)
AUDIENCE_LIMIT_KEYS = ("stage_changes", "demoted", "few")
STAGE_CHANGES_KEYS = ("people", "share")
FREEZE_KEYS = ("from", "until", "why")


def read_limits(body: object, problems: list[Problem]) -> PlanLimits:
    """The limits of plans, for everybody and by audience."""
    path: Path = ("limits",)
    if body is None or not is_map(body, path, problems):
        return PlanLimits()
    found = _limits_of(body, path, LIMIT_KEYS, PlanLimits(), problems)
    audiences = {
        name: _limits_of(own, (*path, "audiences", name), AUDIENCE_LIMIT_KEYS, found, problems)
        for name, own in items(body.get("audiences"), (*path, "audiences"), problems)
        if is_map(own, (*path, "audiences", name), problems)
    }
    return replace(found, audiences=audiences)


def _limits_of(
    body: Mapping[str, Any],
    path: Path,
    keys: tuple[str, ...],
    shipped: PlanLimits,
    problems: list[Problem],
) -> PlanLimits:
    """What is not said is as in `shipped`."""
    known_keys(body, keys, path, problems)
    stages, at = body.get("stage_changes", {}), (*path, "stage_changes")
    if _is_off(stages):
        stages = {"people": None, "share": None}
    elif not is_map(stages, at, problems, what="a map with `people` and `share`, or off"):
        stages = {}
    known_keys(stages, STAGE_CHANGES_KEYS, at, problems)

    def share(of: Mapping[str, Any], key: str, at: Path, default: float | None) -> float | None:
        return _share(of[key], (*at, key), problems) if key in of else default

    def whole(of: Mapping[str, Any], key: str, at: Path, default: int) -> int:
        found = a_whole(of.get(key, default), (*at, key), problems, low=0)
        return default if found is None else found

    people_off = stages.get("people", shipped.people) is None or _is_off(stages.get("people", shipped.people))
    return PlanLimits(
        overwrites=share(body, "overwrites", path, shipped.overwrites),
        at_least=whole(body, "at_least", path, shipped.at_least),
        people=None if people_off else whole(stages, "people", at, shipped.people or 0),
        share=share(stages, "share", at, shipped.share),
        demoted=share(body, "demoted", path, shipped.demoted),
        rejected=share(body, "rejected", path, shipped.rejected),
        reads=share(body, "reads", path, shipped.reads),
        mqls=_share(body["mqls"], (*path, "mqls"), problems, low=1.0, high=1_000.0)
        if "mqls" in body
        else shipped.mqls,
        few=whole(body, "few", path, shipped.few),
    )


def _is_off(value: object) -> bool:
    """`off`, as it is written: YAML 1.2 reads it as a text, 1.1 as false."""
    return value is None or value is False or value == "off"


def _share(
    value: Any, path: Path, problems: list[Problem], *, low: float = 0.0, high: float = 1.0
) -> float | None:
    if _is_off(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        problems.append(Problem(path, f"needs a number from {low:g} to {high:g}, or off."))
        return None
    return float(value)


def read_freezes(body: object, problems: list[Problem]) -> tuple[Freeze, ...]:
    """The days on which plans wait."""
    found: list[Freeze] = []
    for position, entry in enumerate(entries(body, ("freeze",), problems)):
        at: Path = ("freeze", position)
        if not is_map(entry, at, problems):
            continue
        known_keys(entry, FREEZE_KEYS, at, problems)
        since, until = (_day(entry.get(key), (*at, key), problems) for key in ("from", "until"))
        why = a_text(entry.get("why"), (*at, "why"), problems) or ""
        if since is not None and until is not None:
            if until < since:
                problems.append(Problem((*at, "until"), f"is before `from`, {since}."))
            found.append(Freeze(since, until, why))
    return tuple(found)


def _day(value: object, path: Path, problems: list[Problem]) -> date | None:
    try:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if isinstance(value, str):
            return date.fromisoformat(value.strip())
    except ValueError:
        pass
    problems.append(Problem(path, "needs a day, as 2026-12-28."))
    return None
