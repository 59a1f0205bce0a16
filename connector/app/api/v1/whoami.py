"""Who the caller is, as the sidecar sees it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from connector.app.api.guard import Viewer
from connector.app.sidecar import Sidecar


class WhoAmI(BaseModel):
    """The caller. `bootstrap`: by a shared token of the environment, or this host without any."""

    name: str
    role: str
    bootstrap: bool


def router(side: Sidecar) -> APIRouter:
    """`/whoami`."""
    app = APIRouter(tags=["access"])

    @app.get("/whoami")
    async def whoami(caller: Viewer) -> WhoAmI:
        """Whose token this is."""
        return WhoAmI(name=caller.name, role=caller.role.word, bootstrap=caller.bootstrap)

    return app
