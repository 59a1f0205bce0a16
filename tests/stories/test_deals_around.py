"""HubSpot's deals around an account: what they stop, whom they make due, and what stays unknown without them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.hubspot.sandbox.gate import SCOPES
from connector.core.account import Around, account_fields
from connector.core.criteria_file import parse_criteria
from connector.core.model import RecordState, Ref
from tests.stories.ledger_words import ACME, ADA, BOB, DEAL, NOON, Desk, company, contact, deal, decided
from tests.stories.world import START, QuickClock, Somebody, look, world

OPEN, LOST, CUSTOMER = "account.open_opportunity", "account.lost_at", "account.is_customer"
READS = frozenset({OPEN, LOST})
OTHERS = Ref("hubspot", "company", "78")
EVERYBODY = parse_criteria(
    {"stages": {"mql": {"enter": {"any": [{"score": {"gte": 0}}, {"hand_raised": True}]}}}}
)
IS_OPEN, WAS_LOST = "the account has an open deal", "a deal of the account was lost in the last 90 days"


async def newcomers(made, company_, *names):
    """Contacts of this company whom sales has never met."""
    ids = [
        made.hubspot.create(
            "contacts",
            {"email": f"{name}@newcomers.example", "lastname": name.title(), "associatedcompanyid": company_},
        )
        for name in names
    ]
    made.later(minutes=15)
    await made.sync()
    found = [(await made.ledger.find(f"hubspot:contact:{id_}"))[0] for id_ in ids]
    return [
        Somebody(view, id_, "")
        for number, id_ in zip(found, ids, strict=True)
        if (view := await made.ledger.person(number))
    ]


async def test_an_open_deal_keeps_its_company_from_becoming_mql_a_lost_one_for_90_days_more(database_url):
    async with world(database_url, people=4, clock=QuickClock(START)) as made:
        await made.sync()
        home = made.hubspot.create("companies", {"name": "Newcomers", "domain": "newcomers.example"})
        sold = made.hubspot.create(
            "deals", {"dealname": "Platform", "dealstage": "contractsent", "companies": [home]}
        )
        made.redefine(stages=replace(made.definition.criteria.stages, mql=EVERYBODY.stages.mql))
        ada, bob = await newcomers(made, home, "ada", "bob")
        made.hubspot.create("form_submissions", {"form": "Request a demo", "email": bob.email})
        made.later(minutes=15)
        await made.sync()

        assert (await look(made, bob)).state.stage == "mql"  # who raises a hand passes
        view = await look(made, ada)
        assert (view.state.stage, view.guarded) == ("lead", IS_OPEN)
        assert IS_OPEN in made.hubspot.raw("contacts", ada.contact)["properties"]["mql_reason"]

        made.hubspot.edit("deals", sold, {"dealstage": "closedlost"})
        made.later(minutes=15)
        await made.sync()
        view = await look(made, ada)
        assert (view.state.stage, view.guarded) == ("lead", WAS_LOST)
        assert WAS_LOST in view.state.because

        made.later(days=89)
        await made.sync()
        assert (await look(made, ada)).state.stage == "lead"
        made.later(days=1)
        await made.sync()
        view = await look(made, ada)
        assert (view.state.stage, view.guarded) == ("mql", "")
        assert view.fields[OPEN] is False


async def test_without_the_scope_it_is_unknown_and_never_false_and_the_run_is_whole(sqlite_url):
    grants = SCOPES - {"crm.objects.deals.read"}
    options = {"hubspot": {"oauth": True, "grants": grants}}
    async with world(sqlite_url, people=12, clock=QuickClock(START), options=options) as made:
        run = await made.sync("hubspot")
        assert run.status == "succeeded"
        assert "crm.objects.deals.read" in run.crms["hubspot"].fetched["deals"].note
        people = await made.ledger.people(limit=100)
        around = [view.fields for view in people if CUSTOMER in view.fields]
        assert around
        assert not [fields for fields in around if fields.keys() & {OPEN, LOST}]


@pytest.fixture
def desk(ledger):
    return Desk(ledger)


async def test_a_deal_that_moves_ends_or_is_merged_away_makes_the_people_of_both_accounts_due(desk):
    await desk.keep(contact(ADA, company=ACME), contact(BOB, company=OTHERS))
    await desk.keep(companies=(company(ACME), company(OTHERS)))
    await desk.decide(decided(ADA), decided(BOB))

    async def touched(company_, **state):
        touched.at += timedelta(minutes=1)
        vendor, record = deal(at=touched.at, **state)
        said = replace(record, company=company_, changed_at=touched.at)
        kept = await desk.keep(
            stream="deals", opportunities=((replace(vendor, state=said.state), said),), around=READS
        )
        return kept.touched

    touched.at = NOON
    assert await touched(ACME) == {ADA}
    assert await touched(ACME) == set()  # touched, and nothing that matters
    assert await touched(OTHERS) == {ADA, BOB}
    assert await touched(OTHERS, is_closed=True) == {BOB}
    for ended in (RecordState.ARCHIVED, RecordState.MERGED, RecordState.GONE):
        assert await touched(None, state=ended) == {BOB}
        assert await touched(OTHERS) == {BOB}


async def test_that_no_deal_is_open_is_known_of_a_crm_that_has_told_of_deals(desk):
    await desk.keep(contact(ADA, company=ACME), contact(BOB, company=OTHERS))
    await desk.keep(companies=(company(ACME), company(OTHERS)))
    mapped = Around(desk.at, READS, frozenset({"hubspot:deal", "salesforce:Opportunity"}))

    async def known(around):
        facts = await desk.ledger.facts([[ADA], [BOB]], around)
        return [account_fields(each.account, each.opportunities).get(OPEN) for each in facts]

    assert await known(mapped) == [None, None]
    vendor, record = deal()
    assert record.ref == DEAL
    await desk.keep(stream="deals", opportunities=((vendor, replace(record, company=ACME)),))
    assert await known(mapped) == [True, False]
    assert await known(replace(mapped, deals=frozenset({"salesforce:Opportunity"}))) == [True, None]
