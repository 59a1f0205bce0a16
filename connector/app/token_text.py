"""What a token of the connector looks like. Keeps nothing.

`mqlc_`, then 43 characters, base64url of 256 random bits, then six, base64url of the CRC-32 of all before. By prefix
and checksum a scanner of repositories and logs knows one from any other text, and a mistyped one is told apart from one
that nobody knows, without asking the ledger.

The ledger holds SHA-256 of it. Slow hashes (bcrypt, scrypt, Argon2) are for passwords, which people choose and others
can guess; of 256 random bits nobody tries even a small part, so a slow one would keep nobody out and make all requests
slow (NIST SP 800-63B 5.1.2.2 asks for one only of look-up secrets with less than 112 bits).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import zlib

PREFIX = "mqlc_"
RANDOM = 32  # bytes
_SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{49}}")


def new_token() -> str:
    """One that nobody has had before."""
    body = PREFIX + _text(secrets.token_bytes(RANDOM))
    return body + _checksum(body)


def is_whole(token: str) -> bool:
    """Whether this is a token as it was made, down to the last character."""
    return _SHAPE.fullmatch(token) is not None and _checksum(token[:-6]) == token[-6:]


def hash_of(token: str) -> str:
    """By which the ledger knows it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _text(zlib.crc32(body.encode()).to_bytes(4, "big"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
