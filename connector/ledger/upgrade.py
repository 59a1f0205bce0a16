"""Bring a database to this version's schema, with Alembic. Reads and changes no row of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from connector.errors import FixConfig
from connector.ledger.engine import build_engine, check_place, parse_url

HEAD = "0017"
"""The newest migration, known without loading Alembic, so that opening an up-to-date ledger stays quick."""

if TYPE_CHECKING:
    from alembic.config import Config

VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table, in which the database states its version."""

COPYING = "copy:"
"""Begins what a database states in place of a version while a ledger is being copied into it; then whose copy it is."""

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 4_702_111_935
"""Of PostgreSQL. Every writer shares it; an upgrade has it alone. So two sidecars that start together upgrade once, and
no writer is half way while the schema changes. (SQLite has one writer anyway.)"""


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


class OtherSchemaError(FixConfig):
    """The database has a schema that is not this program's: a newer program has upgraded it."""


def other_schema(
    found: str, *, of: str = "The database", where: str = "CONNECTOR_DATABASE_URL"
) -> OtherSchemaError:
    """What to tell of a schema that this program does not know, naming both."""
    if found.startswith(COPYING):
        return OtherSchemaError(
            f"{of} holds a part of a ledger: a copy into it has not ended.",
            next_step="Run the same `connector db copy` again; it goes on where it broke off. Or use an empty one.",
            where=where,
        )
    return OtherSchemaError(
        f"{of} has schema {found}, newer than this version of the connector knows ({HEAD}).",
        next_step="Run the newer connector again, or restore the backup taken before its upgrade.",
        where=where,
    )


def refuse_other_schema(connection: Connection) -> None:
    """Begins every writing transaction. While several programs share a ledger one of them may be newer and upgrade it:
    from that commit on an older one writes nothing, whatever it is in the middle of. Raises OtherSchemaError."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION.name}").scalar()  # noqa: S608
    if found != HEAD:
        raise other_schema(str(found))


def unreachable(url: str, error: DBAPIError, *, where: str = "CONNECTOR_DATABASE_URL") -> FixConfig:
    """What to tell when the database does not answer, or answers that it will not."""
    away = isinstance(error, OperationalError)
    kind = "cannot be reached" if away else "refused the work"
    return (LedgerAwayError if away and not url.startswith("sqlite") else FixConfig)(
        f"The database {url} {kind}: {str(error.orig).strip().splitlines()[0] if str(error.orig) else error}.",
        next_step="See that it is up, that the name and the password are right, and that this user may create tables.",
        where=where,
    )


def upgrade_connection(connection: Connection, *, create: bool = True, to: str = HEAD) -> str:
    """The same inside a transaction that is already open. `to`: an older version, where there is no ledger yet."""
    if version(connection) == to:
        return to
    alone(connection)
    found = version(connection)
    if found is None and not create:
        raise FixConfig(
            "The database holds no ledger yet.",
            next_step="Run `connector db upgrade` or a first `connector sync`, or correct the URL.",
            where="CONNECTOR_DATABASE_URL",
        )
    if found != to:
        _run_alembic(connection, found, to)
    return to


def alone(connection: Connection) -> None:
    """Wait for those who are writing, and let nobody begin before this transaction ends. (On SQLite it is alone.)"""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def version(connection: Connection) -> str | None:
    """The schema's version as the database states it; None where there is no ledger."""
    if not inspect(connection).has_table(VERSION.name):
        return None
    return connection.execute(select(VERSION.c.version_num)).scalar()


def knows(found: str) -> bool:
    """Whether this is a version of the schema that this program can upgrade."""
    return found in _known(_config())


def _config() -> Config:
    from alembic.config import Config  # only needed when something changes, and slow to load

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


def _known(config: Config) -> frozenset[str]:
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())


def _run_alembic(connection: Connection, found: str | None, to: str) -> None:
    from alembic import command

    config = _config()
    if found is not None and found not in _known(config):
        raise other_schema(found)
    config.attributes["connection"] = connection
    command.upgrade(config, to)
