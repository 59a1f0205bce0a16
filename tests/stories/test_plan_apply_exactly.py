"""`plan apply` writes what was looked at and nothing else: what changed meanwhile is set aside with the reason."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from connector.core.limits import PlanLimits
from connector.core.values import same_value
from connector.errors import FixConfig
from connector.ports import PlanRow
from tests.stories.test_bulk_push import org_of_jobs
from tests.stories.world import World, world

CRMS = ("hubspot", "salesforce")
PEOPLE = 40
ENDS = {
    "hubspot": [("archive", {}, "was deleted|no longer exists"), ("gdpr_delete", {}, "no longer exists")],
    "salesforce": [("delete", {}, "was deleted|no longer exists"), ("purge", {}, "no longer exists"),
                   ("convert", {"opportunity": False}, "was converted into")],
}  # fmt: skip


async def rehearsed(made: World, crm: str) -> tuple[int, list[PlanRow]]:
    """A plan that waits, and its rows of the CRM's first object."""
    plan = (await made.sync(plan_only=True)).plans[crm]
    rows = await made.ledger.plan_rows(plan, status="waiting")
    return plan, [row for row in rows if row.ref.object in ("contact", "Lead")]


def field_of(row: PlanRow, result: str) -> Any:
    return next(write for write in row.writes if write.result == result)


def edit(made: World, row: PlanRow, field: str, value: Any) -> None:
    made.running[row.ref.crm].edit(row.ref.object, row.ref.id, {field: value})


def sent(made: World, row: PlanRow) -> list[Mapping[str, Any]]:
    return [write.fields for write in made.writes(row.ref.crm) if write.id == row.ref.id]


async def now(made: World, row: PlanRow) -> PlanRow:
    rows = await made.ledger.plan_rows(row.plan)
    return next(each for each in rows if each.id == row.id)


@pytest.mark.parametrize("crm", CRMS)
async def test_a_field_that_somebody_just_changed_sets_its_row_aside_and_says_who(
    database_url: str, crm: str
) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan, (row, *others) = await rehearsed(made, crm)
        score = field_of(row, "score")
        edit(made, row, score.field, 5)  # a moment ago: no before-image is fresh enough to do without a look

        told = await made.plan_apply(plan)

        after = await now(made, row)
        assert after.status == "set_aside"
        assert after.reason.startswith(
            f"changed since it was planned: `{score.field}` was blank when this was planned and is `5` now ("
        )
        assert "by user" in after.reason
        assert "2026-11-22 10:0" in after.reason
        assert after.writes == row.writes  # what was planned stays to be read
        assert not sent(made, row)
        assert (told["set_aside"], told["written"]) == (1, told["written"])
        assert {(await now(made, each)).status for each in others[:3]} == {"written"}
        assert row.ref in await made.ledger.due([crm], made.clock.now(), 1000)


@pytest.mark.parametrize("crm", CRMS)
async def test_what_the_crm_holds_by_now_is_left_out_and_told(database_url: str, crm: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan, (part, whole, *_) = await rehearsed(made, crm)
        score = field_of(part, "score")
        edit(made, part, score.field, score.after)
        made.running[crm].edit(whole.ref.object, whole.ref.id, {w.field: w.after for w in whole.writes})

        await made.plan_apply(plan)

        partly, wholly = await now(made, part), await now(made, whole)
        assert partly.status == "written"
        [fields] = sent(made, part)
        assert score.field not in fields
        assert set(fields) >= {write.field for write in partly.writes}
        assert (score.field, "the CRM already holds this value") in {
            (h.field, h.why) for h in partly.held_back
        }
        assert (wholly.status, wholly.reason) == (
            "set_aside",
            "unchanged: the CRM already holds these values",
        )
        assert not sent(made, whole)


@pytest.mark.parametrize("crm", CRMS)
async def test_a_stage_that_sales_moved_voids_the_row_although_the_stage_is_not_in_it(
    database_url: str, crm: str
) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan, rows = await rehearsed(made, crm)
        row = next(
            each for each in rows if all(write.result != "stage" for write in each.writes) and each.stage
        )
        stage = made.definition.mappings[crm].objects[row.ref.object].stage
        assert stage is not None
        edit(made, row, stage.source, stage.theirs()["evangelist"])

        await made.plan_apply(plan)

        after = await now(made, row)
        assert after.status == "set_aside"
        assert (
            f"`{stage.source}` was `{row.stage}` when this was planned and is `evangelist` now"
            in after.reason
        )
        assert not sent(made, row)


@pytest.mark.parametrize("crm", CRMS)
async def test_records_that_ended_meanwhile_are_set_aside_each_with_its_reason(
    database_url: str, crm: str
) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan, rows = await rehearsed(made, crm)
        ended = list(zip(rows, ENDS[crm], strict=False))
        for row, (action, arguments, _) in ended:
            made.running[crm].act(row.ref.object, row.ref.id, action, **arguments)
        lost, kept = rows[len(ended) : len(ended) + 2]
        loser = {"other" if crm == "hubspot" else "loser": lost.ref.id}
        made.running[crm].act(kept.ref.object, kept.ref.id, "merge", **loser)

        await made.plan_apply(plan)

        for row, (action, _, words) in ended:
            after = await now(made, row)
            assert after.status == "set_aside", action
            assert any(word in after.reason for word in words.split("|")), (action, after.reason)
            assert not sent(made, row)
        assert (await now(made, lost)).status == "set_aside"
        assert "merged into" in (await now(made, lost)).reason


async def test_a_plan_of_another_definition_is_refused_with_what_changed(database_url: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan, _ = await rehearsed(made, "hubspot")
        before = made.definition
        made.redefine(min_change=1)
        with pytest.raises(FixConfig, match=r"in the files there is another: criteria.yaml changed since"):
            await made.plan_apply(plan)

        await made.ledger.adopt_files(made.definition.texts, made.clock.now())
        made.definition = before  # the files are as they were, another version is in force
        with pytest.raises(
            FixConfig, match=r"in force there is another: criteria.yaml changed since"
        ) as refused:
            await made.plan_apply(plan)

        assert "connector sync hubspot" in refused.value.next_step
        assert not made.writes("hubspot")
        assert {row.status for row in await made.ledger.plan_rows(plan) if row.writes} == {"waiting"}


async def test_a_job_of_very_many_rows_obeys_the_same(sqlite_url: str) -> None:
    async with org_of_jobs(sqlite_url) as made:
        plan, (changed, gone, *others) = await rehearsed(made, "salesforce")
        score = field_of(changed, "score")
        edit(made, changed, score.field, 5)
        made.salesforce.act("Lead", gone.ref.id, "delete")

        await made.plan_apply(plan)

        assert (
            f"`{score.field}` was blank when this was planned and is `5` now"
            in (await now(made, changed)).reason
        )
        assert (await now(made, gone)).status == "set_aside"
        assert not sent(made, changed)
        assert (await now(made, others[0])).status == "written"


async def test_the_automatic_push_of_a_run_keeps_its_lenient_rule(sqlite_url: str) -> None:
    async with world(sqlite_url, people=PEOPLE) as made:
        _, (row, *_) = await rehearsed(made, "hubspot")
        score = field_of(row, "score")
        edit(made, row, score.field, score.after)

        result = await made.sync()

        assert result.crms["hubspot"].set_aside == 0
        assert sent(made, row)


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_people_do_meanwhile_no_write_is_outside_of_the_plan(
    sqlite_url: str, crm: str, seed: int
) -> None:
    chance = random.Random(seed)
    async with world(sqlite_url, people=PEOPLE, seed=seed) as made:
        plan, _ = await rehearsed(made, crm)
        rows = await made.ledger.plan_rows(plan, status="waiting")
        planned = {(row.ref.id, write.field): write.after for row in rows for write in row.writes}
        touched = set()
        for row in chance.sample(rows, k=len(rows) // 2):
            write = chance.choice(row.writes)
            if write.result in ("score", "fit", "engagement", "band"):
                value = chance.choice([write.after, 3, 4, None])
                edit(made, row, write.field, value)
                if not same_value(value, write.after) and not same_value(value, write.before):
                    touched.add(row.id)
            elif chance.random() < 0.2:
                action = "archive" if crm == "hubspot" else "delete"
                made.running[crm].act(row.ref.object, row.ref.id, action)
                touched.add(row.id)

        told = await made.plan_apply(plan)

        written = {
            (each.id, field): after
            for each in made.writes(crm)
            for field, (before, after) in each.fields.items()
            if not same_value(before, after) and field in {name for _, name in planned}
        }
        assert written
        assert all(same_value(planned[place], value) for place, value in written.items())
        after = {row.id: row.status for row in await made.ledger.plan_rows(plan)}
        assert {after[row.id] for row in rows} <= {"written", "set_aside", "rejected"}
        assert {id_ for id_ in touched if after[id_] == "written"} == set()
        assert told["written"] + told["set_aside"] + told["rejected"] == len(rows)


async def test_a_plan_that_was_cut_goes_on_exactly_where_it_was(sqlite_url: str) -> None:
    async with world(sqlite_url, people=PEOPLE) as made:
        made.remap("hubspot", limits=PlanLimits(people=0))
        plan = (await made.sync("hubspot", yes=False)).plans["hubspot"]
        rows = await made.ledger.plan_rows(plan, status="waiting")
        await made.ledger.set_brake("hubspot", True, "Sam", "look first", made.clock.now())
        stopped = await made.plan_apply(plan)
        again = await made.sync("hubspot", yes=False)
        await made.ledger.set_brake("hubspot", False, "Sam", "", made.clock.now())

        done = await made.plan_apply(plan)

        assert (stopped["waiting"], stopped["written"]) == (len(rows), 0)
        assert "Sam" in stopped["error"]
        assert again.waits == {"hubspot": plan}
        assert done["written"] == len(rows)
        assert replace(await made.ledger.plan(plan), counts={}, kinds={}).status == "applied"
