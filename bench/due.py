"""P9: from a changed contact to its planned write: what changed costs the same, however many people there are.

Two ledgers, one ten times the other. 500 people change in each; timed is what a sync does between their page and the
plan: keep the page, decide whom it made due, keep the plan. `BENCH_DUE_PEOPLE` is the size of the smaller one; at the
target's own size it is 100000.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from bench.measure import Row, size
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.definition import Definition
from connector.core.model import Engagement, PersonRecord, Ref, StageState, VendorRecord
from connector.ledger import SqlLedger, codec, open_ledger
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.tables import ADDRESS, DUE, ENGAGEMENT, PERSON, PLAN, PLAN_ROW, RECORD
from connector.phases.decide import decide
from connector.ports import NormalizedPage
from connector.testing.clock import HandClock

PEOPLE = size("DUE_PEOPLE", 20_000)
TIMES = 10
CHANGED = 500
EVENTS = 5
ROUNDS = 5
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TYPES = ("page_view", "email_click", "form_submission", "webinar_attendance", "docs_viewed")


def _record(n: int, dice: random.Random, at: datetime) -> PersonRecord:
    fields = {
        "email": f"p{n}@company{n // 3}.example", "email_domain": f"company{n // 3}.example", "email_kind": "business",
        "seniority": dice.choice(["c_level", "vp", "director", "manager", "staff"]), "last_name": f"Last{n}",
        "company_size": dice.choice([5, 50, 500]), "company_domain": f"company{n // 3}.example",
    }  # fmt: skip
    return PersonRecord(
        Ref("hubspot", "contact", str(n)), fields, emails=(str(fields["email"]),), stage="lead", changed_at=at,
        created_at=NOW - timedelta(days=90),
    )  # fmt: skip


def fill(db: Connection, people: int, events: int = EVENTS) -> None:
    """People as an earlier run left them, each with so many events: decided, nothing due."""
    dice = random.Random(7)
    before = NOW - timedelta(days=2)
    for start in range(0, people, 5_000):
        records = [_record(n, dice, before) for n in range(start + 1, min(start + 5_000, people) + 1)]
        state = codec.dump_state(
            StageState("lead", since=before, dwell_from=before, band=1, because="Lead: band 1")
        )
        db.execute(PERSON.insert(), [
            {"id": int(r.ref.id), "fields": codec.dumps(dict(r.fields)), "fit": 0.0, "engagement": 0.0, "score": 0.0,
             "band": 1, "grade": "D4", "contributions": "[]", "stage": "lead", "status": "none", "state": state,
             "decays": False, "decided_at": before, "criteria_version": 1, "run": 1} for r in records])  # fmt: skip
        db.execute(RECORD.insert(), [
            {"ref": str(r.ref), "kind": "person", "vendor_id": r.ref.id, "body": codec.dump_person(r), "vendor": "{}",
             "state": "live", "first_load": False, "changed_at": before, "observed_at": before, "known_at": before,
             "person_id": int(r.ref.id)} for r in records])  # fmt: skip
        db.execute(ADDRESS.insert(), [{"email": r.emails[0], "ref": str(r.ref)} for r in records])
        if not events:
            continue
        db.execute(ENGAGEMENT.insert(), [
            {"crm": "hubspot", "stream": "events", "key": f"{r.ref.id}-{k}", "about": str(r.ref),
             "type": dice.choice(TYPES), "occurred_at": NOW - timedelta(seconds=dice.randrange(90 * 86_400)),
             "attributes": "{}", "counted": True, "deleted": False, "known_at": before, "observed_at": before}
            for r in records for k in range(events)])  # fmt: skip


def _pages(people: int, turn: int) -> Iterator[NormalizedPage]:
    """500 people spread over all: a new title, and a form that they sent."""
    dice = random.Random(turn)
    at = NOW + timedelta(hours=turn)
    numbers = dice.sample(range(1, people + 1), CHANGED)
    changed = [_record(n, dice, at) for n in numbers]
    changed = [
        replace(r, fields={**r.fields, "title": f"Director {turn}", "seniority": "director"}) for r in changed
    ]
    yield NormalizedPage(
        "hubspot", "contact", {"at": turn}, fetched=CHANGED,
        people=tuple((VendorRecord(r.ref, "person", {"jobtitle": f"Director {turn}"}, at), r) for r in changed),
    )  # fmt: skip
    yield NormalizedPage(
        "hubspot", "form_submissions", {"at": turn}, fetched=CHANGED,
        engagement=tuple(Engagement("hubspot", "form_submissions", f"{r.ref.id}-f{turn}", "pricing_download", at,
                                    about=r.ref) for r in changed),
    )  # fmt: skip


async def _once(ledger: SqlLedger, definition: Definition, people: int, turn: int) -> float:
    clock = HandClock(NOW + timedelta(hours=turn))
    run = await ledger.start_run("bench", ["hubspot"], clock.now())
    pages = list(_pages(people, turn))
    began = time.perf_counter()
    lease = await ledger.acquire("pull:hubspot", "bench", clock.now())
    for page in pages:
        await ledger.keep(page, lease, run, clock.now())
    await ledger.release(lease)
    done = await decide(
        ledger, definition, clock, run=run, crms=["hubspot"], holder="bench", version=1, schemas={}
    )
    took = time.perf_counter() - began
    planned = done.tallies["hubspot"].planned
    if done.people < CHANGED or planned < CHANGED:
        raise SystemExit(f"{done.people} people decided and {planned} planned, of {CHANGED} that changed")
    return took


async def _best(folder: Path, people: int) -> float:
    url = f"sqlite:///{folder}/{people}.db"
    await open_ledger(url).close()
    with build_engine(parse_url(url)).begin() as db:
        fill(db, people)
    definition = load_definition(shipped(), plugins())
    definition = replace(definition, mappings={"hubspot": definition.mappings["hubspot"]})
    ledger = open_ledger(url)
    try:
        await ledger.adopt_files({"criteria.yaml": "version: 1"}, NOW)
        times = []
        for turn in range(1, ROUNDS + 1):
            _settle(url)
            times.append(await _once(ledger, definition, people, turn))
        return min(times)
    finally:
        await ledger.close()


def _settle(url: str) -> None:
    """Nothing is due and no plan is open before a turn begins, so that all turns have the same to do."""
    with build_engine(parse_url(url)).begin() as db:
        db.execute(DUE.delete())
        db.execute(PLAN_ROW.delete())
        db.execute(PLAN.update().values(status="applied"))


def run() -> list[Row]:
    """P9, on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (asyncio.run(_best(Path(folder), people)) for people in (PEOPLE, PEOPLE * TIMES))
    ratio = many / few
    return [
        Row(
            "P9",
            f"{CHANGED} changed of {PEOPLE * TIMES:,} ({many:.2f} s), beside {CHANGED} of {PEOPLE:,}",
            f"{ratio:.2f}x the time",
            "<= 1.3x",
            ratio <= 1.3,
        )
    ]
