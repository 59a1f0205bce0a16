"""The fields that a mapping writes to, described so that a CRM can be given them. Pure: knows no CRM by name."""

from __future__ import annotations

from dataclasses import dataclass

from connector.core.mapping import LADDER, CrmMapping
from connector.core.model import MqlStatus

GRADES = tuple(f"{fit}{engagement}" for fit in "ABCD" for engagement in "1234")
TEXT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class TargetField:
    """A field to be written to. `kind`: number (whole, up to `digits`), text (up to `length`), enum, datetime.

    `options` are (value, label) in order, with a value for all that we may write. `what` is its description for people.
    """

    object: str
    name: str
    result: str
    label: str
    kind: str
    what: str
    digits: int = 0
    length: int = 0
    options: tuple[tuple[str, str], ...] = ()
    sales: bool = False  # sales' own: made and read, never written by us


REJECT_REASONS = (
    ("no_budget", "No budget"),
    ("no_authority", "Cannot decide"),
    ("no_need", "No need"),
    ("bad_timing", "Bad timing"),
    ("competitor_chosen", "Chose a competitor"),
    ("not_reached", "Could not be reached"),
    ("other", "Other"),
)

_STAGE_LABELS = {
    "subscriber": "Subscriber",
    "lead": "Lead",
    "mql": "Marketing Qualified Lead",
    "sql": "Sales Qualified Lead",
    "opportunity": "Opportunity",
    "customer": "Customer",
    "evangelist": "Evangelist",
    "other": "Other",
}

_NUMBERS = {
    "score": ("MQL score", 3, "Fit and engagement together, 0 to 100."),
    "fit": ("MQL fit", 3, "How well the person fits, 0 to 100."),
    "engagement": ("MQL engagement", 3, "What the person did lately, 0 to 100."),
    "band": ("MQL band", 1, "The score in five bands, 1 to 5."),
    "criteria_version": ("MQL criteria version", 9, "Which version of the definition decided."),
}


_TEXTS = {
    "reason": ("MQL reason", "Why the score is what it is."),
    "next": ("MQL next", "The nurture that follows, by the definition."),
    "persona": ("MQL persona", "What the person is like, as assigned in a CRM or by the definition."),
    "audience": ("MQL audience", "By which part of the definition the person is judged; blank: the whole."),
}


def targets_of(mapping: CrmMapping) -> tuple[TargetField, ...]:
    """Every field that a mapping's lines write to, in file order, each once."""
    found: dict[tuple[str, str], TargetField] = {}
    for name, each in mapping.objects.items():
        theirs = each.stage.theirs() if each.stage else {}
        for line in each.write:
            if line.rule != "never":
                found.setdefault((name, line.to), _target(name, line.to, line.result, theirs))
    return tuple(found.values())


def reject_reasons(mapping: CrmMapping, name: str) -> tuple[TargetField, ...]:
    """The field in which sales says why they reject, for every object that has a lead status: the one that the mapping
    reads (`status.reason`), else one of this name. Sales' own: never a target of a write."""
    return tuple(
        TargetField(
            each.object,
            each.status.reason or name,
            "reject_reason",
            "MQL reject reason",
            "enum",
            "Why sales rejects this MQL. Set by sales; the connector reads it and never writes it.",
            options=REJECT_REASONS,
            sales=True,
        )
        for each in mapping.of_kind("person")
        if each.status
    )


def _target(object_: str, to: str, result: str, stages: dict[str, str]) -> TargetField:
    if result in _NUMBERS:
        label, digits, what = _NUMBERS[result]
        return TargetField(object_, to, result, label, "number", what, digits=digits)
    if result == "grade":
        options = tuple((grade, grade) for grade in GRADES)
        return TargetField(
            object_, to, result, "MQL grade", "enum", "Letter of fit, digit of engagement.", options=options
        )
    if result == "status":
        options = tuple((status.value, status.value.capitalize()) for status in MqlStatus)
        return TargetField(
            object_, to, result, "MQL status", "enum", "Where the qualification stands.", options=options
        )
    if result == "since":
        return TargetField(
            object_, to, result, "MQL since", "datetime", "Start of the present spell as MQL, UTC."
        )
    if result == "stage":
        named = [stage for stage in LADDER if stage in stages or not stages]  # no other is ever written
        options = tuple((stages.get(stage, stage), _STAGE_LABELS[stage]) for stage in named)
        return TargetField(
            object_,
            to,
            result,
            "Lifecycle stage",
            "enum",
            "Where the person is, in both CRMs.",
            options=options,
        )
    label, what = _TEXTS[result]
    return TargetField(object_, to, result, label, "text", what, length=TEXT_LENGTH)
