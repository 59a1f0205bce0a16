"""Ingest jobs: an upload, written row by row through the same checks as any other write, and three result files.

Rows go in inner batches that run side by side, so that two with children of one account collide. What was written
before a job fails stays written.
"""

from __future__ import annotations

import csv
import io
from random import Random
from typing import TYPE_CHECKING, Any

from adapters.salesforce.sandbox import writing
from adapters.salesforce.sandbox.bulk_table import Table, values, written
from adapters.salesforce.sandbox.checks import RecordError
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.org import Org
from adapters.salesforce.sandbox.schema import ObjectType
from adapters.salesforce.sandbox.wire import Call, Refused, Reply

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.bulk import Job

Json = Any

MOST_BYTES = 112_500_000  # 150 MB once it is encoded
_FILES = ("successfulResults", "failedResults", "unprocessedrecords")
_LOCKED = "unable to obtain exclusive access to this record or 1 records"


def check(org: Org, job: Job) -> None:
    """Refuse an unknown object or operation."""
    if job.operation not in ("insert", "update", "upsert", "delete"):
        raise Refused(400, "INVALIDJOB", f"Unknown operation {job.operation}")
    if (job.operation == "upsert") != bool(job.external_key):
        raise Refused(400, "INVALIDJOB", "externalIdFieldName is needed for upsert, and only there")
    kind = next((each for each in org.schema.values() if each.name.lower() == job.object.lower()), None)
    if kind is None:
        raise Refused(400, "INVALIDENTITY", f"Entity '{job.object}' is not supported by the Bulk API.")
    job.object = kind.name


def upload(job: Job, call: Call) -> Reply:
    """`PUT .../batches`: once."""
    if job.state != "Open" or job.upload is not None:
        raise Refused(400, "INVALIDJOBSTATE", "Data was uploaded already, or the job is not open")
    if not isinstance(call.body, bytes) or not call.body:
        raise Refused(400, "INVALIDJOB", "The body must be CSV, and its content type text/csv")
    if len(call.body) > MOST_BYTES:
        raise Refused(413, "REQUEST_ENTITY_TOO_LARGE", "The file is too large")
    job.upload = call.body
    return Reply(201, b"")


def file_named(name: str) -> str | None:
    """Which result file a path's last part means, in whatever case."""
    return next((each for each in _FILES if each.lower() == name.lower()), None)


def results(job: Job, name: str) -> Reply:
    """`GET .../successfulResults` and its two siblings. In no order."""
    table = job.tables.get(name) or Table((), [])
    rows = list(table.rows)
    Random(job.id).shuffle(rows)
    return Reply(200, written(table, rows, job.form))


def end(job: Job) -> None:
    """An aborted job did nothing of what was uploaded."""
    columns, rows = _rows(job)
    _tables(job, columns, [], [], rows)


def work(org: Org, job: Job) -> None:
    """Write the upload."""
    columns, rows = _rows(job)
    kind = org.schema[job.object]
    fault = _fault(job, kind, columns)
    if fault:
        job.state, job.error = "Failed", fault
        _tables(job, columns, [], [], rows)
        return
    stop = len(rows)
    failures = sum(each.kind == "ingest" and each.state == "Failed" for each in org.store.jobs.values())
    if failures < org.options.bulk_failures:
        stop = min(org.options.bulk_fails_after, stop)
        job.state, job.error = "Failed", "InternalServerError: unable to finish processing the job"
    done: list[tuple[str, ...]] = []
    refused: list[tuple[str, ...]] = []
    holders: dict[str, int] = {}  # account -> the inner batch that holds it
    for at, row in enumerate(rows[:stop]):
        given = dict(zip(columns, row, strict=True))
        id = full_id(given.get("Id", "")) or given.get("Id", "")
        try:
            account = str((org.store.tables[kind.name].rows.get(id) or {}).get("AccountId") or "")
            batch = at // org.options.bulk_batch
            if account and holders.setdefault(account, batch) != batch:
                raise RecordError("UNABLE_TO_LOCK_ROW", _LOCKED)
            made = _written(org, job, kind, given)
            done.append((made["id"], "true" if made.get("created") else "false", *row))
        except RecordError as refusal:
            said = f"{refusal.code}:{refusal.message}:{','.join(refusal.fields)}--"
            refused.append((id, said, *row))
    job.processed, job.failed = stop, len(refused)
    _tables(job, columns, done, refused, rows[stop:])


def _written(org: Org, job: Job, kind: ObjectType, given: dict[str, str]) -> Json:
    # No header of REST reaches a job: no assignment rule without its id, no way past a duplicate rule.
    headers = {} if org.options.bulk_assigns else {"sforce-auto-assign": "FALSE"}
    call = Call("PATCH", (), job.version, headers=headers)
    fields = {name: each for name in given if (each := kind.find(name)) is not None}
    wanted = values(given, fields)
    if job.operation == "insert":
        return {**writing.plan_create(org, call, kind, wanted)(), "created": True}
    if job.operation == "upsert":
        key = next(name for name in given if name.lower() == job.external_key.lower())
        matches = writing.matching(org, kind, key, given[key])
        if len(matches) > 1:
            raise RecordError("DUPLICATE_EXTERNAL_ID", f"{key}: more than one record found")
        if not matches:
            return {**writing.plan_create(org, call, kind, wanted)(), "created": True}
        others = {name: value for name, value in wanted.items() if name != fields[key].name}
        return writing.plan_update(org, call, kind, matches[0], others)()
    if job.operation == "delete":
        return writing.plan_delete(org, kind, given.get("Id", ""))()
    return writing.plan_update(org, call, kind, given.get("Id", ""), wanted)()


def _rows(job: Job) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    text = io.StringIO((job.upload or b"").decode("utf-8", "replace"), newline="")
    rows = [tuple(row) for row in csv.reader(text, delimiter=job.form[0]) if row]
    columns = rows[0] if rows else ()
    return columns, [(*row, *[""] * len(columns))[: len(columns)] for row in rows[1:]]


def _fault(job: Job, kind: ObjectType, columns: tuple[str, ...]) -> str:
    """Why the whole upload is refused; empty where it is not."""
    first = (job.upload or b"").split(b"\n", 1)[0]
    if first.endswith(b"\r") != (job.ending == "CRLF"):
        return f"LineEnding is invalid on user data. Current LineEnding setting is {job.ending}"
    unknown = [name for name in columns if kind.find(name) is None]
    if unknown:
        return f"InvalidBatch : Field name not found : {unknown[0]}"
    return ""


def _tables(
    job: Job,
    columns: tuple[str, ...],
    done: list[tuple[str, ...]],
    refused: list[tuple[str, ...]],
    left: list[tuple[str, ...]],
) -> None:
    heads = (("sf__Id", "sf__Created"), ("sf__Id", "sf__Error"), ())
    for name, head, rows in zip(_FILES, heads, (done, refused, left), strict=True):
        job.tables[name] = Table((*head, *columns), rows)
