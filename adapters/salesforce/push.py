"""Push to Salesforce: a batch goes in, one Receipt per Write comes out, in order. Updates known records only.

Sends what it is given; whether a value should be written was decided before. Collections:
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections_update.htm
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.errors import Fate, Fault, fate_of, fault_of, row_step
from adapters.salesforce.payload import CRM, long_id, to_wire, whereabouts
from adapters.salesforce.rest import Rest
from connector.core.model import JsonValue, Outcome, Receipt, RecordState, Ref, Write
from connector.errors import ConnectorError, OutcomeUnknown, SkipRecord, StopRun
from connector.ports import Clock
from connector.transport import scrub

BATCH = 200  # records a collection call takes

# Without the first, a score written to a Lead hands it to whomever the assignment rules name; without the
# second, an alert of a duplicate rule blocks the write; the third is how change events name us.
HEADERS: Mapping[str, str] = {
    "Sforce-Auto-Assign": "FALSE",
    "Sforce-Duplicate-Rule-Header": "allowSave=true",
    "Sforce-Call-Options": "client=mql-connector",
}

# Together well below the 45 s for which the holder of a lease may be silent.
LOCK_WAITS = (timedelta(seconds=1), timedelta(seconds=3), timedelta(seconds=6))
MERGES_FOLLOWED = 5  # a loser's master may itself have lost

_MOVED_WORDS: Mapping[RecordState, str] = {
    RecordState.CONVERTED: "The lead was converted since; its contact is written instead.",
    RecordState.MERGED: "The record was merged since; the one that remains is written instead.",
    RecordState.ARCHIVED: "The record was deleted since.",
}


async def push(rest: Rest, clock: Clock, batch: Sequence[Write]) -> list[Receipt]:
    """Update these records: one object, each record once, at most 200. One Receipt per Write, in order.

    A bad row fails only itself; one that another transaction holds is sent again a few times; one that was
    converted, merged or deleted is set aside with where it went. Raises OutcomeUnknown when nobody can tell
    whether the batch arrived, RetryLater when the allowance is spent, FixConfig when no write can succeed.
    """
    _check(batch)
    receipts: dict[int, Receipt] = {}
    elements: dict[int, dict[str, JsonValue]] = {}
    for write in batch:
        try:
            soql.record_id(write.ref.id)
            elements[write.id] = to_wire(write.ref.object, write.ref.id, write.values)
        except SkipRecord as error:
            receipts[write.id] = Receipt(write.id, Outcome.REJECTED, str(error), "NOT_SENT")
    moved: list[tuple[Write, Fault]] = []
    held: list[tuple[Write, Fault]] = []
    left = [write for write in batch if write.id in elements]
    for wait in (None, *LOCK_WAITS):
        if not left:
            break
        if wait is not None:
            await clock.sleep(wait)
        try:
            results = await _send(rest, [elements[write.id] for write in left])
        except ConnectorError as error:
            if wait is None:
                raise  # nothing of the batch was answered yet
            if isinstance(error, OutcomeUnknown):
                receipts |= {write.id: Receipt(write.id, Outcome.UNKNOWN, str(error)) for write in left}
                held = []
            break
        held = []
        for write, result in zip(left, results, strict=True):
            if result["success"]:
                receipts[write.id] = Receipt(write.id, Outcome.WRITTEN)
                continue
            fault = _fault(result)
            match fate_of(fault):
                case Fate.AGAIN:
                    held.append((write, fault))
                case Fate.RESOLVE:
                    moved.append((write, fault))
                case Fate.REJECT:
                    receipts[write.id] = _rejected(write, fault)
        left = [write for write, _ in held]
    receipts |= {write.id: _still_held(write, fault) for write, fault in held}
    if moved:
        receipts |= await _look_where(rest, moved)
    return [receipts[write.id] for write in batch]


def _check(batch: Sequence[Write]) -> None:
    """What would make an answer ambiguous never leaves. Raises StopRun."""
    records = {long_id(write.ref.id) for write in batch}
    if len(batch) > BATCH or len(records) != len(batch) or len({write.ref.object for write in batch}) > 1:
        raise StopRun(
            "A batch for Salesforce must be of one object, hold each record once, and at most "
            f"{BATCH} of them; this one of {len(batch)} does not.",
            next_step="Nothing of it was sent. This is a fault of the connector; please report it.",
        )


async def _send(rest: Rest, elements: Sequence[Mapping[str, JsonValue]]) -> list[Mapping[str, Any]]:
    """One collection update. The status is 200 even when every row failed: only the elements tell.

    Failed elements carry no id, so that position is all that ties an answer to its row; a list of another
    length ties nothing, and counts as no answer.
    """
    answer = await rest.send(
        "PATCH",
        "/composite/sobjects",
        json={"allOrNone": False, "records": list(elements)},
        headers=HEADERS,
        idempotent=False,
    )
    results = answer.json
    fits = isinstance(results, list) and len(results) == len(elements)
    if not fits or not all(_of(result, sent) for result, sent in zip(results, elements, strict=True)):
        raise OutcomeUnknown(
            f"Salesforce answered a write of {len(elements)} records, but not with a result for each.",
            next_step="The records are read back before they are written again.",
            where=answer.asked,
        )
    return list(results)


def _of(result: Any, sent: Mapping[str, JsonValue]) -> bool:
    """Whether this can be the result of that element: a saved one names its record."""
    if not isinstance(result, Mapping) or not isinstance(result.get("success"), bool):
        return False
    return not result["success"] or long_id(str(result.get("id"))) == long_id(str(sent["id"]))


def _fault(result: Mapping[str, Any]) -> Fault:
    fault = fault_of(result.get("errors"))
    return fault if fault.code else Fault("UNNAMED", "Salesforce refused the row without a reason.")


def _rejected(write: Write, fault: Fault) -> Receipt:
    said = _without_values(fault.message, write)
    reason = " ".join(
        part for part in (f"{fault.code}: {said}" if said else fault.code, row_step(fault.code)) if part
    )
    return Receipt(write.id, Outcome.REJECTED, reason, fault.code)


def _without_values(text: str, write: Write) -> str:
    """The vendor's text without what we sent and without addresses: it may tell about the person."""
    for value in write.values.values():
        if isinstance(value, str) and len(value) > 3:
            text = text.replace(value, "[value]")
    return scrub(text)


def _still_held(write: Write, fault: Fault) -> Receipt:
    reason = f"{fault.code}: another transaction held the record at every try; later runs try again."
    return Receipt(write.id, Outcome.REJECTED, reason, fault.code)


async def _look_where(rest: Rest, moved: Sequence[tuple[Write, Fault]]) -> dict[int, Receipt]:
    """Where rows went that could not be updated. One that still stands there was refused for another reason.

    Never raises: the other rows of the batch are already written.
    """
    try:
        found = await _whereabouts(rest, moved[0][0].ref.object, [write.ref.id for write, _ in moved])
    except ConnectorError as error:
        reason = f"It could not be written, and where it went could not be asked: {error.message}"
        return {
            write.id: Receipt(write.id, Outcome.SET_ASIDE, f"{fault.code}. {reason}", fault.code)
            for write, fault in moved
        }
    receipts: dict[int, Receipt] = {}
    for write, fault in moved:
        state, target = found.get(long_id(write.ref.id), (RecordState.GONE, None))
        if state is RecordState.LIVE:
            receipts[write.id] = _rejected(write, fault)
            continue
        reason = _MOVED_WORDS.get(state, "The record no longer exists, or this user no longer sees it.")
        receipts[write.id] = Receipt(write.id, Outcome.SET_ASIDE, reason, fault.code, target)
    return receipts


async def _whereabouts(
    rest: Rest, source: str, ids: Sequence[str]
) -> dict[str, tuple[RecordState, Ref | None]]:
    """State and target by 18-character id. Chains of merges are followed to the record that remains."""
    columns = ["Id", "IsDeleted", "MasterRecordId"]
    if source == "Lead":
        columns += ["IsConverted", "ConvertedContactId"]
    known: dict[str, tuple[RecordState, Ref | None]] = {}
    asked = [long_id(each) for each in ids]
    for _ in range(MERGES_FOLLOWED):
        query = soql.select(columns, source, [soql.id_in("Id", asked)])
        for row in await rest.all_rows(query, deleted_too=True):
            known[long_id(str(row.get("Id")))] = whereabouts(row, source)
        targets = {target.id for _, target in known.values() if target and target.object == source}
        asked = sorted(targets - known.keys())
        if not asked:
            break
    return {each: _followed(each, known) for each in map(long_id, ids) if each in known}


def _followed(
    start: str, known: Mapping[str, tuple[RecordState, Ref | None]]
) -> tuple[RecordState, Ref | None]:
    state, target = known[start]
    passed = {start}
    while target is not None and target.crm == CRM and target.id in known and target.id not in passed:
        passed.add(target.id)
        onward = known[target.id][1]
        if onward is None:
            break
        target = onward
    return state, target
