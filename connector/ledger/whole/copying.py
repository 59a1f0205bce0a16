"""A ledger from one database into another, say from SQLite to PostgreSQL, while the one it comes from stands still.

The target commits part by part. Until every table has been compared it states no version of the schema but that it is
a copy under way (`copy:` and whose), so nobody can work on half a ledger; a copy that was killed goes on where it broke
off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import URL, Connection, Engine, func, select, update
from sqlalchemy.exc import DBAPIError

from connector.errors import FixConfig, StopRun
from connector.ledger.engine import build_engine, check_place, in_memory, parse_url
from connector.ledger.upgrade import (
    COPYING,
    HEAD,
    VERSION,
    alone,
    other_schema,
    unreachable,
    upgrade_connection,
    version,
)
from connector.ledger.whole import rows
from connector.ledger.whole.backup import refuse_other
from connector.ledger.whole.rows import Seal, Sealing, Shape, shape_of
from connector.ledger.whole.special import NOT_CARRIED
from connector.ledger.whole.standing import nobody_at_work, rows_standing
from connector.ledger.whole.tables import all_tables

Said = Callable[[str, int, int], None]
"""Told after each part: the table, how many of its rows are in the target, and how many it has."""

_WHOSE = ("run", "file_version")  # their first rows never change, and no two ledgers have the same


@dataclass(frozen=True, slots=True)
class Copied:
    """What was compared, by table. `found`: rows that an earlier, broken-off copy had brought."""

    seals: dict[str, Seal]
    found: int

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(each.rows for each in self.seals.values())


def copy(url: str, to: str, at: datetime, said: Said = lambda table, done, all_: None) -> Copied:
    """Copy the ledger at `url` into the database at `to`: every table, compared by count and hash. Twice is harmless.

    Raises FixConfig where one of the databases cannot be used, or the target holds a ledger, or a part of another;
    LeaseBusy while somebody works on the source; StopRun where the two differ in the end.
    """
    source, target = parse_url(url), parse_url(to)
    if in_memory(source) or in_memory(target) or _place(source) == _place(target):
        raise FixConfig(
            "The ledger cannot be copied onto itself, nor from or to a memory.",
            next_step="Name another database.",
            where="--to",
        )
    check_place(target, create=True)
    engine = build_engine(target)
    try:
        with _still(source, at) as db:
            whose = COPYING + _fingerprint(db)
            with _told(target), engine.begin() as there:
                alone(there)
                if (same := _same(db, there)) is not None:
                    return same
                _prepare(there, whose)
            with _told(target):
                return _tables(db, engine, said)
    finally:
        engine.dispose()


def _place(url: URL) -> tuple[object, ...]:
    return url.host, url.port, url.database, tuple(sorted(url.query.items()))


@contextmanager
def _told(url: URL) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise unreachable(url.render_as_string(hide_password=True), error, where="--to") from error


@contextmanager
def _still(url: URL, at: datetime) -> Iterator[Connection]:
    """The source, in a transaction in which nobody else writes to it."""
    check_place(url, create=False)
    engine = build_engine(url, cache_mb=8)
    try:
        with engine.begin() as db:
            alone(db)
            refuse_other(version(db))
            nobody_at_work(db, at)
            yield db
    except DBAPIError as error:
        raise unreachable(url.render_as_string(hide_password=True), error) from error
    finally:
        engine.dispose()


def _fingerprint(db: Connection) -> str:
    """Whose copy it is."""
    found = sha256()
    for table in all_tables():
        if table.name in _WHOSE:
            for lines in rows.read(db, shape_of(table), at_once=1):
                found.update(lines[0] + b"\n")
                break
    return found.hexdigest()[:24]


def _same(db: Connection, there: Connection) -> Copied | None:
    """What was compared, where the target holds this very ledger already, row by row: the copy had ended."""
    if version(there) != HEAD or not rows_standing(there):
        return None
    seals = {}
    for table in all_tables():
        if table.name not in NOT_CARRIED:
            shape = shape_of(table)
            seals[shape.name] = rows.seal(db, shape)
            if rows.seal(there, shape) != seals[shape.name]:
                return None
    done = Copied(seals, 0)
    return Copied(seals, done.rows)


def _prepare(there: Connection, whose: str) -> None:
    """Make the target's tables and say whose copy they are to hold, unless they do."""
    found = version(there)
    if found == whose:
        return
    if found is not None and found.startswith(COPYING):
        raise other_schema(found, where="--to")
    upgrade_connection(there)
    if found is not None and (standing := rows_standing(there)):
        raise FixConfig(
            f"The target holds a ledger already ({standing:,} rows).",
            next_step="Name an empty database.",
            where="--to",
        )
    there.execute(update(VERSION).values(version_num=whose))


def _tables(db: Connection, engine: Engine, said: Said) -> Copied:
    seals: dict[str, Seal] = {}
    found = 0
    shapes = [shape_of(table) for table in all_tables() if table.name not in NOT_CARRIED]
    for shape in shapes:
        there_before = _count(engine, shape)
        sealed, stands = _one_table(db, engine, shape, said)
        if (
            there_before and sealed != stands
        ):  # the source went on since the earlier try: once more, from the beginning
            there_before = 0
            with engine.begin() as there:
                rows.empty(there, shape)
            sealed, stands = _one_table(db, engine, shape, said)
        if sealed != stands:
            raise StopRun(
                f"`{shape.name}` differs in the target: {stands.rows:,} rows of {sealed.rows:,}, or another content.",
                next_step="The target cannot be used. See what its server did to the rows, and use an empty one.",
                where="--to",
            )
        seals[shape.name] = sealed
        found += there_before
    with engine.begin() as there:
        for shape in shapes:
            rows.number_on(there, shape, at_least=rows.last_number(db, shape))
        there.execute(update(VERSION).values(version_num=HEAD))
    return Copied(seals, found)


def _one_table(db: Connection, engine: Engine, shape: Shape, said: Said) -> tuple[Seal, Seal]:
    """Bring what is missing; the seals of both."""
    table = rows.as_table(shape)
    total = int(db.execute(select(func.count()).select_from(table)).scalar() or 0)
    after, done = _last(engine, shape), _count(engine, shape)
    sealing = Sealing()
    for lines in rows.read(db, shape, after=after):
        sealing.add(lines)
        with engine.begin() as there:
            rows.insert(there, shape, lines)
        done += len(lines)
        said(shape.name, done, total)
    with engine.begin() as there:
        stands = rows.seal(there, shape)
    return (sealing.seal if after is None else rows.seal(db, shape)), stands


def _last(engine: Engine, shape: Shape) -> list[object] | None:
    """The last key in the target, spelled as a line spells it."""
    with engine.begin() as there:
        line = rows.last_line(there, shape)
    return rows.key_of(line, shape) if line is not None else None


def _count(engine: Engine, shape: Shape) -> int:
    with engine.begin() as there:
        return int(there.execute(select(func.count()).select_from(rows.as_table(shape))).scalar() or 0)
