"""HubSpot's JSON to our words and back, table by table, hostile input too."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.hubspot.activities import activity
from adapters.hubspot.payload import (
    UnreadableError,
    email_event,
    field_info,
    long_id,
    moment,
    read_rows,
    record,
    stage_date_fields,
    submission,
    wire,
)
from connector.core.model import RecordState, Ref
from connector.ports import FieldInfo

CHANGED = "2026-11-01T10:00:00.123Z"


def contact(**properties):
    return {"id": "151", "properties": properties, "createdAt": "2026-10-01T09:00:00Z", "updatedAt": CHANGED}


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2026-11-01T10:00:00.123Z", datetime(2026, 11, 1, 10, 0, 0, 123000, UTC)),
        ("2026-11-01T10:00:00Z", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("2026-11-01T10:00:00+02:00", datetime(2026, 11, 1, 8, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        (1773300826615, datetime(2026, 3, 12, 7, 33, 46, 615000, UTC)),
        ("1773300826615", datetime(2026, 3, 12, 7, 33, 46, 615000, UTC)),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_in_every_spelling(told, meant):
    assert moment(told) == meant


@pytest.mark.parametrize("told", ["soon", "2026-13-01", True, [], {}, "9" * 30])
def test_what_is_no_time_is_said(told):
    with pytest.raises(UnreadableError):
        moment(told)


def test_a_cleared_value_is_a_blank_one():
    read = record(contact(email="ada@example.com", score="", jobtitle=None, visits="0"), "contact")

    assert read.values == {"email": "ada@example.com", "score": None, "jobtitle": None, "visits": "0"}


def test_a_contact_brings_its_company_its_salesforce_ids_and_the_ids_it_absorbed():
    read = record(
        contact(
            associatedcompanyid="9",
            salesforceleadid="00Q000000000001",
            salesforcecontactid="003000000000001AAA",
            hs_merged_object_ids="12; 13;;151",
        ),
        "contact",
    )

    assert read.company == Ref("hubspot", "company", "9")
    assert read.counterparts == (
        Ref("salesforce", "Lead", "00Q000000000001EAA"),
        Ref("salesforce", "Contact", "003000000000001AAA"),
    )
    assert read.absorbed == (Ref("hubspot", "contact", "12"), Ref("hubspot", "contact", "13"))


@pytest.mark.parametrize("id_", ["", "x", "00Q", "003000000000001", "00Q000000000001' OR", None])
def test_what_is_no_lead_id_is_no_counterpart(id_):
    assert record(contact(salesforceleadid=id_), "contact").counterparts == ()


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001A0000006Vm9u", "001A0000006Vm9uIAC"),
        ("00Q000000000001", "00Q000000000001EAA"),
        ("001A0000006Vm9uIAC",) * 2,
    ],
)
def test_short_salesforce_ids_get_their_three_letters(short, long):
    assert long_id(short) == long


def test_the_stage_is_dated_by_its_own_property():
    read = record(contact(lifecyclestage="51439524", hs_v2_date_entered_51439524="1773300826615"), "contact")

    assert read.stage_at == datetime(2026, 3, 12, 7, 33, 46, 615000, UTC)


def test_stage_dates_are_asked_for_only_where_the_account_has_them():
    schema = {
        "lifecyclestage": FieldInfo("lifecyclestage", "enum", options=("lead", "customer", "77")),
        "hs_v2_date_entered_lead": FieldInfo("hs_v2_date_entered_lead", "datetime"),
        "hs_lifecyclestage_lead_date": FieldInfo("hs_lifecyclestage_lead_date", "datetime"),
        "hs_lifecyclestage_customer_date": FieldInfo("hs_lifecyclestage_customer_date", "datetime"),
    }

    assert stage_date_fields(schema) == {"hs_v2_date_entered_lead", "hs_lifecyclestage_customer_date"}


def test_an_archived_record_says_so_and_when():
    row = {**contact(), "archived": True, "archivedAt": "2026-11-20T00:00:00Z"}

    read = record(row, "contact", archived=True)

    assert read.state is RecordState.ARCHIVED
    assert read.changed_at == datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("says", "closed"),
    [
        ({"hs_is_closed": "false", "hs_is_closed_won": "false", "hs_is_closed_lost": "false"}, "false"),
        ({"hs_is_closed": "true", "hs_is_closed_won": "true", "hs_is_closed_lost": None}, "true"),
        ({"hs_is_closed": None, "hs_is_closed_won": "false", "hs_is_closed_lost": "true"}, "true"),
        ({"hs_is_closed": "false", "hs_is_closed_won": "true"}, "true"),
        ({"hs_is_closed": "", "hs_is_closed_won": None}, None),
        ({}, None),
    ],
)
def test_a_deal_is_closed_by_any_of_three_and_one_that_says_nothing_is_no_open_one(says, closed):
    if closed is None:
        with pytest.raises(UnreadableError):
            record(contact(**says), "deal")
        return
    read = record(contact(**says), "deal")
    assert (read.kind, read.values["hs_is_closed"]) == ("opportunity", closed)


@pytest.mark.parametrize(
    "row",
    [
        None,
        "text",
        [],
        {},
        {"id": ""},
        {"id": True, "properties": {}},
        {"id": "1"},
        {"id": "1", "properties": []},
        {"id": "1", "properties": {}},
        {"id": "1", "properties": {}, "updatedAt": "soon"},
    ],
)
def test_a_row_that_is_no_record_is_set_apart_and_not_dropped(row):
    good, bad = read_rows([contact(), row], "contact", lambda row: record(row, "contact"))

    assert [one.ref.id for one in good] == ["151"]
    assert len(bad) == 1
    assert bad[0].why


def test_a_meeting_happens_when_it_is_booked_or_held_whichever_is_first():
    booked = {**contact(hs_meeting_start_time="2026-12-01T10:00:00Z"), "createdAt": "2026-11-01T00:00:00Z"}
    logged = {**contact(hs_meeting_start_time="2026-10-01T10:00:00Z"), "createdAt": "2026-11-01T00:00:00Z"}

    assert activity(booked, "meetings", []).occurred_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert activity(logged, "meetings", []).occurred_at == datetime(2026, 10, 1, 10, tzinfo=UTC)


def test_a_call_is_about_each_contact_once():
    read = activity(contact(hs_timestamp="1773300826615"), "calls", ["7", "7", "8"])

    assert read.about == (Ref("hubspot", "contact", "7"), Ref("hubspot", "contact", "8"))
    assert read.occurred_at.year == 2026


def test_an_email_event_is_known_by_id_and_time_and_joined_by_address():
    row = {
        "id": "u-1",
        "created": 1773300826615,
        "type": "OPEN",
        "recipient": "a@example.com",
        "filteredEvent": True,
    }

    read = email_event(row)

    assert read.key == "u-1:1773300826615"
    assert read.email == "a@example.com"
    assert read.values["filteredEvent"] is True


def test_a_submission_keeps_form_page_and_answers():
    row = {
        "conversionId": "c-1",
        "submittedAt": 1773300826615,
        "values": [{"name": "email", "value": "a@example.com"}, {"name": "note", "value": ""}, {"bad": 1}],
        "pageUrl": "https://example.com/demo",
    }

    read = submission(row, "guid-1", "Request a demo")

    assert read.key == "c-1"
    assert read.email == "a@example.com"
    assert read.values["form_name"] == "Request a demo"
    assert read.values["note"] is None


def test_old_submissions_without_an_id_are_told_apart_without_keeping_the_address_in_the_key():
    rows = [
        {"submittedAt": 1, "values": [{"name": "email", "value": f"{name}@example.com"}]} for name in "ab"
    ]

    one, two = (submission({**row, "submittedAt": 1773300826615}, "g", "F") for row in rows)

    assert one.key != two.key
    assert "@" not in one.key


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (42, "42"),
        (42.0, "42"),
        (1e21, "1000000000000000000000"),
        (0.1, "0.1"),
        (1.5e-7, "0.00000015"),
        ("MQL: asked", "MQL: asked"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
        (datetime(2026, 11, 22, 10, tzinfo=UTC), "2026-11-22T10:00:00.000Z"),
    ],
)
def test_values_go_out_as_text(ours, theirs):
    assert wire(ours) == theirs


def test_options_come_in_display_order_and_computed_fields_are_not_writable():
    stage = field_info(
        {
            "name": "lifecyclestage",
            "type": "enumeration",
            "options": [
                {"value": "other", "displayOrder": -1},
                {"value": "customer", "displayOrder": 5},
                {"value": "lead", "displayOrder": 1},
            ],
            "modificationMetadata": {"readOnlyValue": False},
        }
    )
    computed = field_info({"name": "hubspotscore", "type": "number", "fieldType": "calculation_score"})

    assert stage.options == ("lead", "customer", "other")
    assert stage.restricted
    assert stage.writable
    assert not computed.writable
