"""The Salesforce adapter over real HTTP against the made-up org: nothing lost, nothing doubled, nothing too much."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connector.core.model import Outcome, RecordState, Ref, Write
from connector.errors import FixConfig, OutcomeUnknown, RetryLater, StopRun
from tests.contract.salesforce_org import FIELDS, HOUR


def write(number, record, **values):
    return Write(number, record.ref if hasattr(record, "ref") else record, values)


# ------------------------------------------------------------------------------------------ account, schema


async def test_the_account_is_named_with_its_id_zone_and_clock(org):
    account = await org.adapter.account()

    assert account.id.startswith("00D")
    assert len(account.id) == 18
    assert account.name
    assert account.timezone == "Europe/Berlin"
    assert account.now is not None
    assert org.adapter.calls() == 2  # which versions the org serves, and who it is


async def test_the_live_schema_tells_kinds_options_and_lengths(org):
    schema = await org.adapter.schema("Lead")

    assert schema["MQL_Score__c"].kind == "number"
    assert schema["MQL_Status__c"].restricted
    assert schema["MQL_Status__c"].options[:2] == ("none", "qualified")
    assert schema["MQL_Reason__c"].max_length == 255
    assert schema["MQL_Since__c"].kind == "datetime"
    assert not schema["IsConverted"].writable


async def test_a_wrong_secret_is_a_matter_of_configuration(make_org):
    org = await make_org(variables={"SALESFORCE_CLIENT_SECRET": "wrong-secret"})

    with pytest.raises(FixConfig, match="login"):
        await org.adapter.account()


async def test_jwt_bearer_logs_in(make_org):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    from adapters.salesforce.sandbox.org import USERNAME

    org = await make_org(
        public_key=public.decode(),
        variables={
            "SALESFORCE_CLIENT_SECRET": "",
            "SALESFORCE_USERNAME": USERNAME,
            "SALESFORCE_PRIVATE_KEY": pem.decode(),
        },
    )

    assert (await org.adapter.account()).id.startswith("00D")


async def test_a_session_that_ends_in_the_middle_is_renewed_without_a_word(org):
    await org.adapter.account()
    org.clock.advance(timedelta(hours=3))

    assert await org.records("Lead")
    statuses = [call.status for call in org.sandbox.log.calls("query")]
    assert statuses.count(401) == 1


async def test_an_api_version_that_is_retired_or_unknown_is_a_matter_of_configuration(make_org):
    org = await make_org(variables={"SALESFORCE_API_VERSION": "99.0"})

    with pytest.raises(FixConfig, match=r"does not serve version 99.0 .* 31.0 to 68.0"):
        await org.adapter.account()


# --------------------------------------------------------------------------------------------- first load


@pytest.mark.parametrize("source", ["Account", "Lead", "Contact", "Opportunity"])
async def test_a_first_load_reads_every_live_record_once(org, source):
    pages = await org.pull(source)

    read = [record.ref.id for page in pages for record in page.records]
    assert sorted(read) == sorted(org.ids(source))
    assert sum(page.fetched for page in pages) == len(read)
    assert all(page.first_load for page in pages)
    assert not any(page.quarantined for page in pages)


@pytest.mark.parametrize("kept", [1, 2, 4])
async def test_a_first_load_that_dies_goes_on_where_it_was(make_org, kept):
    org = await make_org(page_rows=7)
    before = [record.ref.id for page in await org.pull("Lead", kept=kept) for record in page.records]

    after = [record.ref.id for page in await org.pull("Lead") for record in page.records]

    assert sorted(before + after) == sorted(org.ids("Lead"))


async def test_an_activity_older_than_a_year_is_read_although_it_is_archived(org):
    org.sandbox.create(
        "Task", {"WhoId": next(iter(org.ids("Lead"))), "Subject": "Long ago", "Status": "Completed",
                 "ActivityDate": "2020-01-15"},
    )  # fmt: skip

    events = await org.events("Task")

    old = next(event for event in events.values() if event.values["Subject"] == "Long ago")
    assert not old.deleted


# --------------------------------------------------------------------------------------------- increments


async def test_an_unchanged_world_costs_few_calls_and_brings_nobody(org):
    await org.pull_all()
    org.clock.advance(HOUR)
    await org.pull_all()
    org.clock.advance(HOUR)
    before = org.adapter.calls()

    found = await org.pull_all()
    await org.adapter.schema("Lead")
    await org.adapter.schema("Contact")

    assert not any(page.records or page.events for pages in found.values() for page in pages)
    assert org.adapter.calls() - before <= 12


async def test_a_second_pull_finds_what_changed_and_nothing_else(org):
    lead = await org.one("Lead")
    org.clock.advance(2 * HOUR)
    org.sandbox.edit("Lead", lead.ref.id, {"Company": "Changed Inc."})

    changed = await org.records("Lead")

    assert changed[lead.ref.id].values["Company"] == "Changed Inc."
    assert len(changed) == 1


async def test_a_new_record_and_a_restored_one_are_found(org):
    lead = await org.one("Lead")
    org.clock.advance(2 * HOUR)
    new = org.sandbox.create("Lead", {"LastName": "New", "Company": "New Inc.", "Email": "new@example.com"})
    org.sandbox.act("Lead", lead.ref.id, "delete")

    first = await org.records("Lead")
    org.sandbox.act("Lead", lead.ref.id, "undelete")
    second = await org.records("Lead")

    assert first[new].values["Email"] == "new@example.com"
    assert first[lead.ref.id].state is RecordState.ARCHIVED
    assert second[lead.ref.id].state is RecordState.LIVE


async def test_a_merge_names_the_record_that_remains(org):
    found = [record for record in (await org.records("Lead")).values() if record.state is RecordState.LIVE]
    winner, loser = found[0].ref, found[1].ref
    org.clock.advance(2 * HOUR)
    org.sandbox.act("Lead", loser.id, "merge", into=winner.id)

    changed = await org.records("Lead")

    assert (changed[loser.id].state, changed[loser.id].moved_to) == (RecordState.MERGED, winner)


async def test_a_conversion_names_the_contact_and_brings_it(org):
    lead = await org.one("Lead")
    await org.pull("Contact")
    org.clock.advance(2 * HOUR)
    ids = org.sandbox.act("Lead", lead.ref.id, "convert")

    converted = (await org.records("Lead"))[lead.ref.id]
    contacts = await org.records("Contact")

    assert converted.state is RecordState.CONVERTED
    assert converted.moved_to is not None
    assert converted.moved_to.object == "Contact"
    assert converted.moved_to.id in contacts
    assert converted.moved_to.id in str(ids)
    assert converted.counterparts == (converted.moved_to,)


@pytest.mark.parametrize("kept", [1, 2])
async def test_an_increment_that_dies_loses_nobody(make_org, kept):
    org = await make_org(page_rows=10)
    await org.pull("Lead")
    org.clock.advance(2 * HOUR)
    live = sorted(org.ids("Lead"))
    for lead in live:
        org.sandbox.act("Lead", lead, "touch")
    before = [record.ref.id for page in await org.pull("Lead", kept=kept) for record in page.records]
    org.clock.advance(timedelta(minutes=1))
    org.sandbox.act("Lead", before[0], "touch")

    after = [record.ref.id for page in await org.pull("Lead") for record in page.records]

    assert set(before) | set(after) == set(live)
    assert before[0] in after


async def test_a_role_that_is_added_brings_its_opportunity_again(org):
    await org.pull_all()
    deal, person = next(iter(org.ids("Opportunity"))), next(iter(org.ids("Contact")))
    org.clock.advance(2 * HOUR)
    org.sandbox.create("OpportunityContactRole", {"OpportunityId": deal, "ContactId": person})

    changed = await org.records("OpportunityContactRole")

    assert Ref("salesforce", "Contact", person) in changed[deal].people


async def test_engagement_names_who_and_when_and_what_became_of_it(org):
    lead = next(iter(org.ids("Lead")))
    await org.pull_all()
    org.clock.advance(2 * HOUR)
    task = org.sandbox.create("Task", {"WhoId": lead, "Subject": "Called back", "Status": "Completed"})
    meeting = org.sandbox.create(
        "Event", {"WhoId": lead, "Subject": "Demo", "StartDateTime": "2026-12-24T09:00:00.000+0000",
                  "EndDateTime": "2026-12-24T10:00:00.000+0000", "DurationInMinutes": 60},
    )  # fmt: skip

    done = (await org.events("Task"))[task]
    coming = (await org.events("Event"))[meeting]
    org.sandbox.act("Task", task, "delete")
    taken_back = (await org.events("Task"))[task]

    assert done.about == (Ref("salesforce", "Lead", lead),)
    assert done.values["Subject"] == "Called back"
    assert coming.occurred_at == datetime(2026, 12, 24, 9, tzinfo=UTC)
    assert not done.deleted
    assert taken_back.deleted


async def test_a_campaign_membership_carries_its_campaign(org):
    members = await org.events("CampaignMember")

    assert members
    for member in members.values():
        assert member.values["Campaign.Name"]
        assert len(member.about) == 1


async def test_a_field_that_security_hides_reads_as_blank_and_is_missing_from_the_schema(make_org):
    org = await make_org(hidden_fields=["Lead.MQL_Score__c", "Lead.Status"])

    lead = await org.one("Lead")

    assert lead.values["MQL_Score__c"] is None
    assert lead.values["Status"] is None
    assert lead.values["LastName"]
    assert "MQL_Score__c" not in await org.adapter.schema("Lead")


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 200, "text": "<html>maintenance</html>", "times": None}, StopRun),
        ({"empty": "body", "times": None}, StopRun),
        ({"half": True, "times": None}, StopRun),
        ({"drop": True, "times": None}, RetryLater),
        ({"status": 503, "text": "<html>down</html>", "times": None}, RetryLater),
        ({"status": 403, "json": [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]},
         RetryLater),
        ({"status": 403, "json": [{"errorCode": "API_CURRENTLY_DISABLED", "message": "no"}]}, FixConfig),
    ],
)  # fmt: skip
async def test_a_pull_that_fails_says_how_and_keeps_its_cursor(org, fault, error):
    await org.pull("Lead")
    before = org.cursors["Lead"]
    org.clock.advance(2 * HOUR)
    org.sandbox.faults.add(path="*/queryAll*", **fault)

    with pytest.raises(error) as failed:
        await org.pull("Lead")

    assert org.cursors["Lead"] == before
    assert failed.value.next_step


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "text": "<html>down</html>"},
        {"status": 406, "text": ""},
        {"drop": True},
        {"half": True},
        {
            "status": 403,
            "json": [
                {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}
            ],
        },
    ],
)
async def test_a_fault_that_passes_costs_no_row(org, fault):
    org.sandbox.faults.add(path="*/query*", **fault)

    assert set(await org.records("Lead")) == org.ids("Lead")


async def test_when_the_orgs_day_is_spent_the_run_is_told_to_come_back(make_org):
    org = await make_org(daily_limit=2, variables={"SALESFORCE_DAILY_SHARE": "1"})
    await org.adapter.account()

    with pytest.raises(RetryLater):
        await org.pull_all()


async def test_our_share_of_a_day_leaves_the_rest_to_others(make_org):
    org = await make_org(daily_limit=20, variables={"SALESFORCE_DAILY_SHARE": "0.3"})

    with pytest.raises(RetryLater, match="share"):
        await org.pull_all()

    assert len(org.sandbox.log.calls("/services/data")) == 6


# ------------------------------------------------------------------------------------------- read, push


async def test_records_are_read_back_as_they_stand_now(org):
    found = [record for record in (await org.records("Lead")).values() if record.state is RecordState.LIVE]
    plain, gone, converted, purged = found[:4]
    contact = await org.one("Contact")
    org.sandbox.edit("Lead", plain.ref.id, {"Company": "Fresh Inc."})
    org.sandbox.act("Lead", gone.ref.id, "delete")
    org.sandbox.act("Lead", converted.ref.id, "convert")
    org.sandbox.act("Lead", purged.ref.id, "purge")
    asked = [plain.ref, gone.ref, converted.ref, purged.ref, contact.ref]

    now = await org.adapter.read(asked, FIELDS)

    assert now[plain.ref].values["Company"] == "Fresh Inc."
    assert now[gone.ref].state is RecordState.ARCHIVED
    assert now[converted.ref].state is RecordState.CONVERTED
    assert purged.ref not in now
    assert now[contact.ref].values["Email"] == contact.values["Email"]


async def test_a_push_writes_exactly_what_was_asked_and_changes_no_owner(org):
    lead = await org.one("Lead")
    before = org.sandbox.raw("Lead", lead.ref.id)
    org.sandbox.log.clear()

    receipts = await org.adapter.push(
        [write(1, lead, MQL_Score__c=87, MQL_Status__c="qualified", MQL_Since__c="2026-11-22T10:00:00Z")]
    )

    assert [receipt.outcome for receipt in receipts] == [Outcome.WRITTEN]
    after = org.sandbox.raw("Lead", lead.ref.id)
    moved = {name for name in after if after[name] != before.get(name)}
    ours = {"MQL_Score__c", "MQL_Status__c", "MQL_Since__c"}
    assert ours <= moved <= ours | {"SystemModstamp", "LastModifiedDate", "LastModifiedById"}
    assert len(org.sandbox.log.calls("composite/sobjects")) == 1
    assert {entry.id for entry in org.sandbox.log.writes(by="api")} == {lead.ref.id}


async def test_what_was_pushed_comes_back_as_it_was_and_can_be_cleared(org):
    lead = await org.one("Lead")
    await org.adapter.push([write(1, lead, MQL_Score__c=87)])
    held = (await org.adapter.read([lead.ref], FIELDS))[lead.ref].values["MQL_Score__c"]

    await org.adapter.push([write(2, lead, MQL_Score__c=None)])

    assert held == 87
    assert (await org.adapter.read([lead.ref], FIELDS))[lead.ref].values["MQL_Score__c"] is None


async def test_a_repeated_push_is_harmless(org):
    lead = await org.one("Lead")
    batch = [write(1, lead, MQL_Score__c=55)]
    await org.adapter.push(batch)

    [receipt] = await org.adapter.push(batch)

    assert receipt.outcome is Outcome.WRITTEN
    assert not org.sandbox.log.writes("Lead", lead.ref.id, "api")[-1].changed


async def test_one_bad_record_fails_only_itself(org):
    leads = [record for record in (await org.records("Lead")).values() if record.state is RecordState.LIVE][
        :6
    ]
    org.sandbox.act(
        "Lead", leads[5].ref.id, "refuse", code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="No Industry."
    )
    batch = [
        write(1, leads[0], MQL_Score__c=11),
        write(2, leads[1], MQL_Status__c="not-a-status"),
        write(3, leads[2], MQL_Reason__c="x" * 300),
        write(4, leads[3], MQL_Score__c=123_456),
        write(5, leads[4], Nobody__c=1),
        write(6, leads[5], MQL_Score__c=66),
        write(7, Ref("salesforce", "Lead", "00Q000000000000EAA"), MQL_Score__c=77),
    ]

    receipts = await org.adapter.push(batch)

    assert [receipt.write_id for receipt in receipts] == [1, 2, 3, 4, 5, 6, 7]
    assert [receipt.outcome.value for receipt in receipts] == ["written", *["rejected"] * 5, "set_aside"]
    assert "No Industry." in receipts[5].reason
    assert all(receipt.code and receipt.reason for receipt in receipts[1:])
    assert org.sandbox.raw("Lead", leads[0].ref.id)["MQL_Score__c"] == 11


async def test_a_batch_of_200_is_one_call(make_org):
    org = await make_org(people=400)
    leads = [record for record in (await org.records("Lead")).values() if record.state is RecordState.LIVE][
        :200
    ]
    await org.adapter.schema("Lead")  # a run asks for it anyway, to plan
    before = org.adapter.calls()

    receipts = await org.adapter.push([write(n, lead, MQL_Score__c=n % 100) for n, lead in enumerate(leads)])

    assert [receipt.write_id for receipt in receipts] == list(range(200))
    assert {receipt.outcome for receipt in receipts} == {Outcome.WRITTEN}
    assert org.adapter.calls() - before == 1


async def test_a_locked_row_is_written_when_the_lock_is_gone(org):
    lead = await org.one("Lead")
    org.sandbox.act("Lead", lead.ref.id, "refuse", times=2)

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert receipt.outcome is Outcome.WRITTEN
    assert org.sandbox.raw("Lead", lead.ref.id)["MQL_Score__c"] == 42


async def test_records_that_went_elsewhere_are_set_aside_with_where_they_went(org):
    leads = [record for record in (await org.records("Lead")).values() if record.state is RecordState.LIVE]
    converted, loser, winner, gone = (record.ref for record in leads[:4])
    org.sandbox.act("Lead", converted.id, "convert")
    org.sandbox.act("Lead", loser.id, "merge", into=winner.id)
    org.sandbox.act("Lead", gone.id, "delete")
    contact = org.sandbox.raw("Lead", converted.id)["ConvertedContactId"]

    receipts = await org.adapter.push(
        [write(n, ref, MQL_Score__c=50) for n, ref in enumerate((converted, loser, gone))]
    )

    assert [receipt.outcome for receipt in receipts] == [Outcome.SET_ASIDE] * 3
    assert [receipt.moved_to for receipt in receipts] == [Ref("salesforce", "Contact", contact), winner, None]


async def test_a_duplicate_alert_does_not_stop_a_score(make_org):
    org = await make_org(duplicate_rule=True)
    lead = await org.one("Lead")
    org.sandbox.create("Lead", {"LastName": "Twin", "Company": "Twin Inc.", "Email": lead.values["Email"]})

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert receipt.outcome is Outcome.WRITTEN


@pytest.mark.parametrize("fault", [{"drop_after": True}, {"half": True}])
async def test_a_write_whose_answer_is_lost_is_unknown_and_not_sent_twice(org, fault):
    lead = await org.one("Lead")
    org.sandbox.faults.add(method="PATCH", path="*/composite/sobjects*", **fault)

    with pytest.raises(OutcomeUnknown):
        await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert len(org.sandbox.log.calls("composite/sobjects")) == 1
    assert (await org.adapter.read([lead.ref], FIELDS))[lead.ref].values["MQL_Score__c"] == 42


async def test_a_field_that_may_not_be_written_is_rejected_with_the_next_step(make_org):
    org = await make_org(hidden_fields=["Lead.MQL_Score__c"])
    lead = await org.one("Lead")

    [receipt] = await org.adapter.push([write(1, lead, MQL_Score__c=42)])

    assert receipt.outcome is Outcome.REJECTED
    assert "field-level security" in receipt.reason
