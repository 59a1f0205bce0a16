"""A definition is rolled out in steps over both CRMs: scores first, then the stage for one segment, then all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connector.core.conditions import Condition, parse_condition
from connector.core.mapping import CrmMapping
from connector.core.write_only import WHY
from tests.stories.world import World, look, somebody, world

STAGES = {"hubspot": "lifecyclestage", "salesforce": "Lifecycle_Stage__c"}


def condition(**leaf: Any) -> Condition:
    problems: list[Any] = []
    found = parse_condition(leaf, (), problems)
    assert found is not None
    assert not problems
    return found


def stages(made: World, rule: str | None = None, write_only: Condition | None = None) -> None:
    """Every stage line of both mappings: its rule (None: as shipped), and for whom."""
    for crm, mapping in made.definition.mappings.items():
        made.remap(crm, objects={name: _line(mapping, name, rule, write_only) for name in mapping.objects})


def _line(mapping: CrmMapping, name: str, rule: str | None, write_only: Condition | None) -> Any:
    target = mapping.objects[name]
    lines = tuple(
        replace(line, rule=rule or "only_raise", write_only=write_only) if line.result == "stage" else line
        for line in target.write
    )
    return replace(target, write=lines)


def written(made: World, crm: str, since: int) -> tuple[set[str], set[str]]:
    """The ids of records whose stage was written, and of those that got anything at all."""
    writes = made.writes(crm, since)
    return (
        {each.id for each in writes if STAGES[crm] in each.fields},
        {each.id for each in writes},
    )


async def country_of(made: World, crm: str, id_: str) -> object:
    [person] = await made.ledger.find(f"{crm}:{'contact' if crm == 'hubspot' else 'Lead'}:{id_}")
    view = await made.ledger.person(person)
    assert view is not None
    return view.fields.get("country")


async def test_scores_then_one_segment_then_all(database_url: str) -> None:
    async with world(database_url, people=60) as made:
        stages(made, "never")
        await made.sync()
        scores = {crm: written(made, crm, 0) for crm in STAGES}
        assert all(not staged and touched for staged, touched in scores.values())

        who = await somebody(made, stage="mql")
        country = who.view.fields["country"]
        counts = {crm: len(made.writes(crm)) for crm in STAGES}
        stages(made, write_only=condition(field="country", **{"is": country}))
        made.later(hours=1)
        segment = await made.sync()

        for crm in STAGES:
            staged, _ = written(made, crm, counts[crm])
            assert (who.contact if crm == "hubspot" else who.lead) in staged
            plan = segment.plans.get(crm)
            rows = await made.ledger.plan_rows(plan) if plan else []
            assert rows
            for row in rows:
                [person] = await made.ledger.find(str(row.ref))
                view = await made.ledger.person(person)
                assert view is not None
                if any(write.field == STAGES[crm] for write in row.writes):
                    assert view.fields.get("country") == country
                for held in row.held_back:
                    if held.field == STAGES[crm] and held.why == WHY:
                        assert view.fields.get("country") != country
        held = {
            row.ref
            for crm in STAGES
            for row in await made.ledger.plan_rows(segment.plans[crm])
            if any(each.why == WHY for each in row.held_back)
        }
        assert held

        stages(made)
        made.later(hours=1)
        everybody = await made.sync()
        made.later(hours=1)

        sent = {
            row.ref
            for crm in STAGES
            for row in await made.ledger.plan_rows(everybody.plans[crm], status="written")
        }
        assert held <= sent | {
            row.ref
            for crm in STAGES
            for row in await made.ledger.plan_rows(everybody.plans[crm], status="held_back")
        }
        assert held & sent
        assert (await made.sync()).crms["hubspot"].planned == 0


async def test_on_an_object_nothing_at_all_is_written_outside_the_segment(database_url: str) -> None:
    async with world(database_url, people=60) as made:
        mapping = made.definition.mappings["hubspot"]
        some = condition(field="country", **{"is": "DE"})
        contact = replace(mapping.objects["contact"], write_only=some)
        made.remap("hubspot", objects={**mapping.objects, "contact": contact})

        result = await made.sync("hubspot")

        _, touched = written(made, "hubspot", 0)
        assert touched
        assert {await country_of(made, "hubspot", each) for each in touched} == {"DE"}
        assert result.crms["hubspot"].held_back > 0


async def test_whoever_leaves_the_segment_before_the_push_keeps_their_stage(sqlite_url: str) -> None:
    async with world(sqlite_url, people=60) as made:
        stages(made, "never")
        await made.sync()
        who = await somebody(made, stage="mql", where=lambda view: view.fields.get("country") == "DE")
        stages(made, write_only=condition(field="country", **{"is": "DE"}))
        made.later(hours=1)
        plan = (await made.sync("hubspot", plan_only=True)).plans["hubspot"]
        made.hubspot.edit("contacts", who.contact, {"country": "France"})
        made.later(minutes=15)
        before = len(made.writes("hubspot"))

        await made.apply("hubspot", plan)

        staged, _ = written(made, "hubspot", before)
        assert who.contact not in staged
        assert staged or (await look(made, who)).state.stage == "mql"
