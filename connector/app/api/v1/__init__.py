"""`/api/v1`: one module a topic, each with a `router(side)`. The role that a route takes stands in its signature."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from connector.app.api.v1 import (
    applying,
    asking,
    backfilling,
    braking,
    decisions,
    definition,
    overriding,
    people,
    plans,
    privacy,
    publishing,
    reviewing,
    runs,
    status,
    whoami,
)
from connector.app.sidecar import Sidecar

ROUTERS: tuple[Callable[[Sidecar], APIRouter], ...] = (
    whoami.router,
    people.router,
    runs.router,
    plans.router,
    definition.router,
    decisions.router,
    status.router,
    privacy.router,
    braking.router,
    asking.router,
    applying.router,
    backfilling.router,
    overriding.router,
    reviewing.router,
    publishing.router,
)


def router(side: Sidecar) -> APIRouter:
    """All of them."""
    app = APIRouter(prefix="/api/v1")
    for each in ROUTERS:
        app.include_router(each(side))
    return app
