"""The account around a person: what its companies, deals and people come to, as fields of the person. Pure.

The facts of an account are those of its own companies and of their parents, up to a depth; those of siblings and
subsidiaries are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.core.conditions import fields_of
from connector.core.criteria import fields_of_criteria
from connector.core.definition import Definition
from connector.core.fields import ACCOUNT, ACCOUNT_FIELDS
from connector.core.model import CompanyRecord, OpportunityRecord, PersonRecord, RecordState, Ref, Value
from connector.core.normalize.derive import email_kind

PARENTS = 2  # so many generations above an account are asked
ENGAGED_WITHIN = timedelta(days=30)
ENGAGED, MQLS = "account.people_engaged_30d", "account.mqls"
_EVER = ("account.is_customer", "account.is_partner", "account.open_opportunity")


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the account around one person.

    `companies`: its own first, then parents, the nearest first. `deals` are theirs; `deals_known`: a CRM of theirs has
    told us of deals (of anybody), so that no deal means that there is none. `engaged` and `mqls` count people at the
    moment they were gathered for; None where nobody asked. What it was made by: `around`, what was asked; `told`, the
    CRMs that have told us of deals; `own`, its own companies, read or not.
    """

    companies: tuple[CompanyRecord, ...] = ()
    deals: tuple[OpportunityRecord, ...] = ()
    engaged: int | None = None
    mqls: int | None = None
    deals_known: bool = False
    around: Around | None = None
    told: frozenset[str] = frozenset()
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Around:
    """What to gather of the accounts: as of `at` (aware UTC), for these of our fields. `deals`: the objects of CRMs
    that are mapped as deals, as `crm:Object`."""

    at: datetime
    fields: frozenset[str]
    deals: frozenset[str] = frozenset()
    parents: int = PARENTS


def account_fields_read(definition: Definition) -> frozenset[str]:
    """The fields of the account that the criteria or a mapping's `write_only` read; nothing is gathered for others."""
    read = set(fields_of_criteria(definition.criteria))
    for mapping in definition.mappings.values():
        for target in mapping.objects.values():
            for condition in (target.write_only, *(line.write_only for line in target.write)):
                read |= fields_of(condition) if condition is not None else frozenset()
    return frozenset(name for name in read if name.startswith(ACCOUNT))


def around_at(definition: Definition, at: datetime) -> Around | None:
    """What to gather of the accounts by this definition; None: nothing of them is read."""
    read = account_fields_read(definition)
    deals = frozenset(
        f"{crm}:{each.object}"
        for crm, mapping in definition.mappings.items()
        for each in mapping.of_kind("opportunity")
    )
    return Around(at, read, deals) if read else None


def account_fields(account: Account, own_deals: Iterable[OpportunityRecord] = ()) -> dict[str, Value]:
    """The fields that the account gives a person; what nobody knows is left out.

    `own_deals`: those in which the person plays a role, whosever they are. That an account is no customer and no
    partner is known as soon as there is an account; that it has no open deal, where its deals are known.
    """
    companies = [each for each in account.companies if each.state is RecordState.LIVE]
    deals = {each.ref: each for each in (*account.deals, *own_deals) if each.state is RecordState.LIVE}
    found: dict[str, Value] = {}
    for name in sorted(ACCOUNT_FIELDS):
        said = [value for each in companies if (value := each.fields.get(name)) is not None]
        if name in _EVER:
            silent = name == "account.open_opportunity" and not (said or deals or account.deals_known)
            if (companies or deals) and not silent:
                found[name] = True in said
        elif name == "account.lost_at":
            dates = [value for value in said if isinstance(value, datetime)]
            dates += [at for deal in deals.values() if (at := _lost_at(deal))]
            if dates:
                found[name] = max(dates)
        elif said:
            found[name] = said[0]
    if any(deal.is_won for deal in deals.values()):
        found["account.is_customer"] = True
    if any(not deal.is_closed for deal in deals.values()):
        found["account.open_opportunity"] = True
    if account.engaged is not None:
        found[ENGAGED] = account.engaged
    if account.mqls is not None:
        found[MQLS] = account.mqls
    return found


def _lost_at(deal: OpportunityRecord) -> datetime | None:
    """When a deal was lost. Where the date for which its closing was planned stands yet, and lies ahead: when the
    deal was changed last."""
    if not deal.is_closed or deal.is_won:
        return None
    return min((at for at in (deal.closed_at, deal.changed_at) if at is not None), default=None)


def account_of(
    group: Iterable[PersonRecord],
    companies: Mapping[str, CompanyRecord],
    named_by: Mapping[str, Iterable[str]],
    deals: Mapping[str, Iterable[OpportunityRecord]],
    around: Around,
    told: frozenset[str],
) -> Account:
    """The account around these records, of companies by their ref, which have these domains, and deals by the ref of
    their company. Who is counted in it is not."""
    own = own_companies(group, companies, named_by)
    chain = chain_of(own, companies, around.parents)
    return Account(
        companies=tuple(chain),
        deals=tuple(
            deal for each in chain for deal in sorted(deals.get(str(each.ref), ()), key=lambda deal: deal.ref)
        ),
        deals_known=any(each.ref.crm in told for each in chain),
        around=around,
        told=told,
        own=tuple(own),
    )


def own_companies(
    group: Iterable[PersonRecord],
    companies: Mapping[str, CompanyRecord],
    named_by: Mapping[str, Iterable[str]],
) -> list[str]:
    """The companies that these records name; in a CRM that names none, those of a domain of theirs."""
    group = list(group)
    refs = list(dict.fromkeys(str(each.company) for each in group if each.company is not None))
    crms = {ref.partition(":")[0] for ref in refs}
    by_domain = {ref for each in domains_of(group, companies) for ref in named_by.get(each, ())}
    return refs + sorted(ref for ref in by_domain if ref.partition(":")[0] not in crms)


def domains_of(group: Iterable[PersonRecord], companies: Mapping[str, CompanyRecord]) -> set[str]:
    """The business domains of these records, and of the companies that they name."""
    group = list(group)
    told: list[PersonRecord | CompanyRecord] = [*group]
    told += [companies[str(each.company)] for each in group if str(each.company) in companies]
    return {domain for each in told if (domain := domain_of(each))}


def chain_of(
    own: Iterable[str], companies: Mapping[str, CompanyRecord], generations: int
) -> list[CompanyRecord]:
    """The account's own companies, then their parents, the nearest first; each once, so that a circle ends."""
    found = {ref: companies[ref] for ref in own if ref in companies}
    fresh = list(found.values())
    for _ in range(generations):
        above = [str(ref) for each in fresh if (ref := parent_of(each))]
        fresh = [companies[ref] for ref in dict.fromkeys(above) if ref in companies and ref not in found]
        found |= {str(each.ref): each for each in fresh}
    return list(found.values())


def domain_of(record: PersonRecord | CompanyRecord) -> str | None:
    """The business domain by which a company is found, or a person whose CRM names no company."""
    if isinstance(record, PersonRecord) and record.company is not None:
        return None
    name = "email_domain" if isinstance(record, PersonRecord) else "company_domain"
    domain = record.fields.get(name)
    if not isinstance(domain, str) or not domain:
        return None
    return domain if email_kind(f"somebody@{domain}") == "business" else None


def parent_of(company: CompanyRecord) -> Ref | None:
    """The company above this one, in the same CRM; of one that was merged the company that it has become: a contact may
    name the old one for days."""
    if company.state is RecordState.MERGED:
        return company.moved_to
    id_ = company.fields.get("account.parent")
    if not isinstance(id_, str) or not id_ or id_ == company.ref.id:
        return None
    return Ref(company.ref.crm, company.ref.object, id_)


def with_account(
    fields: Mapping[str, Value], account: Account | None, own_deals: Iterable[OpportunityRecord]
) -> Mapping[str, Value]:
    """The person's fields with those of the account. None: nobody reads them."""
    return fields if account is None else {**fields, **account_fields(account, own_deals)}
