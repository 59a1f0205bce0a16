"""The rows of a table as lines that are the same whatever database holds them: read in the order of the key, counted,
hashed, put into another. Knows no table by name.

A line is a JSON array of the columns in their order: times as whole microseconds since 1970 UTC, days by ISO 8601, yes
and no as true and false, bytes as base64, a number that JSON has no word for as text. Equal rows make equal lines, so
one hash tells whether two tables are equal.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
    text,
)

from connector.ledger.types import UtcTime, from_micros, time_to_db, to_micros

AT_ONCE = 5_000  # rows in memory at a time, and of one statement

KINDS: dict[str, Any] = {
    "text": Text,
    "integer": BigInteger,
    "number": Float,
    "truth": Boolean,
    "time": UtcTime,
    "day": Date,
    "bytes": LargeBinary,
}
"""What a column may hold. A new type of column needs a line here, and in `_to_line` where JSON has no word for it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table without its constraints: columns with their kinds, and the key's columns, which order it."""

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


@dataclass(frozen=True, slots=True)
class Seal:
    """How many rows, and the hash over their lines: equal seals, equal tables."""

    rows: int
    sha256: str


class Sealing:
    """Counts and hashes lines as they go by."""

    def __init__(self) -> None:
        self.rows, self._hash = 0, sha256()

    def add(self, lines: Iterable[bytes]) -> None:
        """Some more."""
        for line in lines:
            self.rows += 1
            self._hash.update(line)
            self._hash.update(b"\n")

    @property
    def seal(self) -> Seal:
        """So far."""
        return Seal(self.rows, self._hash.hexdigest())


def shape_of(table: Table) -> Shape:
    """Of a declared table. KeyError for a type of column that has no kind yet."""
    return Shape(
        table.name,
        tuple((column.name, kind_of(column)) for column in table.columns),
        tuple(column.name for column in table.primary_key.columns),
    )


def kind_of(column: Column[Any]) -> str:
    """What the column holds."""
    kinds = {name for name, known in KINDS.items() if isinstance(column.type, known)}
    if isinstance(column.type, Integer):  # BigInteger is one, and so are both in this order
        kinds = {"integer"}
    if len(kinds) != 1:
        raise KeyError(f"{column.table.name}.{column.name}: {column.type!r}")
    return kinds.pop()


def as_table(shape: Shape) -> Table:
    """To read and write by, whatever version of the schema the shape is of."""
    columns = [Column(name, KINDS[kind](), primary_key=name in shape.key) for name, kind in shape.columns]
    return Table(shape.name, MetaData(), *columns)


def read(
    db: Connection, shape: Shape, *, after: Sequence[Any] | None = None, at_once: int = AT_ONCE
) -> Iterator[list[bytes]]:
    """The lines of a table in the order of its key, in parts; those beyond the key `after` (see `key_of`), if given."""
    table = as_table(shape)
    key = [table.c[name] for name in shape.key]
    to_line = _to_line(shape)
    while True:
        query = select(table).order_by(*key).limit(at_once)
        if after is not None:
            query = query.where(_beyond(key, _from_line(after, shape, shape.key)))
        lines = [to_line(row) for row in db.execute(query)]
        if lines:
            yield lines
            after = key_of(lines[-1], shape)
        if len(lines) < at_once:
            return


def _beyond(key: Sequence[Column[Any]], values: Sequence[Any]) -> Any:
    """Rows whose key comes later. Spelled out: SQLite uses the index for it as for a row value."""
    steps = [
        and_(*(key[place] == values[place] for place in range(depth)), key[depth] > values[depth])
        for depth in range(len(key))
    ]
    return and_(key[0] >= values[0], or_(*steps))


def seal(db: Connection, shape: Shape) -> Seal:
    """Of the table as it stands."""
    sealing = Sealing()
    for lines in read(db, shape):
        sealing.add(lines)
    return sealing.seal


def last_line(db: Connection, shape: Shape) -> bytes | None:
    """That of the highest key; None where the table is empty."""
    table = as_table(shape)
    query = select(table).order_by(*(table.c[name].desc() for name in shape.key)).limit(1)
    row = db.execute(query).first()
    return _to_line(shape)(row) if row is not None else None


def key_of(line: bytes, shape: Shape) -> list[Any]:
    """The key in a line, as the line spells it."""
    row = orjson.loads(line)
    places = [shape.names.index(name) for name in shape.key]
    return [row[place] for place in places]


def insert(db: Connection, shape: Shape, lines: Sequence[bytes], *, keeping: bool = False) -> None:
    """Put these rows in. `keeping`: a row whose key is there already stays as it is."""
    if not lines:
        return
    times = [place for place, (_, kind) in enumerate(shape.columns) if kind == "time"]
    blobs = [place for place, (_, kind) in enumerate(shape.columns) if kind == "bytes"]
    numbers = [place for place, (_, kind) in enumerate(shape.columns) if kind == "number"]
    dialect = db.dialect.name
    rows = []
    for line in lines:
        row = orjson.loads(line)
        for place in times:
            if row[place] is not None:
                row[place] = time_to_db(from_micros(row[place]), dialect)
        for place in blobs:
            row[place] = None if row[place] is None else base64.b64decode(row[place])
        for place in numbers:
            row[place] = float(row[place]) if isinstance(row[place], str) else row[place]
        rows.append(tuple(row))
    names = ", ".join(f'"{name}"' for name in shape.names)
    if dialect == "postgresql" and not keeping:
        cursor = db.connection.driver_connection.cursor()  # type: ignore[union-attr]
        with cursor.copy(f'COPY "{shape.name}" ({names}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)
        return
    holder = "%s" if dialect == "postgresql" else "?"
    holders = ", ".join([holder] * len(shape.names))
    keep = " ON CONFLICT DO NOTHING" if keeping else ""
    db.exec_driver_sql(f'INSERT INTO "{shape.name}" ({names}) VALUES ({holders}){keep}', rows)  # noqa: S608


def empty(db: Connection, shape: Shape) -> None:
    """Take all rows out."""
    db.execute(text(f'DELETE FROM "{shape.name}"'))  # noqa: S608 (a name of ours)


def number_on(db: Connection, shape: Shape, *, at_least: int = 0) -> None:
    """Let the next number that the database gives out be beyond all that are there, and beyond `at_least`."""
    sequence = _sequence(db, shape)
    if sequence is None:
        return
    top = select(func.max(as_table(shape).c[shape.key[0]]))
    last = max(at_least, db.execute(top).scalar() or 0)
    if db.dialect.name == "postgresql":
        moved = text("SELECT setval(CAST(:sequence AS regclass), :last, :used)")
        db.execute(moved, {"sequence": sequence, "last": max(last, 1), "used": last > 0})
    else:
        db.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": shape.name})
        moved = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)")
        db.execute(moved, {"name": shape.name, "last": last})


def last_number(db: Connection, shape: Shape) -> int:
    """The highest number that the database remembers to have given out for this table; 0 where it remembers none."""
    sequence = _sequence(db, shape)
    if sequence is None:
        return 0
    if db.dialect.name == "postgresql":
        last = text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")  # noqa: S608
        return int(db.execute(last).scalar() or 0)
    last = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return int(db.execute(last, {"name": shape.name}).scalar() or 0)


def _sequence(db: Connection, shape: Shape) -> str | None:
    """Where the database counts the numbers of this table: a sequence, or SQLite's own list; None where it does not."""
    kinds = dict(shape.columns)
    if len(shape.key) != 1 or kinds[shape.key[0]] != "integer":
        return None
    if db.dialect.name == "postgresql":
        asked = text("SELECT pg_get_serial_sequence(:name, :column)")
        found = db.execute(asked, {"name": f'"{shape.name}"', "column": shape.key[0]}).scalar()
        return None if found is None else str(found)
    made = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    counted = "AUTOINCREMENT" in str(db.execute(made, {"name": shape.name}).scalar() or "").upper()
    return "sqlite_sequence" if counted else None


def _to_line(shape: Shape) -> Callable[[Sequence[Any]], bytes]:
    times = [place for place, (_, kind) in enumerate(shape.columns) if kind == "time"]
    blobs = [place for place, (_, kind) in enumerate(shape.columns) if kind == "bytes"]
    numbers = [place for place, (_, kind) in enumerate(shape.columns) if kind == "number"]

    def line(row: Sequence[Any]) -> bytes:
        values = list(row)
        for place in times:
            if values[place] is not None:
                values[place] = to_micros(values[place])
        for place in blobs:
            if values[place] is not None:
                values[place] = base64.b64encode(values[place]).decode()
        for place in numbers:
            if values[place] is not None and not isfinite(values[place]):
                values[place] = str(values[place])  # JSON has no word for it
        return orjson.dumps(values)

    return line


def _from_line(values: Sequence[Any], shape: Shape, names: Sequence[str]) -> list[Any]:
    kinds = dict(shape.columns)
    return [
        from_micros(value) if kinds[name] == "time" and value is not None else value
        for name, value in zip(names, values, strict=True)
    ]
