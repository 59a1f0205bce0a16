"""An opt-out anywhere holds; what a CRM hides from us is unknown, and never a yes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.app.commands.init import shipped
from connector.app.files import load_mapping
from connector.core.consent import Consent, mail_consent
from connector.core.model import RecordState, Ref, VendorRecord
from connector.core.normalize import normalize_person, person_fields

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MAPPINGS = {crm: load_mapping(shipped() / f"{crm}.yaml") for crm in ("hubspot", "salesforce")}


def contact(state=RecordState.LIVE, **values):
    record = VendorRecord(Ref("hubspot", "contact", "1"), "person", values, NOON, state=state)
    return normalize_person(record, MAPPINGS["hubspot"])


def lead(**values):
    return normalize_person(
        VendorRecord(Ref("salesforce", "Lead", "00Q1"), "person", values, NOON), MAPPINGS["salesforce"]
    )


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ([contact(hs_email_optout=None)], Consent.NOT_REFUSED),
        ([contact(hs_email_optout="true")], Consent.REFUSED),
        ([contact()], Consent.UNKNOWN),
        ([lead(HasOptedOutOfEmail=None)], Consent.UNKNOWN),  # so reads what field-level security hides
        ([contact(hs_email_optout=None), lead(HasOptedOutOfEmail=False)], Consent.NOT_REFUSED),
        ([contact(hs_email_optout=None), lead(HasOptedOutOfEmail=True)], Consent.REFUSED),
        ([contact(hs_email_optout=None), lead()], Consent.UNKNOWN),
        ([contact(hs_email_optout="true"), lead()], Consent.REFUSED),
        ([contact(state=RecordState.GONE), lead(HasOptedOutOfEmail=False)], Consent.NOT_REFUSED),
        ([], Consent.UNKNOWN),
    ],
)
def test_consent_is_what_every_record_that_is_asked_says(records, wanted):
    fields, _ = person_fields(records, {})
    assert mail_consent(fields, records, MAPPINGS) is wanted


def test_where_no_mapping_asks_for_it_nobody_is_said_to_agree():
    record = contact(hs_email_optout=None)
    assert mail_consent(record.fields, [record], {}) is Consent.UNKNOWN
