"""`connector stop` and `connector start`: the brake. Nothing more is pushed to a CRM; reading and deciding go on."""

from __future__ import annotations

from collections.abc import Sequence

from connector.app.asking import ask_ledger
from connector.app.braking import set_brakes
from connector.app.exits import OK
from connector.app.output import out, print_json
from connector.app.settings import load_settings
from connector.app.who import actor
from connector.app.wiring import SystemClock, chosen, plugins
from connector.phases.standstill import told
from connector.ports import Brake


def stop(crms: Sequence[str], *, why: str, who: str | None, json: bool) -> int:
    """No push after the batch in hand, until `start`. Needs the ledger alone: no credentials, no valid file."""
    return _set(crms, True, why=why, who=who, json=json)


def start(crms: Sequence[str], *, who: str | None, json: bool) -> int:
    """Let it go on. What waited is decided anew by the next run, or applied by hand."""
    return _set(crms, False, why="", who=who, json=json)


def _set(crms: Sequence[str], on: bool, *, why: str, who: str | None, json: bool) -> int:
    names = _named(crms)
    found = ask_ledger(
        lambda ledger: set_brakes(ledger, names, on, by=actor(who), why=why, at=SystemClock().now())
    )
    if json:
        print_json({"crms": found})
        return OK
    for crm, each in found.items():
        if not on:
            said = "goes on; the next run plans anew" if each["changed"] else "was not stopped"
            out.print(f"{crm}: {said}.", markup=False)
            continue
        first = "" if each["changed"] else "already: "
        out.print(
            f"{crm}: {first}{told(Brake(crm, each['by'], each['why'], each['at']))}. Reading and deciding go on;"
            " the batch in hand is finished.",
            markup=False,
        )
        for rows in each["jobs"].values():
            out.print(
                f"{crm}: a job of the vendor's with {rows:,} writes is under way and goes on.", markup=False
            )
    return OK


def _named(crms: Sequence[str]) -> list[str]:
    """The CRMs named; without a name all that have a mapping file, else all there are. What is in the files does not
    matter: stopping must not depend on a file that is right."""
    if crms:
        return [plugin.crm for plugin in chosen(crms)]
    folder = load_settings().mappings_dir
    return [crm for crm in plugins() if (folder / f"{crm}.yaml").is_file()] or [*plugins()]
