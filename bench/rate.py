"""P3 and P4: how much of the vendor's rate is reached, reading and writing, and what it costs of one core.

On the real clock, against a sandbox that refuses what is too much. `BENCH_SHARE` is the share of the 190 requests in
ten seconds that we allow ourselves: at 0.9 some 60,000 contacts pass, at the small default a quarter of them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from sqlalchemy import Connection

from bench.measure import Rate, Row, Watch
from bench.ours import CONTACT, Ours, contacts_only, ours
from bench.server import serving
from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import FieldWrite, Ref
from connector.core.normalize import normalize_person
from connector.ledger import codec
from connector.ledger.tables import PLAN, PLAN_ROW
from connector.phases.gather import gather
from connector.phases.push import Terms, push
from connector.ports import Adapter

PERMITS, WINDOW = 190, 10.0  # of the sandbox's account
SHARE = float(os.environ.get("BENCH_SHARE", "0.2"))
LATENCY = float(os.environ.get("BENCH_LATENCY", "0.05"))
WINDOWS = 3.2  # how long each measurement goes on
CORE = 0.15


@dataclass(frozen=True)
class Pace:
    """What one stretch of work came to."""

    reached: float  # of the ideal rate
    refused: int
    core: float  # of one, at the vendor's full rate


def _people() -> int:
    return int(PERMITS * SHARE * WINDOWS) * 100


async def _calls(environment: Mapping[str, str], path: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=environment["HUBSPOT_BASE_URL"], timeout=60) as http:
        found: list[dict[str, Any]] = (await http.get("/_sandbox/calls", params={"path": path})).json()
        await http.delete("/_sandbox/log")
    return found


async def _latency(environment: Mapping[str, str]) -> float:
    """The median time of an answer, in seconds, asked one by one; the sandbox counts these calls too."""
    url = f"{environment['HUBSPOT_BASE_URL']}/account-info/2026-03/details"
    spans: list[float] = []
    async with httpx.AsyncClient(
        headers={"authorization": f"Bearer {environment['HUBSPOT_ACCESS_TOKEN']}"}
    ) as http:
        for _ in range(9):
            began = time.perf_counter()
            await http.get(url)
            spans.append(time.perf_counter() - began)
    await asyncio.sleep(WINDOW)  # until the window has forgotten them
    return statistics.median(spans)


async def _pace(environment: Mapping[str, str], path: str, done: Rate) -> Pace:
    """The ideal is as many requests as are allowed in each window and the time of one answer."""
    calls = await _calls(environment, path)
    latency = await _latency(environment)
    times = sorted(datetime.fromisoformat(call["at"]).timestamp() for call in calls if call["status"] < 400)
    many = int(PERMITS * SHARE)
    spans = [later - sooner for sooner, later in zip(times, times[many:], strict=False)]
    reached = many / statistics.fmean(spans) / (PERMITS * SHARE / (WINDOW + latency))
    per_call = done.cpu / len(times)
    return Pace(
        reached,
        sum(call["status"] == 429 for call in calls),
        per_call * PERMITS / WINDOW,
    )


async def _warm(adapter: Adapter, mapping: CrmMapping) -> None:
    """The schema, and one page read in our words: names of countries and the like are loaded once a process."""
    await adapter.schema(CONTACT)
    async for page in adapter.pull("contacts", None, wanted_fields(mapping)):
        for record in page.records:
            normalize_person(record, mapping)
        return


async def _read(parts: Ours, environment: Mapping[str, str]) -> Pace:
    mapping = contacts_only(parts.definition.mappings["hubspot"])
    run = await parts.ledger.start_run("bench", ["hubspot"], parts.clock.now())
    await _warm(parts.adapters["hubspot"], mapping)
    await _calls(environment, "/")
    watch = Watch()
    gathered = await gather(
        parts.adapters["hubspot"], mapping, parts.ledger, parts.clock, run=run, holder="bench"
    )
    if gathered.failed:
        sys.exit(f"gather failed: {gathered.failed}")
    return await _pace(environment, "/crm/objects", watch.rate(1))


async def _push(parts: Ours, environment: Mapping[str, str], ids: list[str], value: int) -> Pace:
    """A plan with one row for each contact, read just now, pushed as any other."""
    now = parts.clock.now()
    run = await parts.ledger.start_run("bench", ["hubspot"], now)
    lease = await parts.ledger.acquire("decide", "bench", now)
    plan = await parts.ledger.open_plan(run, "hubspot", lease, now)
    await parts.ledger.release(lease)

    def fill(db: Connection) -> None:
        row = {"plan": plan, "crm": "hubspot", "person": 0, "status": "planned", "held_back": "[]",
               "because": "bench", "reason": "", "code": "", "job": "", "read_at": now}  # fmt: skip
        writes = codec.dumps([["mql_score", None, value, "always", "score", False]])
        assert codec.load_writes(writes)[0] == FieldWrite("mql_score", None, value, "always", "score")
        rows = [{**row, "ref": str(Ref("hubspot", CONTACT, id_)), "writes": writes} for id_ in ids]
        db.execute(PLAN_ROW.insert(), rows)
        db.execute(PLAN.update().where(PLAN.c.id == plan).values(status="open"))

    await parts.ledger._db.write(fill)
    terms = Terms(parts.definition.mappings["hubspot"], {}, 3)
    await _calls(environment, "/")
    watch = Watch()
    done = await push(parts.adapters["hubspot"], terms, parts.ledger, parts.clock, plan=plan, holder="bench")
    rate = watch.rate(1)
    if done.written != len(ids):
        sys.exit(f"push: {done}")
    return await _pace(environment, "/batch/update", rate)


@contextmanager
def _busy() -> Iterator[None]:
    """Another program that keeps a core to itself."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _measure(environment: dict[str, str], folder: str) -> list[Row]:
    environment["HUBSPOT_RATE_SHARE"] = str(SHARE)
    environment["HUBSPOT_DAILY_SHARE"] = "1"
    rows: list[Row] = []
    async with ours(f"sqlite:///{folder}/rate.db", environment, ("hubspot",)) as parts:
        await parts.adapters["hubspot"].account()
        paces = {"reading": await _read(parts, environment)}
        found = await parts.ledger._db.read(
            lambda db: [
                row[0] for row in db.exec_driver_sql("SELECT vendor_id FROM record WHERE state='live'")
            ]
        )
        paces["writing"] = await _push(parts, environment, found, 41)
        with _busy():
            paces["writing beside a busy core"] = await _push(parts, environment, found, 52)
    for name, pace in paces.items():
        rows.append(
            Row(
                "P4",
                f"rate reached, {name} ({pace.refused} refused)",
                f"{pace.reached:.1%}",
                ">= 99 %, 0",
                pace.reached >= 0.99 and not pace.refused,
            )
        )
    rows += [
        Row("P3", f"of one core at the vendor's full rate, {name}", f"{pace.core:.0%}", f"<= {CORE:.0%}",
            pace.core <= CORE)
        for name, pace in paces.items() if "busy" not in name
    ]  # fmt: skip
    return rows


def run() -> list[Row]:
    """P3 and P4; takes a window of ten seconds three times over for each of three measurements."""
    with (
        serving(people=_people(), crms=["hubspot"], strict_limits=True, latency=LATENCY) as environment,
        tempfile.TemporaryDirectory() as folder,
    ):
        return asyncio.run(_measure(environment, folder))
