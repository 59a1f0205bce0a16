"""Compares a field that is wanted with one that stands, and spells one for Salesforce. Pure.

A field that can hold everything we may write is right, whatever else it can hold; no other is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.core.targets import TargetField
from connector.ports import Step

_CUSTOM = "__c"


@dataclass(frozen=True, slots=True)
class Todo:
    """One field: where it stands. `definition` is what the Tooling API tells of it; `add` are values it lacks."""

    step: Step
    definition: Mapping[str, Any] | None = None
    add: tuple[tuple[str, str], ...] = ()

    def merged(self, key: str) -> dict[str, Any]:
        """The field's metadata with the values it lacks: a value set that is sent replaces the one that stands."""
        metadata: dict[str, Any] = dict((self.definition or {})["Metadata"])
        value_set = dict(metadata["valueSet"])
        definition = dict(value_set["valueSetDefinition"])
        stand = [dict(each) for each in definition.get("value") or ()]
        own = next((name for name in ("valueName", "fullName") if stand and name in stand[0]), key)
        definition["value"] = [*stand, *_values(self.add, own)]
        return {**metadata, "valueSet": {**value_set, "valueSetDefinition": definition}}


def standard(name: str) -> bool:
    """Whether it is no custom field of the org's own: Salesforce's, or one of an installed package."""
    return not name.endswith(_CUSTOM) or name.removesuffix(_CUSTOM).count("__") > 0


def compared(
    target: TargetField, definition: Mapping[str, Any] | None, described: Mapping[str, Any] | None = None
) -> Todo:
    """Where one target stands. `described` for a field that set-up never makes, `definition` for all others."""
    what = f"field {target.object}.{target.name}"
    if standard(target.name):
        return _not_ours(what, target, described)
    if definition is None:
        return Todo(Step(what, "missing"))
    if target.sales:
        return Todo(Step(what, "there"), definition)  # theirs, with whatever they choose from
    metadata = definition["Metadata"]
    fault = _fault(target, metadata)
    if fault:
        detail = (
            f"{fault} Map `{target.result}` to another field, or change this one in Setup > Object Manager."
        )
        return Todo(Step(what, "differs", detail), definition)
    add = _missing(target, metadata)
    if not add:
        return Todo(Step(what, "there"), definition)
    names = ", ".join(value for value, _ in add)
    value_set = metadata.get("valueSet") or {}
    inactive = _inactive(metadata)
    if value_set.get("valueSetName") or any(value in inactive for value, _ in add):
        place = (
            f"the global value set {value_set['valueSetName']}"
            if value_set.get("valueSetName")
            else "the field"
        )
        clicks = f"Add or activate in {place} (Setup > Object Manager or Picklist Value Sets): {names}."
        return Todo(Step(what, "by_hand", clicks), definition)
    return Todo(Step(what, "missing", f"values to add: {names}"), definition, tuple(add))


def _not_ours(what: str, target: TargetField, described: Mapping[str, Any] | None) -> Todo:
    if described is None:
        detail = "Set-up makes only custom fields of the org's own; this one is not there, or hidden from this user."
        return Todo(Step(what, "by_hand", detail))
    if described.get("calculated") or not described.get("updateable"):
        return Todo(Step(what, "differs", f"It cannot be edited. Map `{target.result}` to another field."))
    if described.get("restrictedPicklist"):
        there = {
            str(each["value"]) for each in described.get("picklistValues") or () if each.get("active", True)
        }
        lacks = [value for value, _ in target.options if value not in there]
        if lacks:
            return Todo(
                Step(what, "by_hand", f"Add to its picklist in Setup > Object Manager: {', '.join(lacks)}.")
            )
    return Todo(Step(what, "there"))


def _fault(target: TargetField, metadata: Mapping[str, Any]) -> str:
    """Why this field cannot hold what we write; empty where it can."""
    type_ = str(metadata.get("type"))
    if metadata.get("formula"):
        return "It is a formula."
    if metadata.get("unique"):
        return "It is unique, and many people share a result."
    length = int(metadata.get("length") or 0)
    digits = int(metadata.get("precision") or 0) - int(metadata.get("scale") or 0)
    match target.kind:
        case "number":
            if type_ not in ("Number", "Currency", "Percent"):
                return f"It is {type_} and must be Number({target.digits}, 0)."
            if digits < target.digits:
                return f"It holds {digits} digits before the point, and {target.digits} are needed."
        case "text":
            if type_ not in ("Text", "TextArea", "LongTextArea"):
                return f"It is {type_} and must be Text({target.length})."
            if type_ != "TextArea" and length < target.length:
                return f"It holds {length} characters, and {target.length} are needed."
        case "enum":
            longest = max((len(value) for value, _ in target.options), default=0)
            if type_ not in ("Picklist", "Text"):
                return f"It is {type_} and must be Picklist."
            if type_ == "Text" and length < longest:
                return f"It holds {length} characters, and {longest} are needed."
        case "datetime":
            if type_ != "DateTime":
                return f"It is {type_} and must be DateTime."
    return ""


def _missing(target: TargetField, metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    if target.kind != "enum" or metadata.get("type") != "Picklist":
        return []
    there = {_name(each) for each in _stand(metadata) if each.get("isActive") is not False}
    return [(value, label) for value, label in target.options if value not in there]


def _inactive(metadata: Mapping[str, Any]) -> set[str]:
    return {_name(each) for each in _stand(metadata) if each.get("isActive") is False}


def _stand(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    definition = (metadata.get("valueSet") or {}).get("valueSetDefinition") or {}
    return [each for each in definition.get("value") or () if isinstance(each, Mapping)]


def _name(value: Mapping[str, Any]) -> str:
    return str(value.get("valueName") or value.get("fullName") or "")


def _values(pairs: Sequence[tuple[str, str]], key: str) -> list[dict[str, Any]]:
    return [{key: value, "label": label, "default": False} for value, label in pairs]


def metadata_of(target: TargetField, key: str) -> dict[str, Any]:
    """A field's metadata as the Tooling API takes it. `key` is what it calls a picklist value's name."""
    metadata: dict[str, Any] = {
        "label": target.label,
        "description": target.what,
        "required": False,
        "externalId": False,
        "trackHistory": False,
    }
    match target.kind:
        case "number":
            metadata |= {"type": "Number", "precision": target.digits, "scale": 0, "unique": False}
        case "text":
            metadata |= {"type": "Text", "length": target.length, "unique": False}
        case "datetime":
            metadata |= {"type": "DateTime"}
        case "enum":
            definition = {"sorted": False, "value": _values(target.options, key)}
            metadata |= {
                "type": "Picklist",
                "valueSet": {"restricted": True, "valueSetDefinition": definition},
            }
    return metadata
