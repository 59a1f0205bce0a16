"""`connector serve`: the sidecar and its port, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from connector.app.api import build_app
from connector.app.exits import OK
from connector.app.log import configure
from connector.app.settings import load_settings
from connector.app.sidecar import Sidecar
from connector.app.wiring import wired
from connector.errors import FixConfig


def serve() -> int:
    """Run until stopped. FixConfig where settings, files or credentials are wrong."""
    settings = load_settings()
    configure(settings)

    async def go() -> None:
        async with wired(settings, strict=False) as parts:
            listener = _listener(settings.bind)
            side = Sidecar(parts)
            server = _Server(uvicorn.Config(build_app(side), log_config=None, access_log=False))
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
            looking = asyncio.create_task(side.look_around())
            try:
                await server.serve(sockets=[listener])
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                await side.stop()

    asyncio.run(go())
    return OK


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
