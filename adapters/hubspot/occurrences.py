"""Pull behavioural events, page visits above all, of the people named: a call for each of them at least.

For accounts of an Enterprise tier. The vendor takes one record per question, so whoever asks keeps the list short; the
same person is asked about again after six hours at the earliest.
Source: developers.hubspot.com, "Event occurrences".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.cursors import Cursor, cursor_time, iso, unreadable_cursor
from adapters.hubspot.errors import Forbidden
from adapters.hubspot.marketing_events import not_available
from adapters.hubspot.payload import CRM, UnreadableError, moment, read_rows, row_id
from connector.core.model import JsonValue, Page, Ref, VendorEvent
from connector.ports import Range, Stream

STREAM = Stream("behavioural_events", "engagement", ("behavioural_events",), per_person=True)
PAGE = 100
AGAIN = timedelta(hours=6)
OVERLAP = timedelta(hours=1)  # events arrive late
BACK = timedelta(days=90)  # of somebody not asked about before
TOGETHER = 10  # people asked about side by side


async def pull_occurrences(api: Api, people: Sequence[Ref], since: Cursor | None) -> AsyncIterator[Page]:
    """What these people did since each was last asked about. The cursor keeps that time per person.

    An account that does not have such events says so in a note, after one call; one that had them raises FixConfig.
    """
    kind = since.get("kind") if since is not None else "unavailable"
    if kind not in ("unavailable", "occurrences"):
        raise unreadable_cursor(STREAM.name, since)
    known: dict[str, JsonValue] = dict(since.get("read") or {}) if since and kind == "occurrences" else {}
    now = await api.now()
    read = {ref.id: known[ref.id] for ref in people if ref.id in known}  # of others the time is forgotten
    due = [ref for ref in people if ref.id not in read or now - cursor_time(read, ref.id) >= AGAIN]
    asked = 0
    while asked < len(due):
        together = due[
            asked : asked + (TOGETHER if asked else 1)
        ]  # the first one alone, to learn whether we may
        asked += len(together)
        try:
            found = await asyncio.gather(
                *(_of_one(api, ref, _from(read, ref, now), None) for ref in together)
            )
        except Forbidden as error:
            if known:
                raise
            yield not_available(STREAM.name, error)
            return
        read.update({ref.id: iso(now) for ref in together})
        rows = [row for each in found for row in each]
        events, bad = read_rows(rows, STREAM.name, lambda pair: occurrence(*pair))
        yield Page(STREAM.name, _cursor(read), (), tuple(events), tuple(bad), len(rows))
    if not due:
        yield Page(STREAM.name, _cursor(read))


def _cursor(read: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {"kind": "occurrences", "read": dict(read)}


def _from(read: Mapping[str, JsonValue], ref: Ref, now: datetime) -> datetime:
    return cursor_time(read, ref.id) - OVERLAP if ref.id in read else now - BACK


async def _of_one(api: Api, ref: Ref, lo: datetime, hi: datetime | None) -> list[tuple[Any, Ref]]:
    """Everything one contact did since, oldest first."""
    params = {
        "objectType": "contact",
        "objectId": ref.id,
        "occurredAfter": iso(lo),
        "occurredBefore": iso(hi) if hi else None,
        "sort": "occurredAt",
        "limit": PAGE,
    }
    return [(row, ref) async for rows, _ in api.pages(api.paths.occurrences, params) for row in rows]


def occurrence(row: Any, ref: Ref) -> VendorEvent:
    """One event of this contact: its own properties beside `eventType`. Raises UnreadableError."""
    id_ = row_id(row)
    happened = moment(row.get("occurredAt"))
    if happened is None:
        raise UnreadableError("it does not say when it happened")
    own = row.get("properties")
    values = {str(name): (None if each == "" else each) for name, each in own.items()} if own else {}
    return VendorEvent(
        crm=CRM,
        stream=STREAM.name,
        key=id_,
        values={**values, "eventType": row.get("eventType") or None},
        occurred_at=happened,
        about=(ref,),
    )


# ------------------------------------------------------------------------------------------------ of backfills


async def least_calls(api: Api, within: Range) -> int:
    """None of its own: nobody is named in a backfill, so nothing is read."""
    return 1


async def backfill(api: Api, within: Range, begun: Cursor | None) -> AsyncIterator[Page]:
    """Nothing. Who is in the band when the next sync runs is read then, three months back."""
    if begun is not None:
        raise unreadable_cursor(STREAM.name, begun)
    return
    yield  # an iterator all the same
