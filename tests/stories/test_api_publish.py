"""The definition over the API: checked, drafted, agreed to by the owners, in force, and taken back."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from connector.app.access import Role
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.in_force import InForce, in_force
from connector.app.wiring import plugins, read_in
from connector.core.definition import Definition
from tests.stories.api_words import TOKENS, Api, api, new_key
from tests.stories.world import World, world

BOTH = "agreed_by: {marketing: Ada, sales: Grace}\napprove: both"
ALONE = "agreed_by: {marketing: Ada Example, sales: Grace Example}"
ADMIN = TOKENS[Role.ADMIN]


class Files:
    """The folder of the mappings, and the criteria as somebody edits them elsewhere."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(shipped(), folder)
        self.folder = folder
        self.text = (folder / "criteria.yaml").read_text()

    def load(self) -> Definition:
        return load_definition(self.folder, plugins())

    def edited(self, old: str, new: str) -> str:
        assert old in self.text
        return self.text.replace(old, new, 1)

    def newsletter(self, points: int) -> str:
        return self.edited(
            "within: 180d, newest: 1,\n     points: 4", f"within: 180d, newest: 1,\n     points: {points}"
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "mappings")


@asynccontextmanager
async def office(url: str, files: Files) -> AsyncIterator[tuple[World, Api]]:
    """A sidecar whose folder puts its own edits in force, and the first version is in force."""
    async with world(url, people=1) as w:

        async def look() -> InForce:
            return await in_force(
                files.load, lambda texts: read_in(texts, UTC), w.ledger, w.clock, owner="files",
                strict=False,
            )  # fmt: skip

        await w.ledger.adopt_files(files.load().texts, w.clock.now())
        async with api(w, look=look, load=files.load) as it:
            yield w, it


async def points(it: Api) -> float:
    """Of a newsletter, by what a run would go by now."""
    definition = (await it.side.current.of(())).definition
    return next(rule.points for rule in definition.criteria.engagement if rule.id == "newsletter")


async def test_a_draft_is_put_in_force_by_both_owners_and_by_nobody_else(
    database_url: str, files: Files
) -> None:
    files.text = files.edited(ALONE, BOTH)
    (files.folder / "criteria.yaml").write_text(files.text)
    async with office(database_url, files) as (w, it):
        ada, grace, eve = [await it.token(name, Role.ADMIN) for name in ("Ada", "Grace", "Eve")]
        key, edit = new_key(), {"text": files.newsletter(9), "note": "more for news"}
        kept = await it.send("POST", "/criteria/drafts", edit, by=ada, key=key)
        again = await it.send("POST", "/criteria/drafts", edit, by=ada, key=key)
        draft = kept.json()["draft"]
        yes = {"side": "sales", "note": "fine"}
        refused = {
            "published at once": await it.post(f"/drafts/{draft}/publish", by=ada),
            "her own": await it.post(f"/drafts/{draft}/approve", yes, by=ada),
            "nobody's": await it.post(f"/drafts/{draft}/approve", yes, by=ADMIN),
            "no owner": await it.post(f"/drafts/{draft}/approve", yes, by=eve),
            "no such side": await it.post(f"/drafts/{draft}/approve", {"side": "legal"}, by=grace),
        }
        before = await points(it)
        agreed = await it.post(f"/drafts/{draft}/approve", yes, by=grace, key=key)
        once_more = await it.post(f"/drafts/{draft}/approve", yes, by=grace, key=key)
        after = await points(it)
        [now, first] = await w.ledger.history()
        told = await it.get(f"/drafts/{draft}", by=TOKENS[Role.VIEWER])
        over = await it.post(f"/drafts/{draft}/discard", by=ada)

    assert kept.status_code == 201
    assert kept.headers["location"] == f"/api/v1/drafts/{draft}"
    assert kept.content == again.content
    assert kept.json()["author"] == "Ada"
    assert "4" in " ".join(kept.json()["words"]) and "9" in " ".join(kept.json()["words"])  # noqa: PT018
    assert {name: status for name, (status, _) in refused.items()} == dict.fromkeys(refused, 409)
    assert "Grace (sales)" in refused["published at once"][1]["detail"]
    assert (before, after) == (4, 9)
    assert agreed == once_more == (200, {"draft": draft, "version": 2, "waits": None, "reread": []})
    assert (now.version, now.author, now.note) == (2, "Ada", "more for news")
    assert [(each.side, each.by, each.proof) for each in now.agreed] == [("sales", "Grace", "proven")]
    assert first.version == 1
    assert (told[1]["status"], told[1]["waits"]) == ("published", None)
    assert over[0] == 409


async def test_without_owners_to_ask_an_admin_publishes_and_brings_back(
    sqlite_url: str, files: Files
) -> None:
    async with office(sqlite_url, files) as (w, it):
        _, one = await it.post("/criteria/drafts", {"text": files.newsletter(9)}, by=ADMIN)
        _, other = await it.post("/criteria/drafts", {"text": files.newsletter(7)}, by=ADMIN)
        published = await it.post(f"/drafts/{one['draft']}/publish", by=ADMIN)
        nine = await points(it)
        stale = await it.post(f"/drafts/{other['draft']}/publish", by=ADMIN)
        dropped = await it.post(f"/drafts/{other['draft']}/discard", by=ADMIN)
        back = await it.post("/criteria/rollback", {"version": 1, "note": "too many"}, by=ADMIN)
        four = await points(it)
        same = await it.post("/criteria/rollback", {"version": 1}, by=ADMIN)
        no_such = await it.post("/criteria/rollback", {"version": 99}, by=ADMIN)
        [last, *_] = await w.ledger.history()
        lesser = await it.post("/criteria/drafts", {"text": files.newsletter(3)}, by=TOKENS[Role.OPERATOR])

    assert published[1]["version"] == 2
    assert (nine, four) == (9, 4), "the folder, which says 4, does not undo what was published"
    assert stale[0] == 409
    assert "version 2 is in force" in stale[1]["detail"]
    assert dropped[1]["status"] == "discarded"
    assert back[1]["version"] == last.version == 3
    assert (last.author, last.note, last.brings_back) == ("bootstrap admin", "too many", 1)
    assert (same[0], no_such[0], lesser[0]) == (409, 404, 403)


async def test_an_edit_is_checked_with_places_examples_and_differences_and_nothing_is_kept(
    sqlite_url: str, files: Files
) -> None:
    mapping = (files.folder / "hubspot.yaml").read_text()
    async with office(sqlite_url, files) as (w, it):

        async def check(what: str, text: str, **more: Any) -> Any:
            status, told = await it.post(f"/{what}/check", {"text": text, **more}, by=TOKENS[Role.VIEWER])
            assert status == 200, told
            return told

        good = await check(
            "criteria",
            files.newsletter(9).replace("lists/competitors.csv", "lists/others.csv"),
            lists={
                "lists/others.csv": (files.folder / "lists/competitors.csv").read_text() + "evil.example\n"
            },
        )
        same = await check("criteria", files.text)
        typo = await check("criteria", files.edited("half_life: 30d", "half_lfe: 30d"))
        red = await check("criteria", files.edited("bands: [20, 40, 60, 80]", "bands: [1, 2, 3, 4]"))
        no_yaml = await check("criteria", "a: [")
        bomb = await check("criteria", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ))  # fmt: skip
        mapped = await check("mappings/hubspot", mapping.replace("rule: always", "rule: if_blank", 1))
        refused = {
            "red": await it.post(
                "/criteria/drafts", {"text": files.edited("[20, 40, 60, 80]", "[1, 2, 3, 4]")}, by=ADMIN
            ),
            "wrong": await it.post("/criteria/drafts", {"text": "a: ["}, by=ADMIN),
            "the same": await it.post("/criteria/drafts", {"text": files.text}, by=ADMIN),
            "out of the folder": await it.post(
                "/criteria/drafts", {"text": files.text, "lists": {"../x.csv": ""}}, by=ADMIN
            ),
            "no such CRM": await it.post("/mappings/sugar/drafts", {"text": mapping}, by=ADMIN),
        }
        drafts = await w.ledger.drafts()

    assert (good["ok"], good["problems"]) == (True, [])
    assert any("newsletter" in each.lower() for each in good["words"])
    assert {each["needs"] for each in good["changes"]} == {"decide"}
    assert good["examples"]
    assert (same["ok"], same["words"], same["changes"]) == (True, [], [])
    [mistake] = [each for each in typo["problems"] if each["nearest"]]
    assert (mistake["file"], mistake["nearest"]) == ("criteria.yaml", "half_life")
    assert files.text.splitlines()[mistake["line"] - 1].startswith("decay:")
    assert mistake["column"] > 1
    assert (red["ok"], red["problems"]) == (False, [])
    assert any(not each["ok"] and each["differences"] for each in red["examples"])
    assert no_yaml["problems"][0]["line"]
    assert "refers to itself too often" in bomb["problems"][0]["what"]
    assert mapped["changes"]
    assert {name: status for name, (status, _) in refused.items()} == {
        "red": 422, "wrong": 422, "the same": 409, "out of the folder": 422, "no such CRM": 404,
    }  # fmt: skip
    assert "criteria.yaml:1:" in refused["wrong"][1]["problems"][0]["where"]
    assert drafts == []
