"""Who may come in: whoever has the write key; without one, whoever is on this machine. Reads no body."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import Request

from connector.app.settings import Settings, variables_of
from connector.ports import Plugin
from connector.transport import remember_secrets
from connector.transport.urls import is_loopback

FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Doors:
    """`key`: the write key of first-party engagement. `at_home`: bound to a loopback address. `hooks`: the variables of
    each CRM that calls us, by CRM."""

    key: str = ""
    at_home: bool = False
    public_url: str = ""
    hooks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def refuses(self, request: Request) -> tuple[int, str] | None:
        """Why a first-party call is not taken, as a status and a sentence; None: it is."""
        if self.key:
            given = _user_of(request.headers.get("authorization", ""))
            if hmac.compare_digest(given.encode(), self.key.encode()):
                return None
            return 401, "The user name of Basic authentication is not the write key (CONNECTOR_INGEST_TOKEN)."
        why = stranger(request, at_home=self.at_home)
        return (403, f"{why} Set CONNECTOR_INGEST_TOKEN to take engagement from elsewhere.") if why else None

    def address(self, request: Request) -> str:
        """The whole address as somebody outside called it."""
        path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope.get("query_string") or b""
        base = self.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
        return (
            base + path.decode("latin-1").partition("?")[0] + (f"?{query.decode('latin-1')}" if query else "")
        )


CLOSED = Doors()
"""Nobody may come in."""


def doors_of(
    settings: Settings, plugins: Mapping[str, Plugin], environ: Mapping[str, str] | None = None
) -> Doors:
    """By these settings. What is secret in them is shown nowhere from now on."""
    key = settings.ingest_token.get_secret_value() if settings.ingest_token else ""
    hooks = {
        crm: variables_of(plugin.variables, environ)
        for crm, plugin in plugins.items()
        if plugin.hook is not None
    }
    secret = [
        hooks[crm][each.name]
        for crm in hooks
        for each in plugins[crm].variables
        if each.secret and each.name in hooks[crm]
    ]
    remember_secrets([*filter(None, [key]), *secret])
    host = settings.bind.rpartition(":")[0]
    return Doors(key, is_loopback(host), settings.public_url or "", hooks)


def stranger(request: Request, *, at_home: bool) -> str:
    """Why a request is not from this machine itself; empty: it is. A browser's page from elsewhere is not, either."""
    if not at_home:
        return "The connector listens on an address that others can reach."
    if request.client is None or not is_loopback(request.client.host):
        return "The call comes from another machine."
    if not is_loopback(_host_of(f"//{request.headers.get('host', '')}")):
        return "`Host` is not this machine."
    if any(name in request.headers for name in FORWARDING):
        return "The call was forwarded."
    origin = request.headers.get("origin")
    if origin is not None and not is_loopback(_host_of(origin)):
        return "The call comes from a web page of another origin."
    return ""


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _user_of(header: str) -> str:
    """The user name of Basic authentication; empty where there is none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[0]
    except ValueError:  # no base64, or no text
        return ""
