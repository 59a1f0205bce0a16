"""A first load of a living Salesforce: stages are adopted with the dates of their history, records with their kind."""

from __future__ import annotations

from datetime import timedelta

from adapters.salesforce.sandbox.record_types import PARTNER
from tests.stories.world import START, world


async def opportunity_of_long_ago(it):
    """A Lead that sales made an opportunity a day before anybody connected us, and touched since."""
    lead = it.salesforce.create(
        "Lead", {"LastName": "Noether", "Company": "Algebra", "Lifecycle_Stage__c": "lead"}
    )
    it.later(hours=1)
    it.salesforce.edit("Lead", lead, {"Lifecycle_Stage__c": "opportunity"})
    it.later(days=1)
    it.salesforce.edit("Lead", lead, {"City": "Göttingen"})
    return lead


def soon(at, moment):
    """The clock runs on while a story is told."""
    return timedelta(0) <= at - moment < timedelta(minutes=5)


async def seen(it, lead):
    [number] = await it.ledger.find(f"salesforce:Lead:{lead}")
    return await it.ledger.person(number)


async def test_a_stage_is_adopted_with_the_date_of_its_history(database_url):
    async with world(database_url, people=20) as it:
        lead = await opportunity_of_long_ago(it)

        await it.sync("salesforce")

        state = (await seen(it, lead)).state
        assert state.stage == "opportunity"
        assert soon(state.since, START + timedelta(hours=1))


async def test_a_stage_without_history_is_not_dated_by_a_later_edit_of_the_record(database_url):
    async with world(database_url, people=20, options={"salesforce": {"tracked": ()}}) as it:
        lead = await opportunity_of_long_ago(it)

        await it.sync("salesforce")

        state = (await seen(it, lead)).state
        assert state.stage == "opportunity"
        assert soon(state.since, START)  # when the record was made: all that is sure


async def test_people_are_known_by_the_kind_of_their_record(database_url):
    async with world(database_url, people=20, options={"salesforce": {"record_types": True}}) as it:
        plain = await opportunity_of_long_ago(it)
        partner = it.salesforce.create(
            "Lead", {"LastName": "Hopper", "Company": "Navy", "RecordTypeId": PARTNER}
        )

        await it.sync("salesforce")

        assert (await seen(it, partner)).fields["record_type"] == "Partner_Lead"
        assert (await seen(it, plain)).fields.get("record_type") is None
