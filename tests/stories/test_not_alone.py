"""Something else copies fields between the two CRMs beside us, as HubSpot's own Salesforce integration does: no loop,
no third write, and what a human changes still arrives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from connector.app.definition import with_one_master
from connector.core.mapping import CrmMapping
from connector.core.values import is_blank, same_value
from connector.errors import FixConfig
from tests.stories.world import Somebody, World, look, somebody, world

# HubSpot's property and Salesforce's field, with what the same value is called there
STAGE = ("lifecyclestage", "Lifecycle_Stage__c")
SAME_STAGE = {
    "subscriber": "subscriber", "lead": "lead", "marketingqualifiedlead": "mql", "salesqualifiedlead": "sql",
    "opportunity": "opportunity", "customer": "customer", "evangelist": "evangelist", "other": "other",
}  # fmt: skip
OURS = [STAGE, ("mql_score", "MQL_Score__c"), ("mql_status", "MQL_Status__c"), ("mql_band", "MQL_Band__c")]

RULES = ("always use hubspot", "prefer hubspot", "always use salesforce", "prefer salesforce", "two-way")


@dataclass
class Integration:
    """Copies mapped fields of linked records after each sync, by one of its rules."""

    made: World
    who: list[Somebody]
    rule: str
    fields: list[tuple[str, str]]
    copied: int = 0

    def __post_init__(self) -> None:
        self.seen = {(one.contact, pair): self._both(one, pair) for one in self.who for pair in self.fields}

    def _both(self, one: Somebody, pair: tuple[str, str]) -> tuple[object, object]:
        here = self.made.hubspot.raw("contacts", one.contact)["properties"].get(pair[0])
        there = self.made.salesforce.raw("Lead", one.lead).get(pair[1])
        return here, there

    def run(self) -> None:
        for one in self.who:
            for pair in self.fields:
                self._copy(one, pair)

    def _copy(self, one: Somebody, pair: tuple[str, str]) -> None:
        here, there = self._both(one, pair)
        before = self.seen[one.contact, pair]
        to_salesforce, to_hubspot = translated(pair, here), back(pair, there)
        if same_value(to_salesforce, there):
            pass
        elif self.rule == "always use hubspot" or (self.rule == "prefer hubspot" and not is_blank(here)):
            self._set_there(one, pair, to_salesforce)
        elif self.rule == "always use salesforce" or (
            self.rule == "prefer salesforce" and not is_blank(there)
        ):
            self._set_here(one, pair, to_hubspot)
        elif self.rule == "prefer hubspot" or (self.rule == "two-way" and same_value(here, before[0])):
            self._set_here(one, pair, to_hubspot)  # the other side is blank, or it is the one that changed
        else:
            self._set_there(one, pair, to_salesforce)
        self.seen[one.contact, pair] = self._both(one, pair)

    def _set_here(self, one: Somebody, pair: tuple[str, str], value: object) -> None:
        self.copied += 1
        self.made.hubspot.act("contact", one.contact, "set", fields={pair[0]: value}, by="salesforce")

    def _set_there(self, one: Somebody, pair: tuple[str, str], value: object) -> None:
        self.copied += 1
        self.made.salesforce.edit("Lead", one.lead, {pair[1]: value})


def translated(pair: tuple[str, str], value: object) -> object:
    if pair == STAGE:
        return SAME_STAGE.get(str(value), value) if value else None
    return float(str(value)) if value not in (None, "") and pair[0] in ("mql_score", "mql_band") else value


def back(pair: tuple[str, str], value: object) -> object:
    if pair == STAGE:
        return next((theirs for theirs, ours in SAME_STAGE.items() if ours == value), value) or ""
    return "" if value is None else value


def with_master(made: World, master: str | None) -> None:
    mappings = {crm: replace(each, master=master) for crm, each in made.definition.mappings.items()}
    texts = {**made.definition.texts, "master": str(master)}
    made.definition = replace(made.definition, mappings=mappings, texts=texts)


def raise_hand(made: World, who: Somebody) -> None:
    """Somebody asks for a demo: an MQL at once."""
    made.hubspot.create("form_submissions", {"form": "Request a demo", "email": who.email})


async def leads(made: World, many: int = 3) -> list[Somebody]:
    taken: list[int] = []

    def another(view: object) -> bool:
        return view.id not in taken  # type: ignore[attr-defined]

    found = []
    for _ in range(many):
        found.append(await somebody(made, where=another))
        taken.append(found[-1].view.id)
    return found


def changes(made: World, since: dict[str, int]) -> dict[str, int]:
    """How many of our writes changed a field, by CRM."""
    return {
        crm: sum(
            any(not same_value(old, new) for old, new in write.fields.values())
            for write in made.writes(crm, since[crm])
        )
        for crm in made.adapters
    }


def mark(made: World) -> dict[str, int]:
    return {crm: len(made.running[crm].log.writes()) for crm in made.adapters}


async def settled_beside(made: World, rule: str, fields: list[tuple[str, str]]) -> Integration:
    await made.sync()
    beside = Integration(made, await leads(made), rule, fields)
    for _ in range(2):
        beside.run()
        made.later(minutes=20)
        await made.sync()
    beside.run()
    made.later(minutes=20)
    return beside


AGAINST = {  # rules that overwrite the declared master
    ("always use hubspot", "salesforce"), ("prefer hubspot", "salesforce"),
    ("always use salesforce", "hubspot"), ("prefer salesforce", "hubspot"),
}  # fmt: skip
EVERY = [(rule, master) for rule in RULES for master in ("hubspot", "salesforce", "both")]


@pytest.mark.parametrize(("rule", "master"), sorted(AGAINST))
async def test_an_integration_set_against_the_declared_master_ends_quietly_all_the_same(
    rule: str, master: str, sqlite_url: str
) -> None:
    async with world(sqlite_url, people=40) as made:
        with_master(made, master)
        beside = await settled_beside(made, rule, [STAGE])
        one = beside.who[0]
        raise_hand(made, one)
        written = []
        for _ in range(6):
            made.later(minutes=20)
            before = mark(made)
            await made.sync()
            written.append(sum(changes(made, before).values()))
            beside.run()
        assert written[0] >= 2
        assert written[3:] == [0, 0, 0], "it wins, and we do not write against it for ever"


@pytest.mark.parametrize(("rule", "master"), [each for each in EVERY if each not in AGAINST])
async def test_a_sync_beside_us_makes_no_loop_and_no_third_write(
    rule: str, master: str, sqlite_url: str
) -> None:
    async with world(sqlite_url, people=40) as made:
        await no_third_write(made, rule, master, [STAGE])


@pytest.mark.parametrize(("rule", "master"), [("two-way", "salesforce"), ("always use salesforce", "both")])
async def test_nor_does_it_where_it_copies_our_own_fields_too(
    rule: str, master: str, database_url: str
) -> None:
    async with world(database_url, people=40) as made:
        await no_third_write(made, rule, master, OURS)


async def no_third_write(made: World, rule: str, master: str, fields: list[tuple[str, str]]) -> None:
    with_master(made, master)
    beside = await settled_beside(made, rule, fields)
    quiet = mark(made)
    calm = await made.sync()
    assert changes(made, quiet) == {"hubspot": 0, "salesforce": 0}, "nothing to write after two syncs"
    assert calm.status == "succeeded"

    one = beside.who[0]
    raise_hand(made, one)
    since = mark(made)
    made.later(minutes=20)
    first = await made.sync()
    assert first.entered >= 1
    assert (await look(made, one)).state.stage == "mql"
    for _ in range(2):
        beside.run()
        made.later(minutes=20)
        await made.sync()
    beside.run()
    made.later(minutes=20)
    before, copies = mark(made), beside.copied
    third = await made.sync()
    beside.run()
    assert changes(made, before) == {"hubspot": 0, "salesforce": 0}, "no third write"
    assert beside.copied == copies, "and nothing left to copy"
    assert not any(counts.tugs for counts in third.crms.values())
    assert (await look(made, one)).state.stage == "mql"
    assert beside._both(one, STAGE) == ("marketingqualifiedlead", "mql")
    assert all(many <= 3 for many in changes(made, since).values())


@pytest.mark.parametrize("master", ["hubspot", "salesforce", "both"])
@pytest.mark.parametrize("where", ["hubspot", "salesforce"])
async def test_what_sales_sets_in_either_crm_arrives_and_is_not_undone(
    where: str, master: str, sqlite_url: str
) -> None:
    async with world(sqlite_url, people=40) as made:
        with_master(made, master)
        beside = await settled_beside(made, "two-way", [STAGE])
        one = beside.who[0]
        if where == "hubspot":
            made.hubspot.act(
                "contact", one.contact, "set", fields={"lifecyclestage": "salesqualifiedlead"}, by="user 42"
            )
        else:
            made.salesforce.edit("Lead", one.lead, {"Lifecycle_Stage__c": "sql"})
        since = mark(made)
        for _ in range(3):
            made.later(minutes=20)
            await made.sync()
            beside.run()
        assert (await look(made, one)).state.stage == "sql"
        assert beside._both(one, STAGE) == ("salesqualifiedlead", "sql")
        assert all(many <= 2 for many in changes(made, since).values())


async def test_with_a_master_the_stage_is_written_there_alone_and_says_so(sqlite_url: str) -> None:
    async with world(sqlite_url, people=40) as made:
        with_master(made, "salesforce")
        await made.sync()
        one = (await leads(made, 1))[0]
        raise_hand(made, one)
        made.later(minutes=20)
        run = await made.sync()
        here = made.hubspot.raw("contacts", one.contact)["properties"]
        assert made.salesforce.raw("Lead", one.lead)["Lifecycle_Stage__c"] == "mql"
        assert here.get("lifecyclestage") != "marketingqualifiedlead"
        assert here["mql_status"] == "qualified", "everything else is written to both"
        rows = await made.ledger.plan_rows(run.plans["hubspot"])
        [row] = [row for row in rows if row.ref.id == one.contact]
        [held] = [each for each in row.held_back if each.field == "lifecyclestage"]
        assert held.why == "the stage is written to salesforce (`master`), and follows from there"


async def test_who_has_no_record_in_the_master_has_the_stage_written_where_they_are(sqlite_url: str) -> None:
    async with world(sqlite_url, people=40) as made:
        with_master(made, "salesforce")
        contact = made.hubspot.create("contact", {"email": "only.here@example.com", "lastname": "Only"})
        await made.sync()
        assert made.hubspot.raw("contacts", contact)["properties"]["lifecyclestage"] == "lead"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"hubspot": "hubspot", "salesforce": "salesforce"}, "hubspot.yaml says `hubspot`, salesforce.yaml says"),
        ({"hubspot": "pipedrive"}, "hubspot.yaml says `pipedrive`, which has no mapping file"),
    ],
)  # fmt: skip
def test_two_masters_or_an_unknown_one_are_refused_with_the_places(said: dict[str, str], told: str) -> None:
    mappings = {crm: CrmMapping(crm, 1, {}, master=said.get(crm)) for crm in ("hubspot", "salesforce")}
    with pytest.raises(FixConfig, match="master") as refused:
        with_one_master(mappings)
    assert told in str(refused.value)


def test_one_file_speaks_for_all() -> None:
    mappings = {
        crm: CrmMapping(crm, 1, {}, master="salesforce" if crm == "hubspot" else None)
        for crm in ("hubspot", "salesforce")
    }
    assert {each.master for each in with_one_master(mappings).values()} == {"salesforce"}
