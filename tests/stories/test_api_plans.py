"""Runs, plans and undo over the API: long work is left to the sidecar, and nobody approves their own."""

from __future__ import annotations

from connector.app.access import Role
from connector.core.limits import PlanLimits
from connector.core.mapping import SECOND_PERSON
from connector.ports import serving
from tests.stories.api_words import TOKENS, api, new_key
from tests.stories.world import World, world


async def asked_for(w: World) -> int:
    return len(await w.ledger.open_requests())


async def test_a_plan_is_approved_by_a_second_person_and_applied_once(database_url: str) -> None:
    async with world(database_url, people=12) as w:
        w.remap("hubspot", limits=PlanLimits(people=0), approval=SECOND_PERSON)
        async with api(w) as it:
            ada, grace = await it.token("Ada"), await it.token("Grace")
            robot = await it.token("nightly", service=True)
            run = await it.done(await it.post("/syncs", {"crms": ["hubspot"], "yes": True}, by=ada))
            plan = run.answer["plans"]["hubspot"]
            refused = {
                "unapproved": await it.post(f"/plans/{plan}/apply", by=ada),
                "her own": await it.post(f"/plans/{plan}/approve", by=ada),
                "of the environment": await it.post(f"/plans/{plan}/approve", by=TOKENS[Role.ADMIN]),
                "a program": await it.post(f"/plans/{plan}/approve", by=robot),
            }
            approved = await it.post(f"/plans/{plan}/approve", {"note": "checked"}, by=grace)
            by_approver = await it.post(f"/plans/{plan}/apply", by=grace)
            key = new_key()
            asked = await it.send("POST", f"/plans/{plan}/apply", {}, by=ada, key=key)
            again = await it.send("POST", f"/plans/{plan}/apply", {}, by=ada, key=key)
            waiting = await asked_for(w)
            applied = await it.done((asked.status_code, asked.json()))
            written = len(w.writes("hubspot"))
            over = [
                await it.post(f"/plans/{plan}/{what}", by=ada) for what in ("apply", "discard", "approve")
            ]
            undone = await it.done(await it.post(f"/runs/{run.run}/undo", {"why": "too early"}, by=ada))
            back = undone.answer["plans"]["hubspot"]
            dropped = await it.post(f"/plans/{back}/discard", by=grace)
            _, listed = await it.get("/requests?limit=2", by=TOKENS[Role.VIEWER])
            _, rest = await it.get(listed["next"].removeprefix("/api/v1"), by=TOKENS[Role.VIEWER])
            acts = [(each.act, each.by) for each in await w.ledger.acts(f"plan:{plan}")]

    assert run.answer["crms"]["hubspot"]["waiting"] > 0
    assert {name: status for name, (status, _) in refused.items()} == dict.fromkeys(refused, 409)
    assert "second person" in refused["unapproved"][1]["detail"]
    assert "nobody approves their own plan" in refused["her own"][1]["detail"]
    assert "nobody's own" in refused["of the environment"][1]["detail"]
    assert "a program" in refused["a program"][1]["detail"]
    assert approved == (200, {
        "plan": plan, "crm": "hubspot", "status": "open", "approved_by": "Grace", "approval_note": "checked",
    })  # fmt: skip
    assert by_approver[0] == 409
    assert asked.headers["location"] == f"/api/v1/requests/{asked.json()['request']}"
    assert again.content == asked.content
    assert waiting == 1, "asked for twice under one key it is done once"
    assert (applied.answer["written"], applied.answer["by"]) == (written, "Ada")
    assert written > 0
    assert acts[:2] == [("approve plan", "Grace"), ("apply plan", "Ada")]
    assert [status for status, _ in over] == [409, 409, 409]
    assert undone.answer["undo"]["run"] == run.run
    assert dropped[1]["status"] == "discarded"
    told = [
        (each["kind"], each["asked_by"], each["status"]) for each in (*listed["requests"], *rest["requests"])
    ]
    assert told == [("undo", "Ada", "done"), ("apply", "Ada", "done"), ("sync", "Ada", "done")]
    assert rest["next"] is None


async def test_what_cannot_be_asked_for_is_told_at_once(sqlite_url: str) -> None:
    async with world(sqlite_url, people=4) as w, api(w) as it:
        await w.sync("hubspot")
        [run, *_] = await w.ledger.runs(1)
        answers = {
            "a CRM that nobody knows": await it.post("/syncs", {"crms": ["hubspt"]}),
            "a misspelt option": await it.post("/syncs", {"plan_olny": True}),
            "no such plan": await it.post("/plans/99/approve"),
            "no such run": await it.post("/runs/99/undo"),
            "a number that no database knows": await it.post(f"/plans/{2**70}/apply"),
            "a text that not every database keeps": await it.post("/stop", {"why": "a\x00b"}),
            "a CRM that it did not touch": await it.post(f"/runs/{run.id}/undo", {"crm": "salesforce"}),
            "a lesser role": await it.post("/syncs", by=TOKENS[Role.VIEWER]),
        }
        left = await asked_for(w)

    assert {name: status for name, (status, _) in answers.items()} == {
        "a CRM that nobody knows": 422,
        "a misspelt option": 422,
        "no such plan": 404,
        "no such run": 404,
        "a number that no database knows": 422,
        "a text that not every database keeps": 422,
        "a CRM that it did not touch": 409,
        "a lesser role": 403,
    }
    assert answers["a CRM that nobody knows"][1]["next_step"] == "Did you mean `hubspot`?"
    assert left == 0


async def test_the_brake_stops_one_crm_or_all(sqlite_url: str) -> None:
    async with world(sqlite_url, people=4) as w, api(w) as it:
        one = await it.post("/stop", {"crms": ["hubspot"], "why": "fair"})
        every = await it.post("/stop")
        run = await it.done(await it.post("/syncs"))
        on = await it.post("/start")

    assert one[1]["crms"]["hubspot"]["why"] == "fair"
    assert {crm: each["changed"] for crm, each in every[1]["crms"].items()} == {
        "hubspot": False,
        "salesforce": True,
    }
    assert {crm: each["written"] for crm, each in run.answer["crms"].items()} == {
        "hubspot": 0,
        "salesforce": 0,
    }
    assert not any(each["stopped"] for each in on[1]["crms"].values())


async def test_work_on_crms_that_two_sidecars_serve_is_refused_instead_of_waiting_for_ever(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=1) as w, api(w) as it:
        await it.side.served.release()
        for crm in ("hubspot", "salesforce"):
            await w.ledger.acquire(serving(crm), f"sidecar of {crm}", w.clock.now())
        both, one = await it.post("/syncs"), await it.post("/syncs", {"crms": ["salesforce"]})

    assert both[0] == 409
    assert "not served by one sidecar" in both[1]["detail"]
    assert one[0] == 202
