"""One batch update, and what came of each of its records. Decides no value and folds nothing.

Success is read off `results` and `errors`, record by record, never off the status: HubSpot answers 200, 207
or 400 to the same half-good batch, depending on version and trace ids, and leaves merged-away ids out
without a word (developers.hubspot.com, "CRM objects" and "Batch endpoints").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.byid import batch_read, get_one, type_of
from adapters.hubspot.errors import BadRequest, code_of, context_ids, errors_of, message_of
from adapters.hubspot.payload import CRM, lenient_moment, merged_ids
from adapters.hubspot.rows import results_of
from connector.core.model import Outcome, Ref
from connector.errors import OutcomeUnknown, RetryLater
from connector.transport import Answer

BATCH = 100
AT_ONCE = 8  # batches under way: 19 a second are allowed, and one may take 0.4 s
STAGE = "lifecyclestage"
KEPT = "LIFECYCLE_STAGE_KEPT"
# Codes that concern a property as such: every input that carries it fails alike, whatever its value.
PROPERTY_CODES = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE", "READ_ONLY_PROPERTY"})


@dataclass(frozen=True, slots=True)
class Input:
    """One record of a batch as it goes out; values as HubSpot takes them."""

    id: str
    trace: str
    properties: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"id": self.id, "objectWriteTraceId": self.trace, "properties": dict(self.properties)}

    def holding(self, properties: Mapping[str, str]) -> Input:
        """The same record with other values."""
        return replace(self, properties=properties)


@dataclass(frozen=True, slots=True)
class Fate:
    """What came of one input. `kept`: the stage that HubSpot kept instead of the one that was sent."""

    outcome: Outcome
    reason: str = ""
    code: str = ""
    moved_to: Ref | None = None
    parked: bool = False
    kept: str | None = None


WRITTEN = Fate(Outcome.WRITTEN)


async def send(api: Api, object_: str, inputs: Sequence[Input], *, first: bool) -> dict[str, Fate]:
    """One call for at most a hundred records; where HubSpot refuses the whole batch for one of them, smaller calls
    until it is found.

    `first`: nothing was answered before, so an error may speak for all. Raises OutcomeUnknown or RetryLater then, and
    FixConfig always; otherwise they become fates (`unknown`, `waiting`).
    """
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
        return {one.id: Fate(Outcome.UNKNOWN, error.message) for one in inputs}
    except RetryLater as error:
        if first:
            raise
        return {one.id: Fate(Outcome.WAITING, error.message) for one in inputs}
    return await _settle(api, object_, inputs, answer)


async def _refused(api: Api, object_: str, inputs: Sequence[Input], error: BadRequest) -> dict[str, Fate]:
    """A 400 wrote nothing. The records it names are rejected; the others are sent again without them."""
    document = error.answer.json
    if len(inputs) == 1:
        return {inputs[0].id: rejection(document)}
    named = _named(document, inputs) or await _aliases(api, object_, inputs, document)
    if named and len(named) < len(inputs):
        rest = [one for one in inputs if one.id not in named]
        return {**named, **await send(api, object_, rest, first=False)}
    if named:
        return named
    middle = len(inputs) // 2
    return {
        **await send(api, object_, inputs[:middle], first=False),
        **await send(api, object_, inputs[middle:], first=False),
    }


def _named(document: Any, inputs: Sequence[Input]) -> dict[str, Fate]:
    """The inputs that an error body itself makes out: by trace id, or by a property that no record may
    have.
    """
    by_trace = {one.trace: one for one in inputs}
    named: dict[str, Fate] = {}
    for entry in errors_of(document):
        for trace in context_ids(entry, "objectWriteTraceId"):
            if trace in by_trace:
                named[by_trace[trace].id] = rejection(entry)
        if str(entry.get("code")) in PROPERTY_CODES:
            properties = context_ids(entry, "propertyName")
            guilty = [one for one in inputs if any(name in one.properties for name in properties)]
            named.update({one.id: rejection(entry) for one in guilty})
    return named


async def _aliases(api: Api, object_: str, inputs: Sequence[Input], document: Any) -> dict[str, Fate]:
    """Ids of a batch that lead to a record which is in it under its own id as well ("Duplicate IDs found in batch
    input"): such a contact was merged, and only its survivor is written.
    """
    said = str(document.get("message", "")) if isinstance(document, Mapping) else ""
    if "duplicate ids" not in said.lower():
        return {}
    asked = {one.id for one in inputs}
    twice = [*context_ids(document, "ids"), *re.findall(r"\d+", said)]
    try:
        rows = await batch_read(api, type_of(object_), list(dict.fromkeys(twice)), ["hs_merged_object_ids"])
    except RetryLater as error:
        return {one.id: Fate(Outcome.WAITING, error.message) for one in inputs}
    found: dict[str, Fate] = {}
    for id_, row in rows.items():
        for old in asked.intersection(merged_ids(row.get("properties") or {})) - {id_}:
            found[old] = _moved(Ref(CRM, object_, id_))
    return found


def _moved(target: Ref) -> Fate:
    return Fate(Outcome.SET_ASIDE, f"The record was merged into {target.id}.", "MERGED", target)


def rejection(document: Any) -> Fate:
    """What an error body or entry says of a record."""
    code = code_of(document)
    entries = [document, *errors_of(document)] if isinstance(document, Mapping) else []
    properties = list(dict.fromkeys(name for entry in entries for name in context_ids(entry, "propertyName")))
    where = f" ({', '.join(properties)})" if properties else ""
    advice = ""
    if code == "PROPERTY_DOESNT_EXIST":
        advice = " Create it (`connector setup hubspot`), or remap it in mappings/hubspot.yaml."
    elif code in PROPERTY_CODES:
        advice = " Remap it in mappings/hubspot.yaml."
    return Fate(Outcome.REJECTED, f"{message_of(document)}{where}{advice}", code)


async def _settle(api: Api, object_: str, inputs: Sequence[Input], answer: Answer) -> dict[str, Fate]:
    """Each input by what the answer says of it; what it leaves out is looked up."""
    fates: dict[str, Fate] = {}
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
            fates[id_] = rejection(entry)
    for id_, row in replies.items():
        fates.setdefault(id_, WRITTEN)
        if fates[id_] is WRITTEN and STAGE in asked[id_].properties:
            fates[id_] = await _stage_fate(api, object_, asked[id_], row)
    for one in inputs:
        if one.id not in fates:
            fates[one.id] = await left_out(api, object_, one)
    return fates


async def _stage_fate(api: Api, object_: str, one: Input, row: Mapping[str, Any]) -> Fate:
    """The API moves a lifecycle stage forward only; asked to go back, it keeps the old one without an
    error.
    """
    properties = row.get("properties")
    if not isinstance(properties, Mapping) or STAGE not in properties:
        fresh = await get_one(api, type_of(object_), one.id, [STAGE])
        properties = fresh.get("properties") if isinstance(fresh, Mapping) else None
    kept = str((properties.get(STAGE) if isinstance(properties, Mapping) else None) or "")
    return WRITTEN if kept == one.properties[STAGE] else kept_fate(one, kept)


def kept_fate(one: Input, kept: str, *, parked: bool = False) -> Fate:
    """HubSpot holds another stage than was sent, and said nothing of it."""
    instead = f"`{one.properties[STAGE]}`" if one.properties[STAGE] else "none"
    reason = f"HubSpot kept {STAGE} `{kept}` instead of {instead}.{others_written(one)}"
    return Fate(Outcome.REJECTED, reason, KEPT, parked=parked, kept=kept)


def others_written(one: Input) -> str:
    """What is to be said beside a stage that was not set, with a space before it."""
    return " The other fields were written." if len(one.properties) > 1 else ""


async def left_out(api: Api, object_: str, one: Input) -> Fate:
    """Neither a result nor an error: merged, deleted, or silently not done."""
    try:
        row = await get_one(api, type_of(object_), one.id, [*one.properties, "hs_merged_object_ids"])
    except RetryLater as error:
        return Fate(Outcome.UNKNOWN, f"HubSpot said nothing of this record. {error.message}")
    if row is None:
        return Fate(Outcome.SET_ASIDE, "The record no longer exists in HubSpot.", "OBJECT_NOT_FOUND")
    if str(row["id"]) != one.id:
        return _moved(Ref(CRM, object_, str(row["id"])))
    if row.get("archived") is True:
        return Fate(Outcome.SET_ASIDE, "The record was deleted in HubSpot.", "OBJECT_NOT_FOUND")
    stored = row.get("properties") or {}
    if all(_same(stored.get(name), value) for name, value in one.properties.items()):
        return WRITTEN
    return Fate(
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
