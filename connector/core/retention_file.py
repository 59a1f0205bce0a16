"""Reads `retention` of the criteria document. docs/reference/criteria.md documents every key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from connector.core.conditions import Path
from connector.core.criteria_reading import Reading
from connector.core.durations import show_duration
from connector.core.retention import SHORTEST, SHORTEST_RUN, SHORTEST_UNDO, Retention

KEYS = ("run_details", "raw_payloads", "before_images", "unknown_visitors")
KEEP = "keep"


def read_retention(read: Reading, top: Mapping[str, object]) -> Retention:
    """For how long what is kept; what the document leaves out is as in `Retention`."""
    usual = Retention()
    if "retention" not in top:
        return usual
    path: Path = ("retention",)
    doc = read.a_map(top["retention"], path, KEYS)
    runs = _span(read, doc, path, "run_details", SHORTEST_RUN, usual.run_details)
    payloads = _span(read, doc, path, "raw_payloads", SHORTEST, usual.raw_payloads)
    images = usual.before_images if runs is None else min(runs, usual.before_images or runs)
    images = _span(read, doc, path, "before_images", SHORTEST_UNDO, images)
    if runs is not None and (images is None or images > runs):
        read.wrong(
            (*path, "before_images"),
            "Before-images stand in the details of a run: they cannot be kept longer than these.",
        )
    visitors = _span(read, doc, path, "unknown_visitors", SHORTEST, usual.unknown_visitors)
    return Retention(runs, payloads, images, visitors)


def _span(
    read: Reading,
    doc: Mapping[str, object],
    path: Path,
    key: str,
    least: timedelta,
    usual: timedelta | None,
) -> timedelta | None:
    if doc.get(key) == KEEP:
        return None
    found = read.duration(doc, path, key)
    if found is not None and found < least:
        read.wrong((*path, key), f"`{key}` is at least {show_duration(least)}.")
    return found or usual
