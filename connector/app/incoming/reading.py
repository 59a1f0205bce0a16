"""Read a body that a stranger sends: never more than is allowed, packed or not. Decides nothing of what it says."""

from __future__ import annotations

import zlib

import orjson
from starlette.requests import ClientDisconnect, Request

from connector.core.model import JsonValue

_AS_GZIP = 16 + zlib.MAX_WBITS


class Refused(Exception):
    """The request is answered with this status and sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


async def read_body(request: Request, most: int) -> bytes:
    """The body, unpacked where it is gzip. Raises Refused: 413 beyond `most` bytes, 415 and 400 for what cannot be
    read."""
    packing = request.headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip"):
        raise Refused(415, "The body is packed by something else than gzip.")
    parts: list[bytes] = []
    size = 0
    unpack = zlib.decompressobj(_AS_GZIP) if packing == "gzip" else None
    try:
        async for chunk in request.stream():
            if unpack is not None:
                chunk = unpack.decompress(chunk, most - size + 1)
            size += len(chunk)
            if size > most:
                raise Refused(413, f"The body is larger than {most // 1000} KB.")
            parts.append(chunk)
    except zlib.error:
        raise Refused(400, "The body is no gzip.") from None
    except ClientDisconnect:
        raise Refused(400, "The connection ended within the body.") from None
    if unpack is not None and not unpack.eof:
        raise Refused(400, "The body ends within its gzip.")
    return b"".join(parts)


def read_document(body: bytes) -> JsonValue:
    """The JSON. Raises Refused with 400."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "The body is no JSON.") from None
