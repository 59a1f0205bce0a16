"""Connections and threads: one writer on SQLite, a few on PostgreSQL, readers beside them. Knows no table.

SQLAlchemy stays synchronous; each transaction is one function that runs in a thread and is awaited.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from connector.errors import FixConfig, LedgerFailed

P = ParamSpec("P")
T = TypeVar("T")

FIRST: ContextVar[Callable[[Connection], None] | None] = ContextVar("first", default=None)
"""What each writing transaction of the task in hand does before its own work, in the same commit."""

BUSY_MS = 30_000  # how long SQLite waits for another process's writer
PG_WRITERS = 4  # streams of both CRMs are kept side by side; leases keep them apart
READERS = 2
TRIES = 4  # of a transaction that another's got in the way of
# serialization_failure, deadlock_detected, unique_violation (PostgreSQL, appendix A). The last: another process
# has just made the row that we looked for and did not find; looked for again, it is there.
_REPEATABLE = frozenset({"40001", "40P01", "23505"})


def parse_url(text: str) -> URL:
    """The database URL, with psycopg 3 as PostgreSQL's driver. Raises FixConfig for anything else."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise FixConfig(
            "The database URL cannot be read.",
            next_step="Use sqlite:///connector.db or postgresql+psycopg://user@host/name.",
            where="CONNECTOR_DATABASE_URL",
        ) from error
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return url.set(drivername="sqlite")
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise FixConfig(
        f"The database URL names `{url.drivername}`, which the ledger cannot use.",
        next_step="Use sqlite:///connector.db or postgresql+psycopg://user@host/name.",
        where="CONNECTOR_DATABASE_URL",
    )


def in_memory(url: URL) -> bool:
    """Whether this SQLite database lives only as long as its connection."""
    return url.drivername == "sqlite" and url.database in (None, "", ":memory:")


def check_place(url: URL, *, create: bool) -> None:
    """That the folder of an SQLite file exists and can be written. Raises FixConfig."""
    if url.drivername != "sqlite" or in_memory(url):
        return
    assert url.database is not None
    file = Path(url.database).absolute()
    if not file.parent.is_dir():
        raise FixConfig(
            f"The folder {file.parent} of the database does not exist.",
            next_step="Create it (in a container: mount a volume there), or change the URL.",
            where="CONNECTOR_DATABASE_URL",
        )
    if not file.exists() and not create:
        raise FixConfig(
            f"There is no database at {file}.",
            next_step="Run `connector db upgrade` or a first `connector sync`, or correct the URL.",
            where="CONNECTOR_DATABASE_URL",
        )
    # SQLite writes its log files beside the database, so the folder counts as well as the file.
    if not os.access(file.parent, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise FixConfig(
            f"The database {file} or its folder cannot be written by this user.",
            next_step="Give this user write permission on both, or change the URL.",
            where="CONNECTOR_DATABASE_URL",
        )


def build_engine(
    url: URL, *, begin: str = "BEGIN IMMEDIATE", connections: int = 1, cache_mb: int = 32
) -> Engine:
    """An engine whose transactions begin as told (SQLite) or as PostgreSQL does by default.

    `cache_mb`: of pages that each SQLite connection may hold in memory; it comes to hold them."""
    if url.drivername != "sqlite":
        return create_engine(
            url,
            pool_size=connections,
            max_overflow=2,
            pool_pre_ping=True,
            hide_parameters=True,  # they are personal data, and a traceback may be logged
            connect_args={"connect_timeout": 10},
        )
    more: dict[str, Any] = (
        {"poolclass": StaticPool} if in_memory(url) else {"pool_size": connections, "max_overflow": 1}
    )
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
        hide_parameters=True,
        **more,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, so that DDL is transactional too
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "journal_mode=WAL",
            "wal_autocheckpoint=4000",  # 16 MB: a page of the file that many commits touch is copied back once
            "synchronous=NORMAL",  # in WAL a power cut loses at most whole last commits, which are repeated
            f"cache_size=-{cache_mb * 1000}",
            # Temporary files are files: in memory they would hold every page that one large statement replaces.
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class Database:
    """The threads and connections of one ledger. `guard` begins each writing transaction, and may refuse it."""

    def __init__(self, url: URL, guard: Callable[[Connection], None] = lambda connection: None) -> None:
        self.url = url
        self._guard = guard
        self.sqlite = url.drivername == "sqlite"
        writers = 1 if self.sqlite else PG_WRITERS
        self._write_engine = build_engine(url, connections=writers)
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="ledger-write")
        if in_memory(url):
            self._read_engine, self._readers = self._write_engine, self._writers
        else:
            self._read_engine = build_engine(url, begin="BEGIN", connections=READERS, cache_mb=8)
            self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="ledger-read")
        if not self.sqlite:
            # One snapshot for all statements of a question.
            self._read_engine = self._read_engine.execution_options(isolation_level="REPEATABLE READ")

    @property
    def write_engine(self) -> Engine:
        """For what has to happen before the ledger is open."""
        return self._write_engine

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(connection, ...)` as one writing transaction. Database errors become LedgerFailed."""
        opened = self._opening()

        def once() -> T:
            with self._write_engine.begin() as connection:
                opened(connection)
                return work(connection, *args, **kwargs)

        return await self._in(self._writers, once)

    async def write_through(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, and on the disk once it returns, for what nobody can ask for again: it outlasts a power cut.

        SQLite waits for the disk only at `synchronous=FULL` (https://sqlite.org/pragma.html#pragma_synchronous);
        PostgreSQL does unless told otherwise.
        """
        if not self.sqlite or in_memory(self.url):
            return await self.write(work, *args, **kwargs)

        opened = self._opening()

        def once() -> T:
            with self._write_engine.connect() as connection:
                driver: Any = connection.connection.dbapi_connection
                driver.execute("PRAGMA synchronous=FULL")
                try:
                    with connection.begin():
                        opened(connection)
                        return work(connection, *args, **kwargs)
                finally:
                    driver.execute("PRAGMA synchronous=NORMAL")

        return await self._in(self._writers, once)

    def _opening(self) -> Callable[[Connection], None]:
        """What every writing transaction begins with. Asked outside of its thread, which has a context of its own."""
        first = FIRST.get()

        def opened(connection: Connection) -> None:
            self._guard(connection)
            if first is not None:
                first(connection)

        return opened

    async def write_over(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, and what it deletes is overwritten in SQLite's file and gone from its log
        (https://sqlite.org/pragma.html#pragma_secure_delete). PostgreSQL does that when it vacuums, which it does by
        itself.
        """
        if not self.sqlite or in_memory(self.url):
            return await self.write(work, *args, **kwargs)
        await self._in(self._writers, partial(self._tell, "secure_delete=ON"))
        try:
            return await self.write(work, *args, **kwargs)
        finally:
            for pragma in ("secure_delete=OFF", "wal_checkpoint(TRUNCATE)"):
                await self._in(self._writers, partial(self._tell, pragma))

    def _tell(self, pragma: str) -> None:
        """To the one writing connection of SQLite, outside of transactions. Where somebody reads for too long, the log
        is emptied later."""
        with self._write_engine.connect() as connection, suppress(sqlite3.OperationalError):
            driver: Any = connection.connection.dbapi_connection
            driver.execute(f"PRAGMA {pragma}")

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(connection, ...)` on one snapshot. Database errors become LedgerFailed."""

        def once() -> T:
            with self._read_engine.begin() as connection:
                return work(connection, *args, **kwargs)

        return await self._in(self._readers, once)

    async def compact(self) -> int:
        """Rebuild an SQLite file without its free pages (https://sqlite.org/lang_vacuum.html). Returns by how many
        bytes it is smaller; 0 on PostgreSQL, whose autovacuum gives room back to new rows."""
        if not self.sqlite or in_memory(self.url):
            return 0
        assert self.url.database is not None
        file = Path(self.url.database)

        def once() -> int:
            before = file.stat().st_size
            with self._write_engine.connect() as connection:
                driver: Any = connection.connection.dbapi_connection
                try:
                    driver.execute("VACUUM")
                    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                except sqlite3.Error as error:
                    raise LedgerFailed(
                        f"The file was not made smaller ({error.sqlite_errorname}).",
                        next_step="See that the disk has room for a second copy of it, and that nobody else writes.",
                        where="ledger",
                    ) from error
            return before - file.stat().st_size

        return await self._in(self._writers, once)

    async def _in(self, threads: ThreadPoolExecutor, once: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, _repeating, once)

    async def close(self) -> None:
        """Let what is under way end, then give threads and connections back. Twice is harmless."""
        for threads in (self._writers, self._readers):
            await asyncio.to_thread(threads.shutdown, wait=True)
        for engine in (self._write_engine, self._read_engine):
            engine.dispose()


def _repeating(once: Callable[[], T]) -> T:
    """Repeat a transaction that PostgreSQL rolled back for another's sake; it left nothing behind."""
    for attempt in range(1, TRIES + 1):
        try:
            return once()
        except DBAPIError as error:
            if attempt < TRIES and getattr(error.orig, "sqlstate", None) in _REPEATABLE:
                continue
            raise _stopped(error) from error
        except SQLAlchemyError as error:
            raise _stopped(error) from error
    raise AssertionError("unreachable")


def _stopped(error: SQLAlchemyError) -> LedgerFailed:
    # The text of a DBAPIError repeats the statement with its values, which are personal data.
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or ""
    return LedgerFailed(
        f"The database refused the work ({type(cause or error).__name__} {state})".rstrip() + ".",
        next_step="Nothing of this step was saved. See that the database is up and has room, then run again.",
        where="ledger",
    )
