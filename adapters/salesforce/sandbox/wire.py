"""One request and one answer, apart from HTTP, so that a composite request can carry many. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = Any

DAILY_LIMIT = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
CONCURRENT_LIMIT = [
    {
        "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
        "errorCode": "REQUEST_LIMIT_EXCEEDED",
    }
]
JWT_EXPIRED = [{"message": "INVALID_JWT_FORMAT", "errorCode": "INVALID_JWT_FORMAT"}]
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


@dataclass(frozen=True, slots=True)
class Call:
    """A request below `/services/data/vNN.0`. `parts` are the path's segments, percent-decoded one by one."""

    method: str
    parts: tuple[str, ...]
    version: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names
    body: Json = None
    admin: bool = False  # an administrator's session, which may change the org itself

    def flag(self, header: str, name: str) -> bool:
        """Whether a header such as `Sforce-Duplicate-Rule-Header: allowSave=true` sets `name` to true."""
        pairs = self.headers.get(header, "").lower().replace(" ", "").split(";")
        return f"{name.lower()}=true" in pairs


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: JSON, CSV as bytes, or no body with 204."""

    status: int = 200
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The whole request is answered with one error, as Salesforce's array of one."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(status, [{"message": message, "errorCode": code}])


NOT_FOUND = Refused(404, "NOT_FOUND", "The requested resource does not exist")


def split_url(url: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Segments and query of a host-relative URL. A slash written as `%2F` stays inside its segment."""
    found = urlsplit(url)
    parts = tuple(unquote(part) for part in found.path.split("/") if part)
    return parts, dict(parse_qsl(found.query, keep_blank_values=True))
