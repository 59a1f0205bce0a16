"""Somebody asks what is held about them, and to be forgotten: nothing of them stays, and nothing brings them back."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import create_engine, select

from connector.ledger.tables import METADATA
from connector.ports import Erased
from tests.stories.world import somebody, world

SUMS = ("read", "unchanged", "planned", "held_back", "quarantined", "written", "set_aside", "waiting")


def cells(url: str, *values: str) -> list[str]:
    """`table.column: text` of every cell that holds one of these texts, in whatever case."""
    engine = create_engine(url)
    found = []
    with engine.connect() as connection:
        for table in METADATA.sorted_tables:
            for row in connection.execute(select(table)):
                for column, cell in row._asdict().items():
                    text = str(cell).lower()
                    found += [
                        f"{table.name}.{column}: {text[:90]}" for each in values if each.lower() in text
                    ]
    engine.dispose()
    return found


async def erased(ledger, at, who: str, reason: str = "asked in writing") -> Erased | None:
    """`person erase` on a ledger that nobody else works on."""
    names = ("decide", "push:hubspot", "push:salesforce")
    leases = [await ledger.acquire(name, "desk", at) for name in names]
    done = await ledger.erase_person(who, by="Grace", reason=reason, leases=leases, at=at)
    for lease in leases:
        await ledger.release(lease)
    return done


def sums(document) -> dict:
    """The counts of a run's document."""
    return {crm: {name: counts[name] for name in SUMS} for crm, counts in document["crms"].items()}


async def test_nothing_of_an_erased_person_is_left_and_no_sync_brings_them_back(database_url):
    async with world(database_url, people=40) as w:
        await w.sync()
        lea = await somebody(w, stage="mql")
        fields = lea.view.fields
        traces = (lea.email, f"{fields['first_name']} {fields['last_name']}", f"person:{lea.view.id}",
                  *map(str, lea.view.refs))  # fmt: skip
        await w.ledger.note(f"person {lea.email}", "look", "Grace", {"why": lea.email}, w.clock.now())
        held = (await w.ledger.export_person(lea.email, w.clock.now()))["held"]
        before = await w.ledger.run(1), [plan.counts for plan in await w.ledger.plans()]
        spells = len(await w.ledger.spells())
        entered = await w.ledger.entered_mql([""], w.clock.now() - timedelta(days=400))

        done = await erased(w.ledger, w.clock.now(), lea.email, reason=f"{lea.email} has asked")

        assert {"record", "engagement", "person", "stage_history", "plan_row", "written", "run"} <= set(held)
        assert {name for name in held if not done.rows[name]} == set()
        assert sorted(done.still_there) == sorted(lea.view.refs)
        assert cells(database_url, *traces) == []
        assert sums((await w.ledger.run(1)).document) == sums(before[0].document)
        assert [plan.counts for plan in await w.ledger.plans()] == before[1]
        assert await w.ledger.entered_mql([""], w.clock.now() - timedelta(days=400)) == entered
        assert len(await w.ledger.spells()) == spells > 0

        w.hubspot.edit("contacts", lea.contact, {"jobtitle": "Duchess"})
        w.salesforce.edit("Lead", lea.lead, {"Title": "Duchess"})
        w.later(hours=1)  # HubSpot's search is behind
        again = await w.sync()

        assert cells(database_url, *traces, "Duchess") == []
        assert again.status == "succeeded"
        assert [again.crms[crm].read for crm in sorted(again.crms)] == [39, 39]  # everybody else
        assert [again.crms["hubspot"].fetched["contacts"].erased,
                again.crms["salesforce"].fetched["Lead"].erased] == [1, 1]  # fmt: skip
        assert all(counts.adds_up() for counts in again.crms.values())

        await w.ledger.allow_person(lea.email, by="Grace", reason="signed up anew", at=w.clock.now())
        w.hubspot.edit("contacts", lea.contact, {"jobtitle": "Countess"})
        w.later(hours=1)
        await w.sync()
        assert await w.ledger.find(lea.email) != []
