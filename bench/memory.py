"""P7: the memory of a first load with all engagement, decided and planned, in a process of its own.

`python -m bench.memory URL` is that process: it takes the environment of the sandboxes from its own. The peak is what
the system counted as resident. `BENCH_MEMORY_PEOPLE` is the larger of two worlds, the smaller has a third of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

from bench.measure import Row, size
from bench.ours import ours
from bench.server import serving
from connector import pipeline

PEOPLE = size("MEMORY_PEOPLE", 24_000)
MOST = 600 * 2**20
FLAT = 1.1


class Hurried:
    """The real time, but for the waiting: a limiter's pause is over at once, and later all the same."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep(self, span: timedelta) -> None:
        self._ahead += max(span, timedelta())
        await asyncio.sleep(0)


async def _first_load(url: str) -> dict[str, float]:
    async def approve(plan: pipeline.PlanSummary) -> bool:
        return False

    began = time.perf_counter()
    async with ours(url, dict(os.environ), clock=Hurried()) as parts:
        done = await pipeline.sync(
            parts.adapters, parts.definition, parts.ledger, parts.clock,
            holder="bench", approve=approve, plan_only=True,
        )  # fmt: skip
    if done.status not in ("succeeded", "partial") or any(counts.error for counts in done.crms.values()):
        sys.exit(f"first load: {done.document()}")
    rows = {
        stream: fetched.rows for counts in done.crms.values() for stream, fetched in counts.fetched.items()
    }
    return {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
        "people": done.people,
        "rows": sum(rows.values()),
        "seconds": time.perf_counter() - began,
    }


def _measured(people: int) -> dict[str, float]:
    with (
        serving(people=people) as environment,
        tempfile.TemporaryDirectory() as folder,
    ):
        told = {**os.environ, **environment, "HUBSPOT_DAILY_SHARE": "1", "SALESFORCE_DAILY_SHARE": "1",
                "MALLOC_ARENA_MAX": "2"}  # fmt: skip  # as the image sets it
        child = subprocess.run(
            [sys.executable, "-m", "bench.memory", f"sqlite:///{folder}/memory.db"],
            env=told, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    found: dict[str, float] = json.loads(child.stdout)
    return found


def run() -> list[Row]:
    """P7: two worlds, one three times the other."""
    small, large = _measured(PEOPLE // 3), _measured(PEOPLE)
    ratio = large["peak"] / small["peak"]
    return [
        Row(
            "P7",
            f"peak of a first load, {found['people']:,.0f} people, {found['rows']:,.0f} rows"
            f" ({found['seconds']:.0f} s)",
            f"{found['peak'] / 2**20:,.0f} MB",
            "<= 600 MB",
            found["peak"] <= MOST,
        )
        for found in (small, large)
    ] + [Row("P7", "the larger beside the smaller", f"{ratio:.2f}x", f"<= {FLAT}x", ratio <= FLAT)]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_first_load(sys.argv[1]))))
