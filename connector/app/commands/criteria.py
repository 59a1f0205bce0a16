"""`connector criteria test|example`: the written agreement, run, and a real person added to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from connector.app.asking import ask_ledger, one_person
from connector.app.definition import CRITERIA, load_definition
from connector.app.examples_file import as_yaml, with_example
from connector.app.exits import FAILED, OK
from connector.app.files import Beside, load_criteria
from connector.app.output import out, print_json
from connector.app.settings import load_settings
from connector.app.wiring import SystemClock, plugins
from connector.core.account import around_at
from connector.core.examples import run_examples, untouched
from connector.core.facts import Facts
from connector.core.known import known_now
from connector.core.model import RecordState
from connector.insight.frozen import freeze
from connector.ledger import SqlLedger

_KINDS = {
    "points": "",
    "disqualify": "disqualifier ",
    "hand_raise": "hand-raiser ",
    "suspect": "suspect ",
    "guard": "guard ",
}


def criteria_test(path: Path | None, *, json: bool) -> int:
    """Run every example; 1 when one is red."""
    path = path or load_settings().mappings_dir / CRITERIA
    criteria = load_criteria(path)
    results = run_examples(criteria)
    red = [result for result in results if not result.ok]
    missed = untouched(criteria)
    if json:
        print_json(
            {
                "file": str(path),
                "version": criteria.version,
                "passed": len(results) - len(red),
                "failed": len(red),
                "examples": [
                    {"name": result.name, "ok": result.ok, "differences": list(result.differences)}
                    for result in results
                ],
                "untouched": [{"kind": kind, "rule": rule} for kind, rule in missed],
            }
        )
        return FAILED if red else OK
    for result in results:
        out.print(f"{'ok ' if result.ok else 'RED'}  {result.name}")
        for difference in result.differences:
            out.print(f"       {difference}")
    out.print(f"{len(results) - len(red)} of {len(results)} examples hold in {path}.")
    if missed and results:
        out.print(f"No example touches {len(missed)} of the rules; nobody would notice if these were wrong:")
        for kind, rule in missed:
            out.print(f"       {_KINDS[kind]}{rule} ({criteria.name_of(rule, kind)})", markup=False)
    if not results:
        out.print("Examples are the written agreement: add some, so that an edit cannot break it unseen.")
    return FAILED if red else OK


def criteria_example(who: str, *, name: str | None, add: bool, path: Path | None, json: bool) -> int:
    """Freeze a person, as known now, as an anonymised example; `add`: into the file. FixConfig where nobody or several
    match, and where the person cannot be anonymised."""
    settings = load_settings()
    path = path or settings.mappings_dir / CRITERIA
    definition = replace(
        load_definition(settings.mappings_dir, plugins()),
        criteria=load_criteria(path, Beside(settings.mappings_dir)),
    )

    async def question(ledger: SqlLedger) -> Facts:
        person = await one_person(ledger, who)
        return (await ledger.facts([person.refs], around_at(definition, SystemClock().now())))[0]

    facts = ask_ledger(question)
    live = [record for record in facts.records if record.state is RecordState.LIVE]
    known = known_now(facts, definition, live)
    at = SystemClock().now()
    frozen = freeze(known, at, name=name or f"A person of {at:%Y-%m-%d}")
    if add:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_example(text, frozen.document), encoding="utf-8")
    if json:
        print_json(
            {"example": frozen.document, "notes": list(frozen.notes), "file": str(path) if add else None}
        )
        return OK
    out.print(as_yaml(frozen.document), markup=False, end="")
    for note in frozen.notes:
        out.print(f"# {note}", markup=False)
    out.print(
        f"Added to {path}." if add else "Nothing was written; `--add` puts it into the file.", markup=False
    )
    return OK
