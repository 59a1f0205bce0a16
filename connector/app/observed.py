"""Around a piece of work: its ids in every log line, a span in the traces, and under which feature its calls count.

Does none of the work. The correlation id is that of the HTTP request or command that asked for it, else a new one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace

from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars, unbind_contextvars

from connector.app.tracing import Note, route_of, span
from connector.pipeline import Watching
from connector.transport import Told

CORRELATION = "correlation_id"
OTHER = "other"  # calls that belong to no feature: a look at the account at start

_SANE = re.compile(r"[A-Za-z0-9._:-]{8,64}")

feature: ContextVar[str] = ContextVar("feature", default=OTHER)


def correlation_id(told: str | None = None) -> str:
    """The id that goes with what is done now: the one told, where it looks like one; else the present one, or a new."""
    if told and _SANE.fullmatch(told):
        return told
    return str(get_contextvars().get(CORRELATION) or secrets.token_hex(8))


@contextmanager
def work(name: str, correlation: str | None = None, **ids: str | int) -> Iterator[Note]:
    """A piece of work: `sync`, `backfill`, `apply`, `undo` ..., which is also the feature of its calls."""
    if feature.get() == name:  # it is under way already: whoever began it tells of it
        yield lambda **more: None
        return
    own = correlation_id(correlation)
    token = feature.set(name)
    try:
        told = {
            "connector__correlation_id": own,
            **{f"connector__{key}": value for key, value in ids.items()},
        }
        with bound_contextvars(**{CORRELATION: own}, **ids), span(name, told) as note:
            try:
                yield note
            finally:
                unbind_contextvars("run")
    finally:
        feature.reset(token)


def observed(watching: Watching, note: Note) -> Watching:
    """The same, telling logs and traces which run it is and in which phase."""

    def began(run: int) -> None:
        bind_contextvars(run=run)
        note(connector__run=run)
        watching.began(run)

    return replace(watching, began=began, phase=_phase)


def _phase(name: str) -> AbstractContextManager[object]:
    return span(name)


def calls_told(count: Callable[[str, str], None]) -> Callable[[str, str, str], AbstractContextManager[Told]]:
    """A watcher of the transport: a span around each request to a vendor, and `count` (vendor, feature) where one
    left."""

    @contextmanager
    def watcher(vendor: str, method: str, path: str) -> Iterator[Told]:
        route = route_of(path)
        told_of = {"peer__service": vendor, "http__request__method": method, "url__template": route}
        with span(f"{method} {route}", told_of, client=True) as note:

            def told(status: int) -> None:
                count(vendor, feature.get())
                note(http__response__status_code=status or None)

            yield told

    return watcher
