"""Push to HubSpot: a batch goes in, one Receipt per Write comes out, in order. Never creates, never writes
backward.

Success is read off `results` and `errors`, record by record, never off the status: HubSpot answers 200, 207
or 400 to the same half-good batch, depending on version and trace ids, and leaves merged-away ids out
without a word (developers.hubspot.com, "CRM objects" and "Batch endpoints").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.byid import get_one, type_of
from adapters.hubspot.errors import BadRequest, code_of, context_ids, errors_of, message_of
from adapters.hubspot.payload import CRM, lenient_moment, wire
from adapters.hubspot.rows import results_of
from connector.core.model import Outcome, Receipt, Ref, Write
from connector.errors import OutcomeUnknown, RetryLater
from connector.transport import Answer

BATCH = 100
STAGE = "lifecyclestage"
# Codes that concern a property as such: every input that carries it fails alike, whatever its value.
PROPERTY_CODES = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE", "READ_ONLY_PROPERTY"})


@dataclass(frozen=True, slots=True)
class _Input:
    """One record of a batch as it goes out."""

    id: str
    trace: str
    properties: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        return {"id": self.id, "objectWriteTraceId": self.trace, "properties": dict(self.properties)}


@dataclass(frozen=True, slots=True)
class _Fate:
    """What came of one input."""

    outcome: Outcome
    reason: str = ""
    code: str = ""
    moved_to: Ref | None = None


WRITTEN = _Fate(Outcome.WRITTEN)


async def push(api: Api, batch: Sequence[Write]) -> list[Receipt]:
    """Partial updates of known records of one object.

    Raises OutcomeUnknown when nobody can tell whether the batch arrived, RetryLater when nothing was sent
    for want of allowance, FixConfig when no write can succeed. Once a part of the batch was answered, the
    rest becomes receipts too (`unknown`, `waiting`) instead of an error that would hide that answer.
    """
    if not batch:
        return []
    object_ = batch[0].ref.object
    folded: dict[str, dict[str, str]] = {}
    for write in batch:  # an id may appear once in a batch, or HubSpot refuses the whole of it
        values = {name: wire(value) for name, value in write.values.items()}
        folded.setdefault(write.ref.id, {}).update(values)
    trace = {write.ref.id: write.id for write in batch}
    inputs = [_Input(id_, f"w{trace[id_]}-{id_}", values) for id_, values in folded.items() if values]
    fates = {id_: WRITTEN for id_, values in folded.items() if not values}  # nothing to say is said
    for start in range(0, len(inputs), BATCH):
        part = inputs[start : start + BATCH]
        fates.update(await _send(api, object_, part, first=start == 0))
    return [_receipt(write, fates[write.ref.id]) for write in batch]


def _receipt(write: Write, fate: _Fate) -> Receipt:
    return Receipt(write.id, fate.outcome, fate.reason, fate.code, fate.moved_to)


async def _send(api: Api, object_: str, inputs: Sequence[_Input], *, first: bool) -> dict[str, _Fate]:
    """One call; where HubSpot refuses the whole batch for one record, smaller calls until it is found."""
    if not inputs:
        return {}
    path = f"{api.paths.objects(type_of(object_))}/batch/update"
    try:
        answer = await api.post(path, {"inputs": [one.body() for one in inputs]}, idempotent=False)
    except BadRequest as error:
        return await _refused(api, object_, inputs, error)
    except OutcomeUnknown as error:
        if first:
            raise
        return {one.id: _Fate(Outcome.UNKNOWN, error.message) for one in inputs}
    except RetryLater as error:
        if first:
            raise
        return {one.id: _Fate(Outcome.WAITING, error.message) for one in inputs}
    return await _settle(api, object_, inputs, answer)


async def _refused(api: Api, object_: str, inputs: Sequence[_Input], error: BadRequest) -> dict[str, _Fate]:
    """A 400 wrote nothing. The records it names are rejected; the others are sent again without them."""
    document = error.answer.json
    if len(inputs) == 1:
        return {inputs[0].id: _rejection(document)}
    named = _named(document, inputs)
    if named and len(named) < len(inputs):
        rest = [one for one in inputs if one.id not in named]
        return {**named, **await _send(api, object_, rest, first=False)}
    if named:
        return named
    middle = len(inputs) // 2
    return {
        **await _send(api, object_, inputs[:middle], first=False),
        **await _send(api, object_, inputs[middle:], first=False),
    }


def _named(document: Any, inputs: Sequence[_Input]) -> dict[str, _Fate]:
    """The inputs that an error body itself makes out: by trace id, or by a property that no record may
    have.
    """
    by_trace = {one.trace: one for one in inputs}
    named: dict[str, _Fate] = {}
    for entry in errors_of(document):
        for trace in context_ids(entry, "objectWriteTraceId"):
            if trace in by_trace:
                named[by_trace[trace].id] = _rejection(entry)
        if str(entry.get("code")) in PROPERTY_CODES:
            properties = context_ids(entry, "propertyName")
            guilty = [one for one in inputs if any(name in one.properties for name in properties)]
            named.update({one.id: _rejection(entry) for one in guilty})
    return named


def _rejection(document: Any) -> _Fate:
    code = code_of(document)
    entries = [document, *errors_of(document)] if isinstance(document, Mapping) else []
    properties = list(dict.fromkeys(name for entry in entries for name in context_ids(entry, "propertyName")))
    where = f" ({', '.join(properties)})" if properties else ""
    advice = ""
    if code == "PROPERTY_DOESNT_EXIST":
        advice = " Create it in HubSpot, or remap it in mappings/hubspot.yaml."
    elif code in PROPERTY_CODES:
        advice = " Remap it in mappings/hubspot.yaml."
    return _Fate(Outcome.REJECTED, f"{message_of(document)}{where}{advice}", code)


async def _settle(api: Api, object_: str, inputs: Sequence[_Input], answer: Answer) -> dict[str, _Fate]:
    """Each input by what the answer says of it; what it leaves out is looked up."""
    fates: dict[str, _Fate] = {}
    replies: dict[str, Mapping[str, Any]] = {}
    asked = {one.id: one for one in inputs}
    try:
        rows = results_of(answer)
    except Exception as error:
        raise OutcomeUnknown(
            "HubSpot took the write and answered without saying what came of it.",
            next_step="The records are read back before they are written again.",
            where=answer.asked,
        ) from error
    for row in rows:
        id_ = str(row.get("id")) if isinstance(row, Mapping) else ""
        if id_ in asked:
            replies[id_] = row
    by_trace = {one.trace: one.id for one in inputs}
    for entry in errors_of(answer.json):
        ids = [by_trace[trace] for trace in context_ids(entry, "objectWriteTraceId") if trace in by_trace]
        ids += [id_ for id_ in context_ids(entry, "ids") if id_ in asked]
        if str(entry.get("category")) == "OBJECT_NOT_FOUND":
            continue  # left out below, where it is found out whether it was merged or deleted
        for id_ in ids:
            fates[id_] = _rejection(entry)
    for id_, row in replies.items():
        fates.setdefault(id_, WRITTEN)
        if fates[id_] is WRITTEN and STAGE in asked[id_].properties:
            fates[id_] = await _stage_fate(api, object_, asked[id_], row)
    for one in inputs:
        if one.id not in fates:
            fates[one.id] = await _left_out(api, object_, one)
    return fates


async def _stage_fate(api: Api, object_: str, one: _Input, row: Mapping[str, Any]) -> _Fate:
    """The API moves a lifecycle stage forward only; asked to go back, it keeps the old one without an
    error.
    """
    properties = row.get("properties")
    if not isinstance(properties, Mapping) or STAGE not in properties:
        fresh = await get_one(api, type_of(object_), one.id, [STAGE])
        properties = fresh.get("properties") if isinstance(fresh, Mapping) else None
    kept = properties.get(STAGE) if isinstance(properties, Mapping) else None
    wanted = one.properties[STAGE]
    if (kept or "") == wanted:
        return WRITTEN
    others = " The other fields were written." if len(one.properties) > 1 else ""
    return _Fate(
        Outcome.REJECTED,
        f"HubSpot kept {STAGE} `{kept or ''}` instead of `{wanted}`.{others}",
        "LIFECYCLE_STAGE_KEPT",
    )


async def _left_out(api: Api, object_: str, one: _Input) -> _Fate:
    """Neither a result nor an error: merged, deleted, or silently not done."""
    try:
        row = await get_one(api, type_of(object_), one.id, [*one.properties, "hs_merged_object_ids"])
    except RetryLater as error:
        return _Fate(Outcome.UNKNOWN, f"HubSpot said nothing of this record. {error.message}")
    if row is None:
        return _Fate(Outcome.SET_ASIDE, "The record no longer exists in HubSpot.", "OBJECT_NOT_FOUND")
    if str(row["id"]) != one.id:
        moved = Ref(CRM, object_, str(row["id"]))
        return _Fate(Outcome.SET_ASIDE, f"The record was merged into {moved.id}.", "MERGED", moved)
    if row.get("archived") is True:
        return _Fate(Outcome.SET_ASIDE, "The record was deleted in HubSpot.", "OBJECT_NOT_FOUND")
    stored = row.get("properties") or {}
    if all(_same(stored.get(name), value) for name, value in one.properties.items()):
        return WRITTEN
    return _Fate(
        Outcome.UNKNOWN,
        "HubSpot's answer left this record out, and it does not hold what was sent.",
        "LEFT_OUT",
    )


def _same(stored: Any, sent: str) -> bool:
    """HubSpot gives numbers and times back in a spelling of its own."""
    text = "" if stored is None else str(stored)
    if text == sent:
        return True
    try:
        return float(text) == float(sent)
    except ValueError:
        at = lenient_moment(text)
        return at is not None and at == lenient_moment(sent)
