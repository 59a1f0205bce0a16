"""Rows of one object with the two indexes that matter: by Id, and by (SystemModstamp, Id). Judges nothing.

A row is a plain mapping of API names to stored values (times in wire form, absent = null), never changed in
place: a new version replaces it. So a reader may keep what it was given.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters.salesforce.sandbox.schema import ObjectType

Row = Mapping[str, Any]
_HIGH = "\U0010ffff"


class Table:
    """One object's rows. `deletions` remembers (when, id) of every delete, soft or hard, for `deleted/`."""

    def __init__(self, kind: ObjectType) -> None:
        self.kind = kind
        self.stamp_field = "SystemModstamp" if "SystemModstamp" in kind.fields else "CreatedDate"
        self.rows: dict[str, Row] = {}
        self.deletions: list[tuple[str, str]] = []
        self._ids: list[str] = []
        self._stamps: list[tuple[str, str]] = []
        self._version = 0
        self._children: dict[str, tuple[int, dict[str, list[str]]]] = {}

    def fill(self, rows: Iterable[Row]) -> None:
        """Add many new rows at once; far cheaper than `put` for each."""
        for row in rows:
            self.rows[row["Id"]] = row
        self._ids = sorted(self.rows)
        self._stamps = sorted((row[self.stamp_field], id) for id, row in self.rows.items())
        self._version += 1

    def put(self, row: Row) -> None:
        """Add a row, or replace the one with its Id."""
        id = row["Id"]
        old = self.rows.get(id)
        if old is None:
            insort(self._ids, id)
        else:
            self._forget_stamp(old)
        insort(self._stamps, (row[self.stamp_field], id))
        self.rows[id] = row
        self._version += 1

    def drop(self, id: str) -> None:
        """Forget a row altogether."""
        row = self.rows.pop(id)
        del self._ids[bisect_left(self._ids, id)]
        self._forget_stamp(row)
        self._version += 1

    def by_id(self, low: str | None, high: str | None) -> list[str]:
        """Ids from `low` to `high`, both included, in order; None is open."""
        start = 0 if low is None else bisect_left(self._ids, low)
        end = len(self._ids) if high is None else bisect_right(self._ids, high)
        return self._ids[start:end]

    def by_stamp(self, low: str | None, high: str | None) -> Iterator[str]:
        """Ids whose stamp lies between `low` and `high`, both included, in the order of (stamp, Id)."""
        start, end = self._stamp_slice(low, high)
        return (id for _, id in self._stamps[start:end])

    def count_by_stamp(self, low: str | None, high: str | None) -> int:
        """How many rows `by_stamp` would give."""
        start, end = self._stamp_slice(low, high)
        return max(end - start, 0)

    def children(self, key: str) -> Mapping[str, list[str]]:
        """Per value of the foreign key, the ids of the rows that hold it. Rebuilt after a change."""
        version, found = self._children.get(key, (-1, {}))
        if version != self._version:
            grouped: dict[str, list[str]] = defaultdict(list)
            for id in self._ids:
                parent = self.rows[id].get(key)
                if parent is not None:
                    grouped[parent].append(id)
            found = dict(grouped)
            self._children[key] = (self._version, found)
        return found

    def _stamp_slice(self, low: str | None, high: str | None) -> tuple[int, int]:
        start = 0 if low is None else bisect_left(self._stamps, (low, ""))
        end = len(self._stamps) if high is None else bisect_right(self._stamps, (high, _HIGH))
        return start, end

    def _forget_stamp(self, row: Row) -> None:
        del self._stamps[bisect_left(self._stamps, (row[self.stamp_field], row["Id"]))]
