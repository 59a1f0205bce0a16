"""The commands that answer from the facts. Bodies: `app/commands/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import Json, OfAudience

report_app = typer.Typer(help="Answers from the facts.", no_args_is_help=True)


@report_app.command("sla")
def report_sla(
    since: Annotated[
        str | None, typer.Option("--since", help="Only who became MQL at or after: 2026-11-01.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only who became MQL before.")] = None,
    audience: OfAudience = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Into this new file.")] = None,
    json: Json = False,
) -> None:
    """How soon sales touches its MQLs, by owner and source, what waits now, and who needs a human.

    Example: connector report sla --since 2026-11-01
    """
    from connector.app.commands.sla import report_sla as body

    guarded(json, lambda: body(since=since, until=until, audience=audience, csv_file=csv, json=json))


@report_app.command("privacy")
def report_privacy(
    csv: Annotated[Path | None, typer.Option("--csv", help="Into this new file.")] = None,
    json: Json = False,
) -> None:
    """Who was deleted in one CRM and lives on in another; how many are not scored, or without their behaviour.

    Example: connector report privacy --csv deleted.csv
    """
    from connector.app.commands.privacy import report_privacy as body

    guarded(json, lambda: body(csv_file=csv, json=json))
