"""Turns the made-up population into an org's rows. Decides how life looks in Salesforce; serves nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from adapters.salesforce.sandbox.schema import LADDER, LEAD_STATUSES, OPPORTUNITY_STAGES
from adapters.salesforce.sandbox.soql import wire_time
from adapters.salesforce.sandbox.store import (
    ADMIN_USER,
    API_USER,
    AUTOMATED,
    HUBSPOT_USER,
    RESPONSES,
    Store,
    derive,
)
from connector.sandbox import words
from connector.sandbox.population import (
    Population,
    SandboxCompany,
    SandboxEngagement,
    SandboxRecord,
    salesforce_id,
)

Row = dict[str, Any]

UNOWNED = salesforce_id("00G", 1)  # the queue of leads that nobody took yet
ROUND_ROBIN = salesforce_id("00G", 2)  # where the active assignment rule sends them
NOT_PROVIDED = "[not provided]"  # what Salesforce's own web forms put into a required field

_INDUSTRY = {
    "COMPUTER_SOFTWARE": "Technology",
    "MACHINERY": "Manufacturing",
    "HOSPITAL_HEALTH_CARE": "Healthcare",
    "RETAIL": "Retail",
    "FINANCIAL_SERVICES": "Finance",
    "HIGHER_EDUCATION": "Education",
    "LOGISTICS_AND_SUPPLY_CHAIN": "Transportation",
    "MARKETING_AND_ADVERTISING": "Media",
}
_SOURCE = {
    "ORGANIC_SEARCH": "Web",
    "PAID_SEARCH": "Web",
    "DIRECT_TRAFFIC": "Web",
    "REFERRALS": "Partner Referral",
    "SOCIAL_MEDIA": "Web",
    "EMAIL_MARKETING": "Purchased List",
    "OFFLINE": "Phone Inquiry",
}
_STATUS = {
    "new": "Open - Not Contacted",
    "open": "Working - Contacted",
    "working": "Working - Contacted",
    "attempted": "Working - Contacted",
    "connected": "Working - Contacted",
    "unqualified": "Closed - Not Converted",
    "bad_timing": "Closed - Not Converted",
}
_DEAL_STAGE = {"open": "Proposal/Price Quote", "won": "Closed Won", "lost": "Closed Lost"}
_INVITED = 25  # every so-manieth record was invited to a campaign and never answered
_OPEN = 9  # every so-manieth Task is still to be done
_EXTRA_EVENT = 4  # every so-manieth meeting has a sibling that must not count: a copy, a future or an old one
_HISTORY_FIELD = "Lifecycle_Stage__c"


def fill(store: Store, population: Population, *, with_mql_fields: bool = True) -> None:
    """Put the whole population into an empty store."""
    now = population.now
    companies = {each.index: each for each in population.companies}
    records = list(population.records("salesforce"))
    people: dict[str, list[Row]] = {"Lead": [], "Contact": []}
    histories: dict[str, list[Row]] = {"Lead": [], "Contact": []}
    converted = {each.moved_to: each.id for each in records if each.state == "converted"}
    accounts = _accounts(population.companies)
    account_of = {each.id: _account_id(each, companies) for each in records if each.object == "Contact"}
    deal_of = {contact: deal.id for deal in population.deals for contact in deal.contacts}
    for number, record in enumerate(records):
        row = _person(record, companies, with_mql_fields)
        if record.state == "converted":
            contact = record.moved_to or ""
            row |= {
                "IsConverted": True,
                "Status": "Closed - Converted",
                "ConvertedDate": _day(record.modified_at),
                "ConvertedContactId": contact,
                "ConvertedAccountId": account_of.get(contact),
                "ConvertedOpportunityId": deal_of.get(contact),
            }
        derive(record.object, row, now)
        people[record.object].append(row)
        kept = _history(record, number, with_mql_fields)
        histories[record.object] += [
            row for row in kept if f"{record.object}.{row['Field']}" in store.tracked
        ]
    members = _members(population, records, converted)
    tasks, events = _activities(population, account_of)
    _last_activity(people, tasks + events)
    tables = store.tables
    tables["Account"].fill(accounts)
    for name, rows in people.items():
        tables[name].fill(rows)
        tables[name].deletions += sorted(
            (row["SystemModstamp"], row["Id"]) for row in rows if row.get("IsDeleted")
        )
        tables[f"{name}History"].fill(histories[name])
    tables["Campaign"].fill(_campaigns(now))
    tables["CampaignMember"].fill(members)
    tables["CampaignMemberStatus"].fill(_member_statuses(now))
    tables["Task"].fill(tasks)
    tables["Event"].fill(events)
    opportunities, roles = _deals(population, companies)
    tables["Opportunity"].fill(opportunities)
    tables["OpportunityContactRole"].fill(roles)
    _fill_settings(store, population)


# ------------------------------------------------------------------------------------------------ people


def _person(record: SandboxRecord, companies: Mapping[int, SandboxCompany], with_mql_fields: bool) -> Row:
    company = companies.get(record.company) if record.company is not None else None
    values: Row = {
        "Id": record.id,
        "FirstName": record.first_name,
        "LastName": (record.last_name or "").strip() or NOT_PROVIDED,
        "Title": record.title,
        "Phone": record.phone,
        "Email": record.emails[0] if record.emails else None,
        "LeadSource": _SOURCE.get(record.source, "Other"),
        "HasOptedOutOfEmail": record.opted_out,
        "Description": record.note,
        "OwnerId": _owner(record),
        **_stamps(record.created_at, record.modified_at),
    }
    if record.object == "Lead":
        values |= {
            "Company": (record.company_name or "").strip() or NOT_PROVIDED,
            "City": record.city,
            "Country": record.country,
            "Status": _STATUS.get(record.status or "new", "Open - Not Contacted"),
        }
        if company is not None:
            values |= {
                "Industry": _INDUSTRY.get(company.industry),
                "AnnualRevenue": company.revenue,
                "NumberOfEmployees": company.employees,
                "Website": f"https://{company.domain}",
            }
    else:
        values |= {
            "AccountId": _account_id(record, companies),
            "MailingCity": record.city,
            "MailingCountry": record.country,
        }
    if with_mql_fields and record.stage in LADDER:
        values[_HISTORY_FIELD] = record.stage
    if record.state in ("deleted", "merged"):
        values |= {"IsDeleted": True, "MasterRecordId": record.moved_to}
    return _stored(values)


@cache
def _user(place: int) -> str:
    return salesforce_id("005", place)


def _owner(record: SandboxRecord) -> str:
    if record.owner is not None:
        return _user(record.owner)
    return UNOWNED if record.object == "Lead" else _user(0)


def _account_id(record: SandboxRecord, companies: Mapping[int, SandboxCompany]) -> str | None:
    company = companies.get(record.company) if record.company is not None else None
    return company.salesforce_id if company is not None else None


def _history(record: SandboxRecord, number: int, with_mql_fields: bool) -> list[Row]:
    """Field history: the steps of the lifecycle stage, and when the lead status was set."""
    steps: list[tuple[str, str | None, str | None, datetime]] = []
    if with_mql_fields:
        before: str | None = None
        for stage, at in record.stages:
            if stage in LADDER:
                if before is not None:  # what a record is created with is no change
                    steps.append((_HISTORY_FIELD, before, stage, at))
                before = stage
    if record.object == "Lead" and record.status_at is not None and record.state != "converted":
        status = _STATUS.get(record.status or "new")
        if status != "Open - Not Contacted":
            steps.append(("Status", "Open - Not Contacted", status, record.status_at))
    prefix, key = ("017", "LeadId") if record.object == "Lead" else ("03p", "ContactId")
    return [
        {
            "Id": salesforce_id(prefix, number * 16 + place),
            key: record.id,
            "Field": name,
            "OldValue": old,
            "NewValue": new,
            "CreatedDate": _time(at),
            "CreatedById": _owner(record),
        }
        for place, (name, old, new, at) in enumerate(steps[:16])
    ]


# ------------------------------------------------------------------------------------------------ around people


def _accounts(companies: Iterable[SandboxCompany]) -> list[Row]:
    return [
        _stored(
            {
                "Id": each.salesforce_id,
                "Name": each.name,
                "Type": "Prospect",
                "Industry": _INDUSTRY.get(each.industry),
                "NumberOfEmployees": each.employees,
                "AnnualRevenue": each.revenue,
                "Website": f"https://www.{each.domain}",
                "Phone": each.phone,
                "BillingCity": each.city,
                "BillingCountry": each.country,
                "OwnerId": _user(each.index % len(words.USERS)),
                **_stamps(each.created_at, each.modified_at),
            }
        )
        for each in companies
        if each.salesforce_id is not None
    ]


def _campaign_ids() -> dict[str, tuple[str, str]]:
    """Campaign name -> (id, vendor type)."""
    names = {name: kind for name, kind, _, _ in words.CAMPAIGNS}
    return {name: (salesforce_id("701", index), kind) for index, (name, kind) in enumerate(names.items())}


def _campaigns(now: datetime) -> list[Row]:
    start = now - timedelta(days=400)
    return [
        _stored(
            {
                "Id": id,
                "Name": name,
                "Type": kind,
                "Status": "In Progress",
                "IsActive": True,
                "StartDate": _day(start),
                "OwnerId": _user(0),
                **_stamps(start, start),
            }
        )
        for name, (id, kind) in _campaign_ids().items()
    ]


def _member_statuses(now: datetime) -> list[Row]:
    """What each campaign's member statuses mean."""
    start = _stamps(now - timedelta(days=400), now - timedelta(days=400))
    labels = ("Sent", *RESPONSES)
    ids = (id for id, _ in _campaign_ids().values())
    return [
        {
            "Id": salesforce_id("01Y", at * 16 + place),
            "CampaignId": campaign,
            "Label": label,
            "HasResponded": label in RESPONSES,
            "IsDefault": place == 0,
            "SortOrder": place + 1,
            **start,
        }
        for at, campaign in enumerate(ids)
        for place, label in enumerate(labels)
    ]


def _members(
    population: Population, records: list[SandboxRecord], converted: Mapping[str | None, str]
) -> list[Row]:
    """One row per campaign and record: the last status wins, the first response is kept."""
    ids = _campaign_ids()
    rows: dict[tuple[str, str], Row] = {}
    for each in population.engagements:
        if each.channel != "salesforce_campaign" or each.record is None or each.campaign not in ids:
            continue
        campaign = ids[each.campaign][0]
        row = rows.setdefault((campaign, each.record), _member(campaign, each.record, converted, each))
        row |= {"Status": each.status, **_stamps(None, each.occurred_at)}
    live = [record for record in records if record.state == "live"]
    for place, record in enumerate(live):
        campaign = salesforce_id("701", place % len(ids))
        if place % _INVITED == 0 and (campaign, record.id) not in rows:
            row = _member(campaign, record.id, converted, None)
            rows[campaign, record.id] = row | {
                "Status": "Sent",
                **_stamps(record.created_at, record.created_at),
            }
    made = []
    for place, row in enumerate(rows.values()):
        row["Id"] = salesforce_id("00v", place)
        derive("CampaignMember", row, population.now)
        made.append(row)
    return made


def _member(
    campaign: str, record: str, converted: Mapping[str | None, str], first: SandboxEngagement | None
) -> Row:
    row: Row = {"CampaignId": campaign}
    if record.startswith("00Q"):
        row["LeadId"] = record
    else:
        row["ContactId"] = record
        if record in converted:  # a member that came in as a Lead keeps both
            row["LeadId"] = converted[record]
    if first is not None:
        row |= _stamps(first.occurred_at, first.occurred_at)
        if first.status in RESPONSES:
            row["FirstRespondedDate"] = _day(first.occurred_at)
    return row


def _activities(population: Population, account_of: Mapping[str, str | None]) -> tuple[list[Row], list[Row]]:
    tasks: list[Row] = []
    events: list[Row] = []
    for each in population.engagements:
        if each.record is None:
            continue
        if each.channel == "salesforce_task":
            tasks.append(_task(each, len(tasks), account_of, population.now))
        elif each.channel == "salesforce_event":
            events += _events(each, len(events), account_of, population.now)
    return tasks, events


def _activity(each: SandboxEngagement, account_of: Mapping[str, str | None], at: datetime) -> Row:
    maker = HUBSPOT_USER if each.copied else _user((each.person or 0) % len(words.USERS))
    return {
        "WhoId": each.record,
        "AccountId": account_of.get(each.record or ""),
        "OwnerId": maker,
        **_stamps(at, at, maker),
    }


def _task(each: SandboxEngagement, place: int, account_of: Mapping[str, str | None], now: datetime) -> Row:
    subject = each.name or "Call"
    call = subject == "Call"
    row: Row = {
        "Id": salesforce_id("00T", place),
        "Subject": f"[HubSpot] {subject}" if each.copied else subject,
        "Type": "Call" if call else "Email" if subject.startswith("Email") else "Other",
        "TaskSubtype": "Call" if call else "Email" if subject.startswith("Email") else "Task",
        "Priority": "Normal",
        "Status": "Completed",
        "ActivityDate": _day(each.occurred_at),
        "CompletedDateTime": _time(each.occurred_at),
        **_activity(each, account_of, each.occurred_at),
    }
    if call:
        row |= {"CallType": "Outbound", "CallDurationInSeconds": int(each.value or 300)}
        row["CallDisposition"] = "Connected"
    if place % _OPEN == 0 and not each.copied:
        row |= {
            "Status": "Not Started",
            "CompletedDateTime": None,
            "ActivityDate": _day(now + timedelta(days=5)),
        }
    row = _stored(row)
    derive("Task", row, now)
    return row


def _events(
    each: SandboxEngagement, place: int, account_of: Mapping[str, str | None], now: datetime
) -> Iterator[Row]:
    def event(offset: int, start: datetime, created: datetime, **more: Any) -> Row:
        row = _stored(
            {
                "Id": salesforce_id("00U", place + offset),
                "Subject": each.name or "Meeting",
                "Type": "Meeting",
                "StartDateTime": _time(start),
                "DurationInMinutes": 30,
                **_activity(each, account_of, created),
                **more,
            }
        )
        derive("Event", row, now)
        return row

    yield event(0, each.occurred_at, each.occurred_at)
    if each.n % _EXTRA_EVENT == 0:
        yield event(1, each.occurred_at, each.occurred_at, IsChild=True, IsGroupEvent=True)
    elif each.n % _EXTRA_EVENT == 1:
        yield event(1, now + timedelta(days=7), each.occurred_at)
    elif each.n % _EXTRA_EVENT == 2:
        old = each.occurred_at - timedelta(days=420)
        yield event(1, old, old)


def _last_activity(people: Mapping[str, list[Row]], activities: list[Row]) -> None:
    last: dict[str, str] = defaultdict(str)
    for row in activities:
        if row.get("IsClosed", True):
            last[row["WhoId"]] = max(last[row["WhoId"]], row["ActivityDate"])
    for rows in people.values():
        for row in rows:
            if row["Id"] in last:
                row["LastActivityDate"] = last[row["Id"]]


def _deals(population: Population, companies: Mapping[int, SandboxCompany]) -> tuple[list[Row], list[Row]]:
    opportunities = []
    roles: list[Row] = []
    for deal in population.deals:
        row = _stored(
            {
                "Id": deal.id,
                "Name": deal.name,
                "AccountId": companies[deal.company].salesforce_id,
                "StageName": _DEAL_STAGE[deal.stage],
                "Amount": deal.amount,
                "CloseDate": _day(deal.closed_at),
                "Type": "New Business",
                "ContactId": deal.contacts[0] if deal.contacts else None,
                "OwnerId": _user(deal.n % len(words.USERS)),
                **_stamps(deal.created_at, deal.modified_at),
            }
        )
        derive("Opportunity", row, population.now)
        opportunities.append(row)
        for place, contact in enumerate(deal.contacts):
            roles.append(
                {
                    "Id": salesforce_id("00K", len(roles)),
                    "OpportunityId": deal.id,
                    "ContactId": contact,
                    "Role": "Decision Maker" if place == 0 else "Influencer",
                    "IsPrimary": place == 0,
                    **_stamps(deal.created_at, deal.created_at),
                }
            )
    return opportunities, roles


# ------------------------------------------------------------------------------------------------ the org itself


def organization_id(seed: int) -> str:
    """Different populations live in different orgs."""
    return salesforce_id("00D", seed % 1_000_000 + 1)


def _fill_settings(store: Store, population: Population) -> None:
    start: Row = _stamps(population.now - timedelta(days=1500), population.now - timedelta(days=1500))
    tables = store.tables
    names = [*words.USERS]
    users = {_user(place): name for place, name in enumerate(names)}
    users |= {
        API_USER: ("Scoring", "Connector"),
        HUBSPOT_USER: ("HubSpot", "Integration"),
        ADMIN_USER: ("Org", "Admin"),
        AUTOMATED: ("Automated", "Process"),
    }
    managed = {
        _user(place): _user(0) for place in range(1, len(names))
    }  # the first of sales leads the others
    rows = []
    for id, (first, last) in users.items():
        login = f"{first}.{last}@{words.OWN_DOMAIN}".lower()
        row: Row = {"Id": id, "FirstName": first, "LastName": last, "Username": login, "Email": login}
        row |= {"IsActive": True, "UserType": "Standard", "ManagerId": managed.get(id), **start}
        derive("User", row, population.now)
        rows.append(row)
    tables["User"].fill(rows)
    queues = {UNOWNED: "Unassigned leads", ROUND_ROBIN: "Round robin"}
    tables["Group"].fill(
        {
            "Id": id,
            "Name": name,
            "Type": "Queue",
            "Email": f"{name.split()[0]}@{words.OWN_DOMAIN}".lower(),
            **start,
        }
        for id, name in queues.items()
    )
    organization: Row = {"Name": "Our Product", "OrganizationType": "Enterprise Edition", "IsSandbox": False}
    places: Row = {"TimeZoneSidKey": "Europe/Berlin", "DefaultLocaleSidKey": "en_US", "InstanceName": "EU42"}
    id = organization_id(population.seed)
    tables["Organization"].fill([{"Id": id, **organization, **places, "CurrencyIsoCode": "EUR", **start}])
    tables["LeadStatus"].fill(
        {
            "Id": salesforce_id("01J", place),
            "ApiName": name,
            "MasterLabel": name,
            "IsConverted": means_converted,
            "IsDefault": place == 0,
            "SortOrder": place + 1,
            **start,
        }
        for place, (name, means_converted) in enumerate(LEAD_STATUSES.items())
    )
    tables["OpportunityStage"].fill(
        {
            "Id": salesforce_id("0F9", place),
            "ApiName": name,
            "MasterLabel": name,
            "IsClosed": closed,
            "IsWon": won,
            "IsActive": True,
            "DefaultProbability": chance,
            "SortOrder": place + 1,
            **start,
        }
        for place, (name, (closed, won, chance)) in enumerate(OPPORTUNITY_STAGES.items())
    )


def _stamps(created: datetime | None, modified: datetime, by: str | None = None) -> Row:
    user = by or _user(0)
    at = _time(modified)
    made = {"CreatedDate": _time(created), "CreatedById": user} if created is not None else {}
    return {**made, "LastModifiedDate": at, "LastModifiedById": user, "SystemModstamp": at}


def _stored(values: Row) -> Row:
    """As the platform keeps them: text trimmed, blanks absent, currency with a decimal point."""
    kept: Row = {}
    for name, value in values.items():
        if isinstance(value, str):
            value = value.strip()
        if value is not None and value != "":
            kept[name] = value
    return kept


def _time(at: datetime) -> str:
    return wire_time(at.replace(microsecond=0))


def _day(at: datetime | date) -> str:
    return at.isoformat()[:10]
