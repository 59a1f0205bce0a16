"""The hot path: bulk statements below the ORM, compiled once and handed to the driver. Decides nothing.

Everything that runs once per record of a page or a batch goes through here; the rest may use SQLAlchemy plainly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
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
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.exc import DBAPIError

from connector.core.model import Ref
from connector.ledger.tables import DUE, RECORD
from connector.ledger.tables_daily import DAILY
from connector.ledger.tables_telling import SPELL
from connector.ledger.types import time_to_db

COPIED = 30  # rows from which PostgreSQL's COPY, four messages whatever it holds, beats as many statements
CHUNK = 500  # of an IN list; well under SQLite's 32,766 variables, and few statements all the same

_DIALECTS: dict[str, Any] = {
    "sqlite": pysqlite.dialect(paramstyle="qmark"),
    "postgresql": psycopg_dialect.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}
_ONE: ColumnElement[int] = literal_column("1")
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def repeatable(db: Connection) -> None:
    """The commit of this transaction need not have reached the disk when it returns: should PostgreSQL's machine fail,
    the whole of it is gone, and whoever calls does all of it again from what is left. A later commit that waits for the
    disk takes this one along (PostgreSQL, "Asynchronous Commit"); SQLite does no more than that anyway."""
    if db.dialect.name == "postgresql":
        db.exec_driver_sql("SET LOCAL synchronous_commit TO off")


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


def rows_by(
    db: Connection,
    table: Table,
    columns: Sequence[str],
    key: str,
    values: Iterable[str],
    *,
    lock: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """These columns of all rows whose key is one of these values, as the driver gives them: times as `time_to_db` makes
    them. `lock`: held until the commit, where the database locks rows at all."""
    dialect = db.dialect.name
    for part in chunks(values):
        statement = _by_sql(dialect, table, tuple(columns), key, len(part), lock)
        given = (part,) if dialect == "postgresql" else tuple(part)
        for row in db.exec_driver_sql(statement, given):
            yield tuple(row)


@lru_cache(maxsize=1_000)
def _by_sql(dialect: str, table: Table, columns: tuple[str, ...], key: str, count: int, lock: bool) -> str:
    query = f"SELECT {', '.join(columns)} FROM {table.name} WHERE {key}"  # noqa: S608  names of ours
    if dialect == "postgresql":
        return f"{query} = ANY(%s)" + (" FOR UPDATE" if lock else "")
    return f"{query} IN ({', '.join('?' * count)})"


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
    if not rows:
        return
    names, by = tuple(columns), tuple(keys)
    if (
        db.dialect.name == "postgresql"
        and len(rows) >= COPIED
        and _distinct(rows, names, by)
        and _may_copy(db)
    ):
        _copied(db, table, names, rows)
        db.exec_driver_sql(_upsert_sql(db.dialect.name, table, names, by, copied=True))
    else:
        db.exec_driver_sql(_upsert_sql(db.dialect.name, table, names, by), list(rows))


def _distinct(rows: Sequence[tuple[Any, ...]], columns: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    """Whether no row comes twice: one statement cannot replace what it has just inserted."""
    places = [columns.index(key) for key in keys]
    return len({tuple(row[place] for place in places) for row in rows}) == len(rows)


def _may_copy(db: Connection) -> bool:
    """Whether this user may make temporary tables; asked once a connection."""
    known = db.connection.info
    if "may_copy" not in known:
        asked = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
        known["may_copy"] = db.exec_driver_sql(asked).scalar() is True
    return bool(known["may_copy"])


def _copied(db: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows in a table of this connection's own, empty again after the commit."""
    names, own = ", ".join(columns), f"copied_{table.name}"
    nothing = f"SELECT {names} FROM {table.name} WITH NO DATA"  # noqa: S608  names of ours
    db.exec_driver_sql(f"CREATE TEMPORARY TABLE IF NOT EXISTS {own} ON COMMIT DELETE ROWS AS {nothing}")
    import psycopg

    driver: Any = db.connection.dbapi_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {own} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError(f"COPY {own}", None, error, hide_parameters=True) from error


def insert_new(
    db: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], keys: Sequence[str]
) -> None:
    """Insert rows; where the keys are known, what is there stays."""
    if rows:
        statement = _upsert_sql(db.dialect.name, table, tuple(columns), tuple(keys), replaces=False)
        db.exec_driver_sql(statement, list(rows))


@cache
def _upsert_sql(
    dialect: str,
    table: Table,
    columns: tuple[str, ...],
    keys: tuple[str, ...],
    *,
    replaces: bool = True,
    copied: bool = False,
) -> str:
    statement = _INSERTS[dialect](table)
    if copied:
        source = sql_table(f"copied_{table.name}", *(sql_column(name) for name in columns))
        statement = statement.from_select(columns, select(*source.columns))
    else:
        statement = statement.values({name: bindparam(name) for name in columns})
    fresh = statement.excluded
    replaced: dict[str, Any] = {name: fresh[name] for name in columns if name not in keys}
    replaced.update(_merged(dialect, table, fresh))
    statement = (
        statement.on_conflict_do_update(index_elements=list(keys), set_=replaced)
        if replaced and replaces
        else statement.on_conflict_do_nothing(index_elements=list(keys))
    )
    compiled = statement.compile(dialect=_DIALECTS[dialect])
    if not copied and list(compiled.positiontup or ()) != list(columns):
        raise AssertionError(f"{table.name}: name the columns in the order of the table")
    return str(compiled)


def _merged(dialect: str, table: Table, fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Columns whose new value depends on the old one."""
    if table is DUE:
        earlier = func.least if dialect == "postgresql" else func.min
        return {"not_before": earlier(DUE.c.not_before, fresh["not_before"]), "serial": DUE.c.serial + _ONE}
    if table is RECORD:
        # What a later, ordinary pull has seen is no longer known from a first load alone.
        # Since when it is known stays as it was.
        return {
            "first_load": and_(RECORD.c.first_load, fresh["first_load"]),
            "known_at": RECORD.c.known_at,
        }
    if table is DAILY:
        return {"value": DAILY.c.value + fresh["value"]}
    if table is SPELL:
        return {"run": SPELL.c.run, "summed": SPELL.c.summed}
    return {}


def mark_due(db: Connection, refs: Iterable[Ref], not_before: datetime, *, crm: str = "") -> None:
    """These records are to be decided again, not before this moment; an earlier mark stands.

    `crm`: only a run of that CRM takes them up. Empty: any run.
    """
    moment = time_to_db(not_before, db.dialect.name)
    _mark(db, [(ref, crm, moment, 1) for ref in sorted({str(ref) for ref in refs})])


def mark_due_at(db: Connection, marks: Iterable[tuple[str, str, Any]]) -> None:
    """The same for many moments: `(ref, crm, moment as the driver takes it)`. The earliest of several counts."""
    first: dict[tuple[str, str], Any] = {}
    for ref, crm, moment in marks:
        known = first.get((ref, crm))
        first[ref, crm] = moment if known is None else min(known, moment)
    _mark(db, [(ref, crm, moment, 1) for (ref, crm), moment in sorted(first.items())])


def _mark(db: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    upsert(db, DUE, ("ref", "crm", "not_before", "serial"), rows, ("ref", "crm"))


def known_people(db: Connection, refs: Iterable[Ref]) -> set[str]:
    """Which of these are stored person records."""
    query = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    return {row.ref for row in where_in(db, query, RECORD.c.ref, map(str, refs))}
