"""Segment's own library delivers ten thousand events to a sidecar that is stopped and killed meanwhile: each once."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
from segment.analytics.client import Client
from sqlalchemy import Engine, create_engine, func, select

from connector.app.commands.init import shipped
from connector.app.wiring import plugins
from connector.ledger import upgrade
from connector.ledger.tables import ENGAGEMENT
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from tests.stories.serve_words import free_port, serving

EVENTS = 10_000
KEY = "a-write-key-of-the-tests"


def stored(engine: Engine) -> int:
    with engine.connect() as db:
        return int(db.execute(select(func.count()).where(ENGAGEMENT.c.crm == "app")).scalar() or 0)


def until(engine: Engine, least: int) -> None:
    """So many events are on the disk."""
    deadline = time.monotonic() + 60
    while stored(engine) < least:
        assert time.monotonic() < deadline, "the library does not deliver"
        time.sleep(0.01)


def test_ten_thousand_events_arrive_once_each_though_the_sidecar_is_stopped_and_killed(
    tmp_path: Path,
) -> None:
    clock = SandboxClock()
    population = make_population(4, 5, clock.now())
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    upgrade(url)
    engine = create_engine(url)
    port = free_port()
    failed: list[Any] = []
    with serve([plugins()["hubspot"].build_sandbox(population, clock)]) as running:
        environment = {
            **running.environment(), "CONNECTOR_DATABASE_URL": url,
            "CONNECTOR_MAPPINGS_DIR": str(shipped()), "CONNECTOR_INGEST_TOKEN": KEY,
        }  # fmt: skip
        sidecar = serving(environment, port, subprocess.DEVNULL)
        client = Client(
            KEY, host=f"http://127.0.0.1:{port}", gzip=True, max_queue_size=2 * EVENTS, max_retries=30,
            upload_interval=0.05, on_error=lambda error, batch: failed.append((error, len(batch))), thread=2,
        )  # fmt: skip
        try:
            for number in range(EVENTS):
                client.track(
                    event="Docs Viewed", anonymous_id=f"a{number % 50}", message_id=f"m{number}",
                    properties={"page": number},
                )  # fmt: skip
            until(engine, 2_000)
            sidecar.send_signal(signal.SIGTERM)
            stopped = sidecar.wait(15)
            sidecar = serving(environment, port, subprocess.DEVNULL)
            until(engine, max(5_000, stored(engine) + 500))
            sidecar.kill()
            killed = sidecar.wait(15)
            left = EVENTS - stored(engine)
            sidecar = serving(environment, port, subprocess.DEVNULL)
            for number in range(50):
                client.identify(anonymous_id=f"a{number}", traits={"email": f"p{number}@example.com"})
            client.flush()
            told = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        finally:
            client.join()
            sidecar.kill()
            sidecar.wait(15)
    with engine.connect() as db:
        rows = db.execute(select(ENGAGEMENT.c.key, ENGAGEMENT.c.email).where(ENGAGEMENT.c.crm == "app")).all()
    engine.dispose()

    assert failed == []
    assert (stopped, killed) == (0, -signal.SIGKILL)
    assert left > 0, "it was killed before all had come"
    assert len(rows) == EVENTS
    assert {row.key: row.email for row in rows} == {
        f"m{number}": f"p{number % 50}@example.com" for number in range(EVENTS)
    }
    assert 'connector_tracked_total{outcome="set_aside"} 0' in told or 'outcome="set_aside"' not in told
