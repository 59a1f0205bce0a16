"""The process is killed at every step of `plan apply` and of `undo`, one after the other: the restart finishes or stops
cleanly, and the sums add up.

A step is a call to the ledger or to a CRM. To die after one is to die before the next, but for calls that are under way
side by side; so SQLite is killed before every single step, and PostgreSQL after every seventeenth. Each restart is a
process of its own: another handle on the same database, another holder of leases.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from connector import undo
from connector.app.applying import apply_plan
from connector.app.wiring import Wired
from connector.core.model import Ref
from connector.core.values import as_number, same_value
from connector.errors import FixConfig
from connector.ledger import open_ledger
from connector.phases.gate import PlanSummary
from connector.ports import UNDONE, PlanRow
from tests.databases import ledger_url
from tests.properties.test_sync_histories import Killed, Life, Mortal
from tests.stories.test_undo import Fields, changed, ours
from tests.stories.world import START, QuickClock, World, world

PEOPLE, SEED = 8, 12  # one of them becomes an MQL in both CRMs
MOST = 200  # steps; more than any of the two takes

Command = Callable[[Wired], Awaitable[Any]]


class Restarted:
    """The connector as a chain of short-lived processes over one ledger and two CRMs."""

    def __init__(self, made: World, url: str) -> None:
        self.made = made
        self.url = url
        self.processes = 0

    async def process(self, command: Command, life: Life | None = None) -> bool:
        """One process. False: it was killed."""
        self.processes += 1
        real = open_ledger(self.url)
        ledger: Any = real
        adapters: Mapping[str, Any] = self.made.adapters
        if life is not None:
            ledger = Mortal(real, life)
            adapters = {crm: Mortal(adapter, life) for crm, adapter in adapters.items()}
        holder = f"process {self.processes}"
        clock: Any = self.made.clock
        try:
            await command(Wired(adapters, self.made.definition, ledger, clock, holder))
        except Killed:
            return False
        finally:
            await asyncio.sleep(0)
            await real.close()
        return True

    async def until_done(self, command: Command, life: Life) -> bool:
        """The command, killed as the life says, and then once more. True: it was never killed."""
        if await self.process(command, life):
            return True
        assert await self.process(command)
        return False

    def written_since(self, mark: Mapping[str, int]) -> Counter[tuple[Ref, str]]:
        """How often each field was changed by the API to another value."""
        found: Counter[tuple[Ref, str]] = Counter()
        for crm in self.made.running.crms:
            for write in self.made.writes(crm, mark[crm]):
                for name, (old, new) in write.fields.items():
                    if not same_value(old, new):
                        found[Ref(crm, write.object, str(write.id)), name] += 1
        return found

    def mark(self) -> dict[str, int]:
        return {crm: len(self.made.running[crm].log.writes()) for crm in self.made.running.crms}

    def steps_taken_back(self, run: int) -> Counter[int]:
        """The steps of a run that have an entry which takes them back, and how many of these."""
        engine = create_engine(self.url)
        query = text(
            "SELECT step.id FROM stage_history step JOIN stage_history entry ON entry.undoes = step.id"
            " WHERE step.run = :run"
        )
        with engine.connect() as db:
            found = Counter(row.id for row in db.execute(query, {"run": run}))
        engine.dispose()
        return found


def applying(plan: int) -> Command:
    async def command(parts: Wired) -> None:
        try:
            await apply_plan(parts, plan, by="Ada")
        except FixConfig as error:
            if "applied, not open" not in str(error):  # all of it has been sent: a clean stop
                raise

    return command


def undoing(run: int) -> Command:
    async def yes(plan: PlanSummary) -> bool:
        return True

    async def command(parts: Wired) -> None:
        result = await undo.undo(
            run, parts.adapters, parts.definition, parts.ledger, parts.clock,
            holder=parts.holder, approve=yes, asked_by="Ada",
        )  # fmt: skip
        assert all(counts.adds_up() for counts in result.crms.values()), result
        assert result.status == "succeeded", result

    return command


async def planned(made: World) -> tuple[int, dict[str, int], list[PlanRow]]:
    """A run whose plans wait: its number, the plans, their rows."""
    run = await made.sync(plan_only=True)
    rows = [row for plan in run.plans.values() for row in await made.ledger.plan_rows(plan) if row.writes]
    return run.run, run.plans, rows


async def applied_and_undone(
    chain: Restarted, before: Fields, *, kill_apply: Life, kill_undo: Life
) -> tuple[bool, bool]:
    """One round: plan, apply, take back. Whether apply and undo got through without being killed."""
    made = chain.made
    run, plans, rows = await planned(made)
    assert {row.ref.crm for row in rows} == {"hubspot", "salesforce"}
    mark = chain.mark()

    whole = [await chain.until_done(applying(plan), kill_apply) for plan in plans.values()]

    after = [row for plan in plans.values() for row in await made.ledger.plan_rows(plan) if row.writes]
    assert {row.status for row in after} <= {"written", "set_aside"}, "every row has ended"
    assert len(after) == len(rows)
    now = ours(made)
    for row in after:
        for write in row.writes:
            stands = write.after if row.status == "written" else write.before
            assert same_value(now.get((row.ref, write.field)), stands), (row, now.get((row.ref, write.field)))
    assert max(chain.written_since(mark).values()) == 1, "nothing was written twice"
    assert not await made.ledger.sending("hubspot")
    assert not await made.ledger.sending("salesforce")
    made.later(seconds=90)
    if any(row.status == "set_aside" for row in after):
        rest = await made.sync()  # what was set aside is decided anew
        now = ours(made)
        for row in rows:
            for write in row.writes:
                assert alike(now.get((row.ref, write.field)), write.after)
        await made.undo(rest.run)

    mark = chain.mark()
    unhurt = await chain.until_done(undoing(run), kill_undo)

    assert changed(before, ours(made)) == set()
    assert all(times <= 2 for times in chain.written_since(mark).values())
    assert all(
        times == 1 for (_, name), times in chain.written_since(mark).items() if "stage" not in name.lower()
    )
    undone = {(row.ref, w.field) for row in after if row.status == "written" for w in row.writes}
    holds = [hold for hold in await made.ledger.holds(kind=UNDONE) if hold.run == run]
    assert {(hold.ref, hold.field) for hold in holds} == undone
    assert len(holds) == len(undone)
    taken_back = chain.steps_taken_back(run)
    assert set(taken_back.values()) <= {1}, "one entry for each step"
    promoted = {row.person for row in after if row.status == "written" and row.kind == "promotion"}
    assert bool(taken_back) == bool(promoted)
    assert (await made.ledger.stage_counts()).get("mql", 0) == 0
    return all(whole), unhurt


def alike(one: Any, other: Any) -> bool:
    a, b = as_number(one), as_number(other)
    return same_value(one, other) or (a is not None and b is not None and abs(a - b) <= 1)


@pytest.mark.parametrize(
    ("database", "stride", "after"),
    [("sqlite", 1, False), ("postgresql", 17, True)],
)
async def test_killed_at_every_step_the_restart_finishes_and_the_sums_add_up(
    database: str, stride: int, after: bool, tmp_path: Path
) -> None:
    url = ledger_url(database, tmp_path)
    async with world(url, people=PEOPLE, seed=SEED, clock=QuickClock(START)) as made:
        chain = Restarted(made, url)
        before = ours(made)
        done = (False, False)
        reached = 0
        for step in range(1, MOST, stride):
            lives = [Life(MOST if got_through else step, hard=True, after=after) for got_through in done]
            done = await applied_and_undone(chain, before, kill_apply=lives[0], kill_undo=lives[1])
            await made.ledger.release_holds(await made.ledger.holds(), "story", made.clock.now())
            reached = step
            if all(done):
                break
            made.later(seconds=30)
        assert all(done)
        assert reached > 20, "an undo has more steps than that"
