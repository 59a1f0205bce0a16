"""The requests as people make them: at the command line, over HTTP, and in the middle of a sync."""

from __future__ import annotations

import asyncio
import json
from functools import partial

from typer.testing import CliRunner

from connector.app import erasing
from connector.app.access import Role
from connector.app.cli import app
from tests.stories.api_words import TOKENS, api, new_key
from tests.stories.test_erasure import cells
from tests.stories.world import somebody, world


async def test_the_commands_show_erase_and_let_in_again(sqlite_url, tmp_path):
    def say(*words: str, **more: str):
        env = {"CONNECTOR_DATABASE_URL": sqlite_url, **more}
        done = CliRunner().invoke(app, ["person", *words], env=env)
        return done.exit_code, done.stdout, done.stderr

    async with world(sqlite_url, people=12) as w:
        await w.sync()
        lea = await somebody(w)
    target = tmp_path / "lea.json"
    shown, text, _ = await asyncio.to_thread(say, "export", lea.email, "--out", str(target))
    assert shown == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert {row["ref"] for row in json.loads(target.read_text())["held"]["record"]["rows"]} == set(
        map(str, lea.view.refs)
    )
    assert (await asyncio.to_thread(say, "export", lea.email, "--out", str(target)))[
        0
    ] == 2  # overwrites nothing
    asked = await asyncio.to_thread(say, "erase", lea.email, "--reason", "asked", "--json")
    assert (asked[0], json.loads(asked[1])["erasure"]) == (3, None)  # nobody has agreed to it

    code, text, said = await asyncio.to_thread(
        say, "erase", lea.email, "--reason", "asked", "--yes", "--json"
    )

    done = json.loads(text)
    assert code == 3  # there is something left to do
    assert sorted(done["still_in_crms"]) == sorted(map(str, lea.view.refs))
    assert done["next_steps"][0].startswith("Delete ")
    assert lea.email not in text + said
    assert cells(sqlite_url, lea.email) == []
    code, text, said = await asyncio.to_thread(say, "export", lea.email)
    assert (code, lea.email in said) == (2, False)
    old = tmp_path / "old"
    old.write_text("a key of twenty letters\n")
    env = {"CONNECTOR_SECRET_KEY": "another of twenty letters"}
    assert (await asyncio.to_thread(say, "reseal", "--old-key", str(old)))[0] == 2  # there is no new one
    sealed = await asyncio.to_thread(partial(say, "reseal", "--old-key", str(old), "--json", **env))
    assert (sealed[0], json.loads(sealed[1])) == (0, {"resealed": 1})
    assert (await asyncio.to_thread(say, "allow", lea.email, "--reason", "signed up"))[
        0
    ] == 2  # without the key
    say = partial(say, **env)
    assert (await asyncio.to_thread(say, "allow", lea.email, "--reason", "signed up"))[0] == 0
    assert (await asyncio.to_thread(say, "allow", lea.email, "--reason", "signed up"))[0] == 2


async def test_over_http_admins_alone_are_answered_and_no_answer_is_kept(sqlite_url):
    async with world(sqlite_url, people=12) as w, api(w) as it:
        await w.sync()
        lea = await somebody(w)
        admin, at = {"by": TOKENS[Role.ADMIN]}, f"/people/{lea.email}"
        refused = await it.send("POST", f"{at}/erase", {"reason": "asked"}, by=TOKENS[Role.OPERATOR])
        shown = await it.send("GET", f"{at}/export", **admin)
        wordless = await it.send("POST", f"{at}/erase", {"reason": " "}, **admin)
        key = new_key()
        done = await it.send("POST", f"{at}/erase", {"reason": "asked"}, key=key, **admin)
        again = await it.send("POST", f"{at}/erase", {"reason": "asked"}, key=key, **admin)
        gone = [
            (await it.send("GET", f"{at}/export", **admin)).status_code,
            (await it.send("POST", f"{at}/erase", {"reason": "asked"}, **admin)).status_code,
        ]
        left = cells(sqlite_url, lea.email, *map(str, lea.view.refs))
        allowed = await it.send("POST", f"{at}/allow", {"reason": "signed up"}, **admin)
        twice = await it.send("POST", f"{at}/allow", {"reason": "signed up"}, **admin)

    assert (refused.status_code, wordless.status_code, gone) == (403, 422, [404, 404])
    assert shown.headers["cache-control"] == done.headers["cache-control"] == "no-store"
    assert shown.json()["person"]["emails"] == [lea.email]
    assert sorted(done.json()["still_in_crms"]) == sorted(map(str, lea.view.refs))
    assert (again.status_code, "lost" in again.json()["detail"]) == (409, True)
    assert left == []
    assert (allowed.json(), twice.status_code) == ({"allowed": 1}, 404)


async def test_an_erasure_in_the_middle_of_a_sync_leaves_nothing_and_its_sums_add_up(database_url):
    async with world(database_url, people=40) as w:
        await w.sync()
        lea = await somebody(w, stage="mql")
        w.hubspot.edit("contacts", lea.contact, {"jobtitle": "Duchess"})
        w.salesforce.edit("Lead", lea.lead, {"Title": "Duchess"})
        w.later(hours=1)
        kept, begun = w.ledger.keep, asyncio.Event()

        async def keep(*page):
            told = await kept(*page)
            begun.set()
            return told

        w.ledger.keep = keep  # type: ignore[method-assign]

        async def ask():
            await begun.wait()
            return await erasing.erase(w.ledger, w.clock, lea.email, by="Grace", reason="asked")

        result, done = await asyncio.gather(w.sync(), ask())

        assert done.rows["record"] == 2
        assert result.status == "succeeded"
        assert all(counts.adds_up() for counts in result.crms.values())
        assert cells(database_url, lea.email, *map(str, lea.view.refs), "Duchess") == []
