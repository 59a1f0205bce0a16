"""The commands about who may ask the sidecar. Bodies: `app/commands/token.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import As, Json

token_app = typer.Typer(
    help="Who may ask the sidecar; and the refresh tokens that the ledger keeps, sealed.",
    no_args_is_help=True,
)


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Whose it is: one person, or one program.")],
    role: Annotated[str, typer.Option("--role", help="viewer, operator or admin.")],
    expires: Annotated[
        str, typer.Option("--expires", help="After 90d, 12h ..., or on a day: 2027-02-22 (UTC).")
    ] = "90d",
    service: Annotated[
        bool, typer.Option("--service", help="It is a program's: it can never be a second person.")
    ] = False,
    beyond_a_year: Annotated[
        bool, typer.Option("--beyond-a-year", help="Let it live for longer than a year.")
    ] = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Make a token for the API. It is shown once, alone on stdout: the ledger keeps no more than its hash.

    Example: connector token create Grace --role operator --expires 90d
    """
    from connector.app.commands.token import token_create as body

    guarded(
        json,
        lambda: body(
            name,
            role=role,
            expires=expires,
            service=service,
            beyond_a_year=beyond_a_year,
            given=as_,
            json=json,
        ),
    )


@token_app.command("list")
def token_list(json: Json = False) -> None:
    """Whose tokens there are, until when, and when they were used last; never a token itself.

    Example: connector token list
    """
    from connector.app.commands.token import token_list as body

    guarded(json, lambda: body(json=json))


@token_app.command("revoke")
def token_revoke(
    whose: Annotated[str, typer.Argument(metavar="NAME|ID", help="Whose, or its number in `token list`.")],
    as_: As = None,
    json: Json = False,
) -> None:
    """From now on this token opens nothing; a sidecar notices within five seconds.

    Example: connector token revoke Grace
    """
    from connector.app.commands.token import token_revoke as body

    guarded(json, lambda: body(whose, given=as_, json=json))


@token_app.command("forget")
def token_forget(
    crm: Annotated[str, typer.Argument(help="hubspot or salesforce.")], json: Json = False
) -> None:
    """Let go of a kept refresh token, so that the one in the settings is used.

    Example: connector token forget salesforce
    """
    from connector.app.commands.token import token_forget as body

    guarded(json, lambda: body(crm, json=json))
