"""The record endpoints of the made-up HubSpot: list, read, search, write, merge, erase. Rules of records are
in store.

Batch rules as met in the field: with a unique `objectWriteTraceId` on every input one bad record fails alone,
without it the whole batch is refused; ids that were merged away are left out of the results without a word.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint, flag, names, whole
from adapters.hubspot.sandbox.inputs import (
    address_taken_by,
    against_rules,
    associated,
    bad_values,
    batch_answer,
    cleaned,
    conflict_error,
    gone_error,
    inputs_of,
    not_found,
    refuse_blocked,
    refuse_twice,
    resolve,
    stages_backward,
    survivor_id,
    traced,
    unique_or_refuse,
)
from adapters.hubspot.sandbox.shapes import record_of, written
from adapters.hubspot.sandbox.table import Row
from adapters.hubspot.sandbox.wire import Refused, batch_reply, invalid
from connector.sandbox.control import json_response

MOST_ON_PAGE = 100
MOST_WITH_HISTORY = 50
MOST_MERGES = 250


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
    shown = [record_of(api, table, row, asked, histories, associations) for row in rows]
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
        raise not_found()
    asked, histories = names(request, "properties"), names(request, "propertiesWithHistory")
    return json_response(record_of(api, table, row, asked, histories, names(request, "associations")))


def batch_read(api: Api, request: Request, body: Any) -> Response:
    """What exists comes back, in no promised order; what does not is one error entry in a 207."""
    table = api.table(request)
    inputs = inputs_of(body)
    archived = flag(request, "archived")
    asked, histories = body.get("properties") or [], body.get("propertiesWithHistory") or []
    if histories and len(inputs) > MOST_WITH_HISTORY:
        raise invalid(
            f"At most {MOST_WITH_HISTORY} records can be read with their history, was {len(inputs)}."
        )
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
    results = [record_of(api, table, row, asked, histories, ()) for row in rows]
    return batch_answer(api, request, results, [gone_error(table, missing)] if missing else [])


def batch_update(api: Api, request: Request, body: Any) -> Response:
    """Partial updates by record id."""
    table = api.table(request)
    if "inputs" not in body:  # a body without the wrapper is a silent no-op
        return batch_answer(api, request, [], [])
    inputs = inputs_of(body)
    for given in inputs:
        if given.get("idProperty"):
            unique_or_refuse(table, str(given["idProperty"]))
    traces = [given.get("objectWriteTraceId") for given in inputs]
    heeded = traced(api, traces)
    refuse_twice([str(given.get("id")) for given in inputs])
    resolved = api.store.habits.merged_in_batches == "resolved"
    if resolved:
        refuse_twice([survivor_id(table, given) for given in inputs])

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
        bad += stages_backward(api, row, values) + against_rules(api, values)
        taken = address_taken_by(table, row, values)
        if bad:
            errors.append(bad_values(bad, trace if heeded else None))
        elif taken is not None:
            errors.append(conflict_error(taken, trace))
        else:
            ready.append((row, values))
    if errors and not heeded:
        merged: list[Any] = [entry for error in errors for entry in error.get("errors", ())]
        raise Refused(400, {**errors[0], **({"errors": merged} if merged else {})})
    for row, values in ready:
        api.store.update(table, row, values, "api")
    if missing:
        gone = gone_error(table, [id for id, _ in missing])
        known = [trace for _, trace in missing if trace]
        if known:
            gone["context"]["objectWriteTraceId"] = known
        errors.append(gone)
    results = [written(table, row, values) for row, values in sorted(ready, key=lambda pair: -pair[0].id)]
    return batch_answer(api, request, results, errors)


def update_record(api: Api, request: Request, body: Any) -> Response:
    """One partial update. Ids that were merged away work here."""
    table = api.table(request)
    by = request.query_params.get("idProperty")
    if by:
        unique_or_refuse(table, by)
    row = resolve(table, request.path_params["id"], by)
    if row is None or row.archived_at is not None:
        raise not_found()
    row = table.survivor(row)
    values, bad = cleaned(table, body.get("properties"))
    bad += stages_backward(api, row, values) + against_rules(api, values)
    if bad:
        raise Refused(400, bad_values(bad, None))
    taken = address_taken_by(table, row, values)
    if taken is not None:
        raise Refused(409, conflict_error(taken, None))
    api.store.update(table, row, values, "api")
    return json_response(written(table, row, values))


def create_record(api: Api, request: Request, body: Any) -> Response:
    """One new record, with what it is associated with; an address that a contact has is a 409."""
    table = api.table(request)
    values, bad = cleaned(table, body.get("properties"))
    if bad:
        raise Refused(400, bad_values(bad, None))
    taken = address_taken_by(table, None, values)
    if taken is not None:
        raise Refused(409, conflict_error(taken, None))
    refuse_blocked(api, values)
    others = associated(api, table.name, body.get("associations"))
    row = api.store.insert(table, values, "api")
    for kind, id in others:
        api.store.link(table.name, row.id, kind, id)
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
        taken = address_taken_by(table, None, values)
        if bad:
            errors.append((400, bad_values(bad, trace if heeded else None)))
        elif taken is not None or values.get("email", "") in here:
            errors.append((409, conflict_error(taken, trace)))
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
            raise not_found()
        found.append(row)
    primary, other = found
    if primary is other:
        raise invalid("Objects to merge must be different.")
    if any(len(row.values.get("hs_merged_object_ids", "").split(";")) >= MOST_MERGES for row in found):
        raise invalid(f"A record may take part in {MOST_MERGES} merges at most.")
    survivor = api.store.merge(table, primary, other, "api")
    return json_response(record_of(api, table, survivor, (), (), ()))


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
        "results": [record_of(api, table, row, asked, (), ()) for row in found.rows],
    }
    if found.after is not None:
        answer["paging"] = {"next": {"after": str(found.after)}}
    return json_response(answer)


def _reading(api: Api, request: Request) -> str:
    return _scope(api, request, "read")


def _writing(api: Api, request: Request) -> str:
    return _scope(api, request, "write")


def _scope(api: Api, request: Request, verb: str) -> str:
    name = api.table(request).name
    return f"crm.objects.{name if name in ('companies', 'deals') else 'contacts'}.{verb}"


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
