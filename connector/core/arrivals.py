"""How the people of a plan came in: many by one import, or made by one user within minutes. Pure; decides nothing.

Read from the vendor's own values of their records, by the fields that a mapping names under `came_in`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connector.core.mapping import CameInMap
from connector.core.model import JsonValue
from connector.core.normalize import transforms

LEAST = 10  # people, below which nobody calls it many
SHARE = 0.05  # of the people of a plan
STRETCH = timedelta(minutes=5)
DENSE = 3  # people whom one user makes in such a stretch: more than somebody types in
MOST = 5  # lines


@dataclass(frozen=True, slots=True)
class Way:
    """One import (`source` is filled), or what one user makes."""

    crm: str
    source: str
    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Bulk:
    """So many people of a plan came by this way, the first record of theirs then and the last then (aware, UTC). Of a
    user's records the moments are exact to `STRETCH`."""

    way: Way
    people: int
    first: datetime
    last: datetime


@dataclass(slots=True)
class Arrivals:
    """The people of a plan, counted one after the other."""

    people: int = 0
    _imports: dict[Way, tuple[int, datetime, datetime]] = field(default_factory=dict)
    _made: Counter[tuple[Way, int]] = field(default_factory=Counter)  # by user and stretch of time

    def add(self, records: Iterable[tuple[str, Mapping[str, JsonValue], CameInMap | None]]) -> None:
        """One person: of each record its CRM, the vendor's values and where to look in them."""
        self.people += 1
        imports: dict[Way, list[datetime]] = {}
        made: set[tuple[Way, int]] = set()
        for crm, values, shape in records:
            at = transforms.moment(values.get(shape.at)) if shape else None
            if shape is None or at is None:
                continue
            label = next((told for name in shape.label if (told := _text(values, name))), "")
            source, id = _text(values, shape.source), _text(values, shape.id)
            if source and source.casefold() in {each.casefold() for each in shape.imports} and (id or label):
                imports.setdefault(Way(crm, source, id, label), []).append(at)
            elif by := _text(values, shape.by):
                made.add((Way(crm, "", by, label), int(at.timestamp() // STRETCH.total_seconds())))
        for way, times in imports.items():
            count, first, last = self._imports.get(way, (0, times[0], times[0]))
            self._imports[way] = (count + 1, min(first, *times), max(last, *times))
        self._made.update(made)

    def bulks(self) -> list[Bulk]:
        """Those by which many came, the largest first, at most `MOST`."""
        found = [Bulk(way, *told) for way, told in self._imports.items()] + self._clusters()
        many = [each for each in found if each.people >= max(LEAST, SHARE * self.people)]
        many.sort(
            key=lambda each: (-each.people, not each.way.source, each.first, each.way.id, each.way.label)
        )
        return many[:MOST]

    def _clusters(self) -> list[Bulk]:
        """Dense stretches of one user, joined where they touch."""
        dense: dict[Way, list[int]] = {}
        for (way, stretch), people in self._made.items():
            if people >= DENSE:
                dense.setdefault(way, []).append(stretch)
        found: list[Bulk] = []
        for way, stretches in dense.items():
            run: list[int] = []
            for stretch in sorted(stretches):
                if run and stretch != run[-1] + 1:
                    found.append(self._cluster(way, run))
                    run = []
                run.append(stretch)
            found.append(self._cluster(way, run))
        return found

    def _cluster(self, way: Way, run: list[int]) -> Bulk:
        first, last = (
            datetime.fromtimestamp(at * STRETCH.total_seconds(), UTC) for at in (run[0], run[-1] + 1)
        )
        return Bulk(way, sum(self._made[way, stretch] for stretch in run), first, last)


def told(bulk: Bulk, people: int) -> str:
    """One line about it, of so many people of the plan."""
    way, day = bulk.way, f"{bulk.first:%Y-%m-%d}"
    of = f"{bulk.people:,} of {people:,} people"
    if way.source:
        until = f" to {bulk.last:%Y-%m-%d}" if bulk.last.date() != bulk.first.date() else ""
        known = f"{way.crm} {way.source} {way.id}".rstrip()
        return f"{of} came with an import on {day}{until}: {way.label or 'without a name'} ({known})"
    until = f"{bulk.last:%H:%M}" if bulk.last.date() == bulk.first.date() else f"{bulk.last:%Y-%m-%d %H:%M}"
    name = f": {way.label}" if way.label else ""
    return (
        f"{of} were made at once on {day}, {bulk.first:%H:%M} to {until} UTC{name} ({way.crm}, by {way.id})"
    )


def _text(values: Mapping[str, JsonValue], name: str | None) -> str:
    return (transforms.text(values.get(name)) or "") if name else ""
