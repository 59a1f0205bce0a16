"""Says in a few words why somebody stands at a stage: the head of the reason. Decides nothing."""

from __future__ import annotations

from connector.core.criteria import Criteria
from connector.core.model import MqlStatus, Score, StageState

_TITLES = {"mql": "MQL", "sql": "SQL"}
_DOWN = {
    *(("sql", to) for to in ("mql", "lead", "subscriber")),
    *(("mql", to) for to in ("lead", "subscriber")),
    ("lead", "subscriber"),
}


def title(stage: str) -> str:
    """How people write a stage."""
    return _TITLES.get(stage, stage.capitalize())


def head(
    before: StageState | None,
    state: StageState,
    score: Score,
    criteria: Criteria,
    *,
    set_in_crm: bool,
    hand_raised: str | None,
) -> str:
    """Why `state`, coming from `before`. `set_in_crm`: a CRM says so; `hand_raised`: the rule by which a hand counts as
    raised. The cause of a step is always told."""
    name = title(state.stage)
    if state.status is MqlStatus.DISQUALIFIED:
        return f"Disqualified: {_disqualifier(criteria, state.disqualified_by or '')}"
    if state.status in (MqlStatus.REJECTED, MqlStatus.RECYCLED):
        said = "given back by sales" if state.status is MqlStatus.RECYCLED else "rejected by sales"
        if state.taken_back:
            said = "taken back, sales has not touched it"
        rest = f", at rest until {state.cool_off_until:%Y-%m-%d}" if state.cool_off_until else ""
        return f"{name}: {said}{rest}"
    if set_in_crm:
        return f"{name}: as set in the CRM"
    if state.status is MqlStatus.ACCEPTED:
        return f"{name}: accepted by sales"
    kept = f"; not MQL yet, {state.guarded}" if state.guarded else ""
    if state.raised_from:
        return f"{name}: by the rule for it, band {score.band}{kept}"
    left = before.stage if before is not None else ""
    if before is not None and (left, state.stage) in _DOWN:
        why = "the override has ended" if before.by_override is not None else f"band {score.band}"
        return f"{name}: no longer {title(left)}, {why}{kept}"
    if state.loosened and state.stage == "mql":
        return f"{name}: below the fixed bar, let in as one of {places_in_words(criteria)}, band {score.band}"
    if state.stage == "mql" and hand_raised:
        return f"{name}: {criteria.name_of(hand_raised, 'hand_raise')}"
    if before is not None and before.status is MqlStatus.DISQUALIFIED:
        return f"{name}: no longer disqualified, band {score.band}{kept}"
    if state.guarded:
        return f"{name}: not MQL yet, {state.guarded}"
    if state.waits:
        return f"{name}: qualifies, waits for a place ({places_in_words(criteria)})"
    return f"{name}: band {score.band}"


def places_in_words(criteria: Criteria) -> str:
    """How many become MQL by points: `the best 40 a week`, `the top 5 %`."""
    best, capacity = criteria.stages.mql.best, criteria.stages.mql.capacity
    if best is not None and best.top is not None:
        said = f"the top {best.top:g} %"
        return said if capacity is None else f"{said}, at most {capacity} a week"
    return f"the best {best.per_week if best is not None else capacity} a week"


def _disqualifier(criteria: Criteria, rule: str) -> str:
    return next((each.reason for each in criteria.disqualify if each.id == rule), rule)
