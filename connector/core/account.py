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
from connector.core.model import CompanyRecord, OpportunityRecord, RecordState, Ref, Value

PARENTS = 2  # so many generations above an account are asked
ENGAGED_WITHIN = timedelta(days=30)
ENGAGED, MQLS = "account.people_engaged_30d", "account.mqls"
_EVER = ("account.is_customer", "account.is_partner", "account.open_opportunity")


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the account around one person.

    `companies`: its own first, then parents, the nearest first. `deals` are theirs; `deals_known`: a CRM of theirs has
    told us of deals (of anybody), so that no deal means that there is none. `engaged` and `mqls` count people at the
    moment they were gathered for; None where nobody asked.
    """

    companies: tuple[CompanyRecord, ...] = ()
    deals: tuple[OpportunityRecord, ...] = ()
    engaged: int | None = None
    mqls: int | None = None
    deals_known: bool = False


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
