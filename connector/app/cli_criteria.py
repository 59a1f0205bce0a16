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


@criteria_app.command("example")
def criteria_example(
    person: Annotated[
        str, typer.Argument(help="E-mail address or record id (`151`, `hubspot:contact:151`).")
    ],
    name: Annotated[str | None, typer.Option("--name", help="What the example shows.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Put it into the file, behind the others.")] = False,
    criteria: Annotated[
        Path | None, typer.Option("--criteria", help="The file; else the one in the mappings folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Freeze a real person, as known now, as an anonymised example of the agreement.

    Example: connector criteria example hubspot:contact:151 --name "A director who came back" --add
    """
    from connector.app.commands.criteria import criteria_example as body

    guarded(json, lambda: body(person, name=name, add=add, path=criteria, json=json))


@criteria_app.command("diff")
def criteria_diff(
    before: Annotated[
        str, typer.Argument(help="strict, classic, broad; a file; a version's number; `file`: yours.")
    ],
    after: Annotated[str, typer.Argument(help="Likewise.")],
    people: Annotated[
        bool, typer.Option("--people/--no-people", help="Whether to count whom it means in the ledger.")
    ] = True,
    json: Json = False,
) -> None:
    """Where two definitions differ, in words and in people.

    Example: connector criteria diff strict broad
    """
    from connector.app.commands.diff import criteria_diff as body

    guarded(json, lambda: body(before, after, people=people, json=json))


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
