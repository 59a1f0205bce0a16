"""HubSpot's two kinds of credentials: a token that stays, and OAuth tokens that are renewed. Reads no record.

Source: developers.hubspot.com, "OAuth tokens": access tokens live for `expires_in` seconds, refresh tokens
until the app is uninstalled; a refreshed answer may carry another refresh token, which then replaces the
first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from adapters.hubspot.errors import vendor_message
from connector.errors import FixConfig, RetryLater
from connector.ports import Clock, TokenStore
from connector.transport import (
    Answer,
    Fail,
    NoAuth,
    Ok,
    Retry,
    Transport,
    Verdict,
    remember_secrets,
)

log = structlog.get_logger(__name__)

RENEW_AT = 0.8  # of a token's life: HubSpot asks not to wait for the 401


class StaticToken:
    """A private app's token or a service key; the two are sent alike."""

    def __init__(self, token: str, variable: str) -> None:
        remember_secrets([token])
        self._variable = variable
        self._headers = {"authorization": f"Bearer {token}"}

    async def headers(self, force_refresh: bool) -> Mapping[str, str]:
        """The token; it cannot be renewed from here."""
        if force_refresh:
            raise FixConfig(
                "HubSpot refused the access token.",
                next_step=f"Set {self._variable} to a valid token: is the app or service key still there?",
            )
        return self._headers


class OAuth:
    """Renews the access token at 80 % of its life, one renewal at a time among all who share the store.

    Whether HubSpot ever rotates a refresh token is not documented; one that comes is kept before anything is done
    with the access token beside it, and before the next process may ask.
    """

    def __init__(
        self,
        base_url: str,
        path: str,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        clock: Clock,
        store: TokenStore | None,
    ) -> None:
        remember_secrets([client_secret, refresh_token])
        self._path = path
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._given = refresh_token
        self._refresh_token: str | None = None
        self._clock = clock
        self._store = store
        self._lock = asyncio.Lock()
        self._access_token = ""
        self._renew_at: datetime | None = None
        self._transport = Transport(
            base_url, auth=NoAuth(), limits={}, classify=_classify, clock=clock, name="HubSpot OAuth"
        )

    async def headers(self, force_refresh: bool) -> Mapping[str, str]:
        """A token that is valid for a while yet. Raises FixConfig when the grant is gone."""
        async with self._lock:
            if force_refresh or self._renew_at is None or self._clock.now() >= self._renew_at:
                await self._renew()
            return {"authorization": f"Bearer {self._access_token}"}

    async def scopes(self, path: str) -> frozenset[str]:
        """What the present access token may do, by HubSpot's own word; empty where it does not say."""
        bearer = (await self.headers(False))["authorization"].partition(" ")[2]
        form = {"token": bearer, "token_type_hint": "access_token", **self._client}
        try:
            answer = await self._transport.send("POST", path, data=form)
        except FixConfig:
            return frozenset()
        told = answer.json.get("scopes") if isinstance(answer.json, Mapping) else None
        return frozenset(str(scope) for scope in told) if isinstance(told, list) else frozenset()

    async def close(self) -> None:
        """Give connections back."""
        await self._transport.close()

    async def _renew(self) -> None:
        if self._store is None:
            await self._renew_alone(self._refresh_token or self._given)
            return
        async with self._store.alone("hubspot"):
            kept = await self._store.load("hubspot")  # another process may have been given a newer one
            await self._renew_alone(kept or self._refresh_token or self._given)

    async def _renew_alone(self, token: str) -> None:
        try:
            answer = await self._ask(token)
        except FixConfig:
            if token == self._given:
                raise
            token = self._given  # somebody installed the app anew and set its token
            answer = await self._ask(token)
        document = answer.json if isinstance(answer.json, Mapping) else {}
        access = document.get("access_token")
        if not isinstance(access, str) or not access:
            raise RetryLater("HubSpot answered a token request without a token.", where=answer.asked)
        try:
            lifetime = float(document.get("expires_in") or 0)
        except (TypeError, ValueError):
            lifetime = 0.0
        renewed = document.get("refresh_token")
        self._refresh_token = renewed if isinstance(renewed, str) and renewed else token
        remember_secrets([access, self._refresh_token], passing=True)
        if self._refresh_token != token:
            await self._keep(self._refresh_token)
        self._access_token = access
        self._renew_at = self._clock.now() + timedelta(seconds=max(lifetime, 60.0) * RENEW_AT)

    async def _ask(self, refresh_token: str) -> Answer:
        form = {"grant_type": "refresh_token", **self._client, "refresh_token": refresh_token}
        return await self._transport.send("POST", self._path, data=form)

    async def _keep(self, token: str) -> None:
        if self._store is None:
            log.warning(
                "refresh_token_not_kept",
                crm="hubspot",
                next_step="Set CONNECTOR_SECRET_KEY, so that the renewed refresh token can be kept.",
            )
            return
        await self._store.save("hubspot", token)


def _classify(answer: Answer) -> Verdict:
    if 200 <= answer.status < 300:
        return Ok()
    if answer.status == 429 or (
        answer.status >= 500 and answer.status != 530
    ):  # 530: the edge cannot read it
        return Retry(
            RetryLater(f"HubSpot answered a token request with {answer.status}.", where=answer.asked)
        )
    return Fail(
        FixConfig(
            f"HubSpot gives no access token: {vendor_message(answer)}",
            next_step="Check HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET and HUBSPOT_REFRESH_TOKEN;"
            " install the app again if it was removed.",
            where=answer.asked,
        )
    )
