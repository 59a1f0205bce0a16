"""Letting go of what is old: facts and explanations stay, nothing open is touched, and an undo without before-images is
refused instead of writing blanks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.pruning import prune, would_prune
from connector.app.wiring import plugins
from connector.core.criteria import Weights
from connector.core.model import FieldWrite, Outcome, PlannedWrite, Ref
from connector.core.retention import Retention
from connector.errors import FixConfig, LeaseBusy
from connector.ledger import codec, open_ledger, store_prune
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.tables import (
    ENGAGEMENT,
    PAST_RECORD,
    PLAN,
    PLAN_ROW,
    RECORD,
    REQUEST,
    RUN,
    STAGE_HISTORY,
    WRITTEN,
)
from connector.testing.clock import HandClock
from tests.stories.ledger_words import NOON, Desk, contact
from tests.stories.world import World, world

DAY = timedelta(days=1)
FACTS = (RECORD, ENGAGEMENT, PAST_RECORD, STAGE_HISTORY, WRITTEN, PLAN, RUN)


def asked(url: str, query: Any) -> list[Any]:
    """The rows that the database holds."""
    engine = build_engine(parse_url(url), begin="BEGIN")
    with engine.connect() as db:
        found = list(db.execute(query))
    engine.dispose()
    return found


def execute(url: str, statement: Any) -> None:
    """Change the database behind everybody's back."""
    engine = build_engine(parse_url(url))
    with engine.begin() as db:
        db.execute(statement)
    engine.dispose()


def facts(made: World) -> list[int]:
    """How much there is of what is kept for good."""
    return [asked(made.ledger_url, select(func.count()).select_from(each))[0][0] for each in FACTS]


def whole(made: World) -> int:
    """Records whose own values are kept as they were read."""
    return sum(
        not row.vendor.startswith(codec.LET_GO) for row in asked(made.ledger_url, select(RECORD.c.vendor))
    )


async def night(made: World) -> dict[str, int]:
    """What it lets go of; what it said beforehand was true."""
    told = (await would_prune(made.ledger, made.definition, made.clock.now())).gone
    gone = (await prune(made.ledger, made.definition, "story", made.clock)).gone
    assert gone == told
    return {what: many for what, many in gone.items() if many}


async def test_what_is_old_goes_and_what_people_did_and_why_they_are_mql_stays(database_url: str) -> None:
    async with world(database_url, people=12) as made:
        await made.sync("salesforce")
        made.later(minutes=10)
        await made.sync("salesforce")  # sees its own writes
        people = await made.ledger.people(limit=1_000)
        records = whole(made)

        made.later(days=13)
        early = await night(made)
        made.later(days=2)
        payloads = await night(made)
        raw = whole(made)
        made.redefine(weights=Weights(0.7, 0.3))
        run = await made.sync("salesforce")  # Salesforce tells everything once more, every day
        again, kept, log = whole(made), facts(made), len(made.writes("salesforce"))
        plan = run.plans["salesforce"]

        made.later(days=89)
        await night(made)
        before = await made.ledger.plan_rows(plan)
        allowed = await made.undo(run.run, plan_only=True)
        made.later(days=2)
        images = await night(made)
        after = await made.ledger.plan_rows(plan)
        with pytest.raises(FixConfig, match="what stood there before it was removed") as refused:
            await made.undo(run.run)
        told = await made.ledger.plan(plan)

        made.later(days=310)
        details = await night(made)
        nothing = await night(made)
        info = await made.ledger.run(run.run)
        rest = await made.ledger.plan_rows(plan)
        first_again = not await made.ledger.ever_applied("salesforce")
        stands = facts(made)
        steps = [await made.ledger.stage_steps(each.id) for each in people]
        sent = len(made.writes("salesforce"))

    assert early == {}
    assert (payloads, raw) == ({"raw_payloads": records}, 0)
    lead = run.crms["salesforce"].fetched["Lead"]
    assert (lead.stored, lead.duplicate > 5) == (0, True)  # what was let go of is known again
    assert again == sum(each.stored for each in run.crms["salesforce"].fetched.values()) == 0
    assert allowed.crms["salesforce"].planned == run.crms["salesforce"].written > 3
    assert images == {"before_images": len(before)}
    assert [[w.after for w in row.writes] for row in after] == [
        [w.after for w in row.writes] for row in before
    ]
    assert any(w.before is not None for row in before for w in row.writes)
    assert all(w.before is None for row in after for w in row.writes)
    assert "before_images" in refused.value.next_step
    assert told is not None
    assert told.let_go_at is not None
    assert details["plan_rows"] >= 2 * len(before)
    assert details["run_documents"] == 3  # that of the undo is younger
    assert (nothing, rest, sent) == ({}, [], log)
    assert info is not None
    assert (info.kind, info.status, info.document) == ("sync", "succeeded", {})
    assert not first_again
    assert (stands[0], stands[1:]) == (kept[0], [*kept[1:5], kept[5] + 1, kept[6] + 1])
    assert all(steps)


async def test_nothing_open_under_way_or_unanswered_goes_however_old(sqlite_url: str) -> None:
    """Neither its row, nor what stood there before, nor a request that nobody has answered."""
    ledger = open_ledger(sqlite_url)
    clock = HandClock(NOON)
    definition = load_definition(shipped(), plugins())
    try:
        desk = Desk(ledger)
        desk.run = await ledger.start_run("sync", ["hubspot"], desk.at)
        refs = [Ref("hubspot", "contact", str(number)) for number in range(4)]
        await desk.keep(*(contact(ref) for ref in refs))
        sending, unknown, written, waiting = [
            await desk.plan(PlannedWrite(ref, (FieldWrite("mql_score", 1, 2, "always", "score"),)))
            for ref in refs
        ]
        change = update(PLAN_ROW).values(status="waiting")  # each plan has ended the one before it
        for rows in (sending, unknown, written):
            execute(sqlite_url, update(PLAN).where(PLAN.c.id == rows[0].plan).values(status="open"))
            execute(sqlite_url, change.where(PLAN_ROW.c.id == rows[0].id))
            await desk.send(rows)
        await desk.receive(unknown, Outcome.UNKNOWN)
        await desk.receive(written, Outcome.WRITTEN)
        ended = update(PLAN).where(PLAN.c.id != waiting[0].plan)
        execute(sqlite_url, ended.values(status="applied", summary='{"a":1}'))
        await ledger.ask_request("sync", ["hubspot"], {}, "Ada", desk.at)
        done = await ledger.ask_request("sync", ["hubspot"], {}, "Ada", desk.at)
        execute(sqlite_url, update(REQUEST).where(REQUEST.c.id == done.id).values(status="done"))
        clock.advance(1_000 * DAY)

        gone = (await prune(ledger, definition, "night", clock)).gone
        rows = {
            row.ref.id: (row.status, [w.before for w in row.writes])
            for plan in await ledger.plans()
            for row in await ledger.plan_rows(plan.id)
        }
        requests = [each.id for each in await ledger.open_requests()]
        run = await ledger.run(desk.run)
    finally:
        await ledger.close()

    assert rows == {"0": ("sending", [1]), "1": ("unknown", [1]), "3": ("planned", [1])}
    assert (gone["before_images"], gone["plan_rows"], gone["requests"]) == (1, 1, 1)
    assert gone["run_documents"] == 0
    assert run is not None
    assert run.status == "running"
    assert len(requests) == 1


async def test_a_night_that_dies_half_way_is_gone_on_with_and_an_undo_meanwhile_writes_no_blanks(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_prune, "BATCH", 3)
    async with world(sqlite_url, people=8) as made:
        run = await made.sync("hubspot")
        plan = run.plans["hubspot"]
        execute(
            sqlite_url, update(PLAN_ROW).values(writes=func.replace(PLAN_ROW.c.writes, ",null,", ',"was",'))
        )
        made.later(days=91)
        lease = await made.ledger.acquire("prune", "dead", made.clock.now())
        cut = made.clock.now() - 90 * DAY
        await made.ledger.begin_plan(plan, cut, lease, made.clock.now())
        await made.ledger.let_images_go(plan, 0, lease)
        half = [w.before for row in await made.ledger.plan_rows(plan) for w in row.writes]
        with pytest.raises(FixConfig, match="cannot be undone in hubspot"):
            await made.ledger.written_rows(run.run, "hubspot", 100)
        made.later(minutes=1)
        with pytest.raises(LeaseBusy):
            await made.ledger.let_images_go(plan, 0, replace(lease, holder="another"))
        await prune(made.ledger, made.definition, "next", made.clock)
        whole_ = [w.before for row in await made.ledger.plan_rows(plan) for w in row.writes]

    assert {"was", None} <= set(half)
    assert set(whole_) == {None}


async def test_of_raw_values_those_by_which_a_plan_names_an_import_are_kept(sqlite_url: str) -> None:
    async with world(sqlite_url, people=8) as made:
        await made.sync("hubspot", plan_only=True)
        made.later(days=15)
        await night(made)
        values = [
            codec.loads(row.vendor)
            for row in asked(sqlite_url, select(RECORD.c.ref, RECORD.c.vendor))
            if row.ref.startswith("hubspot:contact:")
        ]
        came_in = made.definition.mappings["hubspot"].objects["contact"].came_in

    assert came_in is not None
    assert {name for each in values for name in each} <= {"", *came_in.reads()}
    assert all(each.get(came_in.at) for each in values)


async def test_what_is_kept_for_good_by_the_file_stays(sqlite_url: str) -> None:
    async with world(sqlite_url, people=8) as made:
        await made.sync("hubspot")
        made.redefine(retention=Retention(None, None, None, None))
        made.later(days=5_000)
        told = (await would_prune(made.ledger, made.definition, made.clock.now())).gone

        assert (told, await night(made)) == ({}, {})
