"""The account around people: how it is found, who is due when it moves, and who is told that a guard kept somebody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from connector.app.cli import app
from connector.app.commands.init import shipped
from connector.core.account import ENGAGED, MQLS, Around, account_fields
from connector.core.criteria_file import parse_criteria
from connector.core.model import Ref
from tests.stories.ledger_words import (
    ACME,
    ADA,
    BOB,
    DAY,
    LEAD,
    NOON,
    Desk,
    a_stage,
    click,
    company,
    contact,
    deal,
    decided,
)
from tests.stories.world import START, QuickClock, Somebody, look, world

CUSTOMER = "account.is_customer"
READS = frozenset({CUSTOMER})
THERE, PARENT, TOP, BEYOND = (Ref("salesforce", "Account", f"001{each}") for each in "ABCD")


@pytest.fixture
def desk(ledger):
    return Desk(ledger)


async def around(desk, *refs, reads=READS):
    """The fields of the account around each of these."""
    facts = await desk.ledger.facts([[ref] for ref in refs], Around(desk.at, reads))
    return [account_fields(each.account, each.opportunities) for each in facts]


def named(ref, **fields):
    return company(ref, **{name.replace("__", "."): value for name, value in fields.items()})


async def test_the_account_is_the_company_named_else_that_of_the_business_domain_and_its_parents(desk):
    address = {"email_domain": "acme.example", "email_kind": "business"}
    free = {"email_domain": "gmail.com", "email_kind": "free"}
    await desk.keep(
        contact(ADA, company=ACME), contact(BOB, fields=free), contact(LEAD, fields=address),
        companies=(
            named(ACME, company_domain="acme.example"),
            named(THERE, company_domain="acme.example", account__parent=PARENT.id),
            named(PARENT, account__parent=TOP.id, account__tier="B"),
            named(TOP, account__is_customer=True, account__parent=BEYOND.id),
            named(BEYOND, account__is_partner=True, account__parent=THERE.id),
        ),
    )  # fmt: skip
    ada, bob, lead = await around(desk, ADA, BOB, LEAD)
    assert (ada[CUSTOMER], ada["account.tier"], ada["account.is_partner"]) == (True, "B", False)
    assert lead == ada
    assert bob == {}
    (facts,) = await desk.ledger.facts([[ADA]])
    assert facts.account is None  # nobody asked


async def test_an_account_that_moves_makes_its_people_due_where_the_criteria_read_it(desk):
    address = {"email_domain": "acme.example", "email_kind": "business"}
    both = (named(THERE, company_domain="acme.example", account__parent=PARENT.id), named(PARENT))
    await desk.keep(contact(ADA, company=THERE), contact(LEAD, fields=address), contact(BOB), companies=both)
    calm = [decided(ADA), decided(BOB), decided(LEAD)]
    await desk.decide(*calm)
    later = NOON + timedelta(minutes=1)

    kept = await desk.keep(companies=(named(PARENT, at=later, account__is_customer=True),), around=READS)
    assert kept.touched == {ADA, LEAD}
    _, record = deal(BOB)
    vendor, _ = deal(BOB)
    theirs = replace(record, company=PARENT)
    assert (await desk.keep(opportunities=((vendor, theirs),), around=READS)).touched == {ADA, LEAD, BOB}
    again = replace(theirs, is_closed=True, closed_at=later)
    vendor = replace(vendor, changed_at=later, values={"closed": True})
    assert (await desk.keep(opportunities=((vendor, again),))).touched == {BOB}  # nobody reads the account
    (ada,) = await around(desk, ADA, reads=frozenset({"account.lost_at"}))
    assert ada["account.lost_at"] == later


async def test_people_whom_an_account_loses_are_due_as_those_whom_it_finds(desk):
    address = {"email_kind": "business", "email_domain": "acme.example"}
    await desk.keep(
        contact(LEAD, fields=address), contact(BOB, fields={**address, "email_domain": "bee.example"}),
        companies=(named(THERE, company_domain="acme.example", account__is_customer=True),),
    )  # fmt: skip
    await desk.decide(decided(BOB), decided(LEAD))
    assert (await around(desk, LEAD))[0][CUSTOMER] is True

    moved = named(
        THERE, at=NOON + timedelta(minutes=1), company_domain="bee.example", account__is_customer=True
    )
    assert (await desk.keep(companies=(moved,), around=READS)).touched == {LEAD, BOB}

    lead, bob = await around(desk, LEAD, BOB)
    assert (lead, bob[CUSTOMER]) == ({}, True)


async def test_colleagues_are_counted_and_due_when_one_of_them_moves(desk):
    reads = frozenset({ENGAGED, MQLS})
    await desk.keep(
        contact(ADA, company=ACME), contact(BOB, company=ACME), companies=(company(ACME),),
        engagement=(click("new", about=BOB), click("old", about=ADA, at=NOON - 31 * DAY)),
    )  # fmt: skip
    await desk.decide(decided(ADA), decided(BOB, stage=a_stage("mql", change=True), moves_account=True))
    assert await desk.due() == [ADA]
    ada, bob = await around(desk, ADA, BOB, reads=reads)
    assert (ada[ENGAGED], ada[MQLS]) == (1, 1)
    assert (bob[ENGAGED], bob[MQLS]) == (1, 0)
    both = [decided(ref, person=await desk.person_of(ref), moves_account=True) for ref in (ADA, BOB)]
    await desk.decide(*both)  # each is news to the other
    assert set(await desk.due()) == {ADA, BOB}
    await desk.decide(decided(BOB, person=await desk.person_of(BOB), stage=a_stage("mql")))
    await desk.decide(decided(ADA, person=await desk.person_of(ADA)))
    assert (await desk.keep(engagement=(click("e9", about=BOB),), around=reads)).touched == {ADA, BOB}


EVERYBODY = {"mql": {"enter": {"score": {"gte": 0}}}}


async def test_a_customers_people_are_kept_from_sales_until_it_is_none_and_its_owner_is_told_once(sqlite_url):
    async with world(sqlite_url, people=16, clock=QuickClock(START)) as made:
        guard = {"id": "c", "when": {"field": CUSTOMER, "is": True}, "reason": "the account is a customer"}
        read = parse_criteria({"guards": [guard], "stages": EVERYBODY})
        await made.sync()

        people = [
            view
            for view in await made.ledger.people(stage="lead", limit=1_000)
            if not (view.score.disqualified or view.score.hand_raised or view.state.rejected_at)
        ]
        known = await made.ledger.facts([view.refs for view in people])
        who, own = next(
            (Somebody(view, record.ref.id, ""), record.company.id)
            for view, facts in zip(people, known, strict=True)
            for record in facts.records
            if record.ref.crm == "hubspot" and record.company and not facts.opportunities
        )
        made.hubspot.edit("contacts", who.contact, {"jobtitle": "Assistant"})
        made.hubspot.edit("companies", own, {"lifecyclestage": "customer", "hubspot_owner_id": "80001"})
        made.redefine(
            guards=read.guards, stages=replace(made.definition.criteria.stages, mql=read.stages.mql)
        )
        made.later(minutes=15)
        await made.sync()
        view = await look(made, who)
        assert (view.state.stage, view.guarded) == ("lead", "the account is a customer")
        reason = made.hubspot.raw("contacts", who.contact)["properties"]["mql_reason"]
        assert "the account is a customer" in reason
        told = await made.ledger.notices(view.id)
        assert [(each.kind, each.to, each.told_at) for each in told] == [("guarded", "80001", None)]
        environment = {"CONNECTOR_DATABASE_URL": made.ledger_url, "CONNECTOR_MAPPINGS_DIR": str(shipped())}
        explained = await asyncio.to_thread(
            CliRunner().invoke, app, ["explain", f"hubspot:contact:{who.contact}"], env=environment
        )
        assert "notice for 80001" in explained.stdout
        assert "not told yet" in explained.stdout

        made.hubspot.edit("contacts", who.contact, {"jobtitle": "Clerk"})
        made.later(minutes=15)
        await made.sync()
        assert len(await made.ledger.notices(view.id)) == 1  # the same spell

        made.hubspot.edit("companies", own, {"lifecyclestage": "lead"})
        made.later(minutes=15)
        made.hubspot.log.clear()
        await made.sync()
        assert (await look(made, who)).state.stage == "mql"
