"""What every endpoint of the made-up HubSpot shares: one account's parts, and the order in which a call is
checked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.hubspot.sandbox.gate import Gate
from adapters.hubspot.sandbox.search import Search
from adapters.hubspot.sandbox.store import Store
from adapters.hubspot.sandbox.table import Table
from adapters.hubspot.sandbox.wire import Refused, invalid, problem
from connector.sandbox.server import count_under

LONGEST_URL = 16_000  # bytes; beyond, HubSpot's edge answers 414
DATED = ("2025-09", "2026-03", "2026-09")


@dataclass(frozen=True, slots=True)
class Api:
    """The parts of one account."""

    store: Store
    gate: Gate
    search: Search
    longest_url: int = LONGEST_URL

    def table(self, request: Request, name: str = "type") -> Table:
        """The table named in the path. Raises Refused with 404."""
        found = self.store.table(request.path_params[name])
        if found is None:
            kind = request.path_params[name]
            raise problem(400, "VALIDATION_ERROR", f"Unable to infer object type from: {kind}")
        return found


Handler = Callable[[Api, Request, Any], Response]
ScopeOf = Callable[[Api, Request], str]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: under which paths, which scope it needs, which rate window counts it."""

    method: str
    paths: tuple[str, ...]
    handler: Handler
    scope: str | ScopeOf = ""
    policy: str = "general"

    def routes(self, api: Api) -> list[Route]:
        """Its routes, one per path."""
        return [Route(path, _checked(api, self), methods=[self.method]) for path in self.paths]


def _checked(api: Api, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        raw = await request.body()
        headers: dict[str, str] = {}
        try:
            if len(request.url.path) + len(request.url.query) > api.longest_url:
                raise Refused(414, "<html><body><h1>414 Request-URI Too Large</h1></body></html>")
            version = request.path_params.get("version")
            if version is not None and version not in DATED:
                raise Refused(404, "<html><body>Error 404 Not Found</body></html>")
            scopes = api.gate.scopes(request)
            count_under(request, endpoint.policy)
            headers = api.gate.count(endpoint.policy, granted=api.gate.is_granted(request))
            needed = endpoint.scope if isinstance(endpoint.scope, str) else endpoint.scope(api, request)
            api.gate.allow(scopes, needed)
            api.store.workflows.settle()
            request.state.scopes = scopes
            request.state.size = len(raw)
            response = endpoint.handler(api, request, _body(raw))
        except Refused as refused:
            response = refused.response()
        response.headers.update(headers)
        return response

    return answer


def _body(raw: bytes) -> Any:
    if not raw:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise invalid("Invalid input JSON on line 1, column 1: Unable to parse the body.") from None
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON: the body must be an object.")
    return body


def whole(request: Request, name: str, default: int) -> int:
    """A query parameter that must be a whole number."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not text.isdigit():
        raise invalid(f"Invalid {name}: {text[:40]!r} is not a number")
    return int(text)


def names(request: Request, name: str) -> list[str]:
    """A query parameter that lists names, by commas or by repetition."""
    given = request.query_params.getlist(name)
    return [part for text in given for part in text.split(",") if part]


def flag(request: Request, name: str) -> bool:
    """A query parameter that is true or not."""
    return request.query_params.get(name, "false").lower() == "true"
