"""Batch upsert of the made-up HubSpot: update what a unique property finds, create the rest.

Two keys of one record refuse the whole batch, as an id given twice does; by e-mail, secondary addresses lead to the
same contact (developers.hubspot.com, "Batch upsert").
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox.api import Api, Endpoint
from adapters.hubspot.sandbox.inputs import bad_values, cleaned, inputs_of, resolve, traced, unique_or_refuse
from adapters.hubspot.sandbox.shapes import written
from adapters.hubspot.sandbox.wire import Refused, batch_reply, invalid


def batch_upsert(api: Api, request: Request, body: Any) -> Response:
    """The rules of trace ids are those of batch update; each result says whether it is new."""
    table = api.table(request)
    inputs = inputs_of(body)
    heeded = traced(api, [given.get("objectWriteTraceId") for given in inputs])
    found: dict[int, str] = {}
    results, errors = [], []
    ready = []
    for given in inputs:
        key, id = str(given.get("idProperty") or "hs_object_id"), str(given.get("id", ""))
        if key != "email":
            unique_or_refuse(table, key)
        row = resolve(table, id, key)
        if row is not None and row.id in found:
            raise invalid(f"Duplicate IDs found in batch input: [{row.id}]. IDs must be unique")
        if row is not None:
            found[row.id] = id
        values, bad = cleaned(table, {key: id, **(given.get("properties") or {})})
        if bad:
            errors.append(bad_values(bad, given.get("objectWriteTraceId") if heeded else None))
        else:
            ready.append((row, values))
    if errors and not heeded:
        raise Refused(400, errors[0])
    for row, values in ready:
        new = row is None
        if row is None:
            row = api.store.insert(table, values, "api")
        else:
            api.store.update(table, row, values, "api")
        results.append({**written(table, row, values), "new": new})
    dated_200 = request.path_params.get("version", "") >= "2026-09"
    return batch_reply(results, errors, api.store.now(), dated_200=dated_200)


ENDPOINTS = (
    Endpoint(
        "POST",
        ("/crm/v3/objects/{type}/batch/upsert", "/crm/objects/{version}/{type}/batch/upsert"),
        batch_upsert,
        "crm.objects.contacts.write",
    ),
)
