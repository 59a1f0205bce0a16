"""A human's word above the rules, through both CRMs: said, ended, over by time alone, for a company or domain."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.app.cli import app
from connector.core.mapping import OverrideMap
from connector.core.model import Said
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override
from connector.ledger import open_ledger
from connector.ports import PersonView
from connector.sandbox.faults import Fault
from tests.stories.ledger_words import ACME, ADA, BOB, DAY, Desk, company, contact, decided
from tests.stories.world import Somebody, World, look, somebody, world


@pytest.fixture
async def desk(sqlite_url: str) -> AsyncIterator[Desk]:
    ledger = open_ledger(sqlite_url)
    yield Desk(ledger)
    await ledger.close()


def word(made: World, kind: str, target: str, scope: str = "person", **more) -> Override:
    return Override(0, kind, scope, target, "Grace", "Met at the fair", made.clock.now(), **more)


def stages(made: World, who: Somebody) -> tuple[str, str]:
    contact = made.hubspot.raw("contacts", who.contact)["properties"]
    return contact["lifecyclestage"], made.salesforce.raw("Lead", who.lead)["Lifecycle_Stage__c"]


def low(view: PersonView) -> bool:
    return view.score.score < 20 and view.score.hand_raised is None


async def test_mql_now_reaches_both_crms_and_its_end_gives_the_person_back_to_the_rules(
    database_url: str,
) -> None:
    async with world(database_url, people=40) as made:
        await made.sync()
        who = await somebody(made, where=low)

        (said,) = await made.ledger.add_overrides([word(made, MQL_NOW, who.email)], made.clock.now())
        made.later(minutes=15)
        done = await made.sync()

        assert stages(made, who) == ("marketingqualifiedlead", "mql")
        mql = done.document()["mql"]
        assert (mql["entered"], mql["by_override"]) == (1, 1)
        assert {counts.promoted for counts in done.crms.values()} == {0}
        assert {counts.by_override for counts in done.crms.values()} == {1}
        view = await look(made, who)
        assert view.override == said.id
        assert view.state.because.startswith("MQL: by override of Grace: Met at the fair")
        assert [each.id for each in await made.ledger.overrides_of(view.refs)] == [said.id]
        made.later(minutes=15)
        writes = len(made.writes("hubspot")) + len(made.writes("salesforce"))
        await made.sync()
        assert len(made.writes("hubspot")) + len(made.writes("salesforce")) == writes

        await made.ledger.end_overrides([said.id], "Grace", made.clock.now())
        made.later(minutes=15)
        await made.sync()
        view = await look(made, who)
        assert (view.state.stage, view.override) == ("lead", None)
        lead = made.salesforce.raw("Lead", who.lead)
        assert lead["MQL_Status__c"] == "none"
        assert lead["MQL_Since__c"] is None
        acts = await made.ledger.acts(f"person {who.email}")
        assert [(act.by, act.act) for act in acts] == [
            ("Grace", "override add"),
            ("Grace", "override remove"),
        ]


async def test_lists_and_plans_tell_a_human_s_wish_apart(sqlite_url: str) -> None:
    async with world(sqlite_url, people=20) as made:
        await made.sync()
        who = await somebody(made, where=low)
        await made.ledger.add_overrides([word(made, MQL_NOW, who.email)], made.clock.now())
        made.later(minutes=15)
        await made.sync(plan_only=True)
        number = (await made.ledger.open_plans())[0].id

        def asked(*words: str) -> Any:
            done = CliRunner().invoke(app, list(words), env={"CONNECTOR_DATABASE_URL": sqlite_url})
            assert done.exit_code == 0, done.output
            return done.stdout

        listed = json.loads(await asyncio.to_thread(asked, "people", "--json"))["people"]
        printed = await asyncio.to_thread(asked, "people", "--stage", "mql")
        plan = json.loads(await asyncio.to_thread(asked, "plan", "show", str(number), "--json"))
        said = await asyncio.to_thread(asked, "plan", "show", str(number))

    told = {each["person"]: (each["override"], each["override_reason"]) for each in listed}
    assert told.pop(who.view.id) == (MQL_NOW, "Met at the fair")
    assert set(told.values()) == {(None, None)}
    assert "override" in printed
    rows = {each["person"]: each["by_override"] for each in plan["rows"]}
    assert rows.pop(who.view.id) is True
    assert not any(rows.values())
    assert plan["matching"]["by_override"] == 1
    assert "under a human's override: 1 of these" in said


async def test_a_word_ends_by_time_alone_and_never_for_a_domain_gives_way_to_the_person_s_own(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=40) as made:
        await made.sync()
        who = await somebody(
            made, stage="mql", where=lambda view: view.fields.get("email_kind") == "business"
        )
        other = await somebody(made, where=low)
        ends = made.clock.now() + timedelta(hours=5)
        fair = word(made, MQL_NOW, f"hubspot:contact:{other.contact}", expires_at=ends)
        await made.ledger.add_overrides([fair], made.clock.now())
        host = who.email.rpartition("@")[2]

        await made.ledger.add_overrides([word(made, NEVER, host, "domain")], made.clock.now())
        made.later(minutes=15)
        await made.sync()
        view = await look(made, who)
        assert (view.state.stage, view.state.status.value) == ("lead", "disqualified")
        assert (await look(made, other)).state.stage == "mql"
        assert made.salesforce.raw("Lead", who.lead)["MQL_Status__c"] == "disqualified"

        await made.ledger.add_overrides([word(made, MQL_NOW, who.email)], made.clock.now())
        made.later(minutes=15)
        await made.sync()
        assert (await look(made, who)).state.stage == "mql"
        assert (await look(made, other)).state.stage == "mql"
        made.later(hours=5)
        await made.sync()
        assert (await look(made, other)).state.stage == "lead"


async def test_whom_a_word_concerns_is_due_at_once_and_nobody_else(desk: Desk) -> None:
    ada = contact(ADA, emails=("ada@acme.example",), fields={})
    bob = contact(BOB, emails=("bob@gmail.com",), company=ACME, fields={})
    await desk.keep(ada, bob, companies=[company(ACME, company_domain="acme.example")])
    await clear(desk)

    for scope, target, concerned in [
        ("person", "ada@acme.example", [ADA]),
        ("person", str(BOB), [BOB]),
        ("company", str(ACME), [BOB]),
        ("domain", "acme.example", [ADA, BOB]),
        ("domain", "cme.example", []),
    ]:
        said = Override(0, NEVER, scope, target, "Grace", "x", desk.at)
        (kept,) = await desk.ledger.add_overrides([said], desk.at)
        about = [f.records[0].ref for f in await desk.ledger.facts([[ADA], [BOB]]) if kept in f.overrides]
        assert about == concerned, target
        assert set(concerned) <= set(await desk.due()), target
        if scope != "domain":
            assert await desk.due() == concerned
        await clear(desk)
        await desk.ledger.end_overrides([kept.id], "Grace", desk.at)
        assert set(concerned) <= set(await desk.due()), target
        await clear(desk)


async def test_a_word_about_somebody_unknown_waits_for_them(desk: Desk) -> None:
    said = Override(0, HOLD_UNTIL, "person", "ada@acme.example", "Grace", "x", desk.at, until=desk.at + DAY)
    (kept,) = await desk.ledger.add_overrides([said], desk.at)
    assert await desk.ledger.concerned([kept]) == 0

    await desk.keep(contact(ADA, emails=("ada@acme.example",)))
    (facts,) = await desk.ledger.facts([[ADA]])
    assert facts.overrides == (kept,)


async def test_a_newer_word_takes_the_place_of_the_older_and_the_same_one_adds_nothing(desk: Desk) -> None:
    never = Override(0, NEVER, "person", "ada@acme.example", "Grace", "x", desk.at)
    (first,) = await desk.ledger.add_overrides([never], desk.at)
    assert await desk.ledger.add_overrides([never], desk.at, again=False) == []
    desk.at += DAY
    (second,) = await desk.ledger.add_overrides([never], desk.at)
    assert [each.id for each in await desk.ledger.overrides()] == [second.id]
    assert [each.ended_at for each in await desk.ledger.overrides(ended=True)] == [None, desk.at]
    assert second.id > first.id


async def test_a_record_s_field_and_a_list_speak_beside_each_other(desk: Desk) -> None:
    await desk.keep(contact(ADA))
    listed = {("contact", "3", NEVER): frozenset({ADA.id})}
    await desk.ledger.keep_segments("hubspot", listed, await desk.lease("pull"), desk.at)
    desk.at += DAY
    await desk.keep(contact(ADA, at=desk.at, says=Said(MQL_NOW, "word")))
    assert [each.kind for each in await desk.ledger.overrides()] == [MQL_NOW, NEVER]
    desk.at += DAY
    await desk.keep(contact(ADA, at=desk.at))
    assert [each.kind for each in await desk.ledger.overrides()] == [NEVER]
    await desk.ledger.keep_segments("hubspot", {}, await desk.lease("pull"), desk.at)
    assert await desk.ledger.overrides() == []


async def clear(desk: Desk) -> None:
    known = {ref: await desk.ledger.find(str(ref)) for ref in (ADA, BOB)}
    await desk.decide(*(decided(ref, person=found[0] if found else None) for ref, found in known.items()))


async def test_the_commands_add_list_explain_import_and_remove(sqlite_url: str, tmp_path: Path) -> None:
    ledger = open_ledger(sqlite_url)
    try:
        desk = Desk(ledger)
        await desk.keep(contact(ADA, emails=("ada@acme.example",)))
        await desk.decide(decided(ADA))
    finally:
        await ledger.close()

    async def told(*words: str, code: int = 0) -> str:
        runner = CliRunner()
        env = {"CONNECTOR_DATABASE_URL": sqlite_url}
        done = await asyncio.to_thread(runner.invoke, app, ["override", *words], env=env)
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.output

    async def answer(*words: str) -> Any:
        return json.loads(await told(*words, "--json"))

    waits = await answer("add", "new@acme.example", "--never", "--reason", "Partner", "--as", "Grace")
    assert (waits["waits"], waits["override"]["scope"]) == (True, "person")
    listed = await answer(
        "add", "person:1", "--hold-until", "2999-01-01", "--reason", "As people prints them"
    )
    assert listed["override"]["target"] in (str(ADA), "ada@acme.example")
    await answer("remove", str(listed["override"]["id"]))
    known = await answer("add", "1", "--mql-now", "--reason", "Fair", "--expires", "2999-01-01")
    assert (known["waits"], known["override"]["target"]) == (False, str(ADA))
    file = tmp_path / "words.csv"
    good = "who,kind,until,reason,expires\nacme.example,hold,2999-01-01,Later,\n"
    file.write_text(good + "nope,never,,x,\n")
    assert "line 3, who: no record has this id" in await told("import", str(file), code=2)
    assert len((await answer("list"))["overrides"]) == 2
    file.write_text(good)
    assert len((await answer("import", str(file)))["added"]) == 1
    again = await answer("import", str(file))
    assert (again["added"], again["unchanged"]) == ([], 1)

    explained = await asyncio.to_thread(
        CliRunner().invoke, app, ["explain", "1"], env={"CONNECTOR_DATABASE_URL": sqlite_url}
    )
    assert "MQL now for person hubspot:contact:1" in explained.stdout
    assert "hold until 2999-01-01 00:00 for domain acme.example" in explained.stdout
    rows = list(csv.DictReader(io.StringIO(await told("list", "--csv"))))
    assert [(row["kind"], row["target"]) for row in rows] == [
        ("hold", "acme.example"), ("mql_now", str(ADA)), ("never", "new@acme.example"),
    ]  # fmt: skip
    assert (await answer("remove", "new@acme.example"))["removed"][0]["author"] == "Grace"
    assert (await answer("remove", rows[0]["id"]))["removed"][0]["kind"] == "hold"
    assert "connector override list" in await told("remove", "acme.example", code=2)
    assert "Give one of --mql-now" in await told("add", "a@b.example", "--reason", "x", code=2)


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_a_field_that_sales_sets_is_read_and_clearing_it_ends_the_override(
    sqlite_url: str, crm: str
) -> None:
    async with world(sqlite_url, people=24) as made:
        object_, table = ("contact", "contacts") if crm == "hubspot" else ("Lead", "Lead")
        field, reason = ("city", "message") if crm == "hubspot" else ("City", "Description")
        fields = OverrideMap(field, {"mql_now": ("now",), "never": ("never",)}, None, reason)
        objects = made.definition.mappings[crm].objects
        changed = replace(objects[object_], override=fields)
        made.remap(crm, objects={**objects, object_: changed})
        await made.sync()
        who = await somebody(made, where=low)
        record = who.contact if crm == "hubspot" else who.lead

        made.running[crm].edit(table, record, {field: "NOW", reason: "Met at the fair"})
        made.later(minutes=15)
        done = await made.sync()
        assert {(each.promoted, each.by_override) for each in done.crms.values()} == {(1, 0)}
        assert done.by_override == 1
        view = await look(made, who)
        assert view.state.stage == "mql"
        assert view.state.because.startswith(f"MQL: by override of {crm}:{object_}:{record}: Met at the fair")
        (word,) = await made.ledger.overrides()
        assert (word.id, word.source) == (view.override, f"{crm}:{object_}:{record} {field}")

        made.running[crm].edit(table, record, {field: ""})
        made.later(minutes=15)
        await made.sync()
        view = await look(made, who)
        assert (view.state.stage, view.override) == ("lead", None)
        assert await made.ledger.overrides() == []


async def test_who_is_on_a_list_of_hubspot_is_meant_and_a_list_out_of_sight_changes_nothing(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=24) as made:
        objects = made.definition.mappings["hubspot"].objects
        lists = OverrideMap("", {}, segments={"mql_now": ("trade fair 2026",)})
        mapped = replace(objects["contact"], override=lists)
        made.remap("hubspot", objects={**objects, "contact": mapped})
        on_list = made.hubspot.sandbox.store.on_list.setdefault("3", {})
        on_list.update(dict.fromkeys(made.hubspot.sandbox.store.tables["contacts"].rows, False))
        await made.sync()
        who = await somebody(made, where=low)
        record = int(who.contact)

        on_list[record] = True
        made.later(minutes=15)
        await made.sync()
        view = await look(made, who)
        assert stages(made, who) == ("marketingqualifiedlead", "mql")
        (word,) = await made.ledger.overrides()
        assert (word.target, word.author) == (f"hubspot:contact:{record}", word.source)
        assert view.override == word.id
        assert "on the list trade fair 2026" in view.state.because
        made.later(minutes=15)
        await made.sync()
        assert [each.id for each in await made.ledger.overrides(ended=True)] == [word.id]

        on_list[record] = False
        made.hubspot.faults.add(Fault(path="*/memberships*", status=403, times=1))
        made.later(minutes=15)
        blind = await made.sync()
        assert blind.status == "partial"
        assert (await look(made, who)).state.stage == "mql"
        made.later(minutes=15)
        await made.sync()
        assert (await look(made, who)).state.stage == "lead"
        assert await made.ledger.overrides() == []
