"""What humans decide about people, and backfills, over the API: each is done once and keeps the caller's name."""

from __future__ import annotations

from connector.app.access import Role
from connector.ports import backfill_lease
from tests.stories.api_words import TOKENS, api, new_key
from tests.stories.world import somebody, world


async def test_an_override_is_kept_once_and_ended_by_its_number(sqlite_url: str) -> None:
    async with world(sqlite_url, people=6) as w, api(w) as it:
        await w.sync()
        grace = await it.token("Grace")
        who = (await somebody(w)).email
        key, word = new_key(), {"who": who, "kind": "mql_now", "reason": "Met at the fair"}
        kept = await it.post("/overrides", word, by=grace, key=key)
        again = await it.post("/overrides", word, by=grace, key=key)
        unknown = await it.post(
            "/overrides", {"who": "new@example.com", "kind": "never", "reason": "own staff"}, by=grace
        )
        wrong = {
            name: await it.post("/overrides", {**word, **more}, by=grace)
            for name, more in {
                "no reason": {"reason": " "},
                "nobody's name": {"who": "gmail.com"},
                "a hold without an end": {"kind": "hold_until"},
                "an end without a hold": {"until": "2027-01-01"},
                "a moment that is over": {"expires": "2020-01-01"},
                "a moment beyond the calendar": {"expires": "9999-12-31T23:59:59-23:00"},
                "a kind of its own": {"kind": "mql_later"},
            }.items()
        }
        in_force = await w.ledger.overrides()
        number = kept[1]["override"]["id"]
        ended = await it.client.delete(
            f"/api/v1/overrides/{number}", headers={"authorization": f"Bearer {grace}"}
        )
        gone = await it.client.delete(
            f"/api/v1/overrides/{number}", headers={"authorization": f"Bearer {grace}"}
        )

    assert kept == again
    assert kept[0] == 201
    assert (kept[1]["override"]["author"], kept[1]["override"]["reason"]) == ("Grace", "Met at the fair")
    assert kept[1]["records"] > 0
    assert unknown[1]["waits"]
    assert {name: status for name, (status, _) in wrong.items()} == dict.fromkeys(wrong, 422)
    assert len(in_force) == 2, "sent twice under one key it is one word, and the wrong ones are none"
    assert (ended.status_code, ended.json()["in_force"], gone.status_code) == (200, False, 404)


async def test_a_pair_is_joined_split_and_left_to_the_rules_again(sqlite_url: str) -> None:
    async with world(sqlite_url, people=6) as w, api(w) as it:
        for name in ("Byron", "Babbage"):
            w.salesforce.create(
                "Lead",
                {"LastName": name, "Company": "Byron Engines", "Email": "a.byron@byron-engines.example"},
            )
        await w.sync()
        grace = await it.token("Grace")
        [pair] = [each for each in await w.ledger.reviews() if each.a.object == each.b.object == "Lead"]
        joined = await it.post(f"/review/{pair.number}/join", {"note": "married"}, by=grace)
        again = await it.post(f"/review/{pair.number}/join", by=grace)
        undone = await it.post(f"/review/{pair.number}/undo", by=grace)
        split = await it.post(f"/review/{pair.number}/split", by=grace)
        nobody = await it.post("/review/4711/split", by=grace)

    assert joined[0] == 200
    assert (joined[1]["answer"], joined[1]["answered_by"], joined[1]["note"]) == ("join", "Grace", "married")
    assert [each[1]["changed"] for each in (joined, again, undone, split)] == [True, False, True, True]
    assert undone[1]["answer"] is None
    assert split[1]["answer"] == "split"
    assert nobody[0] == 404


async def test_a_backfill_is_estimated_then_begun_once_paused_and_cancelled(sqlite_url: str) -> None:
    async with world(sqlite_url, people=6) as w, api(w) as it:
        await w.sync()
        ada = await it.token("Ada")
        asked = {"crm": "hubspot", "object": "contact", "since": "2026-01-01"}
        estimate = await it.done(await it.post("/backfills", {**asked, "dry_run": True}, by=ada))
        none = await w.ledger.unfinished_backfills()
        begun = await it.done(await it.post("/backfills", asked, by=ada))
        same = await it.done(await it.post("/backfills", asked, by=ada))
        [kept] = await w.ledger.unfinished_backfills()
        paused = await it.post(f"/backfills/{kept.run}/pause", by=ada)
        resumed = await it.post(f"/backfills/{kept.run}/resume", by=ada)
        lease = await w.ledger.acquire(backfill_lease("hubspot"), "dies", w.clock.now())
        died = await w.ledger.begin_backfill(kept.id, lease, w.clock.now())
        await w.ledger.release(lease)
        result = await w.backfill(died, approve=nobody_does)
        over = await it.post(f"/backfills/{kept.run}/cancel", by=ada)
        plans = await w.ledger.plans_of(result.run)
        run, next_run = await w.ledger.run(kept.run), await w.ledger.run(result.run)
        wrong = {
            "no such backfill": await it.post("/backfills/4711/pause", by=ada),
            "an object that nobody maps": await it.post("/backfills", {**asked, "object": "kontakt"}, by=ada),
            "a range that ends first": await it.post("/backfills", {**asked, "until": "2025-01-01"}, by=ada),
            "a moment beyond the calendar": await it.post(
                "/backfills", {**asked, "since": "0001-01-01T00:00:00+10:00"}, by=ada
            ),
            "a lesser role": await it.post("/backfills", asked, by=TOKENS[Role.VIEWER]),
        }

    assert estimate.answer["estimate"]["records"] > 0
    assert none == []
    assert begun.answer["run"] == same.answer["run"] == kept.run
    assert begun.answer["estimate"]["streams"].keys() == {"contacts"}
    assert (paused[1]["status"], resumed[1]["status"]) == ("paused", "queued")
    assert result.status == "succeeded"
    assert over[0] == 409
    assert run is not None
    assert next_run is not None
    assert run.id != next_run.id
    assert run.asked_by == next_run.asked_by == "Ada", (
        "so that Ada cannot approve of its plans, whatever died"
    )
    assert {each.asked_by for each in plans} <= {"Ada"}
    assert {name: status for name, (status, _) in wrong.items()} == {
        "no such backfill": 404,
        "an object that nobody maps": 422,
        "a range that ends first": 422,
        "a moment beyond the calendar": 422,
        "a lesser role": 403,
    }


async def nobody_does(plan: object) -> bool:
    return False
