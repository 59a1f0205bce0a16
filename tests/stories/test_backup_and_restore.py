"""The ledger in a file and back: the lost time is marked, read again before it is written, never undone across."""

from __future__ import annotations

import json
import stat
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from connector.app.cli import app
from connector.core.criteria import Weights
from connector.errors import FixConfig, LeaseBusy
from connector.ledger import open_ledger, upgrade
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.upgrade import HEAD
from connector.ledger.whole.backup import back_up, opened
from connector.ledger.whole.restore import mark_gap, restore
from connector.ledger.whole.rows import Seal
from connector.ports import job_lease, serving
from tests.databases import fresh_url
from tests.stories.test_erasure import erased
from tests.stories.test_handed_over import asks, raised
from tests.stories.world import START, World, look, somebody, world


def seals(file: Path) -> dict[str, Seal]:
    with opened(file) as (manifest, _):
        return {kept.shape.name: kept.seal for kept in manifest.tables}


def taken(made: World, file: Path) -> Path:
    back_up(made.ledger_url, file, made.clock.now())
    return file


def rewritten(file: Path, to: Path, **changes: Any) -> Path:
    """The same backup with another manifest or other lines (`table=bytes`)."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "manifest.json":
                data = json.dumps({**json.loads(data), **changes.get("manifest", {})}).encode()
            elif (table := name.removeprefix("tables/").removesuffix(".jsonl")) in changes:
                data = changes[table]
            new.writestr(name, data)
    return to


def broken_at_record(table: str, rows: int) -> None:
    if table == "record":
        raise ConnectionAbortedError


async def test_a_restored_ledger_marks_the_gap_reads_before_it_writes_and_undoes_nothing_across_it(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, people=16) as made:
        await made.sync()
        file = taken(made, tmp_path / "ledger.zip")
        who = await somebody(made)
        await asks(made, who)  # this run, and what it wrote, is lost
        lost = (await look(made, who)).state
        made.later(minutes=1)
        await made.ledger.set_brake("salesforce", True, "Eva", "sales is away", made.clock.now())

        at = made.clock.now()
        done = restore(database_url, file, at, "Ada", replace=True)

        assert (done.manifest.rows, done.replaced > done.manifest.rows) == (
            sum(seal.rows for seal in seals(file).values()), True,
        )  # fmt: skip
        newest, first = (await made.ledger.runs(1))[0], await made.ledger.run(1)
        assert (newest.kind, newest.id, newest.asked_by) == ("restore", done.run, "Ada")
        assert done.run == 3, "the number of the lost run does not come to mean another one"
        assert first is not None
        assert "salesforce" in await made.ledger.brakes(), "what was stopped since stays stopped"
        [gap] = await made.ledger.gaps()
        assert (gap.since, gap.until) == (done.manifest.made_at, at)
        for run in (1, 2, done.run):
            with pytest.raises(FixConfig, match=r"There is no run 2|restored at .* \(run 3\)"):
                await made.undo(run)

        await made.ledger.set_brake("salesforce", False, "Eva", "", made.clock.now())
        made.later(minutes=5)
        made.hubspot.log.clear()
        after = await made.sync()
        state = (await look(made, who)).state
        assert (state.stage, state.by_human, after.entered) == ("mql", False, 0), "found, as on a first load"
        assert state.mql_since is not None
        assert lost.mql_since is not None
        assert abs(state.mql_since - lost.mql_since) < timedelta(minutes=1)
        assert [each for each in await made.ledger.notices() if each.kind == "mql" and not each.quiet] == []
        assert all(counts.adds_up() and not counts.error for counts in after.crms.values())
        again = await made.sync()
        assert [counts.planned for counts in again.crms.values()] == [0, 0]


async def test_a_backup_of_either_database_restores_into_the_other_and_is_the_same_file_again(
    database_url: str, tmp_path: Path
) -> None:
    other = fresh_url("sqlite" if database_url.startswith("postgresql") else "postgresql", tmp_path)
    async with world(database_url, people=12) as made:
        await made.sync()
        await made.ledger.save_sealed("salesforce", "sealed", made.clock.now())
        at = made.clock.now()
        file = taken(made, tmp_path / "one.zip")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    restore(other, file, at, "Ada")

    back_up(other, tmp_path / "two.zip", at)
    before, after = seals(file), seals(tmp_path / "two.zip")
    assert before.keys() == after.keys()
    marked = {"run", "audit", "notice", "plan", "plan_row", "due", "job"}  # by the gap, and by nothing else
    assert {name for name in before if before[name] != after[name]} <= marked
    assert before["record"].rows > 20
    assert before["sealed_token"].rows == 1
    ledger = open_ledger(other)
    assert await ledger.start_run("sync", [], at) == 3, "numbers go on"
    await ledger.close()


async def test_what_was_read_just_before_the_restore_is_read_again_before_it_is_overwritten(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        reads = {}
        for restored in (False, True):
            made.later(hours=5)
            await made.backfill(await made.ask_backfill("salesforce"))  # old records, read just now
            if restored:
                file = taken(made, tmp_path / "ledger.zip")
                restore(sqlite_url, file, made.clock.now(), "Ada", replace=True)
            began = made.clock.now()
            made.redefine(weights=Weights(0.5, 0.5) if restored else Weights(0.9, 0.1))
            made.salesforce.log.clear()
            result = await made.sync()
            assert result.crms["salesforce"].written > 3
            assert made.clock.now() - began < timedelta(minutes=2), (
                "young enough not to be read again otherwise"
            )
            paths = [call.path for call in made.salesforce.log.calls()]
            first = next(place for place, path in enumerate(paths) if "composite/sobjects" in path)
            reads[restored] = sum("/query" in path for path in paths[:first])
        assert reads[True] > reads[False]


async def test_what_waited_when_the_backup_was_made_is_not_sent_after_its_restore(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync(plan_only=True, yes=False)
        plans = [each.id for each in await made.ledger.open_plans()]
        asked = await made.ledger.ask_request(
            "apply", ["hubspot"], {"plan": plans[0]}, "Eva", made.clock.now()
        )
        backfill = await made.ask_backfill()
        lease = await made.ledger.acquire(job_lease("owners"), "sidecar", made.clock.now())
        await made.ledger.begin_job("owners", lease, made.clock.now())
        await made.ledger.release(lease)
        file = taken(made, tmp_path / "ledger.zip")

        restore(sqlite_url, file, made.clock.now(), "Ada", replace=True)

        assert await made.ledger.open_plans() == []
        request = await made.ledger.request(asked.id)
        assert request is not None
        assert request.status == "failed"
        assert "restored from a backup" in str(request.answer["error"])
        assert await made.ledger.jobs() == {}, "the slow compares come first"
        [waits] = await made.ledger.unfinished_backfills()
        assert (waits.id, waits.status) == (backfill.id, "paused")
        [notice] = await made.ledger.notices()
        assert "was restored from a backup made at 2026-11-22 10:00 UTC, by Ada" in notice.text
        result = await made.sync()
        assert all(counts.planned == counts.written > 0 for counts in result.crms.values())


async def test_who_was_erased_or_shut_out_since_the_backup_stays_so(sqlite_url: str, tmp_path: Path) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        who, now = await somebody(made), made.clock.now()
        token = await made.ledger.make_token(
            "Eva", "admin", "0" * 64, "Ada", now, expires_at=now + timedelta(days=9)
        )
        file = taken(made, tmp_path / "ledger.zip")
        await erased(made.ledger, now, who.email)
        await made.ledger.revoke_token(token.id, "Ada", now)

        done = restore(sqlite_url, file, now, "Ada", replace=True)

        assert done.erased == 1
        assert await made.ledger.find(who.email) == []
        taken(made, tmp_path / "after.zip")
        with zipfile.ZipFile(tmp_path / "after.zip") as after, zipfile.ZipFile(file) as before:
            told = {name: who.email.encode() in after.read(name) for name in after.namelist()}
            assert any(who.email.encode() in before.read(name) for name in before.namelist())
        assert not any(told.values())
        [kept] = await made.ledger.tokens()
        assert kept.revoked_at is not None


async def test_a_restore_that_must_not_be_changes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        file = taken(made, tmp_path / "ledger.zip")
        now = made.clock.now()
        with pytest.raises(FixConfig, match="there already"):
            back_up(sqlite_url, file, now)

        with pytest.raises(FixConfig, match="holds a ledger already"):
            restore(sqlite_url, file, now, "Ada")
        lease = await made.ledger.acquire(serving("hubspot"), "sidecar", now)
        with pytest.raises(LeaseBusy, match="serve:hubspot"):
            restore(sqlite_url, file, now, "Ada", replace=True)
        await made.ledger.release(lease)

        (tmp_path / "letter.zip").write_text("Dear Ada,")
        with zipfile.ZipFile(file) as whole:
            lines = whole.read("tables/record.jsonl").splitlines()
        for broken, why in (
            (tmp_path / "letter.zip", "no backup"),
            (rewritten(file, tmp_path / "less.zip", record=b"\n".join(lines[1:]) + b"\n"), "not those"),
            (
                rewritten(file, tmp_path / "future.zip", manifest={"schema": "9999"}),
                rf"9999, newer than .*{HEAD}",
            ),
            (rewritten(file, tmp_path / "format.zip", manifest={"format": 2}), "format 2"),
            (tmp_path / "none.zip", "No such file"),
        ):
            with pytest.raises(FixConfig, match=why) as caught:
                restore(sqlite_url, broken, now, "Ada", replace=True)
            assert caught.value.next_step
        with pytest.raises(ConnectionAbortedError):  # as a kill would, it never comes to the commit
            restore(sqlite_url, file, now, "Ada", replace=True, said=broken_at_record)
        taken(made, tmp_path / "after.zip")
        assert {**seals(file), "lease": None} == {**seals(tmp_path / "after.zip"), "lease": None}
        assert (await made.sync()).status == "succeeded"


def test_a_backup_needs_a_ledger_of_this_schema(database_url: str, tmp_path: Path) -> None:
    now = START
    with pytest.raises(FixConfig, match=r"no ledger|no database"):
        back_up(database_url, tmp_path / "a.zip", now)
    upgrade(database_url)
    engine = build_engine(parse_url(database_url))
    for found, why in (("9999", "9999, newer"), ("0003", "older than")):
        with engine.begin() as db:
            db.execute(text(f"UPDATE alembic_version SET version_num = '{found}'"))
        with pytest.raises(FixConfig, match=why):
            back_up(database_url, tmp_path / "a.zip", now)
    engine.dispose()
    assert list(tmp_path.glob("*.zip*")) == []


async def test_a_ledger_that_came_back_by_other_means_is_marked_by_hand(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as made:
        with pytest.raises(FixConfig, match="nothing yet"):
            mark_gap(sqlite_url, made.clock.now(), "Ada")
        run = await made.sync()
        made.later(hours=3)

        gap = mark_gap(sqlite_url, made.clock.now(), "Ada")

        assert await made.ledger.gaps() == [gap]
        info = await made.ledger.run(run.run)
        assert info is not None
        assert info.finished_at == gap.since
        with pytest.raises(FixConfig, match=r"cannot be undone: the ledger was restored"):
            await made.undo(run.run)
    answer = CliRunner().invoke(app, ["db", "mark-gap", "--json"], env={"CONNECTOR_DATABASE_URL": sqlite_url})
    assert (answer.exit_code, json.loads(answer.stdout)["run"]) == (0, 3)


async def test_an_undo_after_the_gap_is_as_ever(sqlite_url: str, tmp_path: Path) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        restore(sqlite_url, taken(made, tmp_path / "ledger.zip"), made.clock.now(), "Ada", replace=True)
        made.later(minutes=5)
        who = await raised(made)
        run = (await made.ledger.runs(1))[0].id
        undo = await made.undo(run)
        assert undo.status == "succeeded"
        assert sum(counts.written for counts in undo.crms.values()) == 2
        assert (await look(made, who)).state.stage == "lead"


def test_the_commands_say_what_they_did_and_replace_nothing_without_a_yes(
    sqlite_url: str, tmp_path: Path
) -> None:
    def connector(*words: str) -> tuple[int, Any]:
        answer = CliRunner().invoke(app, [*words, "--json"], env={"CONNECTOR_DATABASE_URL": sqlite_url})
        return answer.exit_code, json.loads(answer.stdout)

    file = str(tmp_path / "ledger.zip")
    code, told = connector("db", "backup", file)
    assert (code, told["file"], told["schema"], told["rows"]["run"]) == (0, file, HEAD, 0)
    assert connector("db", "restore", file)[0] == 0, "an empty ledger is replaced by nobody's leave"

    code, told = connector("db", "restore", file, "--replace")
    assert (code, told["error"]["where"]) == (2, "--replace")
    code, told = connector("db", "restore", file, "--replace", "--yes", "--as", "Ada")
    assert (code, told["run"]) == (0, 2)
    assert connector("runs", "show", "2")[1]["kind"] == "restore"
