"""The commands under `connector db`. Bodies live in `app/commands/db.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import As, Json

db_app = typer.Typer(help="The ledger's database.", no_args_is_help=True)


@db_app.command("upgrade")
def db_upgrade(json: Json = False) -> None:
    """Bring the ledger's database to this version's schema. Twice is harmless.

    Example: connector db upgrade
    """
    from connector.app.commands.db import db_upgrade as body

    guarded(json, lambda: body(json=json))


@db_app.command("copy")
def db_copy(
    to: Annotated[
        str,
        typer.Option(
            "--to", help="URL of the other database, without a password: PGPASSFILE or PGPASSWORD has it."
        ),
    ],
    json: Json = False,
) -> None:
    """The whole ledger into another database, say from SQLite to PostgreSQL, compared by count and hash. Broken off,
    the same command goes on. The ledger that is copied stands still meanwhile, and stays.

    Example: connector db copy --to postgresql+psycopg://connector@db.example/connector
    """
    from connector.app.commands.db import db_copy as body

    guarded(json, lambda: body(to, json=json))


@db_app.command("backup")
def db_backup(
    file: Annotated[Path, typer.Argument(help="A new file. Only its owner may read it.")], json: Json = False
) -> None:
    """The whole ledger into one file, while everything goes on. Either database can take it back.

    Example: connector db backup /backups/connector-2026-11-26.zip
    """
    from connector.app.commands.db import db_backup as body

    guarded(json, lambda: body(file, json=json))


@db_app.command("mark-gap")
def db_mark_gap(as_: As = None, json: Json = False) -> None:
    """Say that the ledger was brought back by other means, such as a snapshot of its disk, so that it reads before it
    writes and undoes nothing across the gap. Before anything else is run on it.

    Example: connector db mark-gap --as Ada
    """
    from connector.app.commands.db import db_mark_gap as body

    guarded(json, lambda: body(given=as_, json=json))


@db_app.command("restore")
def db_restore(
    file: Annotated[Path, typer.Argument(help="A file that `connector db backup` wrote.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="In place of the ledger that the database holds; that one is lost."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace it without a question.")] = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """The ledger back from a backup. The lost time is marked: it is read again before anything is written, and what was
    written in it or before it cannot be undone.

    Example: connector db restore /backups/connector-2026-11-26.zip
    """
    from connector.app.commands.db import db_restore as body

    guarded(json, lambda: body(file, replace=replace, yes=yes, given=as_, json=json))
