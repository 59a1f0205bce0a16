"""The commands `connector override`: a human's word above the rules. Bodies: `app/commands/override.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import As, Json, OfAudience

override_app = typer.Typer(
    help="A human's word above the rules: MQL now, never, hold until a date.", no_args_is_help=True
)


@override_app.command("add")
def override_add(
    who: Annotated[
        str, typer.Argument(help="E-mail address, record (crm:object:id) of a person or company, or domain.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; others read it.")],
    mql_now: Annotated[bool, typer.Option("--mql-now", help="MQL now, whatever the rules say.")] = False,
    never: Annotated[bool, typer.Option("--never", help="No MQL as long as it holds.")] = False,
    hold_until: Annotated[
        str | None, typer.Option("--hold-until", help="No new MQL before this date; who is one stays.")
    ] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="The date on which it ends.")] = None,
    given: As = None,
    json: Json = False,
) -> None:
    """Say something above the rules. What was said of the same person, company or domain before ends.

    Example: connector override add ada@example.com --mql-now --reason "Met at the fair"
    """
    from connector.app.commands.override import override_add as body

    guarded(
        json,
        lambda: body(
            who,
            mql_now=mql_now,
            never=never,
            hold_until=hold_until,
            reason=reason,
            expires=expires,
            given=given,
            json=json,
        ),
    )


@override_app.command("list")
def override_list(
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over, too.")] = False,
    audience: OfAudience = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    json: Json = False,
) -> None:
    """The overrides in force, newest first.

    Example: connector override list --csv
    """
    from connector.app.commands.override import override_list as body

    guarded(json, lambda: body(ended=ended, audience=audience, as_csv=csv, json=json))


@override_app.command("remove")
def override_remove(
    which: Annotated[str, typer.Argument(help="Its number, or whom it is about.")],
    given: As = None,
    json: Json = False,
) -> None:
    """End an override: the rules decide again.

    Example: connector override remove ada@example.com
    """
    from connector.app.commands.override import override_remove as body

    guarded(json, lambda: body(which, given=given, json=json))


@override_app.command("import")
def override_import(
    file: Annotated[Path, typer.Argument(help="A CSV with the columns who, kind, until, reason, expires.")],
    given: As = None,
    json: Json = False,
) -> None:
    """Add every override of a CSV, or none where a cell of it is wrong. The same file twice adds nothing.

    Example: connector override import overrides.csv --as Grace
    """
    from connector.app.commands.override import override_import as body

    guarded(json, lambda: body(file, given=given, json=json))
