"""HubSpot's own Python client holds the made-up HubSpot's engagement to the wire protocol: activities, forms, marketing
e-mails and events, page visits, associations."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import (
    BatchInputPublicFetchAssociationsBatchRequest,
    PublicFetchAssociationsBatchRequest,
)
from hubspot.crm.objects import (
    BatchReadInputSimplePublicObjectId,
    PublicObjectSearchRequest,
    SimplePublicObjectId,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.events.exceptions import ApiException as EventsException
from hubspot.marketing.events.exceptions import ApiException as MarketingException

from adapters.hubspot.sandbox import build
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
KINDS = {
    "calls": {"hs_call_title": "A call", "hs_call_status": "COMPLETED"},
    "communications": {"hs_communication_channel_type": "WHATS_APP"},
    "emails": {"hs_email_subject": "Re: offer", "hs_email_direction": "INCOMING_EMAIL"},
    "meetings": {"hs_meeting_title": "A meeting", "hs_meeting_outcome": "SCHEDULED"},
    "notes": {"hs_note_body": "A note"},
    "tasks": {"hs_task_subject": "A task", "hs_task_status": "NOT_STARTED"},
}
TYPE_IDS = {"calls": 194, "communications": 81, "emails": 198, "meetings": 200, "notes": 202, "tasks": 204}
WHEN = "2026-11-22T09:30:00Z"


def client(url, token="pat-eu1-sandbox-full"):
    sdk = HubSpot(access_token=token)
    sdk.config["host"] = sdk.config["base_url"] = url
    return sdk


@pytest.fixture(scope="module")
def sandbox():
    population = make_population(250, 11, START)
    with serve([build(population, SandboxClock(START), strict_limits=False)]) as running:
        yield running["hubspot"]


@pytest.fixture
def sdk(sandbox):
    return client(sandbox.url)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_activity_is_made_found_read_changed_and_archived(sandbox, sdk, kind):
    api = getattr(sdk.crm.objects, kind)
    properties = {**KINDS[kind], "hs_timestamp": WHEN}
    names = list(properties)
    new = SimplePublicObjectInputForCreate(properties=properties, associations=[])

    made = api.basic_api.create(new)
    read = api.basic_api.get_by_id(made.id, properties=names)
    assert {name: read.properties[name] for name in names} == properties

    batch = BatchReadInputSimplePublicObjectId(
        properties=names, properties_with_history=[], inputs=[SimplePublicObjectId(id=made.id)]
    )
    assert [row.id for row in api.batch_api.read(batch).results] == [made.id]

    changed = api.basic_api.update(made.id, SimplePublicObjectInput(properties={"hs_timestamp": WHEN}))
    assert changed.id == made.id
    sandbox.clock.advance(timedelta(seconds=3))
    at = str(int(START.timestamp() * 1000))
    filters = [{"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": at}]
    found = api.search_api.do_search(
        PublicObjectSearchRequest(filter_groups=[{"filters": filters}], limit=200)
    )
    assert made.id in [row.id for row in found.results]

    api.basic_api.archive(made.id)
    with pytest.raises(Exception, match=r"\(404\)"):  # each kind has an exception class of its own
        api.basic_api.get_by_id(made.id)
    assert made.id in [row.id for row in api.basic_api.get_page(limit=100, archived=True).results]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_activity_tells_its_contacts_with_the_right_type(sdk, kind):
    page = getattr(sdk.crm.objects, kind).basic_api.get_page(limit=100)
    ids = [PublicFetchAssociationsBatchRequest(id=row.id) for row in page.results]

    answer = sdk.crm.associations.v4.batch_api.get_page(
        kind, "contacts", BatchInputPublicFetchAssociationsBatchRequest(inputs=ids)
    )

    assert answer.results
    assert {one.association_types[0].type_id for row in answer.results for one in row.to} == {TYPE_IDS[kind]}


def test_links_beyond_five_hundred_of_one_record_go_on_with_a_cursor(sandbox, sdk):
    contacts = [str(sandbox.create("contact", {"firstname": str(n)})) for n in range(620)]
    meeting = sandbox.create("meetings", {"hs_meeting_title": "Large", "contacts": contacts})
    seen, after = [], None
    while True:
        asked = PublicFetchAssociationsBatchRequest(id=meeting, after=after)
        body = BatchInputPublicFetchAssociationsBatchRequest(inputs=[asked])
        (row,) = sdk.crm.associations.v4.batch_api.get_page("meetings", "contacts", body).results
        seen += [str(one.to_object_id) for one in row.to]
        if row.paging is None:
            break
        after = row.paging.next.after
    assert seen == contacts


def test_forms_come_in_pages_and_of_the_kinds_asked_for(sdk):
    first = sdk.marketing.forms.forms_api.get_page(limit=5)
    rest = sdk.marketing.forms.forms_api.get_page(limit=50, after=first.paging.next.after)
    names = [form.name for form in (*first.results, *rest.results)]
    assert len(names) == len(set(names))
    assert "Newsletter" in names
    assert "Blog comments" not in names
    blog = sdk.marketing.forms.forms_api.get_page(form_types=["blog_comment"]).results
    assert [form.name for form in blog] == ["Blog comments"]


def test_marketing_emails_are_listed_and_read_one_by_one(sdk):
    page = sdk.marketing.emails.marketing_emails_api.get_page(limit=2)
    more = sdk.marketing.emails.marketing_emails_api.get_page(limit=50, after=page.paging.next.after)
    every = [*page.results, *more.results]
    one = sdk.marketing.emails.marketing_emails_api.get_by_id(every[-1].id)
    assert (one.id, one.name) == (every[-1].id, every[-1].name)
    counted = sdk.marketing.emails.marketing_emails_api.get_page(limit=50, include_stats=True).results
    assert 0 < len(counted) < len(every)


def test_marketing_events_and_who_took_part_by_event_and_by_contact(sandbox, sdk):
    events = sdk.marketing.events.basic_api.get_all(limit=100).results
    states = sdk.marketing.events.retrieve_participant_state_api
    contact = sandbox.create("contact", {"email": "webinar@example.com"})
    event = events[-1].object_id
    for state in ("REGISTERED", "ATTENDED"):
        sandbox.create("participations", {"event": event, "contact": contact, "state": state})

    rows = states.get_participations_breakdown_by_marketing_event_id(event, limit=100).results
    mine = [row for row in rows if row.associations.contact.contact_id == contact]
    assert [row.properties.attendance_state for row in mine] == ["ATTENDED"]
    assert mine[0].associations.contact.email == "webinar@example.com"
    came = states.get_participations_breakdown_by_marketing_event_id(
        event, state="ATTENDED", limit=100
    ).results
    assert {row.properties.attendance_state for row in came} == {"ATTENDED"}
    outside = states.get_participations_breakdown_by_external_event_id(
        "account-1", f"webinar-{event}", limit=100
    )
    assert len(outside.results) == len(rows)
    for who in (contact, "webinar@example.com"):
        own = states.get_participations_breakdown_by_contact_id(who, limit=100).results
        assert [row.associations.marketing_event.marketing_event_id for row in own] == [event]
    counts = states.get_participations_counters_by_marketing_event_id(int(event))
    assert counts.attended == len(came)
    assert sdk.marketing.events.basic_api.get_by_object_id(event).attendees == counts.attended


def test_marketing_events_need_their_scope(sandbox):
    poor = client(sandbox.url, "pat-eu1-sandbox-no-marketing-events")
    with pytest.raises(MarketingException) as refused:
        poor.marketing.events.basic_api.get_all()
    assert refused.value.status == 403
    assert "crm.objects.marketing_events.read" in refused.value.body


def test_page_visits_of_one_contact_come_in_order_and_in_pages(sandbox, sdk):
    contact = sandbox.create("contact", {"email": "visitor@example.com"})
    for n in range(7):
        sandbox.act("contact", contact, "page_view", url=f"https://x.example/{n}")
        sandbox.clock.advance(timedelta(seconds=1))
    assert sdk.events.events_api.get_types().event_types == ["e_visited_page"]
    asked = {"object_type": "contact", "object_id": int(contact), "event_type": "e_visited_page"}

    first = sdk.events.events_api.get_page(**asked, sort=["occurredAt"], limit=5)
    rest = sdk.events.events_api.get_page(
        **asked, sort=["occurredAt"], limit=5, after=first.paging.next.after
    )
    seen = [event.properties["hs_url"] for event in (*first.results, *rest.results)]
    assert seen == [f"https://x.example/{n}" for n in range(7)]

    since = first.results[-1].occurred_at
    later = sdk.events.events_api.get_page(**asked, occurred_after=since, limit=5)
    assert [event.properties["hs_url"] for event in later.results] == [
        f"https://x.example/{n}" for n in (6, 5, 4)
    ]


def test_page_visits_need_an_enterprise_account():
    population = make_population(1, 11, START)
    with serve([build(population, SandboxClock(START), enterprise=False)]) as running:
        with pytest.raises(EventsException) as refused:
            client(running["hubspot"].url).events.events_api.get_page(object_type="contact", object_id=1)
        assert refused.value.status == 403


def test_what_has_a_dated_twin_answers_alike_there(sandbox):

    http = httpx.Client(base_url=sandbox.url, headers={"Authorization": "Bearer pat-eu1-sandbox-full"})
    event = max(sandbox.sandbox.store.marketing_events)
    contact = next(iter(sandbox.sandbox.store.visits))
    visits = f"objectType=contact&objectId={contact}"
    for old, new in (
        ("/marketing/v3/marketing-events?limit=50", "/marketing/marketing-events/2026-03?limit=50"),
        (f"/marketing/v3/marketing-events/participations/{event}/breakdown",
         f"/marketing/marketing-events/2026-03/participations/{event}/breakdown"),
        ("/marketing/v3/emails?limit=9", "/marketing/emails/2026-03?limit=9"),
        (f"/events/v3/events?{visits}", f"/events/event-occurrences/2026-03?{visits}"),
        ("/events/v3/events/event-types", "/events/event-occurrences/2026-03/event-types"),
        ("/crm/v3/objects/emails?limit=20", "/crm/objects/2026-03/emails?limit=20"),
        ("/crm/v3/objects/communications?limit=20", "/crm/objects/2026-03/0-18?limit=20"),
    ):  # fmt: skip
        first, second = http.get(old), http.get(new)
        assert first.status_code == second.status_code == 200, (old, first.text, second.text)
        first, second = first.json(), second.json()
        for answer in (first, second):
            (answer.get("paging") or {}).get("next", {}).pop("link", None)
        assert first == second
