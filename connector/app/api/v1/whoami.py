"""Who the caller is, as the sidecar sees it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel

from connector.app.api.guard import Viewer
from connector.app.sidecar import Sidecar


class WhoAmI(BaseModel):
    """The caller. `bootstrap`: by a shared token of the environment, or this host without any. `service`: a program.
    `expires_at`: when the token opens nothing any more; null of one of the environment."""

    name: str
    role: str
    bootstrap: bool
    service: bool
    expires_at: AwareDatetime | None


def router(side: Sidecar) -> APIRouter:
    """`/whoami`."""
    app = APIRouter(tags=["access"])

    @app.get("/whoami")
    async def whoami(caller: Viewer) -> WhoAmI:
        """Whose token this is."""
        return WhoAmI(
            name=caller.name, role=caller.role.word, bootstrap=caller.bootstrap, service=caller.service,
            expires_at=caller.expires_at,
        )  # fmt: skip

    return app
