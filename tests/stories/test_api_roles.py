"""Who may ask which route: every route of the port, by every kind of caller. A route that is in no table fails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from connector.app.access import Access, Role
from connector.app.api import build_app
from connector.app.token_text import hash_of, new_token
from tests.stories.sidecar_words import sidecar
from tests.stories.world import World, world

VIEWER, OPERATOR, ADMIN = Role

ROLES: Mapping[str, Role] = {
    "GET /api/v1/whoami": VIEWER,
    "GET /api/v1/people": VIEWER,
    "GET /api/v1/people/lookup": VIEWER,
    "GET /api/v1/people/{person}/explain": VIEWER,
    "GET /api/v1/backfills": VIEWER,
    "GET /api/v1/backfills/{run}": VIEWER,
    "GET /api/v1/criteria": VIEWER,
    "GET /api/v1/criteria/{version}": VIEWER,
    "GET /api/v1/mappings/{crm}": VIEWER,
    "GET /api/v1/notices": VIEWER,
    "GET /api/v1/overrides": VIEWER,
    "GET /api/v1/plans": VIEWER,
    "GET /api/v1/plans/{plan}": VIEWER,
    "GET /api/v1/plans/{plan}/rows": VIEWER,
    "GET /api/v1/requests": VIEWER,
    "GET /api/v1/requests/{request}": VIEWER,
    "GET /api/v1/review": VIEWER,
    "GET /api/v1/runs": VIEWER,
    "GET /api/v1/runs/{run}": VIEWER,
    "GET /": VIEWER,
    "GET /people/{number}": VIEWER,
    "GET /api/v1/status": VIEWER,
    "POST /api/v1/stop": OPERATOR,
    "POST /api/v1/start": OPERATOR,
    "POST /api/v1/syncs": OPERATOR,
    "POST /api/v1/plans/{plan}/approve": OPERATOR,
    "POST /api/v1/plans/{plan}/apply": OPERATOR,
    "POST /api/v1/plans/{plan}/discard": OPERATOR,
    "POST /api/v1/runs/{run}/undo": OPERATOR,
    "POST /api/v1/backfills": OPERATOR,
    "POST /api/v1/backfills/{run}/pause": OPERATOR,
    "POST /api/v1/backfills/{run}/resume": OPERATOR,
    "POST /api/v1/backfills/{run}/cancel": OPERATOR,
    "POST /api/v1/overrides": OPERATOR,
    "DELETE /api/v1/overrides/{override}": OPERATOR,
    "POST /api/v1/review/{pair}/join": OPERATOR,
    "POST /api/v1/review/{pair}/split": OPERATOR,
    "POST /api/v1/review/{pair}/undo": OPERATOR,
    "GET /api/v1/drafts/{draft}": VIEWER,
    "POST /api/v1/criteria/check": VIEWER,
    "POST /api/v1/mappings/{crm}/check": VIEWER,
    "POST /api/v1/criteria/drafts": ADMIN,
    "POST /api/v1/mappings/{crm}/drafts": ADMIN,
    "POST /api/v1/drafts/{draft}/approve": ADMIN,
    "POST /api/v1/drafts/{draft}/publish": ADMIN,
    "POST /api/v1/drafts/{draft}/discard": ADMIN,
    "POST /api/v1/criteria/rollback": ADMIN,
    "GET /api/v1/people/{person}/export": ADMIN,
    "POST /api/v1/people/{person}/erase": ADMIN,
    "POST /api/v1/people/{person}/allow": ADMIN,
}
"""The least role of each route that takes one."""

OPEN = {
    "GET /healthz": "a container's keeper has no token",
    "GET /readyz": "nor has a load balancer",
    "GET /metrics": "nor has Prometheus; no person is named",
    "GET /docs": "what there is, nothing of what is kept",
    "GET /openapi.json": "the same for programs",
    "GET /docs/assets": "packaged scripts",
}
"""Routes that ask nobody who they are, and why."""

KINDS = ("alias", "b", "batch", "group", "identify", "import", "page", "screen", "track")
OWN = {f"POST /v1/{kind}": "test_first_party.py" for kind in KINDS} | {
    "POST /webhooks/hubspot": "test_webhooks.py"
}
"""Routes that know their callers in a way of their own, and where that is tested. Our tokens open none."""

JSON = {"content-type": "application/json"}
BOOTSTRAP = {role: f"{role.word}-token-of-the-environment" for role in Role}


def routes(app: FastAPI) -> Iterator[str]:
    """`METHOD /path` of everything that is answered."""
    for each in iter_route_contexts(app.routes):
        if not each.methods and not isinstance(each.original_route, Mount):
            pytest.fail(f"{each.original_route!r} is no kind of route that this test knows.")
        yield from (f"{method} {each.path}" for method in (each.methods or {"GET"}) - {"HEAD"})


async def callers(made: World) -> dict[str, str | None]:
    """A header for each kind of caller, by its name."""
    now = made.clock.now()
    found: dict[str, str | None] = {"none": None, "blank": "Bearer ", "unknown": f"Bearer {new_token()}"}
    found |= {f"bootstrap {role.word}": f"Bearer {token}" for role, token in BOOTSTRAP.items()}
    for role in Role:
        for state in ("live", "expired", "revoked"):
            token = new_token()
            kept = await made.ledger.make_token(
                f"{state} {role.word}", role.word, hash_of(token), "root", now - timedelta(days=2),
                expires_at=now + timedelta(days=-1 if state == "expired" else 1),
            )  # fmt: skip
            if state == "revoked":
                await made.ledger.revoke_token(kept.id, "root", now - timedelta(days=1))
            found[f"{state} {role.word}"] = f"Bearer {token}"
    return found


def allowed(caller: str, least: Role) -> int:
    """0 where the route itself answers, else the status that refuses."""
    state, _, word = caller.partition(" ")
    if state not in ("live", "bootstrap"):
        return 401
    return 0 if Role[word.upper()] >= least else 403


async def test_every_route_is_in_a_table_and_what_is_open_is_open_to_whoever_shows_nothing(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=12) as made:
        app = build_app(await sidecar(made), Access("0.0.0.0:8080", BOOTSTRAP))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://elsewhere"
        ) as client:
            statuses = {route: (await client.get(route.partition(" ")[2])).status_code for route in OPEN}
            ours = {"authorization": f"Bearer {BOOTSTRAP[ADMIN]}"}
            taken = {
                route: (await client.post(route.partition(" ")[2], json={}, headers=ours)).status_code
                for route in OWN
            }

    found, known = set(routes(app)), {*ROLES, *OPEN, *OWN}
    assert found - known == set(), "say here, and in docs/reference/api.md, who may ask these"
    assert known - found == set(), "these are no routes any more"
    assert {route for route, status in statuses.items() if status in (401, 403)} == set()
    assert {route for route, status in taken.items() if status < 400} == set()


async def test_each_route_hears_its_role_and_the_greater_ones_and_nobody_else(sqlite_url: str) -> None:
    wrong: list[str] = []
    async with world(sqlite_url, people=12) as made:
        access = Access("0.0.0.0:8080", BOOTSTRAP)
        transport = httpx.ASGITransport(build_app(await sidecar(made), access))
        known = await callers(made)
        async with httpx.AsyncClient(transport=transport, base_url="http://elsewhere") as client:
            for route, least in ROLES.items():
                method, _, path = route.partition(" ")
                for caller, header in known.items():
                    headers = {"authorization": header} if header is not None else {}
                    # No route takes a list: who is let in is told so, and nothing is done. Who is not known is not
                    # even told that this is no JSON.
                    body = b"[" if allowed(caller, least) == 401 else b"[]"
                    asked = re.sub(r"\{\w+(:\w+)?\}", "999999", path)
                    answer = await client.request(
                        method, asked, headers=headers | JSON, content=b"" if method == "GET" else body
                    )
                    refused = answer.status_code if answer.status_code in (401, 403) else 0
                    if refused != allowed(caller, least):
                        wrong.append(f"{route} by {caller}: {answer.status_code}")
                    if answer.status_code >= 500:
                        wrong.append(f"{route} by {caller} failed: {answer.status_code}")
                    if refused == 401 and not answer.headers.get("www-authenticate"):
                        wrong.append(f"{route} by {caller} does not say what it asks for")
                    if refused and answer.headers["content-type"] != "application/problem+json":
                        wrong.append(f"{route} by {caller} is refused without a problem")

    assert not wrong, "\n".join(wrong)
