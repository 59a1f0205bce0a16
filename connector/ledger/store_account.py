"""The accounts around people: gathered in batches, and who is around an account that has moved. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, select

from connector.core.account import (
    ENGAGED,
    ENGAGED_WITHIN,
    MQLS,
    PARENTS,
    Account,
    Around,
    account_of,
    domains_of,
    own_companies,
    parent_of,
)
from connector.core.model import CompanyRecord, OpportunityRecord, PersonRecord, Ref
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
    by_domain = _by_domain(db, {each for group in members for each in domains_of(group, known)})
    own = {ref for group in members for ref in own_companies(group, known, by_domain)}
    known |= companies(db, own - known.keys())
    _climb(db, known, around.parents)
    deals = _deals(db, known)
    told = telling(db, around.deals)
    counted: dict[tuple[str, ...], tuple[int, set[int]]] = {}
    # Whoever is new is nobody yet by number, and counts all the same: as one of this batch, else as their record.
    whose = {
        str(each.ref): f"new {place}" if person is None else str(person)
        for place, (group, person) in enumerate(zip(members, people, strict=True))
        for each in group
    }
    answer: list[Account] = []
    for group, person in zip(members, people, strict=True):
        found = account_of(group, known, by_domain, deals, around, told)
        key = tuple(sorted(found.own))
        if key and key not in counted and around.fields & {ENGAGED, MQLS}:
            counted[key] = _count(db, key, around, whose)
        engaged, mqls = counted.get(key, (0, set()))
        answer.append(
            replace(
                found,
                engaged=engaged if key and ENGAGED in around.fields else None,
                mqls=len(mqls - {person}) if key and MQLS in around.fields else None,
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


def _deals(db: Connection, companies: Iterable[str]) -> dict[str, list[OpportunityRecord]]:
    query = select(RECORD.c.company, RECORD.c.body).where(RECORD.c.kind == "opportunity")
    found: dict[str, list[OpportunityRecord]] = {}
    for row in where_in(db, query, RECORD.c.company, companies):
        found.setdefault(row.company, []).append(codec.load_opportunity(row.body))
    return found


def telling(db: Connection, objects: Iterable[str], known_at: datetime | None = None) -> frozenset[str]:
    """The CRMs that have told us (by `known_at`) of any of these objects. One that has told of none may have none, or a
    token that must not see them: nobody knows."""
    known = () if known_at is None else (RECORD.c.known_at <= known_at,)
    return frozenset(
        name.partition(":")[0]
        for name in objects
        if db.execute(
            select(RECORD.c.ref).where(RECORD.c.ref > f"{name}:", RECORD.c.ref < f"{name};", *known).limit(1)
        ).first()
    )


def _count(
    db: Connection, companies: Sequence[str], around: Around, whose: Mapping[str, str]
) -> tuple[int, set[int]]:
    """How many people of these companies did something that counts lately, and those who are MQL. Whose behaviour
    counts nowhere is not among the first."""
    mine = (RECORD.c.company.in_(companies), RECORD.c.kind == "person")
    engaged = 0
    if ENGAGED in around.fields:
        query = (
            select(RECORD.c.ref, RECORD.c.person_id)
            .join(ENGAGEMENT, ENGAGEMENT.c.about == RECORD.c.ref)
            .outerjoin(PERSON, PERSON.c.id == RECORD.c.person_id)
            .where(*mine, *_lately(around.at), PERSON.c.privacy.is_(None))
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
