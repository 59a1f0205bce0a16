"""Around each HTTP request: its correlation id, in the log, in the answer and in whatever it starts; and a span.

The path is told as its route, since a path may name a person. Probes and readers of metrics leave no span.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from connector.app.observed import CORRELATION, correlation_id
from connector.app.tracing import span

HEADER = "x-correlation-id"
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class Observing:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the module."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        own = correlation_id(told.get(HEADER) or told.get("x-request-id"))
        with bound_contextvars(**{CORRELATION: own}):
            if scope["path"] in QUIET:
                return await self._app(scope, receive, _marked(send, own, {}))
            seen: dict[str, Any] = {
                "http__request__method": scope["method"],
                "connector__correlation_id": own,
            }
            parent = {name: told[name] for name in ("traceparent", "tracestate") if name in told}
            with span(scope["method"], seen, server=True, parent=parent) as note:
                answered: dict[str, Any] = {}
                try:
                    await self._app(scope, receive, _marked(send, own, answered))
                finally:
                    route = _declared(scope)
                    note(http__route=route, http__response__status_code=answered.get("status"))
                    note(name=f"{scope['method']} {route}" if route else scope["method"])


def _declared(scope: Scope) -> str | None:
    """The route as it is declared, with the prefix of the routers that hold it, which a route does not know."""
    own: str | None = getattr(scope.get("route"), "path", None)
    if own is None:
        return None
    parts = str(scope["path"]).split("/")
    return "/".join(parts[: len(parts) - own.count("/")]) + own


def _marked(send: Send, own: str, answered: dict[str, Any]) -> Send:
    """The answer, with the id as a header; `answered` gets its status."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered["status"] = message["status"]
            message["headers"] = [*message.get("headers", ()), (HEADER.encode(), own.encode())]
        await send(message)

    return marked
