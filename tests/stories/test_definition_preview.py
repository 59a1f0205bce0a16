"""An edited definition: what it changes is told before anything is written, and what the sync then does is that."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.app.cli import app
from connector.app.commands.definition import definition_preview
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.previewing import preview
from connector.app.wiring import plugins
from connector.core.definition import Definition
from tests.stories.world import World, world

THRESHOLD = (
    "enter: {any: [{score: {gte: 60}, fit: {gte: 25},",
    "enter: {any: [{score: {gte: 30}, fit: {gte: 25},",
)
NEW_FIELD = ("      country: country\n", "      country: country\n      campaign: state\n")
NEW_RULE = (
    "fit:\n",
    "fit:\n  - {id: home-market, name: Home market, when: {field: campaign, is: bavaria}, points: 40}\n",
)


def edited(folder: Path, **changes: tuple[str, str]) -> Definition:
    """The shipped files with these texts replaced, by the file's name without its ending."""
    shutil.copytree(shipped(), folder)
    for name, (old, new) in changes.items():
        file = folder / f"{name}.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
    return load_definition(folder, plugins())


async def previewed(made: World, new: Definition, **more: Any) -> dict[str, Any]:
    return await preview(
        new, more.get("adapters", made.adapters), made.ledger, made.ledger_url, made.clock, holder="preview"
    )


async def state_of(made: World) -> tuple[Any, ...]:
    """All that a preview must leave as it is."""
    return (
        await made.ledger.version(),
        await made.ledger.runs(100),
        await made.ledger.plans(100),
        await made.ledger.stage_counts(),
        [
            await made.ledger.cursor(crm, s.name)
            for crm, each in made.adapters.items()
            for s in each.streams()
        ],
        await made.ledger.due(list(made.adapters), made.clock.now(), 10_000),
    )


def wishes(values: Iterable[tuple[str, object]]) -> dict[str, object]:
    """By field; but for the moment at which a spell begins: that is when it is decided."""
    return {field: value for field, value in values if "since" not in field.lower()}


def bavarian(made: World, many: int = 40) -> None:
    for each in made.hubspot.sandbox.store.table("contacts").live[:many]:
        made.hubspot.edit("contacts", str(each), {"state": "Bavaria"})


async def test_a_lowered_threshold_promotes_exactly_whom_the_preview_named(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, people=120) as made:
        await made.sync()
        new = edited(tmp_path / "new", criteria=THRESHOLD)
        before, calls = await state_of(made), {crm: len(made.writes(crm)) for crm in made.adapters}

        told = await previewed(made, new)

        assert await state_of(made) == before
        assert {crm: len(made.writes(crm)) for crm in made.adapters} == calls
        assert [each["what"] for each in told["changes"]] == ["stages.mql.enter score gte: 60 -> 30"]
        assert told["reread"] == []
        assert told["mql"]["entered"] > 0

        made.definition = new
        run = await made.sync()

        assert (run.entered, run.left) == (told["mql"]["entered"], told["mql"]["left"])
        for crm, counts in run.crms.items():
            said = told["crms"][crm]
            assert (said["planned"], said["promoted"], said["demoted"]) == (
                counts.planned, counts.promoted, counts.demoted
            )  # fmt: skip
            assert said["concerned"] == counts.planned
            assert {each["record"].partition(":")[0] for each in told["examples"]} == {*run.crms}
            rows = await made.ledger.plan_rows(run.plans[crm])
            planned = {str(row.ref): wishes((w.field, w.after) for w in row.writes) for row in rows}
            for row in told["examples"]:
                if row["record"].startswith(crm):
                    assert wishes((w["field"], w["after"]) for w in row["writes"]) == planned[row["record"]]


async def test_a_sync_says_that_it_is_the_first_by_another_definition(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, people=60) as made:
        first = await made.sync()
        made.definition = edited(tmp_path / "new", criteria=THRESHOLD)

        run, after = await made.sync(), await made.sync()

        told = run.document()["definition"]
        assert (told["from"], told["to"], told["reread"]) == (1, 2, [])
        assert told["concerned"] == {crm: counts.planned for crm, counts in run.crms.items()}
        for plan in run.plans.values():
            info = await made.ledger.plan(plan)
            assert info is not None
            assert info.summary["definition"]["lines"] == [
                "Version 1 was followed by version 2.",
                "stages.mql.enter score gte: 60 -> 30",
            ]
        assert "definition" not in first.document()
        assert "definition" not in after.document()


async def test_a_new_field_and_its_rule_are_told_rehearsed_and_backfilled(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, people=80) as made:
        bavarian(made)
        await made.sync()
        new = edited(tmp_path / "new", hubspot=NEW_FIELD, criteria=NEW_RULE)
        before = await state_of(made)

        told = await previewed(made, new)

        assert await state_of(made) == before
        assert [(each["what"], each["needs"]) for each in told["changes"]] == [
            ("fit rule `home-market` is new", "decide"),
            ("hubspot contact: field `campaign` is new", "read"),
        ]
        assert [each["command"] for each in told["reread"]] == [
            "connector backfill hubspot --object contacts"
        ]
        assert told["reread"][0]["estimate"]["records"] >= 40

        made.definition = new
        run = await made.backfill(await made.ask_backfill(object="contacts"))
        assert run.crms["hubspot"].written > 0
        await made.sync()

        assert await with_campaign(made.ledger) >= 40
        async with world(f"sqlite:///{tmp_path / 'fresh.db'}", people=80) as other:
            bavarian(other)
            other.definition = new
            await other.sync()
            assert await scores(made.ledger) == await scores(other.ledger)


GERMAN = """audiences:
  - {id: german, name: German, when: {field: country, is: de}, stages: {mql: {enter: {score: {gte: 25}}}}}
  - {id: bavarian, name: Bavarian, when: {field: campaign, is: bavaria}, weights: {fit: 1, engagement: 0}}

examples:
"""


async def test_an_audience_that_a_draft_adds_is_told_in_words_people_records_and_what_is_to_be_read(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=30) as made:
        bavarian(made, 8)
        await made.sync()
        new = edited(tmp_path / "new", hubspot=NEW_FIELD, criteria=("examples:\n", GERMAN))
        environment = {
            **made.running.environment(),
            "CONNECTOR_DATABASE_URL": sqlite_url,
            "CONNECTOR_MAPPINGS_DIR": str(tmp_path / "new"),
        }

        async def asked(*words: str) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, app, list(words), env=environment)
            assert done.exit_code in (0, 3), done.output
            return done.stdout

        compared = json.loads(await asked("criteria", "diff", "1", "file", "--json"))
        told = await previewed(made, new)
        printed = await asked("definition", "preview")
        drafted = json.loads(await asked("criteria", "publish", "--as", "Ada", "--json"))

        # in words
        for sentences in (compared["words"], drafted["words"]):
            assert any("German" in each for each in sentences), sentences
        assert {(each["what"], each["needs"]) for each in told["changes"]} >= {
            ("audience `german` is new", "decide"),
            ("hubspot contact: field `campaign` is new", "read"),
        }
        assert drafted["published"] is None
        # in people and records
        mine = told["mql"]["by_audience"]
        assert set(mine) == {"german", "bavarian", "none"}
        assert mine["german"]["entered"] == told["mql"]["entered"] > 0
        assert f"audience german: {mine['german']['entered']} would enter, 0 leave" in printed
        assert drafted["preview"]["mql"] == told["mql"]
        assert {each["record"].partition(":")[0] for each in told["examples"]} == {"hubspot", "salesforce"}
        # and what is to be read for it, and no more
        [again] = told["reread"]
        assert again["command"] == "connector backfill hubspot --object contacts"
        assert again["command"] in printed
        assert again["estimate"]["records"] == len(made.hubspot.sandbox.store.tables["contacts"].live)

        made.definition = new
        await made.backfill(await made.ask_backfill(object="contacts"))
        await made.sync()
        people = await made.ledger.people(limit=1_000)
        of = {name: [each for each in people if each.audience == name] for name in ("german", "bavarian")}
        assert all(each.fields["country"] == "DE" for each in of["german"])
        assert of["bavarian"]
        assert all(each.fields["campaign"] == "Bavaria" for each in of["bavarian"])
        assert sum(each.state.stage == "mql" for each in of["german"]) == mine["german"]["now"]


async def scores(ledger: Any) -> dict[Any, Any]:
    people = await ledger.people(limit=10_000)
    return {tuple(sorted(map(str, each.refs))): (each.score.fit, each.score.band) for each in people}


async def with_campaign(ledger: Any) -> int:
    return sum(each.fields.get("campaign") == "Bavaria" for each in await ledger.people(limit=10_000))


async def test_only_what_a_change_needs_is_read_again(sqlite_url: str, tmp_path: Path) -> None:
    async with world(sqlite_url, people=60) as made:
        await made.sync()
        made.later(hours=2)
        await made.sync()
        made.definition = edited(tmp_path / "limits", hubspot=("  mqls: 3 ", "  mqls: 4 "))

        cheap = await made.sync()

        assert cheap.document()["definition"]["reread"] == []
        assert cheap.crms["hubspot"].fetched["contacts"].rows < 60

        bavarian(made, 60)
        made.later(hours=2)
        await made.sync()
        made.later(hours=2)
        made.definition = edited(tmp_path / "field", hubspot=NEW_FIELD)

        dear = await made.sync()

        assert dear.document()["definition"]["reread"] == [{"crm": "hubspot", "stream": "contacts"}]
        assert dear.crms["hubspot"].fetched["contacts"].rows >= 60
        assert dear.crms["salesforce"].fetched["Lead"].rows < 30
        assert await with_campaign(made.ledger) >= 40


async def test_a_crm_that_is_not_asked_when_its_mapping_changes_is_read_again_in_its_turn(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=60) as made:
        bavarian(made)
        await made.sync()
        made.definition = edited(tmp_path / "field", hubspot=NEW_FIELD)

        await made.sync("salesforce")
        assert await made.ledger.cursor("hubspot", "contacts") is None
        await made.sync("hubspot")

        assert await with_campaign(made.ledger) >= 30


async def test_a_preview_without_credentials_says_so_and_goes_on(sqlite_url: str, tmp_path: Path) -> None:
    async with world(sqlite_url, people=60) as made:
        await made.sync()
        new = edited(tmp_path / "new", hubspot=NEW_FIELD, criteria=THRESHOLD)

        told = await previewed(made, new, adapters={})

        assert told["not_connected"] == ["hubspot", "salesforce"]
        assert told["mql"]["entered"] > 0
        [offer] = told["reread"]
        assert offer["command"] == "connector backfill hubspot --object contact"
        assert offer["estimate"] is None
        assert "not connected" in offer["not_estimated"]


async def test_nothing_changed_and_nothing_in_force_are_said(sqlite_url: str) -> None:
    async with world(sqlite_url, people=20) as made:
        empty = await previewed(made, made.definition)
        await made.sync()
        same = await previewed(made, made.definition)

    assert (empty["from"], empty["changed"]) == (None, True)
    assert (same["from"], same["to"], same["changed"]) == (1, 1, False)


async def test_files_that_cannot_be_read_any_more_have_their_crm_read_again(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=30) as made:
        texts = {**made.definition.texts, "hubspot.yaml": "version: 0\nof: old\n"}
        good, made.definition = made.definition, replace(made.definition, texts=texts)
        await made.sync()

        told = await previewed(made, good)
        made.definition = good
        run = await made.sync()

    assert told["changes"] is None
    assert [each["command"] for each in told["reread"]] == ["connector backfill hubspot"]
    assert run.crms["hubspot"].fetched["contacts"].rows >= 30


async def test_what_would_be_written_today_anyway_is_not_of_the_change(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=60) as made:
        await made.sync(plan_only=True)

        told = await previewed(made, edited(tmp_path / "new", criteria=THRESHOLD))

    for counts in told["crms"].values():
        assert 0 < counts["concerned"] < counts["planned"]


async def test_the_command_tells_it_in_words_and_as_a_document(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(sqlite_url, people=60) as made:
        await made.sync()
    edited(
        tmp_path / "new",
        hubspot=NEW_FIELD,
        criteria=("{score: {gte: 60}, fit: {gte: 25},", "{score: {gte: 58}, fit: {gte: 25},"),
    )
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", sqlite_url)

    words = await asyncio.to_thread(definition_preview, mappings=tmp_path / "new", json=False)
    said = capsys.readouterr().out
    document = await asyncio.to_thread(definition_preview, mappings=tmp_path / "new", json=True)
    told = json.loads(capsys.readouterr().out)

    assert (words, document) == (0, 0)
    assert (told["from"], told["to"]) == (1, 2)
    assert "stages.mql.enter score gte: 60 -> 58: decided anew" in said
    assert "connector backfill hubspot --object contact" in said
    assert "@" not in said
