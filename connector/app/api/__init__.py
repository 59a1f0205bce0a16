"""The one HTTP port of the sidecar: which routers it has. Each says in its own module who may ask what."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from connector.app.api import health
from connector.app.api.observing import Observing
from connector.app.sidecar import Sidecar


def waiting_app() -> FastAPI:
    """What is answered before the ledger is there."""
    return _app(health.waiting())


def build_app(side: Sidecar) -> FastAPI:
    """Everything that is answered over HTTP."""
    app = _app(health.router(side))
    app.add_middleware(Observing)
    return app


def _app(*routers: APIRouter) -> FastAPI:
    app = FastAPI(title="connector", docs_url=None, redoc_url=None, openapi_url=None)
    for each in routers:
        app.include_router(each)
    return app
