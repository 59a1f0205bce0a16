"""The one HTTP port of the sidecar: which routers it has. Each says in its own module who may ask what."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from connector.app.access import Access
from connector.app.api import document, health, page, problems, tracking, v1, webhooks
from connector.app.api.guard import Guarded
from connector.app.api.keyed import Keyed
from connector.app.api.observing import Observing
from connector.app.incoming import Doors
from connector.app.sidecar import Sidecar
from connector.app.token_lookup import NamedTokens


def waiting_app() -> FastAPI:
    """What is answered before the ledger is there."""
    return _app(health.waiting(), tracking.waiting())


def build_app(side: Sidecar, access: Access | None = None, doors: Doors | None = None) -> FastAPI:
    """Everything that is answered over HTTP. Without `access`: a port on loopback without tokens."""
    access, doors = access or Access(), doors or Doors()
    access.named = NamedTokens(side.parts.ledger, side.parts.clock)
    app = _app(
        health.router(side),
        page.router(side),
        v1.router(side),
        tracking.router(side, doors),
        webhooks.router(side, doors),
    )
    app.state.access = access
    document.install(app)
    app.add_middleware(Keyed, parts=side.parts, access=access)
    problems.install(app)
    app.add_middleware(Guarded, access=access)
    app.add_middleware(Observing)
    return app


def _app(*routers: APIRouter) -> FastAPI:
    app = FastAPI(title="connector", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for each in routers:
        app.include_router(each)
    return app
