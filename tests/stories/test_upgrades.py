"""Every ledger that was ever made can be upgraded with all its rows, also under the hands of an older replica."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Boolean,
    Connection,
    Date,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    insert,
    select,
)

from connector.ledger import SqlLedger, open_ledger
from connector.ledger.engine import Database, build_engine, parse_url
from connector.ledger.tables import METADATA
from connector.ledger.upgrade import HEAD, OtherSchemaError, upgrade_connection
from connector.ledger.whole.backup import back_up
from connector.ledger.whole.restore import restore
from connector.ledger.whole.rows import Sealing
from connector.ledger.whole.tables import all_tables
from tests.stories.sidecar_words import BOTH, asked, sidecar
from tests.stories.test_ledger_schema import migrations
from tests.stories.test_other_schema import stated
from tests.stories.world import world


def revisions() -> list[str]:
    """From the first schema to the newest."""
    found = ScriptDirectory.from_config(migrations()).walk_revisions()
    return [script.revision for script in found][::-1]


def a_row(table: Table, revision: str) -> dict[str, Any]:
    """Something in every column, another in each revision; texts are JSON, since migrations read some."""

    def value(column: Any) -> Any:
        kind = column.type
        if isinstance(kind, Boolean):
            return True
        if isinstance(kind, DateTime):
            return datetime(2026, 11, int(revision), tzinfo=UTC)
        if isinstance(kind, Date):
            return date(2026, 11, int(revision))
        if isinstance(kind, Integer | Float):
            return int(revision)
        return f'{{"fields": {{}}, "of": "{revision}"}}'

    numbered = table.autoincrement_column  # the database counts it
    return {column.name: value(column) for column in table.columns if column is not numbered}


def tables_there(db: Connection) -> Iterator[Table]:
    """As the database itself describes them."""
    there = MetaData()
    there.reflect(db)
    yield from (table for name, table in sorted(there.tables.items()) if name != "alembic_version")


async def test_rows_of_every_schema_there_was_survive_the_upgrade_and_the_ledger_works_with_them(
    database_url: str,
) -> None:
    kept: dict[str, list[dict[str, Any]]] = {}
    engine = build_engine(parse_url(database_url))
    for revision in revisions():
        with engine.begin() as db:
            upgrade_connection(db, to=revision)
            for table in tables_there(db):
                row = a_row(table, revision)
                db.execute(insert(table).values(row))
                kept.setdefault(table.name, []).append(row)
    with engine.begin() as db:
        all_tables()
        context = MigrationContext.configure(db, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        now = {table.name: table for table in tables_there(db)}
        lost = []
        for name, rows in kept.items():
            found = [dict(row._mapping) for row in db.execute(select(now[name]))]
            for row in rows:
                same = {column for column in row if column in now[name].c}
                if not any(all(each[column] == row[column] for column in same) for each in found):
                    lost.append((name, row, found))
    engine.dispose()
    assert lost == []
    ledger = open_ledger(database_url)
    assert await ledger.start_run("sync", [], datetime(2026, 11, 27, tzinfo=UTC)) == len(revisions()) + 1
    await ledger.close()


async def test_a_ledger_of_long_ago_goes_on_after_its_upgrade_and_writes_nothing_twice(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        made.later(hours=1)
        older, now = f"sqlite:///{tmp_path}/older.db", build_engine(parse_url(sqlite_url), begin="BEGIN")
        then = build_engine(parse_url(older))
        with now.begin() as db, then.begin() as there:
            upgrade_connection(there, to=revisions()[0])
            for table in tables_there(there):  # what the real ledger holds, as far as that version knew of it
                filler = a_row(table, "1")
                # As the driver gives it: the old tables, as they are reflected here, have none of our types.
                for row in db.exec_driver_sql(f'SELECT * FROM "{table.name}"').mappings():
                    values = {
                        column.name: row.get(column.name, filler.get(column.name)) for column in table.c
                    }
                    there.execute(insert(table).values(values))
        now.dispose()
        then.dispose()
        await made.ledger.close()

        made.ledger = open_ledger(older)

        after = await made.sync()
        assert after.run == 2
        assert [counts.written for counts in after.crms.values()] == [0, 0]
        assert all(counts.adds_up() and not counts.error for counts in after.crms.values())
        undone = await made.undo(1)
        assert all(counts.written > 0 for counts in undone.crms.values())


async def test_a_backup_of_an_older_version_is_upgraded_as_it_comes_back(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        back_up(sqlite_url, tmp_path / "new.zip", made.clock.now())
        back_to(tmp_path / "new.zip", tmp_path / "old.zip", "0010")

        done = restore(sqlite_url, tmp_path / "old.zip", made.clock.now(), "Ada", replace=True)

        assert done.manifest.schema == "0010"
        made.later(minutes=5)
        after = await made.sync()
        assert [(counts.written, counts.error) for counts in after.crms.values()] == [(0, None), (0, None)]


def back_to(file: Path, to: Path, revision: str) -> None:
    """The backup as that version would have written it: without what came later."""
    engine = build_engine(parse_url("sqlite://"))
    with engine.begin() as db:
        upgrade_connection(db, to=revision)
        there = {table.name: set(table.c.keys()) for table in tables_there(db)}
    engine.dispose()
    with zipfile.ZipFile(file) as new, zipfile.ZipFile(to, "w") as old:
        manifest = orjson.loads(new.read("manifest.json"))
        manifest["schema"] = revision
        manifest["tables"] = [each for each in manifest["tables"] if each["name"] in there]
        for each in manifest["tables"]:
            kept = [place for place, (name, _) in enumerate(each["columns"]) if name in there[each["name"]]]
            each["columns"] = [each["columns"][place] for place in kept]
            name, sealing = f"tables/{each['name']}.jsonl", Sealing()
            rows = [orjson.loads(line) for line in new.read(name).splitlines()]
            lines = [orjson.dumps([row[place] for place in kept]) for row in rows]
            sealing.add(lines)
            each["sha256"] = sealing.seal.sha256
            old.writestr(name, b"".join(line + b"\n" for line in lines))
        old.writestr("manifest.json", orjson.dumps(manifest))


async def test_a_replica_that_is_older_than_the_ledger_stops_and_the_newer_one_does_nothing_twice(
    database_url: str,
) -> None:
    async with world(database_url, people=12) as made:
        old = await sidecar(made, "old")
        adapter = made.adapters["salesforce"]
        push = adapter.push

        async def upgraded_meanwhile(writes: Any, **more: Any) -> Any:
            receipts = await push(writes, **more)
            stated(database_url, "9999")
            return receipts

        adapter.push = upgraded_meanwhile  # type: ignore[method-assign]
        with pytest.raises(OtherSchemaError, match="9999"):
            await made.sync(holder="old")
        adapter.push = push  # type: ignore[method-assign]
        arrived = {(write.object, write.id) for write in made.writes("salesforce")}
        assert arrived
        made.later(seconds=25)
        with pytest.raises(OtherSchemaError):
            await old.served.look()  # its leases are not extended
        assert (await asked(old, "/healthz"))[0] == 200, "a restart would not mend it"
        code, told = await asked(old, "/readyz")
        assert (code, told["schema"]) == (503, f"9999, and this program knows {HEAD}")

        stayed, made.ledger = made.ledger, SqlLedger(Database(parse_url(database_url)))  # knows 9999
        new = await sidecar(made, "new")
        assert new.served.crms == frozenset()
        made.later(seconds=46)
        for _ in range(2):
            await new.served.look()
        assert new.served.crms == BOTH, "within a minute"
        await made.sync(holder="new")

        seen = [(write.object, write.id) for write in made.writes("salesforce")]
        assert len(seen) == len(set(seen))
        assert arrived < set(seen)
        made.later(minutes=5)
        assert [counts.written for counts in (await made.sync(holder="new")).crms.values()] == [0, 0]
        await stayed.close()
