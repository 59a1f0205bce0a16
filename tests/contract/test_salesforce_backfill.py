"""Estimate and backfill over real HTTP: the range, the count, resuming, and what each object is dated by."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from connector.errors import StopRun
from connector.ports import Range
from tests.contract.salesforce_org import FIELDS, START

STREAMS = [
    "Account",
    "Lead",
    "Contact",
    "Opportunity",
    "CampaignMember",
    "Task",
    "Event",
]
DAY = timedelta(days=1)


async def filled(org, stream, within=None, begun=None, kept=None):
    """The pages of a backfill; `kept`: the process dies after that many."""
    pages = []
    async with aclosing(org.adapter.backfill(stream, within or Range(), begun, FIELDS)) as coming:
        async for page in coming:
            pages.append(page)
            if len(pages) == kept:
                break
    return pages


def keys(pages):
    return [row.ref.id for page in pages for row in page.records] + [
        e.key for page in pages for e in page.events
    ]


@pytest.mark.parametrize("stream", STREAMS)
async def test_the_count_is_the_orgs_own_and_that_of_the_rows(org, stream):
    estimate = await org.adapter.estimate(stream, Range())

    pages = await filled(org, stream)

    assert estimate.rows == sum(page.fetched for page in pages) > 0
    assert estimate.calls >= 1
    assert estimate.seconds > 0
    assert all(page.first_load for page in pages)


@pytest.mark.parametrize("stream", STREAMS)
async def test_every_row_lies_in_exactly_one_of_two_halves(org, stream):
    whole = keys(await filled(org, stream))
    middle = START - timedelta(days=200, hours=5, minutes=7)

    before = await filled(org, stream, Range(until=middle))
    after = await filled(org, stream, Range(since=middle))

    assert sorted(keys(before) + keys(after)) == sorted(whole)
    for pages, within in ((before, Range(until=middle)), (after, Range(since=middle))):
        assert (await org.adapter.estimate(stream, within)).rows == sum(page.fetched for page in pages)
        for event in (event for page in pages for event in page.events):
            assert within.holds(event.occurred_at)
        if stream in ("Account", "Lead", "Contact", "Opportunity"):
            assert all(within.holds(record.changed_at) for page in pages for record in page.records)


async def test_a_backfill_that_dies_reads_no_page_twice_that_was_kept(make_org):
    org = await make_org(page_rows=7)
    whole = keys(await filled(org, "Lead"))
    first = await filled(org, "Lead", kept=2)

    rest = await filled(org, "Lead", begun=first[-1].cursor)
    nothing = await filled(org, "Lead", begun=rest[-1].cursor)

    assert keys(first) + keys(rest) == whole
    assert keys(nothing) == []


async def test_a_backfill_leaves_the_deleted_and_what_never_counts_out(org):
    everything = keys(await filled(org, "Event"))
    lead = keys(await filled(org, "Lead"))[0]
    org.sandbox.act("Lead", lead, "delete")

    assert lead not in keys(await filled(org, "Lead"))
    assert not any(event.deleted for page in await filled(org, "Event") for event in page.events)
    assert len(everything) == len(set(everything))


async def test_an_answer_is_dated_by_its_day_yet_not_before_the_membership_was_made(org):
    lead, other = sorted(org.ids("Lead"))[:2]
    campaign, contact = sorted(org.ids("Campaign"))[0], sorted(org.ids("Contact"))[0]
    org.clock.set(datetime(2026, 11, 22, 15, 30, tzinfo=UTC))
    made = {
        name: org.sandbox.create("CampaignMember", {"CampaignId": campaign, **values})
        for name, values in (
            ("answered at once", {"LeadId": lead, "Status": "Responded"}),
            ("answered later", {"LeadId": other, "Status": "Sent"}),
            ("invited", {"ContactId": contact, "Status": "Sent"}),
        )
    }
    org.clock.set(datetime(2026, 11, 24, 8, tzinfo=UTC))
    org.sandbox.edit("CampaignMember", made["answered later"], {"Status": "Responded"})
    day, answer = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)

    afternoon = set(keys(await filled(org, "CampaignMember", Range(day + DAY / 2, day + DAY))))
    evening = set(keys(await filled(org, "CampaignMember", Range(day + DAY / 3 * 2, day + DAY))))
    later = set(keys(await filled(org, "CampaignMember", Range(answer, answer + DAY))))

    assert afternoon & set(made.values()) == {made["answered at once"], made["invited"]}
    assert not evening & set(made.values())
    assert later == {made["answered later"]}


async def test_what_was_logged_afterwards_is_in_the_range_in_which_it_happened(org):
    call = {"Subject": "Call", "TaskSubtype": "Call", "Status": "Completed", "ActivityDate": "2026-10-02"}
    logged = org.sandbox.create("Task", {**call, "WhoId": sorted(org.ids("Lead"))[0]})
    day, now = datetime(2026, 10, 2, tzinfo=UTC), org.clock.now()

    assert logged in keys(await filled(org, "Task", Range(day, day + DAY)))
    assert logged not in keys(await filled(org, "Task", Range(now - DAY, now + DAY)))


async def test_roles_come_with_their_opportunities(org):
    deals = [record for page in await filled(org, "Opportunity") for record in page.records]

    assert any(deal.people for deal in deals)
    assert (await org.adapter.estimate("OpportunityContactRole", Range())).rows == 0
    assert keys(await filled(org, "OpportunityContactRole")) == []


async def test_a_hidden_column_of_the_range_is_done_without(make_org):
    org = await make_org(hidden_fields=["Task.CompletedDateTime", "CampaignMember.FirstRespondedDate"])
    within = Range(START - timedelta(days=100), START)

    for stream in ("Task", "CampaignMember"):
        estimate = await org.adapter.estimate(stream, within)
        pages = await filled(org, stream, within)
        assert estimate.rows == sum(page.fetched for page in pages)
        assert all(within.holds(event.occurred_at) for page in pages for event in page.events)


async def test_a_cursor_of_a_pull_is_no_cursor_of_a_backfill(org):
    await org.pull("Lead")

    for cursor in (org.cursors["Lead"], {}, {"kind": "backfill"}, {"kind": "backfill", "after": "' OR"}):
        with pytest.raises(StopRun, match="cursor"):
            await filled(org, "Lead", begun=cursor)


async def test_the_allowance_is_told_once_an_answer_has_told_it(make_org):
    org = await make_org(daily_limit=5_000, per_app_limit=40, variables={"SALESFORCE_DAILY_SHARE": "0.4"})
    assert org.adapter.allowance() is None

    await org.adapter.estimate("Lead", Range())

    told = org.adapter.allowance()
    assert (told.allowed, told.share, told.ours) == (5_000, 0.4, org.adapter.calls())
    assert told.used >= 1
    assert told.resets_at is None
