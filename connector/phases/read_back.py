"""Read back, after the push: whether what a CRM said it took really stands there, by a sample of the run's writes.

A difference makes the run partial. The receipt stays as it was given; the stored record is corrected and its person
is due, so that the next decision is made on what stands there. Writes nothing to a CRM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.core.model import JsonValue, Outcome, Receipt, RecordState, Ref, VendorRecord
from connector.core.values import same_value
from connector.errors import ConnectorError
from connector.phases.changes import last_changes
from connector.ports import Adapter, Clock, Fields, Hold, Lease, Ledger, PlanRow

MOST = 50
NAMED = 20


@dataclass(slots=True)
class Sample:
    """At most so many of the rows that were written, evenly spread over all of them, whatever their number."""

    rows: list[PlanRow] = field(default_factory=list)
    _seen: int = 0
    _every: int = 1

    def add(self, rows: Sequence[PlanRow], receipts: Sequence[Receipt]) -> None:
        """Take from these what the spread asks for."""
        for row, receipt in zip(rows, receipts, strict=True):
            if receipt.outcome is not Outcome.WRITTEN or receipt.moved_to is not None:
                continue
            if self._seen % self._every == 0:
                self.rows.append(row)
            self._seen += 1
            if len(self.rows) > MOST:
                self.rows = self.rows[::2]
                self._every *= 2


async def read_back(
    adapter: Adapter, fields: Fields, ledger: Ledger, clock: Clock, rows: Sequence[PlanRow], lease: Lease
) -> tuple[dict[str, JsonValue], str | None]:
    """`{sampled, differ, records}` for the run's document, and what is to be told of it. A call or two; who changed a
    field is asked only where one differs. A record that is gone, merged or converted since is no difference."""
    if not rows:
        return {}, None
    refs = [row.ref for row in rows]
    try:
        fresh: dict[Ref, VendorRecord] = {}
        for start in range(0, len(refs), adapter.limits.read_batch):
            fresh |= await adapter.read(refs[start : start + adapter.limits.read_batch], fields)
    except ConnectorError as error:
        return {"sampled": 0, "differ": 0, "records": []}, f"what was written could not be read back: {error}"
    differ: dict[tuple[Ref, str], tuple[JsonValue, JsonValue]] = {}
    sampled = 0
    for row in rows:
        record = fresh.get(row.ref)
        if record is None or record.state is not RecordState.LIVE or record.ref != row.ref:
            continue
        sampled += 1
        for write in row.writes:
            found = record.values.get(write.field)
            if not same_value(found, write.after):
                differ[row.ref, write.field] = (write.after, found)
    if not differ:
        return {"sampled": sampled, "differ": 0, "records": []}, None
    who = await changed_by(adapter, list(differ)[:NAMED])
    records = [
        {
            "record": str(ref),
            "field": name,
            "expected": expected,
            "found": found,
            "by": who.get((ref, name), ""),
        }
        for (ref, name), (expected, found) in list(differ.items())[:NAMED]
    ]
    stands: dict[Ref, dict[str, JsonValue]] = {}
    for (ref, name), (_, found) in differ.items():
        stands.setdefault(ref, {})[name] = found
    await ledger.correct(stands, lease, clock.now())
    one = records[0]
    by = f" by {one['by']}" if one["by"] else ""
    told = (
        f"read back: {len(stands)} of {sampled} records do not hold what was written, the first {one['record']}: "
        f"{one['field']} was changed{by} or not taken"
    )
    return {"sampled": sampled, "differ": len(stands), "records": list(records)}, told


async def changed_by(adapter: Adapter, places: Sequence[tuple[Ref, str]]) -> Mapping[tuple[Ref, str], str]:
    """Who last changed these fields, in the vendor's words; not knowing it holds nothing up."""
    changes = await last_changes(adapter, places)
    return {place: change.by for place, change in changes.items() if change.by}


async def told_tugs(adapter: Adapter, tugs: Sequence[Hold]) -> list[dict[str, JsonValue]]:
    """The fields that are left alone because somebody keeps changing them back, for the run's document; who does it
    where the CRM can tell."""
    who = await changed_by(adapter, [(hold.ref, hold.field) for hold in tugs[:NAMED]])
    return [
        {
            "record": str(hold.ref), "field": hold.field, "ours": hold.value, "theirs": hold.other,
            "times": hold.times, "by": who.get((hold.ref, hold.field), ""),
        }
        for hold in tugs
    ]  # fmt: skip
