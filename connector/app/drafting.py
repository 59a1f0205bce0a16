"""What is told of an edited definition before anybody decides about it: what is wrong, its examples, what differs.

Keeps nothing, asks no CRM.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from connector.app.definition import by_the_clock_of, definition_of
from connector.app.wiring import plugins
from connector.core.definition import Definition
from connector.core.examples import run_examples, untouched
from connector.core.wording import changes_in_words
from connector.errors import FixConfig, Problem
from connector.phases.adopt import compared


def read_edit(in_force: Mapping[str, str], edit: Mapping[str, str], zone: tzinfo) -> Definition:
    """The files in force with these in their place. Raises FixConfig with all problems."""
    return by_the_clock_of(definition_of({**in_force, **edit}, plugins()), zone)


def checked(in_force: Mapping[str, str], edit: Mapping[str, str], zone: tzinfo) -> dict[str, Any]:
    """What is wrong with an edit, else its warnings, its examples, and what differs from the version in force."""
    document: dict[str, Any] = {
        "ok": False, "problems": [], "warnings": [], "examples": [], "untouched": [], "words": [], "changes": [],
    }  # fmt: skip
    try:
        found = read_edit(in_force, edit, zone)
    except FixConfig as error:
        problems = error.problems or [Problem((), f"{error.message} {error.next_step}".strip())]
        return document | {"problems": [_mistake(each) for each in problems]}
    results = run_examples(found.criteria)
    return document | {
        "ok": all(result.ok for result in results),
        "warnings": [_mistake(each) for each in found.criteria.warnings],
        "examples": [
            {"name": each.name, "ok": each.ok, "differences": list(each.differences)} for each in results
        ],
        "untouched": [{"kind": kind, "rule": rule} for kind, rule in untouched(found.criteria)],
        **differs(in_force, found),
    }


def differs(in_force: Mapping[str, str], edited: Definition) -> dict[str, Any]:
    """Where an edit differs from the version in force: `words` of the criteria, `changes` with what each needs."""
    before = edited.read(in_force) if edited.read is not None else None
    changes = compared(in_force, edited)
    return {
        "words": changes_in_words(before.criteria, edited.criteria) if before is not None else [],
        "changes": [
            {"what": each.what, "needs": each.needs, "crm": each.crm or None} for each in changes or ()
        ],
    }


def _mistake(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file or None,
        "line": problem.line,
        "column": problem.column,
        "key": ".".join(str(each) for each in problem.path) or None,
        "what": problem.what,
        "nearest": problem.nearest,
    }
