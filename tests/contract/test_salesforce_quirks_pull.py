"""Salesforce's read-side quirks, one by one, over real HTTP against the made-up org.

Quirk 27 (values that only a record type refuses) has no read side.
"""

import re
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.model import RecordState, Ref
from connector.core.values import same_value
from connector.errors import FixConfig, RetryLater
from connector.ports import Range
from connector.sandbox.population import salesforce_id
from tests.contract.salesforce_org import FIELDS, HOUR, START
from tests.contract.test_salesforce_backfill import filled, keys

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
DEAD = {"status": 400, "json": [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]}


def wire(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def crowd(org, many, stamp):
    """So many more Leads, all stamped in one second, as a bulk load leaves them; returns their ids."""
    at = wire(stamp)
    stamps = {"CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at}
    rows = [
        {"Id": salesforce_id("00Q", 700_000_000 + n), "LastName": f"Bulk {n}", "Company": "Bulk", **stamps}
        for n in range(many)
    ]
    org.sandbox._run(lambda: org.sandbox.sandbox.store.tables["Lead"].fill(rows))
    return [row["Id"] for row in rows]


def asked(org):
    """The query texts that the org was sent in URLs, in order."""
    return [call.query for call in org.sandbox.log.calls("/query")]


def ids(pages):
    return [record.ref.id for page in pages for record in page.records]


# ------------------------------------------------------------------------------------------ nothing is missed


@pytest.mark.parametrize(
    ("lag", "blind"),
    [(1.5, [1]), (9, [1, 8]), (12, [1, 11.5])],
    ids=["a slow trigger", "the watermark is past it", "slower than we read again"],
)
async def test_quirk_salesforce_01_a_row_that_shows_after_the_watermark_passed_its_stamp_is_found(
    make_org, lag, blind
):
    """Stamped when its transaction writes, seen when it commits. `blind`: minutes after it at which we read in vain."""
    org = await make_org(commit_lag=lag * MINUTE)
    lead = await org.one("Lead")
    org.clock.advance(2 * HOUR)
    await org.records("Lead")
    edited = org.clock.now()
    org.sandbox.edit("Lead", lead.ref.id, {"Company": "Slow Inc."})
    for minutes in blind:
        org.clock.set(edited + minutes * MINUTE)
        assert lead.ref.id not in await org.records("Lead")
    org.clock.set(edited + (lag + 0.5) * MINUTE)

    found = await org.records("Lead")

    assert found[lead.ref.id].values["Company"] == "Slow Inc."


async def test_quirk_salesforce_02_five_thousand_rows_with_one_stamp_are_each_read_once(org):
    """Whatever dies in the middle: a page locator, or the process."""
    await org.pull("Lead")
    org.clock.advance(2 * HOUR)
    many = crowd(org, 5_000, org.clock.now())
    org.clock.advance(HOUR)
    org.sandbox.faults.add(method="GET", path="*/query/*", skip=1, **DEAD)

    first = await org.pull("Lead", kept=1)
    rest = await org.pull("Lead")

    assert len(ids(first)) == 2_000
    assert sorted(ids(first) + ids(rest)) == sorted(many)


async def test_quirk_salesforce_03_a_row_on_the_edge_lies_in_one_of_two_ranges_that_meet(org):
    edge = START - timedelta(days=70)
    many = set(crowd(org, 10, edge))

    before = await filled(org, "Lead", Range(edge - DAY, edge))
    after = await filled(org, "Lead", Range(edge, edge + DAY))

    assert not many & set(keys(before))
    assert many <= set(keys(after))
    assert len(keys(after)) == len(set(keys(after)))


async def test_quirk_salesforce_04_a_first_load_reads_the_oldest_record_too(org):
    ancient = crowd(org, 3, datetime(1999, 12, 31, tzinfo=UTC))

    assert set(ancient) <= set(await org.records("Lead"))
    assert (await org.adapter.estimate("Lead", Range())).rows == len(org.ids("Lead"))


async def test_quirk_salesforce_05_pages_that_the_server_shrinks_are_followed_to_the_last(make_org):
    org = await make_org(page_rows=7)

    pages = await org.pull("Lead")

    assert len(pages) > 3
    assert sorted(ids(pages)) == sorted(org.ids("Lead"))


def wide():
    """Fields whose names fill more than a URL may hold."""
    paths = ["ConvertedAccount", "ConvertedContact.Account", "ConvertedContact.ReportsTo.Account"]
    deep = [f"{path}{'.Parent' * n}" for path in paths for n in range(3)]
    deep += [
        "ConvertedContact.ReportsTo.ReportsTo.ReportsTo.Account",
        "MasterRecord.ConvertedContact.Account.Parent",
    ]
    names = [
        "Name",
        "Industry",
        "Type",
        "Rating",
        "AnnualRevenue",
        "NumberOfEmployees",
        "Website",
        "Phone",
        "OwnerId",
    ]
    names += [
        "BillingCountry",
        "BillingCity",
        "BillingPostalCode",
        "BillingStreet",
        "BillingState",
        "CreatedDate",
    ]
    names += [
        "LastModifiedDate",
        "SystemModstamp",
        "LastActivityDate",
        "ParentId",
        "CreatedById",
        "LastModifiedById",
    ]
    return sorted(f"{path}.{name}" for path in deep for name in names)


@pytest.mark.parametrize(
    ("fields", "options"),
    [(wide(), {}), (["Company", "Title", "City"], {"uri_limit": 200})],
)  # fmt: skip
async def test_quirk_salesforce_06_a_query_too_long_for_a_url_travels_in_a_body(make_org, fields, options):
    """The org answers 431 with HTML beyond 16 kB of head, a proxy 414 even earlier."""
    org = await make_org(**options)
    wanted = {**FIELDS, "Lead": frozenset(fields)}

    found = await org.records("Lead", fields=wanted)

    assert set(found) == org.ids("Lead")
    assert all(name in record.values for record in found.values() for name in fields)
    wrapped = org.sandbox.log.calls("/composite")
    assert [call.status for call in wrapped] == [200]
    assert all(call.status in (200, 414) for call in org.sandbox.log.calls("/query"))
    org.clock.advance(2 * HOUR)
    changed = sorted(found)[0]
    org.sandbox.edit("Lead", changed, {"City": "Elsewhere"})
    assert set(await org.records("Lead", fields=wanted)) == {changed}
    assert sum(call.status == 414 for call in org.sandbox.log.calls("/query")) <= 1  # it has been learnt


async def test_quirk_salesforce_07_a_dead_locator_resumes_behind_the_last_row(make_org):
    org = await make_org(page_rows=7)
    org.sandbox.faults.add(method="GET", path="*/query/*", skip=1, **DEAD)

    pages = await org.pull("Lead")

    assert sorted(ids(pages)) == sorted(org.ids("Lead"))


@pytest.mark.parametrize("first_load", [True, False])
async def test_quirk_salesforce_08_a_query_that_runs_out_of_time_is_asked_smaller(make_org, first_load):
    org = await make_org(slow_from=800)
    if not first_load:
        await org.pull("Lead")
        org.clock.advance(2 * HOUR)
    many = crowd(org, 1_500, org.clock.now())
    org.clock.advance(HOUR)

    read = ids(await org.pull("Lead"))

    assert sorted(read) == sorted(org.ids("Lead") if first_load else many)


async def test_quirk_salesforce_14_numbers_are_numbers_however_they_are_spelled(org):
    """Whole custom numbers come as `3.0`, zero as `0.0`: equal to what was written, and no blank."""
    lead, other = sorted(org.ids("Lead"))[:2]
    org.sandbox.edit("Lead", lead, {"MQL_Score__c": 87})
    org.sandbox.edit("Lead", other, {"MQL_Score__c": 0})

    found = await org.records("Lead")

    assert isinstance(found[lead].values["MQL_Score__c"], float)
    assert same_value(found[lead].values["MQL_Score__c"], 87)
    assert found[other].values["MQL_Score__c"] == 0
    assert not same_value(found[other].values["MQL_Score__c"], None)


# ------------------------------------------------------------------------------------------ gone without a row


async def test_quirk_salesforce_21_a_chain_of_merges_is_told_link_by_link_from_the_bin(org):
    """Also when what the bin says goes round in a circle."""
    first, second, third = sorted((await org.records("Lead")).keys())[:3]
    org.clock.advance(2 * HOUR)
    org.sandbox.act("Lead", first, "merge", into=second)
    org.sandbox.act("Lead", second, "merge", into=third)

    found = await org.records("Lead")
    again = await org.adapter.read([Ref("salesforce", "Lead", first)], FIELDS)

    lead = {name: Ref("salesforce", "Lead", name) for name in (first, second, third)}
    assert (found[first].state, found[first].moved_to) == (RecordState.MERGED, lead[second])
    assert (found[second].state, found[second].moved_to) == (RecordState.MERGED, lead[third])
    assert again[lead[first]].moved_to == lead[second]


async def test_quirk_salesforce_22_a_campaign_member_that_is_deleted_is_taken_back(org):
    """Deletes of these are hard: no query shows them, only the log of deletions."""
    member = sorted(await org.events("CampaignMember"))[0]
    org.clock.advance(HOUR)
    org.sandbox.act("CampaignMember", member, "delete")
    org.clock.advance(10 * MINUTE)

    told = await org.events("CampaignMember")
    org.clock.advance(HOUR)
    later = await org.events("CampaignMember")

    assert (told[member].deleted, told[member].about) == (True, ())
    assert later == {}  # the log is read on from where it was complete


async def test_quirk_salesforce_22_a_member_deleted_while_we_were_away_too_long_is_missed_in_the_count(org):
    """The log of deletions reaches back 15 days; then everybody is counted by id."""
    member = sorted(await org.events("CampaignMember"))[0]
    org.clock.advance(HOUR)
    org.sandbox.act("CampaignMember", member, "delete")
    org.clock.advance(20 * DAY)

    pages = await org.pull("CampaignMember")

    counts = [page.census for page in pages if page.census]
    assert counts
    assert all(count.object == "" and member not in count.alive for count in counts)
    assert await org.adapter.gone("CampaignMember", [member, sorted(counts[0].alive)[0]]) == {member}


# --------------------------------------------------------------------------------------- what is hidden, what is stale


async def test_quirk_salesforce_23_a_field_that_vanishes_is_not_a_blank(org):
    """Describe and queries leave a hidden field out without a word; the likely cause is named."""
    lead = await org.one("Lead")
    before = org.cursors["Lead"]
    org.clock.advance(2 * HOUR)
    org.sandbox.act("Lead", lead.ref.id, "hide", field="Company")
    org.sandbox.edit("Lead", lead.ref.id, {"City": "Elsewhere"})

    with pytest.raises(FixConfig, match=r"Lead.Company .* field-level security") as failed:
        await org.pull("Lead")

    assert org.cursors["Lead"] == before
    assert "take it out of the mapping" in failed.value.next_step
    org.sandbox.act("Lead", lead.ref.id, "show", field="Company")
    org.clock.advance(2 * HOUR)
    assert (await org.records("Lead"))[lead.ref.id].values["Company"] == lead.values["Company"]


async def test_quirk_salesforce_23_a_field_that_was_never_visible_is_done_without(make_org):
    org = await make_org(hidden_fields=["Lead.Company"])
    lead = await org.one("Lead")
    org.clock.advance(2 * HOUR)
    org.sandbox.edit("Lead", lead.ref.id, {"City": "Elsewhere"})

    assert (await org.records("Lead"))[lead.ref.id].values["Company"] is None


async def test_quirk_salesforce_24_a_field_that_is_granted_later_is_read_for_everybody(make_org):
    org = await make_org(hidden_fields=["Lead.Company"])
    before = await org.records("Lead")
    org.sandbox.act("Lead", sorted(before)[0], "show", field="Company")
    org.clock.advance(2 * HOUR)

    after = await org.records("Lead")

    assert {record.values["Company"] for record in before.values()} == {None}
    assert set(after) == org.ids("Lead")
    assert all(record.values["Company"] for record in after.values())


async def test_quirk_salesforce_25_a_formula_is_read_again_within_a_day(org):
    """A formula's value moves no stamp of its record, nor does the name of a parent."""
    fields = {**FIELDS, "Contact": frozenset({"Account_Industry__c", "Account.Name"})}
    contact = next(
        record
        for record in (await org.records("Contact", fields=fields)).values()
        if record.company is not None
    )
    org.clock.advance(HOUR)
    org.sandbox.edit("Account", contact.company.id, {"Industry": "Banking", "Name": "Renamed Inc."})
    org.clock.advance(HOUR)

    soon = await org.records("Contact", fields=fields)
    org.clock.advance(DAY)
    later = await org.records("Contact", fields=fields)

    assert contact.ref.id not in soon
    assert later[contact.ref.id].values["Account_Industry__c"] == "Banking"
    assert later[contact.ref.id].values["Account.Name"] == "Renamed Inc."


# ------------------------------------------------------------------------------------------------- limits, objects


async def test_quirk_salesforce_32_usage_is_found_among_other_clauses_and_survives_their_absence(make_org):
    org = await make_org(daily_limit=5_000, per_app_limit=7)
    await org.pull("Lead")
    told = org.adapter.allowance()
    org.sandbox.faults.add(path="*/query*", status=200, json={"totalSize": 0, "done": True, "records": []})

    await org.pull("Lead")

    assert (told.allowed, told.used) == (5_000, told.ours)
    assert org.adapter.allowance().allowed == 5_000  # an answer without the header changes nothing


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 406, "text": ""},
        {"status": 420, "text": "<html>We are setting things up</html>"},
        {"status": 503, "json": [{"errorCode": "SERVER_UNAVAILABLE", "message": "try again"}]},
    ],
)
async def test_quirk_salesforce_33_a_fault_that_passes_costs_no_row(org, fault):
    org.sandbox.faults.add(path="*/query*", times=2, **fault)

    assert set(await org.records("Lead")) == org.ids("Lead")


async def test_quirk_salesforce_35_too_many_calls_at_once_is_no_spent_day(org):
    """One error code for two causes: only the message tells."""
    busy = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentPerOrgLongTxn Limit exceeded."}]
    spent = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    org.sandbox.faults.add(path="*/query*", times=2, status=403, json=busy)
    assert set(await org.records("Lead")) == org.ids("Lead")
    org.sandbox.faults.add(path="*/query*", times=None, status=403, json=spent)
    before = org.adapter.calls()

    with pytest.raises(RetryLater) as failed:
        await org.pull("Contact")

    assert failed.value.after == HOUR
    assert org.adapter.calls() - before == 1


async def test_quirk_salesforce_36_only_known_objects_are_ever_asked_for(make_org):
    """Some system objects need a LIMIT or refuse to be read in order; ours are listed, not found."""
    org = await make_org(shared_activities=True)
    await org.adapter.account()
    await org.pull_all()
    org.clock.advance(2 * DAY)
    await org.pull_all()
    for stream in org.adapter.streams():
        await org.adapter.estimate(stream.name, Range())

    texts = " ".join(asked(org)).replace("+", " ").replace("%20", " ")
    read = set(re.findall(r"FROM (\w+)", texts))
    streams = {stream.name for stream in org.adapter.streams()}
    beside = {"Organization", "OpportunityContactRole", "LeadHistory", "ContactHistory", "TaskWhoRelation",
              "EventWhoRelation"}  # fmt: skip
    assert streams <= read <= streams | beside
