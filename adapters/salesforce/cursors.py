"""What a cursor of Salesforce holds, and how far behind "now" it stays. Pure; state that cannot be read never means
"start over".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.bulk_place import Place, read_place, write_place
from adapters.salesforce.payload import instant
from connector.core.model import JsonValue
from connector.errors import StopRun

LAG = timedelta(minutes=3)  # the watermark stays this far behind: younger commits may still be open
OVERLAP = timedelta(minutes=10)  # each increment reads this much again: long transactions commit late
SWEEP_EVERY = timedelta(days=1)  # what moves no stamp is seen after this time at the latest
SWEEP_MANY_EVERY = timedelta(
    days=7
)  # the same for streams of more than so many rows, a call per 2,000 of them
MANY_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Loading:
    """A first load, read up to this id. It started at this server time. `bulk`: how far a job has got with the rest."""

    after: str
    started: datetime
    bulk: Place | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Everything is being read once more, by id: since when, up to which id, how many rows so far."""

    began: datetime
    after: str = soql.FIRST_ID
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes are kept up to `until`. Part way through an increment: behind which row; the next `until`.

    `due`: when everything is read once more (None: a day behind `until`); `sweep`: how far that has got. `feed`: up to
    when hard deletes are known. `hidden`: the wanted fields that were not visible (None: nobody looked). `bulk`: part
    way, how far a job has got with the rest. `alive`: rows that the last sweep met; `fewer`: since when so many of them
    are out of sight that it is not believed yet.
    """

    until: datetime
    stamp: datetime | None = None
    after: str = soql.FIRST_ID
    then: datetime | None = None
    due: datetime | None = None
    sweep: Sweep | None = None
    feed: datetime | None = None
    hidden: frozenset[str] | None = None
    bulk: Place | None = None
    alive: int | None = None
    fewer: datetime | None = None

    @property
    def sweep_due(self) -> datetime:
        """When everything is to be read once more."""
        return self.due or self.until + SWEEP_EVERY


def read_cursor(cursor: Mapping[str, JsonValue] | None) -> Loading | Changes | None:
    """The position a stored cursor tells. Raises StopRun for one we did not write: it never means "anew"."""
    if cursor is None:
        return None
    try:
        place = _place(cursor)
    except (KeyError, TypeError, ValueError, AttributeError):
        place = None
    swept = place.sweep.after if isinstance(place, Changes) and place.sweep else soql.FIRST_ID
    if place is None or not soql.is_id(place.after) or not soql.is_id(swept):
        raise unreadable()
    return place


def unreadable() -> StopRun:
    """Raised for a cursor that we did not write."""
    return StopRun(
        "The stored cursor of a Salesforce stream cannot be read.",
        next_step="Restore the ledger from a backup, or start on an empty one.",
    )


def _place(cursor: Mapping[str, JsonValue]) -> Loading | Changes | None:
    if cursor["kind"] == "list":
        return Loading(cursor["after"], instant(cursor["started"]), _bulk(cursor))
    if cursor["kind"] != "changes":
        return None
    place = Changes(instant(cursor["until"]))
    if "stamp" in cursor:
        stamp, then = instant(cursor["stamp"]), instant(cursor["then"])
        place = replace(place, stamp=stamp, after=cursor["after"], then=then, bulk=_bulk(cursor))
    if "sweep" in cursor:
        kept = cursor["sweep"]
        place = replace(place, sweep=Sweep(instant(kept["began"]), kept["after"], int(kept["rows"])))
    if "hidden" in cursor:
        place = replace(place, hidden=frozenset(str(name) for name in cursor["hidden"]))
    return replace(
        place,
        due=instant(cursor["due"]) if "due" in cursor else None,
        feed=instant(cursor["feed"]) if "feed" in cursor else None,
        alive=int(cursor["alive"]) if "alive" in cursor else None,
        fewer=instant(cursor["fewer"]) if "fewer" in cursor else None,
    )


def _bulk(cursor: Mapping[str, Any]) -> Place | None:
    return read_place(cursor["bulk"]) if "bulk" in cursor else None


def write_cursor(place: Loading | Changes) -> dict[str, JsonValue]:
    """A position as JSON."""
    if isinstance(place, Loading):
        loading = {"kind": "list", "after": place.after, "started": soql.instant(place.started)}
        return loading | ({"bulk": write_place(place.bulk)} if place.bulk else {})
    cursor: dict[str, JsonValue] = {"kind": "changes", "until": soql.instant(place.until)}
    if place.stamp is not None and place.then is not None:
        cursor |= {"stamp": soql.instant(place.stamp), "after": place.after, "then": soql.instant(place.then)}
        if place.bulk is not None:
            cursor["bulk"] = write_place(place.bulk)
    for name, moment in (("due", place.due), ("feed", place.feed), ("fewer", place.fewer)):
        if moment is not None:
            cursor[name] = soql.instant(moment)
    if place.alive is not None:
        cursor["alive"] = place.alive
    if place.hidden is not None:
        cursor["hidden"] = sorted(place.hidden)
    if place.sweep is not None:
        began = soql.instant(place.sweep.began)
        cursor["sweep"] = {"began": began, "after": place.sweep.after, "rows": place.sweep.rows}
    return cursor


def read_backfill_cursor(cursor: Mapping[str, JsonValue] | None) -> tuple[str, Place | None]:
    """The id behind which a backfill goes on, and how far a job has got with that. Raises StopRun for a cursor we did
    not write."""
    if cursor is None:
        return soql.FIRST_ID, None
    after = cursor.get("after") if cursor.get("kind") == "backfill" else None
    if not isinstance(after, str) or not soql.is_id(after):
        raise unreadable()
    try:
        return after, _bulk(cursor)
    except (KeyError, TypeError, ValueError):
        raise unreadable() from None


def backfill_cursor(after: str, bulk: Place | None = None) -> dict[str, JsonValue]:
    """How far a backfill has got, as JSON."""
    return {"kind": "backfill", "after": after, **({"bulk": write_place(bulk)} if bulk else {})}
