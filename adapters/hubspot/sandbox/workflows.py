"""Workflows of the made-up HubSpot that really run. What the automation API tells of them is in `flows`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from adapters.hubspot.sandbox.table import Row, Table

if TYPE_CHECKING:
    from adapters.hubspot.sandbox.store import Store

FIRST = 500_000_001  # ids of workflows
FIRST_ENROLMENT = 9_000_000_001


@dataclass(frozen=True, slots=True)
class Workflow:
    """When `when` of `object` becomes `equals` (None: any value, "": none), set `sets` to each of `to` in turn, `after`
    so many seconds. `details` are more of what the API tells of it; nothing of that is carried out."""

    id: str
    name: str
    object: str = "contacts"
    when: str = ""
    equals: str | None = None
    sets: str = ""
    to: tuple[str, ...] = ()
    after: float = 0.0
    active: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class _Enrolment:
    due: int  # epoch milliseconds
    number: int
    workflow: str = field(compare=False)
    table: Table = field(compare=False)
    row: Row = field(compare=False)


class Workflows:
    """All workflows of one account. What is due is carried out at the next call, or look at a record."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._all: dict[str, Workflow] = {}
        self._waiting: list[_Enrolment] = []
        self._enrolled = 0
        for name, active, details in _HARMLESS:
            self.add(name, active=active, details=details)

    def add(
        self,
        name: str,
        *,
        when: str = "",
        equals: str | None = None,
        sets: str = "",
        to: str | Sequence[str] = "",
        after: float = 0.0,
        object: str = "contacts",
        active: bool = True,
        details: Mapping[str, Any] | None = None,
    ) -> str:
        """A new one; returns its id. See `Workflow`; `to` is a value or several. Raises LookupError, ValueError."""
        table = self._store.table(object)
        if table is None:
            raise LookupError(f"There is no object {object}.")
        for property_ in filter(None, (when, sets)):
            if property_ not in table.properties:
                raise ValueError(f"{object} have no property {property_}.")
        id = str(FIRST + len(self._all))
        values = (to,) if isinstance(to, str) else tuple(to)
        self._all[id] = Workflow(
            id, name, table.name, when, equals, sets, values if sets else (), after, active, details or {}
        )
        return id

    def switch(self, id: str, action: str) -> Mapping[str, Any]:
        """`on` or `off`. Raises LookupError, ValueError."""
        if action not in ("on", "off"):
            raise ValueError("A workflow is turned `on` or `off`.")
        self._all[id] = replace(self._found(id), active=action == "on")
        return self.raw(id)

    def raw(self, id: str) -> Mapping[str, Any]:
        """What it does."""
        return asdict(self._found(id))

    def changed(self, table: Table, row: Row, names: Sequence[str], by: str) -> None:
        """These properties of a record hold something else now. What a workflow did enrols in no other."""
        if by.startswith("workflow"):
            return
        now = self._store.now()
        for each in self._all.values():
            if not each.active or not each.sets or each.object != table.name or each.when not in names:
                continue
            value = row.values.get(each.when, "")
            if value == each.equals or (each.equals is None and value):
                self._enrolled += 1
                due = now + int(each.after * 1000)
                self._waiting.append(_Enrolment(due, self._enrolled, each.id, table, row))
        self.settle()

    def settle(self) -> None:
        """Carry out what is due, each at its own time."""
        now = self._store.now()
        if not self._waiting:
            return
        due = sorted(each for each in self._waiting if each.due <= now)
        self._waiting = [each for each in self._waiting if each.due > now]
        for each in due:
            workflow = self._all[each.workflow]
            if workflow.active and each.row.live:
                by = f"workflow {FIRST_ENROLMENT + each.number}"
                if self._store.habits.history_names_workflows:
                    by += f" {workflow.name}"
                for value in workflow.to:
                    self._store.update(each.table, each.row, {workflow.sets: value}, by, each.due)

    def page(self, after: int, limit: int) -> tuple[list[Workflow], int | None]:
        """In the order in which they were made, inactive ones included."""
        rest = [each for each in self._all.values() if int(each.id) > after]
        return rest[:limit], int(rest[limit - 1].id) if len(rest) > limit else None

    def find(self, id: str) -> Workflow | None:
        """By id."""
        return self._all.get(id)

    def _found(self, id: str) -> Workflow:
        found = self._all.get(id)
        if found is None:
            raise LookupError(f"There is no workflow {id}.")
        return found


# Of every account: a mail, one that was turned off, and one whose property only begins with the name of one of ours.
_HARMLESS: tuple[tuple[str, bool, Mapping[str, Any]], ...] = (
    (
        "Welcome mail",
        True,
        {"actions": [{"actionId": "1", "actionTypeId": "0-4", "fields": {"content_id": "70001"}}]},
    ),
    (
        "Raise the MQL score (old)",
        False,
        {
            "actions": [
                {
                    "actionId": "1",
                    "actionTypeId": "0-5",
                    "fields": {
                        "property_name": "mql_score",
                        "value": {"type": "INCREMENT", "incrementAmount": 5},
                    },
                }
            ]
        },
    ),
    (
        "Keep mql_score of the old tool",
        True,
        {
            "actions": [
                {
                    "actionId": "1",
                    "actionTypeId": "0-5",
                    "fields": {
                        "property_name": "mql_score_before_2024",
                        "value": {"type": "OBJECT_PROPERTY", "propertyName": "hubspotscore"},
                    },
                }
            ]
        },
    ),
)
