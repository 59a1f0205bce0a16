"""Numbers of each UTC day: calls to the CRMs, what the ledger's tables hold. Counts nothing itself but the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from sqlalchemy import Connection, delete, func, select

from connector.ledger.hot import upsert
from connector.ledger.tables import METADATA
from connector.ledger.tables_daily import DAILY

CALLS, ROWS, BYTES = "calls", "rows", "bytes"
WHOLE = ""  # the name under which the bytes of the whole database stand

_COLUMNS, _KEYS = ("day", "kind", "name", "value"), ("day", "kind", "name")


def add(db: Connection, kind: str, day: date, numbers: Mapping[str, int]) -> None:
    """These come to what the day has already."""
    rows = [(day.isoformat(), kind, name, value) for name, value in sorted(numbers.items())]
    upsert(db, DAILY, _COLUMNS, rows, _KEYS)


def of_days(db: Connection, kind: str, since: date) -> dict[date, dict[str, int]]:
    """The numbers of a kind, by day and name, from this day on."""
    query = select(DAILY).where(DAILY.c.kind == kind, DAILY.c.day >= since.isoformat())
    found: dict[date, dict[str, int]] = {}
    for row in db.execute(query.order_by(DAILY.c.day, DAILY.c.name)):
        found.setdefault(date.fromisoformat(row.day), {})[row.name] = row.value
    return found


def replace(db: Connection, kind: str, day: date, numbers: Mapping[str, int]) -> None:
    """These are the numbers of the day, whatever it had."""
    db.execute(delete(DAILY).where(DAILY.c.day == day.isoformat(), DAILY.c.kind == kind))
    add(db, kind, day, numbers)


def sizes_of(db: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Rows and bytes (indexes included) of each table; the bytes of the whole under `WHOLE`. Where SQLite was built
    without `dbstat` (https://sqlite.org/dbstat.html) only the whole is known in bytes."""
    rows = {
        name: db.execute(select(func.count()).select_from(each)).scalar() or 0
        for name, each in sorted(METADATA.tables.items())
    }
    return rows, {WHOLE: whole(db), **_bytes(db)}


def whole(db: Connection) -> int:
    """The bytes of the database, pages that wait for new rows among them."""
    if db.dialect.name == "postgresql":
        return int(db.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0)
    return _pragma(db, "page_count") * _pragma(db, "page_size")


def unused(db: Connection) -> int:
    """Of these the bytes of pages that wait for new rows; PostgreSQL does not tell: 0."""
    if db.dialect.name == "postgresql":
        return 0
    return _pragma(db, "freelist_count") * _pragma(db, "page_size")


def in_use(db: Connection) -> tuple[int, int]:
    """Both."""
    return whole(db), unused(db)


def _pragma(db: Connection, name: str) -> int:
    return int(db.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)


def _bytes(db: Connection) -> dict[str, int]:
    if db.dialect.name == "postgresql":
        query = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)"
        return {name: int(size) for name, size in db.exec_driver_sql(query, (sorted(METADATA.tables),))}
    if "ENABLE_DBSTAT_VTAB" not in {row[0] for row in db.exec_driver_sql("PRAGMA compile_options")}:
        return {}
    query = (
        "SELECT m.tbl_name, SUM(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name "
        "WHERE s.aggregate = 1 GROUP BY m.tbl_name"
    )
    return {name: int(size) for name, size in db.exec_driver_sql(query) if name in METADATA.tables}
