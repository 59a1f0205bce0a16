"""What was known at a moment is gathered again later as it was gathered then, whatever has become of it since."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime

from connector.core.account import ENGAGED, MQLS, Around
from connector.core.facts import Facts
from connector.core.model import OpportunityRecord, Ref, VendorRecord
from connector.core.then import facts_then
from connector.ledger import SqlLedger
from tests.stories.ledger_words import (
    ACME,
    ADA,
    BOB,
    DAY,
    HOUR,
    LEAD,
    NOON,
    Desk,
    a_stage,
    click,
    company,
    contact,
    decided,
)

READS = frozenset({"account.tier", "account.open_opportunity", "account.lost_at"})
HUB, OTHER, BEE = (Ref("hubspot", "company", number) for number in ("88", "99", "66"))
EVE, FAY = Ref("hubspot", "contact", "5"), Ref("hubspot", "contact", "6")
THERE, PARENT, TOP = (Ref("salesforce", "Account", f"001{each}") for each in "ABC")
MAIL = {"email_domain": "acme.example", "email_kind": "business"}


def named(ref: Ref, **told: object):
    """A company's record; `account__tier` is `account.tier`."""
    made = company(ref, **{name.replace("__", "."): value for name, value in told.items()})
    return replace(made[0], changed_at=NOON + 9 * DAY), made[1]  # whatever the vendor says, it is told now


def a_deal(number: int, company: Ref | None, *people: Ref, **told: object):
    """A deal's record beside its vendor form."""
    ref = Ref("hubspot", "deal", str(number))
    record = OpportunityRecord(ref, people, company, bool(told.get("closed")), bool(told.get("won")))
    return VendorRecord(ref, "opportunity", {"told": repr(record)}, NOON + 9 * DAY), record


async def facts_of(desk: Desk, *refs: Ref, reads: frozenset[str] = READS) -> Facts:
    (found,) = await desk.ledger.facts([refs], Around(NOON, reads, frozenset({"hubspot:deal"})))
    return found


def as_known(facts: Facts) -> dict[str, object]:
    """All that a decision looks at; what is kept of the past is no part of it."""
    told = {each.name: getattr(facts, each.name) for each in fields(Facts)}
    named = {record.company for record in facts.records}
    told["companies"] = {ref: each for ref, each in facts.companies.items() if ref in named}
    return {name: told[name] for name in ("records", "companies", "opportunities", "engagement", "account")}


async def test_records_companies_deals_and_accounts_come_back_as_they_were_known(ledger: SqlLedger) -> None:
    desk = Desk(ledger)
    known: list[tuple[tuple[Ref, ...], Facts, datetime]] = []

    async def then(*groups: tuple[Ref, ...]) -> None:
        known.extend([(group, await facts_of(desk, *group), desk.at) for group in groups])
        desk.at += DAY

    # a company with a tier and a parent, found by its domain for the other CRM, with a deal of its own and one of hers
    await desk.keep(
        contact(ADA, company=ACME), contact(LEAD, fields=MAIL),
        contact(EVE, company=BEE), contact(FAY, company=BEE),
        companies=(
            named(ACME, company_domain="acme.example", account__tier="A", account__parent=HUB.id), named(HUB),
            named(THERE, company_domain="acme.example", account__parent=PARENT.id), named(PARENT, account__tier="B"),
            named(BEE, account__tier="F"),
        ),
        opportunities=(a_deal(1, ACME), a_deal(2, None, ADA), a_deal(4, BEE), a_deal(5, None, EVE)),
    )  # fmt: skip
    await then((ADA, LEAD), (EVE,), (FAY,))

    # the tier changes, a deal opens, one is lost, a record is read that was there long before
    await desk.keep(
        contact(BOB, at=NOON - 90 * DAY, fields={"title": "CEO"}),
        companies=(named(ACME, company_domain="acme.example", account__tier="C", account__parent=HUB.id),),
        opportunities=(a_deal(1, ACME, closed=True), a_deal(3, ACME)),
        engagement=(click(about=ADA, at=NOON - 3 * DAY),),
    )  # fmt: skip
    await then((ADA, LEAD, BOB), (EVE,), (FAY,))

    # everything belongs elsewhere now: the person, the deals, the domain, the parents
    await desk.keep(
        contact(ADA, at=NOON + DAY, company=OTHER), contact(LEAD, at=NOON + DAY, fields={"email_domain": "b.example"}),
        contact(FAY, at=NOON + DAY, company=TOP),
        companies=(
            named(OTHER, account__tier="D"), named(TOP, account__tier="E"),
            named(ACME, company_domain="b.example", account__parent=OTHER.id),
            named(THERE, company_domain="c.example", account__parent=TOP.id),
        ),
        opportunities=(a_deal(1, OTHER, closed=True), a_deal(2, HUB, BOB), a_deal(3, OTHER, ADA),
                       a_deal(4, OTHER), a_deal(5, None, BOB)),
    )  # fmt: skip
    await then((ADA, LEAD, BOB), (EVE,), (FAY,))

    tiers = [
        [each.fields.get("account.tier") for each in facts.account.companies]
        for group, facts, _ in known
        if ADA in group and facts.account
    ]
    assert tiers == [["A", None, None, "B"], ["C", None, None, "B"], ["D"]]
    deals = [len(facts.account.deals) for group, facts, _ in known if group == (EVE,) and facts.account]
    assert deals == [1, 1, 0]
    for group, facts, at in known:
        now = await facts_of(desk, *((ADA, LEAD, BOB) if ADA in group else group))
        assert as_known(facts_then(now, at)) == as_known(facts), (group, at)


async def test_who_was_engaged_and_who_was_mql_in_an_account_then_is_counted_as_it_was(
    ledger: SqlLedger,
) -> None:
    desk, reads = Desk(ledger), frozenset({ENGAGED, MQLS})
    cay, dan = (Ref("hubspot", "contact", str(number)) for number in (3, 4))
    await desk.keep(
        contact(ADA, company=ACME), contact(BOB, company=ACME), contact(cay, company=ACME),
        companies=(company(ACME),), engagement=(click("b", about=BOB, at=NOON - DAY),),
    )  # fmt: skip
    await desk.decide(decided(ADA), decided(BOB, stage=a_stage("mql", change=True)), decided(cay))
    desk.at += HOUR
    before, moment = (await facts_of(desk, ADA, reads=reads)).account, desk.at

    desk.at += DAY
    await desk.keep(
        contact(BOB, at=desk.at, company=OTHER), contact(dan, company=ACME),
        companies=(company(OTHER),), engagement=(click("c", about=cay, at=NOON - 2 * DAY),),
    )  # fmt: skip
    numbers = [await desk.person_of(ref) for ref in (ADA, BOB, cay)]
    await desk.decide(
        decided(BOB, person=numbers[1], stage=a_stage("lead", at=desk.at)),
        decided(cay, person=numbers[2], stage=a_stage("mql", change=True, at=desk.at)),
        decided(dan, stage=a_stage("mql", change=True, at=desk.at)),
    )
    desk.at += HOUR
    after = (await facts_of(desk, ADA, reads=reads)).account
    assert before is not None
    assert after is not None
    assert (before.engaged, before.mqls) == (1, 1)
    assert (after.engaged, after.mqls) == (1, 2)

    async def counted(at: datetime, known_at: datetime) -> tuple[int | None, int | None]:
        then = await ledger.account_then(after, numbers[0], at, known_at)
        return then.engaged, then.mqls

    assert await counted(moment, moment) == (1, 1)
    assert await counted(desk.at, desk.at) == (1, 2)
    assert await counted(moment, desk.at) == (1, 0)  # by who belongs to it today
