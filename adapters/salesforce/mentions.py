"""Which of our fields a flow, a formula, a workflow rule or Apex code listens to or writes. Pure: asks nobody.

Names are matched whole and without case, as Salesforce takes them. Shapes: Metadata API guide, "Flow" and "Workflow".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Ours = Mapping[str, frozenset[str]]
"""The fields asked about, by object: `{"Lead": frozenset({"MQL_Score__c"})}`."""

_REFERENCE = re.compile(r"(?<![\w.$])(\$?\w+)\.(\w+)(?!\w)")
_COMMENTS = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_QUERIES = re.compile(r"\[\s*(?:SELECT|FIND)\b.*?\]", re.DOTALL | re.IGNORECASE)
_ON_UPDATE = ("Update", "CreateAndUpdate")


@dataclass(frozen=True, slots=True)
class Mentions:
    """`Object.field` as they were asked about."""

    listens: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.listens or self.writes)


def in_flow(metadata: Mapping[str, Any], ours: Ours) -> Mentions:
    """Of a flow, or a process of Process Builder. One that starts at every change of an object listens to all of it."""
    found = Mentions()
    start = _map(metadata.get("start"))
    types = _types(metadata, start)
    if (
        start.get("recordTriggerType") in _ON_UPDATE
        and not start.get("filters")
        and not start.get("filterFormula")
    ):
        found.listens.update(every(str(start.get("object")), ours))
    for element in _elements(metadata):
        source = str(element.get("object") or types.get(str(element.get("inputReference")).lower()) or "")
        found.listens.update(_named(source, _fields(element.get("filters")), ours))
        found.writes.update(_named(source, _fields(element.get("inputAssignments")), ours))
        text = element.get("filterFormula")
        if isinstance(text, str):
            found.listens.update(in_formula(text, source, ours))
    for key, text in _texts(metadata):
        for base, name in _REFERENCE.findall(text):
            source = types.get(base.lower(), "")
            side = found.writes if key == "assignToReference" else found.listens
            side.update(_named(source, [name], ours))
    return found


def in_formula(text: str, source: str, ours: Ours) -> set[str]:
    """Of a formula over one object: its fields stand bare, parents' behind a dot."""
    return {
        f"{source}.{name}"
        for name in ours.get(source, ())
        if re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text, re.IGNORECASE)
    }


def in_workflow_rule(metadata: Mapping[str, Any], source: str, ours: Ours) -> set[str]:
    """What starts a workflow rule: criteria such as `Lead.Status`, or a formula."""
    criteria = (each.get("field") for each in _maps(metadata.get("criteriaItems")))
    wanted = {f"{source}.{name}".lower(): f"{source}.{name}" for name in ours.get(source, ())}
    found = {wanted[name.lower()] for name in criteria if isinstance(name, str) and name.lower() in wanted}
    formula = metadata.get("formula")
    return found | (in_formula(formula, source, ours) if isinstance(formula, str) else set())


def field_updates(metadata: Mapping[str, Any]) -> set[str]:
    """The field updates that a workflow rule makes, at once or later, by name."""
    later = (
        action
        for each in _maps(metadata.get("workflowTimeTriggers"))
        for action in _maps(each.get("actions"))
    )
    actions = [*_maps(metadata.get("actions")), *later]
    return {str(each.get("name")) for each in actions if each.get("type") == "FieldUpdate"}


def in_apex(body: str, ours: Ours) -> Mentions:
    """Of a trigger or class, by its text: what is assigned is written, what is named is listened to. A field of two
    objects counts for those that the code names, for both where it names neither."""
    code = _COMMENTS.sub(" ", body)
    outside = _QUERIES.sub(" ", code)
    named = {source for source in ours if re.search(rf"\b{source}\b", code, re.IGNORECASE)} or set(ours)
    found = Mentions()
    for source in named:
        for name in ours[source]:
            word = rf"(?<!\w){re.escape(name)}(?!\w)"
            if not re.search(word, code, re.IGNORECASE):
                continue
            sets = rf"[.,(]\s*{word}\s*(?:=(?!=)|[-+*/]=)|\bput\(\s*'{re.escape(name)}'"
            written = re.findall(sets, outside, re.IGNORECASE)
            if written:
                found.writes.add(f"{source}.{name}")
            if len(re.findall(word, code, re.IGNORECASE)) > len(written):
                found.listens.add(f"{source}.{name}")
    return found


def every(source: str, ours: Ours) -> set[str]:
    """All fields of an object that were asked about."""
    return {f"{source}.{name}" for name in ours.get(source, ())}


# ---------------------------------------------------------------------------------------------- inside a flow


def _types(metadata: Mapping[str, Any], start: Mapping[str, Any]) -> dict[str, str]:
    """Which object a name of the flow stands for, by the name in lower case."""
    found = {name: str(start.get("object") or "") for name in ("$record", "$record__prior")}
    for each in _maps(metadata.get("variables")):
        found[str(each.get("name")).lower()] = str(each.get("objectType") or "")
    for each in _maps(metadata.get("recordLookups")):
        found[str(each.get("name")).lower()] = str(each.get("object") or "")
    for each in _maps(metadata.get("loops")):
        over = str(each.get("collectionReference")).lower()
        found[str(each.get("name")).lower()] = found.get(over, "")
    return found


def _elements(metadata: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of a flow that name fields of an object."""
    yield _map(metadata.get("start"))
    for kind in ("recordLookups", "recordUpdates", "recordCreates", "recordDeletes"):
        yield from _maps(metadata.get(kind))


def _fields(parts: Any) -> Iterator[str]:
    return (str(each.get("field")) for each in _maps(parts))


def _named(source: str, names: Iterable[str], ours: Ours) -> set[str]:
    """Those of these fields of an object that were asked about."""
    known = {name.lower(): name for name in ours.get(source, ())}
    return {f"{source}.{known[name.lower()]}" for name in names if name.lower() in known}


def _texts(document: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in it, with the key it stands under."""
    if isinstance(document, str):
        yield key, document
    elif isinstance(document, Mapping):
        for name, each in document.items():
            yield from _texts(each, str(name))
    elif isinstance(document, list):
        for each in document:
            yield from _texts(each, key)


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
