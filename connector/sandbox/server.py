"""Serves sandboxes on loopback ports from one thread, and applies what all of them share: faults, log,
request ids, gzip.

Knows no vendor: an adapter's sandbox brings its routes, its store and the look of its empty page.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import tempfile
import uuid
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, TypeVar

import orjson
import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from connector.sandbox.clock import SandboxClock
from connector.sandbox.control import PREFIX, SandboxStore, control_routes
from connector.sandbox.faults import Fault, Faults, without_rows
from connector.sandbox.log import Call, SandboxLog

GZIP_FROM = 1_000  # bytes; below that it costs more than it saves
START_SECONDS = 10.0
HOST = "127.0.0.1"
_CLOSE = "connector.sandbox.close"
_POLICY = "connector.sandbox.policy"

logger = logging.getLogger("connector.sandbox")
T = TypeVar("T")


@dataclass(frozen=True)
class SandboxApp:
    """A made-up CRM, ready to be served.

    `environment(base_url)` gives the variables a connector needs to reach it.
    """

    crm: str
    app: ASGIApp
    environment: Callable[[str], dict[str, str]]
    clock: SandboxClock
    faults: Faults
    log: SandboxLog
    store: SandboxStore


def sandbox_app(
    crm: str,
    routes: Sequence[BaseRoute],
    *,
    store: SandboxStore,
    clock: SandboxClock,
    log: SandboxLog,
    environment: Callable[[str], dict[str, str]],
    empty_page: Any,
    exception_handlers: Mapping[Any, Callable[[Request, Exception], Any]] | None = None,
    request_id_header: str = "x-request-id",
    latency: float = 0.0,
) -> SandboxApp:
    """Put a vendor's routes together with the control surface, behind faults, log, request ids and gzip.

    `store` must log its writes to the same `log`. `empty_page` is what the fault `empty` answers with.
    `latency` is in seconds and added to every vendor call.
    """
    faults = Faults()
    inner = Starlette(
        routes=[*control_routes(store, clock, faults, log), *routes],
        exception_handlers=dict(exception_handlers or {}),
    )
    edge = _Edge(inner, clock, faults, log, orjson.dumps(empty_page), request_id_header, latency)
    return SandboxApp(crm, edge, environment, clock, faults, log, store)


def count_under(request: Request, policy: str) -> None:
    """Say in the call log which rate window counted this request."""
    request.scope[_POLICY] = policy


class RunningSandbox:
    """A sync handle to one served sandbox, for tests in the same process.

    Store calls run on the server's thread.
    """

    def __init__(self, sandbox: SandboxApp, url: str, run: Callable[[Callable[[], Any]], Any]) -> None:
        self.sandbox = sandbox
        self.url = url
        self.clock = sandbox.clock
        self.faults = sandbox.faults
        self.log = sandbox.log
        self._run = run

    def environment(self) -> dict[str, str]:
        """The variables a connector needs to reach this one."""
        return self.sandbox.environment(self.url)

    def counts(self) -> Mapping[str, int]:
        """Rows per object."""
        return self._ask(lambda: self.sandbox.store.counts())

    def raw(self, object: str, id: str) -> Mapping[str, Any]:
        """The record as it truly stands."""
        return self._ask(lambda: self.sandbox.store.raw(object, id))

    def edit(self, object: str, id: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Edit a record as a salesperson would."""
        return self._ask(lambda: self.sandbox.store.edit(object, id, fields))

    def create(self, object: str, fields: Mapping[str, Any]) -> str:
        """Create a record as a salesperson would; returns its id."""
        return self._ask(lambda: self.sandbox.store.create(object, fields))

    def act(self, object: str, id: str, action: str, **arguments: Any) -> Mapping[str, Any]:
        """A vendor's action: merge, archive, restore, convert, ..."""
        return self._ask(lambda: self.sandbox.store.act(object, id, action, arguments))

    def _ask(self, question: Callable[[], T]) -> T:
        answer: T = self._run(question)
        return answer


class RunningSandboxes:
    """Sandboxes that are up. A context manager; `running["hubspot"]` is the handle of one."""

    def __init__(self, apps: Sequence[SandboxApp], port: int, tls: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sandbox-tls-") if tls else None
        self.ca_path: Path | None = None
        certificate: dict[str, Any] = {}
        if self._folder is not None:
            self.ca_path, certificate = _certificate(Path(self._folder.name))
        self._loop = asyncio.new_event_loop()
        self._servers: list[tuple[uvicorn.Server, socket.socket]] = []
        self._handles: dict[str, RunningSandbox] = {}
        scheme = "https" if tls else "http"
        for offset, app in enumerate(apps):
            listener = _listen(port + offset if port else 0)
            url = f"{scheme}://{'localhost' if tls else HOST}:{listener.getsockname()[1]}"
            config = uvicorn.Config(
                app.app,
                http=_Closable,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,  # the sandbox's own clock says what time it is
                timeout_graceful_shutdown=1,
                timeout_keep_alive=60,
                **certificate,
            )
            self._servers.append((uvicorn.Server(config), listener))
            self._handles[app.crm] = RunningSandbox(app, url, self._run)
        self._failed: BaseException | None = None
        self._up = Event()
        self._thread = Thread(target=self._serve, name="sandboxes", daemon=True)
        self._thread.start()
        if not self._up.wait(START_SECONDS) or self._failed is not None:
            self.stop()
            raise RuntimeError(f"The sandboxes did not start: {self._failed or 'timed out'}.")

    def __getitem__(self, crm: str) -> RunningSandbox:
        return self._handles[crm]

    def __enter__(self) -> RunningSandboxes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def crms(self) -> tuple[str, ...]:
        """Which ones are up."""
        return tuple(self._handles)

    def url(self, crm: str) -> str:
        """Base URL, without a slash at the end."""
        return self._handles[crm].url

    def environment(self) -> dict[str, str]:
        """All variables together. With TLS also `SSL_CERT_FILE`, the throw-away CA."""
        variables: dict[str, str] = {}
        for handle in self._handles.values():
            variables.update(handle.environment())
        if self.ca_path is not None:
            variables["SSL_CERT_FILE"] = str(self.ca_path)
        return variables

    def stop(self) -> None:
        """Close all connections and give the ports back. Safe to call twice."""
        for server, _ in self._servers:
            server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(START_SECONDS)
        for _, listener in self._servers:
            listener.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _run(self, question: Callable[[], Any]) -> Any:
        """On the server's thread, so that records change only between two requests."""
        if not self._thread.is_alive():
            return question()
        answer: Future[Any] = Future()

        def ask() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # it belongs to the caller, whatever it is
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(ask)
        return answer.result(60)

    def _serve(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._serve_all())
        except BaseException as error:
            self._failed = error
        finally:
            self._up.set()
            self._loop.close()

    async def _serve_all(self) -> None:
        running = [asyncio.ensure_future(server.serve([listener])) for server, listener in self._servers]
        while not all(server.started for server, _ in self._servers):
            if any(task.done() for task in running):
                break
            await asyncio.sleep(0.002)
        self._up.set()
        await asyncio.gather(*running)


def serve(apps: Sequence[SandboxApp], *, port: int = 0, tls: bool = False) -> RunningSandboxes:
    """Serve each app on its own loopback port: any free one, or `port`, `port + 1`, ...

    Returns when all answer.
    """
    return RunningSandboxes(apps, port, tls)


class _Closable(H11Protocol):
    """Lets an app close the connection without an answer, as networks do."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        app = self.app

        async def closable(scope: Any, receive: Any, send: Any) -> None:
            scope[_CLOSE] = self._close
            await app(scope, receive, send)

        self.app = closable

    def _close(self) -> None:
        self.transport.abort()


class _Edge:
    """Outermost layer of a sandbox.

    Reads the request, lets a fault have its way, answers whole, logs the call.
    """

    def __init__(
        self,
        inner: ASGIApp,
        clock: SandboxClock,
        faults: Faults,
        log: SandboxLog,
        empty_page: bytes,
        request_id_header: str,
        latency: float,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._faults = faults
        self._log = log
        self._empty_page = empty_page
        self._request_id_header = request_id_header.lower().encode()
        self._latency = latency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(PREFIX):
            await self._inner(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        query = scope["query_string"].decode("latin-1")
        body = await _whole(receive)
        at = self._clock.now()
        request_id = str(uuid.uuid4())
        taken = self._faults.take(method, path, query, body)
        fault_id, fault = taken if taken else (None, None)
        if self._latency or (fault and fault.delay):
            await asyncio.sleep(self._latency + (fault.delay if fault else 0.0))

        answer = None if fault and fault.drop else await self._answer(fault, scope, body)
        if fault and fault.drop_after:
            answer = None
        self._log.add_call(
            Call(
                method,
                path,
                query,
                answer.status if answer else 0,
                at,
                scope.get(_POLICY, ""),
                request_id,
                fault_id,
            )
        )
        if answer is None:
            await _hang_up(scope, receive, send)
            return
        if fault and fault_id and fault.lose:
            fewer = without_rows(answer.body, fault.lose) if answer.status == 200 else None
            if fewer is None:
                self._faults.give_back(fault_id)
            answer.body = answer.body if fewer is None else fewer
        if fault and fault.half:
            answer.body = answer.body[: len(answer.body) // 2]
        await self._send(answer, scope, send, request_id)

    async def _answer(self, fault: Fault | None, scope: Scope, body: bytes) -> _Answer:
        if fault is not None and fault.status is not None:
            return _scripted(fault, fault.status)
        if fault is not None and fault.empty:
            raw = b"" if fault.empty == "body" else self._empty_page
            return _Answer(200, [(b"content-type", b"application/json;charset=utf-8")], raw)
        answer = _Answer()
        try:
            await self._inner(scope, _replay(body), answer.take)
        except Exception:
            logger.exception("sandbox: %s %s failed", scope["method"], scope["path"])
            return _Answer(500, [(b"content-type", b"text/plain")], b"Internal Server Error")
        return answer

    async def _send(self, answer: _Answer, scope: Scope, send: Send, request_id: str) -> None:
        dropped = (b"content-length", b"date")
        headers = [(name, value) for name, value in answer.headers if name.lower() not in dropped]
        names = {name.lower() for name, _ in headers}
        headers.append((b"date", format_datetime(self._clock.now(), usegmt=True).encode()))
        if self._request_id_header not in names:
            headers.append((self._request_id_header, request_id.encode()))
        if len(answer.body) >= GZIP_FROM and b"content-encoding" not in names and _wants_gzip(scope):
            answer.body = gzip.compress(answer.body, 1)
            headers.append((b"content-encoding", b"gzip"))
        if answer.status not in (204, 304):
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": answer.body if answer.status not in (204, 304) else b""}
        )


class _Answer:
    """A whole answer in memory; `take` is an ASGI `send`."""

    def __init__(
        self, status: int = 500, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b""
    ) -> None:
        self.status = status
        self.headers = headers or []
        self.body = body

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


def _scripted(fault: Fault, status: int) -> _Answer:
    if fault.text is not None:
        kind, raw = b"text/html;charset=utf-8", fault.text.encode()
    elif fault.json is not None:
        kind, raw = b"application/json;charset=utf-8", orjson.dumps(fault.json)
    else:
        kind, raw = b"text/plain", b""
    headers = [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
    if all(name != b"content-type" for name, _ in headers):
        headers.append((b"content-type", kind))
    return _Answer(status, headers, raw)


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _replay(body: bytes) -> Receive:
    waiting: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    return receive


async def _hang_up(scope: Scope, receive: Receive, send: Send) -> None:
    close = scope.get(_CLOSE)
    if close is None:  # in-process transport: there is no connection to close
        raise ConnectionResetError("The sandbox dropped this connection on purpose.")
    close()
    while (await receive())["type"] != "http.disconnect":
        continue


def _wants_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where it sees that this is TCP; else each answer waits 40
    # ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    return listener


def _certificate(folder: Path) -> tuple[Path, dict[str, Any]]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", HOST)
    ca, key, chain = folder / "ca.pem", folder / "key.pem", folder / "chain.pem"
    authority.cert_pem.write_to_path(str(ca))
    issued.private_key_pem.write_to_path(str(key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    return ca, {"ssl_certfile": str(chain), "ssl_keyfile": str(key)}
