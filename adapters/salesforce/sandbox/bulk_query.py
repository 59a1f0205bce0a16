"""Query jobs: what they refuse, what they find, and their results piece by piece, in no order."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any

from adapters.salesforce.sandbox.bulk_table import Table, cell, written
from adapters.salesforce.sandbox.evaluate import World, run, shape_rows
from adapters.salesforce.sandbox.org import Org
from adapters.salesforce.sandbox.schema import NAME_OBJECT, Field, ObjectType
from adapters.salesforce.sandbox.soql import And, Comparison, Condition, Path, Query, SoqlError, parse
from adapters.salesforce.sandbox.wire import Call, Refused, Reply

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.bulk import Job

Json = Any

PIECE_ROWS = 100_000  # without `maxRecords`
RESULT_PAGES = 5


def check(org: Org, job: Job) -> None:
    """Refuse what Bulk refuses: aggregates, sub-queries, OFFSET, FIELDS(), compound fields. Names the job's object."""
    if job.operation not in ("query", "queryAll"):
        raise Refused(400, "INVALIDJOB", f"Unknown operation {job.operation}")
    try:
        query = parse(job.query)
        found = run(job.query, org.world, job.version, everything=True)
    except SoqlError as wrong:
        raise Refused(400, "API_ERROR", f"{wrong.code}: {wrong.message}") from None
    if query.offset or not all(isinstance(each, Path) for each in query.select):
        raise Refused(400, "API_ERROR", "Aggregates, sub-queries and OFFSET are not supported in Bulk Query")
    job.object = found.object
    if any(_field(org.world, org.schema[found.object], path.parts)[1].parts for path in _paths(query)):
        raise Refused(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")


def work(org: Org, job: Job) -> None:
    """Find the rows as they stand now."""
    query = parse(job.query)
    slowest = org.options.bulk_slowest
    if slowest is not None and _stretch(org, query.where) > slowest.total_seconds():
        job.state, job.error = "Failed", "QUERY_TIMEOUT: Query processing time limit exceeded"
        return
    found = run(job.query, org.world, job.version, everything=job.operation == "queryAll")
    kind = org.schema[found.object]
    columns = [_field(org.world, kind, path.parts) for path in _paths(query)]
    ids = list(found.ids)
    Random(job.id).shuffle(ids)
    rows: list[tuple[str, ...]] = []
    if found.shape is not None:
        for record in shape_rows(ids, found.object, found.shape, org.world, job.version):
            cells = [cell(_at(record, name), each.type) for name, each in columns]
            if org.options.bulk_nuls:
                texts = ("string", "textarea")
                cells = [
                    f"{text[:1]}\0{text[1:]}" if text and each.type in texts else text
                    for text, (_, each) in zip(cells, columns, strict=True)
                ]
            rows.append(tuple(cells))
    job.tables["results"] = Table(tuple(name for name, _ in columns), rows)
    job.processed = len(rows)


def results(job: Job, call: Call) -> Reply:
    """`GET .../results?maxRecords=&locator=`."""
    start = _offset(call.query.get("locator", ""))
    asked = call.query.get("maxRecords", "")
    many = int(asked) if asked.isdigit() and int(asked) else PIECE_ROWS
    table = job.tables["results"]
    if start and start >= len(table.rows):
        raise Refused(400, "INVALIDJOB", "invalid locator")
    piece = table.rows[start : start + many]
    following = start + many
    headers = {
        "Sforce-NumberOfRecords": str(len(piece)),
        "Sforce-Locator": _locator(following) if following < len(table.rows) else "null",
    }
    return Reply(200, written(table, piece, job.form), headers)


def pages(job: Job, call: Call) -> Reply:
    """`GET .../resultPages` (from 58.0): where up to five pieces are, so that they can be fetched side by side."""
    if float(call.version) < 58:
        raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
    start = _offset(call.query.get("nextRecordsLocator", ""))
    rows = len(job.tables["results"].rows)
    base = f"/services/data/v{call.version}/jobs/query/{job.id}"
    starts = list(range(start, max(rows, 1), PIECE_ROWS))
    links = [
        {"resultLink": f"{base}/results?maxRecords={PIECE_ROWS}" + (f"&locator={_locator(at)}" if at else "")}
        for at in starts[:RESULT_PAGES]
    ]
    body: dict[str, Json] = {"resultPages": links, "done": len(starts) <= RESULT_PAGES}
    if not body["done"]:
        body["nextRecordsUrl"] = f"{base}/resultPages?nextRecordsLocator={_locator(starts[RESULT_PAGES])}"
    return Reply(200, body)


def _locator(offset: int) -> str:
    return base64.b64encode(str(offset).encode()).decode().rstrip("=")


def _offset(locator: str) -> int:
    if not locator:
        return 0
    try:
        return int(base64.b64decode(locator + "=" * (-len(locator) % 4)))
    except (ValueError, binascii.Error):
        raise Refused(400, "INVALIDJOB", "invalid locator") from None


def _paths(query: Query) -> list[Path]:
    return [each for each in query.select if isinstance(each, Path)]


def _field(world: World, kind: ObjectType, parts: tuple[str, ...]) -> tuple[str, Field]:
    """The column's name in the org's spelling, and its field. The names were checked before."""
    if len(parts) == 1:
        each = kind.find(parts[0])
        assert each is not None
        return each.name, each
    link = kind.by_relationship[parts[0].lower()]
    above = NAME_OBJECT if len(link.refers) > 1 else world.schema[link.refers[0]]
    name, each = _field(world, above, parts[1:])
    return f"{link.relationship}.{name}", each


def _at(record: Json, name: str) -> Json:
    for part in name.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


def _stretch(org: Org, where: Condition | None) -> float:
    """Seconds of SystemModstamp that the query goes over."""
    low, high = datetime(2000, 1, 1, tzinfo=org.store.clock.now().tzinfo), org.store.clock.now()
    terms = where.terms if isinstance(where, And) else (where,)
    for each in terms:
        if isinstance(each, Comparison) and each.path.parts == ("SystemModstamp",):
            moment = datetime.fromisoformat(str(each.values[0].value))
            low = max(low, moment) if each.op in (">", ">=") else low
            high = min(high, moment) if each.op in ("<", "<=") else high
    return (high - low).total_seconds()
