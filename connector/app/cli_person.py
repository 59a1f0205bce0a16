"""The commands by which a person's own requests are answered. Bodies: `app/commands/person.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import As, Json

person_app = typer.Typer(
    help="What is held about one person: show it, erase it, let them in again.", no_args_is_help=True
)
Who = Annotated[str, typer.Argument(help="E-mail address, record (crm:object:id) or person:N.")]


@person_app.command("export")
def person_export(
    who: Who,
    target: Annotated[Path | None, typer.Option("--out", help="Into this new file; else on stdout.")] = None,
    json: Json = False,
) -> None:
    """All that is held about somebody, as JSON.

    Example: connector person export ada@example.com --out ada.json
    """
    from connector.app.commands.person import person_export as body

    guarded(json, lambda: body(who, target=target, json=json))


@person_app.command("erase")
def person_erase(
    who: Who,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept, without the person.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    given: As = None,
    json: Json = False,
) -> None:
    """Erase somebody here, for good; deletes nothing in a CRM, and says what to delete there.

    Example: connector person erase ada@example.com --reason "Asked on 26 November"
    """
    from connector.app.commands.person import person_erase as body

    guarded(json, lambda: body(who, reason=reason, yes=yes, given=given, json=json))


@person_app.command("allow")
def person_allow(
    who: Who,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    given: As = None,
    json: Json = False,
) -> None:
    """Let an erased person in again.

    Example: connector person allow ada@example.com --reason "Signed up on 3 December"
    """
    from connector.app.commands.person import person_allow as body

    guarded(json, lambda: body(who, reason=reason, given=given, json=json))


@person_app.command("reseal")
def person_reseal(
    old_key: Annotated[
        Path | None, typer.Option("--old-key", help="A file with the CONNECTOR_SECRET_KEY of before.")
    ] = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="It is lost: let go of the hashes; erased people may come back.")
    ] = False,
    given: As = None,
    json: Json = False,
) -> None:
    """After CONNECTOR_SECRET_KEY was changed: go on keeping erased people out under the new one.

    Example: connector person reseal --old-key /run/secrets/old_secret_key
    """
    from connector.app.commands.person import person_reseal as body

    guarded(json, lambda: body(old_key=old_key, lost=lost, given=given, json=json))
