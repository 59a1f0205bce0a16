"""Whether a row of an approved plan still stands, judged on values read just now. Pure; decides no wanted value.

Stricter than `core.write_plan.judge_again`, which makes the best of what it finds: an approved row is sent as somebody
saw it, or set aside with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from connector.core.model import HeldBack, JsonValue, PersonRecord, PlannedWrite
from connector.core.values import is_blank, same_value
from connector.core.write_plan import no_target


@dataclass(frozen=True, slots=True)
class Aside:
    """Why a row is not sent. `moved`: fields that somebody else changed, with what was there and is there now."""

    why: str
    moved: Mapping[str, tuple[JsonValue, JsonValue]] = field(default_factory=dict)

    def told(self, who: Mapping[str, str]) -> str:
        """In words; `who` says by field who changed it and when, where anybody knows."""
        changes = [
            f"`{name}` was {shown(was)} when this was planned and is {shown(now)} now"
            + (f" ({who[name]})" if who.get(name) else "")
            for name, (was, now) in self.moved.items()
        ]
        return self.why + "; ".join(changes)


def judge_exactly(
    planned: PlannedWrite, fresh: PersonRecord | None, *, stage_field: str = ""
) -> PlannedWrite | Aside:
    """The row with what the CRM already holds left out, or why nothing of it is sent.

    A field to be written must hold what it held when this was planned, or what is wanted; the record's stage, written
    or not, must be the one that the decision was made on. `stage_field` is the vendor's field of it.
    """
    gone = no_target(planned, fresh)
    if gone or fresh is None:
        return Aside(gone)
    there = [write for write in planned.writes if same_value(fresh.held.get(write.field), write.after)]
    moved = {
        write.field: (write.before, fresh.held.get(write.field))
        for write in planned.writes
        if write not in there and not same_value(fresh.held.get(write.field), write.before)
    }
    if fresh.stage != planned.stage and not any(write.field == stage_field for write in there):
        moved.setdefault(stage_field or "stage", (planned.stage, fresh.stage))
    if moved:
        return Aside("changed since it was planned: ", moved)
    writes = tuple(write for write in planned.writes if write not in there)
    if not writes:
        return Aside("unchanged: the CRM already holds these values")
    held = tuple(HeldBack(w.field, w.after, w.after, "the CRM already holds this value") for w in there)
    return replace(planned, writes=writes, held_back=(*planned.held_back, *held))


def shown(value: JsonValue) -> str:
    """A value in a sentence; a whole number as one, however the CRM spells it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "blank" if is_blank(value) else f"`{value}`"
