"""Reading comes first: before set-up, with read rights alone, everything is told and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.hubspot.sandbox.gate import READ_ONLY_TOKEN
from connector.app.commands.init import shipped
from connector.app.settings import variables_of
from connector.app.wiring import plugins
from connector.core.targets import targets_of
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.stories.test_cli import answer
from tests.stories.world import World, world

BARE = {crm: {"with_mql_fields": False} for crm in ("hubspot", "salesforce")}


async def set_up(there: World, crm: str) -> None:
    """What `connector setup` does."""
    plugin = plugins()[crm]
    variables = variables_of(plugin.variables, there.running.environment())
    admin = plugin.admin(variables, there.clock)
    await admin.steps(targets_of(there.definition.mappings[crm]), make=True)
    await admin.close()


async def test_before_setup_a_plan_shows_what_would_be_written_and_after_it_everybody_gets_it(
    database_url: str,
) -> None:
    async with world(database_url, people=30, options=BARE) as there:
        rehearsed = await there.sync(plan_only=True)
        rows = await there.ledger.plan_rows(rehearsed.plans["hubspot"], limit=100)
        held = {each.field: each for row in rows for each in row.held_back}

        assert {"mql_score", "mql_grade", "mql_reason"} <= set(held)
        assert "is not there yet" in held["mql_score"].why
        assert held["mql_score"].wanted is not None
        assert rehearsed.crms["hubspot"].held_back > 0
        assert not there.writes("hubspot")
        assert not there.writes("salesforce")

        there.later(minutes=10)
        await set_up(there, "hubspot")
        filled = await there.sync()
        again = await there.sync()

    counts = filled.crms["hubspot"]
    assert (
        counts.written == counts.planned == rehearsed.crms["hubspot"].read
    )  # nobody changed, all are filled
    assert again.crms["hubspot"].planned == 0


async def test_a_field_that_becomes_visible_is_looked_at_before_it_is_written(database_url: str) -> None:
    """A before-image read while the field was hidden says nothing of it, however fresh."""
    async with world(database_url, people=30, options={"hubspot": {"with_mql_fields": False}}) as there:
        await there.sync(plan_only=True)
        await set_up(there, "hubspot")
        contact = (await there.ledger.plan_rows(1, limit=1))[0].ref.id
        calls = len(there.hubspot.log.calls())

        filled = await there.sync("hubspot")  # at once: what was read is younger than two minutes

        read = [call for call in there.hubspot.log.calls()[calls:] if call.path.endswith("/batch/read")]
    assert filled.crms["hubspot"].written > 0
    assert read, f"{contact} and the others were written without a fresh look"


@pytest.fixture
def bare() -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(30, 5, clock.now())
    with serve(
        [plugin.build_sandbox(population, clock, **BARE[crm]) for crm, plugin in plugins().items()]
    ) as up:
        yield up


def settings(running: RunningSandboxes, tmp_path: Path) -> dict[str, str]:
    return {
        **running.environment(),
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
    }


def test_check_plan_and_explain_work_in_bare_accounts_with_a_read_only_token(
    bare: RunningSandboxes, tmp_path: Path
) -> None:
    environment = {**settings(bare, tmp_path), "HUBSPOT_ACCESS_TOKEN": READ_ONLY_TOKEN}

    found = answer(environment, "check")
    rehearsed = answer(environment, "sync", "--plan-only", code=None)
    plan = answer(environment, "plan", "show", str(rehearsed["plans"]["salesforce"]), "--rows", "100")
    record = plan["rows"][0]["record"]
    told = answer(environment, "explain", record)

    def about(crm: str) -> list[dict[str, Any]]:
        return [each for each in found["crms"][crm]["findings"] if "not there yet" in each["what"]]

    assert {each["where"] for each in about("salesforce")} == {"Lead", "Contact"}
    assert all("connector setup" in each["next_step"] for each in about("hubspot") + about("salesforce"))
    assert found["problems"] == 0
    assert rehearsed["crms"]["salesforce"]["held_back"] == rehearsed["crms"]["salesforce"]["read"]
    assert any(held["field"] == "MQL_Score__c" for row in plan["rows"] for held in row["held_back"])
    assert record in told["records"]
    assert not [call for crm in bare.crms for call in bare[crm].log.writes() if call.by == "api"]


def test_users_who_may_only_read_are_no_problem_and_plan_all_the_same(tmp_path: Path) -> None:
    clock = SandboxClock()
    population = make_population(30, 5, clock.now())
    hubspot = plugins()["hubspot"].build_sandbox(population, clock)
    salesforce = plugins()["salesforce"].build_sandbox(population, clock, read_only=True)
    with serve([hubspot, salesforce]) as up:
        environment = {**settings(up, tmp_path), "HUBSPOT_ACCESS_TOKEN": READ_ONLY_TOKEN}
        found = answer(environment, "check")
        rehearsed = answer(environment, "sync", "--plan-only", code=None)
        plan = answer(environment, "plan", "show", str(rehearsed["plans"]["salesforce"]), "--rows", "100")

    told = [
        each["what"]
        for each in found["crms"]["salesforce"]["findings"]
        if each["where"] in ("Lead", "Contact")
    ]
    assert found["problems"] == 0
    assert sum("nothing may be written by this user" in what for what in told) == 2
    assert any(
        "write" in each["what"] for each in found["crms"]["hubspot"]["findings"] if each["level"] == "warning"
    )
    whys = {
        held["why"] for row in plan["rows"] for held in row["held_back"] if held["field"] == "MQL_Score__c"
    }
    assert whys == {"would be written, but this user may not edit the field"}
    assert rehearsed["crms"]["hubspot"]["waiting"] > 0
