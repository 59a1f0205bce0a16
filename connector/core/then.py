"""What was known at an earlier moment of the records that are one person and of what is around them: in the form that
they had, without what was not known yet. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast

from connector.core.account import Account, account_of, domain_of
from connector.core.facts import Facts
from connector.core.model import CompanyRecord, OpportunityRecord, PersonRecord, Ref

R = TypeVar("R", PersonRecord, CompanyRecord, OpportunityRecord)


def facts_then(facts: Facts, at: datetime, *, anew: bool = False) -> Facts:
    """These facts as they were known at `at`. How many people of the account are engaged, or MQL, stays as it is.
    `anew`: what was gathered is of more records than these, or for another definition."""
    engagement = tuple(each for each in facts.engagement if each.known_at <= at)
    stood = {each.record.ref for each in facts.past if each.known_until > at}
    if not anew and not stood and all(since <= at for since in facts.since.values()):
        return replace(facts, engagement=engagement)  # nearly always: nothing was otherwise
    records = forms_at(facts.records, facts, at)
    account = facts.account
    known = (*facts.companies.values(), *(account.companies if account else ()), *facts.once.companies)
    companies = forms_at(known, facts, at)
    deals = forms_at(
        (*facts.opportunities, *(account.deals if account else ()), *facts.once.deals), facts, at
    )
    refs = {record.ref for record in records}
    return replace(
        facts,
        records=tuple(records),
        companies={company.ref: company for company in companies},
        opportunities=tuple(
            sorted((deal for deal in deals if refs & set(deal.people)), key=lambda deal: deal.ref)
        ),
        engagement=engagement,
        account=account and account_then(account, records, companies, deals),
    )


def account_then(
    account: Account,
    records: Iterable[PersonRecord],
    companies: Iterable[CompanyRecord],
    deals: Iterable[OpportunityRecord],
) -> Account:
    """The account around these records, of these companies and deals; with the same counts of people."""
    if account.around is None:
        return account
    by_ref = {str(company.ref): company for company in companies}
    by_domain: dict[str, list[str]] = {}
    for ref, company in by_ref.items():
        if domain := domain_of(company):
            by_domain.setdefault(domain, []).append(ref)
    of_company: dict[str, list[OpportunityRecord]] = {}
    for deal in deals:
        of_company.setdefault(str(deal.company), []).append(deal)
    found = account_of(records, by_ref, by_domain, of_company, account.around, account.told)
    return replace(found, engaged=account.engaged, mqls=account.mqls)


def forms_at(records: Iterable[R], facts: Facts, at: datetime) -> list[R]:
    """These records, each once and in order, as they stood at `at`; those that were not known yet are left out."""
    now: dict[Ref, R] = {}
    for record in records:
        if facts.since.get(record.ref, at) <= at:
            now.setdefault(record.ref, record)
    for version in sorted(facts.past, key=lambda each: each.known_until, reverse=True):
        if version.known_until > at and version.record.ref in now:
            now[version.record.ref] = cast(R, version.record)  # a record never changes its kind
    return list(now.values())
