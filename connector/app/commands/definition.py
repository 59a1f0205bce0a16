"""`connector definition preview`: what the files, as they are now, would change. Nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.app import exits
from connector.app.asking import NO_AUDIENCE
from connector.app.definition import CRITERIA, in_zone, load_definition, refuse_red
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.previewing import preview
from connector.app.running import run
from connector.app.settings import Settings, load_settings, variables_of
from connector.app.wiring import SystemClock, holder, plugins, read_version, wired
from connector.core.definition import Definition
from connector.core.privacy_rules import PRIVACY, in_words
from connector.errors import FixConfig
from connector.ledger import SqlLedger, open_ledger
from connector.ports import Adapter

NEEDS = {
    "nothing": "decides nothing",
    "decide": "decided anew from what is known",
    "read": "has to be read again",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What it takes to say what an edit would change."""

    definition: Definition
    adapters: Mapping[str, Adapter]
    ledger: SqlLedger


def definition_preview(*, mappings: Path | None, json: bool) -> int:
    """What differs from the definition in force, whom it concerns, what has to be read again."""
    settings = load_settings()
    configure(settings)

    async def go() -> dict[str, Any]:
        async with opened(settings, mappings) as parts:
            return await preview(
                parts.definition, parts.adapters, parts.ledger, settings.database_url, SystemClock(),
                holder=holder(),
            )  # fmt: skip

    document = run(go())
    if json:
        print_json(document)
    else:
        show(document)
    return exits.OK


@asynccontextmanager
async def opened(
    settings: Settings, folder: Path | None, *, files_may_be_wrong: bool = False
) -> AsyncIterator[Parts]:
    """The files, the ledger and the CRMs that have credentials; none at all is fine here. `files_may_be_wrong`: then
    the definition is the one in force."""
    if any(plugin.connected(variables_of(plugin.variables)) for plugin in plugins().values()):
        edited = not files_may_be_wrong
        async with wired(settings, mappings_dir=folder, edited=edited, strict=edited) as parts:
            yield Parts(parts.definition, parts.adapters, parts.ledger)
        return
    definition = in_zone(load_definition(folder or settings.mappings_dir, plugins()), settings)
    refuse_red(definition.criteria)
    ledger = open_ledger(settings.database_url)
    try:
        yield Parts(definition, {}, ledger)
    finally:
        await ledger.close()


async def kept_version(
    ledger: SqlLedger, number: int, settings: Settings, *, listed_by: str = "criteria", alone: bool = False
) -> Definition:
    """A version of the definition. `alone`: the criteria, whatever became of its mappings. FixConfig where there is no
    such version, or none that can be read by today's rules."""
    texts = await ledger.files(number)
    if alone:
        texts = {name: text for name, text in texts.items() if name == CRITERIA or not name.endswith(".yaml")}
    found = read_version(texts, settings)
    if found is None:
        raise FixConfig(
            f"There is no version {number} that can be read by today's rules.",
            next_step=f"`connector {listed_by} history` lists the versions.",
        )
    return found


def show(document: Mapping[str, Any]) -> None:
    """A preview, for people."""

    def say(line: str) -> None:
        out.print(line, markup=False)

    if document["from"] is None:
        say(
            "No definition is in force yet: the first `connector sync` takes these files and reads everything."
        )
        return
    if not document["changed"]:
        say(f"Nothing has changed: version {document['from']} in force is these files.")
        return
    say(f"From version {document['from']} to {document['to']}:")
    if document["changes"] is None:
        say("  The files of the version in force cannot be read any more: it is not told what differs.")
    elif not document["changes"]:
        say("  Only the wording or order of the files: it means the same.")
    for each in document["changes"] or ():
        say(f"  {each['what']}: {NEEDS[each['needs']]}")
    say("Whom it concerns, by what is known of them:")
    mql = document["mql"]
    say(
        f"  {document['people']:,} people decided; MQL: {mql['entered']:,} would enter, {mql['left']:,} leave"
    )
    for name, in_it in mql.get("by_audience", {}).items():
        whom = "in no audience" if name == NO_AUDIENCE else f"audience {name}"
        say(
            f"    {whom}: {in_it['entered']:,} would enter, {in_it['left']:,} leave, {in_it['now']:,} MQL then"
        )
    if line := in_words(document.get(PRIVACY, {})):
        say(f"  {line}")
    for crm, counts in document["crms"].items():
        bands = counts["bands"]
        say(
            f"  {crm}: {counts['concerned']:,} records; {counts['promoted']:,} people promoted, {counts['demoted']:,}"
            f" demoted; bands: {bands['up']:,} up, {bands['down']:,} down, {bands['new']:,} first or cleared"
        )
    for row in document["examples"]:
        fields = ", ".join(
            f"{write['field']} {_blank(write['before'])} -> {_blank(write['after'])}"
            for write in row["writes"]
        )
        say(f"    {row['record']} ({row['kind']}): {fields}")
    if not document["reread"]:
        say("Nothing has to be read again: the next sync decides everybody anew.")
        return
    say("To be read again, since the ledger does not hold it (the numbers above are without it):")
    for each in document["reread"]:
        say(f"  {each['command']}   {estimated(each)}")
    say("With --dry-run it shows its plan and writes nothing. Else the next sync reads the same by itself.")


def _blank(value: object) -> str:
    return "blank" if value is None else str(value)


def estimated(offer: Mapping[str, Any]) -> str:
    told = offer["estimate"]
    if told is None:
        return f"({offer['not_estimated']})"
    counted = len(told["uncounted"]) < len(told["streams"])
    records = f"{told['records']:,} records" if counted else "records not counted"
    return f"({records}, {told['calls']:,} calls, {told['minutes']:.1f} minutes)"
