"""Who may ask what: around everything, the rule of a port without an admin token; before each route, the role.

    async def plans(caller: Viewer) -> ...

`Viewer`, `Operator`, `Admin` are callers of at least that role; without a token that is 401, with a lesser one 403. The
plain page takes a token as the password of Basic, too, since a browser can ask for nothing else; it only reads.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.app.access import LOCAL, Access, Caller, Role
from connector.app.api.problems import of_error, problem
from connector.app.token_lookup import RefusedError
from connector.errors import ConnectorError

OPEN = frozenset({"/healthz", "/readyz", "/metrics"})  # to everybody, from everywhere
BEARER = "Bearer"

bearer = HTTPBearer(auto_error=False, description="`connector token create`, or a token of the environment")


class Guarded:
    """ASGI middleware: without an admin token only this host may ask for anything but health and metrics. With one,
    nothing that is sent to `/api/` is read before its token is known; what it opens is for the route to say."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            return await self._app(scope, receive, send)
        if await self._access.has_admin():
            unknown = None
            if scope["path"].startswith("/api/"):
                unknown = await self._unknown(Headers(scope=scope).get("authorization", ""))
            return await (self._app if unknown is None else unknown)(scope, receive, send)
        why = from_elsewhere(self._access, scope)
        if why is None:
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        answer = problem(
            403,
            f"Without an admin token only this host may ask, and {why}.",
            next_step="Set CONNECTOR_ADMIN_TOKEN, or ask http://127.0.0.1 on the host itself.",
        )
        await answer(scope, receive, send)

    async def _unknown(self, authorization: str) -> Response | None:
        """What is answered to whoever shows no good token."""
        scheme, told = get_authorization_scheme_param(authorization)
        try:
            await _caller(self._access, told if scheme.lower() == "bearer" and told else None, BEARER)
        except HTTPException as error:
            next_step = "Send `Authorization: Bearer TOKEN`; `connector token create NAME` makes one."
            return problem(error.status_code, str(error.detail), error.headers, next_step=next_step)
        except ConnectorError as error:
            return of_error(error)
        return None


def from_elsewhere(access: Access, scope: Scope) -> str | None:
    """Why a request is not this host's own; None: it is."""
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    by_name = dict(headers)
    client = scope.get("client")
    return access.refused_from(
        peer=client[0] if client else None,
        hosts=[value for name, value in headers if name == "host"],
        headers=by_name,
        origin=by_name.get("origin"),
        fetch_site=by_name.get("sec-fetch-site"),
        method=scope.get("method", "CONNECT"),
    )


async def _caller(access: Access, told: str | None, ask_with: str) -> Caller:
    if told is None:
        if not await access.has_admin():
            return LOCAL  # `Guarded` has seen where it comes from
        raise HTTPException(401, "A token is needed.", {"WWW-Authenticate": ask_with})
    try:
        return await access.caller(told)
    except RefusedError as error:
        headers = {
            "WWW-Authenticate": f'{ask_with} error="invalid_token"' if ask_with == BEARER else ask_with
        }
        raise HTTPException(401, str(error), headers) from None


def at_least(role: Role) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """The dependency that lets in callers of this role or a greater one."""

    async def caller(request: Request, credentials: Annotated[Any, Depends(bearer)]) -> Caller:
        found = await _caller(
            request.app.state.access, credentials.credentials if credentials else None, BEARER
        )
        if found.role < role:
            raise HTTPException(403, f"This takes the role {role.word}; this token has {found.role.word}.")
        return found

    caller.role = role  # type: ignore[attr-defined]  # read by the reference of routes and roles
    return caller


Viewer = Annotated[Caller, Depends(at_least(Role.VIEWER))]
Operator = Annotated[Caller, Depends(at_least(Role.OPERATOR))]
Admin = Annotated[Caller, Depends(at_least(Role.ADMIN))]


async def _reader(request: Request) -> Caller:
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    told = rest.strip() or None
    if told is not None and scheme.lower() == "basic":
        try:
            told = base64.b64decode(told, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            told = ""
    return await _caller(request.app.state.access, told, 'Basic realm="connector", charset="UTF-8"')


_reader.role = Role.VIEWER  # type: ignore[attr-defined]

Reader = Annotated[Caller, Depends(_reader)]  # of the plain page
