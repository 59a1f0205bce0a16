"""By what somebody who comes in by itself is known: the write key, the secrets of webhooks. Reads no body."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from connector.app.incoming.reading import Refused
from connector.app.settings import Settings, variables_of
from connector.ports import Plugin


@dataclass(frozen=True, slots=True)
class Doors:
    """`key`: the write key of first-party engagement. `public_url`: by which others call this port. `hooks`: the
    variables of each CRM that calls us, by CRM."""

    key: str = ""
    public_url: str = ""
    hooks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def check(self, given: object) -> None:
        """Raises Refused where this is not the write key; how long it takes tells nothing."""
        told = given if isinstance(given, str) else ""
        if not hmac.compare_digest(told.encode(), self.key.encode()):
            raise Refused(
                401, "The user name of Basic authentication is not the write key (CONNECTOR_INGEST_TOKEN)."
            )

    def address(self, request: Request) -> str:
        """The whole address as somebody outside called it."""
        path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope.get("query_string") or b""
        base = self.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
        asked = f"?{query.decode('latin-1')}" if query else ""
        return base + path.decode("latin-1").partition("?")[0] + asked


def doors_of(
    settings: Settings, plugins: Mapping[str, Plugin], environ: Mapping[str, str] | None = None
) -> Doors:
    """By these settings."""
    key = settings.ingest_token.get_secret_value() if settings.ingest_token else ""
    hooks = {
        crm: variables_of(plugin.variables, environ)
        for crm, plugin in plugins.items()
        if plugin.hook is not None
    }
    return Doors(key, settings.public_url or "", hooks)
