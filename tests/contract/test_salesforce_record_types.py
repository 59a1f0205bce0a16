"""The kind of a record by the name of its record type: known of every person, in orgs that have record types."""

from datetime import timedelta

import pytest
import structlog

from adapters.salesforce.sandbox.record_types import PARTNER
from connector.app.commands.init import shipped
from connector.app.files import load_mapping
from connector.core.mapping import wanted_fields
from connector.core.model import RecordState
from connector.core.normalize import normalize_person
from connector.errors import FixConfig

MAPPING = load_mapping(shipped() / "salesforce.yaml")
FIELDS = wanted_fields(MAPPING)


async def kinds(org, source, **more):
    """Record type by id, in our words, as the shipped mapping reads it."""
    records = await org.records(source, fields=FIELDS, **more)
    return {
        id: normalize_person(record, MAPPING).fields.get("record_type")
        for id, record in records.items()
        if record.state is RecordState.LIVE
    }


async def test_a_record_is_known_by_the_name_of_its_type(make_org):
    org = await make_org(record_types=True)

    found = await kinds(org, "Lead")

    partners = {id for id in found if org.sandbox.raw("Lead", id)["RecordTypeId"] == PARTNER}
    assert {id for id, kind in found.items() if kind == "Partner_Lead"} == partners
    assert partners
    assert set(found) - partners
    assert {kind for id, kind in found.items() if id not in partners} == {None}


async def test_an_object_without_record_types_has_none_and_nobody_is_warned(org):
    with structlog.testing.capture_logs() as said:
        found = {**await kinds(org, "Lead"), **await kinds(org, "Contact")}

    assert found
    assert set(found.values()) == {None}
    assert not [line for line in said if "RecordType" in str(line)]


async def test_naming_the_type_later_stops_no_stream_where_there_is_none(org):
    lines = {"Lead": FIELDS["Lead"] - {"RecordType.DeveloperName"}}
    await org.pull("Lead", fields=lines)

    assert await org.pull("Lead", fields=FIELDS)


async def test_a_type_that_is_hidden_is_not_taken_for_none(make_org):
    org = await make_org(record_types=True)
    await org.pull("Lead", fields=FIELDS)
    lead = sorted(org.ids("Lead"))[0]
    org.sandbox.act("Lead", lead, "hide", field="RecordTypeId")

    with pytest.raises(FixConfig, match=r"RecordType\.DeveloperName could be read until now"):
        await org.pull("Lead", fields=FIELDS)


async def test_an_object_without_record_types_is_not_asked_for_them_again_by_the_hour(org):
    await org.pull("Lead", fields=FIELDS)
    org.clock.advance(timedelta(hours=2))
    before = len(org.sandbox.log.calls())

    await org.pull("Lead", fields=FIELDS)

    assert not [call for call in org.sandbox.log.calls()[before:] if call.status == 400]
