"""Turn the growth of aggregates (page views so far, mails opened so far) into engagement. Pure: the last
readings come in, the new ones go out; whoever calls stores both in one commit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from connector.core.mapping import COUNTERS, Counter, CrmMapping
from connector.core.model import Engagement, Ref, VendorRecord
from connector.core.normalize import transforms

MAX_FIRST = 100
"""The most that a first reading with `first: all` gives."""
_ABSORBED = "(absorbed records)"
"""The reading that remembers how many records were merged into one: a merge adds counters up."""


def growth(
    record: VendorRecord,
    mapping: CrmMapping,
    readings: Mapping[tuple[Ref, str], float],
    observed_at: datetime,
) -> tuple[tuple[Engagement, ...], dict[tuple[Ref, str], float]]:
    """What the counters of one person record tell since the last readings, and the new readings.

    From m to n: n - m events at the counter's `at` (never later than `observed_at`, which also stands in for
    a blank). The first reading gives one event, with `first: all` min(n, 100). A counter that falls, and
    every counter of a record that absorbed another since (or that is new to us and absorbed one that was read:
    a merge in HubSpot makes a new record), is only read anew. A blank counter that was asked
    for reads as zero: the CRM has counted nothing yet. Keys follow from record, counter, time and number: a
    repeat gives the same ones.
    """
    shape = mapping.objects.get(record.ref.object)
    if shape is None or not shape.counters:
        return (), {}
    absorbed = (record.ref, _ABSORBED)
    fresh: dict[tuple[Ref, str], float] = {absorbed: float(len(record.absorbed))}
    merged = len(record.absorbed) > readings.get(absorbed, len(record.absorbed))
    if absorbed not in readings:
        merged = any((old, _ABSORBED) in readings for old in record.absorbed)
    grown: list[Engagement] = []
    for counter in shape.counters:
        if counter.field not in record.values:
            continue  # not fetched: says nothing
        raw = record.values[counter.field]
        now = 0 if transforms.is_blank(raw) else transforms.integer(raw)
        if now is None or now < 0:
            continue
        before = readings.get((record.ref, counter.field))
        fresh[record.ref, counter.field] = float(now)
        start = now if merged else _start(counter, before, now)
        at = min(transforms.moment(record.values.get(counter.at or "")) or observed_at, observed_at)
        url = transforms.text(record.values.get(counter.url)) if counter.url else None
        grown.extend(
            # The CRM keeps the last place only: it belongs to the newest of the events.
            _event(record, counter, mapping, at, count, url if count == now else None)
            for count in range(start + 1, now + 1)
        )
    return tuple(grown), fresh


def _start(counter: Counter, before: float | None, now: int) -> int:
    """The count after which events are new."""
    if before is None:
        return max(now - (MAX_FIRST if counter.first == "all" else 1), 0)
    return now if now < before else math.floor(before)


def _event(
    record: VendorRecord, counter: Counter, mapping: CrmMapping, at: datetime, count: int, url: str | None
) -> Engagement:
    source = mapping.source_of(counter.type)
    elsewhere = source is not None and source != COUNTERS
    milliseconds = round(at.timestamp() * 1000)
    return Engagement(
        crm=record.ref.crm,
        stream=COUNTERS,
        key=f"{record.ref.object}:{record.ref.id}:{counter.field}:{milliseconds}:{count}",
        type=counter.type,
        occurred_at=at,
        about=record.ref,
        name=counter.name,
        url=url,
        counted=not elsewhere,
        why_not=f"{source} is the source of record for {counter.type}" if elsewhere else None,
    )
