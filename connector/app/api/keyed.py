"""Around each write of the API: its body is whole and not too large, and under an `Idempotency-Key` it is done once.

Under a key that the caller has used before, the answer of then is given again for 24 hours (`Idempotency-Replayed:
true`); another request under it is 422, one that is still under way 409. Whether a request that broke off had done
anything is known by the ledger, which marks the key in the commit of the first thing that is kept: without that mark
the key is free again, with it nobody can give the lost answer any more, and it is 409. A refusal before anything was
kept uses up no key either. (IETF draft-ietf-httpapi-idempotency-key-header)
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.app.access import LOCAL, SAFE, Access
from connector.app.api.problems import of_error, problem
from connector.app.leases import held
from connector.app.token_lookup import RefusedError
from connector.app.wiring import Wired
from connector.errors import ConnectorError, LeaseBusy
from connector.ports import KeptAnswer, KeptKey, key_lease

LARGEST = 1024 * 1024  # bytes of a body
KEY = "idempotency-key"
REPLAYED = (b"idempotency-replayed", b"true")
KEPT_HEADERS = ("content-type", "location", "retry-after")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


_BUSY = problem(
    409,
    "A request under this Idempotency-Key is under way.",
    next_step="Send it again in a few seconds for its answer.",
    where="Idempotency-Key",
)


class Keyed:
    """ASGI middleware for everything below `/api/`."""

    def __init__(self, app: ASGIApp, parts: Wired, access: Access) -> None:
        self._app, self._parts, self._access = app, parts, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the module."""
        if scope["type"] != "http" or scope["method"] in SAFE or not scope["path"].startswith("/api/"):
            return await self._app(scope, receive, send)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            body = await _whole(receive, headers.get("content-length", ""))
        except ClientDisconnect:
            return None  # half a request is none
        if body is None:
            told = problem(
                413, "The body is larger than 1 MiB.", next_step="Send less at once.", where="body"
            )
            return await told(scope, receive, send)
        key = headers.get(KEY)
        caller = await self._caller(headers.get("authorization", "")) if key is not None else None
        if key is None or caller is None:  # who has no good token is told so by the route
            return await self._app(scope, _again(body, receive), send)
        if not _KEY.fullmatch(key):
            told = problem(
                400,
                "An Idempotency-Key is 1 to 255 printable characters without blanks.",
                next_step="Use a random UUID, the same whenever this very request is sent again.",
                where="Idempotency-Key",
            )
            return await told(scope, receive, send)
        await self._once(caller, key, body, scope, _again(body, receive), send)

    async def _caller(self, authorization: str) -> str | None:
        scheme, _, token = authorization.partition(" ")
        if not authorization:
            return None if await self._access.has_admin() else LOCAL.name
        try:
            return (await self._access.caller(token.strip())).name if scheme.lower() == "bearer" else None
        except (RefusedError, ConnectorError):
            return None

    async def _once(
        self, caller: str, key: str, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        ledger, clock = self._parts.ledger, self._parts.clock
        attempt = secrets.token_hex(8)
        lease = key_lease(_digest(caller.encode(), key.encode()))
        messages: list[Message] = []
        try:
            # A holder of its own: two requests of one process are two.
            async with held(ledger, lease, f"{self._parts.holder}:{attempt}", clock, patience=timedelta()):
                wanted = _digest(
                    scope["method"].encode(), scope["path"].encode(), scope["query_string"], body
                )
                before = await ledger.begin_key(caller, key, wanted, attempt, clock.now())
                if before is not None:
                    messages = _of_before(before, wanted)
                else:
                    messages = await self._do(caller, key, attempt, scope, receive)
        except ConnectorError as error:
            if not messages:  # else it is done, and only the lease could not be given back
                told = _BUSY if isinstance(error, LeaseBusy) else of_error(error)
                messages = _messages(told.status_code, told.headers, bytes(told.body))
        for each in messages:
            await send(each)

    async def _do(self, caller: str, key: str, attempt: str, scope: Scope, receive: Receive) -> list[Message]:
        """The answer of the route, kept for whoever asks again; or the key dropped, where nothing was done."""
        ledger = self._parts.ledger
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        try:
            with ledger.under_key(caller, key, attempt):
                await self._app(scope, receive, collect)
        except BaseException:
            with suppress(ConnectorError):
                await ledger.drop_key(caller, key, attempt)  # kept where something was done
            raise
        answer = _answer(messages)
        with suppress(ConnectorError):  # the ledger is away: as if we had died before the answer
            if answer.status >= 300 and await ledger.drop_key(caller, key, attempt):
                return messages
            if answer.status < 500 and not _unkept(messages):
                await ledger.answer_key(caller, key, attempt, answer)
        return messages


async def _whole(receive: Receive, told: str) -> bytes | None:
    """The body; None: too large. ClientDisconnect where it ends before its end."""
    if told.isdecimal() and int(told) > LARGEST:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes after it."""
    first: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Message:
        return next(first, None) or await receive()

    return again


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _answer(messages: list[Message]) -> KeptAnswer:
    start = messages[0]
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    body = b"".join(each.get("body", b"") for each in messages[1:])
    return KeptAnswer(
        start["status"], {name: headers[name] for name in KEPT_HEADERS if name in headers}, body.decode()
    )


def _unkept(messages: list[Message]) -> bool:
    """Whether the answer says that nobody is to keep it: it tells of somebody who is erased."""
    return any(
        name.lower() == b"cache-control" and b"no-store" in value for name, value in messages[0]["headers"]
    )


def _of_before(before: KeptKey, fingerprint: str) -> list[Message]:
    """What is told to whoever comes again with this key."""
    if before.fingerprint != fingerprint:
        return _problem(
            422,
            "This Idempotency-Key was used for another request.",
            "Use a new key for each thing that you want, and the same one for sending it again.",
        )
    if before.answer is None:
        return _problem(
            409,
            "A request under this Idempotency-Key broke off after something of it was done; its answer is lost.",
            "Look at what stands now (`/api/v1/requests`), then ask for what is still missing under another key.",
        )
    return _messages(before.answer.status, before.answer.headers, before.answer.body.encode(), REPLAYED)


def _problem(status: int, detail: str, next_step: str) -> list[Message]:
    told = problem(status, detail, next_step=next_step, where="Idempotency-Key")
    return _messages(status, told.headers, bytes(told.body))


def _messages(
    status: int, headers: Mapping[str, str], body: bytes, *more: tuple[bytes, bytes]
) -> list[Message]:
    kept = {name: value for name, value in headers.items() if name != "content-length"}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.items()]
    length = (b"content-length", str(len(body)).encode())
    return [
        {"type": "http.response.start", "status": status, "headers": [*pairs, length, *more]},
        {"type": "http.response.body", "body": body},
    ]
