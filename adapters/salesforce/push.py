"""Push to Salesforce: a batch goes in, one Receipt per Write comes out, in order. Updates known records only.

Whether a value should be written was decided before; here it is held against the schema, sent, and every row's answer
sorted. Collections:
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections_update.htm
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.checks import Unfit, fields_by_name, fitted
from adapters.salesforce.errors import DAY_IS_SPENT, Fate, Fault, fate_of, fault_of, row_step
from adapters.salesforce.guarded import lowers, push_guarded
from adapters.salesforce.payload import CRM, long_id, to_wire, whereabouts
from adapters.salesforce.rest import Rest
from connector.core.model import JsonValue, Outcome, Receipt, RecordState, Ref, Write
from connector.errors import ConnectorError, FixConfig, OutcomeUnknown, RetryLater, SkipRecord, StopRun
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
PATIENCE = timedelta(seconds=15)  # after this no further call of the batch begins
MERGES_FOLLOWED = 5  # a loser's master may itself have lost
FINE_AGAIN = 20  # calls without a complaint before twice as many rows are tried at once

SCHEMA_KNOWN = timedelta(minutes=10)  # good enough to send by
SCHEMA_SURE = timedelta(seconds=30)  # good enough to refuse by: a grant of a minute ago must count

_MOVED_WORDS: Mapping[RecordState, str] = {
    RecordState.CONVERTED: "The lead was converted since; its contact is written instead.",
    RecordState.MERGED: "The record was merged since; the one that remains is written instead.",
    RecordState.ARCHIVED: "The record was deleted since.",
}


@dataclass(slots=True)
class Pace:
    """How many rows at once the org's own triggers get through. Kept between batches, for the life of a process."""

    rows: int = BATCH
    fine: int = 0

    def worked(self) -> None:
        """A call went through."""
        self.fine += 1
        if self.fine >= FINE_AGAIN and self.rows < BATCH:
            self.rows, self.fine = min(self.rows * 2, BATCH), 0

    def overran(self, rows: int) -> None:
        """So many rows were too many."""
        self.rows, self.fine = max(1, min(self.rows, rows // 2)), 0


@dataclass(slots=True)
class Row:
    """One record of a batch: what is sent for it, and whose receipts hang on it."""

    id: str
    writes: list[Write]
    element: dict[str, JsonValue]
    tries: int = 0


@dataclass(slots=True)
class Answers:
    """Where a batch stands. `moved` and `held` await their answer."""

    receipts: dict[int, Receipt] = field(default_factory=dict)
    moved: list[tuple[Row, Fault]] = field(default_factory=list)
    held: list[tuple[Row, Fault]] = field(default_factory=list)
    stopped: Fault | None = None

    def answer(self, row: Row, outcome: Outcome, reason: str = "", code: str = "") -> None:
        for write in row.writes:
            self.receipts[write.id] = Receipt(write.id, outcome, reason, code)

    @property
    def written(self) -> bool:
        return any(receipt.outcome is Outcome.WRITTEN for receipt in self.receipts.values())


async def push(
    rest: Rest,
    clock: Clock,
    batch: Sequence[Write],
    *,
    pace: Pace | None = None,
    look_first: bool = False,
    guard: bool = False,
) -> list[Receipt]:
    """Update these records of one object, at most 200. One Receipt per Write, in order.

    A bad row fails only itself, most of them before anything is sent. One that another transaction holds is sent
    again a few times; where the org's own code runs out of time, fewer rows go at once; one that was converted,
    merged or deleted is set aside with where it went. `look_first`: the org lets converted Leads be edited, so that
    no error would tell; they are looked for. `guard`: a lower stage goes by itself, on the condition that nobody
    changed the record since. Raises OutcomeUnknown when nobody can tell whether the batch arrived, RetryLater when the
    allowance is spent, FixConfig when no write can succeed.
    """
    if not batch:
        return []
    _check(batch)
    pace = pace or Pace()
    done = Answers()
    plain = await _guarded(rest, batch, done) if guard else batch
    rows = await prepared(rest, plain, done) if plain else []
    if look_first and rows and batch[0].ref.object == "Lead":
        rows = await _still_leads(rest, rows, done)
    until = clock.now() + PATIENCE
    waits = iter(LOCK_WAITS)
    while rows:
        await _round(rest, clock, rows, done, pace, until)
        rows = [row for row, _ in done.held]
        wait = next(waits, None)
        if not rows or wait is None or clock.now() >= until or done.stopped:
            break
        await clock.sleep(wait * random.uniform(0.8, 1.2))  # others may wait for the same row
    for row, fault in done.held:
        reason = f"{fault.code}: another transaction held the record at every try; later runs try again."
        done.answer(row, Outcome.REJECTED, reason, fault.code)
    if done.stopped and not done.written:
        raise _stop(done.stopped)
    if done.moved:
        await _look_where(rest, done)
    return [done.receipts[write.id] for write in batch]


# -------------------------------------------------------------------------------------- before it leaves


def _check(batch: Sequence[Write]) -> None:
    """More objects would be processed in runs, of which a call takes few; one at a time needs no counting."""
    if len(batch) > BATCH or len({write.ref.object for write in batch}) > 1:
        raise StopRun(
            f"A batch for Salesforce must be of one object and at most {BATCH} records; this one of {len(batch)} "
            "is not.",
            next_step="Nothing of it was sent. This is a fault of the connector; please report it.",
        )


async def _guarded(rest: Rest, batch: Sequence[Write], done: Answers) -> list[Write]:
    """Writes that lower a stage are sent by themselves; returns the others."""
    source = soql.name(batch[0].ref.object)
    fields = fields_by_name(await rest.describe(source, younger_than=SCHEMA_KNOWN))
    lowering = [write for write in batch if lowers(write, fields)]
    if lowering:
        receipts = await push_guarded(rest, lowering, fields, HEADERS)
        done.receipts |= {receipt.write_id: receipt for receipt in receipts}
    return [write for write in batch if write.id not in done.receipts]


async def prepared(rest: Rest, batch: Sequence[Write], done: Answers) -> list[Row]:
    """The rows that can be sent; the others have their receipts. A record that comes twice is sent once."""
    source = batch[0].ref.object
    described = await rest.describe(soql.name(source), younger_than=SCHEMA_KNOWN)
    fields, sure = fields_by_name(described), False
    if not described.get("updateable", True):
        raise FixConfig(
            f"This user may not edit {source} records.",
            next_step="Grant Edit on the object by a permission set; then `connector check`.",
        )
    rows: dict[str, Row] = {}
    for write in batch:
        try:
            soql.record_id(write.ref.id)
            try:
                values = fitted(fields, write.values)
            except Unfit:
                if sure:
                    raise
                fields = fields_by_name(await rest.describe(source, younger_than=SCHEMA_SURE))
                sure = True
                values = fitted(fields, write.values)
            element = to_wire(source, write.ref.id, values)
        except SkipRecord as error:
            code = error.code if isinstance(error, Unfit) else "NOT_SENT"
            done.receipts[write.id] = Receipt(write.id, Outcome.REJECTED, str(error), code)
            continue
        _fold(rows, write, element, done)
    return list(rows.values())


def _fold(rows: dict[str, Row], write: Write, element: dict[str, JsonValue], done: Answers) -> None:
    """One row per record, whichever of its two ids was named: what Salesforce does with a record that comes twice in
    a call is nowhere told. Of two values for one field the later write's is sent, and the earlier write gives way.
    """
    key = long_id(write.ref.id)
    known = rows.get(key)
    if known is None:
        rows[key] = Row(key, [write], element)
        return
    for earlier in list(known.writes):
        if any(
            earlier.values[name] != write.values[name] for name in earlier.values.keys() & write.values.keys()
        ):
            reason = "A later write of the same plan names the same record; that one is sent."
            done.receipts[earlier.id] = Receipt(earlier.id, Outcome.SET_ASIDE, reason)
            known.writes.remove(earlier)
    known.element |= {name: value for name, value in element.items() if name not in ("attributes", "id")}
    known.writes.append(write)


async def _still_leads(rest: Rest, rows: Sequence[Row], done: Answers) -> list[Row]:
    """Those that were not converted meanwhile."""
    found = await _whereabouts(rest, "Lead", [row.id for row in rows])
    live: list[Row] = []
    for row in rows:
        if found.get(row.id, (RecordState.GONE, None))[0] is RecordState.LIVE:
            live.append(row)
        else:
            done.moved.append((row, Fault("CANNOT_UPDATE_CONVERTED_LEAD")))
    return live


# ---------------------------------------------------------------------------------------------- the calls


async def _round(
    rest: Rest, clock: Clock, rows: Sequence[Row], done: Answers, pace: Pace, until: Any
) -> None:
    """Send these rows, as many at once as the org's code gets through. Rows that stay held are `done.held`.

    Raises only while nothing of the batch was answered.
    """
    done.held = []
    queue = deque(rows)
    while queue:
        if done.receipts and (clock.now() >= until or done.stopped):
            break
        part = [queue.popleft() for _ in range(min(pace.rows, len(queue)))]
        try:
            results = await _send(rest, [row.element for row in part])
        except ConnectorError as error:
            first = not done.written and not done.moved and not any(row.tries for row in (*part, *queue))
            if first and not done.held:
                raise
            if isinstance(error, OutcomeUnknown):
                for row in part:
                    done.answer(row, Outcome.UNKNOWN, str(error))
            else:
                queue.extendleft(reversed(part))
            for row in queue:
                _not_sent(row, done, str(error))
            return
        again = _sorted(part, results, done)
        if again:
            if len(part) == 1:
                row, fault = again[0]
                done.answer(
                    row, Outcome.REJECTED, reason_of(row, fault, "Even alone it is too much."), fault.code
                )
            else:
                pace.overran(len(part))
                queue.extendleft(row for row, _ in reversed(again))
        else:
            pace.worked()
    for row in queue:
        _not_sent(
            row, done, "The org's own code takes too long for so many records; the rest goes a little later."
        )


def _not_sent(row: Row, done: Answers, why: str) -> None:
    """It was certainly not saved: refused before and not sent again, or never sent."""
    done.answer(row, Outcome.WAITING, why)


def _sorted(
    part: Sequence[Row], results: Sequence[Mapping[str, Any]], done: Answers
) -> list[tuple[Row, Fault]]:
    """Give every row of a call its fate; returns those for which there were too many."""
    smaller: list[tuple[Row, Fault]] = []
    for row, result in zip(part, results, strict=True):
        row.tries += 1
        if result["success"]:
            done.answer(row, Outcome.WRITTEN)
            continue
        fault = _fault(result)
        match fate_of(fault):
            case Fate.AGAIN:
                done.held.append((row, fault))
            case Fate.SMALLER:
                smaller.append((row, fault))
            case Fate.RESOLVE:
                done.moved.append((row, fault))
            case Fate.STOP:
                done.stopped = fault
                done.answer(row, Outcome.WAITING, reason_of(row, fault), fault.code)
            case Fate.REJECT:
                done.answer(row, Outcome.REJECTED, reason_of(row, fault), fault.code)
    return smaller


def _stop(fault: Fault) -> ConnectorError:
    """Why no write of this run can succeed."""
    said = f"Salesforce saved no record ({fault})."
    if fault.code == "REQUEST_LIMIT_EXCEEDED":
        return RetryLater(said, next_step=row_step(fault), after=DAY_IS_SPENT)
    return FixConfig(said, next_step=row_step(fault))


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


def reason_of(row: Row, fault: Fault, more: str = "") -> str:
    said = _without_values(fault.message, row)
    parts = (f"{fault.code}: {said}" if said else fault.code, _step(fault), more)
    return " ".join(part for part in parts if part)


def _step(fault: Fault) -> str:
    if fault.code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST":  # describe, asked before, knows the value
        return "The picklist has the value, but not for this record's type: add it there."
    return row_step(fault)


def _without_values(text: str, row: Row) -> str:
    """The vendor's text without what we sent and without addresses: it may tell about the person."""
    for name, value in row.element.items():
        if isinstance(value, str) and len(value) > 3 and name != "id":
            text = text.replace(value, "[value]")
    return scrub(text)


# -------------------------------------------------------------------------------------- where it went


async def _look_where(rest: Rest, done: Answers) -> None:
    """Where rows went that could not be updated. One that still stands there was refused for another reason.

    Never raises: the other rows of the batch are already written.
    """
    moved = done.moved
    try:
        found = await _whereabouts(rest, moved[0][0].writes[0].ref.object, [row.id for row, _ in moved])
    except ConnectorError as error:
        for row, fault in moved:
            reason = f"It could not be written, and where it went could not be asked: {error.message}"
            done.answer(row, Outcome.SET_ASIDE, f"{fault.code}. {reason}", fault.code)
        return
    for row, fault in moved:
        state, target = found.get(row.id, (RecordState.GONE, None))
        if state is RecordState.LIVE:
            done.answer(row, Outcome.REJECTED, reason_of(row, fault), fault.code)
            continue
        reason = _MOVED_WORDS.get(state, "The record no longer exists, or this user no longer sees it.")
        for write in row.writes:
            done.receipts[write.id] = Receipt(write.id, Outcome.SET_ASIDE, reason, fault.code, target)


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
