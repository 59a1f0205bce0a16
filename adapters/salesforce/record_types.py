"""Which picklist values each record type allows: describe lists the union of all, and a save may refuse the rest.

Two resources tell, and which of them an org serves is for a probe to find:
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_sobject_named_layouts.htm
https://developer.salesforce.com/docs/atlas.en-us.uiapi.meta/uiapi/ui_api_resources_picklist_values_collection.htm
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.rest import Rest

MASTER = "012000000000000AAA"
LAYOUTS, UI, NONE = "layouts", "ui", "none"


def types_of(described: Mapping[str, Any]) -> dict[str, str]:
    """Record types of an object that this user may use, id -> name, the master one left out."""
    return {
        str(each["recordTypeId"]): str(each.get("name") or each["recordTypeId"])
        for each in described.get("recordTypeInfos") or ()
        if not each.get("master") and each.get("available", True) and each.get("recordTypeId") != MASTER
    }


async def allowed(rest: Rest, object_: str, record_type: str, source: str) -> dict[str, frozenset[str]]:
    """Picklist field -> values, for one record type. Empty where the source tells nothing. Raises FixConfig where the
    org does not serve it.
    """
    soql.record_id(record_type)
    if source == LAYOUTS:
        answer = await rest.send("GET", f"/sobjects/{soql.name(object_)}/describe/layouts/{record_type}")
        return {str(each["name"]): _active(each.get("picklistValues")) for each in _details(answer.json)}
    if source == UI:
        path = f"/ui-api/object-info/{soql.name(object_)}/picklist-values/{record_type}"
        answer = await rest.send("GET", path)
        fields = answer.json.get("picklistFieldValues") if isinstance(answer.json, Mapping) else None
        return {str(name): _active(each.get("values")) for name, each in (fields or {}).items()}
    return {}


def _active(values: Any) -> frozenset[str]:
    return frozenset(str(each["value"]) for each in values or () if each.get("active", True))


def _details(document: Any) -> Iterator[Mapping[str, Any]]:
    """Every picklist on the layout, wherever it stands."""
    if isinstance(document, Mapping):
        details = document.get("details")
        if isinstance(details, Mapping) and details.get("picklistValues"):
            yield details
        for each in document.values():
            yield from _details(each)
    elif isinstance(document, list):
        for each in document:
            yield from _details(each)
