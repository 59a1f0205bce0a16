"""A made-up population, as messy as life and the same for every sandbox. Decides who there is; serves
nothing.

Deterministic: the same number of people, seed and `now` give the same population. What people did is decided
in connector/sandbox/behaviour.py.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate, count
from operator import attrgetter
from random import Random
from typing import Any, Generic, TypeVar

from connector.sandbox import words
from connector.sandbox.behaviour import deal_of, engagements_of, hubspot_deal_of, pick, strangers
from connector.sandbox.cast import (
    Population,
    SandboxCompany,
    SandboxDeal,
    SandboxEngagement,
    SandboxPerson,
    SandboxRecord,
    hubspot_id,
    salesforce_id,
)

__all__ = [
    "Population",
    "SandboxCompany",
    "SandboxDeal",
    "SandboxEngagement",
    "SandboxPerson",
    "SandboxRecord",
    "hubspot_id",
    "make_population",
    "salesforce_id",
]

IN_BOTH = 0.8235  # of the contacts of one CRM: then 70 % of all humans are in both
TWICE = 0.01  # of Salesforce: a second Lead with an address that another record has
COMPANY_IDS = 20_000_000  # numbers of companies' ids start here, so that they differ from people's
HUGE = 20_000  # characters
YEARS = 3

T = TypeVar("T")


class _Wheel(Generic[T]):
    """Picks by weight, with one random number and one bisect."""

    def __init__(self, *weighted: tuple[T, int]) -> None:
        self._values = [value for value, _ in weighted]
        self._edges = list(accumulate(weight for _, weight in weighted))

    def spin(self, rng: Random) -> T:
        return self._values[bisect(self._edges, rng.random() * self._edges[-1])]


_KINDS = _Wheel(
    ("buyer", 35),
    ("evaluator", 75),
    ("tyre_kicker", 200),
    ("student", 50),
    ("competitor", 12),
    ("staff", 8),
    ("customer", 90),
    ("open_deal", 40),
    ("lost_deal", 30),
    ("dormant", 310),
    ("subscriber", 150),
)
_LOCALES = _Wheel(*((locale, weight) for weight, locale in words.LOCALES))
_EMPLOYEES = _Wheel((3, 20), (15, 20), (60, 15), (180, 10), (450, 14), (2_000, 8), (20_000, 3), (0, 10))
_SENIORITY = {  # kind -> places in words.SENIORITIES
    "buyer": _Wheel((0, 25), (1, 25), (2, 50)),
    "student": _Wheel((6, 1)),
    "customer": _Wheel((0, 10), (1, 10), (2, 25), (3, 30), (4, 15), (5, 10)),
    "open_deal": _Wheel((0, 15), (1, 15), (2, 35), (3, 35)),
    "tyre_kicker": _Wheel((3, 15), (4, 35), (5, 50)),
}
_ANY_SENIORITY = _Wheel((0, 5), (1, 5), (2, 12), (3, 25), (4, 18), (5, 30), (6, 5))
_STAGES = {
    "customer": ("lead", "mql", "sql", "opportunity", "customer"),
    "open_deal": ("lead", "mql", "sql", "opportunity"),
    "lost_deal": ("lead", "mql", "sql"),
    "subscriber": ("subscriber",),
    "buyer": ("subscriber", "lead"),
    "competitor": ("other",),
    "staff": ("other",),
}
_STATUSES: dict[str, tuple[str | None, ...]] = {
    "customer": ("connected",),
    "open_deal": ("connected", "working"),
    "lost_deal": ("unqualified", "bad_timing"),
    "tyre_kicker": (None, "new", "open", "attempted", "unqualified"),
    "student": (None, "unqualified"),
    "dormant": (None, None, "new", "attempted", "bad_timing", "unqualified"),
}
_ANY_STATUS: tuple[str | None, ...] = (None, "new", "open")
_CURRENCY = {"US": "USD", "GB": "GBP", "JP": "JPY", "BR": "BRL", "AE": "AED", "PL": "PLN"}
_NOTE = 'Met at the fair; sent the long catalogue. Ünïcödé, "quotes", commas, and\nline breaks. '


def make_population(people: int, seed: int, now: datetime) -> Population:
    """So many live HubSpot contacts, and as many live Leads and Contacts in Salesforce; dead records come on
    top.

    About 70 % of the humans are in both CRMs. `people[i].index == i`. Raises ValueError on a naive `now` or a
    negative number.
    """
    if now.tzinfo is None:
        raise ValueError("make_population needs a time with a zone.")
    if people < 0:
        raise ValueError("A population cannot be negative.")
    rng = Random(seed)
    companies = _companies(max(1, people // 4), rng, now)
    doubles = int(people * TWICE)
    both = min(people, max(round(people * IN_BOTH), doubles))
    one = people - both
    doubles = min(doubles, one)
    places = ["both"] * both + ["hubspot"] * one + ["salesforce"] * (one - doubles)
    places += ["archived"] * (people // 100) + ["deleted"] * (people // 200)
    rng.shuffle(places)
    doubled = set(rng.sample([i for i, place in enumerate(places) if place == "both"], doubles))

    made: list[SandboxPerson] = []
    done: list[SandboxEngagement] = []
    deals: list[SandboxDeal] = []
    elsewhere: list[SandboxDeal] = []
    maker = _Maker(companies, rng, now)
    number = count()
    for index, place in enumerate(places):
        kind = _KINDS.spin(rng) if place in ("both", "hubspot", "salesforce") else "dormant"
        person = maker.person(index, kind, place, twice=index in doubled)
        made.append(person)
        done += engagements_of(person, rng, now, number)
        deal = deal_of(person, companies, len(deals), rng, now)
        if deal is not None:
            deals.append(deal)
            continue
        # Dice of its own: what was made up before there were such deals stays as it was.
        own = hubspot_deal_of(person, companies, len(elsewhere), Random(f"{seed}:{index}"), now)
        if own is not None:
            elsewhere.append(own)
    done += strangers(people // 100, rng, now, number)
    done.sort(key=attrgetter("occurred_at"))
    return Population(
        tuple(made), tuple(companies), tuple(done), tuple(deals), now, seed, hubspot_deals=tuple(elsewhere)
    )


def _companies(many: int, rng: Random, now: datetime) -> list[SandboxCompany]:
    made = []
    for index in range(many):
        locale = _LOCALES.spin(rng)
        word = pick(rng, words.COMPANY_WORDS)
        slug = _ascii(word).lower().replace(" ", "-")
        employees = _EMPLOYEES.spin(rng)
        size = max(1, int(employees * rng.uniform(0.7, 1.6))) if employees else None
        created = now - timedelta(days=rng.uniform(30, 365 * YEARS))
        made.append(
            SandboxCompany(
                index=index,
                name=f"{word} {pick(rng, words.COMPANY_ENDS)}",
                domain=f"{slug}-{index}.example",
                country=pick(rng, locale.spellings),
                city=pick(rng, locale.cities),
                industry=pick(rng, words.INDUSTRIES),
                employees=size,
                revenue=round(size * rng.uniform(60_000, 250_000), 2)
                if size and rng.random() < 0.8
                else None,
                currency=_CURRENCY.get(locale.country, "EUR"),
                phone=f"{locale.phone}{rng.randrange(1000):03d}",
                created_at=created,
                modified_at=created + (now - created) * rng.uniform(0.1, 0.99),
                hubspot_id=hubspot_id(COMPANY_IDS + index) if rng.random() < 0.95 else None,
                salesforce_id=salesforce_id("001", index) if rng.random() < 0.95 else None,
            )
        )
    return made


class _Maker:
    """Makes people one after the other. Holds what must not repeat: record numbers and addresses."""

    def __init__(self, companies: Sequence[SandboxCompany], rng: Random, now: datetime) -> None:
        self._companies = companies
        self._large = [company.index for company in companies if (company.employees or 0) >= 200]
        self._rng = rng
        self._now = now
        self._next = {"contact": 0, "Lead": 0, "Contact": 0}
        self._taken: set[str] = set()

    def person(self, index: int, kind: str, place: str, *, twice: bool) -> SandboxPerson:
        rng = self._rng
        locale = _LOCALES.spin(rng)
        first, last = pick(rng, locale.first), pick(rng, locale.last)
        seniority = words.SENIORITIES[_SENIORITY.get(kind, _ANY_SENIORITY).spin(rng)]
        company = self._company(kind)
        emails = self._emails(index, kind, locale, (first[1].lower(), last[1].lower()), company)
        titles = words.TITLES.get(locale.language, words.TITLES["en"])
        created = self._now - timedelta(days=rng.uniform(10, 365 * YEARS))
        stages = self._stages(kind, created)
        status = pick(rng, _STATUSES.get(kind, _ANY_STATUS))
        sample: dict[str, Any] = {
            "person": index,
            "first_name": first[0],
            "last_name": last[0],
            "emails": emails,
            "title": "Student" if kind == "student" and rng.random() < 0.6 else pick(rng, titles[seniority]),
            "phone": f"{locale.phone}{rng.randrange(1000):03d}" if rng.random() < 0.7 else None,
            "company_name": self._companies[company].name if company is not None else None,
            "country": pick(rng, locale.spellings) if rng.random() < 0.9 else None,
            "city": pick(rng, locale.cities) if rng.random() < 0.6 else None,
            "language": locale.language,
            "source": pick(rng, words.SOURCES),
            "stage": stages[-1][0] if stages else None,
            "stages": stages,
            "status": status,
            "status_at": created + (self._now - created) * rng.uniform(0.3, 0.98) if status else None,
            "opted_out": rng.random() < 0.03,
            "company": company,
            "owner": rng.randrange(len(words.USERS)) if rng.random() < 0.7 else None,
            "note": None,
            "created_at": created,
            "modified_at": created + (self._now - created) * rng.uniform(0.2, 0.999),
        }
        records: list[SandboxRecord] = []
        if place in ("both", "salesforce", "deleted"):
            records += self._salesforce(sample, kind, locale, place, twice)
        if place in ("both", "hubspot", "archived"):
            records += self._hubspot(sample, place, records)
        return SandboxPerson(
            index, kind, first[0], last[0], locale.language, seniority, company, tuple(records)
        )

    def _company(self, kind: str) -> int | None:
        if kind == "student" or self._rng.random() < 0.06:
            return None
        if kind == "buyer" and self._large:
            return pick(self._rng, self._large)
        # Squared: a few companies are known to many people, most to one or two.
        return int(len(self._companies) * self._rng.random() ** 2)

    def _emails(
        self, index: int, kind: str, locale: words.Locale, name: tuple[str, str], company: int | None
    ) -> tuple[str, ...]:
        rng = self._rng
        local = f"{name[0]}.{name[1]}".replace("'", "").replace(" ", "")
        if kind == "staff":
            found = [f"{local}@{words.OWN_DOMAIN}"]
        elif kind == "competitor":
            found = [f"{local}@{pick(rng, words.COMPETITOR_DOMAINS)}"]
        elif kind == "student":
            found = [f"{local}{index}@student.campus-{index % 40}.example"]
        else:
            chance = rng.random()
            domain = self._companies[company].domain if company is not None else None
            if chance < 0.04:
                return ()
            if domain is not None and chance < 0.06:
                found = [f"{pick(rng, words.ROLES)}@{domain}"]
            elif domain is not None and (kind == "buyer" or chance < 0.8):
                found = [f"{local}@{domain}"]
            elif chance < 0.82:
                found = [f"{local}.{index}@{pick(rng, words.DISPOSABLE)}"]
            else:
                hosts = words.FREE_MAIL.get(locale.language, words.FREE_MAIL["en"])
                found = [f"{local}.madeup{index}@{pick(rng, hosts)}"]
            if domain is not None and rng.random() < 0.05:
                found.append(f"{name[0][0]}.{name[1].replace(' ', '')}+news@{domain}")
        return tuple(self._unique(address, index) for address in found)

    def _unique(self, address: str, index: int) -> str:
        if address in self._taken:
            local, _, host = address.partition("@")
            address = f"{local}{index}@{host}"
        self._taken.add(address)
        return address

    def _stages(self, kind: str, created: datetime) -> tuple[tuple[str, datetime], ...]:
        rng = self._rng
        path: tuple[str, ...] = _STAGES.get(kind, ("lead",))
        chance = rng.random()
        if chance < 0.03:
            return ()
        if chance < 0.035 and kind == "dormant":
            path = (*path, words.CUSTOM_STAGE)
        elif kind == "evaluator" and chance < 0.2:
            path = (*path, "mql")
        elif kind == "customer" and chance < 0.1:
            path = (*path, "evangelist")
        age = self._now - created
        steps = sorted(rng.uniform(0.0, 0.95) for _ in path[1:])
        return tuple((stage, created + age * step) for stage, step in zip(path, (0.0, *steps), strict=True))

    def _id(self, object: str) -> str:
        number = self._next[object]
        self._next[object] += 1
        if object == "contact":
            return hubspot_id(number)
        return salesforce_id("00Q" if object == "Lead" else "003", number)

    def _salesforce(
        self, sample: dict[str, Any], kind: str, locale: words.Locale, place: str, twice: bool
    ) -> list[SandboxRecord]:
        rng = self._rng
        created = sample["created_at"]
        values = sample | {
            "crm": "salesforce",
            "object": "Lead",
            "first_name": _respelled(sample["first_name"], rng),
            "last_name": _respelled(sample["last_name"], rng),
            "emails": tuple(_retyped(address, rng) for address in sample["emails"][:1]),
            "country": pick(rng, locale.spellings) if rng.random() < 0.7 else None,
            "phone": sample["phone"] if rng.random() < 0.6 else None,
            "title": sample["title"] if rng.random() < 0.9 else "",
            "modified_at": created + (self._now - created) * rng.uniform(0.2, 0.999),
        }
        if place == "deleted":
            return [self._record(values, state="deleted")]
        made = []
        if kind in ("customer", "open_deal") or (sample["company"] is not None and rng.random() < 0.3):
            contact = self._record(values, object="Contact")
            made.append(contact)
            if rng.random() < 0.6:
                gone = {"state": "converted", "moved_to": contact.id, "status": None, "status_at": None}
                made.append(self._record(values, **gone))
        else:
            made.append(self._record(values))
        if rng.random() < 0.01:
            made.append(self._record(values, object=made[0].object, state="merged", moved_to=made[0].id))
        if twice:
            other = pick(rng, (sample["last_name"], "Info", "Doppel"))
            made.append(self._record(values, last_name=other, title=None, status=None, status_at=None))
        return made

    def _hubspot(
        self, sample: dict[str, Any], place: str, others: Sequence[SandboxRecord]
    ) -> list[SandboxRecord]:
        rng = self._rng
        live = [other.id for other in others if other.state == "live"]
        values = sample | {
            "crm": "hubspot",
            "object": "contact",
            "counterpart": live[0] if live and rng.random() < 0.5 else None,
            "note": _NOTE * (HUGE // len(_NOTE)) if rng.random() < 0.002 else None,
        }
        if rng.random() < 0.03:
            values["city"] = ""
        if rng.random() < 0.02:
            values |= {"title": "", "phone": ""}
        if place == "archived":
            return [self._record(values, state="archived")]
        made = [self._record(values)]
        if rng.random() < 0.01:
            lost = {"state": "merged", "moved_to": made[0].id, "emails": (), "counterpart": None}
            made.append(self._record(values, **lost))
        return made

    def _record(self, values: dict[str, Any], **changes: Any) -> SandboxRecord:
        final = values | changes
        return SandboxRecord(id=self._id(final["object"]), **final)


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return plain or "name"


def _respelled(name: str, rng: Random) -> str:
    """The same name as another hand types it."""
    chance = rng.random()
    if chance < 0.8:
        return name
    if chance < 0.85:
        return name.upper()
    if chance < 0.9:
        return f" {name} "
    if chance < 0.94:
        return name.lower()
    plain = unicodedata.normalize("NFKD", name)
    return "".join(char for char in plain if not unicodedata.combining(char))


def _retyped(address: str, rng: Random) -> str:
    chance = rng.random()
    if chance < 0.8:
        return address
    if chance < 0.9:
        return address.title()
    return address.upper()
