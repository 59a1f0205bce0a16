"""Record-triggered flows of the made-up org: they really run. What set-up tells of them is in `setup_objects`.

Order and users as in Salesforce help, "Triggers and order of execution": before-save flows change the row that is being
saved; after-save flows save it once more, in the name of the user who saved; scheduled paths run later, as Automated
Process. A flow runs once for a record in a save.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from connector.sandbox.population import salesforce_id

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.store import Store

PRIOR = "$Record__Prior"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flow:
    """When `when` of a record changes, to `equals` where that is given, set `sets` to `to`. No `when`: at every save.

    `to` may be `$Record__Prior.Field`: what stood there before. `before_save`: within the save, else after it; `after`:
    so many seconds later. `details`: more of its metadata; nothing of that is carried out. `package`: it came with one.
    """

    id: str
    name: str
    object: str = "Lead"
    when: str = ""
    equals: Any = None
    sets: str = ""
    to: Any = None
    before_save: bool = False
    after: float = 0.0
    active: bool = True
    package: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class Flows:
    """All flows of one org. What is due later is carried out at the next call, or look at a record."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._all: dict[str, Flow] = {}
        self._later: list[tuple[datetime, str, str, Any]] = []  # due, flow, record, value
        self._running: set[tuple[str, str]] = set()  # flow and record, of the save that is under way

    def add(self, name: str, **more: Any) -> str:
        """A new one; returns its id. See `Flow`. Raises ValueError for a field that does not exist."""
        made = Flow(salesforce_id("301", len(self._all) + 1), name, **more)
        fields = self._store.schema[made.object].fields
        for each in (made.when, made.sets):
            if each and each not in fields:
                raise ValueError(f"{made.object} has no field {each}.")
        self._all[made.id] = made
        return made.id

    def switch(self, id: str, action: str) -> Mapping[str, Any]:
        """`on` or `off`. Raises LookupError, ValueError."""
        if action not in ("on", "off"):
            raise ValueError("A flow is turned `on` or `off`.")
        self._all[id] = replace(self.find(id), active=action == "on")
        return self.raw(id)

    def find(self, id: str) -> Flow:
        """By id. Raises LookupError."""
        if id not in self._all:
            raise LookupError(f"There is no flow {id}.")
        return self._all[id]

    def raw(self, id: str) -> Mapping[str, Any]:
        """What it does."""
        return asdict(self.find(id))

    def all(self) -> list[Flow]:
        """In the order in which they were made, inactive ones included."""
        return list(self._all.values())

    def before_save(self, object: str, before: Row, row: dict[str, Any]) -> dict[str, Any]:
        """Change the row that is being saved, in place; what was set by it."""
        changes = {}
        for each in self._started(object, before, row, before_save=True):
            changes[each.sets] = row[each.sets] = _value(each, before)
        return changes

    def after_save(self, object: str, before: Row, row: Row, user: str) -> None:
        """Save once more where a flow says so, now or later."""
        for each in self._started(object, before, row, before_save=False):
            value = _value(each, before)
            if each.after:
                due = self._store.clock.now() + timedelta(seconds=each.after)
                self._later.append((due, each.id, row["Id"], value))
            else:
                with self._once(each, row["Id"]):
                    self._store.update(object, row["Id"], {each.sets: value}, "flow", user)

    def settle(self, user: str) -> None:
        """Carry out what is due by now."""
        now = self._store.clock.now()
        due = sorted(entry[:3] for entry in self._later if entry[0] <= now)
        values = {entry[:3]: entry[3] for entry in self._later if entry[0] <= now}
        self._later = [entry for entry in self._later if entry[0] > now]
        for entry in due:
            flow = self._all[entry[1]]
            row = self._store.tables[flow.object].rows.get(entry[2])
            if flow.active and row is not None and not row.get("IsDeleted") and not row.get("IsConverted"):
                with self._once(flow, entry[2]):
                    self._store.update(flow.object, entry[2], {flow.sets: values[entry]}, "flow", user)

    def _started(self, object: str, before: Row, row: Row, *, before_save: bool) -> Iterator[Flow]:
        for each in self.all():
            if not (each.active and each.sets and each.object == object and each.before_save == before_save):
                continue
            changed = not each.when or before.get(each.when) != row.get(each.when)
            meets = each.equals is None or row.get(each.when) == each.equals
            if changed and meets and (each.id, row["Id"]) not in self._running:
                yield each

    @contextmanager
    def _once(self, flow: Flow, record: str) -> Iterator[None]:
        self._running.add((flow.id, record))
        try:
            yield
        finally:
            self._running.discard((flow.id, record))


def _value(flow: Flow, before: Row) -> Any:
    if isinstance(flow.to, str) and flow.to.startswith(f"{PRIOR}."):
        return before.get(flow.to.partition(".")[2])
    return flow.to
