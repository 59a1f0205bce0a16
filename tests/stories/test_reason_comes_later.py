"""Sales rejects in one CRM, and says why a minute later: rejected becomes given back, with the dates of the answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from connector.app.wiring import plugins
from connector.core.model import MqlStatus
from connector.core.targets import reject_reasons, targets_of
from connector.testing.clock import LeapingClock
from tests.stories.world import World, look, somebody, world

WHY = "mql_reject_reason"


async def reason_is_read(made: World) -> None:
    """The property for sales' reasons, made by set-up and named in the mapping."""
    plugin, mapping = plugins()["hubspot"], made.definition.mappings["hubspot"]
    admin = plugin.admin(made.running.environment(), LeapingClock(made.clock))
    try:
        await admin.steps((*targets_of(mapping), *reject_reasons(mapping, plugin.reject_reason)), make=True)
    finally:
        await admin.close()
    contact = mapping.objects["contact"]
    assert contact.status is not None
    asked = replace(contact, status=replace(contact.status, reason=WHY))
    made.remap("hubspot", objects={**mapping.objects, "contact": asked})


async def test_a_rejection_whose_reason_comes_a_minute_later_is_given_back_and_keeps_its_dates(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=30) as made:
        await reason_is_read(made)
        await made.sync()
        who = await somebody(made, stage="mql")
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "UNQUALIFIED"})
        answered = made.clock.now()
        made.later(minutes=7)
        await made.sync()
        rejected = (await look(made, who)).state
        told_first = made.salesforce.raw("Lead", who.lead)["MQL_Status__c"]

        made.hubspot.edit("contacts", who.contact, {WHY: "no_budget"})
        made.later(minutes=1)
        await made.sync()

        given_back = (await look(made, who)).state
        assert (rejected.stage, rejected.status, told_first) == ("lead", MqlStatus.REJECTED, "rejected")
        assert given_back.status is MqlStatus.RECYCLED
        assert rejected.rejected_at is not None
        assert abs(rejected.rejected_at - answered) < timedelta(seconds=2)
        for name in ("since", "rejected_at", "cool_off_until", "first_mql_at", "answered_at"):
            assert getattr(given_back, name) == getattr(rejected, name), name
        assert made.hubspot.raw("contacts", who.contact)["properties"]["mql_status"] == "recycled"
        assert made.salesforce.raw("Lead", who.lead)["MQL_Status__c"] == "recycled"
