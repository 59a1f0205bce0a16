"""`connector people`: the ranked work list, with why. Asks the ledger only; addresses are shown on request."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.app.asking import ask_ledger, asked_audience, choice
from connector.app.commands.override import WORDS
from connector.app.definition import readable_criteria
from connector.app.exits import OK
from connector.app.output import out, print_json, when
from connector.core.audience import PERSONA, other_persona
from connector.core.criteria import Criteria, whole
from connector.core.model import MqlStatus
from connector.core.override import Override
from connector.errors import FixConfig
from connector.insight.planned import harmless, name_of
from connector.ledger import SqlLedger
from connector.ports import PersonView

SORTS = ("score", "fit", "engagement")
SHOWN = 50
PAGE = 1_000  # people in memory
COLUMNS = (
    "rank", "person", "name", "email", "company", "owner", "stage", "mql_status", "mql_since", "audience", "persona",
    "persona_by_rule", "score", "fit", "engagement", "band", "grade", "why",
    "override", "override_reason", "records",
)  # fmt: skip
"""Of a CSV and of each person in JSON, in order; `email` only on request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom somebody wants to see; all that is given must hold. `owner`: as the CRM names it."""

    stage: str | None = None
    status: str | None = None
    audience: str | None = None
    owner: str | None = None
    sort: str = "score"
    limit: int | None = None
    email: bool = False


def people(asked: Asked, *, csv_file: Path | None, json: bool) -> int:
    """Print the list, or write it into a new file. A file holds everybody, a screen the first few, unless told."""
    choice(asked.sort, SORTS, "--sort")
    if asked.status is not None:
        choice(asked.status, tuple(each.value for each in MqlStatus), "--status")
    if csv_file is not None and csv_file.exists():
        raise FixConfig(f"{csv_file} is there already.", next_step="Name a new file.", where="--csv")
    criteria = readable_criteria()

    async def question(ledger: SqlLedger) -> list[dict[str, Any]] | int:
        if csv_file is None:
            return [row async for row in _rows(ledger, asked, asked.limit or SHOWN, criteria)]
        return await _written(csv_file, _rows(ledger, asked, asked.limit, criteria), email=asked.email)

    found = ask_ledger(question)
    if isinstance(found, int):
        if json:
            print_json({"file": str(csv_file), "people": found})
        else:
            out.print(f"{csv_file}: {found:,} people.", markup=False)
    elif json:
        print_json({"people": found})
    else:
        _print(found, email=asked.email)
    return OK


async def _rows(
    ledger: SqlLedger, asked: Asked, limit: int | None, criteria: Criteria | None
) -> AsyncIterator[dict[str, Any]]:
    audience = None if asked.audience is None else await asked_audience(ledger, asked.audience)
    rank, after = 0, None
    while limit is None or rank < limit:
        few = PAGE if limit is None or asked.owner is not None else min(PAGE, limit - rank)
        page = await ledger.people(
            stage=asked.stage, status=asked.status, audience=audience, sort=asked.sort, after=after, limit=few
        )
        if not page:
            return
        after = (float(getattr(page[-1].score, asked.sort)), page[-1].id)
        words = await ledger.overrides_by_id({view.override for view in page if view.override is not None})
        for view in page:
            if asked.owner is not None and str(view.fields.get("owner") or "") != asked.owner:
                continue
            rank += 1
            yield _row(rank, view, words.get(view.override or 0), criteria, email=asked.email)
            if rank == limit:
                return


def _row(
    rank: int, view: PersonView, word: Override | None, criteria: Criteria | None, *, email: bool
) -> dict[str, Any]:
    state, score, fields = view.state, view.score, view.fields
    told = {
        "rank": rank,
        "person": view.id,
        "name": name_of(fields),
        "email": fields.get("email"),
        "company": fields.get("company_name"),
        "owner": fields.get("owner"),
        "stage": state.stage,
        "mql_status": state.status.value,
        "mql_since": state.mql_since,
        "audience": view.audience or None,
        "persona": fields.get(PERSONA),
        "persona_by_rule": other_persona(criteria, fields) if criteria else None,
        "score": whole(score.score),
        "fit": whole(score.fit),
        "engagement": whole(score.engagement),
        "band": score.band,
        "grade": score.grade,
        "why": state.because,
        "override": word.kind if word else None,
        "override_reason": word.reason if word else None,
        "records": [str(ref) for ref in view.refs],
    }
    return {name: value for name, value in told.items() if email or name != "email"}


async def _written(file: Path, rows: AsyncIterator[dict[str, Any]], *, email: bool) -> int:
    columns = [name for name in COLUMNS if email or name != "email"]
    count = 0
    try:
        with file.open("x", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(columns)
            async for row in rows:
                since = row["mql_since"]
                told = {
                    **row,
                    "records": " ".join(row["records"]),
                    "mql_since": since.isoformat() if since else "",
                }
                writer.writerow([harmless(told[name]) for name in columns])
                count += 1
    except OSError as error:
        raise FixConfig(
            f"{file} cannot be written: {error.strerror}.", next_step="Name another file.", where="--csv"
        ) from error
    return count


def _wish(row: dict[str, Any]) -> str:
    """A human's word in force, and its reason."""
    if row["override"] is None:
        return ""
    reason = row["override_reason"]
    return WORDS[row["override"]] + (f": {reason}" if reason else "")


def _print(rows: list[dict[str, Any]], *, email: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        out.print("Nobody.")
        return
    table = Table(
        "",
        "person",
        *(["email"] if email else []),
        "company",
        "stage",
        "score",
        "grade",
        "since (UTC)",
        "why",
    )
    audiences = any(row["audience"] for row in rows)
    if audiences:
        table.add_column("audience")
    wished = any(row["override"] for row in rows)
    if wished:
        table.add_column("override")
    for row in rows:
        status = "" if row["mql_status"] == "none" else f" ({row['mql_status']})"
        cells = [
            row["rank"],
            f"{row['person']} {row['name']}",
            *([row["email"] or ""] if email else []), row["company"] or "",
            row["stage"] + status, row["score"], row["grade"], when(row["mql_since"]), row["why"],
            *([row["audience"] or ""] if audiences else []),
            *([_wish(row)] if wished else []),
        ]  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))  # what a CRM holds is no markup
    out.print(table)
