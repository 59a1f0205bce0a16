"""`connector serve` as a process, and commands beside it: they are done by it, also by its successor."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.app.commands.init import shipped
from connector.app.wiring import plugins
from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Fault
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.databases import DATABASES, drop, fresh_url
from tests.stories.test_backfill_cli import begun, is_served, leases_run_out, rows_of, until
from tests.stories.test_cli import answer, run


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(40, 5, clock.now())
    with serve([plugin.build_sandbox(population, clock) for plugin in plugins().values()]) as up:
        yield up
        for crm in up.crms:
            up[crm].faults.clear()


@pytest.fixture
def environment(
    request: pytest.FixtureRequest, running: RunningSandboxes, tmp_path: Path
) -> Iterator[dict[str, str]]:
    url = fresh_url(getattr(request, "param", "sqlite"), tmp_path)
    yield {
        **running.environment(),
        "CONNECTOR_DATABASE_URL": url,
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
        "CONNECTOR_BIND": "127.0.0.1:0",
        "TERM": "xterm",
    }
    drop(url)


@contextmanager
def sidecar(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A sidecar that has ended its first sync; stopped at the end, unless it was killed."""
    process = begun(environment, "serve", stdout=subprocess.DEVNULL)
    try:
        until(lambda: is_served(environment), "the sidecar never served HubSpot")
        until(
            lambda: rows_of(environment, "SELECT count(*) FROM run WHERE status NOT IN ('running')")[0][0],
            "its first sync never ended",
        )
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert "Traceback" not in log, log


@pytest.mark.parametrize("environment", DATABASES, indirect=True)
def test_a_sync_beside_a_sidecar_is_done_by_it_and_prints_the_same(environment: dict[str, str]) -> None:
    with sidecar(environment):
        done = run(environment, "sync", "--json", code=None)
        document = json.loads(done.stdout)
        spoken = run(environment, "sync", "hubspot", code=None)
        kept = answer(environment, "runs", "show", str(document["run"]))

    assert "The sidecar has been asked" in done.stderr
    assert {"run", "status", "crms", "people", "mql", "plans", "seconds"} <= set(document)
    assert kept["crms"] == document["crms"]
    assert set(document["crms"]) == {"hubspot", "salesforce"}
    assert done.returncode == (3 if kept["status"] != "succeeded" or document.get("waits") else 0)
    assert "hubspot" in spoken.stdout
    assert "salesforce" not in spoken.stdout.splitlines()[1]
    assert rows_of(environment, "SELECT DISTINCT status FROM request") == [("done",)]


def test_two_commands_at_once_are_done_one_after_the_other(environment: dict[str, str]) -> None:
    with sidecar(environment):
        both = [begun(environment, "sync", "--json") for _ in range(2)]
        said = [json.loads(each.communicate(timeout=90)[0]) for each in both]

    assert len({document["run"] for document in said}) == 2
    assert {document["status"] for document in said} == {"succeeded"}
    assert all(counts["written"] == 0 for document in said for counts in document["crms"].values())


def test_a_sidecar_killed_at_a_request_leaves_it_to_the_next_one(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    with sidecar(environment) as first:
        running["hubspot"].faults.add(Fault(method="*", path="*meetings*", delay=60.0))
        command = begun(environment, "sync", "hubspot", "--json")
        until(lambda: running["hubspot"].faults.state()[0]["hits"], "the request was never begun")
        until(lambda: rows_of(environment, "SELECT status FROM request") == [("running",)], "nor told so")
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=10)
    running["hubspot"].faults.clear()
    leases_run_out(environment)
    with sidecar(environment):
        said, errors = command.communicate(timeout=90)

    document = json.loads(said)
    assert document["status"] == "succeeded", document
    assert "Traceback" not in errors
    assert rows_of(environment, "SELECT status FROM request") == [("done",)]


def test_ctrl_c_ends_the_following_and_the_sidecar_goes_on(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    with sidecar(environment):
        running["hubspot"].faults.add(Fault(method="*", path="*meetings*", delay=4.0))
        command = begun(environment, "sync", "hubspot", "--json")
        until(lambda: running["hubspot"].faults.state()[0]["hits"], "the request was never begun")
        command.send_signal(signal.SIGINT)
        said, errors = command.communicate(timeout=30)
        until(lambda: rows_of(environment, "SELECT status FROM request") == [("done",)], "it did not go on")

    assert command.returncode == 3
    assert "stays with the sidecar" in errors
    assert "Traceback" not in errors
    assert json.loads(said)["exit"] == 3


def test_with_other_files_than_the_sidecars_nothing_is_done(
    environment: dict[str, str], tmp_path: Path
) -> None:
    run(environment, "init", str(tmp_path / "mine"))
    path = tmp_path / "mine" / "criteria.yaml"
    path.write_text(path.read_text().replace("min_change: 3", "min_change: 5"))
    with sidecar(environment):
        runs = rows_of(environment, "SELECT count(*) FROM run")
        refused = answer(environment, "sync", "--mappings", str(tmp_path / "mine"), code=2)

        assert "not those that the sidecar works by" in refused["error"]["message"]
        assert rows_of(environment, "SELECT count(*) FROM run") == runs
