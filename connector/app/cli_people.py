"""The commands that ask or say something about people. Bodies: `app/commands/`."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import Json

people_app = typer.Typer()  # its commands stand at the top: `connector explain`


@people_app.command()
def explain(
    person: Annotated[
        str, typer.Argument(help="E-mail address or record id (`151`, `hubspot:contact:151`).")
    ],
    json: Json = False,
) -> None:
    """Why somebody is an MQL, or why not yet, and what happened so far.

    Example: connector explain ada@example.com
    """
    from connector.app.commands.explain import explain as body

    guarded(json, lambda: body(person, json=json))
