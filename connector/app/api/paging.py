"""Lists in pieces: `limit`, an opaque `cursor`, and where the next piece is, in the body and as a `Link` header.

A cursor holds the key of the last row of a piece, and of which list it is. It is no secret and gives no right: whoever
makes one up sees what any cursor shows, from another place on.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError

T = TypeVar("T")
DEFAULT, MOST = 50, 200
LARGEST = 2**63 - 1  # of a number that both databases hold


@dataclass(frozen=True, slots=True)
class Paged:
    """Which piece of a list somebody asks for, as a dependency: `paged: Annotated[Paged, Depends(paged)]`."""

    request: Request
    response: Response
    limit: int
    cursor: str | None

    def after(self, name: str, *kinds: type) -> tuple[Any, ...] | None:
        """The key to go on from in the list of this name, of values of these kinds; None: from its beginning. A cursor
        of another list, or none at all, is a 422."""
        if self.cursor is None:
            return None
        found = _read(self.cursor)
        if not isinstance(found, list) or found[:1] != [name] or len(found) != len(kinds) + 1:
            raise _unusable()
        return tuple(_as(kind, each) for kind, each in zip(kinds, found[1:], strict=True))

    def number(self, name: str) -> int | None:
        """The same where the key is one number."""
        found = self.after(name, int)
        return found[0] if found is not None else None

    def next(self, name: str, *key: float | int) -> str:
        """Where the piece after this key is, as a path with its query. Told in the `Link` header, too."""
        cursor = base64.urlsafe_b64encode(orjson.dumps([name, *key])).decode().rstrip("=")
        url = self.request.url.include_query_params(cursor=cursor)
        path = f"{url.path}?{url.query}"
        self.response.headers["Link"] = f'<{path}>; rel="next"'
        return path

    def cut(self, name: str, rows: Sequence[T], key: Callable[[T], int]) -> tuple[Sequence[T], str | None]:
        """Of one row more than asked for: the piece, and where the next one is, if there is one."""
        piece = rows[: self.limit]
        return piece, self.next(name, key(piece[-1])) if len(rows) > self.limit else None


def _paged(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=MOST, description="So many at most")] = DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=300, description="Where to go on: taken from `next`, not made up")
    ] = None,
) -> Paged:
    return Paged(request, response, limit, cursor)


Page = Annotated[Paged, Depends(_paged)]


def _read(cursor: str) -> Any:
    try:
        return orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _unusable() from None


def _as(kind: type, value: Any) -> Any:
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is int and type(value) is int and 0 <= value <= LARGEST:
        return value
    raise _unusable()


def _unusable() -> RequestValidationError:
    wrong = {
        "loc": ("query", "cursor"),
        "msg": "This is no cursor of this list; begin without one",
        "type": "cursor",
    }
    return RequestValidationError([wrong])
