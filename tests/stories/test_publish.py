"""The agreement as a file with a life: drafted, tested, approved by both owners, published, rolled back."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.app.cli import app
from connector.app.commands.init import shipped
from connector.app.definition import load_definition, read_texts
from connector.app.in_force import in_force
from connector.app.wiring import SystemClock, plugins
from connector.core.definition import Definition
from connector.ledger import open_ledger
from tests.stories.world import world

Ask = Callable[..., dict[str, Any]]
BOTH = "agreed_by: {marketing: Ada, sales: Grace}\napprove: both"


class Office:
    """A folder of files, a ledger, and the command line; no CRM has credentials."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        shutil.copytree(shipped(), folder)
        self.environment: dict[str, str] = {}  # the CRMs that are connected

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        """`connector WORDS --json`."""
        environment = {
            **self.environment,
            "CONNECTOR_DATABASE_URL": self.url,
            "CONNECTOR_MAPPINGS_DIR": str(self.folder),
        }
        done = CliRunner().invoke(app, [*words, "--json"], env=environment)
        assert done.exit_code == code, f"exit {done.exit_code}\n{done.output}\n{done.exception!r}"
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def edit(self, old: str, new: str) -> None:
        """Change the criteria, as an admin would."""
        path = self.folder / "criteria.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def in_force(self, owner: str = "files", *, strict: bool = True) -> tuple[float, str]:
        """What a run would go by now: how many points a newsletter gives, and what is told of the folder."""

        async def look() -> tuple[float, str]:
            ledger = open_ledger(self.url)
            try:
                found = await in_force(self.load, lambda texts: read_texts(texts, plugins()), ledger, SystemClock(),
                                       owner=owner, strict=strict)  # fmt: skip
                [rule] = [each for each in found.definition.criteria.engagement if each.id == "newsletter"]
                return rule.points, found.told
            finally:
                await ledger.close()

        return asyncio.run(look())

    def load(self) -> Definition:
        return load_definition(self.folder, plugins())


@pytest.fixture
def office(sqlite_url: str, tmp_path: Path) -> Office:
    made = Office(sqlite_url, tmp_path / "mappings")
    made.run("criteria", "publish", "--note", "the first", "--as", "Ada", "--yes")
    return made


def newsletter(office: Office, points: int, was: int = 4) -> None:
    office.edit(
        f"within: 180d, newest: 1,\n     points: {was}", f"within: 180d, newest: 1,\n     points: {points}"
    )


def test_both_owners_approve_and_nobody_their_own(office: Office) -> None:
    office.edit("agreed_by: {marketing: Ada Example, sales: Grace Example}", BOTH)
    office.run("criteria", "publish", "--as", "Edith", "--note", "two owners", code=3)
    refused = office.run("criteria", "approve", "1", "--side", "sales", "--as", "Edith", code=1)
    office.run("criteria", "approve", "1", "--side", "sales", "--as", "Grace", code=3)
    stranger = office.run("criteria", "approve", "1", "--side", "marketing", "--as", "Mallory", code=1)
    second = office.run("criteria", "approve", "1", "--side", "marketing", "--as", "ada")

    newsletter(office, 6)
    mine = office.run("criteria", "publish", "--as", "Ada", "--yes", code=3)  # --yes lifts no approval
    own = office.run("criteria", "approve", str(mine["draft"]), "--side", "marketing", "--as", "Ada", code=1)
    assert office.in_force()[0] == 4
    done = office.run(
        "criteria", "approve", str(mine["draft"]), "--side", "sales", "--as", "Grace", "--note", "fine"
    )

    told = office.run("criteria", "history", "--words")["versions"]
    assert "own draft" in refused["error"]["message"]
    assert "Ada" in stranger["error"]["message"]
    assert "own draft" in own["error"]["message"]
    assert second["published"] == 2
    assert mine["words"] == ["`newsletter` (Subscribed to the newsletter) gives 6 points (so far 4)."]
    assert "Grace (sales)" in mine["waits"]
    assert done["published"] == 3
    assert office.in_force() == (6, "")
    assert [(each["version"], each["author"], each["note"]) for each in told] == [
        (3, "Ada", ""), (2, "Edith", "two owners"), (1, "Ada", "the first"),
    ]  # fmt: skip
    assert [(word["side"], word["by"], word["note"]) for word in told[0]["agreed"]] == [
        ("sales", "Grace", "fine")
    ]
    assert told[0]["words"] == mine["words"]


def test_a_draft_cannot_choose_its_own_judges(office: Office) -> None:
    office.edit("agreed_by: {marketing: Ada Example, sales: Grace Example}", BOTH)
    office.run("criteria", "publish", "--as", "Ada", code=3)
    office.run("criteria", "approve", "1", "--side", "sales", "--as", "Grace")
    office.edit(BOTH, "agreed_by: {marketing: Mallory, sales: Trudy}")
    told = office.run("criteria", "publish", "--as", "Mallory", "--yes", code=3)
    assert "Ada (marketing) and Grace (sales)" in told["waits"]
    assert office.run("criteria", "approve", str(told["draft"]), "--side", "sales", "--as", "Trudy", code=1)


def test_a_red_example_blocks_publishing_and_says_which(office: Office) -> None:
    office.edit("expect: {stage: lead, engagement: 0}", "expect: {stage: mql, engagement: 0}")
    told = office.run("criteria", "publish", "--yes", code=2)
    assert "A single click in a newsletter" in told["error"]["message"]
    assert office.run("criteria", "history")["versions"][0]["version"] == 1


def test_a_changed_folder_publishes_itself_unless_the_console_owns_it_or_somebody_has_to_approve(
    office: Office,
) -> None:
    newsletter(office, 6)
    assert office.in_force("files") == (6, "")
    points, told = office.in_force("console")
    assert points == 4
    assert (
        told
        == "Draft 1 differs from what is in force; version 1 stays in force until `connector criteria publish`."
    )
    assert office.in_force("console")[1] == told  # the same edit is one draft
    office.edit("agreed_by: {marketing: Ada Example, sales: Grace Example}", BOTH)
    points, told = office.in_force("files")
    assert points == 4
    assert "waits for Ada (marketing) and Grace (sales)" in told
    assert "connector criteria approve 2" in told


def test_a_roll_back_brings_back_lists_too_and_the_folder_does_not_undo_it(office: Office) -> None:
    lists = office.folder / "lists" / "competitors.csv"
    before = lists.read_text()
    lists.write_text(before + "rival-nine.example\n")
    newsletter(office, 6)
    office.run("criteria", "publish", "--yes", "--as", "Ada")
    asked = office.run("criteria", "rollback", "1", "--as", "Grace", code=3)
    done = office.run("criteria", "rollback", "1", "--as", "Grace", "--note", "too many", "--yes")
    after = office.in_force()
    kept = asyncio.run(files_of(office.url))

    assert "`--yes` does it" in asked["waits"]
    assert done["published"] == 3
    assert after[0] == 4
    assert "overtaken" in after[1]
    assert kept["lists/competitors.csv"] == before
    told = office.run("criteria", "history")["versions"][0]
    assert (told["author"], told["note"], told["brings_back"]) == ("Grace", "too many", 1)
    newsletter(office, 7, was=6)
    assert office.in_force() == (7, "")  # another edit is a new one
    assert office.run("criteria", "rollback", "3", "--yes", code=1)["error"]
    assert office.run("criteria", "rollback", "9", "--yes", code=2)["error"]


def test_a_roll_back_that_was_approved_says_which_version_it_brings_back(office: Office) -> None:
    office.edit("agreed_by: {marketing: Ada Example, sales: Grace Example}", BOTH)
    office.run("criteria", "publish", "--as", "Ada", code=3)
    office.run("criteria", "approve", "1", "--side", "sales", "--as", "Grace")
    newsletter(office, 6)
    office.run("criteria", "publish", "--as", "Ada", code=3)
    office.run("criteria", "approve", "2", "--side", "sales", "--as", "Grace")
    newsletter(office, 4, was=6)
    office.in_force()  # what the folder says now is a draft that nobody calls a roll back yet

    asked = office.run("criteria", "rollback", "2", "--as", "Edith", code=3)
    waiting = office.run("criteria", "history")["drafts"]
    for name, side in (("Ada", "marketing"), ("Grace", "sales")):
        done = office.run("criteria", "approve", "3", "--side", side, "--as", name, code=3 * (name == "Ada"))

    assert [(each["draft"], each["brings_back"]) for each in waiting] == [(asked["draft"], 2)] == [(3, 2)]
    assert done["published"] == 4
    versions = office.run("criteria", "history")["versions"]
    assert [each["brings_back"] for each in versions] == [2, None, None, None]


def test_a_draft_of_an_earlier_version_takes_back_nothing_that_came_since(office: Office) -> None:
    office.edit("agreed_by: {marketing: Ada Example, sales: Grace Example}", BOTH)
    office.run("criteria", "publish", "--as", "Ada", code=3)
    office.run("criteria", "approve", "1", "--side", "sales", "--as", "Grace")
    newsletter(office, 6)
    old = office.run("criteria", "publish", "--as", "Ada", code=3)["draft"]
    newsletter(office, 8, was=6)
    new = office.run("criteria", "publish", "--as", "Ada", code=3)["draft"]
    office.run("criteria", "approve", str(new), "--side", "sales", "--as", "Grace")
    late = office.run("criteria", "approve", str(old), "--side", "sales", "--as", "Grace", code=1)

    assert "version 3 is in force" in late["error"]["message"]
    assert office.in_force()[0] == 8


async def files_of(url: str) -> dict[str, str]:
    ledger = open_ledger(url)
    try:
        return dict(await ledger.files())
    finally:
        await ledger.close()


def test_a_broken_folder_leaves_the_last_good_version_in_force(office: Office) -> None:
    office.edit("weights:", "wieghts:")
    assert office.in_force(strict=False)[0] == 4
    assert (
        "wieghts" in office.in_force(strict=False)[1] or "stays in force" in office.in_force(strict=False)[1]
    )


def test_a_draft_that_was_dropped_does_not_come_back_by_itself(office: Office) -> None:
    newsletter(office, 6)
    office.in_force("console")
    office.run("criteria", "discard", "1", "--as", "Grace")
    assert office.run("criteria", "history")["drafts"] == []
    assert office.in_force("console")[0] == 4
    assert office.run("criteria", "history")["drafts"] == []
    assert office.run("criteria", "discard", "1", code=1)["error"]


def mapped_more(office: Office) -> None:
    path = office.folder / "hubspot.yaml"
    text, line = path.read_text(), "      phone: "
    assert line in text
    path.write_text(text.replace(line, f"      campaign: {{from: hs_analytics_source_data_1}}\n{line}", 1))


def test_what_has_to_be_read_again_is_told_before_publishing_and_its_command_after(office: Office) -> None:
    environment = {"CONNECTOR_DATABASE_URL": office.url, "CONNECTOR_MAPPINGS_DIR": str(office.folder)}
    mapped_more(office)
    words = ["criteria", "publish", "--as", "Ada", "--yes"]
    said = CliRunner().invoke(app, words, env=environment).stdout.replace("\n", " ")
    before, _, after = said.partition("Version 2 is in force")
    command = "connector backfill hubspot --object contact"
    assert command in before
    assert command in after

    newsletter(office, 6)
    only_rules = office.run("criteria", "publish", "--as", "Ada", "--yes")
    assert only_rules["preview"]["reread"] == []


def test_whoever_agrees_last_is_told_what_has_to_be_read_again(office: Office) -> None:
    office.edit("agreed_by: {marketing: Ada Example, sales: Grace Example}", BOTH)
    office.run("criteria", "publish", "--as", "Ada", code=3)
    office.run("criteria", "approve", "1", "--side", "sales", "--as", "Grace")
    mapped_more(office)
    draft = office.run("criteria", "publish", "--as", "Ada", code=3)["draft"]
    done = office.run("criteria", "approve", str(draft), "--side", "sales", "--as", "Grace")
    assert [each["crm"] for each in done["reread"]] == ["hubspot"]


async def test_a_mapping_is_published_with_the_estimate_of_its_scoped_backfill(
    sqlite_url: str, tmp_path: Path
) -> None:
    office = Office(sqlite_url, tmp_path / "mappings")
    async with world(sqlite_url, people=12) as made:
        await made.sync(plan_only=True)
        mapped_more(office)
        office.environment = made.running.environment()
        told = await asyncio.to_thread(office.run, "mapping", "publish", "--as", "Ada", "--yes")

    [offer] = told["preview"]["reread"]
    assert told["published"] == 2
    assert offer["command"] == "connector backfill hubspot --object contacts"
    assert offer["estimate"]["records"] >= 12
    assert offer["estimate"]["calls"] > 0


async def test_what_is_published_is_what_both_replicas_decide_by_and_whom_it_concerns_is_told(
    database_url: str, tmp_path: Path
) -> None:
    office = Office(database_url, tmp_path / "mappings")
    async with world(database_url, people=30) as made:
        await made.sync()
        newsletter(office, 40)
        told = await asyncio.to_thread(office.run, "criteria", "publish", "--as", "Ada", "--yes")
        made.later(days=30)  # the command line lives by the real clock
        made.definition = read_texts(await made.ledger.files(), plugins()) or made.definition
        second = await made.sync(plan_only=True)
        version = await made.ledger.version()

    assert told["published"] == version == 2
    assert 0 < told["preview"]["people"] <= second.people
    assert any("newsletter" in sentence for sentence in told["words"])
