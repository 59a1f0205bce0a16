"""`make bench`: print ratios, each against a peer or a limit measured in the same run on the same machine.

The sandbox runs in a process of its own, without rate limits: what is measured is our code, not the vendor's allowance.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

PEOPLE = int(os.environ.get("BENCH_PEOPLE", "10000"))
SCORED = int(os.environ.get("BENCH_SCORED", "50000"))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


async def fetch_and_forget(environment: dict[str, str]) -> int:
    """R: pages of 100 contacts with httpx, decoded and thrown away. The limit of this stack."""
    import httpx
    import orjson

    from connector.app.commands.init import shipped
    from connector.app.definition import load_mapping
    from connector.core.mapping import wanted_fields

    fields = ",".join(sorted(wanted_fields(load_mapping(shipped() / "hubspot.yaml"))["contact"]))
    seen, after = 0, None
    async with httpx.AsyncClient(
        base_url=environment["HUBSPOT_BASE_URL"],
        headers={"authorization": f"Bearer {environment['HUBSPOT_ACCESS_TOKEN']}"},
    ) as http:
        while True:
            params = {"limit": "100", "properties": fields, **({"after": after} if after else {})}
            page = orjson.loads((await http.get("/crm/objects/2026-03/contacts", params=params)).content)
            seen += len(page["results"])
            after = page.get("paging", {}).get("next", {}).get("after")
            if after is None:
                return seen


def peer_fetch(environment: dict[str, str]) -> int:
    """hubspot-api-client: fetch only, nothing kept."""
    import hubspot

    client = hubspot.Client.create(access_token=environment["HUBSPOT_ACCESS_TOKEN"])
    client.config["host"] = client.config["base_url"] = environment["HUBSPOT_BASE_URL"]
    seen, after = 0, None
    while True:
        page = client.crm.contacts.basic_api.get_page(
            limit=100, after=after, properties=["email", "firstname"]
        )
        seen += len(page.results)
        if page.paging is None:
            return seen
        after = page.paging.next.after


async def gather_into(database_url: str, environment: dict[str, str]) -> int:
    """Ours: pull, normalize and keep every contact."""
    from dataclasses import replace

    from connector.app.commands.init import shipped
    from connector.app.definition import load_mapping
    from connector.app.settings import variables_of
    from connector.app.wiring import SystemClock, plugins
    from connector.ledger import open_ledger
    from connector.phases.gather import gather

    plugin, clock = plugins()["hubspot"], SystemClock()
    mapping = load_mapping(shipped() / "hubspot.yaml")
    only = replace(
        mapping, objects={"contact": replace(mapping.objects["contact"], counters=())}, engagement={}
    )
    adapter = plugin.connect(variables_of(plugin.variables, environment), clock, None)
    ledger = open_ledger(database_url)
    run = await ledger.start_run("bench", ["hubspot"], clock.now())
    gathered = await gather(adapter, only, ledger, clock, run=run, holder="bench")
    await adapter.close()
    await ledger.close()
    if gathered.failed:
        sys.exit(f"gather failed: {gathered.failed}")
    return sum(counts.rows for counts in gathered.fetched.values())


def scoring() -> tuple[float, float]:
    """People per second: the Polars plan, and the plain evaluator, on the same made-up histories."""
    from connector.app.commands.init import shipped
    from connector.app.files import load_criteria
    from connector.core.model import Engagement
    from connector.core.score import score_person
    from connector.core.score.tables import score_many

    rng, now = Random(5), datetime(2026, 11, 22, tzinfo=UTC)
    criteria = load_criteria(shipped() / "criteria.yaml")
    types = ["page_view", "email_click", "content_download", "form_submission", "webinar_attendance"]
    people = [
        (
            {"seniority": rng.choice(["c_level", "director", "junior", None]), "email_kind": "business"},
            [
                Engagement(
                    "bench", "s", f"{p}-{e}", rng.choice(types), now - timedelta(hours=rng.random() * 2000)
                )
                for e in range(10)
            ],
        )
        for p in range(SCORED)
    ]
    plan, _ = timed(lambda: score_many(criteria, people, now))
    plain, _ = timed(lambda: [score_person(criteria, fields, events, now) for fields, events in people])
    return SCORED / plan, SCORED / plain


def main() -> None:
    """Measure, print a table, and the same as JSON with --json."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.server", str(PEOPLE)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    environment = json.loads(server.stdout.readline())
    rows: list[tuple[str, float, str]] = []
    try:
        seconds, seen = timed(lambda: asyncio.run(fetch_and_forget(environment)))
        limit = seen / seconds
        rows.append(("fetch and forget (R)", limit, "1.00 R"))
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / 'bench.db'}"
            seconds, kept = timed(lambda: asyncio.run(gather_into(url, environment)))
        rows.append(("pull + normalize + SQLite (P1)", kept / seconds, f"{kept / seconds / limit:.2f} R"))
        mine = kept / seconds
        seconds, seen = timed(lambda: peer_fetch(environment))
        rows.append(
            (
                "hubspot-api-client, fetch only (P2)",
                seen / seconds,
                f"ours keeps {mine / (seen / seconds):.1f}x as many",
            )
        )
    finally:
        server.terminate()
    plan, plain = scoring()
    rows.append(("scoring, plain Python", plain, "1.0x"))
    rows.append(("scoring, Polars plan (P8)", plan, f"{plan / plain:.1f}x"))
    if "--json" in sys.argv:
        print(json.dumps([{"what": what, "per_second": rate, "ratio": ratio} for what, rate, ratio in rows]))
        return
    for what, rate, ratio in rows:
        print(f"{what:<40} {rate:>12,.0f} /s   {ratio}")


if __name__ == "__main__":
    main()
