"""The accounts around people: gathered in batches, and who is around an account that has moved. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, select

from connector.core.account import ENGAGED, ENGAGED_WITHIN, MQLS, PARENTS, Account, Around, parent_of
from connector.core.model import CompanyRecord, OpportunityRecord, PersonRecord, Ref
from connector.core.normalize.derive import email_kind
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.tables import COMPANY_DOMAIN, ENGAGEMENT, PERSON, RECORD


def accounts(
    db: Connection, members: Sequence[Sequence[PersonRecord]], people: Sequence[int | None], around: Around
) -> list[Account]:
    """Per group of records, in order, the account around them. `people`: who each group is, None for somebody new.

    Found by the company that the CRM names; in a CRM that names none, by the domain of a company named elsewhere, or of
    the person's business address. A fixed number of queries for a batch, and one more for each account whose people
    are counted.
    """
    named = {str(each.company) for group in members for each in group if each.company is not None}
    known = companies(db, named)
    domains = [_domains(group, known) for group in members]
    by_domain = _by_domain(db, {each for found in domains for each in found})
    own: list[list[str]] = []
    for group, found in zip(members, domains, strict=True):
        refs = list(dict.fromkeys(str(each.company) for each in group if each.company is not None))
        crms = {ref.partition(":")[0] for ref in refs}
        refs += sorted({ref for each in found for ref in by_domain.get(each, ())
                        if ref.partition(":")[0] not in crms})  # fmt: skip
        own.append(refs)
    known |= companies(db, {ref for refs in own for ref in refs} - known.keys())
    _climb(db, known, around.parents)
    chains = [_chain(refs, known, around.parents) for refs in own]
    deals = _deals(db, {str(each.ref) for chain in chains for each in chain})
    told = _telling(db, around.deals)
    counted: dict[tuple[str, ...], tuple[int, set[int]]] = {}
    # Whoever is new is nobody yet by number, and counts all the same: as one of this batch, else as their record.
    whose = {
        str(each.ref): f"new {place}" if person is None else str(person)
        for place, (group, person) in enumerate(zip(members, people, strict=True))
        for each in group
    }
    answer: list[Account] = []
    for refs, chain, person in zip(own, chains, people, strict=True):
        key = tuple(sorted(refs))
        if key and key not in counted and around.fields & {ENGAGED, MQLS}:
            counted[key] = _count(db, key, around, whose)
        engaged, mqls = counted.get(key, (0, set()))
        answer.append(
            Account(
                companies=tuple(chain),
                deals=tuple(deal for each in chain for deal in deals.get(str(each.ref), ())),
                engaged=engaged if key and ENGAGED in around.fields else None,
                mqls=len(mqls - {person}) if key and MQLS in around.fields else None,
                deals_known=any(each.ref.crm in told for each in chain),
            )
        )
    return answer


def companies(db: Connection, refs: Iterable[str]) -> dict[str, CompanyRecord]:
    """Those of these that the ledger holds."""
    query = select(RECORD.c.ref, RECORD.c.body).where(RECORD.c.kind == "company")
    return {row.ref: codec.load_company(row.body) for row in where_in(db, query, RECORD.c.ref, refs)}


def companies_of(db: Connection, records: Iterable[PersonRecord]) -> dict[Ref, CompanyRecord]:
    """The companies that these name."""
    named = {str(record.company) for record in records if record.company is not None}
    return {company.ref: company for company in companies(db, named).values()}


def people_around(db: Connection, companies: Iterable[str]) -> set[Ref]:
    """The person records whose account one of these companies is, or is a parent of."""
    found = set(companies)
    fresh = set(found)
    for _ in range(PARENTS):
        children = select(RECORD.c.ref).where(RECORD.c.kind == "company")
        fresh = {row.ref for row in where_in(db, children, RECORD.c.company, fresh)} - found
        found |= fresh
    has = select(COMPANY_DOMAIN.c.domain)
    domains = {row.domain for row in where_in(db, has, COMPANY_DOMAIN.c.ref, found)}
    same = {row.ref for row in where_in(db, select(COMPANY_DOMAIN.c.ref), COMPANY_DOMAIN.c.domain, domains)}
    people = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    by_domain = {row.ref for row in where_in(db, people, RECORD.c.ref, same)}
    named = {row.ref for row in where_in(db, people, RECORD.c.company, found | same)}
    return {codec.parse_ref(ref) for ref in by_domain | named}


def colleagues(db: Connection, refs: Iterable[Ref]) -> set[Ref]:
    """The person records of the companies that these name."""
    of = select(RECORD.c.company).where(RECORD.c.company.is_not(None))
    companies = {row.company for row in where_in(db, of, RECORD.c.ref, map(str, refs))}
    people = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    return {codec.parse_ref(row.ref) for row in where_in(db, people, RECORD.c.company, companies)}


def colleagues_of_movers(db: Connection, groups: Sequence[Iterable[Ref]]) -> set[Ref]:
    """The person records of the companies of these people, each told only of others than themselves."""
    mover = {str(ref): place for place, group in enumerate(groups) for ref in group}
    of = select(RECORD.c.ref, RECORD.c.company).where(RECORD.c.company.is_not(None))
    movers: dict[str, set[int]] = {}
    for row in where_in(db, of, RECORD.c.ref, mover):
        movers.setdefault(row.company, set()).add(mover[row.ref])
    people = select(RECORD.c.ref, RECORD.c.company).where(RECORD.c.kind == "person")
    return {
        codec.parse_ref(row.ref)
        for row in where_in(db, people, RECORD.c.company, movers)
        if movers[row.company] - {mover.get(row.ref)}
    }


def domain_of(record: PersonRecord | CompanyRecord) -> str | None:
    """The business domain by which a company is found, or a person whose CRM names no company."""
    if isinstance(record, PersonRecord) and record.company is not None:
        return None
    name = "email_domain" if isinstance(record, PersonRecord) else "company_domain"
    domain = record.fields.get(name)
    if not isinstance(domain, str) or not domain:
        return None
    return domain if email_kind(f"somebody@{domain}") == "business" else None


def _domains(group: Sequence[PersonRecord], companies: Mapping[str, CompanyRecord]) -> set[str]:
    named: list[PersonRecord | CompanyRecord] = [
        companies[str(each.company)] for each in group if str(each.company) in companies
    ]
    return {domain for each in (*named, *group) if (domain := domain_of(each))}


def _by_domain(db: Connection, domains: set[str]) -> dict[str, set[str]]:
    query = select(COMPANY_DOMAIN.c.domain, COMPANY_DOMAIN.c.ref).join(
        RECORD, and_(RECORD.c.ref == COMPANY_DOMAIN.c.ref, RECORD.c.kind == "company")
    )
    found: dict[str, set[str]] = {}
    for row in where_in(db, query, COMPANY_DOMAIN.c.domain, domains):
        found.setdefault(row.domain, set()).add(row.ref)
    return found


def _climb(db: Connection, known: dict[str, CompanyRecord], generations: int) -> None:
    """Load the parents of these, a generation a query."""
    for _ in range(generations):
        above = {str(ref) for each in known.values() if (ref := parent_of(each))} - known.keys()
        if not above:
            return
        known |= companies(db, above)


def _chain(own: Sequence[str], known: Mapping[str, CompanyRecord], generations: int) -> list[CompanyRecord]:
    """The account's own companies, then their parents, the nearest first; each once, so that a circle ends."""
    found = {ref: known[ref] for ref in own if ref in known}
    fresh = list(found.values())
    for _ in range(generations):
        above = [str(ref) for each in fresh if (ref := parent_of(each))]
        fresh = [known[ref] for ref in dict.fromkeys(above) if ref in known and ref not in found]
        found |= {str(each.ref): each for each in fresh}
    return list(found.values())


def _deals(db: Connection, companies: Iterable[str]) -> dict[str, list[OpportunityRecord]]:
    query = select(RECORD.c.company, RECORD.c.body).where(RECORD.c.kind == "opportunity")
    found: dict[str, list[OpportunityRecord]] = {}
    for row in where_in(db, query, RECORD.c.company, companies):
        found.setdefault(row.company, []).append(codec.load_opportunity(row.body))
    return found


def _telling(db: Connection, objects: Iterable[str]) -> set[str]:
    """The CRMs that have told us of any of these objects. One that has told of none may have none, or a token that must
    not see them: nobody knows."""
    return {
        name.partition(":")[0]
        for name in objects
        if db.execute(
            select(RECORD.c.ref).where(RECORD.c.ref > f"{name}:", RECORD.c.ref < f"{name};").limit(1)
        ).first()
    }


def _count(
    db: Connection, companies: Sequence[str], around: Around, whose: Mapping[str, str]
) -> tuple[int, set[int]]:
    """How many people of these companies did something that counts lately, and those who are MQL."""
    mine = (RECORD.c.company.in_(companies), RECORD.c.kind == "person")
    engaged = 0
    if ENGAGED in around.fields:
        query = (
            select(RECORD.c.ref, RECORD.c.person_id)
            .join(ENGAGEMENT, ENGAGEMENT.c.about == RECORD.c.ref)
            .where(*mine, *_lately(around.at))
            .distinct()
        )
        engaged = len({whose.get(row.ref) or str(row.person_id or row.ref) for row in db.execute(query)})
    if MQLS not in around.fields:
        return engaged, set()
    members = select(RECORD.c.person_id).where(*mine, RECORD.c.person_id.is_not(None))
    query = select(PERSON.c.id).where(
        PERSON.c.id.in_(members), PERSON.c.stage == "mql", PERSON.c.ended_at.is_(None)
    )
    return engaged, {row.id for row in db.execute(query)}


def _lately(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        ENGAGEMENT.c.counted.is_(True),
        ENGAGEMENT.c.deleted.is_(False),
        ENGAGEMENT.c.occurred_at > at - ENGAGED_WITHIN,
        ENGAGEMENT.c.occurred_at <= at,
    )
