"""Our values as JSON text and back, exactly: times keep their microseconds, references and states their kind.

Text is sorted by key, so that equal values have equal text. Decides nothing and knows no table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import orjson

from connector.core.model import (
    Answer,
    CompanyRecord,
    Contribution,
    FieldWrite,
    HeldBack,
    JsonValue,
    MqlStatus,
    OpportunityRecord,
    PersonRecord,
    RecordState,
    Ref,
    Said,
    Score,
    StageState,
    Value,
)
from connector.errors import StopRun

TIME = "$t"  # marks a time among our field values, which are never objects otherwise
STRANGE = " "  # begins a text that only Python's own JSON can write and read; blanks mean nothing to others
LET_GO = '{"":'  # begins what is left of a vendor's own values: no vendor has a field without a name
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
_WITH_TIMES = orjson.OPT_SORT_KEYS  # the encoder writes aware UTC times itself, as `isoformat` does


# ------------------------------------------------------------------------------------------------- plain JSON


def dumps(value: JsonValue) -> str:
    """JSON text, keys sorted; a time becomes `{"$t": "2026-11-22T10:00:00+00:00"}`."""
    try:
        return orjson.dumps(value, default=_tagged, option=_OPTIONS).decode()
    except TypeError:
        # Integers beyond 64 bits and lone surrogates: valid for Python, refused by orjson.
        return STRANGE + json.dumps(value, default=_tagged, sort_keys=True, separators=(",", ":"))


def loads(text: str) -> Any:
    """The value of a JSON text. Raises StopRun when the ledger holds something that is none."""
    if text.startswith(STRANGE):  # orjson would read a whole number beyond 64 bits as a float
        return _loads_strange(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _loads_strange(text)


def _loads_strange(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise StopRun(
            f"The ledger holds a value that is not JSON: {error}.",
            next_step="Restore a backup of the database.",
        ) from error


def _tagged(value: object) -> JsonValue:
    if isinstance(value, datetime):
        return {TIME: value.astimezone(UTC).isoformat()}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, tuple | frozenset | set):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


def parse_ref(text: str) -> Ref:
    """`crm:object:id` as a Ref; the id may contain colons. Raises ValueError for anything else."""
    crm, object_, id_ = text.split(":", 2)
    return Ref(crm, object_, id_)


def values_to(values: Mapping[str, Value]) -> dict[str, JsonValue]:
    """Our field values for `dump_record`: a time is tagged, so that it comes back as one."""
    return {
        name: {TIME: _utc(value)} if isinstance(value, datetime) else value for name, value in values.items()
    }


def told(values: Mapping[str, JsonValue]) -> str:
    """A vendor's own values as JSON text. A blank says no more than a missing one, and there are many."""
    return dumps({name: value for name, value in values.items() if value is not None})


def let_go(text: str, kept: Sequence[str] = ()) -> str:
    """What is left of a vendor's own values (as `told` gave them): a digest, by which they are known again, and the
    fields of `kept`."""
    values, mark = loads(text), {"": _digest(text)}
    left = dumps({**{name: values[name] for name in kept if name in values}, **mark})
    return left if left.startswith(LET_GO) else dumps(mark)


def same_told(known: str, text: str) -> bool:
    """Whether a vendor tells what is known, though that was let go."""
    return known.startswith(LET_GO) and bool(loads(known)[""] == _digest(text))


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _dump_record(value: JsonValue) -> str:
    """JSON text, keys sorted, times in it (all UTC) as ISO 8601 text."""
    try:
        return orjson.dumps(value, option=_WITH_TIMES).decode()
    except TypeError:
        return STRANGE + json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"))


def _plain(value: object) -> JsonValue:
    return value.isoformat() if isinstance(value, datetime) else _tagged(value)


def _ref(text: str | None) -> Ref | None:
    return parse_ref(text) if text is not None else None


def _text(ref: Ref | None) -> str | None:
    return str(ref) if ref is not None else None


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at is not None else None


def _utc(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo is UTC else at.astimezone(UTC)


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text is not None else None


def values_from(raw: Mapping[str, Any]) -> dict[str, Value]:
    """Our field values from plain JSON: the tagged times become times again."""
    return {
        name: datetime.fromisoformat(value[TIME]).astimezone(UTC) if type(value) is dict else value
        for name, value in raw.items()
    }


# ---------------------------------------------------------------------------------------------------- records


def dump_person(record: PersonRecord) -> str:
    """A person record as JSON text."""
    answer = record.answer
    says = record.says
    said = {} if says is None else {"says": [says.kind, says.field, _utc(says.until), says.reason]}
    return _dump_record(
        {
            "ref": str(record.ref),
            "fields": values_to(record.fields),
            "emails": record.emails,
            "same_as": [str(ref) for ref in record.same_as],
            "company": _text(record.company),
            "stage": record.stage,
            "stage_at": _utc(record.stage_at),
            "answer": [answer.kind, answer.status, _utc(answer.at), answer.reason] if answer else None,
            "state": record.state.value,
            "moved_to": _text(record.moved_to),
            "in_scope": record.in_scope,
            "held": dict(record.held),
            "changed_at": _utc(record.changed_at),
            "created_at": _utc(record.created_at),
            **said,
        }
    )


def load_person(text: str) -> PersonRecord:
    """A person record from its JSON text."""
    raw = loads(text)
    answer = raw["answer"]
    return PersonRecord(
        ref=parse_ref(raw["ref"]),
        fields=values_from(raw["fields"]),
        emails=tuple(raw["emails"]),
        same_as=tuple(parse_ref(ref) for ref in raw["same_as"]),
        company=_ref(raw["company"]),
        stage=raw["stage"],
        stage_at=_at(raw["stage_at"]),
        answer=Answer(answer[0], answer[1], datetime.fromisoformat(answer[2]).astimezone(UTC), answer[3])
        if answer
        else None,
        state=RecordState(raw["state"]),
        moved_to=_ref(raw["moved_to"]),
        in_scope=raw["in_scope"],
        held=raw["held"],
        changed_at=_at(raw["changed_at"]),
        created_at=_at(raw["created_at"]),
        says=Said(said[0], said[1], _at(said[2]), said[3]) if (said := raw.get("says")) else None,
    )


def dump_company(record: CompanyRecord) -> str:
    """A company record as JSON text."""
    return _dump_record(
        {
            "ref": str(record.ref),
            "fields": values_to(record.fields),
            "state": record.state.value,
            "changed_at": _utc(record.changed_at),
            "moved_to": _text(record.moved_to),
        }
    )


def load_company(text: str) -> CompanyRecord:
    """A company record from its JSON text."""
    raw = loads(text)
    return CompanyRecord(
        ref=parse_ref(raw["ref"]),
        fields=values_from(raw["fields"]),
        state=RecordState(raw["state"]),
        changed_at=_at(raw["changed_at"]),
        moved_to=_ref(raw.get("moved_to")),
    )


def dump_opportunity(record: OpportunityRecord) -> str:
    """An opportunity record as JSON text."""
    return _dump_record(
        {
            "ref": str(record.ref),
            "people": [str(ref) for ref in record.people],
            "company": _text(record.company),
            "is_closed": record.is_closed,
            "is_won": record.is_won,
            "amount": record.amount,
            "currency": record.currency,
            "state": record.state.value,
            "changed_at": _utc(record.changed_at),
            "closed_at": _utc(record.closed_at),
        }
    )


def load_opportunity(text: str) -> OpportunityRecord:
    """An opportunity record from its JSON text."""
    raw = loads(text)
    return OpportunityRecord(
        ref=parse_ref(raw["ref"]),
        people=tuple(parse_ref(ref) for ref in raw["people"]),
        company=_ref(raw["company"]),
        is_closed=raw["is_closed"],
        is_won=raw["is_won"],
        amount=raw["amount"],
        currency=raw["currency"],
        state=RecordState(raw["state"]),
        changed_at=_at(raw["changed_at"]),
        closed_at=_at(raw["closed_at"]),
    )


# -------------------------------------------------------------------------------------------------- decisions


def dump_state(state: StageState) -> str:
    """A person's stage state as JSON text."""
    return dumps(_state(state))


def _state(state: StageState) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {
        "stage": state.stage,
        "status": state.status.value,
        "since": _time(state.since),
        "mql_since": _time(state.mql_since),
        "first_mql_at": _time(state.first_mql_at),
        "cool_off_until": _time(state.cool_off_until),
        "rejected_at": _time(state.rejected_at),
        "answered_at": _time(state.answered_at),
        "disqualified_by": state.disqualified_by,
        "because": state.because,
        "band": state.band,
        "by_human": state.by_human,
        "dwell_from": _time(state.dwell_from),
        "raised_from": state.raised_from,
        "handed_at": _time(state.handed_at),
        "guarded": state.guarded,
        "privacy": state.privacy,
        "waits": state.waits,
        "loosened": state.loosened,
        "seen": None if state.seen is None else list(state.seen),
    }
    if state.by_override is not None:
        told["by_override"] = state.by_override
    if state.taken_back_at is not None:
        told["taken_back_at"] = _time(state.taken_back_at)
    if state.undone is not None:
        told["undone"] = _state(state.undone)
    return told


def load_state(text: str) -> StageState:
    """A person's stage state from its JSON text."""
    return _load_state(loads(text))


def _load_state(raw: Mapping[str, Any]) -> StageState:
    return StageState(
        stage=raw["stage"],
        status=MqlStatus(raw["status"]),
        since=_at(raw["since"]),
        mql_since=_at(raw["mql_since"]),
        first_mql_at=_at(raw["first_mql_at"]),
        cool_off_until=_at(raw["cool_off_until"]),
        rejected_at=_at(raw["rejected_at"]),
        answered_at=_at(raw["answered_at"]),
        disqualified_by=raw["disqualified_by"],
        because=raw["because"],
        band=raw["band"],
        by_human=raw["by_human"],
        dwell_from=_at(raw["dwell_from"]),
        raised_from=raw.get("raised_from", ""),
        handed_at=_at(raw.get("handed_at")),
        guarded=raw.get("guarded", ""),
        waits=raw.get("waits", False),
        loosened=raw.get("loosened", False),
        seen=None if raw["seen"] is None else tuple(raw["seen"]),
        undone=_load_state(raw["undone"]) if raw.get("undone") else None,
        by_override=raw.get("by_override"),
        privacy=raw.get("privacy", ""),
        taken_back_at=_at(raw.get("taken_back_at")),
    )


def dump_contributions(contributions: Sequence[Contribution]) -> str:
    """`[[rule, points], ...]` as JSON text."""
    return dumps([[each.rule, each.points] for each in contributions])


def load_score(row: Mapping[str, Any]) -> Score:
    """A score from the columns of a person's row."""
    return Score(
        fit=row["fit"],
        engagement=row["engagement"],
        score=row["score"],
        band=row["band"],
        grade=row["grade"],
        disqualified=row["disqualified"],
        hand_raised=row["hand_raised"],
        contributions=tuple(Contribution(rule, points) for rule, points in loads(row["contributions"])),
    )


def dump_writes(writes: Sequence[FieldWrite]) -> str:
    """The fields of a planned write as JSON text."""
    return dumps([[w.field, w.before, w.after, w.rule, w.result, *([True] * w.two_step)] for w in writes])


def load_writes(text: str) -> tuple[FieldWrite, ...]:
    """The fields of a planned write from their JSON text."""
    return tuple(FieldWrite(*each) for each in loads(text))


def dump_rules(rules: Sequence[str]) -> str:
    """Ids of rules as JSON text."""
    return dumps(list(rules))


def load_rules(text: str) -> tuple[str, ...]:
    """Ids of rules from their JSON text."""
    return tuple(loads(text))


def dump_held_back(held_back: Sequence[HeldBack]) -> str:
    """The fields that were held back as JSON text."""
    return dumps([[h.field, h.before, h.wanted, h.why] for h in held_back])


def load_held_back(text: str) -> tuple[HeldBack, ...]:
    """The fields that were held back from their JSON text."""
    return tuple(HeldBack(*each) for each in loads(text))
