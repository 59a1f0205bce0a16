"""Personas, audiences and nurture through a whole sync: decided, written, listed, limited and told apart."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from connector.app.cli import app
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.conditions import Any as AnyOf
from connector.core.conditions import Leaf
from connector.core.criteria import (
    Audience,
    Criteria,
    MqlStage,
    Persona,
    StageAny,
    StageEntry,
    Stages,
    StageTest,
)
from connector.core.limits import PlanLimits
from connector.core.mapping import WriteLine
from connector.core.override import NEVER, Override
from connector.phases.counting import CrmTally
from connector.ports import UNDONE, Hold, PersonView
from tests.stories.world import World, somebody, world

NEXT = {"lead": "Newsletter", "mql": "Call within a day"}


def easy(criteria: Criteria) -> Criteria:
    """Who is anybody at all is an MQL."""
    enter = StageEntry((StageTest("score", "gte", 0.0),))
    return replace(criteria, stages=Stages(MqlStage(enter, StageAny(())), next=NEXT), audiences=())


def strict(criteria: Criteria) -> Criteria:
    """Nobody is."""
    return replace(criteria, stages=Stages(MqlStage(StageAny(()), StageAny(())), next=NEXT), audiences=())


def shared(made: World) -> None:
    """People with a title that says something are chiefs or users; German ones are easy, chiefs elsewhere too."""
    file = strict(made.definition.criteria)
    chief = Leaf("seniority", "in", ("c_level", "vp", "director"))
    made.redefine(
        stages=file.stages,
        personas=(Persona("chief", "Chief", chief), Persona("user", "User", Leaf("seniority", "is_set"))),
        audiences=(
            Audience("german", "German", Leaf("country", "is", "de"), easy(file)),
            Audience("chiefs", "Chiefs", Leaf("persona", "is", "chief"), strict(file)),
        ),
    )
    for crm, object, to in (("hubspot", "contact", "jobtitle"), ("salesforce", "Lead", "Title")):
        mapping = made.definition.mappings[crm]
        target = mapping.objects[object]
        line = WriteLine(object, "next", to, "always", write_only=AnyOf((Leaf("persona", "is", "chief"),)))
        made.remap(crm, objects={**mapping.objects, object: replace(target, write=(*target.write, line))})


def expected_audience(view: PersonView) -> str:
    if str(view.fields.get("country") or "").casefold() == "de":
        return "german"
    return "chiefs" if view.fields.get("persona") == "chief" else ""


async def test_people_are_judged_written_listed_and_counted_by_audience(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, people=40) as made:
        shared(made)
        result = await made.sync(plan_only=True)

        everybody = await made.ledger.people(limit=10_000)
        chiefs = [view for view in everybody if view.fields.get("seniority") in ("c_level", "vp", "director")]
        assert chiefs
        assert all(view.fields["persona"] == "chief" for view in chiefs)
        assert [view.audience for view in everybody] == [expected_audience(view) for view in everybody]
        german = [view for view in everybody if view.audience == "german"]
        assert 0 < len(german) < len(everybody)
        ours = [view for view in german if view.state.stage == "mql"]
        assert ours
        told = result.document()["mql"]["by_audience"]
        assert set(told) == {"german", "chiefs", "none"}
        for name, counts in told.items():
            people = [view for view in everybody if (view.audience or "none") == name]
            assert counts["now"] == sum(view.state.stage == "mql" for view in people)
        assert sum(counts["entered"] for counts in told.values()) == result.entered > 0
        assert told["german"]["entered"] == result.entered, "nobody else may enter"

        # what follows is written to chiefs alone, by the stage they stand in
        rows = await made.ledger.plan_rows(result.plans["hubspot"], limit=10_000)
        by_id = {view.id: view for view in everybody}
        follows = {row.person: w.after for row in rows for w in row.writes if w.result == "next"}
        assert follows
        for person, after in follows.items():
            assert by_id[person].fields["persona"] == "chief"
            assert after == NEXT[by_id[person].state.stage]

        # the first plan tells how far both agree, audience by audience
        plan = await made.ledger.plan(result.plans["hubspot"])
        assert plan is not None
        agreed: Any = plan.summary["reconciliation"]
        assert {each["value"] for each in agreed["by"]["audience"]} <= {"german", "chiefs", "(none)"}
        assert any(line.startswith("By audience, german") for line in agreed["lines"])

        # lists
        environment = {"CONNECTOR_DATABASE_URL": database_url}

        async def connector(*words: str, code: int = 0) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, app, [*words], env=environment)
            assert done.exit_code == code, done.output
            return done.output if code else done.stdout

        listed = json.loads(await connector("people", "--audience", "german", "--sort", "fit", "--json"))[
            "people"
        ]
        assert {each["person"] for each in listed} == {view.id for view in german}
        assert [each["fit"] for each in listed] == sorted((each["fit"] for each in listed), reverse=True)
        assert "email" not in listed[0]
        assert all(each["why"] and each["persona_by_rule"] is None for each in listed)
        file = tmp_path / "mqls.csv"
        await connector("people", "--stage", "mql", "--csv", str(file), "--email")
        with file.open(encoding="utf-8", newline="") as lines:
            in_file = list(csv.DictReader(lines))
        assert [int(row["person"]) for row in in_file] == [v.id for v in everybody if v.state.stage == "mql"]
        assert {row["email"] for row in in_file} == {
            str(view.fields.get("email") or "") for view in everybody if view.state.stage == "mql"
        }
        assert "chiefs" in await connector("people", "--audience", "chief", code=2)
        assert "is there already" in await connector("people", "--csv", str(file), code=2)
        number = str(result.plans["hubspot"])
        shown = json.loads(
            await connector("plan", "show", number, "--audience", "german", "--rows", "999", "--json")
        )
        assert shown["rows"]
        assert {row["person"] for row in shown["rows"]} == {row.person for row in rows} & {
            v.id for v in german
        }
        none = json.loads(await connector("plan", "show", number, "--audience", "none", "--json"))
        assert none["matching"]["records"] < len(rows)
        plans = json.loads(await connector("plan", "list", "--audience", "german", "--json"))["plans"]
        assert {each["plan"] for each in plans} == set(result.plans.values())
        explained = json.loads(await connector("explain", f"person:{ours[0].id}", "--json"))
        assert explained["audience"] == "german"


async def test_what_humans_said_and_what_is_left_alone_is_listed_by_audience(sqlite_url: str) -> None:
    async with world(sqlite_url, people=40) as made:
        shared(made)
        await made.sync(plan_only=True)
        everybody = await made.ledger.people(limit=10_000)
        ours, theirs, others = (
            [view for view in everybody if (view.audience or None) == name and view.fields.get("email")][:2]
            for name in ("german", "chiefs", None)
        )
        at = made.clock.now()
        words = [
            Override(0, NEVER, "person", str(view.fields["email"]), "Ada", "asked", at)
            for view in (ours[0], others[0])
        ]
        words.append(Override(0, NEVER, "domain", str(theirs[0].fields["email_domain"]), "Ada", "asked", at))
        await made.ledger.add_overrides(words, at)
        held = {view.id: view.refs[0] for view in (ours[0], theirs[0])}
        await made.ledger.keep_holds(
            [Hold(ref, "mql_score", UNDONE, 1, 1, at, "undone") for ref in held.values()], at
        )
        await made.ledger.answer_review(ours[0].refs[0], others[0].refs[0], "split", at, author="Ada")
        await made.ledger.answer_review(others[0].refs[0], others[1].refs[0], "split", at, author="Ada")
        environment = {"CONNECTOR_DATABASE_URL": sqlite_url}

        async def listed(*words: str) -> Any:
            done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--json"], env=environment)
            assert done.exit_code == 0, done.output
            return next(iter(json.loads(done.stdout).values()))

        told = {
            name: await listed("override", "list", "--audience", name)
            for name in ("german", "chiefs", "none")
        }
        assert ours[0].fields["email"] in {each["target"] for each in told["german"]}
        assert {each["scope"] for each in told["chiefs"]} == {"domain"}
        assert others[0].fields["email"] in {each["target"] for each in told["none"]}
        assert others[0].fields["email"] not in {each["target"] for each in told["german"]}
        holds = await listed("holds", "list", "--audience", "german")
        assert [each["record"] for each in holds] == [str(held[ours[0].id])]
        assert len(await listed("holds", "list")) == 2
        pairs = await listed("review", "list", "--answered", "--stale", "--audience", "german")
        assert len(pairs) == 1
        assert len(await listed("review", "list", "--answered", "--stale")) == 2


async def test_a_limit_of_one_audience_holds_a_plan_that_no_other_limit_would(sqlite_url: str) -> None:
    async with world(sqlite_url, people=30) as made:
        made.redefine(**{"stages": strict(made.definition.criteria).stages})
        await made.sync(yes=True)  # the first plan has left; nobody became MQL
        shared(made)
        none = PlanLimits(overwrites=None, people=None, share=None, demoted=None, reads=None, mqls=None)
        held = replace(none, people=0)
        made.remap("hubspot", limits=replace(none, audiences={"german": held, "chiefs": held}))
        made.remap("salesforce", limits=replace(none, audiences={"chiefs": held}))

        result = await made.sync(yes=False)

        asked = {plan.crm: plan.limit for plan in made.asked if plan.limit}
        assert result.crms["hubspot"].waiting > 0
        assert "audience `german`: " in str(asked["hubspot"])
        assert "chiefs" not in str(asked["hubspot"])
        assert result.crms["salesforce"].waiting == 0, "its chiefs stand where they stood"


async def test_whoever_changed_audience_since_a_decision_stands_where_the_last_one_put_them(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=20) as made:
        made.redefine(stages=strict(made.definition.criteria).stages, guards=())
        await made.sync(yes=True)
        shared(made)
        await made.sync(plan_only=True)

        def moves(view: PersonView) -> bool:
            return view.audience == "german" and view.fields.get("persona") != "chief"

        leaves = await somebody(made, stage="mql", where=moves)
        comes = await somebody(made, where=lambda view: view.audience == "")
        [open_plan] = [plan.id for plan in await made.ledger.open_plans() if plan.crm == "hubspot"]

        async def asked(*words: str) -> Any:
            environment = {"CONNECTOR_DATABASE_URL": sqlite_url}
            done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--json"], env=environment)
            assert done.exit_code == 0, done.output
            return json.loads(done.stdout)

        files = count()

        async def listed(audience: str) -> set[int]:
            file = tmp_path / f"{audience}-{next(files)}.csv"
            await asked("people", "--audience", audience, "--csv", str(file))
            with file.open(encoding="utf-8", newline="") as lines:
                return {int(row["person"]) for row in csv.DictReader(lines)}

        async def planned(audience: str) -> set[int]:
            rows = await asked("plan", "show", str(open_plan), "--audience", audience, "--rows", "999")
            return {row["person"] for row in rows["rows"]}

        # they move in the CRMs: until somebody decides, every list stands as it was decided
        for crm, table, field in (("hubspot", "contacts", "country"), ("salesforce", "Lead", "Country")):
            for who, country in ((leaves, "Norway"), (comes, "Germany")):
                record = who.contact if crm == "hubspot" else who.lead
                made.running[crm].edit(table, record, {field: country})
        made.later(minutes=15)
        assert leaves.view.id in await listed("german")
        assert comes.view.id in await listed("none")
        before = await planned("german")
        assert leaves.view.id in before
        assert comes.view.id in await planned("none")

        # a decision for the other CRM alone moves them in the lists, and in the plan that was made before and waits
        done = await made.sync("salesforce", plan_only=True)
        assert open_plan in {plan.id for plan in await made.ledger.open_plans()}
        assert {leaves.view.id, comes.view.id} & await listed("german") == {comes.view.id}
        assert leaves.view.id in await listed("none")
        assert await planned("german") == before - {leaves.view.id} | {comes.view.id}
        file = tmp_path / "german.csv"
        await asked("plan", "export", str(open_plan), "--audience", "german", "--out", str(file))
        with file.open(encoding="utf-8", newline="") as lines:
            assert {int(row["person"]) for row in csv.DictReader(lines)} == await planned("german")
        told = done.document()["mql"]["by_audience"]
        assert (told["german"]["entered"], told["none"]["left"]) == (1, 0)
        assert told["none"]["now"] == 1, "MQL by the bar of another audience, and no rule takes that back"

        # a limit of an audience is of those who are in it when it is decided
        none = PlanLimits(overwrites=None, people=None, share=None, demoted=None, reads=None, mqls=None)
        made.remap("hubspot", limits=replace(none, audiences={"german": replace(none, people=0)}))
        made.remap("salesforce", limits=none)
        made.asked.clear()
        await made.sync(yes=False)
        assert {plan.crm for plan in made.asked if plan.limit} == {"hubspot"}
        [limit] = [str(plan.limit) for plan in made.asked if plan.limit]
        assert limit.startswith("audience `german`: ")


def test_an_earlier_count_of_people_by_audience_keeps_its_own_numbers() -> None:
    tally = CrmTally()
    tally.moved_in = tally.moved_in + Counter({"german": 2})
    before = replace(tally)
    tally.moved_in = tally.moved_in + Counter({"german": 1, "": 4})
    assert tally.beyond(before).moved_in == {"german": 1, "": 4}


async def test_check_warns_of_limits_for_no_audience_and_of_audiences_that_nobody_is_in(
    sqlite_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(shipped(), folder)
    criteria, hubspot = folder / "criteria.yaml", folder / "hubspot.yaml"
    german, martians = (
        f"{{id: {name}, when: {{field: country, is: {code}}}}}"
        for name, code in (("german", "de"), ("martians", "xm"))
    )
    criteria.write_text(f"{criteria.read_text()}\naudiences: [{german}, {martians}]\n")
    limits = "  audiences: {germans: {stage_changes: {people: 5}}, german: {stage_changes: {people: 5}}}\n"
    hubspot.write_text(hubspot.read_text().replace("\nlimits:\n", f"\nlimits:\n{limits}", 1))
    environment = {"CONNECTOR_DATABASE_URL": sqlite_url, "CONNECTOR_MAPPINGS_DIR": str(folder)}
    async with world(sqlite_url, people=20) as made:
        made.definition = load_definition(folder, plugins())
        await made.sync(plan_only=True)
    done = await asyncio.to_thread(CliRunner().invoke, app, ["check", "--json"], env=environment)

    told = [each for each in json.loads(done.stdout)["findings"] if "audience" in each["what"]]
    assert [(each["level"], each["where"], each["what"]) for each in told] == [
        ("warning", "hubspot.yaml",
         "`limits.audiences` names `germans`, an audience that the criteria do not have; nearest: german"),
        ("warning", "criteria.yaml",
         "nobody is in the audience `martians` by the last decision; `--audience martians` finds none"),
    ]  # fmt: skip
    assert all(each["next_step"] for each in told)
