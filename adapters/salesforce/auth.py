"""Log in to Salesforce and keep the session: three grants, one token at a time, the host that comes with it.

Decides which grant the settings mean and refuses ones that cannot work; sends only token requests. Flows:
https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flows.htm
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt

from adapters.salesforce.errors import classify_login
from connector.errors import FixConfig, OutcomeUnknown, StopRun
from connector.ports import Clock, TokenStore, Variable
from connector.transport import NoAuth, Transport, checked_url, remember_secrets

CRM = "salesforce"
TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 (a path)
ASSERTION_LIFE = timedelta(minutes=3)  # of the signed request only; the session lives by the org's policy
SHARED_LOGIN_HOSTS = ("login.salesforce.com", "test.salesforce.com")

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "SALESFORCE_LOGIN_URL",
        "Where to log in. Client credentials need the org's My Domain URL",
        "https://login.salesforce.com",
    ),
    Variable("SALESFORCE_CLIENT_ID", "Consumer key of the External Client App", secret=True),
    Variable("SALESFORCE_CLIENT_SECRET", "Consumer secret: client credentials", secret=True),
    Variable("SALESFORCE_USERNAME", "User name of the integration user: JWT bearer"),
    Variable("SALESFORCE_PRIVATE_KEY", "Private key (PEM) of the app's certificate: JWT bearer", secret=True),
    Variable(
        "SALESFORCE_REFRESH_TOKEN", "Refresh token; rotated ones are kept sealed in the ledger", secret=True
    ),
    Variable("SALESFORCE_API_VERSION", "REST API version", "66.0"),
    Variable("SALESFORCE_JWT_AUDIENCE", "Audience of the signed request; unset: by the host"),
    Variable("SALESFORCE_RATE_SHARE", "Share of the calls that may run at once", "0.9"),
    Variable(
        "SALESFORCE_BULK_READ_FROM",
        "Rows of an object from which they are read by a Bulk API job; `never`",
        "50000",
    ),
    Variable(
        "SALESFORCE_BULK_WRITE_FROM",
        "Writes to an object from which they go as a Bulk API job; `never`",
        "10000",
    ),
    Variable(
        "SALESFORCE_GUARD_STAGE",
        "Lower a stage row by row, and only where nobody changed the record since",
        "false",
    ),
    Variable("SALESFORCE_DAILY_SHARE", "Share of the org's daily calls that we may use", "0.3"),
)

ADMIN_VARIABLES: tuple[Variable, ...] = (
    Variable("SALESFORCE_ADMIN_LOGIN_URL", "Where the administrator logs in; unset: SALESFORCE_LOGIN_URL"),
    Variable("SALESFORCE_ADMIN_CLIENT_ID", "Consumer key of an app for set-up", secret=True),
    Variable("SALESFORCE_ADMIN_CLIENT_SECRET", "Its consumer secret: client credentials", secret=True),
    Variable("SALESFORCE_ADMIN_USERNAME", "User name of an administrator: JWT bearer"),
    Variable(
        "SALESFORCE_ADMIN_PRIVATE_KEY", "Private key (PEM) of the app's certificate: JWT bearer", secret=True
    ),
    Variable("SALESFORCE_ADMIN_ACCESS_TOKEN", "An administrator's session, used as it is", secret=True),
    Variable(
        "SALESFORCE_ADMIN_INSTANCE_URL", "The host of that session, such as https://acme.my.salesforce.com"
    ),
)
"""Set-up's own credential: used once, kept nowhere. None set: set-up runs as the integration user."""

_CREDENTIALS = (
    "SALESFORCE_CLIENT_ID",
    "SALESFORCE_CLIENT_SECRET",
    "SALESFORCE_USERNAME",
    "SALESFORCE_PRIVATE_KEY",
    "SALESFORCE_REFRESH_TOKEN",
)


@dataclass(frozen=True, slots=True)
class Grant:
    """How we log in: `client_credentials`, `jwt`, `refresh` or `token` (a session that others opened)."""

    kind: str
    login_url: str
    client_id: str
    client_secret: str = ""
    username: str = ""
    private_key: str = ""
    refresh_token: str = ""
    access_token: str = ""
    audience: str = ""
    by_admin: bool = False  # of the SALESFORCE_ADMIN_* variables


@dataclass(frozen=True, slots=True)
class Session:
    """A token and the host it is good for. `org` and `user` are 18-character record ids."""

    token: str
    instance_url: str
    org: str
    user: str


def connected(variables: Mapping[str, str]) -> bool:
    """Whether any credential is set. An incomplete set counts: `grant_of` then says what is missing."""
    return any(variables.get(name) for name in _CREDENTIALS)


def grant_of(variables: Mapping[str, str]) -> Grant:
    """The grant these variables mean: JWT bearer, else refresh token, else client credentials. Raises
    FixConfig.
    """
    login_url = _login_url(variables.get("SALESFORCE_LOGIN_URL", "https://login.salesforce.com"))
    client_id = variables.get("SALESFORCE_CLIENT_ID", "").strip()
    if not client_id:
        raise FixConfig(
            "SALESFORCE_CLIENT_ID is not set, but other Salesforce credentials are.",
            next_step="Set it to the consumer key of the External Client App.",
        )
    secret = variables.get("SALESFORCE_CLIENT_SECRET", "").strip()
    username = variables.get("SALESFORCE_USERNAME", "").strip()
    # Environment files often carry a PEM on one line, its line breaks written out.
    key = variables.get("SALESFORCE_PRIVATE_KEY", "").strip().replace("\\n", "\n")
    refresh = variables.get("SALESFORCE_REFRESH_TOKEN", "").strip()
    remember_secrets([secret, key, refresh])
    if username and key:
        audience = variables.get("SALESFORCE_JWT_AUDIENCE", "").strip() or _audience(login_url)
        return Grant("jwt", login_url, client_id, username=username, private_key=key, audience=audience)
    if username or key:
        missing = "SALESFORCE_PRIVATE_KEY" if username else "SALESFORCE_USERNAME"
        raise FixConfig(
            f"{missing} is not set; JWT bearer needs the user name and the private key.",
            next_step=f"Set {missing}, or unset the other for another way to log in.",
        )
    if refresh:
        return Grant("refresh", login_url, client_id, client_secret=secret, refresh_token=refresh)
    if not secret:
        raise FixConfig(
            "SALESFORCE_CLIENT_ID is set without anything to prove it.",
            next_step="Set SALESFORCE_CLIENT_SECRET, or SALESFORCE_USERNAME and SALESFORCE_PRIVATE_KEY, or "
            "SALESFORCE_REFRESH_TOKEN.",
        )
    host = urlsplit(login_url).hostname or ""
    if host in SHARED_LOGIN_HOSTS:
        raise FixConfig(
            f"Client credentials cannot log in at {host}, only at the org's own address.",
            next_step="Set SALESFORCE_LOGIN_URL to the My Domain URL, such as https://acme.my.salesforce.com.",
        )
    return Grant("client_credentials", login_url, client_id, client_secret=secret)


def admin_grant_of(variables: Mapping[str, str]) -> Grant | None:
    """Set-up's own login by the SALESFORCE_ADMIN_* variables; None where none of them is set. Raises FixConfig."""
    given = {each.name: variables.get(each.name, "").strip() for each in ADMIN_VARIABLES}
    if not any(given.values()):
        return None
    token, instance = given["SALESFORCE_ADMIN_ACCESS_TOKEN"], given["SALESFORCE_ADMIN_INSTANCE_URL"]
    if token or instance:
        if not (token and instance):
            missing = "SALESFORCE_ADMIN_INSTANCE_URL" if token else "SALESFORCE_ADMIN_ACCESS_TOKEN"
            raise FixConfig(f"{missing} is not set; a session needs its host.", next_step=f"Set {missing}.")
        remember_secrets([token])
        return Grant("token", _login_url(instance, "SALESFORCE_ADMIN_INSTANCE_URL"), "", access_token=token)
    plain = {name.replace("_ADMIN_", "_"): value for name, value in given.items() if value}
    plain.setdefault(
        "SALESFORCE_LOGIN_URL", variables.get("SALESFORCE_LOGIN_URL", "https://login.salesforce.com")
    )
    try:
        return replace(grant_of(plain), by_admin=True)
    except FixConfig as error:
        raise _for_admin(error) from error


def _for_admin(error: FixConfig) -> FixConfig:
    """The same, with the variables named that the administrator's login is made of."""
    message, step = (
        re.sub(r"SALESFORCE_(?!ADMIN_)", "SALESFORCE_ADMIN_", text)
        for text in (error.message, error.next_step)
    )
    return FixConfig(message, next_step=step, where=error.where)


def _login_url(value: str, variable: str = "SALESFORCE_LOGIN_URL") -> str:
    url = checked_url(variable, value)
    host = urlsplit(url).hostname or ""
    if host.endswith((".lightning.force.com", ".salesforce-setup.com")):
        raise FixConfig(
            f"{variable} names {host}, which serves pages for people and no API.",
            next_step="Use the My Domain URL that ends in .my.salesforce.com.",
        )
    if urlsplit(url).path not in ("", "/"):
        raise FixConfig(
            f"{variable} has a path.",
            next_step="Give the host alone: https://acme.my.salesforce.com.",
        )
    return url


def _audience(login_url: str) -> str:
    """Sandboxes trust the test login, every other org the production one."""
    host = urlsplit(login_url).hostname or ""
    test = host == "test.salesforce.com" or ".sandbox." in host
    return f"https://{'test' if test else 'login'}.salesforce.com"


class Login:
    """The session of one org, renewed when Salesforce says that it ended. Implements transport's Auth."""

    def __init__(self, grant: Grant, clock: Clock, tokens: TokenStore | None) -> None:
        if grant.kind == "refresh" and tokens is None:
            raise FixConfig(
                "A Salesforce refresh token rotates at use, and there is no safe place to keep the next one.",
                next_step="Set CONNECTOR_SECRET_KEY, or log in with client credentials or JWT bearer.",
            )
        self._grant = grant
        self._clock = clock
        self._tokens = tokens
        self._session: Session | None = None
        self._unsaved: str | None = None
        self._lock = asyncio.Lock()
        self._http = Transport(
            grant.login_url,
            auth=NoAuth(),
            limits={},
            classify=classify_login,
            clock=clock,
            name="Salesforce login",
        )

    async def close(self) -> None:
        """Give connections back."""
        await self._http.close()

    async def headers(self, force_refresh: bool) -> Mapping[str, str]:
        """The present token as a header, after a login where there is none. Raises FixConfig, RetryLater."""
        session = await self.session(force_refresh=force_refresh)
        return {"Authorization": f"Bearer {session.token}"}

    async def session(self, *, force_refresh: bool = False) -> Session:
        """The present session; one login for all who wait for it."""
        async with self._lock:
            if self._session is None or force_refresh:
                try:
                    self._session = await self._log_in()
                except FixConfig as error:
                    if not self._grant.by_admin:
                        raise
                    raise _for_admin(error) from error
            return self._session

    def instance_url(self) -> str:
        """The host of data calls, as the last login named it. It moves when an org is renamed or migrated."""
        if self._session is None:
            raise StopRun("No Salesforce session yet; log in before asking for its host.")
        return self._session.instance_url

    async def _log_in(self) -> Session:
        grant = self._grant
        if grant.kind == "token":
            return self._given(again=self._session is not None)
        form = {"client_id": grant.client_id}
        if grant.kind == "jwt":
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": self._assertion(),
            }
        elif grant.kind == "client_credentials":
            form |= {"grant_type": "client_credentials", "client_secret": grant.client_secret}
        else:
            return await self._refresh(form)
        answer = await self._http.send("POST", TOKEN_PATH, data=form)
        return _session(answer.json)

    def _given(self, *, again: bool) -> Session:
        """A session that others opened, as it is. Its first 15 characters are the org's id."""
        if again:
            raise FixConfig(
                "The administrator's session has ended.",
                next_step="Get another for SALESFORCE_ADMIN_ACCESS_TOKEN (`sf org display --json` prints one).",
            )
        grant = self._grant
        return Session(grant.access_token, grant.login_url, grant.access_token.partition("!")[0], "")

    def _assertion(self) -> str:
        grant = self._grant
        expires = self._clock.now() + ASSERTION_LIFE
        claims = {
            "iss": grant.client_id,
            "sub": grant.username,
            "aud": grant.audience,
            "exp": int(expires.timestamp()),
        }
        try:
            return jwt.encode(claims, grant.private_key, algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise FixConfig(
                "SALESFORCE_PRIVATE_KEY is not an RSA private key in PEM form.",
                next_step="Give the unencrypted key of the app's certificate, BEGIN line included.",
            ) from error

    async def _refresh(self, form: dict[str, str]) -> Session:
        """Exchange the newest refresh token, alone among all processes that share the store.

        A rotated token is stored before the session is used, so that a crash never leaves us with a dead one.
        Using an old token a second time revokes the whole family: hence the turn-taking, no second try when an answer
        is lost, and never the setting's own token once another has grown out of it.
        https://help.salesforce.com/s/articleView?id=005316711
        """
        assert self._tokens is not None
        form |= {"grant_type": "refresh_token"}
        if self._grant.client_secret:
            form["client_secret"] = self._grant.client_secret
        async with self._tokens.alone(CRM):
            if self._unsaved is not None:  # rotated by us, but the store was away: the newest there is
                await self._tokens.save(CRM, self._unsaved)
                self._unsaved = None
            given = self._grant.refresh_token
            origin, _, newest = (await self._tokens.load(CRM) or "").partition(":")
            # A token that is set anew is another authorisation: what grew out of the last one is over.
            current = newest if newest and origin == _fingerprint(given) else given
            remember_secrets([current], passing=True)
            body = await self._exchange(form, current)
            rotated = body.get("refresh_token") if isinstance(body, Mapping) else None
            if isinstance(rotated, str) and rotated and rotated != current:
                remember_secrets([rotated], passing=True)
                self._unsaved = f"{_fingerprint(given)}:{rotated}"
                await self._tokens.save(CRM, self._unsaved)
                self._unsaved = None
        return _session(body)

    async def _exchange(self, form: Mapping[str, str], refresh_token: str) -> Any:
        try:
            answer = await self._http.send(
                "POST", TOKEN_PATH, data={**form, "refresh_token": refresh_token}, idempotent=False
            )
        except OutcomeUnknown as error:
            raise StopRun(
                "The login of Salesforce did not answer; it may have rotated the refresh token.",
                next_step='Run again; if it then says "expired access/refresh token", authorise again.',
                where=f"POST {TOKEN_PATH}",
            ) from error
        return answer.json


def _fingerprint(token: str) -> str:
    """Tells which setting a stored token grew out of, without telling the setting."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def _session(body: Any) -> Session:
    """What a token response says. Raises StopRun where it does not say what we need."""
    try:
        token, instance, identity = str(body["access_token"]), str(body["instance_url"]), str(body["id"])
        org, user = identity.rstrip("/").split("/")[-2:]
    except (KeyError, TypeError, ValueError) as error:
        raise StopRun(
            "The login of Salesforce answered without access_token, instance_url or id.",
            next_step="Check SALESFORCE_LOGIN_URL, and whether a proxy answers instead.",
            where=f"POST {TOKEN_PATH}",
        ) from error
    remember_secrets([token], passing=True)
    return Session(token, checked_url("instance_url of the Salesforce login", instance), org, user)
