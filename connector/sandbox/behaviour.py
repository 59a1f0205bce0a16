"""What made-up people did, kind by kind, and the channel through which it shows.

Decides behaviour; invents nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from connector.sandbox import words
from connector.sandbox.cast import (
    SandboxCompany,
    SandboxDeal,
    SandboxEngagement,
    SandboxPerson,
    SandboxRecord,
    hubspot_id,
    salesforce_id,
)

T = TypeVar("T")

DAY = 86_400.0
BOT_CLICKS = 0.15  # of e-mail clicks: a mail scanner clicked as well
DEAL_IDS = 40_000_000  # numbers of HubSpot deals start here
COPIED = 0.3  # of HubSpot meetings and calls: its integration left a copy in Salesforce

# kind -> (type, at least, at most, within how many days)
_HABITS: dict[str, tuple[tuple[str, int, int, int], ...]] = {
    "buyer": (
        ("page_view", 3, 9, 21),
        ("content_download", 1, 2, 60),
        ("email_open", 1, 4, 45),
        ("email_click", 1, 3, 30),
        ("webinar_attendance", 0, 1, 60),
        ("pricing_download", 0, 1, 20),
        ("demo_request", 0, 1, 20),
        ("price_question", 0, 1, 25),
        ("meeting_booked", 0, 1, 15),
        ("trial_signup", 0, 1, 30),
        ("purchase_intent", 0, 1, 25),
        ("product_use", 0, 3, 20),
    ),
    "evaluator": (
        ("page_view", 1, 5, 60),
        ("content_download", 0, 2, 90),
        ("docs_viewed", 0, 4, 45),
        ("webinar_registration", 0, 1, 90),
        ("email_click", 0, 2, 60),
        ("app_download", 0, 1, 90),
        ("call_request", 0, 1, 90),
        ("contact_request", 0, 1, 120),
        ("demo_signup", 0, 1, 90),
        ("favorite_added", 0, 2, 60),
        ("ad_click", 0, 1, 90),
    ),
    "tyre_kicker": (
        ("page_view", 0, 6, 120),
        ("content_download", 0, 3, 300),
        ("email_open", 0, 5, 200),
        ("email_click", 0, 1, 150),
        ("other", 0, 1, 300),
        ("cart_added", 0, 1, 300),
        ("form_submission", 0, 1, 400),
    ),
    "student": (
        ("content_download", 0, 4, 200),
        ("docs_viewed", 0, 6, 90),
        ("webinar_registration", 0, 1, 200),
    ),
    "competitor": (("page_view", 2, 12, 60), ("pricing_download", 0, 1, 90), ("demo_request", 0, 1, 120)),
    "staff": (("page_view", 1, 8, 30), ("form_submission", 0, 2, 90), ("demo_request", 0, 1, 60)),
    "customer": (
        ("product_use", 2, 8, 45),
        ("help_request", 0, 2, 200),
        ("call", 0, 2, 300),
        ("meeting_booked", 0, 1, 300),
        ("email_open", 0, 3, 200),
        ("subscription_change", 0, 1, 400),
        ("event_attendance", 0, 1, 400),
    ),
    "open_deal": (
        ("meeting_booked", 1, 2, 60),
        ("call", 1, 3, 60),
        ("email_reply", 0, 2, 45),
        ("sales_material_request", 0, 1, 60),
        ("page_view", 0, 4, 45),
    ),
    "lost_deal": (("call", 1, 2, 300), ("demo_request", 0, 1, 400), ("email_unsubscribe", 0, 1, 200)),
    "dormant": (("email_open", 0, 1, 700), ("content_download", 0, 1, 900), ("email_bounce", 0, 1, 600)),
    "subscriber": (
        ("newsletter_subscription", 1, 1, 800),
        ("email_open", 0, 2, 300),
        ("social_engagement", 0, 1, 300),
    ),
}
_DEAL_STAGES = {"customer": "won", "open_deal": "open", "lost_deal": "lost"}
_IN_HUBSPOT = {
    "email_open": "hubspot_email",
    "email_click": "hubspot_email",
    "email_reply": "hubspot_email",
    "email_unsubscribe": "hubspot_email",
    "email_bounce": "hubspot_email",
    "subscription_change": "hubspot_email",
    "meeting_booked": "hubspot_meeting",
    "call": "hubspot_call",
    "page_view": "hubspot_aggregate",
    "docs_viewed": "hubspot_aggregate",
    "favorite_added": "hubspot_aggregate",
    "cart_added": "hubspot_aggregate",
    "product_use": "hubspot_aggregate",
}
_FORMS: dict[str, list[tuple[str, str]]] = {}
for _name, _type, _page in words.FORMS:
    _FORMS.setdefault(_type, []).append((_name, _page))
_CAMPAIGNS: dict[str, list[tuple[str, str]]] = {}
for _name, _, _type, _status in words.CAMPAIGNS:
    _CAMPAIGNS.setdefault(_type, []).append((_name, _status))


def engagements_of(
    person: SandboxPerson, rng: Random, now: datetime, number: Iterator[int]
) -> list[SandboxEngagement]:
    """Everything this person did, in no order. `number` gives each its `n`."""
    hubspot = _live(person, "hubspot")
    salesforce = _live(person, "salesforce")
    made: list[SandboxEngagement] = []
    for type, least, most, days in _HABITS[person.kind]:
        many = least + int(rng.random() * (most - least + 1))
        for _ in range(many):
            # Squared: people did more lately than long ago.
            at = now - timedelta(seconds=60 + days * DAY * rng.random() ** 2)
            made += _shown(type, at, person, hubspot, salesforce, rng, number)
    return made


def strangers(many: int, rng: Random, now: datetime, number: Iterator[int]) -> list[SandboxEngagement]:
    """Forms filled in with addresses that no CRM knows."""
    made = []
    for index in range(many):
        name, type, page = pick(rng, words.FORMS)
        made.append(
            SandboxEngagement(
                n=next(number),
                type=type,
                channel="hubspot_form",
                occurred_at=now - timedelta(days=rng.uniform(0.1, 300)),
                person=None,
                email=f"stranger{index}@nowhere.example",
                name=name,
                url=words.SITE + page,
            )
        )
    return made


def deal_of(
    person: SandboxPerson, companies: Sequence[SandboxCompany], n: int, rng: Random, now: datetime
) -> SandboxDeal | None:
    """The opportunity in Salesforce in which this person plays a role, for those who have one."""
    contact = _live(person, "salesforce", "Contact")
    if person.kind not in _DEAL_STAGES or contact is None or person.company is None:
        return None
    company = companies[person.company]
    if company.salesforce_id is None:
        return None
    return _deal(salesforce_id("006", n), n, person, company, contact, rng, now)


def hubspot_deal_of(
    person: SandboxPerson, companies: Sequence[SandboxCompany], n: int, rng: Random, now: datetime
) -> SandboxDeal | None:
    """The deal in HubSpot of a person whom no opportunity in Salesforce names. A company that HubSpot does not know
    leaves it with the contact alone."""
    contact = _live(person, "hubspot")
    if person.kind not in _DEAL_STAGES or contact is None or person.company is None:
        return None
    return _deal(hubspot_id(DEAL_IDS + n), n, person, companies[person.company], contact, rng, now)


def _deal(
    id: str,
    n: int,
    person: SandboxPerson,
    company: SandboxCompany,
    contact: SandboxRecord,
    rng: Random,
    now: datetime,
) -> SandboxDeal:
    stage = _DEAL_STAGES[person.kind]
    created = now - (now - contact.created_at) * rng.uniform(0.2, 0.8)
    closed = now + timedelta(days=rng.uniform(5, 90)) if stage == "open" else created + (now - created) * 0.7
    return SandboxDeal(
        n=n,
        id=id,
        name=f"{company.name}: platform",
        company=company.index,
        people=(person.index,),
        contacts=(contact.id,),
        stage=stage,
        amount=round(rng.uniform(2_000, 120_000), 2),
        currency=company.currency,
        created_at=created,
        closed_at=closed,
        modified_at=created + (now - created) * rng.uniform(0.7, 0.999),
    )


def pick(rng: Random, choices: Sequence[T]) -> T:
    """One of them. Three times as fast as `Random.choice`, which is exact where this need not be."""
    return choices[int(rng.random() * len(choices))]


def _live(person: SandboxPerson, crm: str, object: str = "") -> SandboxRecord | None:
    for record in person.records:
        if record.crm == crm and record.state == "live" and (not object or record.object == object):
            return record
    return None


def _shown(
    type: str,
    at: datetime,
    person: SandboxPerson,
    hubspot: SandboxRecord | None,
    salesforce: SandboxRecord | None,
    rng: Random,
    number: Iterator[int],
) -> list[SandboxEngagement]:
    """One deed, as the CRM that has the person shows it; sometimes both do."""
    if (
        hubspot is not None
        and (type in _FORMS or type in _IN_HUBSPOT)
        and (salesforce is None or rng.random() < 0.8)
    ):
        made = _in_hubspot(type, at, person, hubspot, rng, number)
        if salesforce is not None and type in ("meeting_booked", "call") and rng.random() < COPIED:
            made.append(_copy(made[0], salesforce, next(number)))
        return made
    if salesforce is not None:
        return _in_salesforce(type, at, person, salesforce, rng, number)
    return []


def _in_hubspot(
    type: str, at: datetime, person: SandboxPerson, record: SandboxRecord, rng: Random, number: Iterator[int]
) -> list[SandboxEngagement]:
    channel = _IN_HUBSPOT.get(type, "hubspot_form")
    email = pick(rng, record.emails) if record.emails else None
    if channel in ("hubspot_form", "hubspot_email") and email is None:
        return []
    name: str | None = None
    page: str | None = None
    status: str | None = None
    value: float | None = None
    if channel == "hubspot_form":
        name, page = pick(rng, _FORMS[type])
        email = email.upper() if email and rng.random() < 0.1 else email
    elif channel == "hubspot_email":
        name, page = pick(rng, words.EMAILS)
        page = page if type == "email_click" else None
    elif channel == "hubspot_meeting":
        name, status = (
            f"Meeting with {person.last_name}",
            pick(rng, ("COMPLETED", "COMPLETED", "NO_SHOW", "SCHEDULED")),
        )
    elif channel == "hubspot_call":
        name, status, value = "Call", "COMPLETED", float(rng.randint(30, 1_800))
    elif type == "page_view":
        page = (
            "/pricing"
            if person.kind in ("buyer", "competitor") and rng.random() < 0.5
            else pick(rng, words.PAGES)
        )
    made = [
        SandboxEngagement(
            n=next(number),
            type=type,
            channel=channel,
            occurred_at=at,
            person=person.index,
            record=record.id,
            email=email,
            name=name,
            url=words.SITE + page if page else None,
            campaign=name if channel == "hubspot_email" else None,
            status=status,
            value=value,
        )
    ]
    if type == "email_click" and rng.random() < BOT_CLICKS:
        made.append(
            SandboxEngagement(
                n=next(number),
                type=type,
                channel=channel,
                occurred_at=at - timedelta(seconds=rng.uniform(30, 3_600)),
                person=person.index,
                record=record.id,
                email=email,
                name=name,
                url=words.SITE + page if page else None,
                campaign=name,
                filtered=True,
            )
        )
    return made


def _in_salesforce(
    type: str, at: datetime, person: SandboxPerson, record: SandboxRecord, rng: Random, number: Iterator[int]
) -> list[SandboxEngagement]:
    name: str | None
    campaign: str | None = None
    if type in _CAMPAIGNS:
        channel = "salesforce_campaign"
        campaign, status = pick(rng, _CAMPAIGNS[type])
        name = campaign
    elif type == "meeting_booked":
        channel, status, name = "salesforce_event", "Held", f"Meeting with {person.last_name}"
    elif type in words.TASK_SUBJECTS:
        channel, status, name = "salesforce_task", "Completed", words.TASK_SUBJECTS[type]
    else:
        return []
    return [
        SandboxEngagement(
            n=next(number),
            type=type,
            channel=channel,
            occurred_at=at,
            person=person.index,
            record=record.id,
            email=record.emails[0] if record.emails else None,
            name=name,
            campaign=campaign,
            status=status,
        )
    ]


def _copy(original: SandboxEngagement, record: SandboxRecord, n: int) -> SandboxEngagement:
    return SandboxEngagement(
        n=n,
        type=original.type,
        channel="salesforce_task",
        occurred_at=original.occurred_at,
        person=original.person,
        record=record.id,
        email=record.emails[0] if record.emails else None,
        name=original.name,
        status="Completed",
        copied=True,
    )
