"""The Tooling API: custom fields (query, read one's metadata, make one, change its value set) and automations (read).

Only an administrator may, and read whoever may view set-up; a field's name is taken without `__c`, and a field that is
made is seen by nobody yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.salesforce.sandbox import permissions
from adapters.salesforce.sandbox.evaluate import World, run, shape_rows
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.org import Org
from adapters.salesforce.sandbox.schema import Field, ObjectType, custom_field_object
from adapters.salesforce.sandbox.setup_objects import PREFIXES, objects
from adapters.salesforce.sandbox.soql import SoqlError
from adapters.salesforce.sandbox.tables import Table
from adapters.salesforce.sandbox.wire import NOT_FOUND, Call, Refused, Reply
from connector.sandbox.population import salesforce_id

Json = Any

_KIND = custom_field_object()
_TYPES = {  # the Metadata API's word: describe's
    "Number": "double",
    "Currency": "currency",
    "Percent": "percent",
    "Text": "string",
    "TextArea": "textarea",
    "LongTextArea": "textarea",
    "Picklist": "picklist",
    "DateTime": "datetime",
    "Date": "date",
    "Checkbox": "boolean",
    "Email": "email",
    "Url": "url",
    "Phone": "phone",
}
_WORDS = {word: type for type, word in _TYPES.items() if type not in ("TextArea", "LongTextArea")}


def dispatch(org: Org, call: Call) -> Reply:
    """Below `/tooling`."""
    if not call.admin and not (call.method == "GET" and "ViewSetup" in org.options.rights):
        raise Refused(403, "INSUFFICIENT_ACCESS", "This user needs the permission Customize Application.")
    match (call.method, *call.parts[1:]):
        case ("GET", "query"):
            return _query(org, call)
        case ("POST", "sobjects", "CustomField"):
            return _create(org, call)
        case ("GET", "sobjects", "CustomField", id):
            return _read(org, call, id)
        case ("PATCH", "sobjects", "CustomField", id):
            return _change(org, call, id)
        case ("GET", "sobjects", kind, id):
            document = org.store.setup.document(kind, full_id(id) or "")
            if document is None:
                raise NOT_FOUND
            return Reply(200, {"attributes": {"type": kind}, **document})
    raise NOT_FOUND


def _query(org: Org, call: Call) -> Reply:
    customs = [_row(org, name, each) for name, each in _customs(org)]
    kinds = {**objects(), "CustomField": _KIND}
    if not org.options.dependencies:
        del kinds["MetadataComponentDependency"]
    tables = {name: Table(kind) for name, kind in kinds.items()}
    for name, table in tables.items():
        if name == "CustomField":
            table.fill(customs)
        elif name == "MetadataComponentDependency":
            known = ((row["Id"], f"{row['DeveloperName']}__c") for row in customs)
            table.fill(org.store.setup.dependencies(known))
        else:
            table.fill(org.store.setup.rows(name))
    world = World(
        kinds, tables, {"00N": "CustomField", **{PREFIXES[name]: name for name in kinds if name in PREFIXES}}
    )
    try:
        found = run(call.query.get("q", ""), world, call.version)
    except SoqlError as wrong:
        raise Refused(400, wrong.code, wrong.message) from None
    shape = found.shape
    records = shape_rows(found.ids, found.object, shape, world, call.version) if shape else []
    body = {"size": found.total, "totalSize": found.total, "done": True, "queryLocator": None}
    return Reply(200, {**body, "entityTypeName": found.object, "records": records})


def _customs(org: Org) -> list[tuple[str, Field]]:
    return [
        (name, each)
        for name, kind in org.store.schema.items()
        for each in kind.fields.values()
        if each.custom
    ]


def _row(org: Org, name: str, each: Field) -> dict[str, Json]:
    id = org.custom_ids.setdefault((name, each.name), salesforce_id("00N", len(org.custom_ids) + 1))
    stamp = "2026-01-01T00:00:00.000+0000"
    return {
        "Id": id,
        "DeveloperName": each.name.removesuffix("__c"),
        "NamespacePrefix": None,
        "TableEnumOrId": name,
        "CreatedDate": stamp,
        "LastModifiedDate": stamp,
        "SystemModstamp": stamp,
    }


def _found(org: Org, id: str) -> tuple[str, Field]:
    for name, each in _customs(org):
        if _row(org, name, each)["Id"] == full_id(id):
            return name, each
    raise NOT_FOUND


def _read(org: Org, call: Call, id: str) -> Reply:
    name, each = _found(org, id)
    row = _row(org, name, each)
    url = f"/services/data/v{call.version}/tooling/sobjects/CustomField/{row['Id']}"
    attributes = {"type": "CustomField", "url": url}
    full = f"{name}.{each.name}"
    return Reply(
        200, {"attributes": attributes, **row, "FullName": full, "Metadata": _metadata(org, name, each)}
    )


def _metadata(org: Org, object_: str, each: Field) -> dict[str, Json]:
    number = each.type in ("double", "currency", "percent")
    values = [
        {
            "label": option,
            org.options.picklist_key: option,
            "default": option == each.default_option,
            "isActive": None,
        }
        for option in each.options
    ]
    definition = {"controllingField": None, "sorted": False, "value": values}
    value_set = {"restricted": each.restricted, "valueSetDefinition": definition, "valueSetName": None}
    return {
        "label": each.label,
        "type": _WORDS.get(each.type, "LongTextArea"),
        "precision": each.precision if number else None,
        "scale": each.scale if number else None,
        "length": each.length if each.type in ("string", "textarea") else None,
        "required": each.required,
        "externalId": each.external_id,
        "unique": each.external_id,
        "formula": None,
        "description": None,
        "trackHistory": f"{object_}.{each.name}" in org.store.tracked,
        "valueSet": value_set if each.type == "picklist" else None,
    }


def _create(org: Org, call: Call) -> Reply:
    body = call.body if isinstance(call.body, dict) else {}
    object_, _, name = str(body.get("FullName", "")).partition(".")
    kind = org.store.schema.get(object_)
    if kind is None or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*__c", name):
        raise Refused(
            400, "FIELD_INTEGRITY_EXCEPTION", f"The full name {body.get('FullName')} is no custom field's"
        )
    if kind.find(name) is not None:
        message = f"There is already a field named {name.removesuffix('__c')} on {object_}."
        raise Refused(400, "DUPLICATE_DEVELOPER_NAME", message)
    each = _field(org, kind, name, body.get("Metadata"))
    org.store.add_field(object_, each)
    _track(org, object_, name, body)
    permissions.refresh(org)
    id = _row(org, object_, each)["Id"]
    return Reply(201, {"id": id, "success": True, "errors": [], "warnings": [], "infos": []})


def _change(org: Org, call: Call, id: str) -> Reply:
    """A value set that is sent replaces the whole of what was there."""
    object_, each = _found(org, id)
    body = call.body if isinstance(call.body, dict) else {}
    org.store.add_field(object_, _field(org, org.store.schema[object_], each.name, body.get("Metadata")))
    _track(org, object_, each.name, body)
    permissions.refresh(org)
    return Reply(204)


def _track(org: Org, object_: str, name: str, body: Json) -> None:
    """`trackHistory` of a definition: changes of the field are kept from now on, or not any more."""
    full = {f"{object_}.{name}"}
    track = (body.get("Metadata") or {}).get("trackHistory")
    if track is not None:
        org.store.tracked = org.store.tracked | full if track else org.store.tracked - full


def _field(org: Org, kind: ObjectType, name: str, metadata: Json) -> Field:
    if not isinstance(metadata, Mapping) or metadata.get("type") not in _TYPES or not metadata.get("label"):
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "Metadata needs a label and a known type")
    type = _TYPES[str(metadata["type"])]
    precision, scale = int(metadata.get("precision") or 0), int(metadata.get("scale") or 0)
    if type in ("double", "currency", "percent") and not 0 < precision <= 18:
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "precision must be between 1 and 18")
    length = int(metadata.get("length") or 0)
    if type == "string" and not 0 < length <= 255:
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "length must be between 1 and 255")
    values = metadata.get("valueSet") or {}
    items = (values.get("valueSetDefinition") or {}).get("value") or ()
    wrong = [each for each in items if org.options.picklist_key not in each]
    if wrong:
        other = next(iter(sorted(set(wrong[0]) - {"label", "default", "isActive"})), "")
        raise Refused(400, "JSON_PARSER_ERROR", f"No such column '{other}' on sobject of type CustomValue")
    return Field(
        name,
        type,
        length=255 if type == "picklist" else length,
        precision=precision,
        scale=scale,
        options=tuple(str(each[org.options.picklist_key]) for each in items),
        restricted=bool(values.get("restricted")),
        title=str(metadata["label"]),
    )
