"""`connector db size` and `db prune`: how the ledger grows, and letting go of what is old. Bodies:
`app/commands/size.py`, `app/commands/prune.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import Json


def db_size(json: Json = False) -> None:
    """Rows and bytes of each table, how they grew over the last week, and calls to the CRMs a day.

    Example: connector db size
    """
    from connector.app.commands.size import db_size as body

    guarded(json, lambda: body(json=json))


def db_prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what is older than it is kept.")
    ] = False,
    shrink: Annotated[
        bool,
        typer.Option("--shrink", help="SQLite: then make the file smaller. Nobody else may write meanwhile."),
    ] = False,
    json: Json = False,
) -> None:
    """Let go of what is older than `retention` of the criteria says. The sidecar does it every night.

    Example: connector db prune --dry-run
    """
    from connector.app.commands.prune import db_prune as body

    guarded(json, lambda: body(dry_run=dry_run, shrink=shrink, json=json))
