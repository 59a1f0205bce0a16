"""P8: scoring out of the ledger with the points of every rule kept, beside plain Python closures over the same rows.

Thirty rules, twenty events a person. Each side reads the ledger by itself, in a process of its own, so that its peak of
memory is its own. `BENCH_SCORING_PEOPLE` goes up to a million.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from bench.measure import Row, size
from connector.core.criteria import Criteria
from connector.core.criteria_file import parse_criteria
from connector.core.model import Engagement
from connector.core.score import score_person
from connector.ledger import codec, open_ledger
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.frames import scores
from connector.ledger.tables import ENGAGEMENT, PERSON, RECORD

PEOPLE = size("SCORING_PEOPLE", 20_000)
EVENTS = 20
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
TYPES = ("page_view", "email_click", "email_open", "form_submission", "webinar_attendance", "docs_viewed")
FIT = [("seniority", each) for each in ("c_level", "vp", "director", "manager", "staff")] + [
    ("country", each) for each in ("DE", "FR", "US", "GB", "NL")
]
MOST = 1.5 * 2**30


def thirty_rules() -> Criteria:
    """Ten of fit, twenty of engagement, with windows, decay, a number to reach, newest ones and groups."""
    more: tuple[dict[str, Any], ...] = (
        {},
        {"within": "30d"},
        {"within": "60d", "decay": {"half_life": "14d"}},
        {"within": "90d", "at_least": 2},
        {"newest": 3, "where": {"field": "url", "contains": "pricing"}},
    )
    return parse_criteria({
        "version": 1,
        "name": "Thirty rules",
        "fit": [{"id": f"f{n}", "name": f"F{n}", "when": {"field": field, "is": value}, "points": 5 + n}
                for n, (field, value) in enumerate(FIT)],
        "engagement": [{"id": f"e{n}", "name": f"E{n}", "event": TYPES[n % len(TYPES)], "points": 1 + n % 4,
                        **more[n % len(more)]} for n in range(20)],
        "stages": {"mql": {"enter": {"any": [{"score": {"gte": 60}}]}, "leave": {"any": [{"score": {"lt": 40}}]}}},
    })  # fmt: skip


def _fill(db: Connection) -> None:
    """People as a first load leaves them, each with one record."""
    dice = random.Random(5)
    now = AS_OF
    for start in range(0, PEOPLE, 5_000):
        numbers = range(start + 1, min(start + 5_000, PEOPLE) + 1)
        db.execute(PERSON.insert(), [
            {"id": n, "fields": codec.dumps({"seniority": dice.choice(FIT[:5])[1], "country": dice.choice(FIT[5:])[1]}),
             "fit": 0.0, "engagement": 0.0, "score": 0.0, "band": 1, "grade": "D4", "contributions": "[]",
             "stage": "lead", "status": "none", "state": "{}", "decays": True, "decided_at": now,
             "criteria_version": 1, "run": 1} for n in numbers])  # fmt: skip
        db.execute(RECORD.insert(), [
            {"ref": f"hubspot:contact:{n}", "kind": "person", "vendor_id": str(n), "body": "{}", "vendor": "{}",
             "state": "live", "first_load": True, "changed_at": now, "observed_at": now, "known_at": now,
             "person_id": n}
            for n in numbers])  # fmt: skip
        db.execute(ENGAGEMENT.insert(), [
            {"crm": "hubspot", "stream": "events", "key": f"{n}-{k}", "about": f"hubspot:contact:{n}",
             "type": dice.choice(TYPES), "occurred_at": AS_OF - timedelta(seconds=dice.randrange(120 * 86_400)),
             "url": dice.choice(["https://acme.example/pricing", "https://acme.example/blog", None]),
             "attributes": "{}", "counted": True, "deleted": False, "known_at": now, "observed_at": now}
            for n in numbers for k in range(EVENTS)])  # fmt: skip


def _by_plan(db: Connection, criteria: Criteria) -> int:
    done = 0
    for scored in scores(db, criteria, [], AS_OF):
        done += scored.height
    return done


def _by_closures(db: Connection, criteria: Criteria) -> int:
    done = 0
    for fields, engagement in _rows(db):
        score_person(criteria, fields, engagement, AS_OF)
        done += 1
    return done


def _rows(db: Connection) -> Iterator[tuple[dict[str, Any], list[Engagement]]]:
    """Person by person, in two statements that keep step: what a program without tables would do."""
    people = db.execute(text("SELECT id, fields FROM person ORDER BY id"))
    events = iter(db.execute(text(
        "SELECT r.person_id, e.key, e.type, e.occurred_at, e.name, e.url, e.campaign, e.channel, e.status, e.value"
        " FROM record r JOIN engagement e ON e.about = r.ref WHERE e.counted AND NOT e.deleted ORDER BY r.person_id"
    )))  # fmt: skip
    row = next(events, None)
    for id_, body in people:
        own: list[Engagement] = []
        while row is not None and row[0] == id_:
            moment = datetime.fromtimestamp(row[3] / 1_000_000, UTC)
            own.append(Engagement("hubspot", "events", row[1], row[2], moment, name=row[4], url=row[5],
                                  campaign=row[6], channel=row[7], status=row[8], value=row[9]))  # fmt: skip
            row = next(events, None)
        yield codec.values_from(codec.loads(body)), own


def _alone(url: str, how: str) -> dict[str, float]:
    child = subprocess.run(
        [sys.executable, "-m", "bench.scoring", url, how], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(child.stdout)
    return found


def _child(url: str, how: str) -> None:
    criteria, engine = thirty_rules(), build_engine(parse_url(url), begin="BEGIN")
    with engine.begin() as db:
        began = time.perf_counter()
        done = (_by_plan if how == "plan" else _by_closures)(db, criteria)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"people": done, "seconds": seconds, "peak": peak}))


def run() -> list[Row]:
    """P8, on SQLite."""
    import asyncio

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/scoring.db"
        asyncio.run(open_ledger(url).close())
        with build_engine(parse_url(url)).begin() as db:
            _fill(db)
        plan, closures = (
            min((_alone(url, how) for _ in range(2)), key=lambda found: found["seconds"])
            for how in ("plan", "closures")
        )
    if plan["people"] != PEOPLE or closures["people"] != PEOPLE:
        sys.exit(f"scored {plan} and {closures} of {PEOPLE}")
    ratio = closures["seconds"] / plan["seconds"]
    return [
        Row(
            "P8",
            f"{PEOPLE:,} people x {EVENTS} events, 30 rules ({PEOPLE / plan['seconds']:,.0f} people/s)",
            f"{ratio:.1f}x closures",
            ">= 4x",
            ratio >= 4,
        ),
        Row("P8", "its peak of memory", f"{plan['peak'] / 2**20:,.0f} MB", "<= 1.5 GB", plan["peak"] <= MOST),
    ]


if __name__ == "__main__":
    _child(*sys.argv[1:])
