"""How an error that nobody foresaw stands in the log: its class, and where it came from. What it says may quote
somebody's data, so it is left out, but for errors of our own, which never do, and where the level is `debug`; then
without secrets and addresses, as every line is.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from traceback import extract_tb
from typing import Any

from connector.errors import ConnectorError
from connector.transport.redact import scrub

DEEPEST = 8  # frames of each error
LONGEST = 5  # errors that led to one another
Event = MutableMapping[str, Any]


def frames_of(error: BaseException, deepest: int = DEEPEST) -> list[str]:
    """The innermost places that it came through, the last one last."""
    found = [f"{each.name} ({each.filename}:{each.lineno})" for each in extract_tb(error.__traceback__)]
    return found[-deepest:]


def without_text(*, debug: bool) -> Callable[[object, str, Event], Event]:
    """A structlog processor: `exc_info` as class and frames of the error and of what led to it."""

    def processor(logger: object, method: str, event: Event) -> Event:
        record = event.get("_record")
        if isinstance(record, logging.LogRecord) and record.name == "asyncio":
            # Its further lines show the task with the error in it, text and all.
            event["event"] = str(event["event"]).partition("\n")[0]
        error = _error(event.pop("exc_info", None))
        if error is not None:
            event["raised"] = [_told(each, debug) for each in _chain(error)]
        return event

    return processor


def last_words(error: Exception, *, debug: bool) -> str:
    """In place of Python's own at the end of a process, which repeat what the error says."""
    lines = []
    for each in reversed(_chain(error)):
        told = _told(each, debug)
        lines += [f"{told['error']}: {told['says']}" if "says" in told else told["error"], *told["frames"]]
    return "\n".join(
        [*lines, "Nobody foresaw this. Report it; CONNECTOR_LOG_LEVEL=debug shows what it says.", ""]
    )


def _error(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    told = exc_info if isinstance(exc_info, tuple) or not exc_info else sys.exc_info()
    found = told[1] if told else None
    return found if isinstance(found, BaseException) else None


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and what led to it."""
    found = [error]
    while len(found) < LONGEST:
        last = found[-1]
        led = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if led is None:
            break
        found.append(led)
    return found


def _told(error: BaseException, debug: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"error": type(error).__name__, "frames": frames_of(error)}
    if debug or isinstance(error, ConnectorError):
        told["says"] = scrub(str(error))
    return told
