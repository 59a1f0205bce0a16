"""The console script `connector`: every command, its options and its help. Bodies live in `app/commands/`.

Imports little, so that `connector --help` answers at once; a command imports its own parts when it runs.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from connector import __version__
from connector.app.cli_criteria import criteria_app, mapping_app
from connector.app.cli_db import db_app
from connector.app.cli_override import override_app
from connector.app.cli_people import people_app
from connector.app.cli_person import person_app
from connector.app.cli_report import report_app
from connector.app.cli_review import review_app
from connector.app.cli_size import db_prune, db_size
from connector.app.cli_token import token_app
from connector.app.exits import FAILED, LOOK, OK, guarded, tell_usage
from connector.app.options import (
    As,
    Crms,
    Email,
    Json,
    Mappings,
    OfAudience,
    OfField,
    OfKind,
    OfObject,
    OfPerson,
    OfRecord,
    OfRule,
    OfStatus,
    People,
    PlanNumber,
    RunNumber,
    Seed,
)

app = typer.Typer(
    name="connector",
    help="One definition of a Marketing Qualified Lead, kept true in every connected CRM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
plan_app = typer.Typer(help="Look at a write plan, apply exactly it, or drop it.", no_args_is_help=True)
runs_app = typer.Typer(help="History of runs, with counts that add up.", no_args_is_help=True)
config_app = typer.Typer(
    help="The definition from one pair of accounts to another, names instead of ids.", no_args_is_help=True
)
holds_app = typer.Typer(
    help="Fields that are left alone: undone, or changed back again and again.", no_args_is_help=True
)
definition_app = typer.Typer(
    help="Criteria and mappings together: what an edit would change.", no_args_is_help=True
)
app.add_typer(people_app)
app.add_typer(report_app, name="report")
app.add_typer(plan_app, name="plan")
app.add_typer(definition_app, name="definition")
app.add_typer(holds_app, name="holds")
app.add_typer(review_app, name="review")
app.add_typer(runs_app, name="runs")
app.add_typer(override_app, name="override")
app.add_typer(person_app, name="person")
app.add_typer(criteria_app, name="criteria")
app.add_typer(mapping_app, name="mapping")
db_app.command("size")(db_size)
db_app.command("prune")(db_prune)
app.add_typer(db_app, name="db")
app.add_typer(token_app, name="token")
app.add_typer(config_app, name="config")


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"connector {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """One definition of a Marketing Qualified Lead, kept true in every connected CRM."""


@app.command()
def demo(
    people: People = 5_000,
    seed: Seed = 7,
    serve: Annotated[bool, typer.Option("--serve", help="Leave both sandboxes up afterwards.")] = False,
    json: Json = False,
) -> None:
    """Start both sandboxes with a made-up population and run the whole flow. Needs no account.

    Example: connector demo --people 1000
    """
    from connector.app.commands.demo import demo as body

    guarded(json, lambda: body(people=people, seed=seed, serve=serve, json=json))


@app.command()
def sandbox(
    crms: Crms = None,
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=65_535, help="First port; the next CRM takes the next one. 0: any free."
        ),
    ] = 0,
    people: People = 1_000,
    seed: Seed = 7,
    tls: Annotated[
        bool, typer.Option("--tls", help="Serve https with a throw-away certificate; prints its CA.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve the sandboxes alone; print URLs and credentials as environment lines.

    Example: connector sandbox hubspot --port 8801 --people 500
    """
    from connector.app.commands.sandbox import sandbox as body

    guarded(json, lambda: body(crms or [], port=port, people=people, seed=seed, tls=tls, json=json))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; must not hold these files yet.")] = Path(
        "mappings"
    ),
    preset: Annotated[
        str, typer.Option("--preset", help="The criteria to start from: strict, classic or broad.")
    ] = "classic",
    json: Json = False,
) -> None:
    """Write a starter configuration: one mapping per CRM, the criteria and their lists.

    Example: connector init mappings --preset strict
    """
    from connector.app.commands.init import init as body

    guarded(json, lambda: body(folder, preset=preset, json=json))


@app.command()
def check(
    crms: Crms = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Try on a test record (--record) what documents leave open.")
    ] = False,
    record: Annotated[
        str | None,
        typer.Option("--record", help="The test record of --deep: ID or OBJECT:ID. It is written to."),
    ] = None,
    access: Annotated[
        bool, typer.Option("--access", help="Print the request for a security team instead; sends no call.")
    ] = False,
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """Everything that is wrong at once: settings, files, credentials, rights, fields, options, allowance, clock.

    Example: connector check hubspot
    """
    from connector.app.commands.check import check as body

    guarded(
        json,
        lambda: body(crms or [], deep=deep, record=record, access=access, mappings=mappings, json=json),
    )


@app.command()
def setup(
    crm: Annotated[str, typer.Argument(help="hubspot or salesforce.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, make nothing.")] = False,
    as_source: Annotated[
        Path | None,
        typer.Option("--as-source", help="Write the fields as files into this new folder; sends no call."),
    ] = None,
    reject_reason: Annotated[
        bool,
        typer.Option("--reject-reason", help="Also a field in which sales says why they reject an MQL."),
    ] = False,
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """Make the fields that the mapping writes to, and say what is left to do by hand. Twice is harmless.

    Example: connector setup hubspot --dry-run
    """
    from connector.app.commands.setup import setup as body

    guarded(
        json,
        lambda: body(
            crm,
            dry_run=dry_run,
            as_source=as_source,
            reject_reason=reject_reason,
            mappings=mappings,
            json=json,
        ),
    )


@app.command()
def sync(
    crms: Crms = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Read and decide, send nothing; the plan waits.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Apply a plan even where it is beyond the limits.")
    ] = False,
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """One incremental run: gather what changed, decide everybody it touches, push what differs.

    Example: connector sync --plan-only
    """
    from connector.app.commands.sync import sync as body

    guarded(json, lambda: body(crms or [], plan_only=plan_only, yes=yes, mappings=mappings, json=json))


@app.command()
def backfill(
    crm: Annotated[str, typer.Argument(help="hubspot or salesforce.")],
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Only what was last modified (engagement: happened) at or after, ISO 8601."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only what was last modified (happened) before, ISO 8601.")
    ] = None,
    object: Annotated[
        str,
        typer.Option("--object", help="One object or stream: contacts, Lead, email_events ...; else all."),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read and decide over a copy of the ledger; write and keep nothing."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Begin without asking, and apply plans beyond the limits.")
    ] = False,
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """Read an old range into the ledger and decide whom it touches: estimated first, resumable, giving way to syncs.

    Example: connector backfill hubspot --since 2026-01-01 --object contacts
    """
    from connector.app.commands.backfill import backfill as body

    guarded(
        json,
        lambda: body(
            crm,
            since=since,
            until=until,
            object=object,
            dry_run=dry_run,
            yes=yes,
            mappings=mappings,
            json=json,
        ),
    )


@plan_app.command("list")
def plan_list(
    open_only: Annotated[bool, typer.Option("--open", help="Only those that may still be applied.")] = False,
    audience: OfAudience = None,
    json: Json = False,
) -> None:
    """The latest write plans: why they wait, who approved.

    Example: connector plan list --open
    """
    from connector.app.commands.plan import plan_list as body

    guarded(json, lambda: body(open_only=open_only, audience=audience, json=json))


@plan_app.command("show")
def plan_show(
    plan: PlanNumber,
    rows: Annotated[int, typer.Option("--rows", min=0, help="How many records to show.")] = 20,
    kind: OfKind = None,
    field: OfField = None,
    status: OfStatus = None,
    object: OfObject = None,
    person: OfPerson = None,
    record: OfRecord = None,
    rule: OfRule = None,
    audience: OfAudience = None,
    email: Email = False,
    json: Json = False,
) -> None:
    """What a plan writes where, with before-images, reasons, responsible rules and what is held back.

    Example: connector plan show 3 --kind demotion
    """
    from connector.app.commands.plan import plan_show as body
    from connector.insight.planned import Filter

    wanted = Filter(
        kind=kind, field=field, status=status, object=object, record=record, rule=rule, audience=audience
    )
    guarded(json, lambda: body(plan, wanted=wanted, person=person, rows=rows, email=email, json=json))


@plan_app.command("export")
def plan_export(
    plan: PlanNumber,
    format: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
    target: Annotated[str, typer.Option("--out", help="A new file; - is the standard output.")] = "-",
    kind: OfKind = None,
    field: OfField = None,
    status: OfStatus = None,
    object: OfObject = None,
    person: OfPerson = None,
    record: OfRecord = None,
    rule: OfRule = None,
    audience: OfAudience = None,
    email: Email = False,
    json: Json = False,
) -> None:
    """A plan as a file, one line for each field of a record, held back ones included.

    Example: connector plan export 3 --out plan-3.csv
    """
    from connector.app.commands.plan import plan_export as body
    from connector.insight.planned import Filter

    wanted = Filter(
        kind=kind, field=field, status=status, object=object, record=record, rule=rule, audience=audience
    )
    guarded(
        json,
        lambda: body(
            plan, format=format, target=target, wanted=wanted, person=person, email=email, json=json
        ),
    )


@plan_app.command("approve")
def plan_approve(
    plan: PlanNumber,
    as_: As = None,
    note: Annotated[str, typer.Option("--note", help="What you want to be remembered with it.")] = "",
    json: Json = False,
) -> None:
    """Approve of an open plan as it stands; `plan apply` sends it.

    Example: connector plan approve 3 --as Grace --note "checked the demotions"
    """
    from connector.app.commands.plan import plan_approve as body

    guarded(json, lambda: body(plan, given=as_, note=note, json=json))


@plan_app.command("apply")
def plan_apply(
    plan: PlanNumber,
    as_: As = None,
    during_freeze: Annotated[
        bool, typer.Option("--during-freeze", help="Send it although a freeze of the mapping holds.")
    ] = False,
    json: Json = False,
) -> None:
    """Send exactly this plan; every record is read again, and one that changed since is set aside.

    Example: connector plan apply 3
    """
    from connector.app.commands.plan import plan_apply as body

    guarded(json, lambda: body(plan, given=as_, during_freeze=during_freeze, json=json))


@plan_app.command("discard")
def plan_discard(plan: PlanNumber, as_: As = None, json: Json = False) -> None:
    """Drop a plan; its differences are not proposed again until what is wanted changes.

    Example: connector plan discard 3
    """
    from connector.app.commands.plan import plan_discard as body

    guarded(json, lambda: body(plan, given=as_, json=json))


@app.command()
def undo(
    run: RunNumber,
    crm: Annotated[
        str | None, typer.Option("--crm", help="Only in this CRM; else in all that the run wrote to.")
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Look and plan, send nothing; the plan waits.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send it without a question.")] = False,
    as_: As = None,
    why: Annotated[str, typer.Option("--why", help="What you want to be remembered with it.")] = "",
    json: Json = False,
) -> None:
    """Take back what a run wrote, where it still stands and is ours; says what stays and why.

    Example: connector undo 12 --plan-only --why "wrong segment"
    """
    from connector.app.commands.undo import undo as body

    guarded(json, lambda: body(run, crm=crm, plan_only=plan_only, yes=yes, given=as_, why=why, json=json))


@definition_app.command("preview")
def definition_preview(mappings: Mappings = None, json: Json = False) -> None:
    """What the files would change: what differs from the definition in force, whom it concerns, what has to be read
    again for it and by which command. Writes nothing.

    Example: connector definition preview --mappings mappings
    """
    from connector.app.commands.definition import definition_preview as body

    guarded(json, lambda: body(mappings=mappings, json=json))


@holds_app.command("list")
def holds_list(
    kind: Annotated[str | None, typer.Option("--kind", help="Only undone or tugged.")] = None,
    record: Annotated[
        str | None, typer.Option("--record", help="Only of this record, as crm:object:id.")
    ] = None,
    audience: OfAudience = None,
    json: Json = False,
) -> None:
    """Fields of records that are left alone, and why.

    Example: connector holds list --kind undone
    """
    from connector.app.commands.holds import holds_list as body

    guarded(json, lambda: body(kind=kind, record=record, audience=audience, json=json))


@holds_app.command("release")
def holds_release(
    run: Annotated[
        int | None, typer.Option("--run", help="All that the undo of this run holds back.")
    ] = None,
    record: Annotated[str | None, typer.Option("--record", help="Of this record, as crm:object:id.")] = None,
    field: Annotated[
        str | None, typer.Option("--field", help="With --record: only this field of the CRM.")
    ] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Leave them alone no longer: the next run writes what is wanted.

    Example: connector holds release --record hubspot:contact:151 --field mql_score
    """
    from connector.app.commands.holds import holds_release as body

    guarded(json, lambda: body(run=run, record=record, field=field, given=as_, json=json))


@runs_app.command("list")
def runs_list(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 20, json: Json = False
) -> None:
    """The latest runs.

    Example: connector runs list
    """
    from connector.app.commands.runs import runs_list as body

    guarded(json, lambda: body(limit=limit, json=json))


@runs_app.command("show")
def runs_show(run: Annotated[int, typer.Argument(help="The run's number.")], json: Json = False) -> None:
    """One run with all its counts and errors.

    Example: connector runs show 4
    """
    from connector.app.commands.runs import runs_show as body

    guarded(json, lambda: body(run, json=json))


@runs_app.command("pause")
def runs_pause(run: RunNumber, json: Json = False) -> None:
    """Pause a backfill at its next page; what was read stays. `runs resume` goes on.

    Example: connector runs pause 4
    """
    from connector.app.commands.runs import runs_stop as body

    guarded(json, lambda: body(run, "pause", json=json))


@runs_app.command("resume")
def runs_resume(run: RunNumber, json: Json = False) -> None:
    """Go on with a backfill that was paused, has failed, died or waits for allowance.

    Example: connector runs resume 4
    """
    from connector.app.commands.runs import runs_resume as body

    guarded(json, lambda: body(run, json=json))


@runs_app.command("cancel")
def runs_cancel(run: RunNumber, json: Json = False) -> None:
    """End a backfill at its next page; what was read stays, and the next sync decides whom it touched.

    Example: connector runs cancel 4
    """
    from connector.app.commands.runs import runs_stop as body

    guarded(json, lambda: body(run, "cancel", json=json))


@app.command("try")
def try_(
    file: Annotated[Path, typer.Argument(help="A CSV export of leads.")],
    mapping: Annotated[Path, typer.Option("--mapping", help="How its columns map to our fields.")],
    criteria: Annotated[
        Path | None,
        typer.Option("--criteria", help="The definition; else the one beside the mapping or in force."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="The moment to score at, ISO 8601, naive means UTC; else now."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write scores here: id, fit, engagement, score, band, stage.")
    ] = None,
    json: Json = False,
) -> None:
    """Score an exported list on the spot, with reasons; writes to no CRM.

    Example: connector try leads.csv --mapping mappings/examples/education-leads.yaml --out scores.csv
    """
    from connector.app.commands.trial import trial as body

    guarded(json, lambda: body(file, mapping=mapping, criteria=criteria, as_of=as_of, out=out, json=json))


@app.command()
def score(
    criteria: Annotated[Path, typer.Option("--criteria", help="The definition.")],
    people: Annotated[Path, typer.Option("--people", help="Parquet: person_id and one column per field.")],
    engagement: Annotated[
        Path, typer.Option("--engagement", help="Parquet: person_id, type, occurred_at, ...")
    ],
    as_of: Annotated[str, typer.Option("--as-of", help="The moment to score at, ISO 8601; naive means UTC.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet with one row per person.")],
    engine: Annotated[str, typer.Option("--engine", help="polars or spark.")] = "polars",
    json: Json = False,
) -> None:
    """Score Parquet files: the same arithmetic, on one machine or on a cluster.

    Example: connector score --criteria mappings/criteria.yaml --people p.parquet --engagement e.parquet
    --as-of 2026-11-01T00:00:00Z --out scores.parquet
    """
    from connector.app.commands.score import score as body

    guarded(
        json,
        lambda: body(
            criteria=criteria,
            people=people,
            engagement=engagement,
            as_of=as_of,
            out=out,
            engine=engine,
            json=json,
        ),
    )


@config_app.command("export")
def config_export(
    target: Annotated[Path, typer.Argument(help="A new folder, or a new file that ends in .zip.")] = Path(
        "definition"
    ),
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """The definition in force with names in place of this account's ids.

    Example: connector config export definition.zip
    """
    from connector.app.commands.config import config_export as body

    guarded(json, lambda: body(target, mappings=mappings, json=json))


@config_app.command("import")
def config_import(
    source: Annotated[Path, typer.Argument(help="The folder or .zip that `config export` wrote.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Write the files even where names lead nowhere here.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of the mappings folder that differ.")
    ] = False,
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """Turn the names of an exported definition into the ids of the accounts that are connected now.

    Example: connector config import definition.zip
    """
    from connector.app.commands.config import config_import as body

    guarded(
        json,
        lambda: body(source, partial=partial, overwrite=overwrite, mappings=mappings, json=json),
    )


@config_app.command("check")
def config_check(
    against: Annotated[
        Path, typer.Option("--against", help="File of NAME=VALUE lines with the other accounts' credentials.")
    ],
    mappings: Mappings = None,
    json: Json = False,
) -> None:
    """Compare both pairs of accounts for everything that the mappings name; exit 2 when there are gaps.

    Example: connector config check --against production.env
    """
    from connector.app.commands.config import config_check as body

    guarded(json, lambda: body(against, mappings=mappings, json=json))


@app.command()
def stop(
    crms: Crms = None,
    why: Annotated[str, typer.Option("--why", help="Told to everybody whose plan waits.")] = "",
    as_: As = None,
    json: Json = False,
) -> None:
    """The brake: no push after the batch in hand, until `connector start`. Reading and deciding go on.

    Example: connector stop salesforce --why "sales works through last night's leads"
    """
    from connector.app.commands.brake import stop as body

    guarded(json, lambda: body(crms or [], why=why, who=as_, json=json))


@app.command()
def start(
    crms: Crms = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Take the brake off. What waited is planned anew by the next run, or applied by hand.

    Example: connector start salesforce
    """
    from connector.app.commands.brake import start as body

    guarded(json, lambda: body(crms or [], who=as_, json=json))


@app.command()
def serve() -> None:
    """The sidecar: scheduled syncs, health and metrics on one port.

    Example: connector serve
    """
    from connector.app.commands.serve import serve as body

    guarded(False, body)


# Typer brings its own copy of click and gives the base of its command line errors no public name.
_WrongCommandLine: type[Exception] = next(
    each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException"
)
_INTERRUPTED = 130  # what Typer makes of a Ctrl-C that comes before a command has begun


def _last_words(error: Exception) -> int:
    from connector.app.log_errors import last_words
    from connector.app.settings import load_settings
    from connector.errors import FixConfig

    debug = False
    with suppress(FixConfig):
        debug = load_settings().log_level == "debug"
    sys.stderr.write(last_words(error, debug=debug))
    return FAILED


def main() -> None:
    """The console script's entry. A wrong command line is told like every other error, with --json as a document."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = LOOK
    except _WrongCommandLine as error:
        code = tell_usage(error, json="--json" in sys.argv)
    except Exception as error:  # what it says may quote somebody
        code = _last_words(error)
    sys.exit(LOOK if code == _INTERRUPTED else code or OK)
