"""How the made-up HubSpot spells times, errors and ids on the wire. Decides nothing about records."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from starlette.responses import Response

from connector.sandbox.control import json_response

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GOLDEN = 0x9E3779B97F4A7C15F39CC0605CEDC835  # odd, so no two numbers below 2**128 collide
_MASK = (1 << 128) - 1


class Refused(Exception):
    """A request that HubSpot answers with an error. The body is the one on the wire; `headers` go with it."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As it leaves."""
        if isinstance(self.body, str):
            return Response(self.body, self.status, self.headers, media_type="text/html")
        return json_response(self.body, self.status, self.headers)


def problem(status: int, category: str, message: str, **more: Any) -> Refused:
    """An error in HubSpot's usual shape (developers.hubspot.com, "Error handling")."""
    return Refused(status, error_body(category, message, **more))


def error_body(category: str, message: str, **more: Any) -> dict[str, Any]:
    """The JSON of an error."""
    return {
        "status": "error",
        "message": message,
        "correlationId": str(uuid.uuid4()),
        "category": category,
        **more,
    }


def invalid(message: str, **more: Any) -> Refused:
    """400 VALIDATION_ERROR."""
    return problem(400, "VALIDATION_ERROR", message, **more)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of an aware time."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Aware UTC."""
    return _EPOCH + timedelta(milliseconds=ms)


def iso(ms: int) -> str:
    """`2026-11-22T10:00:00.123Z`; whole seconds come without fractions, as they do from HubSpot."""
    grain = "milliseconds" if ms % 1000 else "seconds"
    return from_ms(ms).replace(tzinfo=None).isoformat(timespec=grain) + "Z"


def made_uuid(n: int, kind: int) -> str:
    """The n-th made-up UUID of a kind: looks random, is not, and costs little."""
    digits = f"{(n + 1) * _GOLDEN + kind & _MASK:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@lru_cache(maxsize=50_000)
def read_ms(text: str) -> int | None:
    """Epoch milliseconds of what a client or a stored value says: digits, a date or ISO 8601.

    None: not a time.
    """
    try:
        if text.lstrip("-").isdigit():
            return int(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def batch_reply(
    results: list[Any], errors: list[Any], now: int, *, dated_200: bool = False, created: bool = False
) -> Response:
    """The envelope of a batch: 200 (201), or 207 when some entries failed.

    From 2026-09 on the specification knows only 200 for batches.
    """
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": iso(now),
        "completedAt": iso(now),
    }
    status = 201 if created else 200
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
        status = 200 if dated_200 else 207
    return json_response(body, status)
