"""What Salesforce tells of people only beside their own rows: histories, relations, person accounts, sharing."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from connector.core.model import RecordState, Ref
from connector.errors import FixConfig, StopRun
from connector.ports import Range
from tests.contract.salesforce_org import FIELDS, HOUR
from tests.contract.test_salesforce_backfill import filled

DAY = timedelta(days=1)
DATED = {
    **FIELDS,
    "Lead": frozenset({"Email", "Status", "Lifecycle_Stage__c"}),
    "Contact": frozenset({"Lifecycle_Stage__c"}),
}


def ref(source, id):
    return Ref("salesforce", source, id)


def open_leads(records):
    return sorted(id for id, record in records.items() if record.state is RecordState.LIVE)


# ------------------------------------------------------------------------------------------------- histories


async def test_status_and_stage_are_dated_by_the_history_of_the_field(org):
    lead = open_leads(await org.records("Lead", fields=DATED))[0]
    org.clock.set(datetime(2026, 11, 24, 8, 30, tzinfo=UTC))
    org.sandbox.edit("Lead", lead, {"Status": "Working - Contacted", "Lifecycle_Stage__c": "mql"})
    org.clock.set(datetime(2026, 11, 25, 9, 45, tzinfo=UTC))
    org.sandbox.edit("Lead", lead, {"Status": "Closed - Not Converted"})
    org.clock.advance(2 * HOUR)
    org.sandbox.edit("Lead", lead, {"City": "Elsewhere"})
    org.clock.advance(HOUR)

    record = (await org.records("Lead", fields=DATED))[lead]

    assert record.status_at == datetime(2026, 11, 25, 9, 45, tzinfo=UTC)
    assert record.stage_at == datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
    assert record.changed_at > record.status_at


async def test_a_first_load_and_a_backfill_bring_the_same_dates_for_a_call_a_page(make_org):
    org = await make_org(people=400)
    before = org.adapter.calls()
    loaded = await org.records("Lead", fields=DATED)
    calls = org.adapter.calls() - before

    [page] = [page async for page in org.adapter.backfill("Lead", Range(), None, DATED)]

    dated = {id: (record.status_at, record.stage_at) for id, record in loaded.items()}
    assert {record.ref.id: (record.status_at, record.stage_at) for record in page.records} == dated
    assert sum(any(dates) for dates in dated.values()) > 20
    assert calls == 2


@pytest.mark.parametrize("hidden", [["LeadHistory.Field"], ["LeadHistory.LeadId"]])
async def test_an_org_that_shows_no_history_is_asked_once_and_not_again_soon(make_org, hidden):
    org = await make_org(hidden_fields=hidden)

    first = await org.records("Lead", fields=DATED)
    await filled(org, "Lead")

    assert {record.status_at for record in first.values()} == {None}
    assert sum("LeadHistory" in call.query for call in org.sandbox.log.calls("/query")) == 1


async def test_what_is_not_mapped_is_not_dated(org):
    await org.records("Lead", fields={**FIELDS, "Lead": frozenset({"Email"})})

    assert not any("History" in call.query for call in org.sandbox.log.calls("/query"))


# ------------------------------------------------------------------------------------------- shared activities


async def test_a_shared_activity_is_about_everybody_it_names_and_the_first_is_first(make_org):
    org = await make_org(people=200, shared_activities=True)

    for stream in ("Task", "Event"):
        events = await org.events(stream)
        shared = [event for event in events.values() if len(event.about) > 1]
        assert shared
        for event in shared:
            assert event.about[0].id == org.sandbox.raw(stream, event.key)["WhoId"]
            assert len(set(event.about)) == len(event.about)


async def test_who_joins_an_activity_later_is_found_within_a_day(make_org):
    org = await make_org(shared_activities=True)
    task, event = next(
        (key, event)
        for key, event in (await org.events("Task")).items()
        if event.about[0].object == "Contact"
    )
    other = next(id for id in sorted(org.ids("Contact")) if ref("Contact", id) not in event.about)
    org.sandbox.create("TaskWhoRelation", {"TaskId": task, "RelationId": other})
    org.clock.advance(DAY + HOUR)

    assert ref("Contact", other) in (await org.events("Task"))[task].about


async def test_without_shared_activities_the_relation_is_asked_for_once(org):
    await org.events("Task")
    org.sandbox.act("Task", sorted(org.ids("Task"))[0], "touch")
    org.clock.advance(10 * timedelta(minutes=1))
    await org.events("Task")

    relations = [call for call in org.sandbox.log.calls("/query") if "TaskWhoRelation" in call.query]
    assert [call.status for call in relations] == [400]


async def test_what_counts_as_a_response_is_the_campaigns_own_definition(org):
    campaign, lead = sorted(org.ids("Campaign"))[0], sorted(org.ids("Lead"))[0]
    contact = sorted(org.ids("Contact"))[-1]
    org.sandbox.create(
        "CampaignMemberStatus", {"CampaignId": campaign, "Label": "Came by", "HasResponded": True}
    )
    await org.events("CampaignMember")
    org.clock.advance(HOUR)
    came = org.sandbox.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead, "Status": "Came by"})
    sent = org.sandbox.create(
        "CampaignMember", {"CampaignId": campaign, "ContactId": contact, "Status": "Sent"}
    )
    org.clock.advance(HOUR)

    events = await org.events("CampaignMember")

    assert events[came].values["HasResponded"] is True
    assert events[came].occurred_at == datetime(2026, 11, 22, 11, tzinfo=UTC)  # not before it was made
    assert events[sent].values["HasResponded"] is False


# --------------------------------------------------------------------------------------------- person accounts


async def test_the_account_of_a_person_is_no_company_and_its_contact_tells_everything(make_org):
    org = await make_org(person_accounts=5)
    persons = {id for id in org.ids("Account") if org.sandbox.raw("Account", id)["IsPersonAccount"]}

    companies = await org.records("Account")
    contacts = await org.records("Contact")

    assert len(persons) == 5
    assert not persons & set(companies)
    shadows = [record for record in contacts.values() if record.company and record.company.id in persons]
    assert len(shadows) == 5
    assert (await org.adapter.estimate("Account", Range())).rows == len(companies)


async def test_a_change_of_a_person_account_moves_two_stamps_and_is_told_once(make_org):
    org = await make_org(person_accounts=3)
    await org.pull_all()
    account = next(
        id for id in sorted(org.ids("Account")) if org.sandbox.raw("Account", id)["IsPersonAccount"]
    )
    contact = org.sandbox.raw("Account", account)["PersonContactId"]
    org.clock.advance(HOUR)
    org.sandbox.edit("Account", account, {"PersonEmail": "moved@example.com"})
    org.clock.advance(HOUR)

    pages = await org.pull_all()

    told = [record for pages in pages.values() for page in pages for record in page.records]
    assert [(record.ref.id, record.values["Email"]) for record in told] == [(contact, "moved@example.com")]
    assert (
        org.sandbox.raw("Account", account)["SystemModstamp"]
        == org.sandbox.raw("Contact", contact)["SystemModstamp"]
    )


async def test_a_lead_that_became_a_person_account_names_its_contact_by_the_account(make_org):
    org = await make_org(person_accounts=1)
    lead = open_leads(await org.records("Lead"))[0]
    org.clock.advance(HOUR)
    org.sandbox.act("Lead", lead, "convert", person=True)
    org.clock.advance(HOUR)
    row = org.sandbox.raw("Lead", lead)
    contact = org.sandbox.raw("Account", row["ConvertedAccountId"])["PersonContactId"]

    record = (await org.records("Lead"))[lead]
    again = (await org.adapter.read([ref("Lead", lead)], FIELDS))[ref("Lead", lead)]

    assert row["ConvertedContactId"] is None
    for each in (record, again):
        assert (each.state, each.moved_to) == (RecordState.CONVERTED, ref("Contact", contact))
        assert each.counterparts == (ref("Contact", contact),)


async def test_a_converted_lead_whose_contact_is_out_of_sight_is_converted_all_the_same(make_org):
    org = await make_org(hidden_fields=["Lead.ConvertedContactId"])
    lead = open_leads(await org.records("Lead"))[0]
    org.clock.advance(HOUR)
    org.sandbox.act("Lead", lead, "convert")
    org.clock.advance(HOUR)

    record = (await org.records("Lead"))[lead]

    assert (record.state, record.moved_to) == (RecordState.CONVERTED, None)


# ---------------------------------------------------------------------------------------------- sharing, deletes


async def test_a_record_that_is_not_shared_any_more_is_missed_and_comes_back_as_it_was(org):
    lead, other = open_leads(await org.records("Lead"))[:2]
    org.sandbox.act("Lead", lead, "unshare")
    org.clock.advance(DAY + HOUR)

    first = await org.pull("Lead")
    org.sandbox.act("Lead", lead, "share")
    org.clock.advance(DAY + HOUR)
    second = await org.records("Lead")

    alive = set().union(*(page.census.alive for page in first if page.census))
    assert lead not in alive
    assert other in alive
    assert await org.adapter.read([ref("Lead", lead)], FIELDS)
    assert second[lead].state is RecordState.LIVE  # though its stamp did not move


async def test_that_many_are_out_of_sight_at_once_is_not_believed_for_a_week(make_org):
    org = await make_org(people=300)
    await org.pull("Lead")
    org.clock.advance(DAY + HOUR)
    await org.pull("Lead")
    lost, kept = sorted(org.ids("Lead"))[:100], sorted(org.ids("Lead"))[-1]
    for lead in lost:
        org.sandbox.act("Lead", lead, "unshare")
    org.clock.advance(DAY)
    org.sandbox.edit("Lead", kept, {"City": "Elsewhere"})
    org.clock.advance(HOUR)

    told = []
    for _ in range(7):
        with pytest.raises(StopRun, match=r"100 of \d+ rows of Lead are out of") as failed:
            await org.pull("Lead")
        assert "View All" in failed.value.next_step
        told.append(await org.pull("Lead"))  # said once a day; changes go on
        org.clock.advance(DAY + timedelta(minutes=1))
    believed = await org.pull("Lead")

    assert not any(page.census for pages in told for page in pages)
    assert any(page.census and kept in page.census.alive for page in believed)
    assert not any(page.census and lost[0] in page.census.alive for page in believed)


async def test_that_many_in_the_recycle_bin_are_believed_at_once(make_org):
    org = await make_org(people=300)
    await org.pull("Lead")
    org.clock.advance(DAY + HOUR)
    await org.pull("Lead")
    for lead in sorted(org.ids("Lead"))[:100]:
        org.sandbox.act("Lead", lead, "delete")
    org.clock.advance(DAY + HOUR)

    pages = await org.pull("Lead")

    assert any(page.census for page in pages)
    deleted = [record for page in pages for record in page.records if record.state is RecordState.ARCHIVED]
    assert len(deleted) == 100


async def test_a_sweep_that_is_broken_off_goes_on_behind_its_last_page(make_org):
    org = await make_org(page_rows=7)
    await org.pull("Lead")
    org.clock.advance(DAY + HOUR)

    first = await org.pull("Lead", kept=3)
    rest = await org.pull("Lead")
    org.clock.advance(HOUR)
    after = await org.pull("Lead")

    counted = [page.census for page in (*first, *rest) if page.census]
    assert set().union(*(census.alive for census in counted)) == org.ids("Lead")
    assert sum(len(census.alive) for census in counted) == len(org.ids("Lead"))
    assert (counted[0].after, counted[-1].up_to) == (None, None)
    assert all(before.up_to == behind.after for before, behind in pairwise(counted))
    assert not any(page.census for page in after)


async def test_a_sweep_waits_while_the_orgs_day_is_nearly_spent(make_org):
    org = await make_org(daily_limit=20, variables={"SALESFORCE_DAILY_SHARE": "1"})
    await org.pull("Lead")
    for _ in range(13):
        await org.adapter.schema("Account")
        org.clock.advance(timedelta(minutes=1))
    org.clock.advance(DAY - HOUR)

    first = await org.pull("Lead")
    org.clock.advance(2 * DAY)
    second = await org.pull("Lead")
    third = await org.pull("Lead")

    assert not any(page.census for page in first)
    assert any(page.census for page in (*second, *third))


# ---------------------------------------------------------------------------------------------------- versions


async def test_a_version_that_ends_is_told_once(make_org, capsys):
    org = await make_org()
    warning = {"Warning": '299 - "This API is deprecated and will be removed by Summer \'28"'}
    body = {"totalSize": 0, "done": True, "records": []}
    org.sandbox.faults.add(path="*/query*", times=2, status=200, json=body, headers=warning)

    await org.pull("Account")
    await org.pull("Opportunity")

    said = capsys.readouterr()  # where logs go is the application's matter
    assert (said.out + said.err).count("salesforce_api_version_ends") == 1


async def test_a_version_that_was_retired_meanwhile_says_which_setting_to_change(org):
    gone = [{"errorCode": "UNSUPPORTED_API_VERSION", "message": "API version 66.0 is retired"}]
    org.sandbox.faults.add(path="*/query*", status=410, json=gone)

    with pytest.raises(FixConfig, match="SALESFORCE_API_VERSION"):
        await org.pull("Lead")
