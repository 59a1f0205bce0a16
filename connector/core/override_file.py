"""Whom a human's word is about, and a CSV of such words. Pure: which records there are is told by the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connector.core.csv_lines import csv_lines
from connector.core.normalize.derive import email_kind
from connector.core.normalize.transforms import domain, email
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override

COLUMNS = ("who", "kind", "until", "reason", "expires")
KINDS = {"mql_now": MQL_NOW, "mql now": MQL_NOW, "never": NEVER, "hold": HOLD_UNTIL, "hold until": HOLD_UNTIL}

Named = Mapping[str, Sequence[tuple[str, str]]]
"""The (scope, record) that a record's name may mean, as the ledger knows them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one cell. `line` counts from 1, the heading included; `column` is its name."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.text}"


def record_name(who: str) -> str | None:
    """What the ledger has to be asked about: a record's name or id. None for an address or a domain."""
    who = who.strip()
    return who if ":" in who.removeprefix("mailto:") or ("@" not in who and "." not in who) else None


def target_of(who: str, named: Named) -> tuple[str, str]:
    """Scope and target. ValueError, with what to write instead, where nobody can tell whom it is about."""
    who = who.strip()
    name = record_name(who)
    if name is not None:
        found = named.get(name, ())
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"several records have this id; write one of {', '.join(ref for _, ref in found)}"
            )
        raise ValueError("no record has this id; give an address or a domain for who is yet to come")
    if "@" in who and not who.startswith("@"):
        address = email(who)
        if address is None:
            raise ValueError("this is no e-mail address")
        return "person", address
    host = domain(who.removeprefix("@"))
    if host is None:
        raise ValueError("this is no e-mail address, domain or record")
    kind = email_kind(f"somebody@{host}")
    if kind in ("free", "disposable"):
        raise ValueError(f"{host} is a {kind} mail provider, not a company; name the person")
    return "domain", host


def moment_of(text: str, at: datetime) -> datetime:
    """A date (its first moment, UTC) or an ISO 8601 moment that is yet to come. ValueError otherwise."""
    try:
        found = datetime.fromisoformat(text.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("this is no date; write it as 2026-12-31") from error
    if found <= at:
        raise ValueError(f"{found:%Y-%m-%d} is not to come any more")
    return found


def names_in(text: str) -> list[str]:
    """The records that a CSV names, for the ledger to look up."""
    return sorted({name for line in csv_lines(text)[1] if (name := record_name(line.cells.get("who", "")))})


def read_overrides(
    text: str, named: Named, *, author: str, at: datetime
) -> tuple[list[Override], list[Problem]]:
    """The words in a CSV, and all that is wrong with it. Nothing of a file with problems is to be used."""
    heading, lines = csv_lines(text)
    problems = [
        Problem(1, name or "?", f"no such column; known: {', '.join(COLUMNS)}")
        if name not in COLUMNS
        else Problem(1, name, "this column stands there twice")
        for name in heading
        if name not in COLUMNS or heading.count(name) > 1
    ]
    problems += [
        Problem(1, name, "this column is missing")
        for name in ("who", "kind", "reason")
        if name not in heading
    ]
    if problems:
        return [], problems
    words: list[Override] = []
    said: dict[tuple[str, str], int] = {}
    for line in lines:
        if line.wrong:
            problems.append(Problem(line.number, "who", line.wrong))
            continue
        word, wrong = _word(line.cells, line.number, named, author, at)
        problems += wrong
        if word is None:
            continue
        earlier = said.setdefault((word.scope, word.target), line.number)
        if earlier != line.number:
            problems.append(Problem(line.number, "who", f"line {earlier} is about the same"))
        words.append(word)
    return ([] if problems else words), problems


def _word(
    row: Mapping[str, str], line: int, named: Named, author: str, at: datetime
) -> tuple[Override | None, list[Problem]]:
    problems: list[Problem] = []
    scope = target = ""
    try:
        scope, target = target_of(row["who"], named)
    except ValueError as error:
        problems.append(Problem(line, "who", str(error)))
    kind = KINDS.get(row["kind"].lower(), "")
    if not kind:
        problems.append(Problem(line, "kind", "write mql_now, never or hold"))
    moments: dict[str, datetime | None] = {}
    for name in ("until", "expires"):
        try:
            moments[name] = moment_of(row[name], at) if row.get(name) else None
        except ValueError as error:
            problems.append(Problem(line, name, str(error)))
    if kind == HOLD_UNTIL and not row.get("until"):
        problems.append(Problem(line, "until", "a hold needs its date"))
    if kind in (MQL_NOW, NEVER) and row.get("until"):
        problems.append(Problem(line, "until", "only a hold has one; `expires` ends any of them"))
    if not row["reason"]:
        problems.append(Problem(line, "reason", "a reason is needed: it is what others read"))
    if problems:
        return None, problems
    return Override(
        0, kind, scope, target, author, row["reason"], at, moments["until"], moments["expires"]
    ), []
