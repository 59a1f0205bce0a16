"""A write that is sent again under its Idempotency-Key is done once, whatever broke off in between."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from connector.app.access import SAFE, Access, Role
from connector.app.api.keyed import LARGEST, Keyed
from connector.errors import LeaseBusy
from connector.ports import KeptAnswer
from tests.stories.api_words import TOKENS, Api, api, new_key
from tests.stories.sidecar_words import parts_of
from tests.stories.world import World, world

ME = "bootstrap operator"


async def brakes(w: World) -> list[tuple[str, str]]:
    return [(each.crm, each.why) for each in (await w.ledger.brakes()).values()]


async def test_a_write_under_a_key_is_done_once_and_answered_alike_for_a_day(database_url: str) -> None:
    async with world(database_url, people=1) as w, api(w) as it:
        key = new_key()
        first = await it.send("POST", "/stop", {"crms": ["hubspot"], "why": "fair"}, key=key)
        await it.post("/start", {})
        w.later(hours=23)
        again = await it.send("POST", "/stop", {"crms": ["hubspot"], "why": "fair"}, key=key)
        stands = await brakes(w)
        other = await it.send("POST", "/stop", {"crms": ["hubspot"], "why": "another"}, key=key)
        elsewhere = await it.send("POST", "/start", {"crms": ["hubspot"], "why": "fair"}, key=key)
        somebody = await it.send(
            "POST", "/stop", {"crms": ["salesforce"]}, key=key, by=TOKENS[Role.ADMIN]
        )  # a key is its caller's own
        w.later(hours=2)
        await next(job for job in it.side.jobs.ours() if job.name == "forget-keys").body(it.side)
        kept = await w.ledger.begin_key("bootstrap admin", key, "x", "y", w.clock.now())
        anew = await it.send("POST", "/stop", {"crms": ["hubspot"], "why": "fair"}, key=key)

    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert stands == [], "it was not stopped a second time"
    assert (other.status_code, elsewhere.status_code) == (422, 422)
    assert other.json()["detail"] == "This Idempotency-Key was used for another request."
    assert somebody.json()["crms"]["salesforce"]["by"] == "bootstrap admin"
    assert kept is not None, "a day has not passed for this one"
    assert anew.json()["crms"]["hubspot"]["changed"]
    assert "idempotency-replayed" not in anew.headers


async def test_of_many_at_once_to_two_sidecars_one_is_done(database_url: str) -> None:
    async with world(database_url, people=1) as w, api(w) as it, api(w, holder="another") as other:
        key, word = new_key(), {"who": "new@example.com", "kind": "never", "reason": "own staff"}
        asked = [each.send("POST", "/overrides", word, key=key) for each in (it, other) for _ in range(4)]
        answers = await asyncio.gather(*asked)
        late = await other.send("POST", "/overrides", word, key=key)
        words = await w.ledger.overrides(ended=True)

    assert len(words) == 1
    assert {each.status_code for each in answers} <= {201, 409}
    done = [each for each in answers if each.status_code == 201]
    assert {each.content for each in (*done, late)} == {late.content}
    assert [each.headers.get("idempotency-replayed") for each in done].count(None) == 1


async def test_one_that_is_under_way_is_not_begun_again(sqlite_url: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        done.append("once")
        await JSONResponse({"done": len(done)}, 201, {"location": "/there"})(scope, receive, send)

    async with world(sqlite_url, people=1) as w, around(w, slow) as client:
        first = asyncio.create_task(client.post("/api/x", headers=with_key("k")))
        await begun.wait()
        meanwhile = await client.post("/api/x", headers=with_key("k"))
        go_on.set()
        answer = await first
        again = await client.post("/api/x", headers=with_key("k"))

    assert (meanwhile.status_code, answer.status_code, again.status_code) == (409, 201, 201)
    assert meanwhile.headers["content-type"] == "application/problem+json"
    assert again.headers["location"] == "/there"
    assert again.json() == {"done": 1}
    assert done == ["once"]


async def test_whether_one_that_broke_off_had_done_anything_is_known(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as w, api(w) as it:
        now = w.clock.now()

        async def fails(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/api/late":
                await w.ledger.set_brake("hubspot", True, "ada", "", now)
            raise RuntimeError("nobody foresaw that")

        async with around(w, fails) as client:
            for path in ("/api/early", "/api/late"):
                with pytest.raises(RuntimeError):
                    await client.post(path, headers=with_key(path))
            early, late = [
                await w.ledger.begin_key(ME, path, "x", "y", now) for path in ("/api/early", "/api/late")
            ]
        # A process that was killed leaves what it had committed, and nothing else.
        await w.ledger.begin_key(ME, "before", "", "dead", now)
        await w.ledger.begin_key(ME, "same", "x", "dead", now)
        free = await w.ledger.begin_key(ME, "same", "x", "next", now)
        taken = await w.ledger.begin_key(ME, "after", "x", "dead", now)
        with w.ledger.under_key(ME, "after", "dead"):
            await w.ledger.set_brake("salesforce", True, "ada", "", now)
        lost = await w.ledger.begin_key(ME, "after", "x", "next", now)
        # One that only seemed dead keeps nothing once another has taken it over.
        with pytest.raises(LeaseBusy), w.ledger.under_key(ME, "same", "dead"):
            await w.ledger.set_brake("hubspot", False, "ada", "", now)
        status, _ = await it.post("/stop", {}, key="after")
        stopped = {crm for crm, _ in await brakes(w)}

    assert early is None
    assert late is not None
    assert (late.acted, late.answer) == (True, None)
    assert (free, taken) == (None, None)
    assert lost is not None
    assert lost.acted
    assert status == 422  # this test's fingerprint is another
    assert stopped == {"hubspot", "salesforce"}


async def test_a_refusal_uses_up_no_key(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as w, api(w) as it:
        refused = [
            await it.post("/stop", {"crms": ["hubspt"]}, key="k"),
            await it.post("/stop", {"crms": "hubspot"}, key="k"),
            await it.post("/stop", {}, key="k", by=TOKENS[Role.VIEWER]),
            await it.post("/stop", {}, key="k", by="a token that nobody has"),
        ]
        status, _ = await it.post("/stop", {}, key="k")

    assert [each[0] for each in refused] == [422, 422, 403, 401]
    assert "hubspot" in refused[0][1]["next_step"]
    assert status == 200


async def test_an_answer_that_could_not_be_kept_is_given_and_not_done_twice(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as w, api(w) as it:

        async def away(*_: Any) -> None:
            raise LeaseBusy("The ledger is away.")

        kept, it.side.parts.ledger.answer_key = it.side.parts.ledger.answer_key, away  # type: ignore[method-assign]
        first = await it.post("/stop", {"crms": ["hubspot"]}, key="k")
        it.side.parts.ledger.answer_key = kept  # type: ignore[method-assign]
        again = await it.post("/stop", {"crms": ["hubspot"]}, key="k")

    assert first[0] == 200
    assert again[0] == 409
    assert "its answer is lost" in again[1]["detail"]


async def test_half_a_request_is_none(sqlite_url: str) -> None:
    begun: list[str] = []
    came = iter([{"type": "http.request", "body": b"{}", "more_body": True}, {"type": "http.disconnect"}])

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])

    async def receive() -> Any:
        return next(came)

    async def send(message: Any) -> None:
        begun.append(message["type"])

    async with world(sqlite_url, people=1) as w:
        keyed = Keyed(inner, parts_of(w), Access("127.0.0.1:8080", TOKENS))
        await keyed({"type": "http", "method": "POST", "path": "/api/x", "headers": []}, receive, send)

    assert begun == []


async def test_no_writing_route_is_without_keys_and_a_limit(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as w, api(w) as it:
        now = w.clock.now()
        for caller in (ME, "bootstrap admin"):
            await w.ledger.begin_key(caller, "used", "of another request", "a", now)
            await w.ledger.answer_key(caller, "used", "a", KeptAnswer(200, {}, "{}"))
        described = (await it.client.get("/openapi.json")).json()["paths"]
        answers = {route: await tried(it, *route) for route in writing_routes(described)}

    assert len(answers) >= 2
    assert set(answers.values()) == {(413, 400, 422)}, answers
    for method, path in answers:
        parameters = described[path][method.lower()]["parameters"]
        assert [each["name"] for each in parameters if each["in"] == "header"] == ["Idempotency-Key"], path


def writing_routes(described: dict[str, Any]) -> list[tuple[str, str]]:
    """All routes of the API that may change something."""
    return [
        (method.upper(), path)
        for path, methods in described.items()
        for method in methods
        if path.startswith("/api/") and method.upper() not in SAFE
    ]


async def tried(it: Api, method: str, path: str) -> tuple[int, ...]:
    """With a body that is too large, with a key that is none, with a key that was used for something else."""
    place, head = path.replace("{", "").replace("}", ""), {"authorization": f"Bearer {TOKENS[Role.ADMIN]}"}

    async def status(**more: Any) -> int:
        more["headers"] = head | more.get("headers", {})
        return (await it.client.request(method, place, **more)).status_code

    return (
        await status(content=b" " * (LARGEST + 1)),
        await status(headers={"idempotency-key": "a b"}),
        await status(headers={"idempotency-key": "used"}),
    )


def with_key(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[Role.OPERATOR]}", "idempotency-key": key}


def around(w: World, inner: Any) -> httpx.AsyncClient:
    """A client of the keys alone, around an app of the test's own."""
    keyed = Keyed(inner, parts_of(w), Access("127.0.0.1:8080", TOKENS))
    return httpx.AsyncClient(transport=httpx.ASGITransport(keyed), base_url="http://127.0.0.1")
