"""A new MQL is handed to somebody, timed, reminded of, and taken back: whole runs over both CRMs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from connector.core.criteria import StageEntry, StageTest
from connector.core.handoff import Handoff, Spell
from connector.core.model import MqlStatus
from connector.core.worktime import WorkTime
from connector.ports import Notice
from tests.stories.world import Somebody, World, look, somebody, world

ALWAYS = WorkTime(timedelta(0), timedelta(hours=24), frozenset(range(7)))
SETTINGS = Handoff(sla=timedelta(hours=4), take_back=timedelta(days=30), work=ALWAYS)
REMINDED = ("reminder", "escalation")


async def spells_of(made: World, who: Somebody) -> list[Spell]:
    person = (await look(made, who)).id
    return [each.spell for each in await made.ledger.spells() if each.person == person]


async def told(made: World, who: Somebody, *kinds: str) -> list[Notice]:
    notices = await made.ledger.notices((await look(made, who)).id)
    return [each for each in reversed(notices) if not kinds or each.kind in kinds]


async def raised(made: World, settings: Handoff = SETTINGS, **asked) -> Somebody:
    """Somebody who was a lead and has just asked for a demo."""
    made.redefine(handoff=settings)
    await made.sync()
    who = await somebody(made, **asked)
    await asks(made, who)
    return who


async def asks(made: World, who: Somebody) -> None:
    made.later(minutes=10)
    made.hubspot.create("form_submissions", {"form": "Request a demo", "email": who.email})
    made.later(minutes=5)
    await made.sync()
    assert (await look(made, who)).state.stage == "mql"


def owned(view) -> bool:
    """By a user; a queue's id begins with 00G."""
    return not str(view.fields.get("owner") or "00G").startswith("00G")


async def test_an_mql_is_timed_reminded_of_once_each_and_taken_back_where_nobody_touches_it(
    database_url: str,
) -> None:
    async with world(database_url, people=20) as made:
        who = await raised(made, where=owned)
        found = await made.ledger.spells()
        [spell] = await spells_of(made, who)
        before = {each.person for each in found} - {(await look(made, who)).id}
        assert before, "a first load finds MQLs"
        assert {each.spell.quiet for each in found if each.person in before} == {"first load"}
        assert (spell.quiet, spell.via, spell.owner) == (
            "",
            "record",
            (await look(made, who)).fields["owner"],
        )
        assert spell.due_at == spell.since + timedelta(hours=4)

        for hours in (3, 2, 4, 9):
            made.later(hours=hours)
            await made.sync()
        reminded = await told(made, who, *REMINDED)
        assert [each.kind for each in reminded] == ["reminder", "escalation"]
        assert reminded[0].to == spell.owner
        users = {each.id: each for each in await made.ledger.users()}
        assert reminded[1].to == (users[spell.owner].manager or "revops")
        everybody = [
            each for each in await made.ledger.notices(limit=1000) if each.kind in (*REMINDED, "mql")
        ]
        assert {each.person for each in everybody} == {(await look(made, who)).id}, "nobody of the first load"

        made.later(days=31)
        await made.sync()
        back = (await look(made, who)).state
        assert (back.stage, back.status, back.taken_back) == ("lead", MqlStatus.RECYCLED, True)
        assert "taken back, sales has not touched it" in back.because
        assert made.hubspot.raw("contacts", who.contact)["properties"]["mql_status"] == "recycled"
        [spell] = await spells_of(made, who)
        assert (spell.ended, spell.ended_at, spell.touched_at) == ("taken_back", back.since, None)

        made.later(days=40)  # past the cool-off
        await made.sync()
        now = (await look(made, who)).state
        same = (now.stage, now.status, now.since) == (back.stage, back.status, back.since)
        assert same, "the same facts do not bring it back"
        await asks(made, who)
        assert len(await spells_of(made, who)) == 2, "what is newer does"
        assert [each.kind for each in await told(made, who)].count("mql") == 2


async def test_a_call_or_a_status_is_a_touch_and_nobody_is_reminded_or_taken_back_after_it(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=16) as made:
        who = await raised(made, where=owned)
        other = await somebody(made, where=lambda view: owned(view) and view.id != who.view.id)
        made.salesforce.edit("Lead", other.lead, {"Status": "Open - Not Contacted"})
        await asks(made, other)
        made.later(hours=1)
        called = made.clock.now().replace(microsecond=0)
        call = {
            "hs_call_status": "NO_ANSWER",
            "hs_call_direction": "OUTBOUND",
            "hs_timestamp": called.isoformat(),
        }
        made.hubspot.create("calls", {**call, "contacts": [who.contact]})
        made.salesforce.edit("Lead", other.lead, {"Status": "Working - Contacted"})
        made.later(minutes=10)
        await made.sync()
        [by_call], [by_status] = await spells_of(made, who), await spells_of(made, other)
        assert (by_call.touch, by_call.touched_at) == ("calls", called)
        assert by_status.touch == "lead status Working - Contacted"
        for hours in (12, 24 * 31):
            made.later(hours=hours)
            await made.sync()
        for each in (who, other):
            assert await told(made, each, *REMINDED) == []
            assert not (await look(made, each)).state.taken_back


async def test_not_ready_goes_to_a_bdr_before_sales_and_a_pool_takes_whom_nobody_owns(
    sqlite_url: str,
) -> None:
    pool, bdr = ("ada@example.com", "grace@example.com"), ("bob@example.com",)
    async with world(sqlite_url, people=40) as made:
        mapping = made.definition.mappings["hubspot"]
        contact = mapping.objects["contact"]
        status = replace(
            contact.status, not_ready=("OPEN",), rejected={**contact.status.rejected, "OPEN": "not ready"}
        )
        status = replace(status, working=tuple(each for each in status.working if each != "OPEN"))
        made.remap("hubspot", objects={**mapping.objects, "contact": replace(contact, status=status)})
        for user in made.hubspot.sandbox.store.owners:
            user["archived"] = True
        for row in made.salesforce.sandbox.store.tables["User"].rows.values():
            row["IsActive"] = False
        who = await raised(made, replace(SETTINGS, pool=pool, bdr=bdr, take_back=None))
        other = await somebody(made, where=lambda view: view.id != who.view.id)
        await asks(made, other)
        assert [(await spells_of(made, each))[-1].owner for each in (who, other)] == list(pool)
        assert {each.active for each in await made.ledger.users() if not each.queue} == {False}

        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "OPEN"})
        made.later(minutes=5)
        await made.sync()
        assert (await look(made, who)).state.status is MqlStatus.RECYCLED
        made.later(days=1)
        await asks(made, who)
        first, second = await spells_of(made, who)
        assert (first.ended, first.via, second.via, second.owner) == ("not_ready", "pool", "bdr", bdr[0])
        assert [each.to for each in await told(made, who, "mql")] == [first.owner, bdr[0]]


async def test_a_new_definition_tells_nobody_person_by_person(sqlite_url: str) -> None:
    async with world(sqlite_url, people=16) as made:
        await raised(made)
        known = {each.person for each in await made.ledger.spells()}
        stages = made.definition.criteria.stages
        everybody = replace(stages.mql, enter=StageEntry((StageTest("score", "gte", 0.0),)))
        made.redefine(stages=replace(stages, mql=everybody))
        made.later(minutes=10)
        result = await made.sync()
        new = [each for each in await made.ledger.spells() if each.person not in known]
        assert result.entered == len(new) > 3
        assert {each.spell.quiet for each in new} == {"new definition"}
        assert [each for each in await made.ledger.notices(run=result.run) if not each.quiet] == []
