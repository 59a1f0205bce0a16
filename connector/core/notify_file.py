"""Reads `notify` of the criteria document. docs/reference/criteria.md documents every key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from connector.core.conditions import Path
from connector.core.criteria_reading import Reading, shown
from connector.core.names import nearest
from connector.core.notify import (
    ADDRESSED,
    DIGEST,
    ESCALATION,
    GUARDED,
    KINDS,
    MANAGER,
    MQL,
    REMINDER,
    ROUTES,
    Notify,
)
from connector.core.worktime import DAYS

KEYS = (*KINDS, "daily_cap", "email")
_TAG = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_ABOUT_SOMEBODY = (MQL, GUARDED, REMINDER, ESCALATION)


def read_notify(read: Reading, top: Mapping[str, object]) -> Notify:
    """Who is told of what; what the document leaves out is as in `ROUTES`."""
    if "notify" not in top:
        return Notify()
    path: Path = ("notify",)
    doc = read.a_map(top["notify"], path, KEYS)
    routes = dict(ROUTES)
    for kind in (each for each in KINDS if each in doc and each != DIGEST):
        routes[kind] = _route(read, doc[kind], (*path, kind), kind)
    day, at = Notify().digest_day, Notify().digest_at
    if DIGEST in doc:
        place = (*path, DIGEST)
        if isinstance(doc[DIGEST], Mapping):
            digest = read.a_map(doc[DIGEST], place, ("to", "day", "at"))
            day, at = _day(read, digest, place), _time(read, digest, place)
            if "to" in digest:
                routes[DIGEST] = _route(read, digest["to"], (*place, "to"), DIGEST)
        else:
            routes[DIGEST] = _route(read, doc[DIGEST], place, DIGEST)
    cap = read.whole(doc, path, "daily_cap", default=Notify().daily_cap)
    return Notify(routes, cap or Notify().daily_cap, read.yes(doc, path, "email"), day, at)


def _route(read: Reading, value: object, path: Path, kind: str) -> tuple[str, ...]:
    """A list of `owner`, `manager` and tags; an empty one: nobody is told."""
    found: list[str] = []
    listed = [value] if isinstance(value, str) else read.a_list(value, path)
    for place, each in enumerate(listed):
        at = path if isinstance(value, str) else (*path, place)
        if not isinstance(each, str) or not _TAG.fullmatch(each):
            read.wrong(
                at,
                f"`owner`, or a tag of CONNECTOR_NOTIFY_URLS such as `sales`, is needed here, not {shown(each)}.",
            )
        elif each in ADDRESSED and (kind not in _ABOUT_SOMEBODY or (each == MANAGER) != (kind == ESCALATION)):
            read.wrong(at, f"`{kind}` has no {each}.", "manager" if kind == ESCALATION else None)
        else:
            found.append(each)
    return tuple(dict.fromkeys(found))


def _day(read: Reading, doc: Mapping[str, object], path: Path) -> int:
    if "day" not in doc:
        return Notify().digest_day
    name = str(doc["day"]).strip().lower()[:3]
    if name not in DAYS:
        read.wrong((*path, "day"), f"{shown(doc['day'])} is no weekday.", nearest(str(doc["day"]), DAYS))
        return Notify().digest_day
    return DAYS.index(name)


def _time(read: Reading, doc: Mapping[str, object], path: Path) -> timedelta:
    if "at" not in doc:
        return Notify().digest_at
    found = _TIME.fullmatch(str(doc["at"]).strip())
    if found is None:
        read.wrong(
            (*path, "at"), f'`at` needs a time of the day in quotes, as in "08:00", not {shown(doc["at"])}.'
        )
        return Notify().digest_at
    return timedelta(hours=int(found[1]), minutes=int(found[2]))
