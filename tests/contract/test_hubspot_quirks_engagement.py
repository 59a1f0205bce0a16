"""HubSpot's engagement over real HTTP: what it tells late, twice, without a scope or not at all."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from ruamel.yaml import YAML

from connector.app.commands.init import shipped
from connector.core.mapping_file import parse_mapping
from connector.core.model import Ref
from connector.errors import FixConfig
from tests.contract.hubspot_account import FIELDS, HOUR, engaged, uncommented

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

    assert set(told) == {
        ("Re: offer", "email_reply"),
        ("Automatic reply: Offer", "other"),
        ("Offer", "other"),
    }
    ours = told["Offer", "other"]
    assert (ours.counted, ours.attributes["touch"]) == (False, True), (
        "kept as what sales did, and no deed of theirs"
    )
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


# ---------------------------------------------------------------------------------------------- form submissions


async def test_quirk_hubspot_20_submissions_that_vanish_without_a_scope_fail_the_stream_and_name_the_scope():
    async with engaged(submissions_hidden=True) as account:
        with pytest.raises(FixConfig, match="`forms`") as told:
            await account.events("form_submissions")

    assert "form_submissions" in told.value.next_step
    assert "form_submissions" not in account.cursors


async def test_quirk_hubspot_20_a_scope_lost_over_night_is_noticed_at_the_next_conversion_and_weekly(account):
    ((_, address),) = account.people()
    await account.quiet("form_submissions")
    form = next(form.name for form in account.sandbox.sandbox.store.forms.values() if form.kind == "hubspot")
    store = account.sandbox.sandbox.store
    store.habits = replace(store.habits, submissions_hidden=True)
    assert await account.events("form_submissions") == []  # nobody sent anything: nothing to doubt
    before = dict(account.cursors)

    account.sandbox.create("form_submissions", {"form": form, "email": address})
    account.clock.advance(HOUR)
    with pytest.raises(FixConfig, match="`forms`"):
        await account.events("form_submissions")
    account.clock.advance(timedelta(days=8))
    with pytest.raises(FixConfig, match="`forms`"):
        await account.events("form_submissions")
    assert account.cursors == before

    store.habits = replace(store.habits, submissions_hidden=False)
    assert address in {event.email for event in await account.events("form_submissions")}


async def test_an_account_whose_forms_nobody_sent_is_simply_empty():
    async with engaged(people=1) as account:
        store = account.sandbox.sandbox.store
        for form in store.forms.values():
            form.submissions.clear()
        for row in store.tables["contacts"].rows.values():
            row.values = {k: v for k, v in row.values.items() if "conversion" not in k}

        assert await account.events("form_submissions") == []
        assert account.cursors["form_submissions"]["kind"] == "conversions"


async def test_a_form_that_shows_nothing_new_beside_others_that_do_is_no_alarm(account):
    ((_, address),) = account.people()
    await account.quiet("form_submissions")
    store = account.sandbox.sandbox.store
    contact = store.contact_of(address)
    when = account.clock.now().isoformat().replace("+00:00", "Z")
    store.tables["contacts"].set_quietly(
        contact,
        {
            "recent_conversion_date": when,
            "num_conversion_events": "9",
            "recent_conversion_event_name": "Meetings",
        },
    )  # converted on something whose submissions nobody can read
    account.clock.advance(HOUR)

    assert await account.events("form_submissions") == []


async def test_comment_forms_are_passed_over_and_the_other_forms_read(account):
    kinds = {form.kind for form in account.sandbox.sandbox.store.forms.values()}
    assert "blog_comment" in kinds
    account.sandbox.faults.add(
        path="/form-integrations/*", status=400, times=1,
        json={"status": "error", "category": "VALIDATION_ERROR", "errorType": "FORM_TYPE_NOT_ALLOWED", "message": "x"},
    )  # fmt: skip

    assert await account.events("form_submissions")


async def test_old_submissions_without_an_id_are_told_apart_by_what_they_say(account):
    store = account.sandbox.sandbox.store
    form = next(form for form in store.forms.values() if form.kind == "hubspot")
    at = int((account.clock.now() - timedelta(days=800)).timestamp() * 1000)
    for topic in ("pricing", "support"):  # the same person, form and millisecond
        store.submit(form, at, {"email": "ada@example.com", "topic": topic}, "/page", keep_id=False)

    first = {
        event.key for event in await account.events("form_submissions") if event.email == "ada@example.com"
    }
    account.cursors.clear()
    again = {
        event.key for event in await account.events("form_submissions") if event.email == "ada@example.com"
    }

    assert len(first) == 2
    assert first == again


async def test_submissions_of_the_same_second_over_a_page_boundary_all_come(account):
    await account.quiet("form_submissions")
    form = next(form.name for form in account.sandbox.sandbox.store.forms.values() if form.kind == "hubspot")
    at = int(account.clock.now().timestamp() * 1000)
    ((_, address),) = account.people()
    for n in range(130):  # more than two pages of them
        account.sandbox.create("form_submissions", {"form": form, "email": address, "n": str(n), "at": at})
    account.clock.advance(HOUR)

    events = await account.events("form_submissions")

    assert sorted(int(event.values["n"]) for event in events) == list(range(130))


# ------------------------------------------------------------------------------------------------- e-mail events


def mail_event(account, email="ada@example.com", type="CLICK", ago=timedelta(minutes=1), **more):
    at = int((account.clock.now() - ago).timestamp() * 1000)
    return account.sandbox.create("email_events", {"type": type, "email": email, "at": at, **more})


async def test_quirk_hubspot_22_an_offset_that_expired_begins_its_window_again():
    async with engaged() as account:
        for n in range(2_300):  # three pages in one window
            mail_event(account, email=f"p{n}@example.com", ago=timedelta(minutes=1, milliseconds=n))
        seen = set()
        async with aclosing(account.adapter.pull("email_events", None, FIELDS)) as pages:
            async for page in pages:
                seen |= {event.key for event in page.events}
                account.cursors["email_events"] = page.cursor
                if page.cursor.get("offset"):
                    break
        account.clock.advance(5 * HOUR)  # the offset lived four and a half

        seen |= {event.key for event in await account.events("email_events")}

        assert len(seen) == account.sandbox.counts()["email_events"]
        refused = [
            call for call in account.sandbox.log.calls() if "email/public" in call.path and call.status == 400
        ]
        assert len(refused) == 1


@pytest.mark.parametrize("tells", [True, False])
async def test_quirk_hubspot_23_every_campaign_has_its_name_because_the_list_is_read_without_statistics(
    tells,
):
    async with engaged(emails_tell_campaigns=tells) as account:
        names = {70_100 + n: f"Mailing {n}" for n in range(150)}
        account.sandbox.sandbox.store.email_campaigns.update(names)
        for campaign in names:
            mail_event(account, campaign=campaign)

        told = {
            e.values["emailCampaignId"]: e.values["emailCampaignName"]
            for e in await account.events("email_events")
        }

        assert {id_: told[id_] for id_ in names} == names
        calls = account.sandbox.log.calls()
        assert not [call for call in calls if "includeStats" in call.query]
        listed = [call for call in calls if "marketing/emails" in call.path]
        single = [call for call in calls if "v1/campaigns" in call.path]
        assert len(listed) == 2
        assert {int(call.path.rpartition("/")[2]) for call in single}.isdisjoint(names) is tells
        assert len(single) <= len(told)


async def test_quirk_hubspot_23_with_statistics_the_made_up_list_leaves_mails_out_as_the_real_one_did(
    account,
):
    token = {"Authorization": "Bearer pat-eu1-sandbox-full"}
    async with httpx.AsyncClient(base_url=account.sandbox.url, headers=token) as client:
        plain = (await client.get("/marketing/v3/emails?limit=100")).json()["results"]
        counted = (await client.get("/marketing/v3/emails?limit=100&includeStats=true")).json()["results"]

    assert 0 < len(counted) < len(plain)


async def test_a_campaign_is_looked_up_once_and_one_that_is_gone_keeps_its_number(account):
    mail_event(account, campaign=70_002)
    mail_event(account, campaign=12_345)
    first = await account.engagement("email_events")
    account.sandbox.log.clear()
    account.clock.advance(HOUR / 2)
    again = await account.engagement("email_events")

    assert not [call for call in account.sandbox.log.calls() if "campaigns" in call.path]
    assert {one.name for one in first if one.email == "ada@example.com"} == {"Product update 4.2", "12345"}
    assert {one.name for one in again} >= {"Product update 4.2", "12345"}


async def test_quirk_hubspot_26_a_type_that_nobody_knew_is_kept_and_stops_nothing(account):
    mail_event(account, type="TELEPATHY")
    mail_event(account)

    types = [one.type for one in await account.engagement("email_events") if one.email == "ada@example.com"]

    assert sorted(types) == ["email_click", "other"]


async def test_what_hubspot_knows_for_a_machine_is_kept_and_not_counted(account):
    mail_event(account, email="bot@example.com", filtered=True)
    mail_event(account, email="ada@example.com", filtered=False)

    counted = {one.email: one.counted for one in await account.engagement("email_events")}

    assert counted["ada@example.com"] is True
    assert counted["bot@example.com"] is False


async def test_an_event_that_shows_up_an_hour_late_and_one_two_days_late_are_read(account):
    await account.quiet("email_events")
    await account.events("email_events")

    mail_event(account, email="hour@example.com", ago=timedelta(minutes=50))
    mail_event(account, email="days@example.com", ago=timedelta(days=2))
    account.clock.advance(timedelta(minutes=5))
    soon = {event.email for event in await account.events("email_events")}
    account.clock.advance(timedelta(days=1))
    later = {event.email for event in await account.events("email_events")}

    assert "hour@example.com" in soon
    assert "days@example.com" in later


# ----------------------------------------------------------------------------------------------- marketing events

NO_EVENTS = {"HUBSPOT_ACCESS_TOKEN": "pat-eu1-sandbox-no-marketing-events"}


def asked_of(account):
    """Which marketing events were asked for their participations since the log was cleared."""
    calls = [call.path for call in account.sandbox.log.calls() if call.path.endswith("/breakdown")]
    return [path.split("/")[-2] for path in calls]


@pytest.mark.parametrize("version", ["2026-03", "v3"])
@pytest.mark.parametrize("all_states", [False, True])
async def test_who_came_to_a_webinar_is_read_event_by_event_whatever_states_are_listed(version, all_states):
    async with engaged({"HUBSPOT_API_VERSION": version}, people=400, all_states=all_states) as account:
        told = await account.engagement("marketing_events")
        live = [one for one in told if not one.deleted]

        assert {one.type for one in live} >= {"webinar_attendance", "webinar_registration", "other"}
        assert all(one.about and one.about.object == "contact" for one in live)
        counted = {one.type for one in live if one.counted and one.type != "other"}
        assert counted == {"webinar_attendance"}  # registration is the form's to tell
        came = [one for one in live if one.type == "webinar_attendance"]
        assert {one.name for one in came} == {"Lead scoring live"}
        assert all(one.value == 2_700 for one in came)


async def test_a_participation_of_more_than_a_page_and_every_state_has_its_own_meaning():
    async with engaged(people=400) as account:
        await account.quiet("marketing_events")
        contacts = [r.id for r in account.population.records("hubspot") if r.state == "live"][:250]
        fair = account.sandbox.create("marketing_events", {"name": "RevOps Days", "type": "CONFERENCE"})
        for place, contact in enumerate(contacts):
            state = ("REGISTERED", "ATTENDED", "NO_SHOW", "CANCELLED", "EMPTY")[place % 5]
            account.sandbox.create("participations", {"event": fair, "contact": contact, "state": state})
        account.clock.advance(HOUR)

        told = [one for one in await account.engagement("marketing_events") if not one.deleted]

        assert len(told) == 200  # those without a state say nothing
        types = {one.status: one.type for one in told}
        assert types == {
            "REGISTERED": "other",
            "ATTENDED": "event_attendance",
            "NO_SHOW": "other",
            "CANCELLED": "other",
        }


async def test_a_cancellation_takes_the_registration_back_and_a_later_one_stands(account):
    ((contact, _),) = account.people()
    await account.quiet("marketing_events")
    webinar = account.sandbox.create("marketing_events", {"name": "Next one"})
    key = f"{webinar}:{contact}:REGISTERED"

    async def registered():
        account.clock.advance(HOUR)
        events = {event.key: event for event in await account.events("marketing_events")}
        return key in events and not events[key].deleted

    async def goes(state):
        account.sandbox.create("participations", {"event": webinar, "contact": contact, "state": state})
        return await registered()

    assert await goes("REGISTERED") is True
    assert await goes("CANCELLED") is False
    assert await goes("REGISTERED") is True


async def test_only_events_that_are_open_or_ended_lately_are_asked_again_and_only_for_news(account):
    (contact, _), (other, _) = account.people(2)
    events = account.sandbox.sandbox.store.marketing_events
    await account.quiet("marketing_events")
    account.sandbox.log.clear()
    await account.events("marketing_events")
    assert asked_of(account) == []  # one call: the list

    open_ = max(events)
    account.sandbox.create("participations", {"event": open_, "contact": contact, "state": "REGISTERED"})
    account.clock.advance(HOUR)
    await account.events("marketing_events")
    assert asked_of(account) == [str(open_)]

    account.sandbox.log.clear()
    account.clock.advance(timedelta(days=1))  # once a day all that are still open, in case the counts lie
    await account.events("marketing_events")
    assert set(asked_of(account)) <= {str(id_) for id_ in sorted(events)[-2:]}

    account.sandbox.log.clear()
    account.clock.advance(HOUR)
    long_ago = min(events)
    account.sandbox.create("participations", {"event": long_ago, "contact": other, "state": "ATTENDED"})
    await account.events("marketing_events")
    assert str(long_ago) in asked_of(account)  # handed in a year late: the event says that it was changed


async def test_a_pull_of_marketing_events_that_broke_off_goes_on_with_the_next_event():
    async with engaged(people=400) as account:
        whole = {event.key for event in await account.events("marketing_events")}
        account.cursors.clear()
        seen = set()
        async with aclosing(account.adapter.pull("marketing_events", None, FIELDS)) as pages:
            async for page in pages:
                seen |= {event.key for event in page.events}
                account.cursors["marketing_events"] = page.cursor
                break
        first = account.cursors["marketing_events"]["event"]
        account.sandbox.log.clear()

        seen |= {event.key for event in await account.events("marketing_events")}

        assert seen == whole
        assert first not in asked_of(account)


async def test_a_token_that_never_saw_marketing_events_is_told_so_and_the_stream_is_no_failure():
    async with engaged(NO_EVENTS) as account:
        (page,) = [page async for page in account.pages("marketing_events")]
        assert "crm.objects.marketing_events.read" in page.note
        (again,) = [page async for page in account.pages("marketing_events")]  # asked again, for one call
        assert again.note


async def test_a_token_that_can_no_longer_see_marketing_events_fails_the_stream(account):
    await account.events("marketing_events")
    refusal = {
        "status": "error",
        "category": "MISSING_SCOPES",
        "errors": [
            {"message": "x", "context": {"requiredGranularScopes": ["crm.objects.marketing_events.read"]}}
        ],
    }
    account.sandbox.faults.add(path="/marketing/*", status=403, json=refusal, times=None)

    with pytest.raises(FixConfig, match="marketing_events"):
        await account.events("marketing_events")


# ---------------------------------------------------------------------------------------------- behavioural events


async def visits(account, people):
    refs = [Ref("hubspot", "contact", id_) for id_ in people]
    cursor = account.cursors.get("behavioural_events")
    pages = []
    async for page in account.adapter.pull_for("behavioural_events", refs, cursor, FIELDS):
        pages.append(page)
        account.cursors["behavioural_events"] = page.cursor
    return pages


def questions(account):
    return [call for call in account.sandbox.log.calls() if "event-occurrences" in call.path]


async def test_page_visits_are_asked_of_the_people_named_a_call_each_and_of_nobody_else(account):
    people = [id_ for id_, _ in account.people(12)]
    for id_ in people:
        account.sandbox.act("contact", id_, "page_view", url="https://www.our-company.example/pricing")
    account.clock.advance(timedelta(minutes=1))
    account.sandbox.log.clear()

    events = [event for page in await visits(account, people[:8]) for event in page.events]

    assert len(questions(account)) == 8
    assert {ref.id for event in events for ref in event.about} == set(people[:8])
    assert {"https://www.our-company.example/pricing"} <= {event.values["hs_url"] for event in events}
    assert len({event.key for event in events}) == len(events)


async def test_the_same_person_is_asked_about_again_after_six_hours_and_a_new_one_at_once(account):
    (one, _), (other, _) = account.people(2)
    await visits(account, [one])
    account.clock.advance(HOUR)
    account.sandbox.act("contact", one, "page_view", url="https://x.example/late")
    account.sandbox.log.clear()
    await visits(account, [one, other])
    assert [call.query.split("objectId=")[1].split("&")[0] for call in questions(account)] == [other]

    account.clock.advance(5 * HOUR)
    events = [event for page in await visits(account, [one]) for event in page.events]
    assert "https://x.example/late" in {event.values["hs_url"] for event in events}


async def test_more_visits_than_a_page_holds_all_come(account):
    ((one, _),) = account.people()
    account.sandbox.act("contact", one, "page_view", url="https://x.example/", times=250)
    account.clock.advance(timedelta(minutes=1))

    (page,) = await visits(account, [one])

    assert len([event for event in page.events if event.values["hs_url"] == "https://x.example/"]) == 250


async def test_an_account_below_enterprise_says_so_once_for_one_call_and_that_is_no_failure():
    async with engaged(enterprise=False) as account:
        people = [id_ for id_, _ in account.people(30)]
        account.sandbox.log.clear()

        (page,) = await visits(account, people)

        assert len(questions(account)) == 1
        assert "does not have access" in page.note
        assert page.events == ()


async def test_an_account_that_had_page_visits_and_lost_them_fails_the_stream(account):
    (one, _), (other, _) = account.people(2)
    await visits(account, [one])
    store = account.sandbox.sandbox.store
    store.habits = replace(store.habits, enterprise=False)

    with pytest.raises(FixConfig, match="forbids"):
        await visits(account, [one, other])


def test_what_the_shipped_mapping_only_proposes_is_valid_as_it_stands():
    proposed = uncommented((shipped() / "hubspot.yaml").read_text(encoding="utf-8"))

    mapping = parse_mapping(YAML(typ="safe").load(proposed))

    assert {"tasks", "notes", "communications", "behavioural_events"} <= set(mapping.engagement)
    assert mapping.engagement["behavioural_events"].only_bands == (5,)
