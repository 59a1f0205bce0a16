"""Jobs of Bulk API 2.0: make one, wait for it, fetch what it brought, end it. Knows neither rows nor records.

https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/bulk_api_2_0.htm
"""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from adapters.salesforce.bulk_errors import JobGone, NoBulk
from adapters.salesforce.rest import Rest
from adapters.salesforce.walk import QUERY_ROWS
from connector.core.model import JsonValue
from connector.errors import ConnectorError, RetryLater, StopRun
from connector.ports import Clock

log = structlog.get_logger(__name__)

FIRST_LOOK = timedelta(seconds=1)  # then twice as long each time, up to
LONGEST_LOOK = timedelta(seconds=30)  # well below the 45 s for which the holder of a lease may be silent
PATIENCE = timedelta(hours=2)  # jobs are queued without any promise of when; after this one is aborted
# Named, since both follow the user's locale where they are not:
# https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/create_job.htm
CSV_FORM: Mapping[str, JsonValue] = {"contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}

ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
TRIES = 3  # of one download whose rows do not add up

Alive = Callable[[], Awaitable[None]]
"""Called at least every 30 s while a job is waited for, so that whoever holds a lease can renew it."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as last looked at. `processed` counts failed rows too; None where Salesforce does not say."""

    id: str
    state: str
    processed: int | None
    failed: int
    error: str
    content_url: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Download:
    """One piece of a query's result. `rows` is what Salesforce says it holds (None: it does not say), `following` the
    locator of the next piece."""

    body: io.BytesIO
    rows: int | None
    following: str | None


class Bulk:
    """One org's jobs, of two kinds named as their paths are: `query` and `ingest`.

    `reads_from`: an object of so many rows is better read by a job; None never.
    """

    def __init__(
        self, rest: Rest, clock: Clock, *, reads_from: int | None = 50_000, patience: timedelta = PATIENCE
    ) -> None:
        self.rest = rest
        self.reads_from = reads_from
        self._clock = clock
        self._patience = patience
        self._unfit: set[str] = set()

    def now(self) -> datetime:
        """Aware UTC, by our clock."""
        return self._clock.now()

    # ----------------------------------------------------------------------------------- capability

    def fits(self, source: str) -> bool:
        """Whether this object was not refused yet. Some are never served: they are asked for by REST."""
        return source not in self._unfit

    def better(self, source: str, rows: int) -> bool:
        """Whether so many rows, as a query counted them, are better read by a job. A query counts at most 50,000."""
        return self.reads_from is not None and rows >= min(self.reads_from, QUERY_ROWS) and self.fits(source)

    def refuse(self, source: str, why: NoBulk) -> None:
        """Remember for the life of this process that an object is not served. A spent allowance comes back."""
        log.info("salesforce_bulk_refused", object=source, why=why.message)
        if why.lasting:
            self._unfit.add(source)

    # ----------------------------------------------------------------------------------------- jobs

    async def query(self, soql: str, *, deleted_too: bool) -> Job:
        """A new query job. Raises NoBulk where this object or the org's allowance does not let it."""
        operation = "queryAll" if deleted_too else "query"
        return await self._make("query", {"operation": operation, "query": soql})

    async def update(self, source: str) -> Job:
        """A new ingest job, still open: nothing is processed before it is closed. Raises NoBulk."""
        return await self._make("ingest", {"object": source, "operation": "update"})

    async def _make(self, kind: str, what: Mapping[str, JsonValue]) -> Job:
        # Sent again when no answer came: a job that nobody knows of holds nothing and does nothing to a record.
        answer = await self.rest.send("POST", f"/jobs/{kind}", json={**what, **CSV_FORM})
        return _job(answer.json, answer.asked)

    async def look(self, kind: str, job: str) -> Job:
        """Where a job stands. Raises JobGone for one that is deleted, or older than the week it is kept."""
        answer = await self.rest.send("GET", f"/jobs/{kind}/{job}")
        return _job(answer.json, answer.asked)

    async def waiting(self, kind: str, job: Job) -> AsyncGenerator[Job, None]:
        """The job after each look until it has ended: 1, 2, 4 ... 30 s apart.

        Raises RetryLater after our patience; the job is aborted then, and what it did stays.
        """
        pause, waited = FIRST_LOOK, timedelta(0)
        while not job.ended:
            if waited >= self._patience:
                await self.abort(kind, job.id)
                raise RetryLater(
                    f"Salesforce did not finish a Bulk job within {self._patience}; it was aborted.",
                    next_step="Later runs ask again. See Setup > Bulk Data Load Jobs for what keeps it busy.",
                )
            await self._clock.sleep(pause)
            waited += pause
            pause = min(2 * pause, LONGEST_LOOK)
            job = await self.look(kind, job.id)
            yield job

    async def finished(self, kind: str, job: Job, alive: Alive) -> Job:
        """The job once it has ended. Raises as `waiting` does."""
        last = job
        async for last in self.waiting(kind, job):  # noqa: B007 (the last one counts)
            await alive()
        return last

    async def abort(self, kind: str, job: str) -> None:
        """Let a job do nothing more. One that has ended, or is gone, stays as it is."""
        try:
            await self.rest.send("PATCH", f"/jobs/{kind}/{job}", json={"state": "Aborted"})
        except ConnectorError:
            if not (await self._look_if_there(kind, job)):
                raise

    async def _look_if_there(self, kind: str, job: str) -> bool:
        """Whether the job is over, one way or another."""
        try:
            return (await self.look(kind, job)).ended
        except JobGone:
            return True

    # -------------------------------------------------------------------------------------- queries

    async def download(self, job: str, locator: str, rows: int) -> Download:
        """A piece of a finished query's result, of at most so many rows."""
        params = {"maxRecords": str(rows), **({"locator": locator} if locator else {})}
        answer = await self.rest.send(
            "GET", f"/jobs/query/{job}/results", params=params, headers={"accept": "text/csv"}, raw=True
        )
        following = answer.headers.get("sforce-locator", "")
        return Download(
            _csv(answer.body, answer.content_type, answer.asked),
            _count(answer.headers.get("sforce-numberofrecords")),
            None if following in ("", "null") else following,
        )

    # --------------------------------------------------------------------------------------- ingest

    async def upload(self, job: Job, table: bytes) -> None:
        """The rows of an open job, once. Raises OutcomeUnknown where no answer came: abort it and make another."""
        told = "/" + job.content_url.lstrip("/")  # it comes without a slash at its beginning
        await self.rest.send(
            "PUT",
            told if told.startswith("/services/data/") else f"/jobs/ingest/{job.id}/batches",
            content=table,
            headers={"content-type": "text/csv; charset=UTF-8"},
            idempotent=False,
            raw=True,
        )

    async def close(self, job: str) -> Job:
        """Let an uploaded job begin. A lost answer is made up for by looking."""
        try:
            answer = await self.rest.send("PATCH", f"/jobs/ingest/{job}", json={"state": "UploadComplete"})
        except ConnectorError:
            found = await self.look("ingest", job)
            if found.state == "Open":
                raise
            return found
        return _job(answer.json, answer.asked)

    async def result_file(self, job: str, name: str) -> io.BytesIO:
        """`successfulResults`, `failedResults` or `unprocessedrecords` of a job that has ended."""
        # The first two are documented with a slash at their end, the third without.
        tail = name if name == "unprocessedrecords" else f"{name}/"
        answer = await self.rest.send(
            "GET", f"/jobs/ingest/{job}/{tail}", headers={"accept": "text/csv"}, raw=True
        )
        return _csv(answer.body, answer.content_type, answer.asked)


def _job(body: Any, asked: str) -> Job:
    if not isinstance(body, Mapping) or not isinstance(body.get("id"), str) or "state" not in body:
        raise StopRun(
            "Salesforce told of a Bulk job without its id and state.",
            next_step="The next run asks again. Check whether a proxy answers instead.",
            where=asked,
        )
    return Job(
        id=body["id"],
        state=str(body["state"]),
        processed=_count(body.get("numberRecordsProcessed")),
        failed=_count(body.get("numberRecordsFailed")) or 0,
        error=str(body.get("errorMessage") or ""),
        content_url=str(body.get("contentUrl") or ""),
    )


def _count(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _csv(body: io.BytesIO | None, kind: str, asked: str) -> io.BytesIO:
    if body is None or "html" in kind:
        raise StopRun(
            f"Salesforce answered for a Bulk result with {kind or 'nothing'} where CSV was due.",
            next_step="The next run asks again. Check whether a proxy answers instead.",
            where=asked,
        )
    return body
