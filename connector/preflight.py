"""What a backfill would take, told before it begins: records, calls, minutes, portions, and what listens to its writes.

Asks with a call or two, reads no row. Kept with the backfill as it was told then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import ceil

from connector.core.mapping import CrmMapping
from connector.core.model import JsonValue
from connector.core.names import nearest
from connector.errors import ConnectorError, FixConfig
from connector.insight.automations import written_fields
from connector.phases.gather import is_mapped
from connector.ports import Adapter, Allowance, Automations, Estimate, Range, Stream


def streams_of(adapter: Adapter, mapping: CrmMapping, object: str) -> list[Stream]:
    """The mapped streams that `object` names: a stream, or the vendor's object (either's plural); empty: all.

    Raises FixConfig for a name that nothing mapped has.
    """
    mapped = [stream for stream in adapter.streams() if is_mapped(stream, mapping)]
    if not object:
        return mapped
    names = {name.lower(): stream for stream in mapped for name in (*stream.objects, stream.name)}
    asked = object.lower()
    found = names.get(asked) or names.get(f"{asked}s") or names.get(asked.removesuffix("s"))
    if found is None:
        known = ", ".join(stream.name for stream in mapped)
        hint = nearest(object, [*names])
        raise FixConfig(
            f"{adapter.crm} has no mapped object `{object}`.",
            next_step=f"Did you mean `{hint}`? Known: {known}." if hint else f"Known: {known}.",
            where="--object",
        )
    return [found]


async def estimate(adapter: Adapter, mapping: CrmMapping, object: str, within: Range) -> dict[str, Estimate]:
    """Per stream what reading the range would take, by the vendor's own count; in reading order."""
    return {
        stream.name: await adapter.estimate(stream.name, within)
        for stream in streams_of(adapter, mapping, object)
    }


async def preflight(
    adapter: Adapter, mapping: CrmMapping, estimates: Mapping[str, Estimate]
) -> dict[str, JsonValue]:
    """The estimate as a document, with the calls that writing may take on top, in how many portions the day's allowance
    divides the reading, and the automations that were found to listen to what may be written."""
    people = {stream.name for stream in adapter.streams() if stream.kind == "person"}
    rows = sum(each.rows or 0 for name, each in estimates.items() if name in people)
    allowance = adapter.allowance()
    document = told(estimates, allowance)
    calls = sum(each.calls for each in estimates.values())
    return {
        **document,
        "write_calls_at_most": ceil(rows / adapter.limits.write_batch),
        "portions": portions(calls, allowance),
        "automations": _listening(await _automations(adapter, mapping)),
    }


def portions(calls: int, allowance: Allowance | None) -> int | None:
    """In how many days' shares so many calls are made: 1 where what is left today is enough. Others are taken to go on
    using as much a day as they did today. None: nobody knows, or they leave nothing."""
    if allowance is None or allowance.allowed <= 0:
        return None
    share = int(allowance.share * allowance.allowed)
    left = max(share - allowance.used, 0)
    if calls <= left:
        return 1
    a_day = share - max(allowance.used - allowance.ours, 0)
    if a_day <= 0:
        return None
    return (1 if left else 0) + ceil((calls - left) / a_day)


async def _automations(adapter: Adapter, mapping: CrmMapping) -> Automations:
    try:
        return await adapter.automations(written_fields(mapping))
    except ConnectorError as error:  # it is told, and stops nothing
        return Automations(unseen=(f"Automations could not be asked for: {error.message}",))


def _listening(found: Automations) -> JsonValue:
    return {
        "found": [
            {**asdict(each), "listens": sorted(each.listens), "writes": sorted(each.writes)}
            for each in found.found
        ],
        "unseen": list(found.unseen),
    }


def told(estimates: Mapping[str, Estimate], allowance: Allowance | None) -> dict[str, JsonValue]:
    """The estimate as a document: in all and per stream. `share`: of all calls that the account may make in a day."""
    counts = [each.rows for each in estimates.values()]
    calls = sum(each.calls for each in estimates.values())
    document: dict[str, JsonValue] = {
        "records": sum(rows for rows in counts if rows is not None),
        "uncounted": [name for name, each in estimates.items() if each.rows is None],
        "calls": calls,
        "minutes": round(sum(each.seconds for each in estimates.values()) / 60, 1),
        "share": None,
        "left_today": None,
        "streams": {
            name: {"records": each.rows, "calls": each.calls, "minutes": round(each.seconds / 60, 1)}
            for name, each in estimates.items()
        },
    }
    if allowance is not None and allowance.allowed > 0:
        document["share"] = round(calls / allowance.allowed, 4)
        document["left_today"] = max(int(allowance.share * allowance.allowed) - allowance.used, 0)
    return document
