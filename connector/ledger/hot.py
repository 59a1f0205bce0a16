"""The hot path: bulk statements below the ORM, compiled once and handed to the driver. Decides nothing.

Everything that runs once per record of a page or a batch goes through here; the rest may use SQLAlchemy plainly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from connector.core.model import Ref
from connector.ledger.tables import DUE, RECORD
from connector.ledger.types import time_to_db

CHUNK = 500  # of an IN list; well under SQLite's 32,766 variables, and few statements all the same

_DIALECTS: dict[str, Any] = {
    "sqlite": pysqlite.dialect(paramstyle="qmark"),
    "postgresql": psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}
_ONE: ColumnElement[int] = literal_column("1")
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def chunks(values: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """The distinct values, sorted, in pieces. Sorted, so that two writers lock rows in one order."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def where_in(
    db: Connection, query: Select[Any], column: ColumnElement[Any], values: Iterable[Any]
) -> Iterator[Row[Any]]:
    """All rows of `query` whose column is one of these values, a chunk at a time, in no order to rely on."""
    for part in chunks(values):
        yield from db.execute(query.where(column.in_(part)))


def delete_in(db: Connection, table: Table, column: Column[Any], values: Iterable[Any]) -> None:
    """Delete the rows whose column is one of these values."""
    for part in chunks(values):
        db.execute(delete(table).where(column.in_(part)))


def upsert(
    db: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], keys: Sequence[str]
) -> None:
    """Insert rows; where the keys are known, replace the other columns (see `_merged` for the exceptions).

    `columns` come in the order of the table, `rows` in the order of `columns`, times as `time_to_db` makes them.
    """
    if rows:
        db.exec_driver_sql(_upsert_sql(db.dialect.name, table, tuple(columns), tuple(keys)), list(rows))


def insert_new(
    db: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], keys: Sequence[str]
) -> None:
    """Insert rows; where the keys are known, what is there stays."""
    if rows:
        statement = _upsert_sql(db.dialect.name, table, tuple(columns), tuple(keys), replaces=False)
        db.exec_driver_sql(statement, list(rows))


@cache
def _upsert_sql(
    dialect: str, table: Table, columns: tuple[str, ...], keys: tuple[str, ...], *, replaces: bool = True
) -> str:
    statement = _INSERTS[dialect](table).values({name: bindparam(name) for name in columns})
    fresh = statement.excluded
    replaced: dict[str, Any] = {name: fresh[name] for name in columns if name not in keys}
    replaced.update(_merged(dialect, table, fresh))
    statement = (
        statement.on_conflict_do_update(index_elements=list(keys), set_=replaced)
        if replaced and replaces
        else statement.on_conflict_do_nothing(index_elements=list(keys))
    )
    compiled = statement.compile(dialect=_DIALECTS[dialect])
    if list(compiled.positiontup or ()) != list(columns):
        raise AssertionError(f"{table.name}: name the columns in the order of the table")
    return str(compiled)


def _merged(dialect: str, table: Table, fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Columns whose new value depends on the old one."""
    if table is DUE:
        earlier = func.least if dialect == "postgresql" else func.min
        return {"not_before": earlier(DUE.c.not_before, fresh["not_before"]), "serial": DUE.c.serial + _ONE}
    if table is RECORD:
        # What a later, ordinary pull has seen is no longer known from a first load alone.
        return {"first_load": and_(RECORD.c.first_load, fresh["first_load"])}
    return {}


def mark_due(db: Connection, refs: Iterable[Ref], not_before: datetime, *, crm: str = "") -> None:
    """These records are to be decided again, not before this moment; an earlier mark stands.

    `crm`: only a run of that CRM takes them up. Empty: any run.
    """
    moment = time_to_db(not_before, db.dialect.name)
    mark_due_at(db, [(str(ref), crm, moment) for ref in refs])


def mark_due_at(db: Connection, marks: Iterable[tuple[str, str, Any]]) -> None:
    """The same for many moments: `(ref, crm, moment as the driver takes it)`. The earliest of several counts."""
    first: dict[tuple[str, str], Any] = {}
    for ref, crm, moment in marks:
        known = first.get((ref, crm))
        first[ref, crm] = moment if known is None else min(known, moment)
    rows = [(ref, crm, moment, 1) for (ref, crm), moment in sorted(first.items())]
    upsert(db, DUE, ("ref", "crm", "not_before", "serial"), rows, ("ref", "crm"))


def known_people(db: Connection, refs: Iterable[Ref]) -> set[str]:
    """Which of these are stored person records."""
    query = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    return {row.ref for row in where_in(db, query, RECORD.c.ref, map(str, refs))}
