"""First-party engagement in the shape that Segment's libraries send: `/v1/track`, `/v1/identify`, `/v1/batch` ...

The shape: https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api. Answered once it
is on the disk; malformed events of a batch are set aside with the reason, the others are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

import orjson
import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from connector.app.api.guard import from_elsewhere
from connector.app.api.problems import problem
from connector.app.incoming import Doors, FullError, Inbox, Refused, read_body, read_document
from connector.app.sidecar import Sidecar
from connector.core.account import account_fields_read
from connector.core.criteria import Criteria
from connector.core.model import JsonValue, Quarantined
from connector.core.privacy import behaviour_counts
from connector.core.tracking import APP, KINDS, LONGEST_ID, STREAM, Call, name_of, read_call
from connector.core.tracking_types import TrackingRule
from connector.errors import ConnectorError, SkipRecord
from connector.ports import Tracked

log = structlog.get_logger("connector.incoming")

BATCH = "batch"
PATHS = (*KINDS, BATCH)
OTHER_PATHS = ("import", "b")  # by which the libraries of Java, Kotlin and Swift send batches
MOST = 500_000  # bytes of a batch, as Segment has it
MOST_OF_EVENT = 32_768
AGAIN = 1  # seconds until somebody who was sent away may come again
AWAY = 5  # the same, where the ledger does not answer
LOOK = timedelta(minutes=1)  # between two looks for another definition
ASKS = {"WWW-Authenticate": 'Basic realm="write key"'}

WriteKey = Annotated[
    HTTPBasicCredentials | None,
    Depends(HTTPBasic(scheme_name="WriteKey", description="The write key as user name", auto_error=False)),
]


class Taken(BaseModel):
    """It is on the disk."""

    success: bool = True


class _Body(BaseModel):
    """What is sent, for the reference alone: it is read event by event, so that one wrong one costs no other."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)


Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=r"\S")] | int


class CallBody(_Body):
    """One call. It names `userId` or `anonymousId`, or both."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}]}
    )
    user_id: Id = Field("", description="Of who is known to the application")
    anonymous_id: Id = Field("", description="Of a browser or device")
    message_id: Id | None = Field(None, description="Counts once, however often it comes")
    previous_id: Id = Field("", description="Of an alias: the id that is `userId` from now on")
    event: str = Field("", min_length=1, pattern=r"\S", description="Of a track call: its name")
    name: str | None = Field(None, description="Of a page or screen call")
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    timestamp: datetime | None = None
    sent_at: datetime | None = None


class BatchBody(_Body):
    """Many calls; a malformed one is set aside, and the others are taken."""

    batch: list[Any] = Field(description="Calls, each with its `type` beside what a call has")
    context: dict[str, Any] | None = Field(None, description="For calls without their own")
    sent_at: Any = None
    write_key: Any = Field(None, description="Instead of Basic authentication")


class _Reader:
    """Reads and keeps by the definition that is in force."""

    def __init__(self, side: Sidecar, doors: Doors) -> None:
        self._side, self._doors = side, doors
        self._looked = side.parts.clock.now()
        self.inbox = Inbox(self._keep, self._count)

    async def take(self, request: Request, kind: str, shown: HTTPBasicCredentials | None) -> Response:
        """One request, from the door to the disk."""
        received = self._side.parts.clock.now()
        self._doors.look(received)
        try:
            self._let_in(request, shown)
            body = await read_body(request, MOST if kind == BATCH else MOST_OF_EVENT)
            document = read_document(body)
            if self._doors.key and shown is None:
                self._doors.check(document.get("writeKey") if isinstance(document, Mapping) else None)
            await self._look(received)
            calls, aside = self._read(document, kind, received)
        except Refused as no:
            return problem(no.status, no.why, ASKS if no.status == 401 else None)
        try:
            await self.inbox.take(calls, aside, len(body))
        except FullError:
            self._side.meters.tracked.labels("sent_away").inc(len(calls) + len(aside))
            return problem(429, "So much waits already; send it again.", {"Retry-After": str(AGAIN)})
        except Exception as error:  # whatever it is, it is not kept, and whoever sent it still has it
            if isinstance(error, ConnectorError):
                log.warning("events cannot be kept", error=str(error))
            return problem(503, "It cannot be kept now; send it again.", {"Retry-After": str(AWAY)})
        return Response(b'{"success":true}', media_type="application/json")

    def _let_in(self, request: Request, shown: HTTPBasicCredentials | None) -> None:
        """Before a body is read. Raises Refused; where no key is shown it may stand in the body."""
        if not self._doors.key:
            if why := from_elsewhere(request.app.state.access, request.scope):
                raise Refused(403, f"Without CONNECTOR_INGEST_TOKEN only this host may send, and {why}.")
        elif shown is not None:
            self._doors.check(shown.username)

    def _read(
        self, document: JsonValue, kind: str, received: datetime
    ) -> tuple[list[Call], list[Quarantined]]:
        """The calls, and what is set aside. Raises Refused for what has no events at all; a single call that is
        malformed is refused, since whoever sent it hears of it."""
        rules = self._side.current.definition.criteria.tracking
        if kind != BATCH:
            try:
                return [_call(document, received, None, rules, kind)], []
            except SkipRecord as error:
                raise Refused(400, error.message) from None
        batch = document.get("batch") if isinstance(document, Mapping) else None
        if not isinstance(document, Mapping) or not isinstance(batch, list):
            raise Refused(400, "A batch is an object with a list `batch`.")
        return _sorted_out(batch, document, received, rules)

    async def _look(self, now: datetime) -> None:
        if now - self._looked >= LOOK:
            self._looked = now
            try:
                await self._side.current.of(())
            except ConnectorError as error:
                log.warning("the definition cannot be looked at", error=str(error))

    async def _keep(self, calls: Sequence[Call], aside: Sequence[Quarantined]) -> Tracked:
        definition = self._side.current.definition
        return await self._side.parts.ledger.keep_tracked(
            calls,
            aside,
            self._side.parts.clock.now(),
            urgent=raising(definition.criteria),
            around=account_fields_read(definition),
            counts=partial(behaviour_counts, definition.criteria) if definition.criteria.privacy else None,
        )

    def _count(self, told: Tracked) -> None:
        counter = self._side.meters.tracked
        for outcome, number in (
            ("stored", told.stored), ("duplicate", told.duplicate), ("set_aside", told.aside),
            ("left_out", told.left_out + told.erased),
        ):  # fmt: skip
            counter.labels(outcome).inc(number)


def _sorted_out(
    batch: Sequence[JsonValue],
    document: Mapping[str, JsonValue],
    received: datetime,
    rules: Sequence[TrackingRule],
) -> tuple[list[Call], list[Quarantined]]:
    calls: list[Call] = []
    aside: list[Quarantined] = []
    shared = document.get("context")
    for raw in batch:
        try:
            if isinstance(shared, Mapping) and isinstance(raw, Mapping) and not raw.get("context"):
                raw = {**raw, "context": shared}
            calls.append(_call(raw, received, document.get("sentAt"), rules))
        except SkipRecord as error:
            aside.append(Quarantined(APP, STREAM, name_of(raw), error.message))
    return calls, aside


def _call(
    raw: JsonValue, received: datetime, sent: JsonValue, rules: Sequence[TrackingRule], kind: str = ""
) -> Call:
    """Raises SkipRecord, whatever it is: one odd event must not cost those that came with it."""
    try:
        if len(orjson.dumps(raw)) > MOST_OF_EVENT:
            raise SkipRecord(f"The event is larger than {MOST_OF_EVENT // 1024} KB.")
    except TypeError:
        raise SkipRecord("It is nested too deep.") from None
    try:
        return read_call(raw, received, kind=kind, sent=sent, rules=rules)
    except SkipRecord:
        raise
    except Exception as error:
        log.error("an event cannot be read", error=type(error).__name__)
        raise SkipRecord("It cannot be read, for a reason that nobody foresaw.") from error


def raising(criteria: Criteria) -> frozenset[str]:
    """The types by which somebody raises a hand, in any audience."""
    every = (criteria, *(each.criteria for each in criteria.audiences))
    return frozenset(type for one in every for rule in one.hand_raise for type in rule.events)


def router(side: Sidecar, doors: Doors) -> APIRouter:
    """The routes of first-party engagement."""
    app = APIRouter(tags=["first-party engagement"])
    reader = _Reader(side, doors)
    side.meters.tracking.set_function(lambda: reader.inbox.waiting)

    def route(path: str, kind: str, *, told: bool) -> None:
        body = (BatchBody if kind == BATCH else CallBody).model_json_schema()
        if needed := _NEEDED.get(kind):
            body["required"] = [needed]
        described = {"required": True, "content": {"application/json": {"schema": body}}}

        @app.post(
            f"/v1/{path}", name=path, summary=_SUMMARIES[kind], response_model=Taken, include_in_schema=told,
            openapi_extra={"requestBody": described, "security": [{}]},  # or the key in the body, or this host
        )  # fmt: skip
        async def take(request: Request, shown: WriteKey) -> Response:
            return await reader.take(request, kind, shown)

    for kind in PATHS:
        route(kind, kind, told=True)
    for path in OTHER_PATHS:
        route(path, BATCH, told=False)
    return app


_NEEDED = {"track": "event", "alias": "previousId"}
_SUMMARIES = {
    "track": "Something that somebody did",
    "page": "Somebody saw a page",
    "screen": "Somebody saw a screen",
    "identify": "Whose an id is: the e-mail of `traits`",
    "alias": "Two ids are one person",
    "group": "Taken and not kept: accounts come from the CRMs",
    BATCH: "Many calls at once",
}


def waiting() -> APIRouter:
    """While the ledger is waited for at the start: whoever sends something sends it again. A 404 would make them drop
    it."""
    app = APIRouter(include_in_schema=False)

    async def later(rest: str) -> Response:
        return problem(503, "The ledger is away; send it again.", {"Retry-After": str(AWAY)})

    for prefix in ("/v1/", "/webhooks/"):
        app.add_api_route(prefix + "{rest:path}", later, methods=["POST"])
    return app
