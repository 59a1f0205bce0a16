"""How the ledger grows: what its tables hold now, against what they held in the nights of the last week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from connector.ledger import SqlLedger
from connector.ledger.store_daily import BYTES, CALLS, ROWS, WHOLE

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes and rows by table, and their growth a day over the last `days` (None: there is no earlier night).
    `bytes` is empty where the database does not tell them by table. `calls`: by UTC day, and by CRM and feature."""

    whole: int
    unused: int
    rows: Mapping[str, int]
    bytes: Mapping[str, int]
    days: float = 0.0
    whole_a_day: float | None = None
    rows_a_day: Mapping[str, float] = field(default_factory=dict)
    bytes_a_day: Mapping[str, float] = field(default_factory=dict)
    calls: Mapping[date, Mapping[str, int]] = field(default_factory=dict)


async def growth_of(ledger: SqlLedger, at: datetime) -> Growth:
    """Now. Counts every table: slow on a large ledger."""
    since = at.date() - WEEK
    rows, sizes = await ledger.sizes()
    whole, unused = await ledger.bytes_in_use()
    earlier_rows, earlier_bytes = await ledger.daily(ROWS, since), await ledger.daily(BYTES, since)
    calls = await ledger.daily(CALLS, since)
    by_table = {name: size for name, size in sizes.items() if name != WHOLE}
    first = min(earlier_bytes, default=at.date())
    days = (at.date() - first).days
    if not days:
        return Growth(whole, unused, rows, by_table, calls=calls)
    return Growth(
        whole, unused, rows, by_table, days, a_day(earlier_bytes[first], sizes, days)[WHOLE],
        a_day(earlier_rows.get(first, {}), rows, days), a_day(earlier_bytes[first], by_table, days), calls,
    )  # fmt: skip


async def whole_a_day(ledger: SqlLedger, at: datetime) -> float | None:
    """By how many bytes a day the database grew over the last week; None where there is no earlier night. Quick."""
    kept = await ledger.daily(BYTES, at.date() - WEEK)
    earlier = {day: sizes[WHOLE] for day, sizes in kept.items() if WHOLE in sizes}
    first = min(earlier, default=at.date())
    days = (at.date() - first).days
    return ((await ledger.bytes_in_use())[0] - earlier[first]) / days if days else None


def a_day(earlier: Mapping[str, int], now: Mapping[str, int], days: float) -> dict[str, float]:
    """The growth of each that was there."""
    return {name: (many - earlier[name]) / days for name, many in now.items() if name in earlier}
