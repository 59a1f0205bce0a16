"""The commands `connector criteria` and `connector mapping`: the files that admins edit. Bodies: `app/commands/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import Crms, Json, Mappings

criteria_app = typer.Typer(help="The shared definition: run its examples.", no_args_is_help=True)
mapping_app = typer.Typer(help="The field mappings: check them.", no_args_is_help=True)


@criteria_app.command("test")
def criteria_test(
    criteria: Annotated[
        Path | None, typer.Option("--criteria", help="The file; else the one in the mappings folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Run the examples in the criteria file; a red one exits with 1.

    Example: connector criteria test
    """
    from connector.app.commands.criteria import criteria_test as body

    guarded(json, lambda: body(criteria, json=json))


@mapping_app.command("check")
def mapping_check(crms: Crms = None, mappings: Mappings = None, json: Json = False) -> None:
    """The mapping files, and their fields against the live schema: the part of `check` that is about them.

    Example: connector mapping check
    """
    from connector.app.commands.check import mapping_check as body

    guarded(json, lambda: body(crms or [], mappings=mappings, json=json))


@mapping_app.command("show")
def mapping_show(
    crm: Annotated[str, typer.Argument(help="hubspot or salesforce.")],
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """What is read from where and written where, under which rule.

    Example: connector mapping show hubspot
    """
    from connector.app.commands.mapping import mapping_show as body

    guarded(json, lambda: body(crm, mappings=mappings, json=json))
