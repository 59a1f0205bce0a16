"""The resources that only read: describe, query, rows, limits, replication feeds. Changes no record."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.salesforce.sandbox import record_types
from adapters.salesforce.sandbox.evaluate import NOT_SHARED, Found, run, shape_fields, shape_rows
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.org import Org
from adapters.salesforce.sandbox.schema import ObjectType, describe, describe_briefly
from adapters.salesforce.sandbox.setup_objects import BY_QUERY
from adapters.salesforce.sandbox.soql import SoqlError, wire_time
from adapters.salesforce.sandbox.wire import NOT_FOUND, Call, Refused, Reply

Json = Any
PAGE_ROWS = 2000
LEAST_PAGE_ROWS = 200
MAX_RETRIEVE = 2000
_DELETED_DAYS = 15
_UPDATED_DAYS = 30
_DESCRIBE_SINCE = "Sun, 01 Nov 2026 00:00:00 GMT"


def kind_named(org: Org, name: str) -> ObjectType:
    """The object of a URL segment. Refuses with 404, as for any path that leads nowhere."""
    for kind in org.schema.values():
        if kind.name.lower() == name.lower():
            return kind
    raise NOT_FOUND


def describe_all(org: Org, call: Call) -> Reply:
    """`GET /sobjects`."""
    objects = [describe_briefly(kind, call.version) for kind in org.schema.values()]
    return Reply(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})


def describe_one(org: Org, call: Call, name: str, *, full: bool) -> Reply:
    """`GET /sobjects/{object}` and `.../describe`."""
    kind = kind_named(org, name)
    if full:
        document = {**describe(kind, call.version), "recordTypeInfos": record_types.infos(org, kind)}
        return Reply(200, document, {"Last-Modified": _DESCRIBE_SINCE})
    return Reply(200, {"objectDescribe": describe_briefly(kind, call.version), "recentItems": []})


def limits(org: Org) -> Reply:
    """`GET /limits`."""
    most = org.options.daily_limit
    whole = {"Max": most, "Remaining": max(most - len(org.used), 0)}
    names = {"DailyBulkApiBatches": 15_000, "DailyBulkV2QueryJobs": 10_000, "DataStorageMB": 10_240}
    return Reply(
        200,
        {"DailyApiRequests": whole, **{name: {"Max": n, "Remaining": n} for name, n in names.items()}},
    )


def record_count(org: Org, call: Call) -> Reply:
    """`GET /limits/recordCount?sObjects=Lead,Contact`; unknown names are left out."""
    asked = [name for name in call.query.get("sObjects", "").split(",") if name]
    names = [name for name in org.schema if not asked or name in asked]
    return Reply(
        200, {"sObjects": [{"count": len(org.store.tables[name].rows), "name": name} for name in names]}
    )


def query(org: Org, call: Call, *, everything: bool) -> Reply:
    """`GET /query?q=` and `/queryAll?q=`: the first page."""
    text = call.query.get("q", "")
    if any(name in text for name in BY_QUERY):
        for name in BY_QUERY:
            org.store.tables[name].fill(org.store.setup.rows(name))
    try:
        found = run(text, org.world, call.version, everything=everything)
    except SoqlError as wrong:
        raise Refused(400, wrong.code, wrong.message) from None
    if org.options.slow_from is not None and len(found.ids) > org.options.slow_from:
        raise Refused(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
    if found.aggregates is not None:
        records = [{"attributes": {"type": "AggregateResult"}, **each} for each in found.aggregates]
        return Reply(200, {"totalSize": len(records), "done": True, "records": records})
    rows = _page_rows(org, call)
    locator = org.open_cursor(found, rows) if len(found.ids) > rows else ""
    return _page(org, call, found, rows, 0, locator)


def query_more(org: Org, call: Call, locator: str) -> Reply:
    """`GET /query/{locator}-{offset}`: the pages after the first."""
    name, _, offset = locator.rpartition("-")
    cursor = org.cursor(name)
    if cursor is None or not offset.isdigit() or int(offset) >= len(cursor.found.ids):
        raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(org, call, cursor.found, cursor.rows, int(offset), name)


def _page_rows(org: Org, call: Call) -> int:
    asked = PAGE_ROWS
    for option in call.headers.get("sforce-query-options", "").split(";"):
        name, _, value = option.strip().partition("=")
        if name.lower() == "batchsize" and value.strip().isdigit():
            asked = min(max(int(value), LEAST_PAGE_ROWS), PAGE_ROWS)
    return min(asked, org.options.page_rows or PAGE_ROWS)


def _page(org: Org, call: Call, found: Found, rows: int, offset: int, locator: str) -> Reply:
    body: dict[str, Json] = {"totalSize": found.total, "done": offset + rows >= len(found.ids)}
    if not body["done"]:
        body["nextRecordsUrl"] = f"/services/data/v{call.version}/query/{locator}-{offset + rows}"
    ids = found.ids[offset : offset + rows]
    shape = found.shape
    body["records"] = shape_rows(ids, found.object, shape, org.world, call.version) if shape else []
    return Reply(200, body)


def row(org: Org, call: Call, name: str, id: str) -> Reply:
    """`GET /sobjects/{object}/{id}?fields=`."""
    kind = kind_named(org, name)
    key = full_id(id)
    found = org.store.tables[kind.name].rows.get(key or "")
    if found is None or NOT_SHARED in found:
        raise NOT_FOUND
    if found.get("IsDeleted"):
        raise Refused(404, "ENTITY_IS_DELETED", "entity is deleted")
    asked = [each for each in call.query.get("fields", "").split(",") if each] or list(kind.fields)
    (record,) = _shaped(org, call, kind, [found["Id"]], asked)
    return Reply(200, record)


def retrieve(org: Org, call: Call, name: str) -> Reply:
    """`GET` or `POST /composite/sobjects/{object}` with `ids` and `fields`: rows in order, null where there is none."""
    kind = kind_named(org, name)
    body = call.body if isinstance(call.body, dict) else {}
    ids = body.get("ids") or [each for each in call.query.get("ids", "").split(",") if each]
    fields = body.get("fields") or [each for each in call.query.get("fields", "").split(",") if each]
    if not isinstance(ids, list) or not isinstance(fields, list) or not ids or not fields:
        raise Refused(400, "REQUIRED_FIELD_MISSING", "Required parameters are missing: ids, fields")
    if len(ids) > MAX_RETRIEVE:
        message = f"record limit reached. cannot submit more than {MAX_RETRIEVE} records into this call."
        raise Refused(400, "EXCEEDED_ID_LIMIT", message)
    rows = org.store.tables[kind.name].rows
    keys = [full_id(str(id)) or "" for id in ids]
    wrong = [str(id) for id, key in zip(ids, keys, strict=True) if not key]
    if wrong:
        raise Refused(400, "MALFORMED_ID", f"malformed id {wrong[0]}")
    live = {
        key for key in keys if key in rows and not (rows[key].get("IsDeleted") or NOT_SHARED in rows[key])
    }
    ordered = sorted(live)
    records = dict(zip(ordered, _shaped(org, call, kind, ordered, fields), strict=True))
    return Reply(200, [records.get(key) for key in keys])


def _shaped(org: Org, call: Call, kind: ObjectType, ids: Iterable[str], fields: list[str]) -> list[Json]:
    names = list(dict.fromkeys([*fields, "Id"]))
    try:
        shape = shape_fields(kind, names, org.world, call.version)
    except SoqlError as wrong:
        raise Refused(400, wrong.code, wrong.message) from None
    return shape_rows(ids, kind.name, shape, org.world, call.version)


def deleted(org: Org, call: Call, name: str) -> Reply:
    """`GET /sobjects/{object}/deleted/`: soft and hard deletes of the last 15 days."""
    kind = kind_named(org, name)
    start, asked = _window(org, call, _DELETED_DAYS)
    end = org.store.covered_until(asked).replace(second=0)
    found = [
        {"id": id, "deletedDate": at}
        for at, id in org.store.tables[kind.name].deletions
        if wire_time(start) <= at < wire_time(end)
    ]
    earliest = org.store.clock.now().replace(microsecond=0) - timedelta(days=_DELETED_DAYS)
    return Reply(
        200,
        {
            "deletedRecords": found,
            "earliestDateAvailable": wire_time(earliest),
            "latestDateCovered": wire_time(end),
        },
    )


def updated(org: Org, call: Call, name: str) -> Reply:
    """`GET /sobjects/{object}/updated/`: ids of living rows that changed, and until when that is complete."""
    kind = kind_named(org, name)
    start, asked = _window(org, call, _UPDATED_DAYS)
    end = org.store.covered_until(asked)
    table = org.store.tables[kind.name]
    last = wire_time(end - timedelta(seconds=1))
    ids = [id for id in table.by_stamp(wire_time(start), last) if not table.rows[id].get("IsDeleted")]
    return Reply(200, {"ids": ids, "latestDateCovered": wire_time(end)})


def _window(org: Org, call: Call, days: int) -> tuple[datetime, datetime]:
    """Seconds are cut off, as Salesforce does; more than a minute, not too long ago, not beyond now."""
    try:
        bounds = [datetime.fromisoformat(call.query[name].replace(" ", "+")) for name in ("start", "end")]
    except (KeyError, ValueError):
        raise Refused(400, "INVALID_REPLICATION_DATE", "start and end must be ISO 8601 date times") from None
    start, end = (
        (each if each.tzinfo else each.replace(tzinfo=UTC)).replace(second=0, microsecond=0)
        for each in bounds
    )
    now = org.store.clock.now()
    if end - start < timedelta(minutes=1):
        raise Refused(400, "INVALID_REPLICATION_DATE", "startDate must be at least one minute before endDate")
    if start < now - timedelta(days=days):
        raise Refused(
            400, "INVALID_REPLICATION_DATE", f"startDate before org replication enabled date, {days} days"
        )
    return start, min(end, now.replace(second=0, microsecond=0))
