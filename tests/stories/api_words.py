"""Words for stories about the API: a sidecar on a made-up world, asked over ASGI by whoever has a token."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from connector.app.access import Access, Role
from connector.app.api import build_app
from connector.app.sidecar import Sidecar
from connector.app.token_text import hash_of, new_token
from connector.ports import Request
from tests.stories.sidecar_words import parts_of
from tests.stories.world import World

TOKENS = {role: f"{role.word}-token-of-twenty-letters" for role in Role}


@dataclass
class Api:
    """The API of one sidecar. Answers are told as (status, document)."""

    world: World
    side: Sidecar
    app: FastAPI
    client: httpx.AsyncClient

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str = TOKENS[Role.OPERATOR],
        key: str | None = None,
    ) -> httpx.Response:
        """The whole answer. `by`: a token."""
        headers = {"authorization": f"Bearer {by}"} | ({"idempotency-key": key} if key is not None else {})
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def post(self, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """A write."""
        answer = await self.send("POST", path, {} if body is None else body, **more)
        return answer.status_code, answer.json()

    async def token(self, name: str, role: Role = Role.OPERATOR, *, service: bool = False) -> str:
        """A new token of this person (or program)."""
        token, now = new_token(), self.world.clock.now()
        await self.world.ledger.make_token(
            name,
            role.word,
            hash_of(token),
            "story",
            now,
            expires_at=now + timedelta(days=90),
            service=service,
        )
        return token

    async def done(self, asked: tuple[int, Any]) -> Request:
        """What became of the work that this answer (202) has left to the sidecar, once it has done it."""
        status, told = asked
        assert status == 202, told
        task = await self.side._requests.look(self.side.served.crms)
        assert task is not None
        await task
        found = await self.world.ledger.request(told["request"])
        assert found is not None
        return found

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        """A question."""
        answer = await self.send("GET", path, **more)
        return answer.status_code, answer.json()


@asynccontextmanager
async def api(world: World, **more: Any) -> AsyncIterator[Api]:
    """The API of a sidecar, with a token of the environment for each role. `more`: of what it has wired."""
    side = Sidecar(replace(parts_of(world), **more))
    await side.served.look()
    app = build_app(side, Access("127.0.0.1:8080", TOKENS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield Api(world, side, app, client)


def new_key() -> str:
    """As a client makes one."""
    return str(uuid.uuid4())
