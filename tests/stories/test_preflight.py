"""Before a backfill begins it is told what it takes: counted, in portions, and what listens to its writes."""

from __future__ import annotations

import pytest

from connector.app.commands.backfill import allowance_lines, automation_lines
from connector.backfill import document
from connector.ports import Allowance
from connector.preflight import estimate, portions, preflight
from tests.stories.world import EVERYTHING, START, QuickClock, world

PEOPLE = 230


def day(used: int, ours: int = 0, *, allowed: int = 1_000, share: float = 0.3) -> Allowance:
    return Allowance(used, allowed, ours, share)


@pytest.mark.parametrize(
    ("calls", "allowance", "said"),
    [
        (300, day(0), 1),
        (301, day(0), 2),
        (900, day(0), 3),
        (901, day(0), 4),
        (100, day(250, ours=250), 2),  # 50 today, 50 tomorrow
        (100, day(300, ours=300), 1),  # nothing today, all of it tomorrow
        (500, day(200, ours=0), 5),  # others use 200 a day: 100 are left each day
        (500, day(400, ours=50), None),  # others use more than the share
        (500, None, None),
    ],
)
def test_a_backfill_is_divided_into_what_each_days_share_leaves(
    calls: int, allowance: Allowance | None, said: int | None
) -> None:
    assert portions(calls, allowance) == said


async def test_it_is_counted_by_the_vendor_and_kept_as_it_was_told(database_url: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        adapter, mapping = made.adapters["hubspot"], made.definition.mappings["hubspot"]
        await adapter.account()
        estimates = await estimate(adapter, mapping, "contacts", EVERYTHING)
        told = await preflight(adapter, mapping, estimates)
        asked = await made.ledger.ask_backfill(
            "hubspot", "contacts", EVERYTHING, True, estimates, made.clock.now(), preflight=told
        )
        made.later(days=1)
        kept = await made.ledger.backfill(asked.run)

        assert kept is not None
        assert told["records"] == PEOPLE
        assert told["write_calls_at_most"] == 3, "a hundred records a call"
        assert told["portions"] == 1
        assert document(kept)["estimate"] == told
        assert kept.estimates == estimates


async def test_a_workflow_that_listens_to_our_fields_is_named_and_never_called_all(database_url: str) -> None:
    async with world(database_url, people=10) as made:
        made.hubspot.create(
            "workflows", {"name": "Call new MQLs", "when": "mql_status", "equals": "qualified"}
        )
        adapter, mapping = made.adapters["hubspot"], made.definition.mappings["hubspot"]
        told = await preflight(adapter, mapping, await estimate(adapter, mapping, "contacts", EVERYTHING))
        lines = automation_lines(told["automations"])

        assert any(
            "Found: the workflow `Call new MQLs` listens to contact.mql_status" in line for line in lines
        ), lines


async def test_automations_that_cannot_be_asked_for_are_told_and_stop_nothing(database_url: str) -> None:
    async with world(database_url, people=10, clock=QuickClock(START)) as made:
        made.hubspot.faults.add(method="*", path="*flows*", status=500, times=None)
        adapter, mapping = made.adapters["hubspot"], made.definition.mappings["hubspot"]
        told = await preflight(adapter, mapping, await estimate(adapter, mapping, "contacts", EVERYTHING))

        assert told["automations"]["found"] == []
        assert told["automations"]["unseen"], "what was not seen is said"
        assert "Found no automation" in automation_lines(told["automations"])[0]


def test_more_than_a_day_can_do_is_said_before_it_begins() -> None:
    told = {"write_calls_at_most": 7, "share": 0.9, "left_today": 300, "portions": 3}

    assert "read in 3 portions" in allowance_lines(told)[-1]
    assert "goes on by itself" in allowance_lines(told)[-1]
    assert "Others use up" in allowance_lines({**told, "portions": None})[-1]
    assert "not known" in allowance_lines({**told, "share": None})[-1]
