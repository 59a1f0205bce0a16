"""`connector backfill` as people use it: real processes that are killed, followed, stopped from another shell."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from connector.app.commands.init import shipped
from connector.app.progress import Pace
from connector.app.wiring import plugins
from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Fault
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.databases import DATABASES, drop, fresh_url
from tests.stories.test_cli import answer, run

PEOPLE = 330  # four pages of contacts


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(PEOPLE, 5, clock.now())
    with serve([plugin.build_sandbox(population, clock) for plugin in plugins().values()]) as up:
        yield up


@pytest.fixture
def environment(
    request: pytest.FixtureRequest, running: RunningSandboxes, tmp_path: Path
) -> Iterator[dict[str, str]]:
    url = fresh_url(getattr(request, "param", "sqlite"), tmp_path)
    yield {
        **running.environment(),
        "CONNECTOR_DATABASE_URL": url,
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
        "TERM": "xterm",
    }
    drop(url)


def begun(environment: Mapping[str, str], *words: str, **more: Any) -> subprocess.Popen[str]:
    """`connector WORDS` as a process of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
    return subprocess.Popen(
        [sys.executable, "-m", "connector", *words], env={**kept, **environment}, text=True, **more
    )


def until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def held_at_the_third_page(running: RunningSandboxes) -> Callable[[], bool]:
    """The third page of contacts does not come; tells whether it was asked for."""
    running["hubspot"].faults.add(
        Fault(method="GET", path="/crm/objects/*/contacts?*", delay=60.0, skip=2, times=None)
    )
    return lambda: bool(running["hubspot"].faults.state()[0]["hits"])


def rows_of(environment: Mapping[str, str], question: str) -> list[tuple[Any, ...]]:
    engine = create_engine(environment["CONNECTOR_DATABASE_URL"])
    with engine.begin() as connection:
        found = [tuple(row) for row in connection.execute(text(question))]
    engine.dispose()
    return found


def is_served(environment: Mapping[str, str]) -> bool:
    """Whether a sidecar has made the ledger and holds its lease."""
    with suppress(DBAPIError):
        return bool(rows_of(environment, "SELECT 1 FROM lease WHERE name = 'serve:hubspot'"))
    return False


def leases_run_out(environment: Mapping[str, str]) -> None:
    """45 seconds pass, for the leases of whoever died."""
    engine = create_engine(environment["CONNECTOR_DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM lease"))
    engine.dispose()


def test_without_yes_and_without_a_terminal_it_is_estimated_and_not_begun(
    environment: dict[str, str],
) -> None:
    done = run(environment, "backfill", "hubspot", "--json", code=3)

    document = json.loads(done.stdout)
    assert (document["run"], document["status"]) == (None, "cancelled")
    assert document["estimate"]["streams"]["contacts"]["records"] == PEOPLE
    assert document["estimate"]["calls"] > 0
    assert 0 < document["estimate"]["share"] < 0.01
    assert "not counted" in done.stderr
    assert "Run it with --yes" in document["next_step"]
    assert answer(environment, "runs", "list")["runs"] == []


def test_a_backfill_prints_the_document_of_a_sync_with_the_estimate_beside(
    environment: dict[str, str],
) -> None:
    done = run(environment, "backfill", "hubspot", "--object", "contacts", "--yes", "--json", code=0)

    document = json.loads(done.stdout)
    counts = document["crms"]["hubspot"]
    assert {"run", "status", "crms", "people", "mql", "seconds"} <= set(document)
    assert (
        counts["read"]
        == counts["quarantined"] + counts["planned"] + counts["held_back"] + counts["unchanged"]
    )
    assert counts["planned"] == counts["written"] > 0
    assert document["backfill"]["rows"] == document["backfill"]["expected"] == PEOPLE
    assert document["estimate"]["records"] == PEOPLE
    lines = [line for line in done.stderr.splitlines() if line.startswith("hubspot: ")]
    assert re.match(r"hubspot: \d+ rows \(\d+%\)", lines[0]), "a plain line, no bar, off a terminal"
    assert "\x1b" not in done.stderr


def test_a_dry_run_says_what_would_be_written_and_keeps_nothing(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    answer(environment, "sync", "salesforce", "--yes", code=None)
    tables = (
        "record",
        "engagement",
        "person",
        "due",
        "plan",
        "plan_row",
        "watermark",
        "backfill",
        "stage_history",
    )
    before = {name: rows_of(environment, f"SELECT count(*) FROM {name}") for name in tables}

    document = answer(environment, "backfill", "hubspot", "--dry-run")

    assert document["dry_run"]["fields"]["contact.mql_score"] > 0
    assert len(document["dry_run"]["examples"]) == 5
    assert document["crms"]["hubspot"]["waiting"] == document["crms"]["hubspot"]["planned"] > 0
    assert {name: rows_of(environment, f"SELECT count(*) FROM {name}") for name in tables} == before
    assert not running["hubspot"].log.writes(by="api")
    shown = answer(environment, "runs", "show", str(document["run"]))
    assert (shown["kind"], shown["crms"]) == ("backfill --dry-run", document["crms"])


@pytest.mark.parametrize("environment", DATABASES, indirect=True)
def test_killed_without_warning_the_same_command_goes_on_after_the_last_page(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    words = ("backfill", "hubspot", "--yes", "--json")
    hit = held_at_the_third_page(running)
    process = begun(environment, *words)
    until(hit, "the third page was never asked for")
    until(
        lambda: (
            rows_of(environment, "SELECT sum(rows) FROM backfill_stream WHERE stream = 'contacts'")
            == [(200,)]
        ),
        "",
    )

    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    leases_run_out(environment)
    running["hubspot"].faults.clear()
    done = run(environment, *words, code=None)

    document = json.loads(done.stdout)
    assert "going on" in done.stderr
    assert document["status"] == "succeeded", document
    assert document["crms"]["hubspot"]["fetched"]["contacts"]["rows"] == PEOPLE - 200, (
        "no page was read again"
    )
    assert document["backfill"]["streams"]["contacts"] == {"rows": PEOPLE, "expected": PEOPLE, "done": True}
    assert document["people"] == PEOPLE
    (died,) = [run for run in answer(environment, "runs", "list")["runs"] if run["status"] == "failed"]
    assert answer(environment, "runs", "show", str(died["run"]))["error"] == "the process died"


def test_cancelled_from_another_shell_it_ends_at_its_next_page(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    running["hubspot"].faults.add(
        Fault(method="GET", path="/crm/objects/*/contacts?*", delay=12.0, skip=1, times=1)
    )
    process = begun(environment, "backfill", "hubspot", "--yes", "--json")
    until(lambda: running["hubspot"].faults.state()[0]["hits"], "the second page was never asked for")
    [(number,)] = rows_of(environment, "SELECT run FROM backfill")

    wish = answer(environment, "runs", "cancel", str(number))
    said, errors = process.communicate(timeout=60)

    document = json.loads(said)
    assert (wish["status"], wish["wish"]) == ("running", "cancel")
    assert process.returncode == 3
    assert document["status"] == document["backfill"]["status"] == "cancelled"
    assert document["backfill"]["rows"] < PEOPLE + 100
    assert "Traceback" not in errors
    refused = answer(environment, "runs", "resume", str(number), code=2)
    assert "cancelled" in refused["error"]["message"]


def test_ctrl_c_puts_it_down_and_runs_resume_takes_it_up(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    hit = held_at_the_third_page(running)
    process = begun(environment, "backfill", "hubspot", "--object", "contacts", "--yes", "--json")
    until(hit, "the third page was never asked for")

    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    running["hubspot"].faults.clear()
    document = json.loads(said)
    resumed = answer(environment, "runs", "resume", str(document["run"]))

    assert process.returncode == 3
    assert (document["status"], document["backfill"]["status"]) == ("cancelled", "waiting")
    assert "Traceback" not in errors
    assert resumed["status"] == "succeeded"
    assert resumed["backfill"]["rows"] == PEOPLE


def test_with_a_sidecar_alive_the_command_leaves_the_work_to_it_and_follows(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
    sidecar = begun({**environment, "CONNECTOR_BIND": bind}, "serve", stdout=subprocess.DEVNULL)
    try:
        until(lambda: is_served(environment), "the sidecar never served HubSpot")
        done = run(environment, "backfill", "hubspot", "--object", "contacts", "--yes", "--json", code=None)
    finally:
        sidecar.terminate()
        _, log = sidecar.communicate(timeout=60)

    document = json.loads(done.stdout)
    assert document["status"] == "succeeded", document
    assert document["backfill"]["rows"] == PEOPLE
    assert '"event": "backfill ended"' in log
    assert "Traceback" not in log
    assert sidecar.returncode == 0


def test_at_a_terminal_it_asks_and_shows_a_bar_with_rate_and_time_left(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    running["hubspot"].faults.add(
        Fault(method="GET", path="/crm/objects/*/contacts?*", delay=1.0, skip=2, times=1)
    )
    ours, theirs = pty.openpty()
    process = begun(
        {**environment, "COLUMNS": "140"}, "backfill", "hubspot", "--object", "contacts",
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said, answered = "", 0
    with suppress(OSError):  # the terminal is gone with the last of its programs
        while chunk := os.read(ours, 4096).decode(errors="replace"):
            said += chunk
            if said.count("[y/N] ") > answered:
                answered += 1
                os.write(ours, b"y\n")
    os.close(ours)

    assert process.wait(timeout=30) == 0, said
    assert answered == 2, "whether to begin, and whether the first plan for this CRM may leave"
    assert "it is the first plan for this CRM. Apply it? [y/N]" in said
    assert "How hubspot and the definition agree" not in said.split("Apply it?")[1], (
        "told before the question"
    )
    assert "records are in scope" in said.split("Apply it?")[0]
    assert "Estimate for the backfill of hubspot" in said
    assert re.search(r"\d+ rows \(\d+%\), \d+ a second, about \d+ s left", said)
    assert "The backfill: succeeded, 330 rows kept of 330 expected." in said


@pytest.mark.parametrize(
    ("rows", "share", "seconds", "said"),
    [
        (100, 0.0, 10.0, "100 rows (0%)"),
        (1_100, 0.25, 10.0, "1,100 rows (25%), 100 a second, about 30 s left"),
        (1_100, 0.01, 100.0, "1,100 rows (1%), 10 a second, about 2.8 h left"),
        (1_100, 1.0, 10.0, "1,100 rows (100%), 100 a second"),
    ],
)
def test_the_pace_is_told_with_rate_and_time_left(rows: int, share: float, seconds: float, said: str) -> None:
    assert Pace(100, 0.0, 5.0).line(rows, share, 5.0 + seconds) == said


def test_a_first_backfill_says_that_it_is_no_first_sync_and_an_ended_one_is_not_resumed(
    environment: dict[str, str],
) -> None:
    words = ("backfill", "hubspot", "--object", "contacts")
    done = run(environment, *words, "--yes", "--json", code=0)
    number = str(json.loads(done.stdout)["run"])

    refused = {wish: answer(environment, "runs", wish, number, code=2) for wish in ("resume", "pause")}
    answer(environment, "sync", "hubspot", "--yes", code=None)
    again = run(environment, *words, code=3)

    assert "was never synced into this ledger" in done.stderr
    assert "was never synced" not in again.stderr
    assert all("is succeeded already" in each["error"]["message"] for each in refused.values())


def test_an_estimate_of_streams_that_nobody_counts_is_no_zero(environment: dict[str, str]) -> None:
    done = run(environment, "backfill", "hubspot", "--object", "email_events", code=3)

    [in_all] = [line for line in done.stderr.splitlines() if "in all" in line]
    assert "not counted" in in_all
