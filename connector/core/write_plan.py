"""Decides which fields of a record to write, hold back or leave alone. Pure; sends nothing, scores nothing.

A difference below `min_change` is no difference: it makes a record neither planned nor held back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from connector.core.mapping import WriteLine
from connector.core.model import (
    FieldWrite,
    HeldBack,
    JsonValue,
    PersonRecord,
    PlannedWrite,
    RecordState,
    Ref,
    Score,
    StageDecision,
    VendorRecord,
)
from connector.core.privacy_rules import UNCOUNTED
from connector.core.values import as_number, is_blank, place_in, same_value

REJECTED_WAIT = timedelta(hours=24)  # what a CRM rejected is tried again after this, or when it changes

_NUMBERS = frozenset({"score", "fit", "engagement"})
_FOLLOWERS = frozenset({"reason", "criteria_version"})  # never a reason to write by themselves
_TELLING = frozenset({"stage", "band", "status"})  # the reason is told anew with one of these


class Lowering(StrEnum):
    """What becomes of a stage that a write rule lets go back."""

    FREE = "free"  # the CRM takes it like any other value
    HELD = "held"  # the CRM lets stages only rise, and nobody has turned the two steps on
    TWO_STEP = "two_step"  # cleared, then set


class LastWritten(Protocol):
    """The last value we wrote to a field, and when. `theirs`: in order to put back what somebody else had set."""

    @property
    def value(self) -> JsonValue: ...
    @property
    def at(self) -> datetime: ...
    @property
    def theirs(self) -> bool: ...


class Refused(Protocol):
    """A difference that was refused: `rejected`, `parked`, `unknown` or `discarded`; the wanted values by field."""

    @property
    def kind(self) -> str: ...
    @property
    def wanted(self) -> Mapping[str, JsonValue]: ...
    @property
    def at(self) -> datetime: ...


class LeftAlone(Protocol):
    """A field that is held back for a human's sake: where `same_only`, while `value` is wanted; else always."""

    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> JsonValue: ...
    @property
    def why(self) -> str: ...
    @property
    def same_only(self) -> bool: ...


def results(
    score: Score,
    decision: StageDecision,
    criteria_version: int,
    *,
    next: str | None = None,
    persona: str | None = None,
    audience: str | None = None,
) -> dict[str, JsonValue]:
    """What may be written about a person, by result name. Numbers whole, times in UTC to the second.

    `since` is the start of the present spell as MQL, None outside one; `stage` is ours, not a vendor's. `next`: the
    nurture that follows; `persona` and `audience` are ids, or what a CRM calls the persona.
    """
    state = decision.state
    return {
        "score": whole(score.score),
        "fit": whole(score.fit),
        "engagement": whole(score.engagement),
        "band": score.band,
        "grade": score.grade,
        "status": state.status.value,
        "reason": decision.because,
        "since": instant(state.mql_since) if state.mql_since else None,
        "criteria_version": criteria_version,
        "stage": state.stage,
        "next": next,
        "persona": persona,
        "audience": audience,
    }


def whole(number: float) -> int:
    """A number as it is written to a CRM: halves up, a billionth of tolerance."""
    return math.floor(number + 0.5 + 1e-9)


def instant(moment: datetime) -> str:
    """An aware time as it is written: `2026-11-22T10:00:00Z`. CRMs keep seconds, so no finer part is sent."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plan_record(
    record: PersonRecord,
    lines: Sequence[WriteLine],
    wanted: Mapping[str, JsonValue],
    *,
    written: Mapping[str, LastWritten],
    refused: Refused | None,
    stage_order: Sequence[str],
    stage_values: Mapping[str, str],
    min_change: float,
    at: datetime,
    closed: Mapping[str, str] | None = None,
    lowering: Lowering = Lowering.FREE,
    holds: Mapping[str, LeftAlone] | None = None,
) -> PlannedWrite:
    """What to say about one record, line by line of the mapping.

    `wanted` is as `results` gives it; `written` and `refused` belong to this record, by vendor field.
    `stage_order` are the vendor's stages, lowest first; `stage_values` leads from our stages to theirs.
    `closed`: fields that cannot be written to now (not made yet, not editable), each with why. `holds`: fields that are
    left alone, by vendor field.
    """
    rules = _WriteRules(written, stage_order, stage_values, lowering)
    open_: list[FieldWrite] = []
    held: list[tuple[FieldWrite, str]] = []
    for line in lines:
        if line.object != record.ref.object or line.result not in wanted:
            continue
        after, no_stage = _theirs(line.result, wanted[line.result], stage_values, stage_order)
        write = rules.stepped(FieldWrite(line.to, record.held.get(line.to), after, line.rule, line.result))
        if same_value(write.before, write.after):
            continue
        why = (
            (closed or {}).get(line.to, "")
            or ("" if record.in_scope else "out of scope")
            or no_stage
            or rules.against(write, clear=line.clear)
            or _left_alone(write, (holds or {}).get(line.to), min_change)
        )
        if why:
            held.append((write, why))
        else:
            open_.append(write)
    open_, refusals = _leave_refused(open_, refused, min_change, at)
    shown = _worth([write for write, _ in (*held, *refusals)], min_change)
    return PlannedWrite(
        ref=record.ref,
        writes=tuple(_worth(open_, min_change)),
        held_back=tuple(_held_back(each, why) for each, why in (*held, *refusals) if each in shown),
        because=str(wanted.get("reason") or ""),
        stage=record.stage,
    )


def judge_again(
    planned: PlannedWrite,
    fresh: PersonRecord | None,
    *,
    written: Mapping[str, LastWritten],
    stage_order: Sequence[str],
    stage_values: Mapping[str, str],
    min_change: float,
    lowering: Lowering = Lowering.FREE,
) -> PlannedWrite | str:
    """The same write, judged on values read just before the push; or why the record is set aside.

    Before-images become what was read. What has become equal is dropped, a field that its write rule now
    protects is held back. A stage that moved past ours sets the whole record aside: the decision was made on
    another one.
    `fresh` is None for a record that no longer exists.
    """
    gone = no_target(planned, fresh)
    if gone or fresh is None:
        return gone
    rules = _WriteRules(written, stage_order, stage_values, lowering)
    open_, held = [], list(planned.held_back)
    for old in planned.writes:
        write = rules.stepped(replace(old, before=fresh.held.get(old.field)))
        if same_value(write.before, write.after):
            continue
        why = rules.against(write, clear=True)  # a blank was allowed when it was planned
        if why and write.result == "stage":
            return f"changed since it was planned: {why}"
        if why:
            held.append(_held_back(write, why))
        else:
            open_.append(write)
    writes = _worth(open_, min_change)
    if not writes:
        changed = len(held) > len(planned.held_back)
        return "changed since it was planned" if changed else "the CRM already holds these values"
    return replace(planned, writes=tuple(writes), held_back=tuple(held))


def no_target(planned: PlannedWrite, fresh: PersonRecord | None) -> str:
    """Why a record read just now is no target any more; empty where it still is one."""
    gone = no_longer_there(planned.ref, fresh)
    return gone or ("" if fresh is None or fresh.in_scope else "the record is out of scope now")


def no_longer_there(ref: Ref, fresh: PersonRecord | VendorRecord | None) -> str:
    """Why a record read just now (by this ref) cannot be written to; empty where it can. None: it is gone."""
    if fresh is None or fresh.state is RecordState.GONE:
        return "the record no longer exists"
    into = f" into {fresh.moved_to}" if fresh.moved_to else ""
    if fresh.state is RecordState.CONVERTED:
        return f"the record was converted{into}"
    if fresh.state is RecordState.MERGED:
        return f"the record was merged{into}"
    if fresh.ref != ref:
        return f"the record was merged into {fresh.ref}"
    if fresh.state is RecordState.ARCHIVED:
        return "the record was deleted"
    return ""


# ----------------------------------------------------------------------------------------- write rules


@dataclass(frozen=True, slots=True)
class _WriteRules:
    written: Mapping[str, LastWritten]
    stage_order: Sequence[str]
    stage_values: Mapping[str, str]
    lowering: Lowering

    def against(self, write: FieldWrite, *, clear: bool) -> str:
        """Why a difference may not be sent; empty where it may."""
        why = self._by_rule(write, clear=clear)
        if not why and self.lowering is Lowering.HELD and self._lowers(write):
            return f"this CRM takes `{write.before}` back to `{write.after}` only in two steps (`backward` is off)"
        return why

    def stepped(self, write: FieldWrite) -> FieldWrite:
        """The write, marked where it must go in two steps."""
        return replace(write, two_step=self.lowering is Lowering.TWO_STEP and self._lowers(write))

    def _lowers(self, write: FieldWrite) -> bool:
        """By the account's order, in which `other` has a place like any stage."""
        if write.result != "stage":
            return False
        before, after = (place_in(self.stage_order, value) for value in (write.before, write.after))
        return before is not None and after is not None and after < before

    def _by_rule(self, write: FieldWrite, *, clear: bool) -> str:
        if write.rule == "never":
            return "the write rule is `never`"
        if is_blank(write.after) and not clear:
            return "a blank overwrites nothing here (the line has no `clear: true`)"
        if is_blank(write.before):
            return ""
        if write.rule == "if_blank":
            return "the field is not blank (`if_blank`)"
        if write.rule == "if_ours":
            last = self.written.get(write.field)
            ours = last is not None and not last.theirs and same_value(last.value, write.before)
            return "" if ours else "somebody else set this value (`if_ours`)"
        if write.rule == "only_raise":
            return self._against_raising(write)
        return ""

    def _against_raising(self, write: FieldWrite) -> str:
        if is_blank(write.after):
            return "a blank is no raise (`only_raise`)"
        place = self._place if write.result == "stage" else as_number
        before, after = place(write.before), place(write.after)
        if before is None:
            return f"`{write.before}` has no place in the order (`only_raise`)"
        if after is None:
            return f"`{write.after}` has no place in the order (`only_raise`)"
        return "" if after > before else f"it would lower `{write.before}` to `{write.after}` (`only_raise`)"

    def _place(self, stage: JsonValue) -> float | None:
        if same_value(stage, self.stage_values.get("other", "other")):
            return None
        return place_in(self.stage_order, stage)


def _theirs(
    result: str, value: JsonValue, stage_values: Mapping[str, str], stage_order: Sequence[str]
) -> tuple[JsonValue, str]:
    """A result in the vendor's spelling, and why it has none there."""
    if result != "stage" or value is None:
        return value, ""
    if value in stage_values:
        return stage_values[value], ""
    if value in stage_order:  # an account's own stage, observed and kept as it is spelled
        return value, ""
    return value, f"this CRM has no stage for `{value}`"


# ------------------------------------------------------------------------------- what is worth a write


def _worth(writes: Sequence[FieldWrite], min_change: float) -> list[FieldWrite]:
    """All of these differences, or none where they are too small; the reason only beside its cause."""
    if not any(_speaks(write, min_change) for write in writes):
        return []
    told = any(write.result in _TELLING or _of_privacy(write) for write in writes)
    return [
        write
        for write in writes
        if write.result != "reason" or told or is_blank(write.before) or is_blank(write.after)
    ]


def _speaks(write: FieldWrite, min_change: float) -> bool:
    if write.result in _NUMBERS:
        return _moved(write.before, write.after, min_change)
    if write.result == "reason":
        return is_blank(write.before) or is_blank(write.after) or _of_privacy(write)
    return write.result not in _FOLLOWERS or is_blank(write.after)


def _of_privacy(write: FieldWrite) -> bool:
    """Whether a reason tells that behaviour counts no longer, or counts again: that is told at once."""
    before, after = (UNCOUNTED in str(value or "") for value in (write.before, write.after))
    return write.result == "reason" and before != after


def _moved(before: JsonValue, after: JsonValue, min_change: float) -> bool:
    one, other = as_number(before), as_number(after)
    if one is None or other is None:
        return not same_value(before, after)
    return one != other and abs(other - one) >= min_change - 1e-9


def _leave_refused(
    writes: Sequence[FieldWrite], refused: Refused | None, min_change: float, at: datetime
) -> tuple[list[FieldWrite], list[tuple[FieldWrite, str]]]:
    """What may be proposed, and what was refused before with the same values.

    A CRM rejects a record as a whole, so one new value is a reason to try all again. A human discards
    differences, so only the ones that changed are proposed again.
    """
    if refused is None or refused.kind not in ("rejected", "parked", "discarded"):
        return list(writes), []
    if refused.kind != "discarded":
        again = refused.at + REJECTED_WAIT
        waited = refused.kind == "rejected" and at >= again
        speaking = [write for write in _worth(writes, min_change) if _speaks(write, min_change)]
        if waited or not all(_same_wish(write, refused, min_change) for write in speaking):
            return list(writes), []
        later = f", or from {instant(again)}" if refused.kind == "rejected" else ""
        why = f"the CRM rejected these values; tried again when they change{later}"
        return [], [(write, why) for write in writes]
    why = "a human discarded this difference; proposed again when the value changes"
    same = [write for write in writes if _same_wish(write, refused, min_change)]
    return [write for write in writes if write not in same], [(write, why) for write in same]


def _same_wish(write: FieldWrite, refused: Refused, min_change: float) -> bool:
    return write.field in refused.wanted and _same(write, refused.wanted[write.field], min_change)


def _same(write: FieldWrite, wish: JsonValue, min_change: float) -> bool:
    if write.result in _NUMBERS:
        return not _moved(wish, write.after, min_change)
    return same_value(wish, write.after)


def _left_alone(write: FieldWrite, hold: LeftAlone | None, min_change: float) -> str:
    """Why a field that was undone, or that somebody keeps changing back, is not written now; empty where it may be."""
    if hold is None or (hold.same_only and not _same(write, hold.value, min_change)):
        return ""
    return hold.why


def _held_back(write: FieldWrite, why: str) -> HeldBack:
    return HeldBack(write.field, write.before, write.after, why)


def outlived(
    record: PersonRecord,
    lines: Sequence[WriteLine],
    wanted: Mapping[str, JsonValue],
    holds: Mapping[str, LeftAlone],
    *,
    stage_order: Sequence[str],
    stage_values: Mapping[str, str],
    min_change: float,
) -> tuple[str, ...]:
    """The fields of a record for which something else is wanted by now than what was undone: their holds have ended,
    also where nothing is to be written. Arguments as in `plan_record`."""
    ended: list[str] = []
    for line in lines:
        hold = holds.get(line.to)
        if hold is None or hold.kind != "undone":
            continue
        if line.object == record.ref.object and line.result in wanted:
            after, _ = _theirs(line.result, wanted[line.result], stage_values, stage_order)
            write = FieldWrite(line.to, None, after, line.rule, line.result)
            if not _same(write, hold.value, min_change):
                ended.append(line.to)
    return tuple(ended)
