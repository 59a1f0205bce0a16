"""The task of a spell as MQL: on whose record, and what its subject says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.core.crm_task import LONGEST_SUBJECT, task_of
from connector.core.model import PersonRecord, Ref

AT = datetime(2026, 11, 1, tzinfo=UTC)
CONTACT, LEAD, OTHER = (
    PersonRecord(ref, {"owner": owner}, AT)
    for ref, owner in (
        (Ref("hubspot", "contact", "1"), "80001"),
        (Ref("salesforce", "Lead", "00Q1"), "0051"),
        (Ref("salesforce", "Contact", "0031"), "0052"),
    )
)


@pytest.mark.parametrize(
    ("crm", "owner", "record"),
    [
        ("salesforce", "0051", LEAD),
        ("salesforce", "0052", OTHER),
        ("salesforce", "0059", LEAD),  # who owns the account alone
        ("hubspot", "80001", CONTACT),
    ],
)
def test_it_stands_on_the_record_that_its_owner_holds(crm: str, owner: str, record: PersonRecord) -> None:
    task = task_of(7, "MQL: Asked for a price", owner, AT, crm, [CONTACT, LEAD, OTHER])
    assert task is not None
    assert (task.record, task.subject) == (record.ref, "MQL: Asked for a price [MQL 7]")


def test_without_a_record_in_the_crm_of_the_owner_there_is_none() -> None:
    assert task_of(7, "MQL", "0051", None, "salesforce", [CONTACT]) is None


@pytest.mark.parametrize("because", ["x" * 400, "MQL: " + "word " * 80])
def test_a_long_reason_is_cut_before_the_mark(because: str) -> None:
    task = task_of(4711, because, "80001", None, "hubspot", [CONTACT])
    assert task is not None
    assert len(task.subject) <= LONGEST_SUBJECT
    assert task.subject.startswith("MQL: ")
    assert task.subject.endswith("... [MQL 4711]")
    assert task.body == because
