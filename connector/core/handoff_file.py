"""Reads `handoff` of the criteria document. docs/reference/criteria.md documents every key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

from connector.core.conditions import Path
from connector.core.criteria_reading import Reading, shown
from connector.core.handoff import Handoff
from connector.core.names import nearest
from connector.core.worktime import DAYS, WorkTime

KEYS = ("sla", "remind", "escalate", "take_back", "hours", "days", "holidays", "pool", "bdr", "queue", "task")
_HOURS = re.compile(r"([0-2]?\d):([0-5]\d)\s*-\s*([0-2]?\d):([0-5]\d)")
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


def read_handoff(read: Reading, top: Mapping[str, object]) -> Handoff | None:
    """What is to happen with a new MQL; None where the document says nothing of it."""
    if "handoff" not in top:
        return None
    path: Path = ("handoff",)
    doc = read.a_map(top["handoff"], path, KEYS)
    sla, remind, escalate = (read.duration(doc, path, key) for key in ("sla", "remind", "escalate"))
    for key, found in (("remind", remind), ("escalate", escalate)):
        if found is not None and sla is None and "sla" not in doc:
            read.wrong((*path, key), f"`{key}` reminds of the `sla`; name both.")
    if remind is not None and escalate is not None and escalate < remind:
        read.wrong((*path, "escalate"), "The manager is reminded after the owner, not before.")
    opens, closes = _hours(read, doc, path)
    return Handoff(
        sla,
        remind,
        escalate,
        read.duration(doc, path, "take_back"),
        WorkTime(opens, closes, _days(read, doc, path), _holidays(read, doc, path)),
        _addresses(read, doc, path, "pool"),
        _addresses(read, doc, path, "bdr"),
        _address(read, doc["queue"], (*path, "queue")) if "queue" in doc else "",
        read.yes(doc, path, "task"),
    )


def _hours(read: Reading, doc: Mapping[str, object], path: Path) -> tuple[timedelta, timedelta]:
    usual = WorkTime()
    if "hours" not in doc:
        return usual.opens, usual.closes
    found = _HOURS.fullmatch(str(doc["hours"]).strip())
    if found is not None:
        hours = [int(part) for part in found.groups()]
        opens = timedelta(hours=hours[0], minutes=hours[1])
        closes = timedelta(hours=hours[2], minutes=hours[3])
        if opens < closes <= timedelta(hours=24):
            return opens, closes
    read.wrong(
        (*path, "hours"), f"`hours` needs a stretch of the day as in 09:00-17:00, not {shown(doc['hours'])}."
    )
    return usual.opens, usual.closes


def _days(read: Reading, doc: Mapping[str, object], path: Path) -> frozenset[int]:
    if "days" not in doc:
        return WorkTime().days
    found: set[int] = set()
    for place, each in enumerate(read.a_list(doc["days"], (*path, "days"))):
        name = str(each).strip().lower()[:3]
        if not isinstance(each, str) or name not in DAYS:
            read.wrong((*path, "days", place), f"{shown(each)} is no weekday.", nearest(str(each), DAYS))
        else:
            found.add(DAYS.index(name))
    if not found and not read.problems:
        read.wrong((*path, "days"), "`days` needs at least one weekday, as in [mon, tue].")
    return frozenset(found) or WorkTime().days


def _holidays(read: Reading, doc: Mapping[str, object], path: Path) -> frozenset[date]:
    found: set[date] = set()
    for place, each in enumerate(read.a_list(doc.get("holidays", ()), (*path, "holidays"))):
        try:
            found.add(each if isinstance(each, date) else date.fromisoformat(str(each)))
        except ValueError:
            read.wrong(
                (*path, "holidays", place), f"A holiday is a date as in 2026-12-25, not {shown(each)}."
            )
    return frozenset(found)


def _addresses(read: Reading, doc: Mapping[str, object], path: Path, key: str) -> tuple[str, ...]:
    listed = read.a_list(doc.get(key, ()), (*path, key))
    found = [_address(read, each, (*path, key, place)) for place, each in enumerate(listed)]
    return tuple(dict.fromkeys(each for each in found if each))


def _address(read: Reading, value: object, path: Path) -> str:
    if isinstance(value, str) and _ADDRESS.fullmatch(value.strip()):
        return value.strip().lower()
    read.wrong(path, f"An e-mail address is needed here, not {shown(value)}.")
    return ""
