"""The commands that ask or say something about people. Bodies: `app/commands/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import Email, Json, OfAudience

people_app = typer.Typer()  # its commands stand at the top: `connector explain`


@people_app.command()
def explain(
    person: Annotated[
        str, typer.Argument(help="E-mail address or record id (`151`, `hubspot:contact:151`).")
    ],
    since: Annotated[
        str | None, typer.Option("--since", help="Why the score changed since then: 2026-11-01.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="With --since: up to then; else up to now.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="The decision of then, made once more: 2026-11-01T10:00Z.")
    ] = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", help="With --at: with what was known then; else at --at.")
    ] = None,
    email: Email = False,
    json: Json = False,
) -> None:
    """Why somebody is an MQL, why not yet, why that changed, and what happened so far.

    Example: connector explain ada@example.com --since 2026-11-01
    """
    from connector.app.commands.explain import explain as body

    guarded(
        json,
        lambda: body(person, since=since, until=until, at=at, known_at=known_at, email=email, json=json),
    )


@people_app.command()
def people(
    stage: Annotated[str | None, typer.Option("--stage", help="Only this stage: lead, mql, sql ...")] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", help="Only this MQL status: qualified, recycled, disqualified ..."),
    ] = None,
    audience: OfAudience = None,
    owner: Annotated[
        str | None, typer.Option("--owner", help="Only this owner, as the CRM names it.")
    ] = None,
    sort: Annotated[
        str, typer.Option("--sort", help="score, fit or engagement; the highest first.")
    ] = "score",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="So many at most; else 50, all in a file.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Into this new file.")] = None,
    email: Email = False,
    json: Json = False,
) -> None:
    """The ranked work list: who stands where, by score, and why.

    Example: connector people --stage mql --sort score
    """
    from connector.app.commands.people import people as body
    from connector.app.ranking import Asked

    asked = Asked(stage, status, audience, owner, sort, limit, email)
    guarded(json, lambda: body(asked, csv_file=csv, json=json))
