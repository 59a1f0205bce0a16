"""The words of a made-up population: people, their records in each CRM, companies, engagement, deals, and
ids.

Shapes only; connector/sandbox/population.py makes them. All times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_HUBSPOT_FIRST = 9_999_990_000  # crosses from 10 to 11 digits, so sorting ids as text goes wrong early
_HUBSPOT_STEP = 101


def hubspot_id(n: int) -> str:
    """The id of HubSpot's n-th record: text, beyond 2**31, ascending as numbers but not as text."""
    return str(_HUBSPOT_FIRST + _HUBSPOT_STEP * n)


def salesforce_id(prefix: str, n: int) -> str:
    """The 18-character id of Salesforce's n-th record of an object, for example `salesforce_id("00Q", 7)`.

    Three characters of prefix, three of instance, nine of counter (base 62, so ids may differ by case alone),
    and the checksum: per five characters one letter that says which of them are upper case.
    """
    digits = ""
    left = n
    while left:
        left, digit = divmod(left, 62)
        digits = _BASE62[digit] + digits
    short = prefix + "gK0" + digits.rjust(9, "0")
    return short + _checksum(short)


def _checksum(short: str) -> str:
    letters = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, char in enumerate(short[start : start + 5]) if "A" <= char <= "Z")
        letters += _CHECK[bits]
    return letters


@dataclass(frozen=True, slots=True)
class SandboxCompany:
    """An organisation.

    Lives in HubSpot as a company and in Salesforce as an Account where it has an id there.
    """

    index: int
    name: str
    domain: str
    country: str  # as typed
    city: str
    industry: str  # one of words.INDUSTRIES
    employees: int | None
    revenue: float | None
    currency: str
    phone: str
    created_at: datetime
    modified_at: datetime
    hubspot_id: str | None
    salesforce_id: str | None


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """One person's record in one CRM, as somebody typed it. None: never set; "": set once and cleared since.

    `object` is `contact` in HubSpot, `Lead` or `Contact` in Salesforce. `stage` and `stages` (history, oldest
    first) use our ladder's words, or words.CUSTOM_STAGE. `status` is one of new, open, working, attempted,
    connected, unqualified, bad_timing. `state`: live, archived, merged, converted, deleted; `moved_to` is the
    id of the survivor or of the Contact a Lead became. `counterpart` is the Salesforce id that a HubSpot
    contact is linked to.
    """

    crm: str
    object: str
    id: str
    person: int
    first_name: str | None
    last_name: str | None
    emails: tuple[str, ...]
    title: str | None
    phone: str | None
    company_name: str | None
    country: str | None
    city: str | None
    language: str
    source: str
    stage: str | None
    stages: tuple[tuple[str, datetime], ...]
    status: str | None
    status_at: datetime | None
    opted_out: bool
    company: int | None
    owner: int | None  # index into words.USERS
    note: str | None
    created_at: datetime
    modified_at: datetime
    state: str = "live"
    moved_to: str | None = None
    counterpart: str | None = None


@dataclass(frozen=True, slots=True)
class SandboxPerson:
    """One human. `kind`: buyer, evaluator, tyre_kicker, student, competitor, staff, customer, open_deal,
    lost_deal, dormant, subscriber. `seniority` is one of words.SENIORITIES.
    """

    index: int
    kind: str
    first_name: str
    last_name: str
    language: str
    seniority: str
    company: int | None
    records: tuple[SandboxRecord, ...]


@dataclass(frozen=True, slots=True)
class SandboxEngagement:
    """Something a person did, and through which channel it shows.

    `type` is one of our engagement types; `channel` one of hubspot_form, hubspot_email, hubspot_meeting,
    hubspot_call, hubspot_aggregate, salesforce_campaign, salesforce_task, salesforce_event. `email` is the
    address that was used, as typed; `person` is None when nobody in either CRM has it. `filtered`: a machine
    did it, not a human. `copied`: a Salesforce activity that HubSpot's own integration copied. `record` is
    the id of the record it hangs on, where the channel hangs on a record.
    """

    n: int
    type: str
    channel: str
    occurred_at: datetime
    person: int | None
    record: str | None = None
    email: str | None = None
    name: str | None = None
    url: str | None = None
    campaign: str | None = None
    status: str | None = None
    value: float | None = None
    filtered: bool = False
    copied: bool = False


@dataclass(frozen=True, slots=True)
class SandboxDeal:
    """A deal in one CRM, with `company`. `people` holds person indices; `contacts` the ids of their contacts in that
    CRM, in the same order. `stage` is open, won or lost.
    """

    n: int
    id: str
    name: str
    company: int
    people: tuple[int, ...]
    contacts: tuple[str, ...]
    stage: str
    amount: float
    currency: str
    created_at: datetime
    closed_at: datetime  # or, while open, when it is expected to
    modified_at: datetime

    @property
    def is_won(self) -> bool:
        return self.stage == "won"

    @property
    def is_closed(self) -> bool:
        return self.stage != "open"


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody, and everything they did. Engagements are in order of time; `people[i].index == i`. `deals` are
    Salesforce's opportunities, `hubspot_deals` those of people whom no opportunity names.
    """

    people: tuple[SandboxPerson, ...]
    companies: tuple[SandboxCompany, ...]
    engagements: tuple[SandboxEngagement, ...]
    deals: tuple[SandboxDeal, ...]
    now: datetime
    seed: int
    hubspot_deals: tuple[SandboxDeal, ...] = ()

    def records(self, crm: str) -> Iterator[SandboxRecord]:
        """All records of one CRM, dead ones included, person by person."""
        for person in self.people:
            for record in person.records:
                if record.crm == crm:
                    yield record
