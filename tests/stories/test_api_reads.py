"""What ran, what waits and what is in force, over the API, with the meaning that the commands give it."""

from __future__ import annotations

from typing import Any

import orjson

from connector.app.output import to_json
from connector.app.plans import info_document, row_document
from connector.app.run_document import run_document
from connector.core.override import NEVER, Override
from connector.ports import Notice, request_lease
from tests.stories.reading_words import all_of, client_of, got
from tests.stories.sidecar_words import sidecar
from tests.stories.world import somebody, world


def as_json(document: object) -> Any:
    return orjson.loads(to_json(document))


async def test_runs_and_plans_are_told_as_by_the_commands_piece_by_piece(database_url: str) -> None:
    async with world(database_url, people=20) as made:
        await made.sync()
        mql = await somebody(made, stage="mql")
        made.hubspot.edit("contacts", mql.contact, {"jobtitle": "Student", "hs_lead_status": "UNQUALIFIED"})
        made.later(hours=2)
        last = await made.sync(plan_only=True)
        now = made.clock.now()
        plans, runs = await made.ledger.plans(20, at=now), await made.ledger.runs(20)
        async with client_of(await sidecar(made)) as client:
            assert await all_of(client, "runs", "runs", limit=1) == as_json(
                [run_document(each) for each in runs]
            )
            whole = await got(client, f"runs/{last.run}")
            printed = as_json(last.document())
            assert {name: whole[name] for name in printed} == printed
            assert (whole["errors"], whole["kind"]) == ([], "sync")

            assert await all_of(client, "plans", "plans", limit=3) == as_json(
                [info_document(each) for each in plans]
            )
            waiting = await all_of(client, "plans", "plans", open=True, crm="hubspot")
            assert [each["plan"] for each in waiting] == [last.plans["hubspot"]]
            made.later(days=2)
            assert await all_of(client, "plans", "plans", open=True) == []
            assert (await got(client, f"plans/{waiting[0]['plan']}"))["status"] == "expired"

            first = max(
                (plan for plan in plans if plan.run == runs[-1].id),
                key=lambda plan: sum(plan.counts.values()),
            )
            whole = await got(client, f"plans/{first.id}")
            assert sum(whole["kinds"].values()) == sum(first.counts.values())
            assert whole["versions"]["criteria.yaml"] == made.definition.criteria.version
            rows = await all_of(client, f"plans/{first.id}/rows", "rows", limit=4)
            names = [each.pop("name") for each in rows]
            assert all(names)
            assert {each.pop(name) for each in rows for name in ("email", "by_override")} == {None, False}
            kept = await made.ledger.plan_rows(first.id)
            assert rows == as_json([row_document(row) for row in kept])
            for query in ({"status": "written"}, {"kind": "promotion"}, {"person": kept[0].person}):
                (name,) = query
                found = await all_of(client, f"plans/{first.id}/rows", "rows", limit=2, **query)
                assert found
                assert len(found) == sum(each[name] == query[name] for each in rows)
            (one,) = await all_of(
                client, f"plans/{first.id}/rows", "rows", record=str(kept[0].ref), email=True
            )
            assert "@" in one["email"]


async def test_what_went_wrong_in_a_run_is_counted_by_kind_and_its_notices_are_told(sqlite_url: str) -> None:
    async with world(sqlite_url, people=16) as made:
        run = await made.sync(plan_only=True)
        plan = run.plans["hubspot"]
        for row in (await made.ledger.plan_rows(plan, status="waiting"))[:2]:
            field = next(each.field for each in row.writes if each.result == "score")
            made.hubspot.edit("contacts", row.ref.id, {field: 5})
        told = await made.plan_apply(plan)
        assert told["set_aside"] == 2
        await made.ledger.keep_notice(
            Notice("mql", "revops", "Somebody is new.", made.clock.now(), run=run.run), "1"
        )
        async with client_of(await sidecar(made)) as client:
            whole = await got(client, f"runs/{run.run}")
            (error,) = whole["errors"]
            assert error == {
                "crm": "hubspot", "outcome": "set_aside", "kind": "changed since it was planned", "records": 2,
            }  # fmt: skip
            assert [each["text"] for each in whole["notices"]] == ["Somebody is new."]
            mine = await all_of(client, "notices", "notices", run=run.run)
            assert mine == whole["notices"]
            assert await all_of(client, "notices", "notices", run=run.run, person=1) == []
            assert "Somebody is new." in {
                each["text"] for each in await all_of(client, "notices", "notices", limit=1)
            }


async def test_work_that_was_left_and_backfills_are_followed(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as made:
        asked = await made.ask_backfill()
        left = await made.ledger.ask_request("apply", ["hubspot"], {"plan": 7}, "Ada", made.clock.now())
        lease = await made.ledger.acquire(request_lease(left.id), "sidecar", made.clock.now())
        await made.ledger.take_request(left.id, lease, made.clock.now())
        await made.ledger.tell_request(left.id, "half of it", lease, made.clock.now())
        async with client_of(await sidecar(made)) as client:
            told = await got(client, f"requests/{left.id}")
            assert (told["status"], told["progress"], told["plan"]) == ("running", "half of it", 7)
            assert told["answer"] is told["error"] is None
            await made.ledger.settle_request(
                left.id, "failed", {"error": {"message": "No."}}, lease, made.clock.now()
            )
            told = await got(client, f"requests/{left.id}")
            assert (told["status"], told["progress"], told["error"]) == ("failed", None, {"message": "No."})

            (waiting,) = await all_of(client, "backfills", "backfills")
            assert (waiting["run"], waiting["status"]) == (asked.run, "queued")
            run = await made.backfill(asked)
            done = await got(client, f"backfills/{run.run}")
            assert done["backfill"]["status"] == "succeeded"
            streams = done["backfill"]["streams"].values()
            assert done["backfill"]["rows"] == sum(each["rows"] for each in streams) > 0
            assert all(each["done"] for each in streams)
            assert (await client.get(f"/api/v1/backfills/{run.run + 1}")).status_code == 404


async def test_the_definition_human_decisions_and_the_state_of_each_crm_are_told(sqlite_url: str) -> None:
    async with world(sqlite_url, people=20) as made:
        await made.sync()
        now = made.clock.now()
        made.redefine(name="Another one")
        made.later(hours=1)
        last = await made.sync()
        words = [Override(0, NEVER, "domain", f"firm{n}.example", "Ada", "No.", now) for n in range(3)]
        kept = await made.ledger.add_overrides(words, now)
        await made.ledger.end_overrides([kept[0].id], "Ada", now)
        await made.ledger.set_brake("salesforce", True, "Ada", "a look first", now)
        side = await sidecar(made)
        async with client_of(side) as client:
            rules = await got(client, "criteria")
            assert (rules["in_force"]["version"], rules["name"]) == (2, "Another one")
            assert rules["text"] == made.definition.texts["criteria.yaml"]
            assert [each["version"] for each in await all_of(client, "criteria", "versions", limit=1)] == [
                2,
                1,
            ]
            first = await got(client, "criteria/1")
            assert (first["files"], first["words"]) == (dict(await made.ledger.files(1)), None)
            mapping = await got(client, "mappings/hubspot")
            assert mapping["definition"] == 2
            assert mapping["objects"]["contact"]["kind"] == "person"
            assert mapping["text"] == made.definition.texts["hubspot.yaml"]

            assert [each["target"] for each in await all_of(client, "overrides", "overrides", limit=1)] == [
                "firm2.example", "firm1.example",
            ]  # fmt: skip
            assert len(await all_of(client, "overrides", "overrides", limit=2, ended=True)) == 3

            pairs = await all_of(client, "review", "pairs", limit=1, stale=True)
            assert [each["number"] for each in pairs] == [
                each.review.number for each in await made.ledger.review_pairs()
            ]
            assert all(
                "***@" in mail for each in pairs for side in each["records"] for mail in side["emails"]
            )

            told = await got(client, "status")
            states = {each["crm"]: each for each in told["crms"]}
            assert (states["hubspot"]["ok"], states["hubspot"]["here"]) == (True, True)
            assert states["hubspot"]["last_run"]["run"] == last.run
            assert states["hubspot"]["next_sync"] is None  # nothing is scheduled in this story
            assert states["salesforce"]["brake"]["why"] == "a look first"
            assert told["definition"] == 2
            side.health.crms["hubspot"] = "It does not answer."
            told = (await got(client, "status"))["crms"][0]
            assert (told["ok"], told["error"]) == (False, "It does not answer.")


async def test_what_is_not_there_is_a_problem_whatever_its_number(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as made, client_of(await sidecar(made)) as client:
        for path in ("runs", "requests", "backfills", "plans", "criteria"):
            for number, status in ((1, 404), (2**31, 404), (2**63 - 1, 404), (2**63, 422), (0, 422)):
                answer = await client.get(f"/api/v1/{path}/{number}")
                assert (answer.status_code, answer.headers["content-type"]) == (
                    status,
                    "application/problem+json",
                )
        assert (await client.get("/api/v1/plans/1/rows")).status_code == 404
        assert (await client.get("/api/v1/mappings/nothing")).status_code == 404
        told = await got(client, "status")
        assert [(each["ok"], each["last_run"]) for each in told["crms"]] == [(None, None), (None, None)]
        assert (await got(client, "criteria"))["in_force"] is None
        for path in ("runs", "plans", "backfills", "notices", "overrides", "review", "people"):
            assert (await client.get(f"/api/v1/{path}", params={"cursor": "bm8"})).status_code == 422
            assert (await client.get(f"/api/v1/{path}", params={"limit": 201})).status_code == 422
