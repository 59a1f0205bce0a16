"""What a planned write means for its person, and which rules of the criteria are responsible for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.core.model import FieldWrite, JsonValue, MqlStatus, Score
from connector.core.values import is_blank, place_in

PROMOTION, DEMOTION, CLEARING, SCORE = "promotion", "demotion", "clearing", "score"
KINDS = (PROMOTION, DEMOTION, CLEARING, SCORE)

_QUALIFIED = frozenset({MqlStatus.QUALIFIED.value, MqlStatus.ACCEPTED.value})
_DRIVERS = 3  # so many rules are named, by points


def kind_of(writes: Sequence[FieldWrite], stage_order: Sequence[str], stage_values: Mapping[str, str]) -> str:
    """The first that fits. `stage_order` are the vendor's stages, lowest first; a blank stage is a lead's (DESIGN: a
    person without a stage in any CRM is `lead`). Where the stage itself is not written, the MQL status tells."""
    steps = [_step(write, stage_order, stage_values) for write in writes if write.result == "stage"]
    steps = [step for step in steps if step] or [_status_step(w) for w in writes if w.result == "status"]
    if any(step > 0 for step in steps):
        return PROMOTION
    if any(step < 0 for step in steps):
        return DEMOTION
    cleared = (is_blank(write.after) and not is_blank(write.before) for write in writes)
    return CLEARING if any(cleared) else SCORE


def _step(write: FieldWrite, stage_order: Sequence[str], stage_values: Mapping[str, str]) -> int:
    lead = stage_values.get("lead", "lead")
    before, after = (
        _place(lead if is_blank(value) else value, stage_order) for value in (write.before, write.after)
    )
    return (after > before) - (after < before)


def _place(stage: JsonValue, stage_order: Sequence[str]) -> int:
    place = place_in(stage_order, stage)
    return -1 if place is None else place  # below them all


def _status_step(write: FieldWrite) -> int:
    return (str(write.after) in _QUALIFIED) - (str(write.before) in _QUALIFIED)


def responsible(score: Score) -> tuple[str, ...]:
    """The ids of the rules that made this decision: what disqualifies or raises a hand, else the strongest drivers."""
    if score.disqualified:
        return (score.disqualified,)
    if score.hand_raised:
        return (score.hand_raised,)
    strongest = sorted(score.contributions, key=lambda each: -abs(each.points))
    return tuple(each.rule for each in strongest[:_DRIVERS])
