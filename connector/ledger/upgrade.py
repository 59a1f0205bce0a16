"""Bring a database to this version's schema, with Alembic. Reads and changes no row of ours."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from connector.errors import FixConfig
from connector.ledger.engine import build_engine, check_place, parse_url

HEAD = "0016"
"""The newest migration, known without loading Alembic, so that opening an up-to-date ledger stays quick."""

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 4_702_111_935  # of PostgreSQL, so that two sidecars that start together upgrade once


def upgrade(url: str, *, create: bool = True) -> str:
    """Create or upgrade the schema; already there is harmless. Returns the schema's version.

    Raises FixConfig for a bad URL, a database that cannot be reached or written, a database that is not a ledger
    while `create` is False, and a schema newer than this code.
    """
    parsed = parse_url(url)
    check_place(parsed, create=create)
    engine = build_engine(parsed)
    try:
        with engine.begin() as connection:
            return upgrade_connection(connection, create=create)
    except DBAPIError as error:
        raise unreachable(parsed.render_as_string(hide_password=True), error) from error
    finally:
        engine.dispose()


class LedgerAwayError(FixConfig):
    """A database server does not answer. A command ends; whoever may wait tries again."""


def unreachable(where: str, error: DBAPIError) -> FixConfig:
    """What to tell when the database does not answer, or answers that it will not."""
    away = isinstance(error, OperationalError)
    kind = "cannot be reached" if away else "refused the schema"
    return (LedgerAwayError if away and not where.startswith("sqlite") else FixConfig)(
        f"The database {where} {kind}: {str(error.orig).strip().splitlines()[0] if str(error.orig) else error}.",
        next_step="See that it is up, that the name and the password are right, and that this user may create tables.",
        where="CONNECTOR_DATABASE_URL",
    )


def upgrade_connection(connection: Connection, *, create: bool = True) -> str:
    """The same inside a transaction that is already open."""
    if version(connection) == HEAD:
        return HEAD
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = version(connection)
    if found is None and not create:
        raise FixConfig(
            "The database holds no ledger yet.",
            next_step="Run `connector db upgrade` or a first `connector sync`, or correct the URL.",
            where="CONNECTOR_DATABASE_URL",
        )
    if found != HEAD:
        _run_alembic(connection, found)
    return HEAD


def version(connection: Connection) -> str | None:
    """The schema's version as the database states it; None where there is no ledger."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _run_alembic(connection: Connection, found: str | None) -> None:
    from alembic import command  # only needed when something changes, and slow to load
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise FixConfig(
            f"The database has schema {found}, newer than this version of the connector knows ({HEAD}).",
            next_step="Run the newer connector again, or restore the backup taken before its upgrade.",
            where="CONNECTOR_DATABASE_URL",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
