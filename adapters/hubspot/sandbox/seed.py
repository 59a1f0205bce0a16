"""Turns the shared population into HubSpot's records, forms and events. Invents nobody and serves nothing."""

from __future__ import annotations

import uuid
from datetime import datetime

from adapters.hubspot.sandbox import deals
from adapters.hubspot.sandbox.attendance import held, took_part
from adapters.hubspot.sandbox.seed_activities import fill_activities
from adapters.hubspot.sandbox.sources import FIRST_USER, source_of
from adapters.hubspot.sandbox.store import EmailEvent, Form, Store
from adapters.hubspot.sandbox.table import Row, Version
from adapters.hubspot.sandbox.wire import iso, made_uuid, to_ms
from connector.sandbox import words
from connector.sandbox.cast import (
    Population,
    SandboxCompany,
    SandboxEngagement,
    SandboxPerson,
    SandboxRecord,
)

STAGE_OF = {"mql": "marketingqualifiedlead", "sql": "salesqualifiedlead"}
STATUS_OF = {
    "new": "NEW",
    "open": "OPEN",
    "working": "IN_PROGRESS",
    "attempted": "ATTEMPTED_TO_CONTACT",
    "connected": "CONNECTED",
    "unqualified": "UNQUALIFIED",
    "bad_timing": "BAD_TIMING",
}
COUNTER_OF = {
    "docs_viewed": "docs_views",
    "favorite_added": "favorites_added",
    "cart_added": "carts_added",
    "product_use": "product_uses",
}
EVENT_OF = {
    "email_open": "OPEN",
    "email_click": "CLICK",
    "email_reply": "REPLY",
    "email_bounce": "BOUNCE",
    "email_unsubscribe": "UNSUBSCRIBED",
    "subscription_change": "STATUSCHANGE",
}
OLD_FORM_DAYS = 700  # before that, submissions had no conversion id
_CAMPAIGN_IDS = {name: 70_001 + place for place, (name, _) in enumerate(words.EMAILS)}
_SUBSCRIPTION = 9_001
DAY_MS = 86_400_000
WEBINAR = "Lead scoring live"


def fill(store: Store, population: Population) -> None:
    """Load everything; what is loaded is in the search index from the start."""
    store.owners = [
        {
            "id": str(80_001 + place),
            "userId": FIRST_USER + place,
            "email": f"{first}.{last}@{words.OWN_DOMAIN}".lower(),
            "firstName": first,
            "lastName": last,
            "archived": False,
        }
        for place, (first, last) in enumerate(words.USERS)
    ]
    store.tables["companies"].load(
        _company(company) for company in population.companies if company.hubspot_id
    )
    company_ids = {
        company.index: company.hubspot_id for company in population.companies if company.hubspot_id
    }
    absorbed = _absorbed(population)
    store.tables["contacts"].load(
        _contact(record, company_ids, absorbed) for record in population.records("hubspot")
    )
    for id in store.tables["contacts"].live:
        company = store.tables["contacts"].rows[id].values.get("associatedcompanyid")
        if company:
            store.link("contacts", id, "companies", int(company))
    _deals(store, population)
    _forms(store, population.now)
    store.email_campaigns = {id: name for name, id in _CAMPAIGN_IDS.items()}
    _engagements(store, population)


def _company(company: SandboxCompany) -> Row:
    values = {
        "name": company.name,
        "domain": company.domain,
        "website": f"https://www.{company.domain}/",
        "country": company.country,
        "city": company.city,
        "phone": company.phone,
        "industry": company.industry,
        "lifecyclestage": "lead",
        "hs_annual_revenue_currency_code": company.currency,
    }
    if company.employees is not None:
        values["numberofemployees"] = str(company.employees)
    if company.revenue is not None:
        values["annualrevenue"] = f"{company.revenue:.2f}".rstrip("0").rstrip(".")
    return Row(int(company.hubspot_id or 0), values, to_ms(company.created_at), to_ms(company.modified_at))


def _absorbed(population: Population) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in population.records("hubspot"):
        if record.state == "merged" and record.moved_to:
            found.setdefault(record.moved_to, []).append(record.id)
    return found


def _contact(record: SandboxRecord, company_ids: dict[int, str], absorbed: dict[str, list[str]]) -> Row:
    emails = [address.strip().lower() for address in record.emails]
    plain = {
        "firstname": record.first_name,
        "lastname": record.last_name,
        "email": emails[0] if emails else None,
        "hs_email_domain": emails[0].partition("@")[2] if emails else None,
        "hs_additional_emails": ";".join(emails[1:]) or None,
        "jobtitle": record.title,
        "phone": record.phone,
        "company": record.company_name,
        "country": record.country,
        "city": record.city,
        "hs_language": record.language,
        "hs_analytics_source": record.source,
        "notes_of_sales": record.note,
        "hs_lead_status": STATUS_OF[record.status] if record.status else None,
        "hubspot_owner_id": str(80_001 + record.owner) if record.owner is not None else None,
        "hs_email_optout": "true" if record.opted_out else None,
        "associatedcompanyid": company_ids.get(-1 if record.company is None else record.company),
    }
    values = {name: value for name, value in plain.items() if value is not None}
    if record.counterpart:
        lead = record.counterpart.startswith("00Q")
        values["salesforceleadid" if lead else "salesforcecontactid"] = record.counterpart
    if record.id in absorbed:
        values["hs_merged_object_ids"] = ";".join(absorbed[record.id])
        values["hs_calculated_merged_vids"] = ";".join(
            f"{id}:{to_ms(record.modified_at)}" for id in absorbed[record.id]
        )
    history = {}
    versions: list[Version] = []
    before = ""
    for stage, at in record.stages:
        ours = STAGE_OF.get(stage, stage)
        entered = iso(to_ms(at))
        values["lifecyclestage"] = ours
        values[f"hs_v2_date_entered_{ours}"] = entered
        values[f"hs_lifecyclestage_{ours}_date"] = entered
        if before:
            values[f"hs_v2_date_exited_{before}"] = entered
        versions.insert(0, Version(ours, to_ms(at), source_of("workflow")))
        before = ours
    if versions:
        history["lifecyclestage"] = versions
    if record.status and record.status_at:
        status = Version(STATUS_OF[record.status], to_ms(record.status_at), source_of("user"))
        history["hs_lead_status"] = [status]
    row = Row(int(record.id), values, to_ms(record.created_at), to_ms(record.modified_at), history=history)
    if record.state == "archived":
        row.archived_at = row.updated
    elif record.state == "merged" and record.moved_to:
        row.merged_into = int(record.moved_to)
    return row


def _deals(store: Store, population: Population) -> None:
    seeded = deals.seeded(population)
    store.tables[deals.DEALS].load(row for row, _, _ in seeded)
    for row, company, contacts in seeded:
        if company is not None:
            store.link(deals.DEALS, row.id, "companies", int(company))
        for contact in contacts:
            store.link(deals.DEALS, row.id, "contacts", int(contact))


def _forms(store: Store, now: datetime) -> None:
    made = to_ms(now) - 900 * 86_400_000
    for place, (name, _, _) in enumerate(words.FORMS):
        guid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"form:{place}"))
        store.forms[guid] = Form(guid, name, "hubspot", made, made)
    guid = str(uuid.uuid5(uuid.NAMESPACE_URL, "form:blog"))
    store.forms[guid] = Form(guid, "Blog comments", "blog_comment", made, made)


def _engagements(store: Store, population: Population) -> None:
    forms = {form.name: form for form in store.forms.values()}
    contacts = store.tables["contacts"]
    for done in population.engagements:
        at = to_ms(done.occurred_at)
        if done.channel == "hubspot_form":
            person = population.people[done.person] if done.person is not None else None
            old = (population.now - done.occurred_at).days > OLD_FORM_DAYS
            store.submit(forms[done.name or ""], at, _answers(done, person), done.url or "", keep_id=not old)
        elif done.channel == "hubspot_email":
            store.emailed(_email(done, at))
        elif done.channel == "hubspot_aggregate" and done.record is not None:
            contact = contacts.survivor(contacts.rows[int(done.record)])
            if done.type == "page_view":
                store.viewed(contact, at, done.url or words.SITE)
            else:
                store.counted(contact, COUNTER_OF[done.type], at)
    fill_activities(store, population.engagements, to_ms(population.now))
    _webinars(store, population)


def _answers(done: SandboxEngagement, person: SandboxPerson | None) -> dict[str, str]:
    answers = {"email": done.email or ""}
    if person is not None:
        answers |= {"firstname": person.first_name, "lastname": person.last_name}
    return answers


def _email(done: SandboxEngagement, at: int) -> EmailEvent:
    status = {"email_unsubscribe": "UNSUBSCRIBED", "subscription_change": "SUBSCRIBED"}.get(done.type)
    return EmailEvent(
        created=at,
        id=made_uuid(done.n, 2),
        type=EVENT_OF[done.type],
        recipient=(done.email or "").lower(),
        campaign=_CAMPAIGN_IDS.get(done.campaign or "", 70_001),
        filtered=done.filtered,
        url=done.url,
        subscriptions=((_SUBSCRIPTION, status),) if status else (),
    )


def _webinars(store: Store, population: Population) -> None:
    """A webinar every month; who registered by form is known to the webinar tool as well, and some came."""
    now = to_ms(population.now)
    starts = [now + (10 - 30 * place) * DAY_MS for place in range(34, -1, -1)]
    events = [held(store, WEBINAR, "WEBINAR", at, at + 3_600_000, created=at - 40 * DAY_MS) for at in starts]
    for done in population.engagements:
        if done.type != "webinar_registration" or done.channel != "hubspot_form" or done.record is None:
            continue
        at, contact = to_ms(done.occurred_at), int(done.record)
        event = next(event for event in events if event.start > at)
        took_part(store, event, contact, "REGISTERED", at)
        if event.end < now:
            came = ("ATTENDED", "NO_SHOW", "CANCELLED")[done.n % 3]
            took_part(
                store, event, contact, came, event.start - DAY_MS if came == "CANCELLED" else event.start
            )
