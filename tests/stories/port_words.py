"""A sidecar's port on a real socket, in the loop of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI


@asynccontextmanager
async def listening(app: FastAPI, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """The number of the port on which it answers."""
    listener = socket.create_server((address, 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, proxy_headers=False, lifespan="off"))
    server.capture_signals = None  # type: ignore[assignment, method-assign]
    task = asyncio.create_task(server._serve(sockets=[listener]))
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task
