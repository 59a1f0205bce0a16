"""Secrets that are mounted as files are read again while the sidecar runs, so that whoever rotates one need not restart
anything. Kubernetes swaps a link, others write the file anew: what counts is what stands in it.

A secret that cannot be read, is gone or makes no sense leaves everything as it was, and says so. Of the settings these
alone are read again here: credentials of CRMs, tokens of roles, where people are told (`incoming.doors` looks after
its own).
"""

from __future__ import annotations

import structlog

from connector.app.access import Access, variable
from connector.app.settings import Settings, load_settings
from connector.app.sidecar import Sidecar
from connector.app.telling import read_targets
from connector.app.telling.targets import VARIABLE
from connector.errors import FixConfig

log = structlog.get_logger("connector.serve")

EVERY = 10.0  # seconds between two looks
WHAT = "read the mounted secrets"


class Rotation:
    """Looks at them; puts what is new in force."""

    def __init__(self, side: Sidecar, access: Access) -> None:
        self._side, self._access = side, access

    async def look(self) -> list[str]:
        """What was put in force, by the name of a CRM or of a variable."""
        side = self._side
        try:
            settings = load_settings()
            changed = [variable(role) for role in self._access.renew(settings)]
            changed += self._new_targets(settings)
            crms = await side.parts.reconnect() if side.parts.reconnect is not None else []
        except FixConfig as error:
            side.health.cannot(WHAT, error)
            return []
        side.health.cannot(WHAT, None)
        for name in (*changed, *crms):
            log.info("a secret was rotated", what=name)
        for crm in crms:
            if side.health.crms.get(crm) is not None:  # it was refused: nobody waits for the next interval
                side.sync_soon(frozenset({crm}))
        return [*changed, *crms]

    def _new_targets(self, settings: Settings) -> list[str]:
        """Where people are told, if that is another place now. Raises FixConfig."""
        outbox = self._side.outbox
        if settings.notify_urls is None:
            return []
        found = read_targets(settings.notify_urls.get_secret_value())
        if found == outbox.targets:
            return []
        outbox.targets = found
        return [VARIABLE]
