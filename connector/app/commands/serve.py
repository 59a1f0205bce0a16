"""`connector serve`: the sidecar and its port, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from connector.app import tracing
from connector.app.api import build_app
from connector.app.exits import FAILED, OK
from connector.app.log import configure
from connector.app.observed import calls_told
from connector.app.settings import load_settings
from connector.app.sidecar import Sidecar
from connector.app.telling import read_targets
from connector.app.wiring import plugins, wired
from connector.errors import FixConfig
from connector.transport import watch_calls

ANSWERS = 2  # seconds that a stop leaves to what is being answered over HTTP
LAST = 9.5  # seconds after which the process ends by itself, whatever still hangs: a container is killed after ten


def serve() -> int:
    """Run until stopped. FixConfig where settings, files or credentials are wrong."""
    settings = load_settings()
    configure(settings)
    targets = read_targets(settings.notify_urls.get_secret_value() if settings.notify_urls else "")
    no_more_traces = tracing.begin()

    async def go() -> None:
        async with wired(settings, strict=False) as parts:
            listener = _listener(settings.bind)
            side = Sidecar(parts, targets)
            watch_calls(calls_told(counted(side)))
            config = uvicorn.Config(
                build_app(side), log_config=None, access_log=False, timeout_graceful_shutdown=ANSWERS
            )
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


def counted(side: Sidecar) -> Callable[[str, str], None]:
    """Counts a request to a vendor under its CRM. Those for tokens are nobody's allowance."""
    crms = {plugin.title: crm for crm, plugin in plugins().items()}

    def count(vendor: str, feature: str) -> None:
        if vendor in crms:
            side.meters.calls.labels(crms[vendor], feature).inc()

    return count


def _end_after(seconds: float) -> None:
    """A database or a socket that hangs must not hold the process up: ended so, it is like one that crashed, which
    loses nothing."""

    def end() -> None:
        sys.stderr.write("The stop took too long: ended. The next start goes on from what was saved.\n")
        os._exit(FAILED)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _listener(bind: str) -> socket.socket:
    """Bound before anything is read, so that a port that is taken stops the start. FixConfig then."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise FixConfig(
            f"{bind} cannot be used: {error.strerror}.",
            next_step="Set CONNECTOR_BIND to an address and a port that are free.",
            where="CONNECTOR_BIND",
        ) from error


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they would end the process before the sync in hand and the ledger."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Answer what was asked, then return from `serve`."""
        self.should_exit = True
