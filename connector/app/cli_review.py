"""`connector review`: human decisions about who is one person. Bodies: `app/commands/review.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import As, Email, Json, OfAudience

review_app = typer.Typer(help="Pairs of records that may be one person.", no_args_is_help=True)

Pair = Annotated[
    list[str], typer.Argument(metavar="A B", help="Two records as crm:object:id, or the number of a pair.")
]
Note = Annotated[str, typer.Option("--note", help="What you want to be remembered with it.")]


@review_app.command("list")
def review_list(
    target: Annotated[
        Path | None, typer.Option("--csv", help="A new file to answer in; - is the standard output.")
    ] = None,
    answered: Annotated[bool, typer.Option("--answered", help="Those that somebody has answered.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Those too that have settled themselves.")] = False,
    audience: OfAudience = None,
    email: Email = False,
    json: Json = False,
) -> None:
    """The pairs that wait for somebody: both records, why it is asked, since when.

    Example: connector review list --csv pairs.csv
    """
    from connector.app.commands.review import review_list as body

    guarded(
        json,
        lambda: body(
            target=target, answered=answered, stale=stale, audience=audience, email=email, json=json
        ),
    )


@review_app.command("join")
def review_join(pair: Pair, note: Note = "", as_: As = None, json: Json = False) -> None:
    """These two records are one person, whether or not anybody asked.

    Example: connector review join hubspot:contact:151 salesforce:Lead:00Q000000000001
    """
    from connector.app.commands.review import review_answer as body

    guarded(json, lambda: body(pair, "join", note=note, given=as_, json=json))


@review_app.command("split")
def review_split(pair: Pair, note: Note = "", as_: As = None, json: Json = False) -> None:
    """These two records are two people, whatever they share.

    Example: connector review split 12 --note "father and son"
    """
    from connector.app.commands.review import review_answer as body

    guarded(json, lambda: body(pair, "split", note=note, given=as_, json=json))


@review_app.command("undo")
def review_undo(pair: Pair, note: Note = "", as_: As = None, json: Json = False) -> None:
    """Takes the last answer back: the one before it stands again, else the rules decide.

    Example: connector review undo 12
    """
    from connector.app.commands.review import review_undo as body

    guarded(json, lambda: body(pair, note=note, given=as_, json=json))


@review_app.command("import")
def review_import(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `review list --csv` wrote, answered.")],
    as_: As = None,
    json: Json = False,
) -> None:
    """All answers of a CSV file, or none of them where a line is bad. Twice is harmless.

    Example: connector review import pairs.csv
    """
    from connector.app.commands.review import review_import as body

    guarded(json, lambda: body(path, given=as_, json=json))
