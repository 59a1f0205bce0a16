"""A ledger that a newer program has upgraded: no command of an older one works on it, and none that runs writes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

import adapters
import connector
from connector.app.cli import app
from connector.app.commands.init import shipped
from connector.errors import FixConfig
from connector.ledger import open_ledger, upgrade
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.upgrade import HEAD, OtherSchemaError
from connector.ledger.whole.backup import back_up
from tests.stories.test_sync_survives import quiet
from tests.stories.world import START, somebody, world

COMMANDS = (
    "sync", "backfill hubspot", "serve", "plan apply 1", "undo 1", "runs list", "criteria history", "override list",
    "token forget salesforce", "stop", "db upgrade", "db backup new.zip", "db restore old.zip",
)  # fmt: skip
DOORS = {"engine.py", "upgrade.py", "rehearsal.py", "backup.py", "restore.py", "copying.py"}
"""The modules that open a database; each of them asks for its schema first, as tests of theirs show."""


def stated(url: str, version: str) -> None:
    """The database says that its schema is this one."""
    engine = build_engine(parse_url(url))
    with engine.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    engine.dispose()


def test_every_command_refuses_a_ledger_of_a_newer_schema(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    back_up(sqlite_url, Path("old.zip"), START)
    stated(sqlite_url, "9999")
    environment = {
        "CONNECTOR_DATABASE_URL": sqlite_url,
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
        "HUBSPOT_ACCESS_TOKEN": "none",
        "CONNECTOR_BIND": "127.0.0.1:0",
    }
    said = {words: CliRunner().invoke(app, words.split(), env=environment) for words in COMMANDS}
    said["check"] = CliRunner().invoke(app, ["check"], env={**environment, "HUBSPOT_ACCESS_TOKEN": None})
    refused = f"9999, newer than this version of the connector knows ({HEAD})"
    wrong = {
        words: (answer.exit_code, answer.output[-400:])
        for words, answer in said.items()
        if answer.exit_code != 2 or refused not in " ".join(answer.output.split())
    }
    assert wrong == {}


def test_a_database_is_opened_nowhere_else() -> None:
    rooms = [Path(connector.__file__).parent, Path(adapters.__file__).parent]
    opening = {
        file.name
        for room in rooms
        for file in room.rglob("*.py")
        if "build_engine(" in (code := file.read_text()) or "create_engine(" in code or "sqlite3" in code
    }
    assert opening <= DOORS


def test_the_refusal_names_both_schemas_and_what_to_do(database_url: str) -> None:
    upgrade(database_url)
    stated(database_url, "9999")
    for asked in (lambda: open_ledger(database_url), lambda: upgrade(database_url)):
        with pytest.raises(FixConfig, match=rf"schema 9999, newer than .*\({HEAD}\)") as caught:
            asked()
        assert "backup" in caught.value.next_step


async def test_a_program_whose_ledger_is_upgraded_under_it_writes_no_more_and_the_newer_one_loses_nothing(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        who = await somebody(made)
        made.later(minutes=10)
        made.hubspot.create("form_submissions", {"form": "Request a demo", "email": who.email})
        made.later(minutes=5)
        made.hubspot.log.clear()
        stated(sqlite_url, "9999")

        with pytest.raises(OtherSchemaError, match="9999"):
            await made.sync()
        with pytest.raises(OtherSchemaError, match="9999"):
            await made.ledger.acquire("decide", "story", made.clock.now())
        with pytest.raises(OtherSchemaError, match="9999"):
            await made.ledger.keep_tracked([], [], made.clock.now())
        assert made.writes("hubspot") == []
        assert (await made.ledger.runs(1))[0].id == 1, "what is only read is still told"

        stated(sqlite_url, HEAD)
        result = await made.sync()
        assert (result.status, result.entered) == ("succeeded", 1)
        made.later(minutes=5)
        assert all(quiet(counts) for counts in (await made.sync()).crms.values())
