"""The one HTTP port of the sidecar: which routers it has. Each says in its own module who may ask what."""

from __future__ import annotations

from fastapi import FastAPI

from connector.app.api import health
from connector.app.api.observing import Observing
from connector.app.sidecar import Sidecar


def waiting_app() -> FastAPI:
    """What is answered before the ledger is there."""
    app = FastAPI(title="connector", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health.waiting())
    return app


def build_app(side: Sidecar) -> FastAPI:
    """Everything that is answered over HTTP."""
    app = FastAPI(title="connector", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Observing)
    app.include_router(health.router(side))
    return app
