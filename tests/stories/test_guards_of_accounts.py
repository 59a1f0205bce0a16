"""The presets' guards, as accounts and opportunities of Salesforce fill them: who is kept and told, who passes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from typer.testing import CliRunner

from connector.app.cli import app
from connector.core.criteria import StageAny, StageEntry, StageTest
from connector.core.criteria_file import parse_criteria
from connector.core.override import NEVER, Override
from connector.ports import PersonView
from tests.stories.world import World, world

CUSTOMER, PARTNER = "the account is a customer", "the account is a partner"
OPEN, LOST = "the account has an open deal", "a deal of the account was lost in the last 90 days"


def everybody_qualifies(made: World) -> None:
    """Whoever is not kept by anything is an MQL; the guards are the shipped ones."""
    stages = made.definition.criteria.stages
    enter = StageAny((StageEntry((StageTest("score", "gte", 0.0),)), StageEntry(hand_raised=True)))
    made.redefine(stages=replace(stages, mql=replace(stages.mql, enter=enter, leave=StageAny(()))))


class Firm:
    """An account in Salesforce with one contact, by name."""

    def __init__(self, made: World, name: str, **account: Any) -> None:
        self.made, self.name = made, name
        self.account = made.salesforce.create("Account", {"Name": name, **account})
        self.contact = self.hires("Ada")

    def hires(self, first_name: str) -> str:
        email = f"{first_name}@{self.name}.example".lower()
        fields = {"FirstName": first_name, "LastName": "Example", "Email": email, "AccountId": self.account}
        return self.made.salesforce.create("Contact", {**fields, "Title": "Director of IT"})

    def deal(self, stage: str, days: int = 30) -> str:
        closes = (self.made.clock.now() + timedelta(days=days)).date().isoformat()
        fields = {"Name": f"{self.name} deal", "AccountId": self.account, "StageName": stage}
        return self.made.salesforce.create("Opportunity", {**fields, "CloseDate": closes})

    def asks_for_a_demo(self, contact: str) -> None:
        call = {"Subject": "Demo request", "Status": "Completed", "WhoId": contact}
        today = self.made.clock.now().date().isoformat()
        self.made.salesforce.create("Task", {**call, "ActivityDate": today})

    async def person(self, contact: str = "") -> PersonView:
        [number] = await self.made.ledger.find(f"salesforce:Contact:{contact or self.contact}")
        view = await self.made.ledger.person(number)
        assert view is not None
        return view

    def told_in_crm(self) -> tuple[str, str]:
        row = self.made.salesforce.raw("Contact", self.contact)
        return row["Lifecycle_Stage__c"], row["MQL_Reason__c"]


async def shown(made: World, *words: str) -> str:
    environment = {"CONNECTOR_DATABASE_URL": made.ledger_url}
    done = await asyncio.to_thread(CliRunner().invoke, app, list(words), env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_people_of_customers_partners_and_open_or_lost_deals_are_kept_and_pass_when_that_ends(
    database_url: str,
) -> None:
    async with world(database_url, people=12) as made:
        everybody_qualifies(made)
        plain, customer = Firm(made, "Plain"), Firm(made, "Buyer", Type="Customer - Direct")
        partner, talks = Firm(made, "Partner", Type="Partner"), Firm(made, "Talks")
        lost, daughter = Firm(made, "Lost"), Firm(made, "Daughter", ParentId=customer.account)
        deal = talks.deal("Prospecting")
        lost.deal("Closed Lost", days=-20)
        asks = customer.hires("Grace")
        customer.asks_for_a_demo(asks)
        kept = {customer: CUSTOMER, partner: PARTNER, talks: OPEN, lost: LOST, daughter: CUSTOMER}

        made.later(minutes=15)
        first = await made.sync()

        assert (await plain.person()).state.stage == "mql"
        assert (await customer.person(asks)).state.stage == "mql", "whoever raised a hand passes"
        for firm, why in kept.items():
            view = await firm.person()
            assert (view.state.stage, view.guarded) == ("lead", why), firm.name
            stage, reason = firm.told_in_crm()
            assert stage == "lead"
            assert f"not MQL yet, {why}" in reason
            owner = made.salesforce.raw("Account", firm.account)["OwnerId"]
            [notice] = await made.ledger.notices(view.id)
            assert (notice.kind, notice.to, notice.run) == ("guarded", owner, first.run)

        # what a run has to tell stands with the run
        told = json.loads(await shown(made, "runs", "show", str(first.run), "--json"))
        ours = {(await firm.person()).id: why for firm, why in kept.items()}
        noticed = {each["person"]: each for each in told["notices"]}
        assert len(noticed) == len(told["notices"])
        assert {person: noticed[person]["text"] for person in ours} == {
            person: f"Would be MQL by points, but: {why}" for person, why in ours.items()
        }
        assert (told["run"], noticed[min(ours)]["told_at"]) == (first.run, None)
        printed = await shown(made, "runs", "show", str(first.run))
        assert "(not told yet): person" in printed

        # the same spell is told once; what ends it lets people in, or keeps them for another reason
        for firm in kept:
            made.salesforce.edit("Contact", firm.contact, {"Title": "Head of IT"})
        made.later(minutes=15)
        again = await made.sync()
        assert json.loads(await shown(made, "runs", "show", str(again.run), "--json"))["notices"] == []

        made.salesforce.edit("Account", partner.account, {"Type": "Prospect"})
        made.salesforce.edit("Account", customer.account, {"Type": "Other"})
        made.salesforce.edit("Opportunity", deal, {"StageName": "Closed Lost"})  # which was planned for later
        made.later(minutes=15)
        third = await made.sync()
        for firm in (partner, customer, daughter):
            assert (await firm.person()).state.stage == "mql", firm.name
            assert firm.told_in_crm()[0] == "mql"
        assert (await talks.person()).guarded == LOST
        assert [each.run for each in await made.ledger.notices((await talks.person()).id)] == [
            third.run,
            first.run,
        ]

        made.later(days=71)  # since the older loss: 91 days
        await made.sync()
        assert (await lost.person()).state.stage == "mql"
        assert (await talks.person()).state.stage == "lead"
        made.later(days=20)
        await made.sync()
        assert talks.told_in_crm()[0] == "mql"


async def test_an_open_deal_that_is_deleted_or_won_ends_its_guard(sqlite_url: str) -> None:
    async with world(sqlite_url, people=8) as made:
        everybody_qualifies(made)
        gone, won = Firm(made, "Gone"), Firm(made, "Won")
        deals = {firm: firm.deal("Qualification") for firm in (gone, won)}
        banned, daughter = Firm(made, "Banned"), Firm(made, "Free")
        made.salesforce.edit("Account", daughter.account, {"ParentId": banned.account})
        never = Override(
            0, NEVER, "company", f"salesforce:Account:{banned.account}", "Grace", "Rival", made.clock.now()
        )
        await made.ledger.add_overrides([never], made.clock.now())
        made.later(minutes=15)
        await made.sync()
        assert {(await firm.person()).guarded for firm in deals} == {OPEN}
        said = (await banned.person()).state
        assert (said.stage, said.status.value) == ("lead", "disqualified")
        assert said.because.startswith("Lead: never MQL, by override of Grace: Rival")
        assert (await daughter.person()).state.stage == "mql", "of the company that is named, and no other"

        made.salesforce.act("Opportunity", deals[gone], "delete")
        made.salesforce.edit("Opportunity", deals[won], {"StageName": "Closed Won"})
        made.later(minutes=15)
        await made.sync()

        assert (await gone.person()).state.stage == "mql"
        assert (await won.person()).guarded == CUSTOMER


async def test_rules_read_rank_owner_and_colleagues_of_the_account(sqlite_url: str) -> None:
    async with world(sqlite_url, people=8) as made:
        hot = {"field": "account.tier", "is": "Hot"}
        engaged, mqls = ({"field": f"account.{name}", "gte": 1} for name in ("people_engaged_30d", "mqls"))
        owned = {"field": "account.owner", "is_set": True}
        when = {"tier": hot, "engaged": engaged, "mqls": mqls, "owned": owned}
        rules = [{"id": id_, "when": each, "points": 10} for id_, each in when.items()]
        made.redefine(fit=parse_criteria({"fit": rules}).fit)
        firm, other = Firm(made, "Firm", Rating="Hot"), Firm(made, "Other", Rating="Cold")
        asks = firm.hires("Grace")
        firm.asks_for_a_demo(asks)

        made.later(minutes=15)
        await made.sync()
        made.later(minutes=15)
        await made.sync()

        async def points(firm: Firm, contact: str = "") -> set[str]:
            return {each.rule for each in (await firm.person(contact)).score.contributions} & {*when}

        assert await points(firm) == {"tier", "engaged", "mqls", "owned"}
        assert await points(firm, asks) == {"tier", "engaged", "owned"}, "the others who are MQL"
        assert await points(other) == {"owned"}


async def test_people_who_name_a_company_that_was_merged_are_around_what_it_has_become(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=12) as made:
        everybody_qualifies(made)
        own, other = (
            made.hubspot.create("companies", {"name": name, "lifecyclestage": stage})
            for name, stage in (("Buyer", "customer"), ("Buyer Inc", "lead"))
        )
        fields = {"email": "ada@buyer.example", "jobtitle": "Director of IT", "associatedcompanyid": own}
        who = made.hubspot.create("contacts", fields)

        async def person() -> PersonView:
            made.later(minutes=15)
            await made.sync("hubspot")
            [number] = await made.ledger.find(f"hubspot:contact:{who}")
            view = await made.ledger.person(number)
            assert view is not None
            return view

        assert (await person()).guarded == CUSTOMER
        merged = made.hubspot.act("companies", own, "merge", other=other)["id"]
        made.later(days=8)  # the weekly look finds that the old one is none any more
        assert (await person()).guarded == CUSTOMER
        named = made.hubspot.raw("contacts", who)["properties"]["associatedcompanyid"]
        assert named == own != merged

        made.hubspot.edit("companies", merged, {"lifecyclestage": "lead"})
        assert (await person()).state.stage == "mql"
