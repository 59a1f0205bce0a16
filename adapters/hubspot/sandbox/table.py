"""Records of one object type, the orders they are read in, and an index that trails the writes. Speaks no
HTTP.

A row's values are text; a property that was never set is absent, a cleared one is "". Times are epoch
milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters.hubspot.sandbox.schema import Property
from adapters.hubspot.sandbox.wire import iso

HISTORY = 20  # versions kept per property
_ADDRESSES = frozenset({"email", "hs_additional_emails"})


@dataclass(frozen=True, slots=True)
class Source:
    """Who changed a property, as its history tells: `user` is HubSpot's number of a person."""

    type: str
    id: str
    label: str = ""
    user: int | None = None


FIRST_IMPORT = Source("IMPORT", "first-import")


@dataclass(frozen=True, slots=True)
class Version:
    """One past value of a property."""

    value: str
    at: int
    source: Source


@dataclass(slots=True)
class Row:
    """A record. `merged_into` says that it was absorbed; such a row is in no list and no search."""

    id: int
    values: dict[str, str]
    created: int
    updated: int
    archived_at: int | None = None
    merged_into: int | None = None
    history: dict[str, list[Version]] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Neither archived nor merged away."""
        return self.archived_at is None and self.merged_into is None


class Table:
    """All records of one type. `singular` is the object's name in logs and in the control surface."""

    def __init__(
        self,
        name: str,
        singular: str,
        properties: dict[str, Property],
        created: str,
        updated: str,
        lag_ms: int,
    ) -> None:
        self.name = name
        self.singular = singular
        self.properties = properties
        self.created_property = created
        self.updated_property = updated
        self.rows: dict[int, Row] = {}
        self.live: list[int] = []
        self.archived: list[int] = []
        self.emails: dict[str, int] = {}
        self.version = 0  # counts changes of what a search could find
        self._lag = lag_ms
        self._by_time: list[tuple[int, int]] = []  # (updated, id) as indexed
        self._indexed: dict[int, int] = {}  # id -> updated as indexed
        self._stale: dict[int, dict[str, str]] = {}  # id -> values as indexed, where they trail
        self._waiting: deque[tuple[int, int]] = deque()  # (visible from, id)

    # ------------------------------------------------------------------------------------------ changing rows

    def load(self, rows: Iterable[Row]) -> None:
        """Take many rows at once, indexed from the start."""
        for row in rows:
            self._stamp(row)
            self.rows[row.id] = row
            if row.merged_into is not None:
                continue
            if row.archived_at is not None:
                self.archived.append(row.id)
                continue
            self.live.append(row.id)
            self._indexed[row.id] = row.updated
            self._by_time.append((row.updated, row.id))
            for address in addresses(row):
                self.emails[address] = row.id
        self.live.sort()
        self.archived.sort()
        self._by_time.sort()
        self.version += 1

    def add(self, row: Row) -> None:
        """A new record: listed at once, searchable after the lag."""
        self._stamp(row)
        self.rows[row.id] = row
        insort(self.live, row.id)
        for address in addresses(row):
            self.emails[address] = row.id
        self._waiting.append((row.updated + self._lag, row.id))

    def write(self, row: Row, changes: Mapping[str, str], at: int, source: Source) -> bool:
        """Set values; returns whether anything moved.

        An identical write moves neither the last-modified stamp nor the history.
        """
        differing = {name: value for name, value in changes.items() if row.values.get(name, "") != value}
        if not differing:
            return False
        self._keep_indexed(row)
        for name, value in differing.items():
            row.history[name] = [Version(value, at, source), *versions_of(row, name)][:HISTORY]
        self._set(row, differing)
        self.touch(row, at)
        return True

    def set_quietly(self, row: Row, changes: Mapping[str, str]) -> None:
        """Set calculated values: the last-modified stamp stays where it is."""
        self._set(row, changes)
        self.version += 1

    def touch(self, row: Row, at: int) -> None:
        """Move the last-modified stamp; the index follows after the lag."""
        self._keep_indexed(row)
        row.updated = at
        row.values[self.updated_property] = iso(at)
        self._waiting.append((at + self._lag, row.id))

    def _keep_indexed(self, row: Row) -> None:
        if row.id in self._indexed and row.id not in self._stale:
            self._stale[row.id] = dict(row.values)

    def _set(self, row: Row, changes: Mapping[str, str]) -> None:
        if not _ADDRESSES.intersection(changes):
            row.values.update(changes)
            return
        before = addresses(row)
        row.values.update(changes)
        after = addresses(row)
        for gone in before - after:
            self.emails.pop(gone, None)
        for address in after:
            self.emails[address] = row.id

    def archive(self, row: Row, at: int) -> None:
        """Into the recycle bin. The last-modified stamp does not move."""
        if not row.live:
            return
        self._forget(row)
        row.archived_at = at
        insort(self.archived, row.id)

    def restore(self, row: Row, at: int) -> None:
        """Out of the recycle bin."""
        if row.archived_at is None:
            return
        row.archived_at = None
        self.archived.remove(row.id)
        insort(self.live, row.id)
        for address in addresses(row):
            self.emails[address] = row.id
        self.touch(row, at)

    def absorb(self, row: Row, into: int) -> None:
        """The row was merged away."""
        self._forget(row)
        row.merged_into = into

    def purge(self, row: Row) -> None:
        """Gone without a trace."""
        self._forget(row)
        if row.id in self.archived:
            self.archived.remove(row.id)
        del self.rows[row.id]

    # ------------------------------------------------------------------------------------------ finding rows

    def get(self, id: str | int) -> Row | None:
        """The row of this id, dead or alive."""
        text = str(id)
        return self.rows.get(int(text)) if text.isascii() and text.isdigit() else None

    def survivor(self, row: Row) -> Row:
        """The row itself, or what it was merged into, chains followed."""
        while row.merged_into is not None:
            row = self.rows[row.merged_into]
        return row

    def page(self, after: int, limit: int, *, archived: bool) -> tuple[list[Row], int | None]:
        """Rows with id >= `after`, ascending, and the id the next page starts from."""
        ids = self.archived if archived else self.live
        start = bisect_left(ids, after)
        chosen = ids[start : start + limit]
        following = ids[start + limit] if start + limit < len(ids) else None
        return [self.rows[id] for id in chosen], following

    # ------------------------------------------------------------------------------------------ the search
    # index

    def settle(self, now: int) -> None:
        """Let the index catch up with every write older than the lag."""
        while self._waiting and self._waiting[0][0] <= now:
            _, id = self._waiting.popleft()
            row = self.rows.get(id)
            if row is None or not row.live:
                continue
            self._stale.pop(id, None)
            before = self._indexed.get(id)
            if before != row.updated:
                if before is not None:
                    self._drop_time(before, id)
                insort(self._by_time, (row.updated, id))
                self._indexed[id] = row.updated
            self.version += 1

    def indexed(self, id: int) -> Mapping[str, str]:
        """The values that a search filters on: they may be older than the ones it returns."""
        return self._stale.get(id) or self.rows[id].values

    def ids_between(self, low: int, high: int) -> list[int]:
        """Ids whose indexed stamp lies in low..high, both included, in order of time."""
        start = bisect_left(self._by_time, (low, -1))
        end = bisect_left(self._by_time, (high + 1, -1))
        return [id for _, id in self._by_time[start:end]]

    def is_indexed(self, id: int) -> bool:
        """Whether a search can find it."""
        return id in self._indexed

    def all_indexed(self) -> list[int]:
        """Every id that a search can find, ascending."""
        return sorted(self._indexed)

    def _forget(self, row: Row) -> None:
        place = bisect_left(self.live, row.id)
        if place < len(self.live) and self.live[place] == row.id:
            del self.live[place]
        before = self._indexed.pop(row.id, None)
        if before is not None:
            self._drop_time(before, row.id)
        self._stale.pop(row.id, None)
        for address in addresses(row):
            if self.emails.get(address) == row.id:
                del self.emails[address]
        self.version += 1

    def _drop_time(self, updated: int, id: int) -> None:
        place = bisect_left(self._by_time, (updated, id))
        if place < len(self._by_time) and self._by_time[place] == (updated, id):
            del self._by_time[place]

    def _stamp(self, row: Row) -> None:
        row.values["hs_object_id"] = str(row.id)
        row.values[self.created_property] = iso(row.created)
        row.values[self.updated_property] = iso(row.updated)


def versions_of(row: Row, name: str) -> list[Version]:
    """The values of a property, newest first; one that was never written was imported as it stands."""
    if name in row.history:
        return row.history[name]
    value = row.values.get(name)
    return [] if value is None else [Version(value, row.created, FIRST_IMPORT)]


def addresses(row: Row) -> set[str]:
    """All e-mail addresses of a contact, lower case."""
    found = (
        row.values.get("hs_additional_emails", "").split(";") if "hs_additional_emails" in row.values else []
    )
    return {address for address in (row.values.get("email", ""), *found) if address}
