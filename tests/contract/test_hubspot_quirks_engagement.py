"""HubSpot's engagement over real HTTP: what it tells late, twice, without a scope or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.core.model import Ref
from tests.contract.hubspot_account import HOUR, engaged

ACTIVITIES = ("meetings", "calls", "emails", "tasks", "notes", "communications")


@pytest.fixture
async def account():
    async with engaged() as account:
        yield account


# -------------------------------------------------------------------------------------------------- activities


@pytest.mark.parametrize("version", ["2026-03", "v3"])
async def test_every_kind_of_activity_is_read_whole_with_its_contacts_as_text(version):
    async with engaged({"HUBSPOT_API_VERSION": version}) as account:
        counts = account.sandbox.counts()
        for stream in ACTIVITIES:
            events = await account.events(stream)
            assert len(events) == counts[stream] > 0
            assert all(ref.id.isdigit() for event in events for ref in event.about)
            assert any(event.about for event in events)


async def test_mail_that_came_in_is_an_answer_and_mail_that_went_out_is_no_deed_of_theirs(account):
    ((contact, _),) = account.people()
    await account.quiet("emails")
    for subject, direction in (("Re: offer", "INCOMING_EMAIL"), ("Offer", "EMAIL"),
                               ("Automatic reply: Offer", "INCOMING_EMAIL")):  # fmt: skip
        account.sandbox.create(
            "emails",
            {"hs_email_subject": subject, "hs_email_direction": direction, "hs_timestamp": "2026-11-22T09:00:00Z",
             "contacts": [contact]},
        )  # fmt: skip
    account.clock.advance(HOUR)

    told = {(one.name, one.type): one for one in await account.engagement("emails")}

    assert set(told) == {("Re: offer", "email_reply"), ("Automatic reply: Offer", "other")}
    assert told["Re: offer", "email_reply"].about == Ref("hubspot", "contact", contact)


async def test_of_several_contacts_in_a_mail_only_its_sender_answered(account):
    (one, sender), (other, _) = account.people(2)
    await account.quiet("emails")
    store = account.sandbox.sandbox.store
    id_ = account.sandbox.create("emails", {"hs_email_direction": "INCOMING_EMAIL", "contacts": [one, other]})
    store.tables["emails"].rows[int(id_)].values["hs_email_from_email"] = sender
    account.clock.advance(HOUR)

    (event,) = await account.events("emails")

    assert (event.about, event.email) == ((), sender)


async def test_a_task_happens_when_it_is_noted_down_and_not_when_it_is_due(account):
    tasks = await account.events("tasks")

    assert {task.values["hs_task_status"] for task in tasks} == {"COMPLETED", "NOT_STARTED"}
    assert all(task.occurred_at.isoformat() < task.values["hs_timestamp"] for task in tasks)
    assert all(task.occurred_at < account.clock.now() + HOUR for task in tasks)  # some are due next week


async def test_an_activity_of_more_contacts_than_an_answer_holds_keeps_them_all():
    async with engaged(people=1_200) as account:
        contacts = [r.id for r in account.population.records("hubspot") if r.state == "live"][:1_150]
        await account.quiet("meetings")
        account.sandbox.create("meetings", {"hs_meeting_title": "All hands", "contacts": contacts})
        account.clock.advance(HOUR)

        (meeting,) = await account.events("meetings")

        assert [ref.id for ref in meeting.about] == contacts


async def test_associations_of_many_activities_are_read_in_one_call(account):
    await account.quiet("notes")
    account.sandbox.log.clear()
    for _ in range(150):
        account.sandbox.create("notes", {"hs_note_body": "x"})
    account.clock.advance(HOUR)

    events = await account.events("notes")

    assert len(events) == 150  # none has a contact: 150 error entries in a 207, and no failure
    assert not any(event.about for event in events)
    assert len([c for c in account.sandbox.log.calls() if "associations" in c.path]) == 1


async def test_a_changed_association_is_found_by_the_weekly_sweep(account):
    (one, _), (other, _) = account.people(2)
    meeting = account.sandbox.create("meetings", {"hs_meeting_title": "Demo", "contacts": [one]})
    await account.quiet("meetings")
    account.sandbox.act("meetings", meeting, "associate", contacts=[other])
    account.clock.advance(HOUR)
    assert await account.events("meetings") == []  # no last-modified time moved
    account.clock.advance(timedelta(days=7))

    found = {event.key: event for event in await account.events("meetings")}

    assert found[meeting].about == (Ref("hubspot", "contact", other),)
