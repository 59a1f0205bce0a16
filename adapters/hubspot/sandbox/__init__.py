"""A HubSpot account on loopback, as awkward as the real one: `build` makes it from the shared population.

Holds no vendor code and no real data, and serves nothing by itself: connector/sandbox/server.py does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import fields
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.hubspot.sandbox import (
    definitions,
    events,
    flows,
    lists,
    marketing,
    objects,
    occurrences,
    upsert,
)
from adapters.hubspot.sandbox.api import LONGEST_URL, Api
from adapters.hubspot.sandbox.gate import (
    CLIENT_ID,
    CLIENT_SECRET,
    FULL_TOKEN,
    PER_DAY,
    PORTAL,
    REFRESH_TOKEN,
    SCOPES,
    SHAPES,
    Gate,
)
from adapters.hubspot.sandbox.habits import Habits
from adapters.hubspot.sandbox.search import Search
from adapters.hubspot.sandbox.seed import fill
from adapters.hubspot.sandbox.store import Store
from adapters.hubspot.sandbox.wire import Refused
from connector.sandbox.cast import Population
from connector.sandbox.clock import SandboxClock
from connector.sandbox.control import json_response
from connector.sandbox.log import SandboxLog
from connector.sandbox.server import SandboxApp, sandbox_app

__all__ = ["build"]


def build(
    population: Population,
    clock: SandboxClock,
    *,
    strict_limits: bool = True,
    with_mql_fields: bool = True,
    index_lag_seconds: float = 2.0,
    merge_keeps_primary: bool = False,
    per_day: int = PER_DAY,
    oauth: bool = False,
    rotates_grant: bool = False,
    grants: Iterable[str] = SCOPES,
    portal: int = PORTAL,
    limited_as: str = "errorType",
    longest_url: int = LONGEST_URL,
    merged_read: str = "told",
    links_touch: bool = False,
    latency: float = 0.0,
    **options: Any,
) -> SandboxApp:
    """A made-up HubSpot with these people.

    `strict_limits=False` answers no 429. `options` are those of `habits.Habits`. `oauth` hands out client id,
    secret and refresh token in place of a static token, `rotates_grant` another refresh token with each access
    token; the app was installed with the scopes `grants`. `limited_as` is how a 429 says so: by `errorType`, by
    `category`, or as a `page`. An address longer than `longest_url` answers 414. `merged_read`: a batch read leaves
    out merged ids and has `told` so, or is `silent`. `links_touch`: a changed association moves the last-modified
    stamp. `latency` is in seconds per call. Raises TypeError on an unknown option.
    """
    unknown = options.keys() - {each.name for each in fields(Habits)}
    if unknown:
        raise TypeError(f"The HubSpot sandbox has no option {', '.join(sorted(unknown))}.")
    if limited_as not in SHAPES or merged_read not in ("told", "silent"):
        raise ValueError(
            "limited_as is `errorType`, `category` or `page`, merged_read is `told` or `silent`."
        )
    log = SandboxLog()
    store = Store(
        clock,
        log,
        with_mql_fields=with_mql_fields,
        index_lag_seconds=index_lag_seconds,
        merge_keeps_primary=merge_keeps_primary,
        habits=Habits(**options),
        merged_read=merged_read,
        links_touch=links_touch,
    )
    fill(store, population)
    gate = Gate(
        clock,
        strict=strict_limits,
        per_day=per_day,
        portal=portal,
        rotates=rotates_grant,
        revoked=store.revoked,
        grants=frozenset(grants),
        shape=limited_as,
    )
    api = Api(store, gate, Search(store.linked), longest_url)
    # Links of one record share a prefix with records by id, so the longer paths come first.
    endpoints = (
        *events.ENDPOINTS,
        *marketing.ENDPOINTS,
        *occurrences.ENDPOINTS,
        *definitions.ENDPOINTS,
        *lists.ENDPOINTS,
        *flows.ENDPOINTS,
        *upsert.ENDPOINTS,
        *objects.ENDPOINTS,
    )
    routes = [route for endpoint in endpoints for route in endpoint.routes(api)]

    def environment(base_url: str) -> dict[str, str]:
        credentials = {"HUBSPOT_ACCESS_TOKEN": FULL_TOKEN}
        if oauth:
            credentials = {
                "HUBSPOT_CLIENT_ID": CLIENT_ID,
                "HUBSPOT_CLIENT_SECRET": CLIENT_SECRET,
                "HUBSPOT_REFRESH_TOKEN": REFRESH_TOKEN,
            }
        return {"HUBSPOT_BASE_URL": base_url, **credentials}

    return sandbox_app(
        "hubspot",
        [*_token_routes(gate), *routes],
        store=store,
        clock=clock,
        log=log,
        environment=environment,
        empty_page={"results": []},
        exception_handlers={HTTPException: _unknown_path},
        request_id_header="x-hubspot-correlation-id",
        latency=latency,
    )


def _token_routes(gate: Gate) -> list[Route]:
    def form_of(
        answer: Callable[[dict[str, str]], dict[str, Any]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode()))
            try:
                return json_response(answer(form))
            except Refused as refused:
                return refused.response()

        return handle

    versions = ("v1", "v3", "2026-03", "2026-09")
    return [
        *(Route(f"/oauth/{each}/token", form_of(gate.grant), methods=["POST"]) for each in versions),
        *(
            Route(f"/oauth/{each}/token/introspect", form_of(gate.introspect), methods=["POST"])
            for each in versions[1:]
        ),
    ]


async def _unknown_path(request: Request, error: Exception) -> Response:
    """Retired and unknown paths answer with a page, not with JSON."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return Response(f"<html><body>Error {status}</body></html>", status, media_type="text/html")
