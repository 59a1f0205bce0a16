"""`connector serve`: the sidecar and its port, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress

import structlog
import uvicorn

from connector.app import tracing
from connector.app.access import Access
from connector.app.api import build_app, waiting_app
from connector.app.exits import FAILED, OK
from connector.app.incoming import doors_of
from connector.app.log import configure
from connector.app.observed import calls_told
from connector.app.rotation import EVERY, Rotation
from connector.app.settings import load_settings
from connector.app.sidecar import Sidecar
from connector.app.telling import read_targets
from connector.app.wiring import Wired, by_crm, plugins, wired
from connector.errors import FixConfig
from connector.ledger import LedgerAwayError
from connector.transport import watch_calls

log = structlog.get_logger("connector.serve")

TRY_AGAIN = 2.0  # seconds between two looks for a database that is away at the start
ANSWERS = 2  # seconds that a stop leaves to what is being answered over HTTP
LAST = 9.5  # seconds after which the process ends by itself, whatever still hangs: a container is killed after ten


def serve() -> int:
    """Run until stopped. FixConfig where settings, files or credentials are wrong."""
    settings = load_settings()
    configure(settings)
    access = Access.of(settings)
    targets = read_targets(settings.notify_urls.get_secret_value() if settings.notify_urls else "")
    doors = doors_of(plugins())
    no_more_traces = tracing.begin()

    async def go() -> None:
        listener = listening(settings.bind)
        async with AsyncExitStack() as stack:
            parts = await _once_the_ledger_answers(
                lambda: stack.enter_async_context(wired(settings, strict=False)), listener
            )
            if parts is None:
                return
            side = Sidecar(parts, targets, settings.public_url or "")
            watch_calls(calls_told(counted(side)))
            side.every(EVERY, Rotation(side, access).look, "secrets")
            config = uvicorn.Config(
                build_app(side, access, doors), log_config=None, access_log=False, timeout_graceful_shutdown=ANSWERS,
                proxy_headers=False,  # who asks is the peer, whatever it says
                server_header=False,
            )  # fmt: skip
            server = _Server(config)

            def stop() -> None:
                side.stopping = True
                server.stop()
                _end_after(LAST)

            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop)
            looking = asyncio.create_task(side.look_around())
            try:
                await server.serve(sockets=[listener])
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                await side.stop()

    try:
        asyncio.run(go())
    finally:
        no_more_traces()
    return OK


async def _once_the_ledger_answers(
    opened: Callable[[], Awaitable[Wired]], listener: socket.socket
) -> Wired | None:
    """What is wired. While the database is away (it may start later than we do) it is waited for, alive and not ready:
    beside an application a process that ends would take the whole Pod out of its Service. None: stopped meanwhile."""
    try:
        return await opened()
    except LedgerAwayError as error:
        why = error
    log.warning("the ledger is away", why=str(why), next_step=why.next_step)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = _Server(uvicorn.Config(waiting_app(), log_config=None, access_log=False))
    answering = asyncio.create_task(server.serve(sockets=[listener.dup()]))
    try:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), TRY_AGAIN)
            if stopped.is_set():
                return None
            with suppress(LedgerAwayError):
                parts = await opened()
                log.info("the ledger is back")
                return parts
    finally:
        server.stop()
        await answering


def counted(side: Sidecar) -> Callable[[str, str], None]:
    """Counts a request to a vendor under its CRM, in the metrics and among those of the day."""

    def count(crm: str, feature: str) -> None:
        side.meters.calls.labels(crm, feature).inc()
        side.parts.calls.count(crm, feature)

    return by_crm(count)


def _end_after(seconds: float) -> None:
    """A database or a socket that hangs must not hold the process up: ended so, it is like one that crashed, which
    loses nothing."""

    def end() -> None:
        sys.stderr.write("The stop took too long: ended. The next start goes on from what was saved.\n")
        os._exit(FAILED)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def listening(bind: str) -> socket.socket:
    """Bound before anything is read, so that a port that is taken stops the start. FixConfig then.

    What it accepts sends at once: uvicorn writes the head and the body of an answer one after the other, and asyncio
    switches Nagle's algorithm off only for sockets that name their protocol, which these do not. The body would wait
    for the acknowledgement of the head: 40 ms with each answer but the first of a connection.
    """
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        found = socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise FixConfig(
            f"{bind} cannot be used: {error.strerror}.",
            next_step="Set CONNECTOR_BIND to an address and a port that are free.",
            where="CONNECTOR_BIND",
        ) from error
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they would end the process before the sync in hand and the ledger."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Answer what was asked, then return from `serve`."""
        self.should_exit = True
