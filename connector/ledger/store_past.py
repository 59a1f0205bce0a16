"""Earlier forms of records, since when each is known, and what had to do with people once. Decides nothing.

What is around people today is found by its own tables. What was around them once is found by the forms that records
had, and by what a record was found by before it changed (`former`). Hardly anybody has such ties: for those who have
none a whole batch costs three queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, or_, select

from connector.core.account import ENGAGED, ENGAGED_WITHIN, MQLS, Account, Around, domain_of, parent_of
from connector.core.facts import PastRecord, Surroundings
from connector.core.model import CompanyRecord, OpportunityRecord, PersonRecord, Ref
from connector.ledger import codec
from connector.ledger.hot import rows_by, where_in
from connector.ledger.store_account import telling
from connector.ledger.tables import (
    COMPANY_DOMAIN,
    ENGAGEMENT,
    FORMER,
    PAST_RECORD,
    PERSON,
    RECORD,
    ROLE,
    RUN,
    STAGE_HISTORY,
)

_Form = PersonRecord | CompanyRecord | OpportunityRecord
_LOADS: dict[str, Callable[[str], _Form]] = {
    "person": codec.load_person,
    "company": codec.load_company,
    "opportunity": codec.load_opportunity,
}


@dataclass(frozen=True, slots=True)
class Ever:
    """Of somebody's surroundings: earlier forms, oldest first; since when each record is known; what had to do with
    them once."""

    past: tuple[PastRecord, ...] = ()
    since: Mapping[Ref, datetime] = field(default_factory=dict)
    once: Surroundings = field(default_factory=Surroundings)


class _Story(NamedTuple):
    """A record as it is stored, with its earlier forms."""

    kind: str
    body: str
    known_at: datetime
    past: list[PastRecord]

    def forms(self) -> list[_Form]:
        return [_LOADS[self.kind](self.body), *(each.record for each in self.past)]


def people_before(db: Connection, refs: Iterable[str]) -> dict[str, list[PastRecord]]:
    """Superseded forms of person records, oldest first, by record."""
    found: dict[str, list[PastRecord]] = {}
    query = select(PAST_RECORD).order_by(PAST_RECORD.c.known_until, PAST_RECORD.c.id)
    for row in where_in(db, query, PAST_RECORD.c.ref, refs):
        found.setdefault(row.ref, []).append(PastRecord(codec.load_person(row.body), row.known_until))
    return found


def near(
    group: Iterable[PersonRecord],
    companies: Mapping[Ref, CompanyRecord],
    deals: Iterable[OpportunityRecord],
    account: Account | None,
) -> dict[str, CompanyRecord | OpportunityRecord]:
    """What is around somebody today: the companies that they name, their deals, the account."""
    found: list[CompanyRecord | OpportunityRecord] = [*deals]
    found += [companies[each.company] for each in group if each.company and each.company in companies]
    found += [*account.companies, *account.deals] if account else []
    return {str(each.ref): each for each in found}


def around_ever(
    db: Connection,
    people: Sequence[Sequence[PersonRecord]],
    before: Mapping[str, Sequence[PastRecord]],
    today: Sequence[Mapping[str, CompanyRecord | OpportunityRecord]],
    around: Around | None,
) -> list[Ever]:
    """Per group, in order, what is kept of its surroundings. `people`: its records as they stand; `before`: earlier
    forms of all people's records; `today`: what is near each."""
    stories = _stories(db, {ref for group in today for ref in group})
    names = [
        {str(each.ref) for each in group}
        | (_ties(group) | _ties(here.values()) | here.keys() if around else set())
        for group, here in zip(people, today, strict=True)
    ]
    lost = _former(db, {name for group in names for name in group})
    answer: list[Ever] = []
    for group, here, known_by in zip(people, today, names, strict=True):
        was = [each.record for record in group for each in before.get(str(record.ref), ())]
        told = {ref: stories[ref] for ref in here if ref in stories}
        earlier = [each.record for story in told.values() for each in story.past]
        ties = _ties(was) | (_ties(earlier) if around else set())
        if ties - known_by - _ties(group) or known_by & lost.keys():
            told |= _reach(db, [*group, *was], around)
        answer.append(
            Ever(
                tuple(each for story in told.values() for each in story.past),
                {codec.parse_ref(ref): story.known_at for ref, story in told.items()},
                _surroundings(story for ref, story in told.items() if ref not in here),
            )
        )
    return answer


def _ties(records: Iterable[_Form]) -> set[str]:
    """What leads to companies: of a person their company, else their domain; of a company its domain, its parent."""
    found: set[str | None] = set()
    for record in records:
        if isinstance(record, PersonRecord):
            found |= {str(record.company)} if record.company else {domain_of(record)}
        elif isinstance(record, CompanyRecord):
            parent = parent_of(record)
            found |= {domain_of(record), str(parent) if parent else None}
    return {name for name in found if name}


def _reach(db: Connection, people: Sequence[_Form], around: Around | None) -> dict[str, _Story]:
    """All that these forms of somebody's records lead to, in any form of its own: more than was theirs at once."""
    companies: dict[str, _Story] = {}
    names, asked = _ties(people), set[str]()
    for generation in range(2 + around.parents if around else 1):
        fresh, asked = names - asked, asked | names
        refs = {name for name in fresh if ":" in name}
        if around and generation < 2:
            domains = fresh - refs
            refs |= {ref for _, ref in rows_by(db, COMPANY_DOMAIN, ("domain", "ref"), "domain", domains)}
            refs |= {ref for found in _former(db, domains).values() for ref in found}
        new = {
            ref: story
            for ref, story in _stories(db, refs - companies.keys()).items()
            if story.kind == "company"
        }
        companies |= new
        names = names | _ties(form for story in new.values() for form in story.forms())
    whose = {str(record.ref) for record in people}
    deals = {row.opportunity for row in where_in(db, select(ROLE.c.opportunity), ROLE.c.person, whose)}
    by = whose | (companies.keys() if around else set())
    deals |= {ref for found in _former(db, by).values() for ref in found}
    if around:
        of = select(RECORD.c.ref).where(RECORD.c.kind == "opportunity")
        deals |= {row.ref for row in where_in(db, of, RECORD.c.company, companies)}
    return companies | {
        ref: story for ref, story in _stories(db, deals).items() if story.kind == "opportunity"
    }


def _surroundings(stories: Iterable[_Story]) -> Surroundings:
    records = [_LOADS[story.kind](story.body) for story in stories]
    return Surroundings(
        tuple(each for each in records if isinstance(each, CompanyRecord)),
        tuple(each for each in records if isinstance(each, OpportunityRecord)),
    )


def _stories(db: Connection, refs: Iterable[str]) -> dict[str, _Story]:
    query = (
        select(
            RECORD.c.ref,
            RECORD.c.kind,
            RECORD.c.body,
            RECORD.c.known_at,
            PAST_RECORD.c.body.label("was"),
            PAST_RECORD.c.known_until,
        )
        .join(PAST_RECORD, PAST_RECORD.c.ref == RECORD.c.ref, isouter=True)
        .order_by(PAST_RECORD.c.known_until, PAST_RECORD.c.id)
    )
    found: dict[str, _Story] = {}
    for row in where_in(db, query, RECORD.c.ref, refs):
        story = found.setdefault(row.ref, _Story(row.kind, row.body, row.known_at, []))
        if row.was is not None:
            story.past.append(PastRecord(_LOADS[row.kind](row.was), row.known_until))
    return found


def _former(db: Connection, names: Iterable[str]) -> dict[str, list[str]]:
    """The companies and deals that were found by these names once."""
    rows = [(name, ref) for name, ref in rows_by(db, FORMER, ("name", "ref"), "name", names)]
    if not rows:
        return {}  # nearly always
    kinds = select(RECORD.c.ref).where(RECORD.c.kind != "person")
    others = {row.ref for row in where_in(db, kinds, RECORD.c.ref, {ref for _, ref in rows})}
    found: dict[str, list[str]] = {}
    for name, ref in rows:
        if ref in others:
            found.setdefault(name, []).append(ref)
    return found


# ------------------------------------------------------------------------------------- people of an account, then


def account_then(
    db: Connection, account: Account, person: int | None, at: datetime, known_at: datetime
) -> Account:
    """This account with what is counted of others, by what was known at `known_at`: how many of its people had done
    something that counts in the 30 days before `at`, how many others were MQL, which CRMs had told of deals."""
    around = account.around
    if around is None:
        return account
    told = telling(db, around.deals, known_at)
    account = replace(
        account, told=told, deals_known=any(each.ref.crm in told for each in account.companies),
        engaged=None, mqls=None,
    )  # fmt: skip
    fields = around.fields
    if not account.own or not fields & {ENGAGED, MQLS}:
        return account
    people = _people_then(db, account.own, known_at)
    others = {who for who in people.values() if isinstance(who, int)} - {person}
    return replace(
        account,
        engaged=len(_engaged(db, people, at, known_at) - _private(db, people)) if ENGAGED in fields else None,
        mqls=_mqls(db, others, min(at, known_at)) if MQLS in fields else None,
    )


def _private(db: Connection, people: Mapping[str, int | str]) -> set[int | str]:
    """Those whose behaviour counts nowhere today, which holds for the past as well."""
    query = select(PERSON.c.id).where(PERSON.c.privacy.is_not(None))
    known = {who for who in people.values() if isinstance(who, int)}
    return {row.id for row in where_in(db, query, PERSON.c.id, known)}


def _people_then(db: Connection, companies: Sequence[str], known_at: datetime) -> dict[str, int | str]:
    """The person records that named one of these companies at a moment, and who each is today: a person's number, or
    the record itself as long as nothing was decided."""
    own = set(companies)
    query = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    refs = {row.ref for row in where_in(db, query, RECORD.c.company, own)}
    refs |= {ref for _, ref in rows_by(db, FORMER, ("name", "ref"), "name", own)}
    there: set[str] = set()
    for ref, story in _stories(db, refs).items():
        if story.kind != "person" or story.known_at > known_at:
            continue
        stood = next((each.record for each in story.past if each.known_until > known_at), None)
        record = stood or codec.load_person(story.body)
        if isinstance(record, PersonRecord) and str(record.company) in own:
            there.add(ref)
    who = select(RECORD.c.ref, RECORD.c.person_id)
    return {row.ref: row.person_id or row.ref for row in where_in(db, who, RECORD.c.ref, there)}


def _engaged(
    db: Connection, people: Mapping[str, int | str], at: datetime, known_at: datetime
) -> set[int | str]:
    stood = or_(
        and_(ENGAGEMENT.c.deleted.is_(False), ENGAGEMENT.c.known_at <= known_at),
        and_(ENGAGEMENT.c.deleted.is_(True), ENGAGEMENT.c.known_at > known_at),
    )
    query = select(ENGAGEMENT.c.about).where(
        stood,
        ENGAGEMENT.c.counted.is_(True),
        ENGAGEMENT.c.occurred_at > at - ENGAGED_WITHIN,
        ENGAGEMENT.c.occurred_at <= at,
    )
    return {people[row.about] for row in where_in(db, query.distinct(), ENGAGEMENT.c.about, people)}


def _mqls(db: Connection, people: Iterable[int], at: datetime) -> int:
    """How many of these were MQL just before this moment, by the steps that are kept."""
    query = (
        select(STAGE_HISTORY.c.person, STAGE_HISTORY.c.at, STAGE_HISTORY.c.to_stage, STAGE_HISTORY.c.adopted)
        .add_columns(RUN.c.started_at)
        .join(RUN, RUN.c.id == STAGE_HISTORY.c.run, isouter=True)
        .where(STAGE_HISTORY.c.was_of.is_(None))
        .order_by(STAGE_HISTORY.c.id)
    )
    stages: dict[int, str] = {}
    for row in where_in(db, query, STAGE_HISTORY.c.person, people):
        decided_at = max(row.at, row.started_at) if row.adopted and row.started_at else row.at
        if decided_at < at:
            stages[row.person] = row.to_stage
    return list(stages.values()).count("mql")
