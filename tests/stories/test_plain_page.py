"""The plain page at `/`: the state of each CRM for a human, and nothing in it that a browser could run."""

from __future__ import annotations

import re

from connector.app.access import Access, Role
from connector.app.api.page import HEADERS
from tests.stories.reading_words import client_of
from tests.stories.sidecar_words import sidecar
from tests.stories.world import world

NASTY = "<script>alert(1)</script>\"'&"


async def test_the_page_shows_each_crm_the_last_runs_and_the_plans_that_wait(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as made:
        side = await sidecar(made)
        async with client_of(side) as client:
            empty = (await client.get("/")).text
            assert "No run yet." in empty
            assert empty.count("not asked yet") == 2
            last = await made.sync(yes=False, plan_only=True)
            answer = await client.get("/")
            page = answer.text
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert page.count("answers") == 2
            assert f"<td>{last.run}</td><td>sync</td><td><span class=good>succeeded" in page
            for plan in last.plans.values():
                assert f"<td>{plan}</td>" in page
            assert "Version 1 of the definition is in force." in page
            assert "(here)" in page


async def test_whatever_is_told_is_escaped_and_the_browser_may_run_and_fetch_nothing(sqlite_url: str) -> None:
    async with world(sqlite_url, people=2) as made:
        side = await sidecar(made)
        run = await made.ledger.start_run(NASTY, ["hubspot", NASTY], made.clock.now())
        document = {"crms": {NASTY: {"error": NASTY}}, "error": NASTY}
        await made.ledger.finish_run(run, NASTY, document, made.clock.now())
        await made.ledger.set_brake("hubspot", True, NASTY, NASTY, made.clock.now())
        side.health.crms["hubspot"] = NASTY
        side.current.told = NASTY
        async with client_of(side) as client:
            answer = await client.get("/")
        assert answer.text.count("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;") >= 8
        assert not re.search(r"<script|\son\w+=|javascript:", answer.text)
        assert not re.search(r"(src|href|url\()\s*=?\s*[\"']?(https?:|//)", answer.text)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy


async def test_a_ledger_that_fails_is_told_on_the_page(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as made, client_of(await sidecar(made)) as client:
        await made.ledger._db.write(lambda db: db.exec_driver_sql("DROP TABLE run"))
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert "<span class=bad>" in answer.text
        assert "OperationalError" in answer.text
        assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]


async def test_with_tokens_a_browser_is_asked_for_one_and_a_viewer_may_look(sqlite_url: str) -> None:
    viewer = "a-viewer-token-of-twenty-letters"
    access = Access(bootstrap={Role.ADMIN: "an-admin-token-of-twenty-letters", Role.VIEWER: viewer})
    async with world(sqlite_url, people=1) as made, client_of(await sidecar(made), access) as client:
        asked = await client.get("/")
        assert (asked.status_code, asked.headers["www-authenticate"].split()[0]) == (401, "Basic")
        assert "hubspot" not in asked.text
        assert (await client.get("/", auth=("anybody", viewer))).status_code == 200
        assert (await client.get("/", auth=("anybody", "another"))).status_code == 401
        assert (await client.get("/api/v1/status")).status_code == 401
