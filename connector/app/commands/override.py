"""`connector override`: a human's word about a person, company or domain, above the rules."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path

from connector.app.asking import ask_ledger, asked_audience
from connector.app.exits import OK
from connector.app.output import out, print_json
from connector.app.overriding import WORDS, add, moment, override_document, remove
from connector.app.who import actor
from connector.app.wiring import SystemClock
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override
from connector.core.override_file import names_in, read_overrides
from connector.errors import FixConfig
from connector.ledger import SqlLedger

_SHOWN = ("id", "kind", "scope", "target", "until", "expires", "author", "reason", "made", "ended", "source")


def override_add(
    who: str,
    *,
    mql_now: bool,
    never: bool,
    hold_until: str | None,
    reason: str,
    expires: str | None,
    given: str | None,
    json: bool,
) -> int:
    """Keep one word. Whom it concerns is decided anew by the next run; who is not known yet, when they appear."""
    if mql_now + never + (hold_until is not None) != 1:
        raise FixConfig("Which override?", next_step="Give one of --mql-now, --never, --hold-until DATE.")
    at = SystemClock().now()
    kind = MQL_NOW if mql_now else NEVER if never else HOLD_UNTIL
    until, ends = moment(hold_until, "--hold-until", at), moment(expires, "--expires", at)
    word, records = ask_ledger(
        lambda ledger: add(
            ledger, who, kind, reason=reason, until=until, expires=ends, by=actor(given), at=at
        )
    )
    if json:
        print_json({"override": override_document(word, at), "records": records, "waits": records == 0})
        return OK
    out.print(f"Override {word.id}: {WORDS[word.kind]} for {word.scope} {word.target}.", markup=False)
    if records:
        out.print("The next sync decides by it.")
    else:
        out.print("Nobody in the ledger is meant yet: it waits for them to appear.")
    return OK


def override_list(*, ended: bool, audience: str | None, as_csv: bool, json: bool) -> int:
    """The words in force; with `ended` those that are over, too. `audience`: those that may concern somebody in it."""
    at = SystemClock().now()

    async def question(ledger: SqlLedger) -> list[Override]:
        words = await ledger.overrides(ended=ended)
        if audience is None:
            return words
        return await ledger.overrides_about(await asked_audience(ledger, audience), words)

    found = ask_ledger(question)
    rows = [override_document(word, at) for word in found if ended or word.in_force(at)]
    if json:
        print_json({"overrides": rows})
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(_SHOWN)
        for row in rows:
            writer.writerow([_plain(row[name]) for name in _SHOWN])
    else:
        from rich.markup import escape
        from rich.table import Table

        table = Table(*_SHOWN)
        for row in rows:
            table.add_row(*(escape(_plain(row[name])) for name in _SHOWN))
        out.print(table if rows else "No override is in force.")
    return OK


def override_remove(which: str, *, given: str | None, json: bool) -> int:
    """End one word by its number, or what was said of a person, company or domain."""
    at = SystemClock().now()

    ended = ask_ledger(lambda ledger: remove(ledger, which, by=actor(given), at=at))
    if json:
        print_json({"removed": [override_document(word, at) for word in ended]})
    else:
        for word in ended:
            out.print(f"Override {word.id} for {word.scope} {word.target} has ended.", markup=False)
        out.print("The next sync decides by the rules again.")
    return OK


def override_import(file: Path, *, given: str | None, json: bool) -> int:
    """Keep every word of a CSV, or none of it: every bad cell is told. What is in force already is left out."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(
            f"{file.name} cannot be read: {type(error).__name__}.", next_step="Give a CSV file in UTF-8."
        ) from error
    at = SystemClock().now()

    async def question(ledger: SqlLedger) -> tuple[list[Override], int, int]:
        named = await ledger.named(names_in(text))
        words, problems = read_overrides(text, named, author=actor(given), at=at)
        if problems:
            told = "\n".join(f"  {problem}" for problem in problems)
            raise FixConfig(
                f"{file.name} has {len(problems)} problems; nothing of it was imported.\n{told}",
                next_step="Correct the file and import it again.",
            )
        added = await ledger.add_overrides(words, at, again=False)
        waiting = 0
        for word in added:
            waiting += await ledger.concerned([word]) == 0
        return added, len(words), waiting

    added, said, waiting = ask_ledger(question)
    if json:
        print_json({
            "added": [override_document(word, at) for word in added],
            "unchanged": said - len(added),
            "waits": waiting,
        })  # fmt: skip
    else:
        out.print(f"{len(added):,} overrides added, {said - len(added):,} were in force already.")
        if waiting:
            out.print(f"{waiting:,} of them wait for people who are not in the ledger yet.")
    return OK


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)
