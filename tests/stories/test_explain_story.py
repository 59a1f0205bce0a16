"""Explained over whole syncs: any decision of the past once more, what changed since, what the command line says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.explaining import (
    Gathered,
    explain_change,
    explain_now,
    explain_past,
    gather,
    kept_definitions,
)
from connector.app.settings import load_settings
from connector.app.wiring import plugins
from connector.core.definition import Definition
from connector.core.model import Engagement, Ref
from connector.insight.explain.past import Recomputed, recompute, state_before
from connector.ledger import open_ledger
from connector.ports import PersonView
from tests.stories.ledger_words import ADA, LEAD, Desk, a_stage, contact, decided, page
from tests.stories.test_cli import run
from tests.stories.world import START, World, look, somebody, world

DAY = timedelta(days=1)


async def everybody(made: World) -> dict[int, PersonView]:
    return {view.id: view for view in await made.ledger.people(limit=10_000)}


def open_to_it(view: PersonView) -> bool:
    """A demo request would make an MQL of them, and a promotion raise their fit."""
    return (
        view.state.rejected_at is None and view.score.fit >= 10 and view.fields.get("seniority") != "c_level"
    )


async def told_late(made: World, contact: str, occurred_at: datetime, key: str) -> None:
    """A demo request of an earlier day comes in only now."""
    lease = await made.ledger.acquire("pull:hubspot", "late", made.clock.now())
    event = Engagement(
        "hubspot", "late", key, "demo_request", occurred_at, about=Ref("hubspot", "contact", contact)
    )
    await made.ledger.keep(page(stream="late", engagement=(event,)), lease, 1, made.clock.now())
    await made.ledger.release(lease)


async def what_is_around_them_changes(made: World) -> dict[int, list[int]]:
    """A company becomes a customer, a deal opens, a Lead of somebody known is read late. Returns, by person, how many
    deals of theirs were known before and after."""
    views = await made.ledger.people(limit=1_000)
    known = await made.ledger.facts([view.refs for view in views])
    found: dict[int, list[int]] = {}
    for view, facts in zip(views, known, strict=True):
        refs = {(record.ref.crm, record.ref.object): record for record in facts.records}
        own = {record.company for record in facts.records if record.company}
        for company in sorted(own):
            if company.crm == "hubspot" and made.hubspot.raw("companies", company.id):
                stage = {"lifecyclestage": "customer", "numberofemployees": "5000"}
                made.hubspot.edit("companies", company.id, stage)
        their = refs.get(("salesforce", "Contact"))
        if their and their.company:
            deal = {"Name": "More", "StageName": "Prospecting", "CloseDate": "2026-12-31"}
            id = made.salesforce.create("Opportunity", {**deal, "AccountId": their.company.id})
            made.salesforce.create("OpportunityContactRole", {"OpportunityId": id, "ContactId": their.ref.id})
            found[view.id] = [len(facts.opportunities), len(facts.opportunities) + 1]
        if [*refs] == [("hubspot", "contact")] and view.fields.get("email"):
            lead = {
                "LastName": str(view.fields.get("last_name") or "Late"),
                "Company": "Late",
                "Title": "CEO",
            }
            made.salesforce.create("Lead", {**lead, "Email": str(view.fields["email"])})
    return found


def heavier(folder: Path) -> Definition:
    """The shipped definition, in which a business mailbox says more."""
    shutil.copytree(shipped(), folder)
    text = (folder / "criteria.yaml").read_text(encoding="utf-8")
    line = "when: {field: email_kind, is: business}, points: 15"
    assert line in text
    (folder / "criteria.yaml").write_text(text.replace(line, line.replace("15", "22")), encoding="utf-8")
    return load_definition(folder, plugins())


async def decided_again(
    made: World, gathered: Gathered, definitions: Mapping[int, Definition], at: datetime
) -> Recomputed:
    """This person's decision at `at`, once more."""
    past = gathered.past(at)
    before, adopt = state_before(gathered.steps, gathered.person.state, at)
    version = await made.ledger.version_at(at)
    assert version is not None
    return recompute(past, definitions[version], at, before, adopt=adopt)


async def test_every_past_decision_is_made_once_more_whatever_came_later(
    database_url: str, tmp_path: Path
) -> None:
    settings = load_settings(database_url=database_url, mappings_dir=shipped())
    async with world(database_url, people=20) as made:
        kept: list[dict[int, PersonView]] = []
        read, definitions = kept_definitions(made.ledger, settings), {1: made.definition}
        await made.sync()
        kept.append(await everybody(made))
        mql = await somebody(made, stage="mql")
        lead = await somebody(made, where=open_to_it)

        made.later(days=3, hours=1)
        made.hubspot.edit("contacts", lead.contact, {"jobtitle": "Chief Executive Officer"})
        made.salesforce.edit("Lead", lead.lead, {"Title": "Chief Executive Officer"})
        made.hubspot.edit("contacts", mql.contact, {"hs_lead_status": "UNQUALIFIED"})
        moved = await what_is_around_them_changes(made)
        await made.sync()
        kept.append(await everybody(made))

        made.later(days=4)
        made.definition = definitions[2] = heavier(tmp_path / "mappings")
        await made.sync()
        kept.append(await everybody(made))

        made.later(days=2)
        await told_late(made, lead.contact, START - 2 * DAY, "late")
        await made.sync()
        kept.append(await everybody(made))
        assert (await look(made, lead)).state.stage == "mql"

        gathered = {
            number: await gather(made.ledger, view, read, made.clock.now())
            for number, view in (await everybody(made)).items()
        }
        steps = 0
        for before in kept:
            for number, view in before.items():
                found = await decided_again(made, gathered[number], definitions, view.decided_at)
                state = found.decision.state
                assert found.score.score == pytest.approx(view.score.score)
                assert (state.stage, state.status) == (view.state.stage, view.state.status)
                assert state.mql_since == view.state.mql_since
                if any(step.made_at(view.decided_at) for step in gathered[number].steps):
                    assert found.decision.because == view.state.because
                    steps += 1
        assert steps > 20
        late = [each for each in gathered.values() if each.past(kept[0][each.person.id].decided_at).unknown]
        assert moved
        assert late
        for number, opened in moved.items():
            first, last = (gathered[number].past(each[number].decided_at) for each in (kept[0], kept[-1]))
            assert [len(past.facts.opportunities) for past in (first, last)] == opened
        stages = [before[lead.view.id].state.stage for before in kept]
        assert stages == ["lead", "lead", "lead", "mql"]
        assert kept[1][mql.view.id].state.status.value in ("rejected", "recycled")

        # by the same way that the command goes, definitions of then read from the ledger
        now = explain_now(
            await gather(made.ledger, await look(made, lead), read, made.clock.now()), made.clock.now()
        )
        moment = kept[0][lead.view.id].decided_at
        past = (await explain_past(made.ledger, now, moment, moment, read)).past
        wise = (await explain_past(made.ledger, now, moment, made.clock.now(), read)).past
        assert past is not None
        assert wise is not None
        assert past.decision.state.stage == "lead"
        assert (
            wise.decision.state.stage == "mql"
        )  # with what is known by now, they had asked for a demo already
        moved = (await explain_change(made.ledger, now, moment, made.clock.now(), read)).changed
        assert moved is not None
        assert {"field", "definition"} <= {change.cause for change in moved.changes}
        assert sum(change.points for change in moved.changes) == pytest.approx(
            moved.now.score - moved.then.score
        )


async def test_the_command_says_all_three_and_no_address_unless_asked(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url, people=20) as made:
        await made.sync()
        who = await somebody(made, where=open_to_it)
        view = await look(made, who)
        moment = view.decided_at.isoformat()
        made.later(days=2)
        made.hubspot.edit("contacts", who.contact, {"jobtitle": "Chief Executive Officer"})
        made.salesforce.edit("Lead", who.lead, {"Title": "Chief Executive Officer"})
        await made.sync()
        later = (await look(made, who)).decided_at.isoformat()
    environment = {"CONNECTOR_DATABASE_URL": sqlite_url, "CONNECTOR_MAPPINGS_DIR": str(shipped())}
    record = f"hubspot:contact:{who.contact}"

    def asked(*words: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(run(environment, "explain", record, *words, "--json").stdout)
        return answer

    shown = run(environment, "explain", record, "--email").stdout
    document = asked("--at", moment, "--since", moment, "--until", later)
    changed = run(environment, "explain", record, "--since", moment, "--until", later).stdout

    assert "Why not yet" in shown
    assert "makes this person an MQL at once." in shown
    assert "one person: " in shown
    assert who.email in shown
    assert who.email not in changed + json.dumps(document)
    assert set(document["why"]) == {"drivers", "arithmetic", "not_counted"}
    assert document["why"]["arithmetic"]["score"] == document["score"]
    assert document["past"]["score"] == pytest.approx(view.score.score)
    assert document["past"]["because"] == view.state.because
    assert document["past"]["limits"]
    parts = sum(change["points"] for change in document["changed"]["changes"])
    assert parts == pytest.approx(document["changed"]["score_now"] - document["changed"]["score_then"])
    assert "seniority: " in changed
    assert (
        "No definition was in force"
        in run(environment, "explain", record, "--at", "2001-01-01", code=2).stderr
    )


async def test_the_survivor_of_a_natural_merge_shows_both_histories_and_goes_on_by_its_own(
    sqlite_url: str,
) -> None:
    ledger = open_ledger(sqlite_url, create=False)
    try:
        desk = Desk(ledger)
        await desk.keep(contact(ADA, emails=("ada@a.example",)), contact(LEAD, emails=("ada@b.example",)))
        await desk.decide(
            decided(ADA, stage=a_stage("mql", change=True)), decided(LEAD, stage=a_stage("lead", change=True))
        )
        survivor, other = await desk.person_of(ADA), await desk.person_of(LEAD)
        desk.at += DAY
        await desk.decide(decided(ADA, LEAD, person=survivor))

        told = [line.text for line in await ledger.story(survivor) if line.kind == "stage"]

        assert len(told) == 2
        assert [f"of person:{other}" in text for text in told].count(True) == 1
        assert [step.to_stage for step in await ledger.stage_steps(survivor)] == ["mql"]
    finally:
        await ledger.close()
