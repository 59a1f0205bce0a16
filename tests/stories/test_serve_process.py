"""A real sidecar process is told to stop, hangs, or is killed: it ends in time, and what it had in hand is not lost."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.settings import variables_of
from connector.app.sidecar import Sidecar
from connector.app.wiring import SystemClock, Wired, plugins
from connector.ledger import open_ledger
from connector.ledger.tables import WATERMARK
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.stories.serve_words import free_port, serving
from tests.stories.sidecar_words import BOTH


class LaterClock(SystemClock):
    """The machine's clock, moved on by hand for this process alone: nobody waits for a lease to run out."""

    ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(20, 5, clock.now())
    with serve([plugin.build_sandbox(population, clock) for plugin in plugins().values()]) as up:
        yield up


@contextmanager
def started(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`connector serve` on a free port, killed in the end."""
    process = serving(environment, free_port())
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def held_up(running: RunningSandboxes, path: str, delay: float) -> None:
    """Until the process has asked for this, which takes so long to be answered."""
    faults = running["hubspot"].faults
    faults.add(path=path, delay=delay)
    deadline = time.monotonic() + 60
    while not faults.state()[-1]["hits"]:
        assert time.monotonic() < deadline, "nobody asked"
        time.sleep(0.02)


def ended(process: subprocess.Popen[str], sent: signal.Signals) -> tuple[float, int, list[dict[str, Any]]]:
    """How long it took after this signal, the exit code, and what it had logged."""
    began = time.monotonic()
    process.send_signal(sent)
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors, errors
    return time.monotonic() - began, process.returncode, [json.loads(line) for line in errors.splitlines()]


def watermarks(url: str) -> set[str]:
    engine = create_engine(url)
    with engine.connect() as db:
        found = {row.stream for row in db.execute(select(WATERMARK).where(WATERMARK.c.crm == "hubspot"))}
    engine.dispose()
    return found


async def test_a_stop_finishes_the_page_in_hand_cuts_off_what_hangs_and_a_killed_leader_is_replaced(
    running: RunningSandboxes, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    environment = {
        **running.environment(), "CONNECTOR_DATABASE_URL": url, "CONNECTOR_MAPPINGS_DIR": str(shipped()),
    }  # fmt: skip

    with started(environment) as process:
        held_up(running, "*/calls*", 1.0)
        before = watermarks(url)
        soon, soon_code, soon_said = ended(process, signal.SIGTERM)
        after = watermarks(url)

    with started(environment) as process:
        held_up(running, "*/meetings*", 60.0)
        late, late_code, late_said = ended(process, signal.SIGTERM)

    running["hubspot"].faults.clear()
    with started(environment) as process:
        held_up(running, "*/meetings*", 60.0)
        ended(process, signal.SIGKILL)
    running["hubspot"].faults.clear()

    clock, ledger = LaterClock(), open_ledger(url)
    variables = running.environment()
    adapters = {
        crm: each.connect(variables_of(each.variables, variables), clock, None)
        for crm, each in plugins().items()
    }
    try:
        definition = load_definition(shipped(), plugins())
        side = Sidecar(Wired(adapters, definition, ledger, clock, "the other"))
        alive = [await side.served.look() or side.served.crms for _ in range(2)]
        clock.ahead = timedelta(seconds=58)
        replaced = [await side.served.look() or side.served.crms for _ in range(2)]
        await side.sync(BOTH)
        runs = await ledger.runs()
    finally:
        for adapter in adapters.values():
            await adapter.close()
        await ledger.close()

    assert (soon_code, late_code) == (0, 0)
    assert soon < 7, "it did not wait for more than the page"
    assert 7.5 < late < 10
    assert [name for name in sorted(after - before) if "call" in name], "the page was kept"
    cut = [[each["event"] for each in said].count("cut off") for said in (soon_said, late_said)]
    assert cut == [0, 1]
    assert alive == [frozenset(), frozenset()]
    assert replaced[-1] == BOTH
    assert [run.status for run in reversed(runs)] == ["cancelled", "cancelled", "failed", "succeeded"]
