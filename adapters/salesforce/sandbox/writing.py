"""The resources that write: rows, upserts and collections. Judges as Salesforce judges, then lets the store do it.

Every write is planned first and applied after, so that `allOrNone` can refuse without undoing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import groupby
from typing import Any

from adapters.salesforce.sandbox import permissions, record_types
from adapters.salesforce.sandbox.checks import RecordError, checked
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.org import Org
from adapters.salesforce.sandbox.reading import kind_named
from adapters.salesforce.sandbox.rows import ROUND_ROBIN
from adapters.salesforce.sandbox.schema import PERMISSION_OBJECTS, ObjectType
from adapters.salesforce.sandbox.wire import NOT_FOUND, Call, Refused, Reply

Json = Any
Plan = Callable[[], Json]  # applies a write that was judged; gives its success element

MAX_RECORDS = 200
MAX_RUNS = 10
_NO_ATTRIBUTES = (
    "Nested object for polymorphic foreign key must have an attributes field before any other fields."
)


# ------------------------------------------------------------ one row


def create(org: Org, call: Call, name: str) -> Reply:
    """`POST /sobjects/{object}`: 201."""
    kind = kind_named(org, name)
    try:
        return Reply(201, plan_create(org, call, kind, _values(call.body))())
    except RecordError as refused:
        return Reply(refused.http, refused.body())


def update(org: Org, call: Call, name: str, id: str) -> Reply:
    """`PATCH /sobjects/{object}/{id}`: 204."""
    kind = kind_named(org, name)
    try:
        apply = plan_update(org, call, kind, id, _values(call.body))
        _check_precondition(org, call, kind, id)
        apply()
    except RecordError as refused:
        return _single(refused)
    return Reply(204)


def _check_precondition(org: Org, call: Call, kind: ObjectType, id: str) -> None:
    """`If-Unmodified-Since`, in whole seconds as HTTP dates are; single rows only (REST guide, conditional headers)."""
    given = call.headers.get("if-unmodified-since")
    if given is None:
        return
    try:
        since = parsedate_to_datetime(given)
    except ValueError:
        raise Refused(400, "INVALID_HEADER", f"Unparseable If-Unmodified-Since: {given}") from None
    row = org.store.tables[kind.name].rows[full_id(id) or ""]
    if datetime.fromisoformat(str(row["LastModifiedDate"])) > since:
        raise Refused(412, "PRECONDITION_FAILED", "The record was modified since the date given")


def delete(org: Org, call: Call, name: str, id: str) -> Reply:
    """`DELETE /sobjects/{object}/{id}`: 204."""
    kind = kind_named(org, name)
    try:
        plan_delete(org, kind, id)()
    except RecordError as refused:
        return _single(refused)
    return Reply(204)


def upsert(org: Org, call: Call, name: str, field: str, value: str) -> Reply:
    """`PATCH /sobjects/{object}/{external id field}/{value}`: 201 created, 200 updated, 300 ambiguous."""
    kind = kind_named(org, name)
    values = _values(call.body)
    if field.lower() in (given.lower() for given in values):
        raise Refused(400, "INVALID_FIELD", f"The {field} field should not be specified in the sobject data.")
    matches = matching(org, kind, field, value)
    if len(matches) > 1:
        base = f"/services/data/v{call.version}/sobjects/{kind.name}"
        return Reply(300, [f"{base}/{id}" for id in matches])
    try:
        if matches:
            plan_update(org, call, kind, matches[0], values)()
            return Reply(200, {"id": matches[0], "success": True, "errors": [], "created": False})
        if call.query.get("updateOnly", "").lower() == "true" or field.lower() == "id":
            raise NOT_FOUND
        made = plan_create(org, call, kind, {**values, field: value})()
    except RecordError as refused:
        return _single(refused)
    location = f"/services/data/v{call.version}/sobjects/{kind.name}/{made['id']}"
    return Reply(201, {**made, "created": True}, {"Location": location})


def _single(refused: RecordError) -> Reply:
    if refused.code == "INVALID_CROSS_REFERENCE_KEY" and not refused.fields:
        return NOT_FOUND.reply
    return Reply(refused.http, refused.body())


def _values(body: Json) -> dict[str, Json]:
    if not isinstance(body, dict):
        raise Refused(400, "JSON_PARSER_ERROR", "The HTTP entity body is required, and must be a JSON object")
    return {name: value for name, value in body.items() if name != "attributes"}


def matching(org: Org, kind: ObjectType, field: str, value: str) -> list[str]:
    """Ids of the live rows with this external id. Refuses with 404 for a field that is none."""
    each = kind.find(field)
    if each is None or not (each.external_id or each.id_lookup):
        message = f"Provided external ID field does not exist or is not accessible: {field}"
        raise Refused(404, "NOT_FOUND", message)
    rows = org.store.tables[kind.name].rows
    if each.type == "id":
        key = full_id(value)
        return [key] if key in rows else []
    wanted = value.lower()
    return [
        id
        for id, row in rows.items()
        if not row.get("IsDeleted") and str(row.get(each.name) or "").lower() == wanted
    ]


# ------------------------------------------------------------ collections


def update_many(org: Org, call: Call) -> Reply:
    """`PATCH /composite/sobjects`: 200 with one element per record, in order."""

    def plan(record: Mapping[str, Json], kind: ObjectType) -> Plan:
        values = {name: value for name, value in record.items() if name.lower() not in ("id", "attributes")}
        id = next((value for name, value in record.items() if name.lower() == "id"), None)
        if id is None:
            raise RecordError("MISSING_ARGUMENT", "Id not specified in an update call")
        return plan_update(org, call, kind, str(id), values)

    return _collection(org, call, plan)


def create_many(org: Org, call: Call) -> Reply:
    """`POST /composite/sobjects`."""

    def plan(record: Mapping[str, Json], kind: ObjectType) -> Plan:
        return plan_create(org, call, kind, _values(dict(record)))

    return _collection(org, call, plan)


def upsert_many(org: Org, call: Call, name: str, field: str) -> Reply:
    """`PATCH /composite/sobjects/{object}/{external id field}`: the key is in each record."""
    kind_named(org, name)

    def plan(record: Mapping[str, Json], kind: ObjectType) -> Plan:
        values = _values(dict(record))
        key = next((each for each in values if each.lower() == field.lower()), None)
        if key is None or values[key] in (None, ""):
            raise RecordError("MISSING_ARGUMENT", f"{field} not specified")
        matches = matching(org, kind, field, str(values[key]))
        if len(matches) > 1:
            raise RecordError(
                "DUPLICATE_EXTERNAL_ID", f"{field}: more than one record found for external id field"
            )
        if not matches:
            apply = plan_create(org, call, kind, values)
            return lambda: {**apply(), "created": True}
        others = {each: value for each, value in values.items() if each != key}
        change = plan_update(org, call, kind, matches[0], others)
        return lambda: {**change(), "created": False}

    return _collection(org, call, plan)


def delete_many(org: Org, call: Call) -> Reply:
    """`DELETE /composite/sobjects?ids=a,b&allOrNone=false`."""
    ids = [id for id in call.query.get("ids", "").split(",") if id]
    _check_size(len(ids))
    plans: list[Plan | RecordError] = []
    for id in ids:
        try:
            found = org.world.find(full_id(id))
            if found is None:
                raise RecordError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            plans.append(plan_delete(org, org.schema[found[0]], id))
        except RecordError as refused:
            plans.append(refused)
    return Reply(200, _apply(plans, call.query.get("allOrNone", "false").lower() == "true"))


def _collection(org: Org, call: Call, plan: Callable[[Mapping[str, Json], ObjectType], Plan]) -> Reply:
    body = call.body
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list):
        raise Refused(400, "JSON_PARSER_ERROR", "The request body must be an object with a list of records")
    _check_size(len(records))
    types = [_type_of(record) for record in records]
    if sum(1 for _ in groupby(types)) > MAX_RUNS:
        message = (
            f"Cannot have more than {MAX_RUNS} chunks in a single operation. "
            "Please rearrange the data to reduce chunking."
        )
        raise Refused(400, "INVALID_INPUT", message)
    seen: set[str] = set()
    plans: list[Plan | RecordError] = []
    for record, type in zip(records, types, strict=True):
        try:
            if not isinstance(record, dict) or next(iter(record), "") != "attributes":
                raise RecordError("JSON_PARSER_ERROR", _NO_ATTRIBUTES)
            kind = next((each for each in org.schema.values() if each.name.lower() == type.lower()), None)
            if kind is None:
                raise RecordError("INVALID_TYPE", f"sObject type '{type}' is not supported.")
            id = full_id(str(record.get("id") or record.get("Id") or ""))
            if id is not None and id in seen and org.options.same_id_twice != "last":
                if org.options.same_id_twice == "request":
                    raise Refused(400, "DUPLICATE_VALUE", f"duplicate id specified: {id}")
                raise RecordError("DUPLICATE_VALUE", f"duplicate id specified: {id}")
            seen.add(id or "")
            plans.append(plan(record, kind))
        except RecordError as refused:
            plans.append(refused)
    return Reply(200, _apply(_triggered(org, plans), bool(body.get("allOrNone"))))


def _triggered(org: Org, plans: list[Plan | RecordError]) -> list[Plan | RecordError]:
    """Triggers run once on all rows of a call; one that runs out of its time fails them all."""
    most = org.options.trigger_rows
    if most is None or sum(not isinstance(each, RecordError) for each in plans) <= most:
        return plans
    message = "LeadTrigger: System.LimitException: Apex CPU time limit exceeded"
    overrun = RecordError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message)
    return [each if isinstance(each, RecordError) else overrun for each in plans]


def _type_of(record: Json) -> str:
    attributes = record.get("attributes") if isinstance(record, dict) else None
    return str(attributes.get("type", "")) if isinstance(attributes, dict) else ""


def _check_size(many: int) -> None:
    if many > MAX_RECORDS:
        message = f"record limit reached. cannot submit more than {MAX_RECORDS} records into this call."
        raise Refused(400, "EXCEEDED_ID_LIMIT", message)


def _apply(plans: Sequence[Plan | RecordError], all_or_none: bool) -> list[Json]:
    if all_or_none and any(isinstance(each, RecordError) for each in plans):
        rolled_back = RecordError(
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "Record rolled back because not all records were valid and the request was using AllOrNone header",
        )
        return [(each if isinstance(each, RecordError) else rolled_back).element() for each in plans]
    return [each.element() if isinstance(each, RecordError) else each() for each in plans]


# ------------------------------------------------------------ judging


def plan_create(org: Org, call: Call, kind: ObjectType, given: Mapping[str, Json]) -> Plan:
    """Judge a new row. Raises RecordError."""
    if kind.name in PERMISSION_OBJECTS and not call.admin:
        raise permissions.NOT_ALLOWED
    if not kind.updateable:
        message = f"entity type {kind.name} does not support create"
        raise RecordError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message)
    values = checked(kind, given, creating=True, rounding=org.options.rounding)
    if kind.name in PERMISSION_OBJECTS:
        return permissions.plan_create(org, call, kind, values)
    _check_references(org, kind, values)
    _check_unique(org, kind, "", values)
    _check_duplicates(org, call, kind, "", values)

    def apply() -> Json:
        if kind.name == "Lead" and _assigns(org, call):
            values["OwnerId"] = ROUND_ROBIN
        return {"id": org.store.insert(kind.name, values, "api"), "success": True, "errors": []}

    return apply


def plan_update(org: Org, call: Call, kind: ObjectType, id: str, given: Mapping[str, Json]) -> Plan:
    """Judge a change of a row. Raises RecordError."""
    if not kind.updateable:
        raise permissions.NOT_ALLOWED
    key, row = _living(org, kind, id)
    if kind.name == "Lead" and row.get("IsConverted") and not org.options.edit_converted:
        raise RecordError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    _check_flags(org, kind, given)
    values = checked(kind, given, creating=False, rounding=org.options.rounding)
    record_types.check(org, kind, row, values)
    _check_person(kind, row, values)
    _check_references(org, kind, values)
    _check_unique(org, kind, key, values)
    _check_duplicates(org, call, kind, key, {**row, **values})
    trap = org.store.trap(key)
    if trap is not None:
        raise RecordError(*trap)

    def apply() -> Json:
        if kind.name == "Lead" and "OwnerId" not in values and _assigns(org, call):
            values["OwnerId"] = ROUND_ROBIN
        if not org.options.noop_moves_stamps and all(row.get(name) == new for name, new in values.items()):
            return {"id": key, "success": True, "errors": []}
        org.store.update(kind.name, key, values, "api")
        return {"id": key, "success": True, "errors": []}

    return apply


def plan_delete(org: Org, kind: ObjectType, id: str) -> Plan:
    """Judge a delete. Raises RecordError."""
    key, _ = _living(org, kind, id)

    def apply() -> Json:
        org.store.delete(kind.name, key, "api")
        return {"id": key, "success": True, "errors": []}

    return apply


def _living(org: Org, kind: ObjectType, id: str) -> tuple[str, Mapping[str, Json]]:
    key = full_id(id)
    if key is None:
        raise RecordError("MALFORMED_ID", f"malformed id {id}", ("Id",))
    if key[:3] != kind.prefix:
        raise RecordError("MALFORMED_ID", f"bad id {id}", ("Id",))
    row = org.store.tables[kind.name].rows.get(key)
    if row is None:
        raise RecordError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", http=404)
    if row.get("IsDeleted"):
        raise RecordError("ENTITY_IS_DELETED", "entity is deleted", http=404)
    return key, row


def _check_flags(org: Org, kind: ObjectType, given: Mapping[str, Json]) -> None:
    """A checkbox knows no blank: it becomes false, or the row is refused. Which, is documented nowhere."""
    flags = [name for name in given if (each := kind.find(name)) and each.type == "boolean"]
    wrong = [name for name in flags if given[name] is None]
    if wrong and not org.options.checkbox_takes_null:
        message = f"{wrong[0]}: value not of required type: null"
        raise RecordError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, tuple(wrong))


def _check_person(kind: ObjectType, row: Mapping[str, Json], values: Mapping[str, Json]) -> None:
    """A person account is one thing with two sides: neither its name nor what ties them is written on the wrong one."""
    fixed = {"Contact": ("AccountId",), "Account": ("Name", "ParentId")}.get(kind.name, ())
    wrong = [name for name in fixed if name in values] if row.get("IsPersonAccount") else []
    if wrong:
        message = f"bad field names on insert/update call: {', '.join(wrong)}"
        raise RecordError("INVALID_FIELD_FOR_INSERT_UPDATE", message, tuple(wrong))


def _check_references(org: Org, kind: ObjectType, values: Mapping[str, Json]) -> None:
    for name, value in values.items():
        each = kind.fields[name]
        if each.type != "reference" or value is None:
            continue
        found = org.world.find(value)
        if found is None or found[0] not in each.refers:
            raise RecordError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (name,))
        if found[1].get("IsDeleted"):
            raise RecordError("ENTITY_IS_DELETED", "entity is deleted", (name,))
        if name == "OwnerId" and found[0] == "User" and found[1].get("IsActive") is False:
            told = f"operation performed with inactive user [{value}] as owner of {kind.name.lower()}"
            raise RecordError("INACTIVE_OWNER_OR_USER", told, (name,))


def _check_unique(org: Org, kind: ObjectType, id: str, values: Mapping[str, Json]) -> None:
    for name, value in values.items():
        if value is None or not kind.fields[name].external_id:
            continue
        others = [other for other in matching(org, kind, name, str(value)) if other != id]
        if others:
            message = f"duplicate value found: {name} duplicates value on record with id: {others[0][:15]}"
            raise RecordError("DUPLICATE_VALUE", message, (name,))


def _check_duplicates(org: Org, call: Call, kind: ObjectType, id: str, values: Mapping[str, Json]) -> None:
    """An Alert rule blocks an API write of a Lead whose address another Lead has, unless `allowSave=true`."""
    if not org.options.duplicate_rule or kind.name != "Lead" or not values.get("Email"):
        return
    if call.flag("sforce-duplicate-rule-header", "allowSave"):
        return
    others = [other for other in matching(org, kind, "Email", values["Email"]) if other != id]
    if not others:
        return
    matches = [
        {"matchConfidence": 100.0, "record": {"attributes": {"type": "Lead"}, "Id": other}}
        for other in others
    ]
    result = {
        "allowSave": True,
        "duplicateRule": "Standard_Lead_Duplicate_Rule",
        "duplicateRuleEntityType": "Lead",
        "errorMessage": "Use one of these records?",
        "matchResults": [
            {
                "entityType": "Lead",
                "rule": "Standard_Lead_Match_Rule_v1_0",
                "success": True,
                "matchRecords": matches,
            }
        ],
    }
    raise RecordError("DUPLICATES_DETECTED", "Use one of these records?", more={"duplicateResult": result})


def _assigns(org: Org, call: Call) -> bool:
    """Assignment rules apply to every API write that does not say FALSE (REST guide, Sforce-Auto-Assign)."""
    return org.options.assignment_rule and call.headers.get("sforce-auto-assign", "").lower() != "false"
