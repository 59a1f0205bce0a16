"""What an account's own automations mean for the fields that a mapping writes, as findings. Pure: asks nobody."""

from __future__ import annotations

from collections.abc import Iterable

from connector.core.mapping import CrmMapping
from connector.core.targets import targets_of
from connector.ports import Automation, Automations, Finding

WHERE = "automations"


def written_fields(mapping: CrmMapping) -> tuple[str, ...]:
    """What `CrmInspector.automations` is asked about: every `Object.field` that the mapping writes, in file order."""
    return tuple(f"{target.object}.{target.name}" for target in targets_of(mapping))


def findings_of(told: Automations) -> list[Finding]:
    """A warning for each that writes a field of ours, a note for each that listens, a note for what was not seen."""
    return [
        *(_writes(each) for each in told.found if each.writes),
        *(_listens(each) for each in told.found if each.listens),
        *(Finding("note", WHERE, sentence) for sentence in told.unseen),
    ]


def _writes(each: Automation) -> Finding:
    return Finding(
        "warning",
        _names(each.writes),
        f'the {each.kind} "{each.name}" writes here as well (found; there may be others)',
        f"{each.where}: take that out of it, or give the field the rule `never` in the mapping; else the two change it"
        " back and forth.",
    )


def _listens(each: Automation) -> Finding:
    return Finding(
        "note",
        _names(each.listens),
        f'the {each.kind} "{each.name}" acts on what is written here (found; there may be others)',
        f"{each.where}. Think of it before a large write, and before an undo: what it did is not taken back.",
    )


def _names(fields: Iterable[str]) -> str:
    return ", ".join(sorted(fields))
