"""A plan as people read it: filtered, field by field, safe to open in a spreadsheet. Pure; asks no ledger."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.core.kinds import KINDS
from connector.core.model import JsonValue, Value
from connector.ports import PlanRow

COLUMNS = (
    "plan", "record", "object", "id", "person", "name", "email", "field", "stands_now", "would_stand", "write_rule",
    "sent", "held_because", "kind", "rules", "because", "outcome", "reason", "settled_at",
)  # fmt: skip
"""Of an export, in order: one line for each field of a record, held back ones included."""

HELD_BACK = "held_back"
GROUPS = (*KINDS, HELD_BACK)
"""What a row may mean: the kinds of writes, and rows of which nothing may be written."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of a plan are asked for; all that is given must hold. `people` are person ids, `record` an id or
    `crm:object:id`, `rule` the id of a rule of the criteria. `field` leaves out a row's other fields too. The
    `audience` of its person (empty: none) is nothing a row tells: whoever has the ledger asks it."""

    kind: str | None = None
    field: str | None = None
    status: str | None = None
    object: str | None = None
    people: frozenset[int] | None = None
    record: str | None = None
    rule: str | None = None
    audience: str | None = None

    def holds(self, row: PlanRow) -> bool:
        """Whether the row is asked for."""
        return (
            (self.kind is None or group_of(row) == self.kind)
            and (self.status is None or row.status == self.status)
            and (self.object is None or row.ref.object.casefold() == self.object.casefold())
            and (self.people is None or row.person in self.people)
            and (self.record is None or self.record in (row.ref.id, str(row.ref)))
            and (self.rule is None or self.rule in row.rules)
            and (self.field is None or any(self.names(name) for name in fields_of(row)))
        )

    def names(self, field: str) -> bool:
        """Whether this field of a row is asked for. The names of fields know no case."""
        return self.field is None or field.casefold() == self.field.casefold()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Filter()


@dataclass(frozen=True, slots=True)
class Line:
    """One field of a record in a plan. `sent` False: held back, for `held_because`."""

    plan: int
    record: str
    object: str
    id: str
    person: int
    name: str
    email: str | None
    field: str
    stands_now: JsonValue
    would_stand: JsonValue
    write_rule: str
    sent: bool
    held_because: str
    kind: str
    rules: tuple[str, ...]
    because: str
    outcome: str
    reason: str
    settled_at: datetime | None


def lines_of(
    row: PlanRow, person: Mapping[str, Value], wanted: Filter, *, email: bool = False
) -> Iterator[Line]:
    """The fields of a row that are asked for. `person` holds our fields of its person; the address only on request."""

    def line(field: str, now: JsonValue, then: JsonValue, rule: str, why: str) -> Line:
        ref = row.ref
        return Line(
            row.plan, str(ref), ref.object, ref.id, row.person, name_of(person),
            str(person.get("email") or "") if email else None,
            field, now, then, rule, not why, why, group_of(row), row.rules, row.because, row.status, row.reason,
            row.settled_at,
        )  # fmt: skip

    for write in row.writes:
        if wanted.names(write.field):
            yield line(write.field, write.before, write.after, write.rule, "")
    for held in row.held_back:
        if wanted.names(held.field):
            yield line(held.field, held.before, held.wanted, "", held.why)


def fields_of(row: PlanRow) -> list[str]:
    """Every field that a row writes or holds back."""
    return [*(each.field for each in row.writes), *(each.field for each in row.held_back)]


def group_of(row: PlanRow) -> str:
    """What a row means: one of `GROUPS`."""
    return row.kind if row.writes else HELD_BACK


def name_of(person: Mapping[str, Value]) -> str:
    """First and last name, as far as they are known."""
    return " ".join(str(person[each]) for each in ("first_name", "last_name") if person.get(each))


@dataclass(slots=True)
class Tally:
    """How many rows a filter let through, and of what sort."""

    rows: int = 0
    groups: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)

    def add(self, row: PlanRow, wanted: Filter) -> None:
        """Count a row, and the fields of it that would be written."""
        self.rows += 1
        self.groups[group_of(row)] += 1
        self.statuses[row.status] += 1
        self.fields.update(write.field for write in row.writes if wanted.names(write.field))


def sections(summary: Mapping[str, JsonValue]) -> Iterator[tuple[str, Sequence[str]]]:
    """What was kept as worth telling about a plan, as titles and lines of text."""
    for name, told in summary.items():
        if not isinstance(told, Mapping):
            yield name, [str(told)]
            continue
        lines = told.get("lines")
        yield str(told.get("title") or name), [str(each) for each in lines] if isinstance(lines, list) else []


def examples(summary: Mapping[str, JsonValue]) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    """Records that are worth opening: (as what, record, person, stage, score, band and why)."""
    for told in summary.values():
        kept = told.get("examples") if isinstance(told, Mapping) else None
        for name, several in kept.items() if isinstance(kept, Mapping) else ():
            for each in several if isinstance(several, list) else ():
                if isinstance(each, Mapping):
                    yield name.replace("_", " "), each


def as_json(line: Line) -> dict[str, Any]:
    """A line of a JSON export."""
    return {name: getattr(line, name) for name in COLUMNS if name != "email" or line.email is not None}


def as_csv(line: Line) -> list[str]:
    """A line of a CSV export, by `COLUMNS`."""
    told = {
        "rules": " ".join(line.rules),
        "sent": "yes" if line.sent else "no",
        "settled_at": line.settled_at.isoformat() if line.settled_at else "",
    }
    return [harmless(told[name] if name in told else getattr(line, name)) for name in COLUMNS]


def harmless(value: object) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, "CSV Injection"): a text that begins like one is preceded
    by an apostrophe, unless it is a plain number."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) and not _NUMBER.fullmatch(text) else text
