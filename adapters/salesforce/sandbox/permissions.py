"""Who may see and edit what: permission sets, field-level security, and what the API user sees because of them.

A field that was made through the API is visible to nobody until a permission set that somebody has grants it
(Salesforce help, "Field-level security").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adapters.salesforce.sandbox.checks import RecordError
from adapters.salesforce.sandbox.schema import PERMISSION_OBJECTS, ObjectType
from adapters.salesforce.sandbox.setup_objects import BY_QUERY
from adapters.salesforce.sandbox.soql import wire_time
from adapters.salesforce.sandbox.store import API_USER
from connector.sandbox.population import salesforce_id

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.org import Org
    from adapters.salesforce.sandbox.wire import Call

Json = Any
Row = Mapping[str, Any]

PROFILE = salesforce_id("0PS", 1)  # every profile has a permission set of its own
NOT_ALLOWED = RecordError(
    "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", http=403
)
_UNIQUE = {
    "PermissionSet": ("Name",),
    "FieldPermissions": ("ParentId", "SobjectType", "Field"),
    "ObjectPermissions": ("ParentId", "SobjectType"),
    "PermissionSetAssignment": ("PermissionSetId", "AssigneeId"),
}


def fill(org: Org) -> None:
    """The API user's profile: its system permissions, and everything it sees from the start."""
    now = wire_time(org.store.clock.now().replace(microsecond=0))
    stamps = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
    rights = {f"Permissions{right}": True for right in org.options.rights}
    profile = {"Id": PROFILE, "Name": "X00eIntegration", "Label": "Integration", "IsOwnedByProfile": True}
    org.store.tables["PermissionSet"].fill([{**profile, **rights, **stamps}])
    has = {"Id": salesforce_id("0Pa", 1), "PermissionSetId": PROFILE, "AssigneeId": API_USER}
    org.store.tables["PermissionSetAssignment"].fill([{**has, **stamps}])
    org.by_profile.update(org.schema)
    refresh(org)


def as_seen(org: Org) -> Org:
    """The org as the API user sees it: asking who may do what takes a permission of its own, set-up another."""
    unseen = [*(() if org.options.sees_rights else PERMISSION_OBJECTS)]
    unseen += () if "ViewSetup" in org.options.rights else BY_QUERY
    return replace(org, schema={name: kind for name, kind in org.schema.items() if name not in unseen})


def refresh(org: Org) -> None:
    """What the API user sees and may edit, from its profile and the permission sets that it has."""
    fields, objects = _granted(org)
    for name, full in org.store.schema.items():
        base = org.by_profile[name]
        seen = {}
        for field, each in full.fields.items():
            read, edit = fields.get((name, field), (False, False))
            if field in base.fields and not (org.options.read_only and each.updateable and not edit):
                seen[field] = each
            elif field in base.fields or read:
                seen[field] = each if edit else replace(each, updateable=False, createable=False)
        editable = base.updateable and (not org.options.read_only or name in objects)
        org.schema[name] = replace(base, fields=seen, updateable=editable)
    for name in PERMISSION_OBJECTS:
        org.schema[name] = org.store.schema[name]


def _granted(org: Org) -> tuple[dict[tuple[str, str], tuple[bool, bool]], set[str]]:
    mine = {
        row["PermissionSetId"]
        for row in _rows(org, "PermissionSetAssignment")
        if row.get("AssigneeId") == API_USER
    }
    fields: dict[tuple[str, str], tuple[bool, bool]] = {}
    for row in _rows(org, "FieldPermissions"):
        if row["ParentId"] in mine:
            key = (row["SobjectType"], row["Field"].partition(".")[2])
            read, edit = fields.get(key, (False, False))
            fields[key] = (read or bool(row.get("PermissionsRead")), edit or bool(row.get("PermissionsEdit")))
    objects = {
        row["SobjectType"]
        for row in _rows(org, "ObjectPermissions")
        if row["ParentId"] in mine and row.get("PermissionsEdit")
    }
    return fields, objects


def _rows(org: Org, name: str) -> Iterator[Row]:
    return (row for row in org.store.tables[name].rows.values() if not row.get("IsDeleted"))


def plan_create(org: Org, call: Call, kind: ObjectType, values: dict[str, Json]) -> Callable[[], Json]:
    """Judge a new grant. Raises RecordError: a grant that is there already is a fault, not a repetition."""
    unique = _UNIQUE[kind.name]
    if any(all(row.get(name) == values.get(name) for name in unique) for row in _rows(org, kind.name)):
        raise RecordError("DUPLICATE_VALUE", f"Duplicate {kind.name} found.", unique)
    if kind.name == "FieldPermissions":
        name, _, field = str(values["Field"]).partition(".")
        each = org.store.schema[name].fields.get(field) if name in org.store.schema else None
        if each is None or name != values["SobjectType"] or not each.custom:
            message = f"Field Name: bad value for restricted picklist field: {values['Field']}"
            raise RecordError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, ("Field",))
        if values.get("PermissionsEdit") and not values.get("PermissionsRead"):
            raise RecordError("FIELD_INTEGRITY_EXCEPTION", "Edit depends on Read", ("PermissionsEdit",))

    def apply() -> Json:
        made = org.store.insert(kind.name, values, "api")
        refresh(org)
        return {"id": made, "success": True, "errors": []}

    return apply
