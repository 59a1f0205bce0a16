"""Who set a field to what it holds, and when: by its history where the org tracks it, else by the record."""

from datetime import timedelta

import pytest

from adapters.salesforce.sandbox.store import ADMIN_USER, API_USER, SALES_USER
from connector.core.model import RecordState, Ref, Write
from tests.contract.salesforce_org import FIELDS, HOUR, START

STAGE, SCORE = "Lifecycle_Stage__c", "MQL_Score__c"
ASKED = {"Lead": frozenset({STAGE, SCORE, "MQL_Since__c"})}
TRACKED = ("Lead.Lifecycle_Stage__c", "Lead.MQL_Score__c", "Lead.MQL_Since__c", "Contact.Lifecycle_Stage__c")


def soon(at, moment=START):
    """The clock runs on while a test works."""
    return timedelta(0) <= at - moment.replace(microsecond=0) < timedelta(minutes=5)


def ref(id, source="Lead"):
    return Ref("salesforce", source, id)


async def leads(org, number=1):
    records = await org.records("Lead", fields=FIELDS)
    return [id for id, record in sorted(records.items()) if record.state is RecordState.LIVE][:number]


def name_of(org, user):
    return f"user {user} ({org.sandbox.raw('User', user)['Name']})"


async def test_each_field_is_told_by_the_user_who_changed_it_last(make_org):
    org = await make_org(tracked=TRACKED)
    [lead] = await leads(org)
    await org.adapter.push([Write(1, ref(lead), {SCORE: 71, STAGE: "lead"})])
    org.clock.advance(HOUR)
    org.sandbox.act("Lead", lead, "edit", by=ADMIN_USER, fields={STAGE: "mql"})
    org.clock.advance(HOUR)
    org.sandbox.edit("Lead", lead, {"City": "Elsewhere"})

    told = await org.adapter.last_changes([ref(lead)], ASKED)

    stage, score = told[ref(lead), STAGE], told[ref(lead), SCORE]
    assert (stage.value, stage.by) == ("mql", name_of(org, ADMIN_USER))
    assert soon(stage.at, START + HOUR)
    assert (score.value, score.by) == (71, name_of(org, API_USER))
    assert soon(score.at)
    assert not stage.of_record
    assert not score.of_record


async def test_a_field_that_is_not_tracked_is_told_by_the_record(org):
    [lead] = await leads(org)
    org.sandbox.act("Lead", lead, "edit", by=ADMIN_USER, fields={SCORE: 12})
    org.clock.advance(HOUR)
    org.sandbox.edit("Lead", lead, {"City": "Elsewhere"})

    change = (await org.adapter.last_changes([ref(lead)], ASKED))[ref(lead), SCORE]

    assert (change.value, change.by, change.of_record) == (12, name_of(org, SALES_USER), True)
    assert soon(change.at, START + HOUR)


async def test_an_entry_that_set_another_value_than_stands_there_tells_nothing(make_org):
    org = await make_org(tracked=TRACKED)
    [lead] = await leads(org)
    org.sandbox.edit("Lead", lead, {SCORE: 12})
    org.clock.advance(HOUR)
    org.sandbox._run(lambda: setattr(org.sandbox.sandbox.store, "tracked", frozenset()))
    org.sandbox.act("Lead", lead, "edit", by=ADMIN_USER, fields={SCORE: 40})

    change = (await org.adapter.last_changes([ref(lead)], ASKED))[ref(lead), SCORE]

    assert (change.value, change.by, change.of_record) == (40, name_of(org, ADMIN_USER), True)
    assert soon(change.at, START + HOUR)


async def test_a_moment_and_a_blank_are_recognized_in_the_history(make_org):
    org = await make_org(tracked=TRACKED)
    [lead, other] = await leads(org, 2)
    for each in (lead, other):
        org.sandbox.edit("Lead", each, {"MQL_Since__c": "2026-11-20T08:00:00Z"})
    org.sandbox.edit("Lead", other, {"MQL_Since__c": None})
    org.clock.advance(HOUR)
    for each in (lead, other):
        org.sandbox.edit("Lead", each, {"City": "Elsewhere"})

    told = await org.adapter.last_changes([ref(lead), ref(other)], ASKED)

    since, blank = told[ref(lead), "MQL_Since__c"], told[ref(other), "MQL_Since__c"]
    assert (since.value, since.of_record) == ("2026-11-20T08:00:00.000+0000", False)
    assert (blank.value, blank.of_record) == (None, False)
    assert soon(since.at)
    assert soon(blank.at)


async def test_a_long_text_is_told_though_its_history_has_no_values(make_org):
    org = await make_org(tracked=("Lead.Description",))
    [lead] = await leads(org)
    org.sandbox.act("Lead", lead, "edit", by=ADMIN_USER, fields={"Description": "long " * 100})
    org.clock.advance(HOUR)
    org.sandbox.edit("Lead", lead, {"City": "Elsewhere"})

    change = (await org.adapter.last_changes([ref(lead)], {"Lead": frozenset({"Description"})}))[
        ref(lead), "Description"
    ]

    assert (change.by, change.of_record) == (name_of(org, ADMIN_USER), False)


async def test_the_owner_is_found_under_the_name_that_history_gives_it(make_org):
    org = await make_org()
    [lead] = await leads(org)
    org.sandbox.act("Lead", lead, "edit", by=SALES_USER, fields={"OwnerId": ADMIN_USER})

    change = (await org.adapter.last_changes([ref(lead)], {"Lead": frozenset({"OwnerId"})}))[
        ref(lead), "OwnerId"
    ]

    assert (change.value, change.by, change.of_record) == (ADMIN_USER, name_of(org, SALES_USER), False)


async def test_a_gone_record_is_left_out_and_a_converted_one_is_told(org):
    gone, merged, into, converted = await leads(org, 4)
    org.sandbox.act("Lead", gone, "delete")
    org.sandbox.act("Lead", merged, "merge", into=into)
    org.sandbox.act("Lead", converted, "convert")
    purged = (await leads(org, 6))[-1]
    org.sandbox.act("Lead", purged, "purge")

    told = await org.adapter.last_changes(
        [ref(each) for each in (gone, merged, converted, purged)], {"Lead": frozenset({STAGE})}
    )

    assert set(told) == {(ref(converted), STAGE)}


@pytest.mark.parametrize("hidden", [["LeadHistory.Field"], ["LeadHistory.CreatedById"]])
async def test_a_history_out_of_sight_leaves_the_record(make_org, hidden):
    org = await make_org(tracked=TRACKED, hidden_fields=hidden)
    [lead] = await leads(org)
    org.sandbox.edit("Lead", lead, {STAGE: "sql"})

    change = (await org.adapter.last_changes([ref(lead)], ASKED))[ref(lead), STAGE]

    assert (change.value, change.by, change.of_record) == ("sql", name_of(org, SALES_USER), True)


async def test_users_out_of_sight_are_told_by_id(make_org):
    org = await make_org(tracked=TRACKED, hidden_fields=["User.Name"])
    [lead] = await leads(org)
    org.sandbox.edit("Lead", lead, {STAGE: "sql"})

    assert (await org.adapter.last_changes([ref(lead)], ASKED))[ref(lead), STAGE].by == f"user {SALES_USER}"


async def test_a_hidden_field_and_one_of_a_parent_are_left_out(make_org):
    org = await make_org(hidden_fields=["Lead.MQL_Score__c"])
    [lead] = await leads(org)

    told = await org.adapter.last_changes([ref(lead)], {"Lead": frozenset({STAGE, SCORE, "Owner.Name"})})

    assert set(told) == {(ref(lead), STAGE)}


async def test_a_thousand_records_cost_a_call_per_two_hundred_and_two_more(make_org):
    org = await make_org(people=2_000, tracked=TRACKED)
    asked = [ref(id) for id in sorted(org.ids("Lead"))]
    asked += [ref(id[:15]) for id in sorted(org.ids("Lead"))[:3]]  # the same, by their short ids
    org.sandbox.edit("Lead", asked[-1].id, {STAGE: "sql"})
    await org.adapter.schema("Lead")
    before = org.adapter.calls()

    told = await org.adapter.last_changes(asked, {"Lead": frozenset({STAGE})})

    assert {key for key, _ in told} == set(asked)
    assert told[asked[-1], STAGE].by == name_of(org, SALES_USER)
    assert org.adapter.calls() - before == -(-len(org.ids("Lead")) // 200) + 2


async def test_an_org_that_tracks_nothing_is_asked_twice_and_not_again_soon(make_org):
    org = await make_org(people=1_500, tracked=())
    asked = {"Lead": frozenset({"Status", STAGE})}

    async def loaded():
        before = org.adapter.calls()
        org.cursors.clear()
        records = await org.records("Lead", fields=asked)
        return len(records), {record.stage_at for record in records.values()}, org.adapter.calls() - before

    assert await loaded() == (len(org.ids("Lead")), {None}, 3)  # a page, its history, whether there is any
    assert await loaded() == (len(org.ids("Lead")), {None}, 1)


async def test_old_records_without_history_do_not_hide_that_newer_ones_have_it(make_org):
    org = await make_org(people=1_500, page_rows=300, tracked=("Lead.Lifecycle_Stage__c",))
    every = sorted(org.ids("Lead"))
    assert len(every) > 350
    rows = org.sandbox.sandbox.store.tables["LeadHistory"].rows
    for id in [id for id, row in rows.items() if row["LeadId"] in every[:300]]:
        org.sandbox._run(lambda id=id: org.sandbox.sandbox.store.tables["LeadHistory"].drop(id))
    newest = every[-1]
    org.sandbox.edit("Lead", newest, {STAGE: "customer"})

    found = await org.records("Lead", fields={"Lead": frozenset({STAGE})})

    assert soon(found[newest].stage_at)


async def test_a_stage_that_history_did_not_set_is_undated(make_org):
    org = await make_org()
    [lead] = await leads(org)
    org.sandbox.edit("Lead", lead, {STAGE: "mql"})
    org.sandbox._run(lambda: setattr(org.sandbox.sandbox.store, "tracked", frozenset()))
    org.sandbox.edit("Lead", lead, {STAGE: "customer"})
    org.cursors.clear()

    assert (await org.records("Lead", fields={"Lead": frozenset({STAGE})}))[lead].stage_at is None
