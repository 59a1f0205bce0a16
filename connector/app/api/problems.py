"""Errors over HTTP as problem+json (RFC 9457). No secret and no personal data in any: what was sent is not repeated.

A route raises one of our errors, or HTTPException with a status of its own; here both, and whatever nobody foresaw,
become the answer. `Caught` is around everything, so that nothing leaves as a bare 500.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.app.error_document import error_document
from connector.errors import (
    ConnectorError,
    FixConfig,
    LeaseBusy,
    LedgerFailed,
    OutcomeUnknown,
    RetryLater,
    SkipRecord,
    StopRun,
)

log = structlog.get_logger("connector.api")

MEDIA = "application/problem+json"
LATER = {"retry-after": "30"}  # seconds
STATUS: Mapping[type[ConnectorError], int] = {
    FixConfig: 422,
    SkipRecord: 422,
    LeaseBusy: 409,
    LedgerFailed: 503,
    StopRun: 409,
    OutcomeUnknown: 502,
    RetryLater: 503,
}  # by the nearest class


class Wrong(BaseModel):
    """One thing wrong in what was sent, or in a file."""

    where: str
    what: str
    nearest: str | None = None


class Problem(BaseModel):
    """RFC 9457, and what to do next."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    kind: str | None = None
    next_step: str | None = None
    where: str | None = None
    problems: list[Wrong] | None = None


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """The answer that tells a problem; `more` are members of `Problem`, or others that a client expects."""
    document: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase}
    document |= {"status": status, "detail": detail}
    document |= {name: value for name, value in more.items() if value}
    return Response(orjson.dumps(document), status, headers=dict(headers or {}), media_type=MEDIA)


def of_error(error: ConnectorError) -> Response:
    """One of our errors."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    told = error_document(error)
    wrong = [
        {"where": each.place or ".".join(map(str, each.path)), "what": each.said, "nearest": each.nearest}
        for each in (error.problems if isinstance(error, FixConfig) else ())
    ]
    return problem(
        status, told["message"], LATER if status == 503 else None, kind=told["kind"],
        next_step=told["next_step"], where=told["where"], problems=wrong,
    )  # fmt: skip


def install(app: FastAPI) -> None:
    """Every error of this app is told so."""

    @app.exception_handler(ConnectorError)
    async def ours(request: Request, error: ConnectorError) -> Response:
        return of_error(error)

    @app.exception_handler(HTTPException)
    async def known(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase:
            return problem(404, "There is nothing at this address.", next_step="/docs lists what there is.")
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        wrong = [
            {"where": ".".join(map(str, each["loc"])), "what": f"{each['msg']}."} for each in error.errors()
        ]
        return problem(422, f"{len(wrong)} thing(s) in the request cannot be used.", problems=wrong)

    app.add_middleware(Caught)


class Caught:
    """ASGI middleware: what nobody foresaw is one line in the log, without its text, and an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
            log.error("a request failed", error=type(error).__name__, where=where)
            if begun:
                raise
            await problem(500, "Something went wrong here; the log says where.")(scope, receive, send)
