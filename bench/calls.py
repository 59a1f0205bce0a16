"""P5 and P6: how many calls a sync costs when nothing changed, and when a few hundred people did.

Calls are counted by the sandboxes' own logs; time passes on a clock of its own, so nothing here depends on speed.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.measure import Row, size
from bench.ours import Ours, ours
from connector import pipeline
from connector.app.wiring import plugins
from connector.pipeline import RunResult
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from connector.testing.clock import LeapingClock

PEOPLE = size("PEOPLE_CALLS", 3_000)
CHANGED = size("CHANGED", 500)
QUIET = 12
START = datetime(2026, 11, 22, 10, tzinfo=UTC)
READS = {
    "hubspot": (200, 100),
    "salesforce": (2_000,),
}  # rows a call on the way of a changed record into the ledger
NO_READS = ("/oauth2/", "/describe", "/properties/")
"""A session that ended with the hours that were skipped is renewed, and so is what is known of the schema before the
first write after a while: neither grows with what changed."""
BATCH = {"hubspot": 100, "salesforce": 200}


async def _sync(parts: Ours) -> RunResult:
    async def approve(plan: pipeline.PlanSummary) -> bool:
        return True

    return await pipeline.sync(
        parts.adapters, parts.definition, parts.ledger, parts.clock, holder="bench", approve=approve
    )


def _writes(running: RunningSandboxes, crm: str) -> int:
    """Calls that write, by what the log says of them."""
    path = "/batch/update" if crm == "hubspot" else "/composite/sobjects"
    return sum(call.method in ("POST", "PATCH") for call in running[crm].log.calls(path))


def _promote(running: RunningSandboxes, crm: str, object_: str, field: str) -> int:
    """Give some people a title that moves their score."""
    store: Any = running[crm].sandbox.store
    ids = [id_ for id_, row in _live(store, crm) if "chief" not in str(row.get(field) or "").lower()][
        :CHANGED
    ]
    for id_ in ids:
        running[crm].edit(object_, id_, {field: "Chief Executive Officer"})
    return len(ids)


def _live(store: Any, crm: str) -> list[tuple[str, Any]]:
    if crm == "hubspot":
        table = store.table("contacts")
        return [(str(id_), table.rows[id_].values) for id_ in table.live]
    rows = store.tables["Lead"].rows
    return [
        (id_, row) for id_, row in rows.items() if not row.get("IsDeleted") and not row.get("IsConverted")
    ]


async def _measure() -> list[Row]:
    clock = SandboxClock(START)
    population = make_population(PEOPLE, 5, START)
    apps: list[Any] = [plugin.build_sandbox(population, clock) for plugin in plugins().values()]
    rows: list[Row] = []
    with serve(apps) as running, tempfile.TemporaryDirectory() as folder:
        async with ours(
            f"sqlite:///{folder}/calls.db", running.environment(), clock=LeapingClock(clock)
        ) as parts:
            await _sync(parts)
            for _ in range(2):  # until the echoes of the first writes have left every overlap
                clock.advance(timedelta(hours=2))
                await _sync(parts)
            for crm in running.crms:
                running[crm].log.clear()
            clock.advance(timedelta(hours=2))
            quiet = await _sync(parts)
            for crm, counts in quiet.crms.items():
                writes = _writes(running, crm)
                said = f"{counts.calls} calls, {writes} writes"
                rows.append(
                    Row("P5", f"a second sync, {crm}, {PEOPLE:,} people", said, f"<= {QUIET}, 0",
                        counts.calls <= QUIET and not writes)
                )  # fmt: skip
            for crm, object_, field in (("hubspot", "contact", "jobtitle"), ("salesforce", "Lead", "Title")):
                rows += await _changed(parts, running, clock, quiet, crm, object_, field)
    return rows


async def _changed(
    parts: Ours,
    running: RunningSandboxes,
    clock: SandboxClock,
    quiet: RunResult,
    crm: str,
    object_: str,
    field: str,
) -> list[Row]:
    clock.advance(timedelta(hours=2))
    changed = _promote(running, crm, object_, field)
    running[crm].log.clear()
    clock.advance(timedelta(minutes=5))
    done = await _sync(parts)
    counts = done.crms[crm]
    writes = _writes(running, crm)
    reads = sum(not any(mark in call.path for mark in NO_READS) for call in running[crm].log.calls()) - writes
    reads -= sum(call.status == 401 for call in running[crm].log.calls())
    least = quiet.crms[crm].calls + sum(math.ceil(changed / rows) for rows in READS[crm])
    least_writes = math.ceil(counts.planned / BATCH[crm])
    return [
        Row(
            "P6",
            f"reads for {changed} changed in {crm}",
            f"{reads} of {least}",
            "<= 1.2x",
            reads <= 1.2 * least,
        ),
        Row(
            "P6",
            f"writes for {counts.planned} planned in {crm}",
            f"{writes} of {least_writes}",
            "<= 1.05x",
            writes <= math.ceil(1.05 * least_writes),
        ),
    ]


def run() -> list[Row]:
    """P5 and P6."""
    return asyncio.run(_measure())
