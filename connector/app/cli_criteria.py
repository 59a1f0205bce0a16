"""The commands `connector criteria` and `connector mapping`: the files that admins edit. Bodies: `app/commands/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.app.exits import guarded
from connector.app.options import As, Crms, Json, Mappings

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


def _publish(
    mappings: Mappings = None,
    note: Annotated[str, typer.Option("--note", help="What changed and why, for the history.")] = "",
    as_: As = None,
    yes: Annotated[bool, typer.Option("--yes", help="Publish without asking.")] = False,
    json: Json = False,
) -> None:
    """Put the files of the folder in force: tested, shown in words and in people, approved where the file asks for it.

    Example: connector criteria publish --note "Webinars weigh less, agreed on Monday"

    Example: connector mapping publish --note "One more field"
    """
    from connector.app.commands.publish import publish as body

    guarded(json, lambda: body(mappings=mappings, note=note, by=as_, yes=yes, json=json))


def _history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many versions.")] = 20,
    words: Annotated[bool, typer.Option("--words", help="What each changed, in words.")] = False,
    json: Json = False,
) -> None:
    """Versions of the definition with who, when and why; and the drafts that wait.

    Example: connector criteria history --words

    Example: connector mapping history
    """
    from connector.app.commands.publish import history as body

    guarded(json, lambda: body(limit=limit, words=words, json=json))


# A version is criteria and mappings together, so both say the same.
for _group in (criteria_app, mapping_app):
    _group.command("publish")(_publish)
    _group.command("history")(_history)


@criteria_app.command("approve")
def criteria_approve(
    draft: Annotated[int, typer.Argument(help="The draft's number, as `criteria history` prints it.")],
    side: Annotated[str, typer.Option("--side", help="For whom: marketing or sales, as `agreed_by` says.")],
    as_: As = None,
    note: Annotated[str, typer.Option("--note", help="What you want to be remembered with it.")] = "",
    json: Json = False,
) -> None:
    """Agree to a draft as one of its owners; with the last word that is missing it is in force.

    Example: connector criteria approve 3 --side sales --as Grace
    """
    from connector.app.commands.publish import approve as body

    guarded(json, lambda: body(draft, side=side, by=as_, note=note, json=json))


@criteria_app.command("discard")
def criteria_discard(
    draft: Annotated[int, typer.Argument(help="The draft's number, as `criteria history` prints it.")],
    as_: As = None,
    json: Json = False,
) -> None:
    """Drop a draft; the same edit does not come back by itself.

    Example: connector criteria discard 3
    """
    from connector.app.commands.publish import discard as body

    guarded(json, lambda: body(draft, by=as_, json=json))


@criteria_app.command("rollback")
def criteria_rollback(
    version: Annotated[
        int, typer.Argument(help="The version to bring back, as `criteria history` prints it.")
    ],
    as_: As = None,
    note: Annotated[str, typer.Option("--note", help="Why, for the history.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    json: Json = False,
) -> None:
    """Put the files of an earlier version in force again, mappings and lists included, as a new version.

    Example: connector criteria rollback 6 --note "The webinar rule let in too many"
    """
    from connector.app.commands.publish import rollback as body

    guarded(json, lambda: body(version, by=as_, note=note, yes=yes, json=json))


@mapping_app.command("diff")
def mapping_diff(
    before: Annotated[int, typer.Argument(help="A version's number, as `mapping history` prints it.")],
    after: Annotated[
        int | None, typer.Argument(help="Another; the files of the folder when left out.")
    ] = None,
    json: Json = False,
) -> None:
    """What differs between two versions of the mappings, and what each difference needs.

    Example: connector mapping diff 3
    """
    from connector.app.commands.diff import mapping_diff as body

    guarded(json, lambda: body(before, after, json=json))


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
