"""`connector override`: a human's word about a person, company or domain, above the rules."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from connector.app.asking import ask_ledger, asked_audience, one_person
from connector.app.exits import OK
from connector.app.output import out, print_json, when
from connector.app.who import actor
from connector.app.wiring import SystemClock
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override
from connector.core.override_file import moment_of, names_in, read_overrides, record_name, target_of
from connector.errors import FixConfig
from connector.ledger import SqlLedger

WORDS = {MQL_NOW: "MQL now", NEVER: "never", HOLD_UNTIL: "hold"}
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
    if not reason.strip():
        raise FixConfig("An override needs a reason: others read it.", next_step="Give --reason TEXT.")
    at = SystemClock().now()
    until = _moment(hold_until, "--hold-until", at)
    kind = MQL_NOW if mql_now else NEVER if never else HOLD_UNTIL
    ends = _moment(expires, "--expires", at)

    async def question(ledger: SqlLedger) -> tuple[Override, int]:
        scope, target = await _target(ledger, who)
        word = Override(0, kind, scope, target, actor(given), reason.strip(), at, until, ends)
        (added,) = await ledger.add_overrides([word], at)
        return added, await ledger.concerned([added])

    word, records = ask_ledger(question)
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

    async def question(ledger: SqlLedger) -> list[Override]:
        known = [word for word in await ledger.overrides() if word.in_force(at)]
        chosen = [word for word in known if which.strip().isdecimal() and word.id == int(which)]
        if not chosen:
            place = await _target(ledger, which)
            chosen = [word for word in known if (word.scope, word.target) == place]
        if not chosen:
            raise FixConfig("No override is in force there.", next_step="See `connector override list`.")
        told = [word for word in chosen if not word.source]
        if not told:
            raise FixConfig(
                f"This override is said by {chosen[0].source}.",
                next_step="Clear it in that CRM; we only read it.",
            )
        return await ledger.end_overrides([word.id for word in told], actor(given), at)

    ended = ask_ledger(question)
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


def override_document(word: Override, at: datetime) -> dict[str, Any]:
    """One word as JSON."""
    return {
        "id": word.id,
        "kind": word.kind,
        "scope": word.scope,
        "target": word.target,
        "until": word.until,
        "expires": word.expires_at,
        "author": word.author,
        "reason": word.reason,
        "made": word.made_at,
        "ended": word.ends_at if not word.in_force(at) else None,
        "source": word.source,
        "in_force": word.in_force(at),
    }


def override_line(word: Override, at: datetime) -> str:
    """One word for people."""
    until = f" until {when(word.until)}" if word.until else ""
    over = "" if word.in_force(at) else f" (over since {when(word.ends_at)})"
    expires = f", expires {when(word.expires_at)}" if word.expires_at and not over else ""
    return (
        f"override {word.id}: {WORDS[word.kind]}{until} for {word.scope} {word.target}, "
        f"by {word.author} on {when(word.made_at)}{expires}: {word.reason}{over}"
    )


async def _target(ledger: SqlLedger, who: str) -> tuple[str, str]:
    if who.startswith(
        "person:"
    ):  # as `people` and `explain` print them; their address follows them, a number does not
        person = await one_person(ledger, who)
        who = str(person.fields.get("email") or person.refs[0])
    name = record_name(who)
    try:
        return target_of(who, await ledger.named([name]) if name else {})
    except ValueError as error:
        raise FixConfig(
            f"Whom is `{who}` about? {error}.",
            next_step="Write an e-mail address, a domain, or a record as crm:object:id.",
        ) from error


def _moment(text: str | None, option: str, at: datetime) -> datetime | None:
    try:
        return None if text is None else moment_of(text, at)
    except ValueError as error:
        raise FixConfig(f"{option}: {error}.", next_step="Write it as 2026-12-31.") from error


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)
