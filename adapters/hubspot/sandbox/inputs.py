"""What of a body is taken, and how the rest is refused: inputs of batches, trace ids, values, ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api
from adapters.hubspot.sandbox.schema import BadValue, clean
from adapters.hubspot.sandbox.store import TYPE_IDS
from adapters.hubspot.sandbox.table import Row, Table
from adapters.hubspot.sandbox.wire import Refused, batch_reply, error_body, invalid, problem

MOST_IN_BATCH = 100


def inputs_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    inputs = body.get("inputs", [])
    if not isinstance(inputs, list) or any(not isinstance(given, dict) for given in inputs):
        raise invalid("Invalid input JSON: inputs must be a list of objects.")
    if len(inputs) > MOST_IN_BATCH:
        raise invalid(f"The maximum number of inputs in a batch is {MOST_IN_BATCH}, was {len(inputs)}.")
    return inputs


def traced(api: Api, traces: list[Any]) -> bool:
    """Whether each record fails alone: every input has a trace id of its own, and the account heeds them."""
    return api.store.habits.trace_ids and bool(traces) and all(traces) and len(set(traces)) == len(traces)


def survivor_id(table: Table, given: Mapping[str, Any]) -> str:
    row = resolve(table, str(given.get("id")), given.get("idProperty"))
    return str(table.survivor(row).id) if row is not None else str(given.get("id"))


def stages_backward(api: Api, row: Row, values: Mapping[str, str]) -> list[BadValue]:
    stage = values.get("lifecyclestage", "")
    if api.store.habits.lifecycle_backward != "error" or not api.store.goes_back(row, stage):
        return []
    told = f"The lifecycle stage cannot be moved backward to {stage}."
    return [BadValue("lifecyclestage", "INVALID_LIFECYCLE_STAGE", told)]


def against_rules(api: Api, values: Mapping[str, str]) -> list[BadValue]:
    """What an admin's validation rules forbid."""
    required = api.store.habits.required
    if not required or values.get(required) != "":
        return []
    return [BadValue(required, "REQUIRED_PROPERTY", f"{required} must have a value in this account.")]


def refuse_twice(ids: list[str]) -> None:
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise invalid(
                f"Duplicate IDs found in batch input: [{id}]. IDs must be unique", context={"ids": [id]}
            )
        seen.add(id)


def resolve(table: Table, id: str, by: str | None) -> Row | None:
    if not by or by == "hs_object_id":
        return table.get(id)
    if by == "email" and table.name == "contacts":
        found = table.emails.get(id.strip().lower())
        return table.rows[found] if found is not None else None
    unique_or_refuse(table, by)
    return next((row for row in table.rows.values() if row.live and row.values.get(by) == id), None)


def unique_or_refuse(table: Table, name: str) -> None:
    definition = table.properties.get(name)
    if definition is None or not definition.unique:
        kind = {"contacts": "0-1", "companies": "0-2"}.get(table.name, table.name)
        raise invalid(f"Unable to perform update/upsert by non-unique {kind} property: {name}")


def cleaned(table: Table, properties: Any) -> tuple[dict[str, str], list[BadValue]]:
    values: dict[str, str] = {}
    bad: list[BadValue] = []
    for name, given in (properties or {}).items():
        if given is None:  # null is no value: only "" clears
            continue
        text = str(given) if not isinstance(given, bool) else str(given).lower()
        found = clean(table.properties.get(name), name, text.removeprefix(";") if text[:1] == ";" else given)
        if isinstance(found, BadValue):
            bad.append(found)
        else:
            values[name] = f";{found}" if text[:1] == ";" else found
    return values, bad


def address_taken_by(table: Table, row: Row | None, values: Mapping[str, str]) -> int | None:
    """The id of another contact that has this address already."""
    email = values.get("email")
    holder = table.emails.get(email) if email and table.name == "contacts" else None
    return holder if holder is not None and (row is None or holder != row.id) else None


def refuse_blocked(api: Api, values: Mapping[str, str]) -> None:
    if values.get("email") in api.store.blocked:
        raise invalid("This contact was permanently deleted and cannot be added again.")


def associated(api: Api, kind: str, given: Any) -> list[tuple[str, int]]:
    """What a new record is to be linked to, by HubSpot's own association types."""
    kinds = {number: to for (of, to), number in TYPE_IDS.items() if of == kind}
    found = []
    for each in given or ():
        for type_ in each.get("types") or ():
            to = kinds.get(type_.get("associationTypeId"))
            if to is None or type_.get("associationCategory") != "HUBSPOT_DEFINED":
                raise invalid(f"No association type {type_.get('associationTypeId')} from {kind}.")
            table = api.store.table(to)
            other = resolve(table, str(each["to"]["id"]), None) if table is not None else None
            if other is None or other.archived_at is not None:
                raise invalid(f"{to} {each['to']['id']} could not be found for association.")
            found.append((to, other.id))
    return found


def bad_values(bad: list[BadValue], trace: str | None) -> dict[str, Any]:
    told = [
        {"isValid": False, "message": entry.message, "error": entry.code, "name": entry.name} for entry in bad
    ]
    context = {"objectWriteTraceId": [trace]} if trace else {}
    return error_body(
        "VALIDATION_ERROR",
        f"Property values were not valid: {orjson.dumps(told).decode()}",
        errors=[
            {"message": entry.message, "code": entry.code, "context": {"propertyName": [entry.name]}}
            for entry in bad
        ],
        **({"context": context} if context else {}),
    )


def conflict_error(existing: int | None, trace: str | None) -> dict[str, Any]:
    context: dict[str, Any] = {"existingId": [str(existing)]} if existing is not None else {}
    if trace:
        context["objectWriteTraceId"] = [trace]
    message = f"Contact already exists. Existing ID: {existing}"
    return error_body("CONFLICT", message, **({"context": context} if trace else {}))


def gone_error(table: Table, ids: list[str]) -> dict[str, Any]:
    kind = table.singular.upper()
    return error_body(
        "OBJECT_NOT_FOUND",
        f"Could not get some {kind} objects, they may be deleted or not exist. Check that ids are valid.",
        context={"ids": ids},
    )


def not_found() -> Refused:
    return problem(404, "OBJECT_NOT_FOUND", "resource not found")


def batch_answer(api: Api, request: Request, results: list[Any], errors: list[Any]) -> Response:
    dated_200 = request.path_params.get("version", "") >= "2026-09"
    return batch_reply(results, errors, api.store.now(), dated_200=dated_200)
