"""What a cursor holds, and how far behind "now" it stays. Pure; state that cannot be read never means
"start over".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from adapters.hubspot.payload import UnreadableError, moment
from connector.core.model import JsonValue
from connector.errors import StopRun

LAG = timedelta(seconds=60)  # the index trails writes by "a few moments"; nobody publishes a bound
AGAIN_EVERY = timedelta(hours=1)  # what the index showed later than the overlap is found by a second look
SWEEP_EVERY = timedelta(days=1)  # archived records never show in a search
REFRESH_EVERY = timedelta(days=7)  # calculated properties change without a trace in the last-modified one
FLOOR = datetime(2006, 1, 1, tzinfo=UTC)  # HubSpot has no older record, and epoch 0 makes a search fail

Cursor = Mapping[str, JsonValue]


def window_cursor(until: datetime, *, swept: datetime, refreshed: datetime) -> dict[str, JsonValue]:
    """Where increments begin: everything up to `until` is kept."""
    return {
        "kind": "window",
        "until": iso(until),
        "again": iso(until),
        "swept": iso(swept),
        "refreshed": iso(refreshed),
    }


def cursor_time(cursor: Cursor, key: str) -> datetime:
    """A time out of a stored cursor. Raises StopRun: state that cannot be read never means "start over"."""
    try:
        read = moment(cursor.get(key))
    except UnreadableError:
        read = None
    if read is None:
        raise StopRun(
            f"The stored HubSpot cursor has no readable `{key}`.",
            next_step="Was the ledger edited or restored? Restore it from a backup, or start on an empty one.",
        )
    return read


def unreadable_cursor(stream: str, cursor: Cursor | None) -> StopRun:
    kind = cursor.get("kind") if cursor else None
    return StopRun(
        f"The stored cursor of hubspot/{stream} is of a kind this version does not know: {kind!r}.",
        next_step="Was the ledger written by a newer version? Restore it from a backup, or start on an empty one.",
    )


def iso(at: datetime) -> str:
    """As cursors keep times."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def millis(at: datetime) -> int:
    """As HubSpot takes times."""
    return int(at.timestamp() * 1000)


# ------------------------------------------------------------------------------------------------ of backfills

END = "end"  # in place of HubSpot's own `after`, where there is nothing behind


def begun_at(begun: Cursor | None, kind: str, key: str, stream: str) -> str | None:
    """Where a backfill of this kind stood; None before its first page. Raises StopRun for any other cursor."""
    if begun is None:
        return None
    if begun.get("kind") != kind or not isinstance(begun.get(key), str) or not begun[key]:
        raise unreadable_backfill(stream)
    return str(begun[key])


def unreadable_backfill(stream: str) -> StopRun:
    return StopRun(
        f"The stored cursor of the backfill of hubspot/{stream} cannot be read.",
        next_step="Was its range or the ledger changed meanwhile? Cancel this backfill and start another.",
    )


def to_the_millisecond(at: datetime) -> datetime:
    """The first whole millisecond from then on: as exact as HubSpot keeps times."""
    rest = at.microsecond % 1000
    return at + timedelta(microseconds=1000 - rest) if rest else at
