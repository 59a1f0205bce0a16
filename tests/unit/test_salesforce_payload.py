"""Salesforce rows in our words and back, table by table."""

from datetime import UTC, datetime

import pytest

from adapters.salesforce import payload
from connector.core.model import RecordState, Ref
from connector.errors import SkipRecord

LEAD, CONTACT, ACCOUNT = "00Q5e00000AbcdEAAR", "0035e00000ZyxwVAAA", "0015e00000MnopQAAA"
TASK = "00T5e00000TaskAAAA"
STAMPS = {
    "IsDeleted": False,
    "CreatedDate": "2026-05-01T07:25:37.000+0000",
    "SystemModstamp": "2026-11-01T08:00:00.000+0000",
}
DONE_AT_ONCE = "2026-05-01T07:26:00.000+0000"
CREATED = datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)


def lead(**values):
    return {"attributes": {"type": "Lead"}, "Id": LEAD, **STAMPS, **values}


def task(**values):
    return {"Id": TASK, **STAMPS, "WhoId": LEAD, **values}


def sf(source, record):
    return Ref("salesforce", source, record)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("000000000000000", "000000000000000AAA"),
        ("AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA555"),
        ("Abcdeabcdeabcde", "AbcdeabcdeabcdeBAA"),
        ("abcdEabcdeabcdE", "abcdEabcdeabcdEQAQ"),
        (LEAD, LEAD),
    ],
)
def test_a_short_id_gains_the_letters_that_tell_its_capitals(short, long):
    assert payload.long_id(short) == long


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-01T07:25:37.000+0000", CREATED),
        ("2026-05-01T07:25:37.000Z", CREATED),
        ("2026-05-01T09:25:37+02:00", CREATED),
    ],
)
def test_every_form_of_a_time_is_the_same_instant(text, moment):
    assert payload.instant(text) == moment


@pytest.mark.parametrize("value", [None, "", "yesterday", "2026-05-01T07:25:37", 1777620337000])
def test_what_is_no_instant_is_refused(value):
    with pytest.raises(ValueError, match=r".+"):
        payload.instant(value)


def test_a_row_is_flat_and_its_blanks_are_none():
    row = {
        "Email": "ada@example.com",
        "Title": "",
        "City": "   ",
        "NumberOfEmployees": 0,
        "Score__c": 3.0,
        "HasOptedOutOfEmail": False,
        "Account": {"attributes": {"type": "Account"}, "Name": "Acme", "Owner": None},
        "Address": {"street": "1 Example Way"},
    }
    fields = ["email", "Title", "City", "NumberOfEmployees", "Score__c", "HasOptedOutOfEmail", "account.name"]

    assert payload.flat(row, [*fields, "Account.Owner.Name", "Address", "Missing__c"]) == {
        "email": "ada@example.com",
        "Title": None,
        "City": None,
        "NumberOfEmployees": 0,
        "Score__c": 3.0,
        "HasOptedOutOfEmail": False,
        "account.name": "Acme",
        "Account.Owner.Name": None,
        "Address": None,
        "Missing__c": None,
    }


@pytest.mark.parametrize(
    ("values", "state", "moved_to"),
    [
        ({}, RecordState.LIVE, None),
        ({"IsDeleted": True}, RecordState.ARCHIVED, None),
        ({"IsDeleted": True, "MasterRecordId": LEAD}, RecordState.MERGED, sf("Lead", LEAD)),
        ({"IsConverted": True, "ConvertedContactId": CONTACT}, RecordState.CONVERTED, sf("Contact", CONTACT)),
        ({"IsConverted": True, "ConvertedContactId": None}, RecordState.CONVERTED, None),
        ({"IsDeleted": True, "IsConverted": True}, RecordState.ARCHIVED, None),
    ],
)
def test_a_record_says_what_became_of_it(values, state, moved_to):
    record = payload.record_from(lead(**values), "Lead", ["Email"])

    assert (record.state, record.moved_to) == (state, moved_to)


def test_a_converted_lead_names_the_contact_as_the_same_person():
    record = payload.record_from(lead(IsConverted=True, ConvertedContactId=CONTACT[:15]), "Lead", [])

    assert record.counterparts == (sf("Contact", payload.long_id(CONTACT[:15])),)


def test_a_contact_knows_its_company_and_its_times():
    row = {"Id": CONTACT, **STAMPS, "AccountId": ACCOUNT, "Email": "ada@example.com"}

    record = payload.record_from(row, "Contact", ["Email"])

    assert record.ref == sf("Contact", CONTACT)
    assert record.kind == "person"
    assert record.company == sf("Account", ACCOUNT)
    assert record.created_at == CREATED
    assert record.changed_at == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert record.values == {"Email": "ada@example.com"}


@pytest.mark.parametrize(
    "broken", [{"SystemModstamp": None}, {"SystemModstamp": "soon"}, {"CreatedDate": "x"}]
)
def test_a_row_without_readable_times_is_set_aside_with_a_reason(broken):
    with pytest.raises(SkipRecord, match="no readable"):
        payload.record_from(lead(**broken), "Lead", [])


@pytest.mark.parametrize(
    ("row", "at"),
    [
        (
            {"CompletedDateTime": "2026-06-01T10:00:00.000+0000", "ActivityDate": "2026-06-03"},
            (2026, 6, 1, 10),
        ),
        ({"CompletedDateTime": None, "ActivityDate": "2026-06-03"}, (2026, 6, 3, 0)),
        ({"CompletedDateTime": None, "ActivityDate": None}, (2026, 5, 1, 7, 25, 37)),
        # Made done: a call that was logged, or a list of old ones that was imported.
        ({"CompletedDateTime": DONE_AT_ONCE, "ActivityDate": "2026-04-20"}, (2026, 4, 20)),
        ({"CompletedDateTime": DONE_AT_ONCE, "ActivityDate": "2026-05-01"}, (2026, 5, 1, 7, 26)),
        ({"CompletedDateTime": DONE_AT_ONCE, "ActivityDate": "2026-05-20"}, (2026, 5, 1, 7, 26)),
        # A duty that was done late happened when it was done.
        (
            {"CompletedDateTime": "2026-06-01T10:00:00.000+0000", "ActivityDate": "2026-05-20"},
            (2026, 6, 1, 10),
        ),
    ],
)
def test_a_task_happened_when_it_was_done_or_logged_for_else_when_due_else_when_made(row, at):
    assert payload.event_from(task(**row), "Task", []).occurred_at == datetime(*at, tzinfo=UTC)


def test_a_meeting_happens_when_it_starts_even_in_the_future():
    row = task(StartDateTime="2031-01-01T09:00:00.000+0000", ActivityDate="2031-01-01")

    event = payload.event_from(row, "Event", [])

    assert event.occurred_at == datetime(2031, 1, 1, 9, tzinfo=UTC)
    assert not event.deleted


def test_an_all_day_event_happens_at_midnight_utc():
    row = task(StartDateTime=None, ActivityDateTime=None, ActivityDate="2026-06-03")

    assert payload.event_from(row, "Event", []).occurred_at == datetime(2026, 6, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "values",
    [
        {"IsDeleted": True},
        {"IsRecurrence": True},
        {"IsChild": True},
        {"WhoId": None},
        {"WhoId": "0055e00000UserAAAA"},
    ],
)
def test_what_must_not_count_is_taken_back(values):
    assert payload.event_from(task(**values), "Event", []).deleted


@pytest.mark.parametrize(("who", "source"), [(LEAD, "Lead"), (CONTACT, "Contact")])
def test_the_prefix_of_an_id_says_whose_activity_it_is(who, source):
    event = payload.event_from(task(WhoId=who), "Task", [])

    assert event.about == (sf(source, who),)
    assert not event.deleted


@pytest.mark.parametrize(
    ("row", "about", "at"),
    [
        ({"LeadId": LEAD}, sf("Lead", LEAD), CREATED),
        ({"LeadId": LEAD, "ContactId": CONTACT}, sf("Contact", CONTACT), CREATED),
        (
            {"ContactId": CONTACT, "HasResponded": True, "FirstRespondedDate": "2026-07-01"},
            sf("Contact", CONTACT),
            datetime(2026, 7, 1, tzinfo=UTC),
        ),
        (
            {"LeadId": LEAD, "HasResponded": False, "FirstRespondedDate": "2026-07-01"},
            sf("Lead", LEAD),
            CREATED,
        ),
        ({"LeadId": LEAD, "HasResponded": True, "FirstRespondedDate": None}, sf("Lead", LEAD), CREATED),
        *(
            ({"LeadId": LEAD, "HasResponded": True, "FirstRespondedDate": day}, sf("Lead", LEAD), at)
            for day, at in (
                ("2026-05-01", CREATED),  # the day it was made: at that time
                ("2026-04-30", CREATED),  # the same day, west of Greenwich
                ("2026-04-29", datetime(2026, 4, 29, tzinfo=UTC)),  # loaded afterwards
                ("2025-11-03", datetime(2025, 11, 3, tzinfo=UTC)),
                ("2026-05-02", datetime(2026, 5, 2, tzinfo=UTC)),
            )
        ),
    ],
)
def test_a_campaign_membership_counts_once_for_who_the_person_is_now(row, about, at):
    event = payload.event_from({"Id": "00v5e00000MembAAAA", **STAMPS, **row}, "CampaignMember", [])

    assert event.about == (about,)
    assert event.occurred_at == at


def test_a_picklist_offers_its_active_values_in_order():
    info = payload.field_info(
        {
            "name": "MQL_Status__c",
            "label": "MQL Status",
            "type": "picklist",
            "length": 255,
            "updateable": True,
            "restrictedPicklist": True,
            "picklistValues": [
                {"value": "none", "label": "None", "active": True},
                {"value": "old", "label": "Old", "active": False},
                {"value": "qualified", "label": "Qualified", "active": True},
            ],
        }
    )

    assert info.options == ("none", "qualified")
    assert (info.kind, info.restricted, info.writable, info.max_length) == ("enum", True, True, 255)


@pytest.mark.parametrize(
    ("described", "kind", "writable", "max_length"),
    [
        ({"type": "double", "updateable": True, "length": 0}, "number", True, None),
        ({"type": "double", "updateable": True, "calculated": True}, "number", False, None),
        ({"type": "string", "updateable": True, "length": 80}, "text", True, 80),
        ({"type": "datetime", "updateable": False}, "datetime", False, None),
        ({"type": "address"}, "other", False, None),
    ],
)
def test_a_field_says_what_it_takes(described, kind, writable, max_length):
    info = payload.field_info({"name": "X__c", **described})

    assert (info.kind, info.writable, info.max_length) == (kind, writable, max_length)


def test_a_write_begins_with_its_type_and_clears_with_null():
    element = payload.to_wire("Lead", LEAD, {"A__c": 87, "B__c": None, "C__c": "", "D__c": True, "E__c": "x"})

    assert list(element) == ["attributes", "id", "A__c", "B__c", "C__c", "D__c", "E__c"]
    assert element == {
        "attributes": {"type": "Lead"},
        "id": LEAD,
        "A__c": 87,
        "B__c": None,
        "C__c": None,
        "D__c": True,
        "E__c": "x",
    }


@pytest.mark.parametrize(
    "values",
    [
        {"A__c": float("nan")},
        {"A__c": float("inf")},
        {"A__c": [1]},
        {"A__c": {}},
        {"Id": LEAD},
        {"attributes": "x"},
    ],
)
def test_a_value_that_no_field_can_hold_is_refused_before_it_is_sent(values):
    with pytest.raises(SkipRecord):
        payload.to_wire("Lead", LEAD, values)
