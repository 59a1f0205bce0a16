"""Traps of Salesforce, over whole syncs of both CRMs: nothing is lost, nobody is demoted by what we cannot see."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.core.model import RecordState, Ref
from connector.ports import Facts
from tests.stories.world import World, look, somebody, world

EMPTY = {"totalSize": 0, "done": True, "records": []}


async def facts_of(made: World, source: str, record: str) -> Facts:
    [facts] = await made.ledger.facts([[Ref("salesforce", source, record)]])
    return facts


async def person_of(made: World, source: str, record: str) -> int:
    [number] = await made.ledger.find(f"salesforce:{source}:{record}")
    return number


def new_lead(made: World, email: str, last_name: str, **more: object) -> str:
    return made.salesforce.create("Lead", {"LastName": last_name, "Company": "Acme", "Email": email, **more})


async def test_trap_a_row_visible_after_the_watermark_passed_it_is_decided_one_sync_later(
    database_url: str,
) -> None:
    async with world(database_url, options={"salesforce": {"commit_lag": timedelta(minutes=9)}}) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.salesforce.edit("Lead", who.lead, {"Title": "Chief Executive Officer"})
        for minutes in (1, 7):  # at the second the watermark passes its stamp
            made.later(minutes=minutes)
            await made.sync()
        blind = await look(made, who)
        made.later(minutes=2)

        await made.sync()

        assert blind.fields.get("title") != "Chief Executive Officer"
        assert (await look(made, who)).fields["title"] == "Chief Executive Officer"


async def test_trap_a_field_lost_over_night_stops_its_stream_and_overwrites_nothing(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made, where=lambda view: bool(view.fields.get("title")))
        before = (await facts_of(made, "Lead", who.lead)).records[0].fields["title"]
        writes = len(made.salesforce.log.writes())
        made.later(hours=12)
        made.salesforce.act("Lead", who.lead, "hide", field="Title")
        made.salesforce.edit("Lead", who.lead, {"City": "Elsewhere"})
        made.later(minutes=15)

        result = await made.sync()

        assert result.status == "partial"
        assert "Lead.Title" in (result.crms["salesforce"].error or "")
        assert "field-level security" in (result.crms["salesforce"].error or "")
        kept = await facts_of(made, "Lead", who.lead)
        assert kept.records[0].fields["title"] == before
        assert (await look(made, who)).fields["title"] == who.view.fields["title"]
        assert not [write for write in made.writes("salesforce", writes) if write.object == "Lead"]

        made.salesforce.act("Lead", who.lead, "show", field="Title")
        made.later(hours=2)
        healed = await made.sync()

        assert healed.status == "succeeded"
        assert (await facts_of(made, "Lead", who.lead)).records[0].fields["city"] == "Elsewhere"


async def test_trap_an_empty_page_with_200_on_a_first_load_is_not_believed(database_url: str) -> None:
    async with world(database_url) as made:
        made.salesforce.faults.add(path="*/query*", empty=True, times=None)
        first = await made.sync()
        made.salesforce.faults.clear()
        made.later(minutes=15)

        second = await made.sync()

        assert first.status == "partial"
        assert "shows this user none" in (first.crms["salesforce"].error or "")
        assert first.crms["salesforce"].written == 0
        assert second.crms["salesforce"].read > 50


async def test_trap_an_empty_page_with_200_hides_a_change_for_a_day_at_most_and_kills_nobody(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.salesforce.edit("Lead", who.lead, {"City": "Elsewhere"})
        made.later(minutes=15)
        made.salesforce.faults.add(path="*/query*", empty=True, times=None)
        await made.sync()
        made.later(days=1)
        during = await made.sync()
        made.salesforce.faults.clear()
        alive = (await facts_of(made, "Lead", who.lead)).records[0].state
        made.later(days=1)

        await made.sync()

        assert alive is RecordState.LIVE
        assert during.status == "partial"
        assert (await facts_of(made, "Lead", who.lead)).records[0].fields["city"] == "Elsewhere"


async def test_trap_a_lead_converted_between_plan_and_push_is_set_aside_and_its_contact_is_written(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.salesforce.edit("Lead", who.lead, {"MQL_Score__c": 1})
        made.later(minutes=15)
        planned = await made.sync("salesforce", plan_only=True)
        contact_id = made.salesforce.act("Lead", who.lead, "convert")["ConvertedContactId"]
        made.later(minutes=10)

        pushed = await made.apply("salesforce", planned.plans["salesforce"])
        made.later(minutes=10)
        await made.sync()

        assert pushed.set_aside == 1
        assert pushed.written == 0
        assert made.salesforce.raw("Contact", contact_id)["MQL_Score__c"] is not None
        view = await look(made, who)
        assert Ref("salesforce", "Contact", contact_id) in view.refs


async def test_trap_two_leads_and_one_contact_with_one_email_are_one_person_before_and_after_they_convert(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        email = "ada.three@fitting-company.example"
        one, two = (new_lead(made, email, "Three", Title="Chief Executive Officer") for _ in range(2))
        contact = made.salesforce.create("Contact", {"LastName": "Three", "Email": email})
        campaign = sorted(made.salesforce.sandbox.store.tables["Campaign"].rows)[0]  # type: ignore[attr-defined]
        made.salesforce.create(
            "CampaignMember", {"CampaignId": campaign, "LeadId": one, "Status": "Responded"}
        )
        made.later(minutes=15)
        await made.sync()
        together = {await person_of(made, "Lead", one), await person_of(made, "Lead", two)}
        together.add(await person_of(made, "Contact", contact))
        scores = {made.salesforce.raw(*each)["MQL_Score__c"] for each in (("Lead", one), ("Lead", two))}
        before = await made.ledger.person(next(iter(together)))

        made.later(hours=1)
        for lead in (one, two):
            made.salesforce.act("Lead", lead, "convert", contact=contact)
        made.later(minutes=15)
        since = len(made.salesforce.log.writes())
        result = await made.sync()

        assert len(together) == 1
        assert len(scores) == 1
        assert before is not None
        after = await made.ledger.person(await person_of(made, "Contact", contact))
        assert after is not None
        assert {ref.id for ref in after.refs} >= {one, two, contact}
        assert after.score.fit == before.score.fit  # never added up
        assert not [write for write in made.writes("salesforce", since) if write.id in (one, two)]
        assert made.salesforce.raw("Contact", contact)["MQL_Score__c"] is not None
        assert result.crms["salesforce"].rejected == 0


async def test_a_membership_that_was_deleted_for_good_counts_no_more(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        campaign = sorted(made.salesforce.sandbox.store.tables["Campaign"].rows)[0]  # type: ignore[attr-defined]
        member = made.salesforce.create(
            "CampaignMember", {"CampaignId": campaign, "LeadId": who.lead, "Status": "Responded"}
        )
        made.later(minutes=15)
        await made.sync()
        counted = {known.engagement.key for known in (await facts_of(made, "Lead", who.lead)).engagement}
        made.salesforce.act("CampaignMember", member, "delete")
        made.later(minutes=15)

        await made.sync()

        left = {known.engagement.key for known in (await facts_of(made, "Lead", who.lead)).engagement}
        assert member in counted
        assert counted - left == {member}


@pytest.mark.parametrize("how", ["purge", "unshare"])
async def test_a_lead_that_vanished_is_no_target_after_a_day_and_one_that_is_back_is(
    database_url: str, how: str
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.salesforce.act("Lead", who.lead, how)
        made.later(days=1)

        await made.sync()

        assert (await facts_of(made, "Lead", who.lead)).records[0].state is RecordState.GONE
        if how == "unshare":
            made.salesforce.act("Lead", who.lead, "share")
            made.later(days=1, hours=1)
            await made.sync()
            assert (await facts_of(made, "Lead", who.lead)).records[0].state is RecordState.LIVE


async def test_an_answer_of_sales_is_dated_by_the_history_of_its_field(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        answered = made.clock.now().replace(microsecond=0)
        made.salesforce.edit("Lead", who.lead, {"Status": "Closed - Not Converted"})
        made.later(hours=5)
        made.salesforce.edit("Lead", who.lead, {"City": "Elsewhere"})
        made.later(minutes=15)

        await made.sync()

        answer = (await facts_of(made, "Lead", who.lead)).records[0].answer
        assert answer is not None
        assert (answer.kind, answer.at) == ("rejected", answered)


async def test_an_answer_given_again_between_two_syncs_is_dated_by_the_second_time(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.salesforce.edit("Lead", who.lead, {"Status": "Closed - Not Converted"})
        made.later(minutes=15)
        await made.sync()
        made.later(hours=5)
        made.salesforce.edit("Lead", who.lead, {"Status": "Working - Contacted"})
        made.later(hours=1)
        again = made.clock.now().replace(microsecond=0)
        made.salesforce.edit("Lead", who.lead, {"Status": "Closed - Not Converted"})
        made.later(minutes=15)

        await made.sync()

        answer = (await facts_of(made, "Lead", who.lead)).records[0].answer
        assert answer is not None
        assert answer.at == again


async def test_merges_that_go_round_in_a_circle_hang_nothing(database_url: str) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made)
        other = new_lead(made, "somebody.else@fitting-company.example", "Else")
        made.later(minutes=15)
        await made.sync()
        made.later(minutes=15)
        store = made.salesforce.sandbox.store
        for loser, winner in ((who.lead, other), (other, who.lead)):
            store.delete("Lead", loser, "user", master=winner)  # type: ignore[attr-defined]
        made.later(minutes=15)

        result = await made.sync()

        assert result.status == "succeeded"
        for lead in (who.lead, other):
            assert (await facts_of(made, "Lead", lead)).records[0].state is RecordState.MERGED
