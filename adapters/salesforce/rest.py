"""The REST resources the adapter uses: queries page by page, describes, and what is left of the day.

Decides nothing about rows. Waiting and retrying are the transport's.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import structlog

from adapters.salesforce.errors import LONGEST_TEXT, FieldRefused, UrlTooLong, classify
from adapters.salesforce.payload import instant
from adapters.salesforce.soql import count_of
from connector.errors import FixConfig, RetryLater, StopRun
from connector.ports import Clock
from connector.transport import Answer, Ok, Transport

log = structlog.get_logger(__name__)

PAGE_HINT = {"Sforce-Query-Options": "batchSize=2000"}  # the largest; wide rows still come in fewer
SCHEMA_LIFE = timedelta(hours=1)  # a field that was granted is noticed within this time
DAY = timedelta(hours=24)
LONGEST_QUERY = 8_000  # characters of a query in a URL; longer ones travel in a body
QUERIES_IN_ONE = 5  # of a composite request
OPTIONAL_UP_TO = 0.7  # of the day's calls; the rest is for what cannot wait
ALL_UP_TO = 0.85  # of the day's calls, by whomever; beyond it only writes that are computed already, for other programs
TOLD_FRESH = timedelta(minutes=15)  # an older word about the day's calls may be over: one call asks again

# Searched for, never matched whole: the header grows further clauses, `per-app-api-usage` among them.
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")

# A parent that may be one of several objects shows only what they have in common.
_COMMON = frozenset({"id", "name", "firstname", "lastname", "email", "phone", "title", "type", "username"})


_urgent: ContextVar[bool] = ContextVar("urgent", default=False)


@contextmanager
def urgent() -> Iterator[None]:
    """What is sent within is part of a write that was decided already: the look before it, and the write."""
    token = _urgent.set(True)
    try:
        yield
    finally:
        _urgent.reset(token)


@dataclass(frozen=True, slots=True)
class Usage:
    """API requests of the last 24 hours in the whole org, as last told, and of this process."""

    used: int
    allowed: int
    ours: int


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of a query.

    `asked_at` is a moment before the query was sent by the server's clock and by ours: where the two differ,
    the earlier one, so that a watermark made of it leaves nothing out. `opened` is the server's time when it
    answered the query's first page: which rows it has was settled then, what later pages say of them was not.
    `total`: rows of the whole query.
    """

    rows: list[Mapping[str, Any]]
    asked_at: datetime
    opened: datetime
    done: bool
    total: int = 0


@dataclass(frozen=True, slots=True)
class Deleted:
    """A piece of an object's log of deletions: `covered` is the start of the next, complete up to there even where a
    transaction is still open; the log holds nothing from before `earliest`."""

    rows: list[Mapping[str, Any]]
    earliest: datetime
    covered: datetime


class Rest:
    """One org's REST API at one version."""

    def __init__(self, http: Transport, clock: Clock, version: str, daily_share: float) -> None:
        self._http = http
        self._clock = clock
        self._base = f"/services/data/v{version}"
        self._daily_share = daily_share
        self._used, self._allowed = 0, 0
        self._told_at = clock.now()
        self._hours: deque[tuple[datetime, int]] = deque()  # calls per started hour, oldest first
        self._described: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self._hidden: dict[str, tuple[datetime, frozenset[str]]] = {}
        self._untyped: dict[str, frozenset[str]] = {}
        self._absent: dict[str, datetime] = {}
        self._warned: set[tuple[str, str]] = set()
        self._longest = LONGEST_QUERY

    # ------------------------------------------------------------------------------------- requests

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = True,
        raw: bool = False,
    ) -> Answer:
        """One request below the version's path; `content` and `raw` as in Transport.send.

        Raises RetryLater when our share of the day is spent.
        """
        self._check_share()
        before = self._http.calls
        try:
            answer = await self._http.send(
                method,
                self._base + path if not path.startswith("/services/") else path,
                params=params,
                json=json,
                content=content,
                headers=headers,
                idempotent=idempotent,
                raw=raw,
            )
        finally:
            self._count(self._http.calls - before)
        self._note_usage(answer)
        self._note_warning(answer)
        return answer

    async def versions(self) -> list[str]:
        """The API versions that the org serves, oldest first, such as `66.0`."""
        answer = await self.send("GET", "/services/data")
        listed = answer.json if isinstance(answer.json, list) else []
        found = [str(each["version"]) for each in listed if isinstance(each, Mapping) and each.get("version")]
        if not found:
            raise _not_a_page(answer, "for its versions without any")
        return found

    async def learn_usage(self) -> None:
        """Ask for the day's allowance where no answer has told it yet: some carry no header."""
        if self._allowed:
            return
        answer = await self.send("GET", "/limits")
        day = answer.json.get("DailyApiRequests") if isinstance(answer.json, Mapping) else None
        most, left = (day.get(name) if isinstance(day, Mapping) else None for name in ("Max", "Remaining"))
        if isinstance(most, int) and isinstance(left, int) and not self._allowed:
            self._allowed, self._used = most, most - left

    def short_of_calls(self) -> bool:
        """Whether optional work has to wait: most of the org's day, or of our share of it, is used."""
        if not self._allowed:
            return False
        most = OPTIONAL_UP_TO * self._allowed
        return self._used >= most or self._ours() >= most * self._daily_share

    def usage(self) -> Usage:
        """The day's allowance as an estimate: Salesforce's own number lags a few calls."""
        return Usage(self._used, self._allowed, self._ours())

    def _note_usage(self, answer: Answer) -> None:
        found = _USAGE.search(answer.headers.get("sforce-limit-info", ""))
        if found:
            self._used, self._allowed = int(found[1]), int(found[2])
            self._told_at = self._clock.now()

    def _note_warning(self, answer: Answer) -> None:
        """`Warning: 299` says that this API version ends. Logged once."""
        warning = answer.headers.get("warning", "")
        if warning.startswith("299") and ("", "299") not in self._warned:
            self._warned.add(("", "299"))
            log.warning(
                "salesforce_api_version_ends",
                said=warning[:LONGEST_TEXT],
                hint="Set SALESFORCE_API_VERSION to a newer one.",
            )

    def _count(self, calls: int) -> None:
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        if self._hours and self._hours[-1][0] == hour:
            self._hours[-1] = (hour, self._hours[-1][1] + calls)
        else:
            self._hours.append((hour, calls))

    def _ours(self) -> int:
        oldest = self._clock.now() - DAY
        while self._hours and self._hours[0][0] < oldest:
            self._hours.popleft()
        return sum(calls for _, calls in self._hours)

    def _check_share(self) -> None:
        if self._allowed and self._ours() >= self._daily_share * self._allowed:
            raise RetryLater(
                f"Our share of the org's daily API calls is spent: {self._ours()} of the last 24 hours, "
                f"{self._daily_share:.0%} of {self._allowed} allowed.",
                next_step="Later runs go on from here; or raise SALESFORCE_DAILY_SHARE.",
                after=timedelta(hours=1),
            )
        if _urgent.get() or self._clock.now() - self._told_at >= TOLD_FRESH:
            return
        if self._allowed and self._used >= ALL_UP_TO * self._allowed:
            raise RetryLater(
                f"{self._used / self._allowed:.0%} of the org's daily API calls are used, by all its programs; the "
                "rest is left to them, and to writes that are decided already.",
                next_step="Later runs go on from here; see Setup > Company Information for who uses them.",
                after=timedelta(hours=1),
            )

    # -------------------------------------------------------------------------------------- queries

    async def query(self, soql: str, *, deleted_too: bool = False) -> AsyncGenerator[Rows, None]:
        """The pages of a query. `deleted_too` adds the bin, losers of merges and archived activities.

        Page sizes are the server's: only `done` ends it. One page is fetched ahead while the last one is
        worked on. Raises StopRun where fewer rows came than were
        said, CursorLost where the rest has to be asked for anew.
        """
        before = self._clock.now()
        answer = await self._ask(soql, deleted_too)
        took = max(self._clock.now() - before, timedelta(0))
        opened = answer.server_time or before + took
        asked_at = min(before, opened - took)
        seen = 0
        ahead: asyncio.Task[Answer] | None = None
        try:
            while True:
                rows, total, following = _page(answer)
                seen += len(rows)
                if following is None and seen < total:
                    raise StopRun(
                        f"Salesforce said {total} rows and sent {seen}.",
                        next_step="The watermark stays; the next run asks again.",
                        where=answer.asked,
                    )
                if following is not None:
                    ahead = asyncio.create_task(self.send("GET", following, headers=PAGE_HINT))
                yield Rows(rows, asked_at, opened, following is None, total)
                if ahead is None:
                    return
                answer, ahead = await ahead, None
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _ask(self, soql: str, deleted_too: bool) -> Answer:
        """A query's first answer. One that is too long for a URL travels in the body of a composite request.

        URL and headers may be 16,384 bytes in all, and a proxy may allow less:
        https://help.salesforce.com/s/articleView?id=000386264
        """
        path = "/queryAll" if deleted_too else "/query"
        if len(quote(soql)) <= self._longest:
            try:
                return await self.send("GET", path, params={"q": soql}, headers=PAGE_HINT)
            except UrlTooLong:
                self._longest = len(quote(soql)) - 1
                log.info("salesforce_url_too_long", longest=self._longest)
        [answer] = await self.composite([f"{path}?q={quote(soql)}"])
        return answer

    async def composite(
        self, paths: Sequence[str], *, at: str = "/composite", lenient: bool = False
    ) -> list[Answer]:
        """Several reads below the version's path in one call: at most 25, of which at most 5 queries; answers in order.

        Raises what the first of them that failed means; `lenient` leaves that to the caller.
        https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_composite_post.htm
        """
        asked = [
            {"method": "GET", "url": self._base + path, "referenceId": f"r{place}", "httpHeaders": PAGE_HINT}
            for place, path in enumerate(paths)
        ]
        whole = await self.send("POST", at, json={"allOrNone": False, "compositeRequest": asked})
        parts = whole.json.get("compositeResponse") if isinstance(whole.json, Mapping) else None
        if not isinstance(parts, list) or len(parts) != len(asked):
            raise _not_a_page(whole, "for several reads with another number of answers")
        answers = []
        for part in parts:
            status = part.get("httpStatusCode") if isinstance(part, Mapping) else None
            if not isinstance(status, int):
                raise _not_a_page(whole, "for several reads with one that has no status")
            answer = replace(whole, status=status, json=part.get("body"))
            verdict = classify(answer)
            if not isinstance(verdict, Ok) and not lenient:
                raise verdict.error
            answers.append(answer)
        return answers

    async def count(self, source: str, where: Sequence[str], *, deleted_too: bool = False) -> int:
        """How many rows of an object meet the conditions, by the server's own count. One call."""
        text = count_of(source, where)
        answer = await self._ask(text, deleted_too)
        total = answer.json.get("totalSize") if isinstance(answer.json, Mapping) else None
        if isinstance(total, bool) or not isinstance(total, int):
            raise _not_a_page(answer, "for a count without one")
        return total

    async def all_rows(self, soql: str, *, deleted_too: bool = False) -> list[Mapping[str, Any]]:
        """All rows of a query that is known to be small."""
        return [row async for page in self.query(soql, deleted_too=deleted_too) for row in page.rows]

    async def tooling_rows(self, soql: str) -> list[Mapping[str, Any]]:
        """All rows of a query to the Tooling API, which knows what an org is made of."""
        rows, _, following = _page(await self.send("GET", "/tooling/query", params={"q": soql}))
        while following is not None:
            more, _, following = _page(await self.send("GET", following))
            rows += more
        return rows

    async def rows_of(self, queries: Sequence[str]) -> list[Mapping[str, Any]]:
        """All rows of a few queries, in order, five queries a call."""
        if len(queries) == 1:
            return await self.all_rows(queries[0])
        rows: list[Mapping[str, Any]] = []
        for start in range(0, len(queries), QUERIES_IN_ONE):
            part = queries[start : start + QUERIES_IN_ONE]
            for answer in await self.composite([f"/query?q={quote(each)}" for each in part]):
                came, _, following = _page(answer)
                rows += came
                while following is not None:
                    came, _, following = _page(await self.send("GET", following, headers=PAGE_HINT))
                    rows += came
        return rows

    def is_absent(self, name: str) -> bool:
        """Whether the org was lately found to lack this, or to hide it from this user."""
        since = self._absent.get(name)
        return since is not None and self._clock.now() - since < SCHEMA_LIFE

    def note_absent(self, name: str) -> None:
        """The org lacks this, or hides it: not to be asked for again soon."""
        self._absent[name] = self._clock.now()

    async def about_how_many(self, source: str) -> int:
        """How many records of an object the org holds, whoever may see them; hours old, 0 where not counted.

        https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_record_count.htm
        """
        answer = await self.send("GET", "/limits/recordCount", params={"sObjects": source})
        counts = answer.json.get("sObjects") if isinstance(answer.json, Mapping) else None
        if not isinstance(counts, list):
            raise _not_a_page(answer, "for the number of records without one")
        return sum(each.get("count", 0) for each in counts if isinstance(each, Mapping))

    # --------------------------------------------------------------------------------------- schema

    async def describe(self, source: str, *, younger_than: timedelta = SCHEMA_LIFE) -> Mapping[str, Any]:
        """An object's describe document, from memory while it is young enough."""
        now = self._clock.now()
        known = self._described.get(source.lower())
        if known and now - known[0] < younger_than:
            return known[1]
        answer = await self.send("GET", f"/sobjects/{source}/describe")
        if not isinstance(answer.json, Mapping) or not isinstance(answer.json.get("fields"), list):
            raise StopRun(
                f"Salesforce described {source} without its fields.",
                next_step="Check whether a proxy answers instead.",
                where=answer.asked,
            )
        self._described[source.lower()] = (now, answer.json)
        if _has_record_types(answer.json):  # by now: every run describes what it writes to
            self._untyped.pop(source, None)
        return answer.json

    def seen(self, source: str, fields: Iterable[str]) -> list[str]:
        """These fields without those lately found hidden, nor the record type of an object without record types."""
        known = self._hidden.get(source)
        if known is None or self._clock.now() - known[0] >= SCHEMA_LIFE:
            untyped = self._untyped.get(source, frozenset())
            return [name for name in fields if name not in untyped]
        return [name for name in fields if name not in known[1]]

    def hidden(self, source: str, fields: Sequence[str]) -> frozenset[str]:
        """Which of these fields were lately found hidden; not the record type of an object that has no record types."""
        return (
            frozenset(fields) - frozenset(self.seen(source, fields)) - self._untyped.get(source, frozenset())
        )

    async def has_person_accounts(self) -> bool:
        """Whether an Account of this org may be a person."""
        try:
            return await self._is_there("Contact", "IsPersonAccount")
        except FixConfig:
            return False  # this user does not see Contacts at all

    async def deleted(self, source: str, start: datetime, end: datetime) -> Deleted:
        """What was deleted in `[start, end)`, for good or into the Recycle Bin. Raises FeedRefused.

        https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_getdeleted.htm
        """
        bounds = {"start": start.isoformat(timespec="seconds"), "end": end.isoformat(timespec="seconds")}
        answer = await self.send("GET", f"/sobjects/{source}/deleted/", params=bounds)
        body = answer.json if isinstance(answer.json, Mapping) else {}
        rows = body.get("deletedRecords")
        try:
            earliest, covered = (
                instant(body[name]) for name in ("earliestDateAvailable", "latestDateCovered")
            )
        except (KeyError, ValueError):
            raise _not_a_page(answer, "for what was deleted without saying when") from None
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise _not_a_page(answer, "for what was deleted without a list")
        return Deleted(rows, earliest, covered)

    async def find_hidden(self, source: str, fields: Iterable[str], refused: FieldRefused) -> None:
        """Learn which of these fields are hidden, after a query was refused for one.

        Describe leaves out a field that does not exist and one that this user may not see alike. A hidden
        field reads as blank; each is warned of once. Raises `refused` where none is found.
        """
        await self.describe(source, younger_than=timedelta(0))
        hidden = [name for name in fields if not await self._is_there(source, name)]
        known = self._hidden.get(source)
        fresh = known is not None and self._clock.now() - known[0] < SCHEMA_LIFE
        before = known[1] if known and fresh else frozenset()
        if not set(hidden) - before:
            raise refused
        needed = {"Id", "SystemModstamp"} & set(hidden)
        if needed:
            raise FixConfig(
                f"This user cannot see {source}.{needed.pop()}.",
                next_step=f"Give the integration user read access to {source}.",
            ) from refused
        self._hidden[source] = (self._clock.now(), before | frozenset(hidden))
        untyped = await self._untyped_of(source, hidden)
        self._untyped[source] = untyped
        untold = [name for name in hidden if name not in untyped and (source, name) not in self._warned]
        self._warned.update((source, name) for name in untold)
        if untold:
            log.warning(
                "salesforce_fields_hidden",
                object=source,
                fields=", ".join(untold),
                hint="They do not exist or field-level security hides them; they are read as blank.",
            )

    async def _untyped_of(self, source: str, hidden: Iterable[str]) -> frozenset[str]:
        """Those that name the record type of an object without record types: it has no such field, and that is all."""
        described = await self.describe(source)
        if _has_record_types(described):
            return frozenset()
        return frozenset(
            name for name in hidden if name.split(".")[0].lower() in ("recordtype", "recordtypeid")
        )

    async def _is_there(self, source: str, path: str) -> bool:
        described = await self.describe(source)
        parent, _, rest = path.partition(".")
        if not rest:
            return any(str(each.get("name")).lower() == path.lower() for each in described["fields"])
        for each in described["fields"]:
            if str(each.get("relationshipName") or "").lower() == parent.lower():
                parents = each.get("referenceTo") or []
                if len(parents) != 1:
                    return rest.lower() in _COMMON
                try:
                    return await self._is_there(str(parents[0]), rest)
                except FixConfig:
                    return False  # this user does not see the parent at all
        return False


def _page(answer: Answer) -> tuple[list[Mapping[str, Any]], int, str | None]:
    """A query's rows, their total and where the next page is. Raises StopRun for any other shape."""
    body = answer.json
    rows = body.get("records") if isinstance(body, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise _not_a_page(answer, "without a list of records")
    total, done, following = body.get("totalSize"), body.get("done"), body.get("nextRecordsUrl")
    if not isinstance(total, int) or not isinstance(done, bool):
        raise _not_a_page(answer, "without saying how many rows there are and whether these are all")
    if done:
        return rows, total, None
    if not isinstance(following, str) or not following.startswith("/services/data/"):
        raise _not_a_page(answer, "unfinished and without its next page")
    if not rows:
        raise _not_a_page(answer, "empty and yet unfinished")
    return rows, total, following


def _not_a_page(answer: Answer, what: str) -> StopRun:
    return StopRun(
        f"Salesforce answered a query {what}.",
        next_step="The watermark stays; the next run asks again. Check whether a proxy answers instead.",
        where=answer.asked,
    )


def _has_record_types(described: Mapping[str, Any]) -> bool:
    return any(not each.get("master") for each in described.get("recordTypeInfos") or ())
