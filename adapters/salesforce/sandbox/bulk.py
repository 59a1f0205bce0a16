"""Bulk API 2.0 of the made-up org: jobs, their states by the sandbox's clock, which resource answers which path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adapters.salesforce.sandbox import bulk_ingest, bulk_query
from adapters.salesforce.sandbox.bulk_table import Table
from adapters.salesforce.sandbox.org import Org
from adapters.salesforce.sandbox.soql import wire_time
from adapters.salesforce.sandbox.store import API_USER
from adapters.salesforce.sandbox.wire import NOT_FOUND, Call, Refused, Reply
from connector.sandbox.population import salesforce_id

Json = Any

KEPT = timedelta(days=7)  # https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/
LISTED = 1000  # jobs on one page of a list
_DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_RUNNING = ("UploadComplete", "InProgress")
_FIXED = ("Aborted", "Failed", "JobComplete")


@dataclass(slots=True)
class Job:
    """One job. `closed_at`: from then on it is worked off; its work is done whole at the end of that time."""

    id: str
    kind: str  # query or ingest
    operation: str
    object: str
    made_at: datetime
    version: str
    state: str
    delimiter: str
    ending: str
    query: str = ""
    external_key: str = ""
    closed_at: datetime | None = None
    upload: bytes | None = None
    processed: int = 0
    failed: int = 0
    error: str = ""
    tables: dict[str, Table] = field(default_factory=dict)  # results by name

    @property
    def form(self) -> tuple[str, str]:
        """Delimiter and line end of its CSV."""
        return _DELIMITERS[self.delimiter], _ENDINGS[self.ending]


def dispatch(org: Org, call: Call, parts: tuple[str, ...]) -> Reply:
    """Everything below `/jobs`."""
    match parts:
        case ("query" | "ingest" as kind,):
            return _by_method(
                call, {"GET": lambda: _listed(org, call, kind), "POST": lambda: _made(org, call, kind)}
            )
        case ("query" | "ingest" as kind, id):
            job = _found(org, kind, id)
            return _by_method(
                call,
                {
                    "GET": lambda: Reply(200, told(job)),
                    "PATCH": lambda: _changed(org, call, job),
                    "DELETE": lambda: _deleted(org, job),
                },
            )
        case ("query", id, "results"):
            job = _complete(_found(org, "query", id), call)
            return _by_method(call, {"GET": lambda: bulk_query.results(job, call)})
        case ("query", id, "resultPages"):
            job = _complete(_found(org, "query", id), call)
            return _by_method(call, {"GET": lambda: bulk_query.pages(job, call)})
        case ("ingest", id, "batches"):
            job = _found(org, "ingest", id)
            return _by_method(call, {"PUT": lambda: bulk_ingest.upload(job, call)})
        case ("ingest", id, name) if (file := bulk_ingest.file_named(name)) is not None:
            job = _found(org, "ingest", id)
            if job.state not in _FIXED:
                raise Refused(400, "INVALIDJOBSTATE", f"Job is not completed yet: {job.state}")
            return _by_method(call, {"GET": lambda: bulk_ingest.results(job, file)})
    raise NOT_FOUND


def settle(org: Org) -> None:
    """Let every job get as far as it has by now, whether anybody asks or not. Called before each request."""
    now = org.store.clock.now()
    for job in list(org.store.jobs.values()):
        if job.state not in _RUNNING or job.closed_at is None:
            continue
        begins = job.closed_at + org.options.bulk_queue
        if now >= begins + org.options.bulk_time:
            work = bulk_query.work if job.kind == "query" else bulk_ingest.work
            job.state = "JobComplete"
            work(org, job)
        elif now >= begins:
            job.state = "InProgress"


def told(job: Job) -> dict[str, Json]:
    """A job as `GET` shows it."""
    stamp = wire_time(job.made_at)
    body: dict[str, Json] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": API_USER,
        "createdDate": stamp,
        "systemModstamp": stamp,
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.version),
        "lineEnding": job.ending,
        "columnDelimiter": job.delimiter,
        "jobType": "V2Query" if job.kind == "query" else "V2Ingest",
        "numberRecordsProcessed": job.processed,
        "retries": 0,
        "totalProcessingTime": 0,
    }
    if job.kind == "query":
        body["isPkChunkingSupported"] = True
    else:
        body |= {"numberRecordsFailed": job.failed, "apexProcessingTime": 0, "apiActiveProcessingTime": 0}
        body["contentUrl"] = f"services/data/v{job.version}/jobs/ingest/{job.id}/batches"
        if job.external_key:
            body["externalIdFieldName"] = job.external_key
    if job.error:
        body["errorMessage"] = job.error
    return body


def _made(org: Org, call: Call, kind: str) -> Reply:
    body = call.body if isinstance(call.body, Mapping) else {}
    delimiter, ending = body.get("columnDelimiter", "COMMA"), body.get("lineEnding", "LF")
    if delimiter not in _DELIMITERS or ending not in _ENDINGS or body.get("contentType", "CSV") != "CSV":
        raise Refused(400, "INVALIDJOB", "Unsupported contentType, columnDelimiter or lineEnding")
    now = org.store.clock.now()
    job = Job(
        id=salesforce_id("750", len(org.store.jobs) + 1),
        kind=kind,
        operation=str(body.get("operation", "")),
        object=str(body.get("object", "")),
        made_at=now,
        version=call.version,
        state="UploadComplete" if kind == "query" else "Open",
        delimiter=delimiter,
        ending=ending,
        query=str(body.get("query", "")),
        external_key=str(body.get("externalIdFieldName", "")),
        closed_at=now if kind == "query" else None,
    )
    if kind == "query":
        today = [
            each for each in org.store.jobs.values() if each.kind == "query" and each.made_at > now - KEPT / 7
        ]
        if len(today) >= org.options.bulk_jobs:
            message = f"Max bulk v2 query jobs ({org.options.bulk_jobs}) per 24 hrs has been reached"
            raise Refused(400, "LIMIT_EXCEEDED", message)
        bulk_query.check(org, job)
    else:
        bulk_ingest.check(org, job)
    if job.object in org.options.bulk_refuses:
        raise Refused(400, "INVALIDENTITY", f"Entity '{job.object}' is not supported by the Bulk API.")
    org.store.jobs[job.id] = job
    shown = told(job)
    return Reply(200, {name: shown[name] for name in shown if name not in ("jobType", "retries")})


def _found(org: Org, kind: str, id: str) -> Job:
    job: Job | None = org.store.jobs.get(id)
    if job is None or job.kind != kind or org.store.clock.now() - job.made_at > KEPT:
        raise NOT_FOUND
    return job


def _complete(job: Job, call: Call) -> Job:
    if job.state != "JobComplete":
        raise Refused(400, "INVALIDJOBSTATE", f"Job is not completed yet: {job.state}")
    if job.version != call.version:
        message = f"The requested results are of API version {job.version}, not {call.version}"
        raise Refused(409, "API_VERSION_MISMATCH", message)
    return job


def _changed(org: Org, call: Call, job: Job) -> Reply:
    state = call.body.get("state") if isinstance(call.body, Mapping) else None
    if state == "Aborted" and job.state not in _FIXED:
        job.state = state
        bulk_ingest.end(job) if job.kind == "ingest" else None
    elif state == "UploadComplete" and job.state == "Open" and job.upload is not None:
        job.state, job.closed_at = state, org.store.clock.now()
    else:
        raise Refused(400, "INVALIDJOBSTATE", f"Cannot change the job from {job.state} to {state}")
    return Reply(200, told(job))


def _deleted(org: Org, job: Job) -> Reply:
    if job.state not in _FIXED:
        raise Refused(400, "INVALIDJOBSTATE", f"Only finished jobs can be deleted: {job.state}")
    del org.store.jobs[job.id]
    return Reply(204)


def _listed(org: Org, call: Call, kind: str) -> Reply:
    """Newest first, paged by `queryLocator`."""
    start = int(call.query.get("queryLocator", "0") or 0)
    asked = call.query.get("jobType")
    jobs = [told(job) for job in reversed(org.store.jobs.values()) if job.kind == kind]
    jobs = [each for each in jobs if asked in (None, each["jobType"])]
    more = len(jobs) > start + LISTED
    following = f"/services/data/v{call.version}/jobs/{kind}?queryLocator={start + LISTED}" if more else None
    page = jobs[start : start + LISTED]
    return Reply(200, {"done": not more, "records": page, "nextRecordsUrl": following})


def _by_method(call: Call, handlers: Mapping[str, Callable[[], Reply]]) -> Reply:
    if call.method not in handlers:
        raise Refused(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed.")
    return handlers[call.method]()
