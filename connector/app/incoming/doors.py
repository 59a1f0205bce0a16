"""By what somebody who comes in by itself is known: the write key, the secrets of webhooks. Reads no body."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from starlette.requests import Request

from connector.app.incoming.reading import Refused
from connector.app.settings import Settings, load_settings, variables_of
from connector.errors import FixConfig
from connector.ports import Plugin

log = structlog.get_logger("connector.incoming")

LOOK = timedelta(minutes=1)


@dataclass(slots=True)
class Doors:
    """`key`: the write key of first-party engagement. `public_url`: by which others call this port. `hooks`: the
    variables of each CRM that calls us, by CRM.

    A mounted secret may change while we run. It is looked at `again` every minute, and before anybody is turned away:
    an application that has the new one already would lose what it sends.
    """

    key: str = ""
    public_url: str = ""
    hooks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    again: Callable[[], Doors] | None = None
    looked: datetime | None = None

    def look(self, now: datetime) -> None:
        """Once a minute."""
        if self.looked is None or now - self.looked >= LOOK:
            self.looked = now
            self.renew()

    def renew(self) -> None:
        """What is mounted now is in force; where it cannot be read, what was."""
        if self.again is None:
            return
        try:
            found = self.again()
        except FixConfig as error:
            log.warning("the write key cannot be looked at again", error=str(error))
        else:
            self.key, self.hooks = found.key, found.hooks

    def check(self, given: object) -> None:
        """Raises Refused where this is not the write key; how long it takes tells nothing."""
        if not self._is_key(given):
            self.renew()
            if not self._is_key(given):
                raise Refused(
                    401,
                    "The user name of Basic authentication is not the write key (CONNECTOR_INGEST_TOKEN).",
                )

    def _is_key(self, given: object) -> bool:
        told = given if isinstance(given, str) else ""
        return bool(self.key) and hmac.compare_digest(told.encode(), self.key.encode())

    def address(self, request: Request) -> str:
        """The whole address as somebody outside called it."""
        path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope.get("query_string") or b""
        base = self.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
        asked = f"?{query.decode('latin-1')}" if query else ""
        return base + path.decode("latin-1").partition("?")[0] + asked


def doors_of(plugins: Mapping[str, Plugin], read: Callable[[], Settings] = load_settings) -> Doors:
    """By the settings and the variables of the CRMs."""
    settings = read()
    key = settings.ingest_token.get_secret_value() if settings.ingest_token else ""
    hooks = {
        crm: variables_of(plugin.variables) for crm, plugin in plugins.items() if plugin.hook is not None
    }
    return Doors(key, settings.public_url or "", hooks, again=partial(doors_of, plugins, read))
