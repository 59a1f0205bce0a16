"""A ledger moves to another database: whole, compared, and on again after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, text
from typer.testing import CliRunner

from connector.app.cli import app
from connector.errors import FixConfig, LeaseBusy
from connector.ledger import open_ledger
from connector.ledger.tables import ADDRESS
from connector.ledger.types import time_to_db
from connector.ledger.upgrade import HEAD
from connector.ledger.whole.backup import back_up
from connector.ledger.whole.copying import copy
from connector.ports import serving
from tests.databases import drop, fresh_url, ledger_url
from tests.stories.test_backup_and_restore import seals
from tests.stories.test_sync_survives import quiet
from tests.stories.world import START, world


async def test_a_copied_ledger_is_the_same_and_the_next_sync_goes_on_from_it(
    database_url: str, tmp_path: Path
) -> None:
    other = fresh_url("sqlite" if database_url.startswith("postgresql") else "postgresql", tmp_path)
    async with world(database_url, people=12) as made:
        await made.sync()
        at = made.clock.now()
        held = await made.ledger.acquire(serving("hubspot"), "sidecar", at)
        with pytest.raises(LeaseBusy, match="serve:hubspot"):
            copy(database_url, other, at)
        await made.ledger.release(held)

        done = copy(database_url, other, at)

        assert done.found == 0
        back_up(database_url, tmp_path / "here.zip", at)
        back_up(other, tmp_path / "there.zip", at)
        assert seals(tmp_path / "here.zip") == seals(tmp_path / "there.zip") == done.seals
        assert done.seals["record"].rows > 20
        assert copy(database_url, other, at).found == done.rows, "it is there already"
        await made.ledger.start_run("sync", [], at)
        with pytest.raises(FixConfig, match="holds a ledger already"):
            copy(database_url, other, at)
        await made.ledger.close()

        made.ledger = open_ledger(other)
        made.later(minutes=5)
        calm = await made.sync()
        assert (calm.run, [quiet(counts) for counts in calm.crms.values()]) == (2, [True, True])
    drop(other)


def test_a_copy_needs_another_database_that_can_be_used(sqlite_url: str, tmp_path: Path) -> None:
    for to, why in (
        (sqlite_url, "onto itself"),
        ("sqlite://", "memory"),
        (f"sqlite:///{tmp_path}/no/such.db", "does not exist"),
        ("mysql://db.example/ledger", "`mysql`"),
        ("postgresql+psycopg://somebody:pa55word@127.0.0.1:9/ledger", "cannot be reached"),
    ):
        with pytest.raises(FixConfig, match=why) as caught:
            copy(sqlite_url, to, START)
        assert "pa55word" not in str(caught.value)


def test_a_copy_that_is_killed_leaves_nothing_to_work_with_and_goes_on_where_it_broke_off(
    tmp_path: Path,
) -> None:
    (tmp_path / "from").mkdir()
    source, other = ledger_url("sqlite", tmp_path / "from"), fresh_url("postgresql", tmp_path)
    engine = create_engine(source)
    with engine.begin() as db:
        db.execute(
            insert(ADDRESS),
            [{"email": f"{n:06}@example.com", "ref": f"hubspot:contact:{n}"} for n in range(30_000)],
        )
    command = [sys.executable, "-m", "connector", "db", "copy", "--to", other]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        command, env={**kept, "CONNECTOR_DATABASE_URL": source}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("address: "):
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait(10) == -signal.SIGKILL

    with pytest.raises(FixConfig, match="a copy into it has not ended"):
        open_ledger(other)
    answer = CliRunner().invoke(app, [*command[3:], "--json"], env={"CONNECTOR_DATABASE_URL": source})

    done = json.loads(answer.stdout)
    assert answer.exit_code == 0
    assert done["found"] >= 5_000, "what was there is not sent again"
    assert done["tables"]["address"]["rows"] == done["rows"] == 30_000
    with create_engine(other).connect() as db:
        assert db.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    drop(other)


def test_what_changed_between_two_tries_is_not_lost_and_another_ledger_is_not_mixed_in(
    sqlite_url: str, tmp_path: Path
) -> None:
    def broken(table: str, done: int, all_: int) -> None:
        if table == "audit":
            raise ConnectionAbortedError

    engine = create_engine(sqlite_url)
    with engine.begin() as db:
        db.execute(insert(ADDRESS), [{"email": f"{name}@example.com", "ref": "1"} for name in "ace"])
        at = time_to_db(START, "sqlite")
        db.execute(
            text(f"INSERT INTO run (kind, status, crms, started_at, document) VALUES ('', '', '', {at}, '')")
        )
        db.execute(text(f"INSERT INTO audit (at, actor, act, subject, detail) VALUES ({at}, '', '', '', '')"))
    other = f"sqlite:///{tmp_path}/other.db"
    with pytest.raises(ConnectionAbortedError):
        copy(sqlite_url, other, START, broken)
    (tmp_path / "strange").mkdir()
    with pytest.raises(FixConfig, match="a part of a ledger"):
        copy(ledger_url("sqlite", tmp_path / "strange"), other, START)

    with engine.begin() as db:
        db.execute(text("UPDATE address SET ref = '2' WHERE email = 'a@example.com'"))
        db.execute(insert(ADDRESS), [{"email": "b@example.com", "ref": "3"}])
    done = copy(sqlite_url, other, START)

    assert done.found == 1, "the line of the audit trail; the addresses were brought again"
    with create_engine(other).connect() as db:
        found = db.execute(text("SELECT email, ref FROM address ORDER BY email")).all()
    assert [(email[0], ref) for email, ref in found] == [("a", "2"), ("b", "3"), ("c", "1"), ("e", "1")]
