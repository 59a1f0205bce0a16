"""Tokens of people and programs over HTTP: what they open, how soon they open nothing, what is known of their use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from connector.app.access import Access, Role
from connector.app.api import build_app
from connector.app.token_lookup import FRESH, NamedTokens
from connector.app.token_text import hash_of, new_token
from connector.core.approval import Proof
from connector.errors import LedgerFailed
from connector.ports import Token
from tests.stories.sidecar_words import sidecar
from tests.stories.world import World, world

ASK = "/api/v1/whoami"
DAY = timedelta(days=1)


class Port:
    """A sidecar's port, as a caller of it sees it."""

    def __init__(self, made: World, access: Access, client: httpx.AsyncClient) -> None:
        self.world, self.access, self._client = made, access, client

    async def made(
        self, name: str, role: str = "viewer", *, days: float = 1, service: bool = False
    ) -> tuple[str, Token]:
        text, at = new_token(), self.world.clock.now()
        token = await self.world.ledger.make_token(
            name, role, hash_of(text), "root", at, expires_at=at + days * DAY, service=service
        )
        return text, token

    async def ask(self, token: str | None = None) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self._client.get(ASK, headers=headers)

    async def why_not(self, token: str) -> str:
        answer = await self.ask(token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert answer.headers["content-type"] == "application/problem+json"
        assert "connector token create" in answer.json()["next_step"]
        return str(answer.json()["detail"])

    async def last_used(self, number: int) -> Any:
        assert self.access.named is not None
        await self.access.named.noted()
        return next(each.last_used for each in await self.world.ledger.tokens() if each.id == number)


@asynccontextmanager
async def port(
    url: str, access: Access | None = None, *, name: str = "http://elsewhere"
) -> AsyncIterator[Port]:
    async with world(url, people=12) as made:
        access = access or Access("0.0.0.0:8080", {Role.ADMIN: "a-bootstrap-token-of-an-admin"})
        app = build_app(await sidecar(made), access)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=name) as client:
            yield Port(made, access, client)


async def test_a_token_says_who_asks_until_it_ends_and_its_use_is_known_by_the_day(database_url: str) -> None:
    async with port(database_url) as here:
        text, grace = await here.made("Grace", "operator")
        shop, _ = await here.made("web-shop", service=True)
        assert grace.last_used is None

        told = (await here.ask(text)).json()
        assert (told["name"], told["role"], told["bootstrap"], told["service"]) == (
            "Grace", "operator", False, False,
        )  # fmt: skip
        assert told["expires_at"].startswith(f"{grace.expires_at:%Y-%m-%dT%H:%M}")
        program = (await here.ask(shop)).json()
        assert (program["name"], program["service"]) == ("service:web-shop", True)
        assert [(await here.access.caller(each)).proof for each in (text, shop)] == [
            Proof.PROVEN,
            Proof.SERVICE,
        ]
        today = here.world.clock.now().date()
        assert await here.last_used(grace.id) == today

        here.world.clock.advance(DAY - timedelta(seconds=1))
        assert (await here.ask(text)).status_code == 200
        assert await here.last_used(grace.id) == here.world.clock.now().date() > today

        here.world.clock.advance(timedelta(seconds=1))
        assert await here.why_not(text) == "This token has expired."
        assert await here.why_not(text[:-1]) == "This token is not whole: a character is wrong or missing."
        assert await here.why_not(new_token()) == "This token is not known here."
        assert await here.why_not("x" * 40) == "This token is not known here."


async def test_a_revoked_token_opens_nothing_after_five_seconds_and_until_then_costs_no_question(
    sqlite_url: str,
) -> None:
    async with port(sqlite_url) as here:
        text, grace = await here.made("Grace")
        assert (await here.ask(text)).status_code == 200
        await here.last_used(grace.id)
        await here.world.ledger.revoke_token(grace.id, "Sam", here.world.clock.now())

        here.world.clock.advance(FRESH / 2)
        assert (await here.ask(text)).status_code == 200  # the ledger was not asked

        here.world.clock.advance(FRESH / 2)
        assert await here.why_not(text) == "This token was revoked."

        other, sam = await here.made("Sam")
        await here.world.ledger.revoke_token(sam.id, "root", here.world.clock.now())
        assert await here.why_not(other) == "This token was revoked."  # never seen before: asked at once


async def test_an_admin_of_the_ledger_closes_the_port_to_whoever_shows_nothing_and_it_stays_closed(
    sqlite_url: str,
) -> None:
    async with port(sqlite_url, Access(), name="http://localhost") as here:
        await here.made("Vera")
        assert (await here.ask()).json()["name"] == "this host"

        text, ada = await here.made("Ada", "admin")
        here.world.clock.advance(FRESH)
        assert (await here.ask()).status_code == 401
        assert (await here.ask(text)).json()["role"] == "admin"

        await here.world.ledger.revoke_token(ada.id, "root", here.world.clock.now())
        here.world.clock.advance(2 * FRESH)
        assert (await here.ask()).status_code == 401


async def test_a_ledger_that_is_away_opens_nothing_and_is_said_to_be_away(sqlite_url: str) -> None:
    class Away:
        async def tokens(self) -> list[Token]:
            raise LedgerFailed("The database does not answer.")

        async def token_of(self, hash: str) -> Token | None:
            raise LedgerFailed("The database does not answer.")

    async with port(sqlite_url, Access(), name="http://localhost") as here:
        here.access.named = NamedTokens(Away(), here.world.clock)  # type: ignore[arg-type]
        assert (await here.ask()).status_code == 401
        assert (await here.ask(new_token())).status_code == 503
