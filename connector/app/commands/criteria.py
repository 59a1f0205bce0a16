"""`connector criteria test`: the written agreement, run."""

from __future__ import annotations

from pathlib import Path

from connector.app.definition import CRITERIA
from connector.app.exits import FAILED, OK
from connector.app.files import load_criteria
from connector.app.output import out, print_json
from connector.app.settings import load_settings
from connector.core.examples import run_examples, untouched

_KINDS = {"points": "", "disqualify": "disqualifier ", "hand_raise": "hand-raiser "}


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
