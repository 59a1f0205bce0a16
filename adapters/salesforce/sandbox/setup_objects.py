"""What set-up tells of an org's automations: flows, Apex, validation and workflow rules, and what mentions a field.

Nothing here runs (see `flows`). Shapes: Object reference, "FlowDefinitionView", "ApexTrigger"; Tooling API guide,
"Flow", "ValidationRule", "WorkflowRule", "WorkflowFieldUpdate", "MetadataComponentDependency".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from adapters.salesforce.sandbox.flows import Flow
from adapters.salesforce.sandbox.schema import Field, ObjectType
from connector.sandbox.population import salesforce_id

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.store import Store

Json = Any
HIDDEN = "(hidden)"
_ENTITY, _FIELD = "4ie", "4fe"  # how the ids of definitions begin here
STAMP = "2026-01-01T00:00:00.000+0000"
PREFIXES = {"Flow": "301", "ValidationRule": "03d", "WorkflowRule": "01Q", "WorkflowFieldUpdate": "04Y",
            "ApexTrigger": "01q", "ApexClass": "01p", "EntityDefinition": _ENTITY, "FieldDefinition": _FIELD,
            "FlowDefinitionView": "300"}  # fmt: skip
_COMPONENTS = ("ValidationRule", "WorkflowRule", "WorkflowFieldUpdate", "ApexTrigger", "ApexClass")
BY_QUERY = ("FlowDefinitionView", "ApexTrigger", "ApexClass", "EntityDefinition")
"""Told by ordinary queries; the rest by the Tooling API."""


class SetupObjects:
    """The automations of one org beside its flows. Every org has a few that concern nobody."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, dict[str, dict[str, Json]]] = {kind: {} for kind in _COMPONENTS}

    def add_trigger(
        self,
        name: str,
        body: str,
        *,
        object: str = "Lead",
        active: bool = True,
        package: str = "",
        updates: bool = True,
    ) -> str:
        """An Apex trigger; that of a package hides its code."""
        return self._add(
            "ApexTrigger", Name=name, TableEnumOrId=object, Body=HIDDEN if package else body, NamespacePrefix=package,
            Status="Active" if active else "Inactive", UsageBeforeUpdate=updates, UsageAfterUpdate=False, text=body,
        )  # fmt: skip

    def add_class(self, name: str, body: str, *, package: str = "") -> str:
        """An Apex class."""
        shown = HIDDEN if package else body
        return self._add(
            "ApexClass", Name=name, Body=shown, NamespacePrefix=package, Status="Active", text=body
        )

    def add_validation_rule(
        self, name: str, formula: str, *, object: str = "Lead", active: bool = True
    ) -> str:
        """A validation rule. It refuses nothing: see the action `refuse`."""
        metadata = {"active": active, "errorConditionFormula": formula, "errorMessage": "Not like this."}
        return self._add(
            "ValidationRule", ValidationName=name, EntityDefinitionId=_ENTITY + object, Active=active,
            NamespacePrefix="", Metadata=metadata, FullName=f"{object}.{name}", text=formula,
        )  # fmt: skip

    def add_workflow_rule(
        self,
        name: str,
        *,
        object: str = "Lead",
        criteria: Iterable[str] = (),
        updates: Iterable[str] = (),
        active: bool = True,
    ) -> str:
        """A workflow rule: started by these fields, its field updates write those."""
        actions = []
        for field in updates:
            update = f"Set_{field.removesuffix('__c')}"
            self._add(
                "WorkflowFieldUpdate", Name=f"Set {field}", EntityDefinitionId=_ENTITY + object, NamespacePrefix="",
                FieldDefinitionId=f"{_FIELD}{object}.{field}", FullName=f"{object}.{update}", text=field,
                Metadata={"field": field, "operation": "Literal"},
            )  # fmt: skip
            actions.append({"name": update, "type": "FieldUpdate"})
        items = [{"field": f"{object}.{each}", "operation": "notEqual", "value": ""} for each in criteria]
        metadata = {"active": active, "criteriaItems": items, "formula": None, "actions": actions}
        return self._add(
            "WorkflowRule", Name=name, TableEnumOrId=object, NamespacePrefix="", Metadata=metadata,
            FullName=f"{object}.{name}", text=orjson.dumps(items).decode(),
        )  # fmt: skip

    def rows(self, kind: str) -> list[dict[str, Json]]:
        """All of a kind, as a query finds them."""
        if kind == "FlowDefinitionView":
            return [_view(each) for each in self._store.flows.all()]
        if kind == "EntityDefinition":
            return [
                {"Id": _ENTITY + name, "QualifiedApiName": name, **_stamps()} for name in self._store.schema
            ]
        if kind == "FieldDefinition":
            names = ((name, field) for name, each in self._store.schema.items() for field in each.fields)
            return [
                {"Id": f"{_FIELD}{name}.{field}", "QualifiedApiName": field, **_stamps()}
                for name, field in names
            ]
        return list(self._rows[kind].values())

    def document(self, kind: str, id: str) -> dict[str, Json] | None:
        """One component with its metadata."""
        if kind == "Flow":
            flow = next((each for each in self._store.flows.all() if each.id == id), None)
            if flow is None:
                return None
            metadata = None if flow.package else metadata_of(flow)
            return {"Id": id, "FullName": _api_name(flow), "Metadata": metadata, "Status": _status(flow)}
        row = self._rows.get(kind, {}).get(id)
        return None if row is None else {name: each for name, each in row.items() if name != "text"}

    def dependencies(self, custom: Iterable[tuple[str, str]]) -> list[dict[str, Json]]:
        """What mentions a custom field; `custom` are its id and name. Versions that are off are among them."""
        texts = [(each.id, "Flow", _api_name(each), orjson.dumps(metadata_of(each)).decode())
                 for each in self._store.flows.all()]  # fmt: skip
        for kind, rows in self._rows.items():
            texts += [
                (row["Id"], kind, str(row.get("Name") or row.get("ValidationName")), row["text"])
                for row in rows.values()
            ]
        found: list[dict[str, Json]] = []
        for id, name in custom:
            word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
            for component, kind, label, text in texts:
                if word.search(text):
                    found.append(
                        {
                            "Id": salesforce_id("0XX", len(found) + 1),
                            "MetadataComponentId": component,
                            "MetadataComponentName": label,
                            "MetadataComponentType": kind,
                            "RefMetadataComponentId": id,
                            "RefMetadataComponentName": name.removesuffix("__c"),
                            "RefMetadataComponentType": "CustomField",
                            **_stamps(),
                        }
                    )
        return found

    def _add(self, kind: str, **row: Json) -> str:
        id = salesforce_id(PREFIXES[kind], len(self._rows[kind]) + 1)
        row["NamespacePrefix"] = row["NamespacePrefix"] or None
        self._rows[kind][id] = {"Id": id, **row, **_stamps()}
        return id


def metadata_of(flow: Flow) -> dict[str, Json]:
    """A flow as the Metadata API tells it; `details` go before."""
    filters: list[Json] = []
    if flow.when:
        filters.append({"field": flow.when, "operator": "IsChanged", "value": {"booleanValue": True}})
    if flow.equals is not None:
        filters.append({"field": flow.when, "operator": "EqualTo", "value": _literal(flow.equals)})
    moment = "RecordBeforeSave" if flow.before_save else "RecordAfterSave"
    document: dict[str, Json] = {
        "label": flow.name,
        "processType": "AutoLaunchedFlow",
        "status": _status(flow),
        "start": {
            "object": flow.object,
            "recordTriggerType": "CreateAndUpdate",
            "triggerType": moment,
            "filterLogic": "and",
            "filters": filters,
            "filterFormula": None,
            "scheduledPaths": [{"offsetNumber": flow.after, "offsetUnit": "Seconds"}] if flow.after else [],
        },
        "assignments": [],
        "recordUpdates": [],
    }
    if flow.sets and flow.before_save:
        to = {"assignToReference": f"$Record.{flow.sets}", "operator": "Assign", "value": _literal(flow.to)}
        document["assignments"] = [{"name": "Set", "label": "Set", "assignmentItems": [to]}]
    elif flow.sets:
        update = {"inputAssignments": [{"field": flow.sets, "value": _literal(flow.to)}], "filters": []}
        document["recordUpdates"] = [
            {"name": "Set", "label": "Set", "inputReference": "$Record", "object": None, **update}
        ]
    return {**document, **flow.details}


def objects() -> dict[str, ObjectType]:
    """The objects by name; what no ordinary query tells is the Tooling API's."""
    texts = {
        "FlowDefinitionView": ("ActiveVersionId", "ApiName", "Label", "ManageableState", "NamespacePrefix",
                               "ProcessType", "RecordTriggerType", "TriggerType"),
        "ApexTrigger": ("Name", "NamespacePrefix", "Status", "TableEnumOrId"),
        "ApexClass": ("Name", "NamespacePrefix", "Status"),
        "EntityDefinition": ("QualifiedApiName",),
        "FieldDefinition": ("QualifiedApiName",),
        "ValidationRule": ("NamespacePrefix", "ValidationName"),
        "WorkflowRule": ("Name", "NamespacePrefix", "TableEnumOrId"),
        "WorkflowFieldUpdate": ("Name", "NamespacePrefix"),
        "MetadataComponentDependency": ("MetadataComponentName", "MetadataComponentType", "RefMetadataComponentName",
                                        "RefMetadataComponentType", "MetadataComponentId", "RefMetadataComponentId"),
    }  # fmt: skip
    flags = {
        "FlowDefinitionView": ("IsActive",),
        "ApexTrigger": ("UsageAfterUpdate", "UsageBeforeUpdate"),
        "ValidationRule": ("Active",),
    }
    of = Field(
        "EntityDefinitionId", "reference", refers=("EntityDefinition",), relationship="EntityDefinition"
    )
    on = Field(
        "TriggerObjectOrEventId",
        "reference",
        refers=("EntityDefinition",),
        relationship="TriggerObjectOrEvent",
    )
    field = Field(
        "FieldDefinitionId", "reference", refers=("FieldDefinition",), relationship="FieldDefinition"
    )
    body = Field("Body", "textarea", length=1_000_000)
    more: dict[str, tuple[Field, ...]] = {
        "FlowDefinitionView": (on,),
        "ApexTrigger": (body,),
        "ApexClass": (body,),
        "ValidationRule": (of,),
        "WorkflowFieldUpdate": (of, field),
    }
    found = {}
    for name, columns in texts.items():
        fields = [
            Field("Id", "id", length=18),
            *(Field(each, "string", length=255) for each in columns),
            *(Field(each, "boolean") for each in flags.get(name, ())),
            *more.get(name, ()),
            Field("SystemModstamp", "datetime"),
            Field("CreatedDate", "datetime"),
        ]
        by_name = {each.name: each for each in fields}
        found[name] = ObjectType(name, PREFIXES.get(name, "0XX"), by_name, name + "s", updateable=False)
    return found


def _view(flow: Flow) -> dict[str, Json]:
    return {
        "Id": "300" + flow.id[3:],
        "ActiveVersionId": flow.id if flow.active else None,
        "ApiName": _api_name(flow),
        "Label": flow.name,
        "IsActive": flow.active,
        "ManageableState": "installed" if flow.package else "unmanaged",
        "NamespacePrefix": flow.package or None,
        "ProcessType": "AutoLaunchedFlow",
        "TriggerType": "RecordBeforeSave" if flow.before_save else "RecordAfterSave",
        "RecordTriggerType": "CreateAndUpdate",
        "TriggerObjectOrEventId": _ENTITY + flow.object,
        **_stamps(),
    }


def _api_name(flow: Flow) -> str:
    return re.sub(r"\W+", "_", flow.name).strip("_")


def _status(flow: Flow) -> str:
    return "Active" if flow.active else "Obsolete"


def _literal(value: Json) -> dict[str, Json]:
    if isinstance(value, str) and value.startswith("$Record"):
        return {"elementReference": value}
    kinds = {bool: "booleanValue", int: "numberValue", float: "numberValue", str: "stringValue"}
    return {kinds[type(value)]: value} if value is not None else {}


def _stamps() -> Mapping[str, Json]:
    return {"CreatedDate": STAMP, "SystemModstamp": STAMP}
