"""The record endpoints of the made-up HubSpot: list, read, search, write, merge, erase. Rules of records are
in store.

Batch rules as met in the field: with a unique `objectWriteTraceId` on every input one bad record fails alone,
without it the whole batch is refused; ids that were merged away are left out of the results without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint, flag, names, whole
from adapters.hubspot.sandbox.schema import BadValue, clean
from adapters.hubspot.sandbox.store import PRIMARY_COMPANY, TYPE_IDS
from adapters.hubspot.sandbox.table import Row, Table
from adapters.hubspot.sandbox.wire import Refused, batch_reply, error_body, invalid, iso, problem
from connector.sandbox.control import json_response

MOST_IN_BATCH = 100
MOST_ON_PAGE = 100
MOST_WITH_HISTORY = 50
MOST_MERGES = 250
DEFAULTS = {
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
}
ACTIVITY_DEFAULTS = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")


def list_records(api: Api, request: Request, body: Any) -> Response:
    """Ascending by id, from the strong store: no lag."""
    table = api.table(request)
    limit = whole(request, "limit", 10)
    histories = names(request, "propertiesWithHistory")
    most = MOST_WITH_HISTORY if histories else MOST_ON_PAGE
    if limit > most or limit < 1:
        raise invalid(f"limit must be between 1 and {most}, was {limit}")
    rows, following = table.page(whole(request, "after", 0), limit, archived=flag(request, "archived"))
    asked = names(request, "properties")
    associations = names(request, "associations")
    shown = [_shown(api, table, row, asked, histories, associations) for row in rows]
    answer: dict[str, Any] = {"results": shown}
    if following is not None:
        link = f"{request.url.path}?limit={limit}&after={following}"
        answer["paging"] = {"next": {"after": str(following), "link": link}}
    return json_response(answer)


def read_record(api: Api, request: Request, body: Any) -> Response:
    """By id or by a unique property. The id of a record that was merged away leads to the survivor."""
    table = api.table(request)
    row = resolve(table, request.path_params["id"], request.query_params.get("idProperty"))
    if row is not None:
        row = table.survivor(row)
    if row is None or (row.archived_at is not None) != flag(request, "archived"):
        raise _not_found()
    asked, histories = names(request, "properties"), names(request, "propertiesWithHistory")
    return json_response(_shown(api, table, row, asked, histories, names(request, "associations")))


def batch_read(api: Api, request: Request, body: Any) -> Response:
    """What exists comes back, in no promised order; what does not is one error entry in a 207."""
    table = api.table(request)
    inputs = inputs_of(body)
    archived = flag(request, "archived")
    asked, histories = body.get("properties") or [], body.get("propertiesWithHistory") or []
    missing: list[str] = []
    found: dict[int, Row] = {}
    for given in inputs:
        id = str(given.get("id"))
        row = resolve(table, id, body.get("idProperty"))
        if row is not None and row.merged_into is not None and api.store.merged_read == "silent":
            continue
        if row is None or row.merged_into is not None or (row.archived_at is not None) != archived:
            missing.append(id)
        else:
            found[row.id] = row
    rows = [found[id] for id in sorted(found, reverse=True)]
    results = [_shown(api, table, row, asked, histories, ()) for row in rows]
    return _batch(api, request, results, [_gone(table, missing)] if missing else [])


def batch_update(api: Api, request: Request, body: Any) -> Response:
    """Partial updates by record id."""
    table = api.table(request)
    if "inputs" not in body:  # a body without the wrapper is a silent no-op
        return _batch(api, request, [], [])
    inputs = inputs_of(body)
    for given in inputs:
        if given.get("idProperty"):
            unique_or_refuse(table, str(given["idProperty"]))
    traces = [given.get("objectWriteTraceId") for given in inputs]
    heeded = traced(api, traces)
    _refuse_twice([str(given.get("id")) for given in inputs])
    resolved = api.store.habits.merged_in_batches == "resolved"
    if resolved:
        _refuse_twice([_survivor_id(table, given) for given in inputs])

    errors: list[dict[str, Any]] = []
    missing: list[tuple[str, str | None]] = []
    ready: list[tuple[Row, dict[str, str]]] = []
    for given in inputs:
        trace = given.get("objectWriteTraceId")
        row = resolve(table, str(given.get("id")), given.get("idProperty"))
        if row is None or row.archived_at is not None:
            missing.append((str(given.get("id")), trace))
            continue
        if row.merged_into is not None and not resolved:
            continue
        row = table.survivor(row)
        values, bad = cleaned(table, given.get("properties"))
        bad += _backward(api, row, values)
        taken = _taken(table, row, values)
        if bad:
            errors.append(bad_values(bad, trace if heeded else None))
        elif taken is not None:
            errors.append(_conflict(taken, trace))
        else:
            ready.append((row, values))
    if errors and not heeded:
        merged: list[Any] = [entry for error in errors for entry in error.get("errors", ())]
        raise Refused(400, {**errors[0], **({"errors": merged} if merged else {})})
    for row, values in ready:
        api.store.update(table, row, values, "api")
    if missing:
        gone = _gone(table, [id for id, _ in missing])
        known = [trace for _, trace in missing if trace]
        if known:
            gone["context"]["objectWriteTraceId"] = known
        errors.append(gone)
    results = [written(table, row, values) for row, values in sorted(ready, key=lambda pair: -pair[0].id)]
    return _batch(api, request, results, errors)


def update_record(api: Api, request: Request, body: Any) -> Response:
    """One partial update. Ids that were merged away work here."""
    table = api.table(request)
    by = request.query_params.get("idProperty")
    if by:
        unique_or_refuse(table, by)
    row = resolve(table, request.path_params["id"], by)
    if row is None or row.archived_at is not None:
        raise _not_found()
    row = table.survivor(row)
    values, bad = cleaned(table, body.get("properties"))
    bad += _backward(api, row, values)
    if bad:
        raise Refused(400, bad_values(bad, None))
    taken = _taken(table, row, values)
    if taken is not None:
        raise Refused(409, _conflict(taken, None))
    api.store.update(table, row, values, "api")
    return json_response(written(table, row, values))


def create_record(api: Api, request: Request, body: Any) -> Response:
    """One new record; an address that a contact has is a 409."""
    table = api.table(request)
    values, bad = cleaned(table, body.get("properties"))
    if bad:
        raise Refused(400, bad_values(bad, None))
    taken = _taken(table, None, values)
    if taken is not None:
        raise Refused(409, _conflict(taken, None))
    _refuse_blocked(api, values)
    row = api.store.insert(table, values, "api")
    return json_response(written(table, row, values), 201)


def batch_create(api: Api, request: Request, body: Any) -> Response:
    """New records; the rules of trace ids are those of batch update."""
    table = api.table(request)
    inputs = inputs_of(body)
    traces = [given.get("objectWriteTraceId") for given in inputs]
    heeded = traced(api, traces)
    errors: list[tuple[int, dict[str, Any]]] = []
    ready: list[dict[str, str]] = []
    here: set[str] = set()
    for given in inputs:
        values, bad = cleaned(table, given.get("properties"))
        trace = given.get("objectWriteTraceId")
        taken = _taken(table, None, values)
        if bad:
            errors.append((400, bad_values(bad, trace if heeded else None)))
        elif taken is not None or values.get("email", "") in here:
            errors.append((409, _conflict(taken, trace)))
        else:
            here.update(filter(None, [values.get("email", "")]))
            ready.append(values)
    if errors and not heeded:
        raise Refused(*errors[0])
    results = [written(table, api.store.insert(table, values, "api"), values) for values in ready]
    bodies = [error for _, error in errors]
    dated_200 = request.path_params.get("version", "") >= "2026-09"
    return batch_reply(results, bodies, api.store.now(), dated_200=dated_200, created=True)


def archive_record(api: Api, request: Request, body: Any) -> Response:
    """204 whether or not it existed."""
    table = api.table(request)
    row = table.get(request.path_params["id"])
    if row is not None:
        table.archive(row, api.store.now())
    return Response(status_code=204)


def batch_archive(api: Api, request: Request, body: Any) -> Response:
    """204 whether or not they existed."""
    table = api.table(request)
    for given in inputs_of(body):
        row = table.get(str(given.get("id")))
        if row is not None:
            table.archive(row, api.store.now())
    return Response(status_code=204)


def merge_records(api: Api, request: Request, body: Any) -> Response:
    """Two become one; the answer is the survivor."""
    table = api.table(request)
    found = []
    for key in ("primaryObjectId", "objectIdToMerge"):
        row = table.get(str(body.get(key)))
        row = table.survivor(row) if row is not None else None
        if row is None or not row.live:
            raise _not_found()
        found.append(row)
    primary, other = found
    if primary is other:
        raise invalid("Objects to merge must be different.")
    if any(len(row.values.get("hs_merged_object_ids", "").split(";")) >= MOST_MERGES for row in found):
        raise invalid(f"A record may take part in {MOST_MERGES} merges at most.")
    survivor = api.store.merge(table, primary, other, "api")
    return json_response(_shown(api, table, survivor, (), (), ()))


def gdpr_delete(api: Api, request: Request, body: Any) -> Response:
    """Erased for good; an unknown address is blocked from now on."""
    table = api.table(request)
    id, by = str(body.get("objectId", "")), body.get("idProperty")
    row = resolve(table, id, by)
    if row is not None:
        api.store.erase(table, table.survivor(row))
    elif by == "email":
        api.store.blocked.add(id.strip().lower())
    return Response(status_code=204)


def search_records(api: Api, request: Request, body: Any) -> Response:
    """Filters see the index, which trails the writes; the values shown are current."""
    table = api.table(request)
    found = api.search.find(table, body, request.state.size, api.store.now())
    asked = body.get("properties") or []
    answer: dict[str, Any] = {
        "total": found.total,
        "results": [_shown(api, table, row, asked, (), ()) for row in found.rows],
    }
    if found.after is not None:
        answer["paging"] = {"next": {"after": str(found.after)}}
    return json_response(answer)


def _reading(api: Api, request: Request) -> str:
    return _scope(api, request, "read")


def _writing(api: Api, request: Request) -> str:
    return _scope(api, request, "write")


def _scope(api: Api, request: Request, verb: str) -> str:
    kind = "companies" if api.table(request).name == "companies" else "contacts"
    return f"crm.objects.{kind}.{verb}"


def _both(rest: str) -> tuple[str, ...]:
    return ("/crm/v3/objects/{type}" + rest, "/crm/objects/{version}/{type}" + rest)


ENDPOINTS = (
    Endpoint("GET", _both(""), list_records, _reading),
    Endpoint("POST", _both(""), create_record, _writing),
    Endpoint("POST", _both("/search"), search_records, _reading, "search"),
    Endpoint("POST", _both("/merge"), merge_records, _writing),
    Endpoint("POST", _both("/gdpr-delete"), gdpr_delete, _writing),
    Endpoint("POST", _both("/batch/read"), batch_read, _reading),
    Endpoint("POST", _both("/batch/update"), batch_update, _writing),
    Endpoint("POST", _both("/batch/create"), batch_create, _writing),
    Endpoint("POST", _both("/batch/archive"), batch_archive, _writing),
    Endpoint("GET", _both("/{id}"), read_record, _reading),
    Endpoint("PATCH", _both("/{id}"), update_record, _writing),
    Endpoint("DELETE", _both("/{id}"), archive_record, _writing),
)


# ------------------------------------------------------------------------------------------------ shapes on
# the wire


def _shown(
    api: Api,
    table: Table,
    row: Row,
    asked: Iterable[str],
    histories: Iterable[str],
    associations: Iterable[str],
) -> dict[str, Any]:
    values = row.values
    wanted = list(asked)
    if wanted:
        # Names that do not exist are dropped without a word; these three always come along.
        always = ("hs_object_id", table.created_property, table.updated_property)
        shown = {name: values.get(name) for name in (*wanted, *always) if name in table.properties}
    else:
        shown = {name: values.get(name) for name in DEFAULTS.get(table.name, ACTIVITY_DEFAULTS)}
    record = _envelope(table, row, shown)
    history = list(histories)
    if history:
        record["propertiesWithHistory"] = {
            name: _versions(row, name) for name in history if name in table.properties
        }
    linked = {name: _linked(api, table, row, name) for name in associations}
    if any(linked.values()):
        record["associations"] = {name: {"results": found} for name, found in linked.items() if found}
    return record


def _envelope(table: Table, row: Row, properties: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": str(row.id),
        "properties": properties,
        "createdAt": row.values[table.created_property],
        "updatedAt": row.values[table.updated_property],
        "archived": row.archived_at is not None,
    }
    if row.archived_at is not None:
        record["archivedAt"] = iso(row.archived_at)
    return record


def written(table: Table, row: Row, values: Mapping[str, str]) -> dict[str, Any]:
    """A write reply: what was sent plus the defaults. Calculated times come as epoch milliseconds here."""
    names = (*values, "hs_object_id", table.created_property, table.updated_property)
    shown: dict[str, Any] = {name: row.values.get(name) for name in names}
    if "email" in row.values:
        shown["email"] = row.values["email"]
    stage = row.values.get("lifecyclestage")
    if "lifecyclestage" in values and stage and table.name == "contacts":
        entered = _epoch(row, stage)
        if entered:
            shown[f"hs_lifecyclestage_{stage}_date"] = entered
    return _envelope(table, row, shown)


def _epoch(row: Row, stage: str) -> str:
    versions = row.history.get("lifecyclestage") or ()
    return next((str(version.at) for version in versions if version.value == stage), "")


def _versions(row: Row, name: str) -> list[dict[str, Any]]:
    versions = row.history.get(name)
    if versions:
        return [
            {
                "value": version.value,
                "timestamp": iso(version.at),
                "sourceType": version.source,
                "sourceId": version.source_id,
            }
            for version in versions
        ]
    value = row.values.get(name)
    if value is None:
        return []
    return [
        {"value": value, "timestamp": iso(row.created), "sourceType": "IMPORT", "sourceId": "first-import"}
    ]


def _linked(api: Api, table: Table, row: Row, name: str) -> list[dict[str, str]]:
    """The same id comes once per label: clients must fold them."""
    other = api.store.table(name)
    if other is None:
        raise invalid(f"Unable to infer object type from: {name}")
    label = f"{table.singular}_to_{other.singular}"
    found = []
    for id in api.store.linked(table.name, row.id, other.name):
        found.append({"id": str(id), "type": label})
        if "companies" in (table.name, other.name):
            found.append({"id": str(id), "type": f"{label}_unlabeled"})
    return found


def association_types(table: str, other: str) -> list[dict[str, Any]]:
    """The labels of a link, as associations v4 tells them."""
    types = [{"category": "HUBSPOT_DEFINED", "typeId": TYPE_IDS.get((table, other), 449), "label": None}]
    if (table, other) == ("contacts", "companies"):
        types.insert(0, {"category": "HUBSPOT_DEFINED", "typeId": PRIMARY_COMPANY, "label": "Primary"})
    return types


# ------------------------------------------------------------------------------------------------ checking
# what came


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


def _survivor_id(table: Table, given: Mapping[str, Any]) -> str:
    row = resolve(table, str(given.get("id")), given.get("idProperty"))
    return str(table.survivor(row).id) if row is not None else str(given.get("id"))


def _backward(api: Api, row: Row, values: Mapping[str, str]) -> list[BadValue]:
    stage = values.get("lifecyclestage", "")
    if api.store.habits.lifecycle_backward != "error" or not api.store.goes_back(row, stage):
        return []
    told = f"The lifecycle stage cannot be moved backward to {stage}."
    return [BadValue("lifecyclestage", "INVALID_LIFECYCLE_STAGE", told)]


def _refuse_twice(ids: list[str]) -> None:
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


def _taken(table: Table, row: Row | None, values: Mapping[str, str]) -> int | None:
    """The id of another contact that has this address already."""
    email = values.get("email")
    holder = table.emails.get(email) if email and table.name == "contacts" else None
    return holder if holder is not None and (row is None or holder != row.id) else None


def _refuse_blocked(api: Api, values: Mapping[str, str]) -> None:
    if values.get("email") in api.store.blocked:
        raise invalid("This contact was permanently deleted and cannot be added again.")


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


def _conflict(existing: int | None, trace: str | None) -> dict[str, Any]:
    context: dict[str, Any] = {"existingId": [str(existing)]} if existing is not None else {}
    if trace:
        context["objectWriteTraceId"] = [trace]
    message = f"Contact already exists. Existing ID: {existing}"
    return error_body("CONFLICT", message, **({"context": context} if trace else {}))


def _gone(table: Table, ids: list[str]) -> dict[str, Any]:
    kind = table.singular.upper()
    return error_body(
        "OBJECT_NOT_FOUND",
        f"Could not get some {kind} objects, they may be deleted or not exist. Check that ids are valid.",
        context={"ids": ids},
    )


def _not_found() -> Refused:
    return problem(404, "OBJECT_NOT_FOUND", "resource not found")


def _batch(api: Api, request: Request, results: list[Any], errors: list[Any]) -> Response:
    dated_200 = request.path_params.get("version", "") >= "2026-09"
    return batch_reply(results, errors, api.store.now(), dated_200=dated_200)
