"""Words for stories about what is read over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from connector.app.access import Access
from connector.app.api import build_app
from connector.app.sidecar import Sidecar


@asynccontextmanager
async def client_of(side: Sidecar, access: Access | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody on this host who asks its port."""
    transport = httpx.ASGITransport(build_app(side, access), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


async def got(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """The document at this path of the API, which must be there."""
    answer = await client.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def all_of(client: httpx.AsyncClient, path: str, name: str, **query: Any) -> list[Any]:
    """Every row of a list, piece by piece, as its `next` and its `Link` header lead."""
    answer = await client.get(f"/api/v1/{path}", params=query)
    rows: list[Any] = []
    while True:
        assert answer.status_code == 200, answer.text
        document = answer.json()
        rows += document[name]
        if document["next"] is None:
            assert "link" not in answer.headers
            return rows
        assert answer.links["next"]["url"] == document["next"]
        answer = await client.get(document["next"])
