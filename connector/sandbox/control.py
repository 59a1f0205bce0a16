"""The control surface under `/_sandbox`: read the logs, inject faults, move the clock, edit records as a
salesperson would.

No part of any vendor's API; a connector must never call it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Faults
from connector.sandbox.log import SandboxLog

PREFIX = "/_sandbox"


class SandboxStore(Protocol):
    """What the control surface asks of a vendor's store. Names and values are spelled as the vendor spells
    them.

    Everything here is done "by a user": it moves the record's own last-modified stamp and is logged with
    `by="user"`. An unknown record raises LookupError, a field or action that makes no sense ValueError.
    """

    def counts(self) -> Mapping[str, int]:
        """How many rows there are per object, dead ones included."""
        ...

    def raw(self, object: str, id: str) -> Mapping[str, Any]:
        """The record as it truly stands, dead or alive."""
        ...

    def edit(self, object: str, id: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Set fields; returns the record as `raw` does."""
        ...

    def create(self, object: str, fields: Mapping[str, Any]) -> str:
        """Create a record; returns its id."""
        ...

    def act(self, object: str, id: str, action: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """A vendor's own action: merge, archive, restore, convert, ... Returns what came of it."""
        ...


def control_routes(store: SandboxStore, clock: SandboxClock, faults: Faults, log: SandboxLog) -> list[Route]:
    """The routes of one sandbox."""

    async def calls(request: Request) -> Response:
        return json_response([_plain(call) for call in log.calls(request.query_params.get("path", ""))])

    async def writes(request: Request) -> Response:
        asked = request.query_params
        found = log.writes(asked.get("object", ""), asked.get("id", ""), asked.get("by", ""))
        return json_response([{**_plain(write), "changed": write.changed} for write in found])

    async def clear_log(request: Request) -> Response:
        log.clear()
        return Response(status_code=204)

    async def add_fault(request: Request) -> Response:
        return json_response({"id": faults.add(**await _object(request))}, 201)

    async def list_faults(request: Request) -> Response:
        return json_response(faults.state())

    async def clear_faults(request: Request) -> Response:
        faults.clear()
        return Response(status_code=204)

    async def read_clock(request: Request) -> Response:
        return json_response({"now": clock.now()})

    async def move_clock(request: Request) -> Response:
        asked = await _object(request)
        if "now" in asked:
            clock.set(datetime.fromisoformat(str(asked["now"])))
        if "advance_seconds" in asked:
            clock.advance(timedelta(seconds=float(asked["advance_seconds"])))
        return json_response({"now": clock.now()})

    async def read_record(request: Request) -> Response:
        return json_response(store.raw(request.path_params["object"], request.path_params["id"]))

    async def edit_record(request: Request) -> Response:
        where = request.path_params
        return json_response(store.edit(where["object"], where["id"], await _object(request)))

    async def create_record(request: Request) -> Response:
        return json_response({"id": store.create(request.path_params["object"], await _object(request))}, 201)

    async def act_on_record(request: Request) -> Response:
        where = request.path_params
        return json_response(store.act(where["object"], where["id"], where["action"], await _object(request)))

    async def counts(request: Request) -> Response:
        return json_response(store.counts())

    return [
        Route(PREFIX + path, _guarded(endpoint), methods=[method])
        for method, path, endpoint in (
            ("GET", "/calls", calls),
            ("GET", "/writes", writes),
            ("DELETE", "/log", clear_log),
            ("POST", "/faults", add_fault),
            ("GET", "/faults", list_faults),
            ("DELETE", "/faults", clear_faults),
            ("GET", "/clock", read_clock),
            ("POST", "/clock", move_clock),
            ("GET", "/counts", counts),
            ("GET", "/records/{object}/{id}", read_record),
            ("PATCH", "/records/{object}/{id}", edit_record),
            ("POST", "/records/{object}", create_record),
            ("POST", "/records/{object}/{id}/{action}", act_on_record),
        )
    ]


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer, by orjson."""
    raw = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    return Response(raw, status, headers, media_type="application/json")


def _guarded(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except LookupError as missing:
            return json_response({"error": str(missing.args[0]) if missing.args else "Not found."}, 404)
        except (ValueError, TypeError) as wrong:
            return json_response({"error": str(wrong)}, 400)

    return answer


async def _object(request: Request) -> dict[str, Any]:
    raw = await request.body()
    body = orjson.loads(raw) if raw else {}
    if not isinstance(body, dict):
        raise ValueError("The sandbox control surface takes a JSON object.")
    return body


def _plain(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__slots__}
