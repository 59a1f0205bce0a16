"""Who may ask over HTTP: without an admin token only this host; with one, who shows a token of the right role."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException

from connector.app.access import Access, Role
from connector.app.api import build_app, problems
from connector.app.api.guard import Admin, Operator, Reader
from connector.app.settings import load_settings
from connector.errors import FixConfig, LeaseBusy, LedgerFailed, RetryLater, StopRun
from tests.stories.port_words import listening
from tests.stories.sidecar_words import sidecar
from tests.stories.world import world

TOKENS = {role: f"{role.word}-token-of-twenty-letters" for role in Role}
ASK = "/api/v1/whoami"


@asynccontextmanager
async def port(url: str, access: Access, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """A sidecar's port on a real socket."""
    async with world(url) as here, listening(build_app(await sidecar(here), access), address) as number:
        yield number


async def ask(
    number: int, path: str = ASK, headers: Mapping[str, str] | None = None, host: str = "127.0.0.1"
) -> tuple[int, Any]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{host}:{number}{path}", headers=headers)
        return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else answer.text


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_without_an_admin_token_this_host_may_ask_and_nothing_that_only_looks_like_it(
    sqlite_url: str,
) -> None:
    async with port(sqlite_url, Access()) as number:
        here = f"127.0.0.1:{number}"
        mine = [
            await ask(number),
            await ask(number, headers={"host": f"localhost:{number}"}),
            await ask(number, headers={"host": "[::1]"}),
            await ask(number, headers={"origin": f"http://{here}"}),
            await ask(number, headers={"sec-fetch-site": "cross-site"}),  # a link that was clicked
        ]
        refused = {
            name: await ask(number, headers=headers)
            for name, headers in {
                "rebound name": {"host": f"evil.example:{number}"},
                "name that begins like it": {"host": "127.0.0.1.evil.example"},
                "forwarded": {"forwarded": "for=10.0.0.9"},
                "x-forwarded-for": {"x-forwarded-for": "127.0.0.1"},
                "x-forwarded-host": {"X-Forwarded-Host": "localhost"},
                "x-real-ip": {"x-real-ip": "127.0.0.1"},
                "via": {"via": "1.1 proxy"},
                "page of another origin": {"origin": "https://evil.example"},
                "page without origin": {"origin": "null"},
            }.items()
        }
        refused["every path"] = await ask(number, "/docs", {"host": "evil.example"})
        refused["unknown path"] = await ask(number, "/nothing", {"via": "1.1 proxy"})
        async with httpx.AsyncClient() as client:
            form = await client.post(f"http://{here}{ASK}", headers={"sec-fetch-site": "cross-site"})
        probes = [
            await ask(number, path, {"host": "node.cluster", "via": "x"}) for path in ("/healthz", "/metrics")
        ]

    assert [status for status, _ in mine] == [200] * 5
    assert mine[0][1] == {
        "name": "this host", "role": "admin", "bootstrap": True, "service": False, "expires_at": None,
    }  # fmt: skip
    assert {name: status for name, (status, _) in refused.items()} == dict.fromkeys(refused, 403)
    assert "evil" not in json.dumps(list(refused.values()))
    assert refused["via"][1]["detail"].endswith("it was passed on by a proxy (via).")
    assert "CONNECTOR_ADMIN_TOKEN" in refused["via"][1]["next_step"]
    assert form.status_code == 403
    assert [status for status, _ in probes] == [200, 200]


async def test_two_hosts_or_none_are_nobodys_name(sqlite_url: str) -> None:
    async with port(sqlite_url, Access()) as number:
        answers = []
        for head in ("HTTP/1.0\r\n", f"HTTP/1.1\r\nHost: 127.0.0.1:{number}\r\nHost: evil.example\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            writer.write(f"GET {ASK} {head}Connection: close\r\n\r\n".encode())
            answers.append((await reader.readline()).split()[1])
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    assert answers[0] == b"403"
    assert answers[1] in (b"400", b"403")


async def test_a_port_that_other_hosts_reach_serves_nobody_without_an_admin_token(sqlite_url: str) -> None:
    async with port(sqlite_url, Access("0.0.0.0:8080", {Role.VIEWER: TOKENS[Role.VIEWER]})) as number:
        status, told = await ask(number, headers=bearer(TOKENS[Role.VIEWER]))
        health, _ = await ask(number, "/healthz")

    assert (status, health) == (403, 200)
    assert "open to other hosts" in told["detail"]


async def test_another_host_is_refused_without_an_admin_token_and_heard_with_one(sqlite_url: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with suppress(OSError):
            probe.connect(("192.0.2.1", 9))  # sends nothing; only asks which address would
        own = probe.getsockname()[0]
    if own.startswith(("127.", "0.")):
        pytest.skip("this machine has no address but loopback")
    local = {"host": "localhost"}
    async with port(sqlite_url, Access(), "0.0.0.0") as number:
        status, told = await ask(number, headers=local, host=own)
    async with port(sqlite_url, Access("0.0.0.0:1", TOKENS), "0.0.0.0") as number:
        heard, _ = await ask(number, headers=bearer(TOKENS[Role.ADMIN]) | {"via": "1.1 proxy"}, host=own)

    assert (status, heard) == (403, 200)
    assert "another host" in told["detail"]


async def test_with_an_admin_token_everybody_shows_one_and_its_role_decides(sqlite_url: str) -> None:
    async with world(sqlite_url) as here:
        app = build_app(await sidecar(here), Access("0.0.0.0:8080", TOKENS))

        @app.get("/api/v1/for-operators")
        async def operators(caller: Operator) -> str:
            return caller.name

        @app.get("/api/v1/for-admins")
        async def admins(caller: Admin) -> str:
            return caller.name

        @app.get("/page")
        async def page(caller: Reader) -> str:
            return caller.name

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://elsewhere"
        ) as client:
            statuses = {
                (path, role.word): (await client.get(path, headers=bearer(token))).status_code
                for path in (ASK, "/api/v1/for-operators", "/api/v1/for-admins")
                for role, token in TOKENS.items()
            }
            none = await client.get(ASK)
            wrong = await client.get(ASK, headers=bearer("x" * 30))
            lesser = await client.get("/api/v1/for-admins", headers=bearer(TOKENS[Role.OPERATOR]))
            basic = [
                await client.get("/page", headers={"authorization": f"Basic {told}"})
                for told in (base64.b64encode(f"any:{TOKENS[Role.VIEWER]}".encode()).decode(), "a!", "/w==")
            ]
            asked = await client.get("/page")
            ambient = await client.get(ASK, auth=("any", TOKENS[Role.VIEWER]))
            open_ones = [
                (await client.get(each)).status_code for each in ("/healthz", "/docs", "/openapi.json")
            ]

    assert {key for key, status in statuses.items() if status == 200} == {
        (ASK, "viewer"), (ASK, "operator"), (ASK, "admin"),
        ("/api/v1/for-operators", "operator"), ("/api/v1/for-operators", "admin"), ("/api/v1/for-admins", "admin"),
    }  # fmt: skip
    assert {status for status in statuses.values() if status != 200} == {403}
    assert (none.status_code, none.headers["www-authenticate"]) == (401, "Bearer")
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert lesser.json()["detail"] == "This takes the role admin; this token has operator."
    assert [each.status_code for each in basic] == [200, 401, 401]
    assert asked.headers["www-authenticate"].startswith("Basic ")
    assert (
        ambient.status_code == 401
    )  # a browser sends Basic by itself: never where something can be done with it
    assert open_ones == [200, 200, 200]


def test_tokens_of_the_environment_are_long_enough_each_its_own_and_never_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONNECTOR_ADMIN_TOKEN", "short-secret")
    monkeypatch.setenv("CONNECTOR_VIEWER_TOKEN", "has a blank in the middle")
    with pytest.raises(FixConfig) as bad:
        load_settings()
    assert {each.path[0] for each in bad.value.problems} == {
        "CONNECTOR_ADMIN_TOKEN",
        "CONNECTOR_VIEWER_TOKEN",
    }
    assert "short-secret" not in str(bad.value)
    assert "middle" not in str(bad.value)

    for name in ("ADMIN", "VIEWER"):
        monkeypatch.setenv(f"CONNECTOR_{name}_TOKEN", "one-token-for-two-roles")
    with pytest.raises(FixConfig, match="same token"):
        Access.of(load_settings())


async def test_every_error_is_told_as_a_problem_without_what_was_sent(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raised: dict[str, Exception] = {
        "config": FixConfig("It is wrong.", next_step="Change it."),
        "busy": LeaseBusy("Held."),
        "later": RetryLater("Away."),
        "ledger": LedgerFailed("Refused."),
        "stop": StopRun("No."),
        "http": HTTPException(413, "Too much."),
        "unforeseen": ValueError("ada@example.com"),
    }
    async with world(sqlite_url) as here:
        app = build_app(await sidecar(here))

        @app.get("/api/v1/raises/{name}")
        async def raises(name: str, number: int = 0) -> None:
            raise raised[name]

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = {name: await client.get(f"/api/v1/raises/{name}") for name in raised}
            answers["typed"] = await client.get("/api/v1/raises/busy", params={"number": "ada@example.com"})
            for path in ("/api/v1/nothing", "/v1/nothing", "/webhooks/nothing"):
                answers[path] = await client.get(path)
            answers["method"] = await client.delete(ASK)

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "config": 422, "busy": 409, "later": 503, "ledger": 503, "stop": 409, "http": 413, "unforeseen": 500,
        "typed": 422, "/api/v1/nothing": 404, "/v1/nothing": 404, "/webhooks/nothing": 404, "method": 405,
    }  # fmt: skip
    assert {answer.headers["content-type"] for answer in answers.values()} == {problems.MEDIA}
    for answer in answers.values():
        problems.Problem.model_validate(answer.json())
        assert "ada@" not in answer.text
        assert "x-correlation-id" in answer.headers
    assert answers["config"].json()["next_step"] == "Change it."
    assert answers["typed"].json()["problems"][0]["where"] == "query.number"
    assert answers["later"].headers["retry-after"] == "30"
    assert "GET" in answers["method"].headers["allow"]
    written = "".join(capsys.readouterr())
    assert "ada@" not in written
    assert "ValueError" in written
    assert "test_access.py" in written


async def test_the_pages_of_the_api_ask_nothing_from_outside(sqlite_url: str) -> None:
    async with world(sqlite_url) as here:
        transport = httpx.ASGITransport(build_app(await sidecar(here)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            page = await client.get("/docs")
            found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assets = [(await client.get(path)).status_code for path in found]
            document = (await client.get("/openapi.json")).json()

    assert len(found) >= 3
    assert set(assets) == {200}
    assert not re.search(r"https?://|//cdn", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "Problem" in document["components"]["schemas"]
    assert "401" in document["paths"][ASK]["get"]["responses"]
