"""Random histories in which people, both CRMs' automations and the connector act, and runs are undone at random: after
an undo every field that nobody else touched holds its value from before the run, and no field that somebody touched was
changed.

What must hold is read off the sandboxes' own logs of writes, not off the ledger. Each history is a seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connector.core.model import Ref
from connector.core.values import same_value
from connector.pipeline import RunResult
from connector.sandbox.log import RecordWrite
from tests.databases import ledger_url
from tests.properties.test_sync_histories import History
from tests.stories.test_undo import ours
from tests.stories.world import START, QuickClock, world

PEOPLE = 14
STEPS = 12
SEEDS = range(1, 6)

Place = tuple[Ref, str]
Marks = Mapping[str, int]


@dataclass
class Past:
    """A run of ours, and where in the sandboxes' logs it began and ended."""

    run: int
    begin: Marks
    end: Marks
    written: dict[Place, tuple[Any, Any]] = field(
        default_factory=dict
    )  # before the first write, after the last


class Undone(History):
    """A history with automations, in which runs are taken back."""

    def __init__(self, made: Any, url: str, seed: int) -> None:
        super().__init__(made, url, seed)
        self.runs: list[Past] = []
        self.undos = self.taken_back = self.kept = 0

    def automate(self) -> None:
        """Workflows and flows of the accounts' own: they listen to fields of ours, and some write there too."""
        flows = [
            {"name": "Tidy", "when": "mql_status", "equals": "qualified", "sets": "hs_lead_status", "to": "OPEN"},
            {"name": "Grade", "when": "jobtitle", "sets": "mql_grade", "to": "D4", "after": 60.0},
            {"name": "Band", "when": "mql_score", "sets": "mql_band", "to": "1", "after": 120.0},
        ]  # fmt: skip
        for each in self.dice.sample(flows, 2):
            self.made.hubspot.create("workflows", each)
        flow = self.made.salesforce.sandbox.store.flows
        if self.dice.random() < 0.7:
            flow.add("Hot", when="MQL_Status__c", equals="qualified", sets="Rating", to="Hot")
        if self.dice.random() < 0.5:
            flow.add("Reset", when="Title", sets="MQL_Band__c", to=2)

    # ------------------------------------------------------------------------------------------------ what was done

    def marks(self) -> dict[str, int]:
        return {crm: len(self.made.running[crm].log.writes()) for crm in self.made.running.crms}

    def between(self, begin: Marks, end: Marks | None = None) -> dict[Place, list[RecordWrite]]:
        """The writes to each field of ours, oldest first."""
        found: dict[Place, list[RecordWrite]] = {}
        for crm in self.made.running.crms:
            mapping = self.made.definition.mappings[crm]
            for write in self.made.running[crm].log.writes()[begin[crm] : end[crm] if end else None]:
                name = "contact" if crm == "hubspot" else write.object
                target = mapping.objects.get(name)
                lines = {line.to for line in target.write} if target else set()
                for each in lines & write.fields.keys():
                    found.setdefault((Ref(crm, name, str(write.id)), each), []).append(write)
        return found

    async def noted(self, begin: Marks, result: RunResult | None) -> None:
        """Remember what a run of ours wrote."""
        if result is None:
            return
        past = Past(result.run, begin, self.marks())
        for place, writes in self.between(begin, past.end).items():
            mine = [write.fields[place[1]] for write in writes if write.by == "api"]
            if mine and any(not same_value(*each) for each in mine):
                past.written[place] = (mine[0][0], mine[-1][1])
        if past.written:
            self.runs.append(past)

    # ------------------------------------------------------------------------------------------------- what happens

    async def step(self) -> None:
        act = self.dice.choice(("sync", "sync", "act", "undo", "undo", "one"))
        self.made.later(minutes=self.dice.choice((3, 20, 60, 600)))
        if act == "act" or self.dice.random() < 0.5:
            self.mutate()
            self.made.later(minutes=self.dice.choice((1, 5)))
        self.told.append(f"{self.made.clock.now():%m-%d %H:%M} {act}")
        if act == "undo" and self.runs:
            await self.undo(self.dice.choice(self.runs[-3:]))
        elif act != "act":
            begin = self.marks()
            crms = (self.dice.choice(("hubspot", "salesforce")),) if act == "one" else ()
            await self.noted(begin, await self.run(*crms))

    async def undo(self, past: Past) -> None:
        stood = ours(self.made)  # a look carries out what automations have under way
        since = self.between(past.end)
        begin = self.marks()

        result = await self.made.undo(past.run)

        self.undos += 1
        self.told.append(f"  undid {past.run} by {result.run}: {result.status}")
        assert all(counts.adds_up() for counts in result.crms.values()), result
        now, meanwhile = ours(self.made), self.between(begin)
        refused = {
            row.ref
            for plan in result.plans.values()
            for row in await self.made.ledger.plan_rows(plan)
            if row.status not in ("written", "held_back")
        }
        for place, value in now.items():
            if place not in stood or place[0] in refused:
                continue
            if any(write.by != "api" for write in meanwhile.get(place, ())):
                continue  # an automation acted on the undo itself
            told = f"{place}: {stood[place]!r} became {value!r}; the run: {past.written.get(place)}"
            touched = [write for write in since.get(place, ()) if not same_value(*write.fields[place[1]])]
            wrote = past.written.get(place)
            if wrote is None or touched:
                back = wrote is not None and same_value(stood[place], wrote[1])  # touched, and set back again
                assert same_value(value, stood[place]) or back, told
                self.kept += bool(touched and wrote)
            elif same_value(stood[place], wrote[1]):
                assert same_value(value, wrote[0]), told
                self.taken_back += 1
            else:
                assert same_value(value, stood[place]), told
        await self.noted(begin, result)


@pytest.mark.parametrize(
    ("database", "seed"), [*(("sqlite", seed) for seed in SEEDS), ("postgresql", 6), ("postgresql", 7)]
)
async def test_an_undo_takes_back_what_is_ours_and_nothing_else(
    database: str, seed: int, tmp_path: Path
) -> None:
    url = ledger_url(database, tmp_path)
    async with world(url, people=PEOPLE, seed=seed, clock=QuickClock(START)) as made:
        history = Undone(made, url, seed)
        history.automate()
        begin = history.marks()
        await history.noted(begin, await history.run())
        try:
            for _ in range(STEPS):
                await history.step()
            await history.undo(history.runs[-1])
        except BaseException:
            print("\n".join(history.told))
            raise
        assert history.undos
        assert history.taken_back, "some fields went back"
