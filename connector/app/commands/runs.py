"""`connector runs`: what ran, with the counts it printed then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from connector.app.asking import ask_ledger
from connector.app.backfill_document import backfill_of_run
from connector.app.braking import document
from connector.app.exits import OK
from connector.app.log import configure
from connector.app.output import notice_in_words, out, print_json, to_json, when
from connector.app.run_document import NOTICES, run_document
from connector.app.running import run
from connector.app.settings import load_settings
from connector.app.wiring import SystemClock, wired
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ledger.store_pages import Trouble
from connector.phases.standstill import told
from connector.ports import Backfill, Brake, Notice, RunInfo

TOLD = 20  # notices of a run that are printed


def runs_list(*, limit: int, json: bool) -> int:
    """The latest runs, newest first."""

    async def question(ledger: SqlLedger) -> tuple[list[RunInfo], Mapping[str, Brake]]:
        return await ledger.runs(limit), await ledger.brakes()

    found, brakes = ask_ledger(question)
    if json:
        stopped = {crm: document(brake) for crm, brake in brakes.items()}
        print_json({"runs": [run_document(each) for each in found], "stopped": stopped})
        return OK
    from rich.table import Table

    table = Table("run", "kind", "status", "started (UTC)", "people", "written")
    for each in found:
        written = sum(counts.get("written", 0) for counts in each.document.get("crms", {}).values())
        table.add_row(
            str(each.id),
            each.kind,
            each.status,
            when(each.started_at),
            f"{each.document.get('people', 0):,}",
            f"{written:,}",
        )
    out.print(table if found else "No run yet.")
    for brake in brakes.values():
        out.print(f"{told(brake)}.", markup=False)
    return OK


def runs_show(number: int, *, json: bool) -> int:
    """One run, whole, and what somebody is to be told of it."""

    async def question(ledger: SqlLedger) -> tuple[RunInfo | None, list[Notice], list[Trouble]]:
        notices = await ledger.notices(limit=NOTICES, run=number)
        return await ledger.run(number), notices, await ledger.troubles(number)

    found, notices, troubles = ask_ledger(question)
    if found is None:
        raise FixConfig(f"There is no run {number}.", next_step="`connector runs list` shows them.")
    if json:
        print_json(
            {**run_document(found), **found.document, "notices": [asdict(notice) for notice in notices]}
        )
    else:
        out.print(
            f"Run {found.id} ({found.kind}): {found.status}, {when(found.started_at)} to {when(found.finished_at)} UTC"
        )
        for each in troubles:
            out.print(
                f"{each.crm}: {each.records:,} {each.outcome.replace('_', ' ')}: {each.kind}", markup=False
            )
        for notice in notices[:TOLD]:
            out.print(notice_in_words(notice), markup=False)
        if len(notices) > TOLD:
            out.print(f"and {len(notices) - TOLD:,} notices more; --json has them")
        if found.finished_at is not None and not found.document:
            out.print("Its details are older than they are kept (`retention: run_details` of criteria.yaml).")
        else:
            out.print(to_json(found.document))
    return OK


def runs_stop(number: int, wish: str, *, json: bool) -> int:
    """`pause` or `cancel` a backfill: at once, or at the next page of whoever runs it."""

    async def question(ledger: SqlLedger) -> Backfill:
        asked = await backfill_of(ledger, number)
        return await ledger.wish_backfill(asked.id, wish, SystemClock().now())

    now = ask_ledger(question)
    if json:
        print_json(backfill_of_run(now))
    elif now.wish:
        out.print(f"Run {now.run} is asked to {wish}; it does so at its next page.")
    else:
        out.print(
            f"The backfill of run {now.run} is {now.status}. What it read stays; it writes nothing more."
        )
    return OK


def runs_resume(number: int, *, json: bool) -> int:
    """Go on with a backfill that was paused, has failed, died or waits."""
    from connector.app.commands.backfill import carried_on, told

    settings = load_settings()
    configure(settings)
    crm = ask_ledger(lambda ledger: backfill_of(ledger, number)).crm

    async def go() -> dict[str, Any]:
        async with wired(settings, [crm]) as parts:
            return await carried_on(parts, await backfill_of(parts.ledger, number))

    return told(lambda: run(go()), json=json)


async def backfill_of(ledger: SqlLedger, number: int) -> Backfill:
    """The backfill that this run worked on. FixConfig where there is none."""
    found = await ledger.backfill(number)
    if found is None:
        raise FixConfig(
            f"Run {number} is no backfill." if await ledger.run(number) else f"There is no run {number}.",
            next_step="Only backfills are paused, resumed and cancelled; `connector runs list` shows the runs.",
        )
    return found
