"""A throw-away copy of a ledger, for rehearsals: whatever is done to it, the ledger itself keeps nothing of it."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from connector.errors import FixConfig
from connector.ledger.engine import build_engine, in_memory, parse_url
from connector.ledger.tables import METADATA

NOT_COPIED = ("lease", "backfill", "backfill_stream")  # who works on the ledger does not work on its copy


@contextmanager
def rehearsal(url: str) -> Iterator[str]:
    """The URL of a copy of the ledger at this URL, gone at the end. It takes as much room as the ledger does.

    SQLite: a file in the system's folder for temporary files. PostgreSQL: a schema of its own in the same database.
    Raises FixConfig where the copy cannot be made.
    """
    parsed = parse_url(url)
    if in_memory(parsed):
        raise FixConfig("A ledger in memory cannot be copied.", next_step="Use a file, or PostgreSQL.")
    with _file(parsed) if parsed.drivername == "sqlite" else _schema(parsed) as copy:
        yield copy.render_as_string(hide_password=False)


@contextmanager
def _file(url: URL) -> Iterator[URL]:
    with tempfile.TemporaryDirectory(prefix="connector-rehearsal-") as folder:
        place = Path(folder) / "ledger.db"
        engine = build_engine(url, begin="")
        try:
            connection = engine.raw_connection()
            try:
                connection.cursor().execute("VACUUM INTO ?", (str(place),))
            finally:
                connection.close()
        except (SQLAlchemyError, OSError, engine.dialect.dbapi.Error) as error:  # type: ignore[union-attr]
            raise _impossible(type(error).__name__) from error
        finally:
            engine.dispose()
        copy = url.set(database=str(place))
        emptied = build_engine(copy)
        with emptied.begin() as db:
            for name in NOT_COPIED:
                db.execute(text(f"DELETE FROM {name}"))  # noqa: S608 (our own names)
        emptied.dispose()
        yield copy


@contextmanager
def _schema(url: URL) -> Iterator[URL]:
    schema = f"rehearsal_{secrets.token_hex(6)}"
    engine = build_engine(url)
    try:
        try:
            _copy_tables(engine, schema)
        except SQLAlchemyError as error:
            raise _impossible(str(getattr(error, "orig", None) or error).splitlines()[0]) from error
        yield url.update_query_dict({"options": f"-csearch_path={schema}"})
    finally:
        with engine.begin() as db:
            db.execute(text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
        engine.dispose()


def _copy_tables(engine: Engine, schema: str) -> None:
    """All in one transaction over one snapshot. Numbers go on from the sequences of the ledger, which never mind."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as db, db.begin():
        db.execute(text(f'CREATE SCHEMA "{schema}"'))
        for name in ("alembic_version", *METADATA.tables):
            db.execute(text(f'CREATE TABLE "{schema}"."{name}" (LIKE "{name}" INCLUDING ALL)'))
            if name not in NOT_COPIED:
                db.execute(text(f'INSERT INTO "{schema}"."{name}" SELECT * FROM "{name}"'))  # noqa: S608


def _impossible(why: str) -> FixConfig:
    return FixConfig(
        f"The ledger cannot be copied for a rehearsal: {why}.",
        next_step="It needs as much free room as the ledger takes, and on PostgreSQL the right to create a schema "
        "(GRANT CREATE ON DATABASE).",
        where="CONNECTOR_DATABASE_URL",
    )
