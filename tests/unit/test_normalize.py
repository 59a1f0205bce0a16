"""Vendor records and events become ours: addresses, stages, answers, scope, types, one person's fields."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connector.core.fields import ENGAGEMENT_TYPES
from connector.core.mapping_file import parse_mapping
from connector.core.model import (
    CompanyRecord,
    Engagement,
    PersonRecord,
    RecordState,
    Ref,
    VendorEvent,
    VendorRecord,
)
from connector.core.normalize import (
    count_once,
    keep_answer_date,
    normalize_company,
    normalize_event,
    normalize_opportunity,
    normalize_person,
    person_fields,
)
from connector.core.normalize.derive import email_kind
from connector.errors import SkipRecord

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ADA = Ref("hubspot", "contact", "1")
LEAD = Ref("salesforce", "Lead", "00Q1")


def shipped(crm):
    return parse_mapping(
        YAML(typ="safe").load((ROOT / "mappings" / f"{crm}.yaml").read_text(encoding="utf-8"))
    )


HUBSPOT, SALESFORCE = shipped("hubspot"), shipped("salesforce")


def contact(**values):
    return VendorRecord(ADA, "person", values, NOW)


def lead(**values):
    return VendorRecord(LEAD, "person", values, NOW)


# ----------------------------------------------------------------------------------------------------- people


def test_a_contact_becomes_ours():
    record = normalize_person(
        replace(
            contact(
                email=" Ada@Example.com", hs_additional_emails="ada@example.org; ADA@example.com;broken",
                firstname="Ada",
                jobtitle="Leiterin Marketing", country="Deutschland", phone="030 123456", numemployees="51-200",
                annualrevenue="1000000", website="https://www.example.com/de", hs_email_optout="false",
                lifecyclestage="marketingqualifiedlead", mql_score="42", hs_language="de-de",
            ),
            created_at=NOW,
            counterparts=(LEAD,),
            absorbed=(Ref("hubspot", "contact", "2"),),
        ),
        HUBSPOT,
    )  # fmt: skip
    assert record.emails == ("ada@example.com", "ada@example.org")
    assert record.same_as == (LEAD, Ref("hubspot", "contact", "2"))
    assert record.stage == "mql"
    assert record.held["mql_score"] == "42"
    assert "mql_reason" not in record.held  # blank
    assert record.fields == {
        "email": "ada@example.com", "email_domain": "example.com", "email_kind": "business", "first_name": "Ada",
        "title": "Leiterin Marketing", "seniority": "director", "job_function": "marketing", "country": "DE",
        "phone": "+4930123456", "company_size": 51, "annual_revenue": 1_000_000, "annual_revenue_currency": "EUR",
        "website": "https://www.example.com/de", "company_domain": "example.com", "email_opt_out": False,
        "language": "de", "created_at": NOW,
    }  # fmt: skip


def test_a_record_without_anything_is_still_a_person():
    record = normalize_person(contact(), HUBSPOT)
    assert record.fields == {"email_kind": "none"}
    assert record.emails == ()
    assert record.in_scope
    assert record.stage is None
    assert record.answer is None


def test_a_stage_the_mapping_does_not_know_stays_theirs():
    assert normalize_person(contact(lifecyclestage="51439524"), HUBSPOT).stage == "51439524"


@pytest.mark.parametrize(
    ("record", "mapping", "kind", "reason"),
    [
        (contact(hs_lead_status="OPEN_DEAL"), HUBSPOT, "accepted", None),
        (contact(hs_lead_status="UNQUALIFIED"), HUBSPOT, "rejected", None),
        (contact(hs_lead_status="BAD_TIMING"), HUBSPOT, "rejected", "bad timing"),
        (contact(hs_lead_status="IN_PROGRESS"), HUBSPOT, "working", None),
        (lead(Status="closed - converted"), SALESFORCE, "accepted", None),
        (lead(Status="Closed - Not Converted"), SALESFORCE, "rejected", None),
        (lead(Status="Working - Contacted"), SALESFORCE, "working", None),
    ],
)
def test_a_lead_status_is_sales_answer(record, mapping, kind, reason):
    answer = normalize_person(record, mapping, seen_at=NOW).answer
    assert (answer.kind, answer.reason, answer.at) == (kind, reason, NOW)


@pytest.mark.parametrize("status", ["something else", None])
def test_other_statuses_are_no_answer(status):
    assert normalize_person(contact(hs_lead_status=status), HUBSPOT).answer is None


def test_an_answer_is_dated_by_history_else_by_when_it_was_first_seen():
    dated = replace(contact(hs_lead_status="UNQUALIFIED"), status_at=NOW - timedelta(days=3))
    assert normalize_person(dated, HUBSPOT, seen_at=NOW).answer.at == NOW - timedelta(days=3)

    before = normalize_person(contact(hs_lead_status="UNQUALIFIED"), HUBSPOT, seen_at=NOW - timedelta(days=1))
    again = normalize_person(contact(hs_lead_status="UNQUALIFIED"), HUBSPOT, seen_at=NOW)
    other = normalize_person(contact(hs_lead_status="OPEN_DEAL"), HUBSPOT, seen_at=NOW)
    assert keep_answer_date(again, before).answer.at == NOW - timedelta(days=1)
    assert keep_answer_date(other, before).answer.at == NOW


def test_scope_reads_our_fields_where_they_are_mapped_and_theirs_elsewhere():
    doc = {
        "crm": "hubspot",
        "objects": {
            "contact": {
                "fields": {"country": "land"},
                "scope": {"all": [{"field": "country", "is": "DE"}, {"field": "unit", "is": "7"}]},
            }
        },
    }
    mapping = parse_mapping(doc)
    assert normalize_person(contact(land="Germany", unit=7), mapping).in_scope
    assert not normalize_person(contact(land="Germany", unit=8), mapping).in_scope
    assert not normalize_person(contact(unit=7), mapping).in_scope


def test_an_object_the_mapping_does_not_know_is_set_aside_with_the_reason():
    with pytest.raises(SkipRecord, match="does not know `contact` as a company"):
        normalize_company(contact(), HUBSPOT)


def test_values_may_be_translated():
    spec = {"from": "tier", "values": {"Gold ": "enterprise"}, "otherwise": "small"}
    mapping = parse_mapping({"crm": "hubspot", "objects": {"contact": {"fields": {"plan_type": spec}}}})
    assert normalize_person(contact(tier="gold"), mapping).fields["plan_type"] == "enterprise"
    assert normalize_person(contact(tier="tin"), mapping).fields["plan_type"] == "small"
    assert "plan_type" not in normalize_person(contact(tier=""), mapping).fields


def test_a_company_and_a_deal_become_ours():
    account = VendorRecord(
        Ref("salesforce", "Account", "1"), "company",
        {"Name": "Example", "Website": "example.com", "NumberOfEmployees": 250.0, "BillingCountry": "Japan"}, NOW,
    )  # fmt: skip
    deal = VendorRecord(
        Ref("salesforce", "Opportunity", "1"), "opportunity",
        {"IsClosed": True, "IsWon": "true", "Amount": 12.5, "CloseDate": "2026-11-01"}, NOW, people=(LEAD,),
    )  # fmt: skip
    company = normalize_company(account, SALESFORCE)
    won = normalize_opportunity(deal, SALESFORCE)
    assert company.fields["company_size"] == 250
    assert company.fields["company_domain"] == "example.com"
    assert company.fields["country"] == "JP"
    assert (won.is_closed, won.is_won, won.amount, won.currency, won.people) == (
        True,
        True,
        12.5,
        "EUR",
        (LEAD,),
    )
    assert won.closed_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert not normalize_opportunity(replace(deal, values={}), SALESFORCE).is_won


@pytest.mark.parametrize(
    ("address", "kind"),
    [("ada@example.com", "business"), ("ada@gmail.com", "free"), ("info@example.com", "role"),
    ("info@gmail.com", "free"),
     ("sales.emea@example.com", "role"), ("ada@mailinator.com", "disposable"), ("ada@x.mailinator.com",
     "disposable"),
     ("information.officer@example.com", "business"), ("", "none"), (None, "none")],
)  # fmt: skip
def test_an_address_has_a_kind(address, kind):
    assert email_kind(address) == kind


# ------------------------------------------------------------------------------------------------- one person


def person(ref, days, state=RecordState.LIVE, company=None, **fields):
    return PersonRecord(ref, fields, changed_at=NOW - timedelta(days=days), state=state, company=company)


def test_the_newest_value_that_is_not_blank_holds_and_differences_are_told():
    old = person(ADA, 9, city="Berlin", phone="+491", title="CEO")
    new = person(LEAD, 1, city="Hamburg", phone=None, title="ceo")
    for records in ([old, new], [new, old]):
        fields, differing = person_fields(records, {})
        assert (fields["city"], fields["phone"]) == ("Hamburg", "+491")
        assert [(each.field, each.values) for each in differing] == [
            ("city", ((LEAD, "Hamburg"), (ADA, "Berlin")))
        ]


def test_a_stated_precedence_beats_the_date():
    fields, _ = person_fields(
        [person(ADA, 9, city="Berlin"), person(LEAD, 1, city="Bonn")], {}, {"city": ["hubspot"]}
    )
    assert fields["city"] == "Berlin"


def test_a_deleted_record_speaks_only_when_nobody_else_does():
    gone = person(ADA, 1, RecordState.ARCHIVED, city="Berlin")
    assert "city" not in person_fields([gone, person(LEAD, 9)], {})[0]
    assert person_fields([gone], {})[0]["city"] == "Berlin"


def test_an_opt_out_anywhere_holds_and_the_kind_follows_the_address():
    fields, _ = person_fields(
        [
            person(
                ADA,
                1,
                email="ada@gmail.com",
                email_kind="free",
                email_domain="gmail.com",
                email_opt_out=False,
            ),
            person(
                LEAD, 2, email="ada@example.com", email_kind="business", email_opt_out=True, created_at=NOW
            ),
        ],
        {},
    )
    assert fields["email_opt_out"] is True
    assert (fields["email"], fields["email_kind"]) == ("ada@gmail.com", "free")
    assert fields["created_at"] == NOW


def test_a_person_inherits_what_only_the_company_knows():
    firm = Ref("salesforce", "Account", "1")
    record = CompanyRecord(
        firm,
        {"industry": "Energy", "company_size": 250, "annual_revenue": 5, "annual_revenue_currency": "USD"},
    )
    own = person(LEAD, 1, company=firm, industry="Solar", annual_revenue=7, annual_revenue_currency="EUR")
    fields, _ = person_fields([own], {firm: record})
    assert (fields["industry"], fields["company_size"]) == ("Solar", 250)
    assert (fields["annual_revenue"], fields["annual_revenue_currency"]) == (7, "EUR")
    assert "company_size" not in person_fields([own], {firm: replace(record, state=RecordState.GONE)})[0]


# ------------------------------------------------------------------------------------------------------ events


def event(stream, about=(ADA,), email=None, crm="hubspot", deleted=False, **values):
    return VendorEvent(crm, stream, "k", values, NOW, tuple(about), email, deleted)


def types_of(stream, crm, rows):
    mapping = HUBSPOT if crm == "hubspot" else SALESFORCE
    return [
        tuple(each.type for each in normalize_event(event(stream, crm=crm, **row), mapping)) for row in rows
    ]


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("Whitepaper: Scoring", "content_download"), ("Price list", "pricing_download"),
        ("Desktop app download", "app_download"), ("Survey", "form_submission"), ("Newsletter",
        "newsletter_subscription"),
        ("Webinar registration: Live", "webinar_registration"), ("Webinar feedback", "webinar_attendance"),
        ("Free trial", "trial_signup"), ("Demo environment sign-up", "demo_signup"), ("Request a demo",
        "demo_request"),
        ("Contact us", "contact_request"), ("Help desk", "help_request"), ("Ask about pricing", "price_question"),
        ("Please call me", "call_request"), ("Sales deck request", "sales_material_request"),
        ("Ready to buy", "purchase_intent"), ("Conference badge scan", "event_attendance"), ("Prize draw", "other"),
    ],
)  # fmt: skip
def test_a_form_is_known_by_its_name(name, type):
    assert types_of("form_submissions", "hubspot", [{"form_name": name}]) == [(type,)]


def test_email_events_are_known_by_their_type_and_scanners_do_not_count():
    rows = {
        "OPEN": "email_open", "CLICK": "email_click", "REPLY": "email_reply", "BOUNCE": "email_bounce",
        "UNSUBSCRIBED": "email_unsubscribe", "SPAMREPORT": "email_unsubscribe",
        "STATUSCHANGE": "subscription_change",
    }  # fmt: skip
    assert types_of("email_events", "hubspot", [{"type": each} for each in rows]) == [
        (each,) for each in rows.values()
    ]
    assert types_of("email_events", "hubspot", [{"type": "DELIVERED"}]) == [()]
    left = {"type": "STATUSCHANGE", "portalSubscriptionStatus": "UNSUBSCRIBED"}
    assert types_of("email_events", "hubspot", [left]) == [("email_unsubscribe",)]


def test_what_the_crm_filtered_is_kept_with_the_reason_and_carries_when_its_mail_left():
    values = {"type": "CLICK", "filteredEvent": True, "sentBy.id": "m1", "sentBy.created": 1762000000000}
    told = VendorEvent("hubspot", "email_events", "1", values, NOW, email="ada@example.com")
    [kept] = normalize_event(told, HUBSPOT)
    assert (kept.type, kept.counted) == ("email_click", False)
    assert kept.why_not == "the CRM's own filter took it for a machine's"
    assert kept.attributes == {"message": "m1", "sent": 1762000000000, "filtered": True}
    [counted] = normalize_event(replace(told, values={**values, "filteredEvent": False}), HUBSPOT)
    assert (counted.counted, counted.why_not) == (True, None)


def test_a_campaign_member_counts_once_they_responded():
    on_a_list = {"Campaign.Type": "Webinar", "Status": "Registered", "HasResponded": False}
    responded = {**on_a_list, "HasResponded": True}
    assert types_of("CampaignMember", "salesforce", [on_a_list, responded]) == [
        ("other",), ("webinar_registration",),
    ]  # fmt: skip
    hidden = {**on_a_list, "HasResponded": None}  # as field-level security leaves it: unknown is no yes
    attended = {**hidden, "Status": "Attended"}
    assert types_of("CampaignMember", "salesforce", [hidden, attended]) == [("other",), ("other",)]
    sent = {"Campaign.Type": "Email", "Status": "Sent", "HasResponded": False}
    assert types_of("CampaignMember", "salesforce", [sent]) == [()]


def test_meetings_and_calls_count_when_they_were_ones():
    assert types_of("meetings",
    "hubspot", [{"hs_meeting_outcome": "COMPLETED"}, {"hs_meeting_outcome": "CANCELED"}]) == [
        ("meeting_booked",), ("other",),
    ]  # fmt: skip
    assert types_of("calls", "hubspot", [{"hs_call_status": "COMPLETED"}, {"hs_call_status": "NO_ANSWER"}]) == [
        ("call",), ("other",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "status", "type"),
    [
        ("Webinar", "Live", "Registered", "webinar_registration"), ("Webinar", "Live", "Attended",
        "webinar_attendance"),
        ("Webinar", "Live", "Did not attend", "webinar_registration"), ("Conference", "Days", "Attended",
        "event_attendance"),
        ("Advertisement", "Ads", "Clicked", "ad_click"), ("Other", "Social autumn", "Engaged", "social_engagement"),
        ("Direct Mail", "Mail: sales kit", "Responded", "sales_material_request"), ("Other", "Request a demo",
        "New", "demo_request"),
    ],
)  # fmt: skip
def test_a_campaign_member_is_known_by_campaign_and_status(kind, name, status, type):
    row = {"Campaign.Type": kind, "Campaign.Name": name, "Status": status, "HasResponded": True}
    assert types_of("CampaignMember", "salesforce", [row]) == [(type,)]


def test_who_was_only_put_on_a_campaign_did_nothing():
    row = {"Campaign.Type": "Webinar", "Campaign.Name": "Live", "Status": "Sent", "HasResponded": False}
    assert types_of("CampaignMember", "salesforce", [row]) == [()]


@pytest.mark.parametrize(
    ("row", "types"),
    [
        ({"Subject": "Call", "TaskSubtype": "Call"}, ("call",)),
        ({"Subject": "Call", "TaskSubtype": "Call", "CallDisposition": "Left message"}, ("other",)),
        ({"Subject": "Email: Re: our talk", "TaskSubtype": "Email"}, ("email_reply",)),
        ({"Subject": "Email: our offer", "TaskSubtype": "Email"}, ("other",)),
        ({"Subject": "Price question"}, ("price_question",)),
        ({"Subject": "Call back requested"}, ("call_request",)),
        ({"Subject": "Intends to buy"}, ("purchase_intent",)),
        ({"Subject": "Subscription change"}, ("subscription_change",)),
        ({"Subject": "Demo request"}, ("demo_request",)), ({"Subject": "Contact request"}, ("contact_request",)),
        ({"Subject": "[HubSpot] Call", "TaskSubtype": "Call"}, ()), ({"Subject": "Call",
        "Status": "Not Started"}, ()),
        ({"Subject": "Call", "CreatedBy.Name": "HubSpot Integration"}, ()),
    ],
)  # fmt: skip
def test_a_task_is_known_by_its_subject_and_copies_are_ignored(row, types):
    assert types_of("Task", "salesforce", [row]) == [types]


def test_the_shipped_files_name_only_types_that_a_stream_can_carry():
    claimed = {
        type
        for mapping in (HUBSPOT, SALESFORCE)
        for stream in mapping.engagement.values()
        for type in stream.source_of
    }
    assert claimed <= set(ENGAGEMENT_TYPES)


def test_an_event_about_several_records_is_kept_once_for_each_under_one_key():
    both = normalize_event(event("meetings", about=(ADA, Ref("hubspot", "contact", "2"), ADA)), HUBSPOT)
    alone = normalize_event(event("meetings", about=(ADA,)), HUBSPOT)
    assert [each.about.id for each in both] == ["1", "2"]
    assert {each.key for each in both} == {"k"}
    assert alone[0].key == both[0].key


def test_an_event_known_by_address_only_waits_for_its_person():
    (one,) = normalize_event(
        event(
            "form_submissions",
            about=(),
            email=" ADA@Example.com",
            form_name="Contact us",
            pageUrl="https://x.example/contact",
        ),
        HUBSPOT,
    )
    assert (one.about, one.email, one.key, one.name) == (None, "ada@example.com", "k", "Contact us")


def test_another_streams_event_is_stored_and_not_counted():
    row = {"Campaign.Type": "Other", "Campaign.Name": "Request a demo", "HasResponded": True}
    (one,) = normalize_event(event("CampaignMember", crm="salesforce", **row), SALESFORCE)
    assert not one.counted
    assert one.why_not == "Task is the source of record for demo_request"


def test_a_deletion_passes_even_where_the_event_would_be_ignored():
    (one,) = normalize_event(event("email_events", deleted=True, filteredEvent=True, type="CLICK"), HUBSPOT)
    assert one.deleted


def test_a_stream_the_mapping_does_not_name_is_ignored():
    assert normalize_event(event("fax"), HUBSPOT) == ()


# ------------------------------------------------------------------------------------------------ counted once


def did(crm, minutes, name="Webinar", type="webinar_attendance", **more):
    return Engagement(
        crm, "s", f"{crm}{minutes}{name}", type, NOW + timedelta(minutes=minutes), name=name, **more
    )


@pytest.mark.parametrize(
    ("events", "many"),
    [
        ([did("a", 0), did("b", 3, "webinar ")], 1),
        ([did("a", 0), did("b", 5)], 1),
        ([did("a", 0), did("b", 5.01)], 2),
        ([did("a", 0), did("a", 1)], 2),
        ([did("a", 0), did("b", 1, "Other")], 2),
        ([did("a", 0), did("b", 1, type="call")], 2),
        ([did("a", 0), did("a", 1), did("b", 1), did("b", 2)], 2),
        ([did("a", 0), did("b", 1), did("c", 2)], 1),
        ([did("a", 0), did("b", 4), did("a", 8)], 2),
        ([did("a", 0, deleted=True), did("b", 1)], 1),
        ([did("a", 0, counted=False), did("b", 1)], 1),
        ([did("a", 0, None), did("b", 1, None)], 1),
        ([], 0),
    ],
)
def test_what_two_crms_both_tell_counts_once(events, many):
    assert len(count_once(events)) == many
    assert count_once(reversed(events)) == count_once(events)
