"""The console script as people and schedulers use it: exit codes, JSON, clear errors. Real processes, real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from connector.app.commands.init import shipped
from connector.app.wiring import plugins
from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Fault
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.stories.serve_words import free_port, serving


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(60, 5, clock.now())
    with serve([plugin.build_sandbox(population, clock) for plugin in plugins().values()]) as up:
        yield up


@pytest.fixture
def environment(running: RunningSandboxes, tmp_path: Path) -> Iterator[dict[str, str]]:
    yield {
        **running.environment(),
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
    }
    for crm in running.crms:
        running[crm].faults.clear()


def run(
    environment: Mapping[str, str], *words: str, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """`connector WORDS` in a clean environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "connector", *words],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if code is not None:
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def answer(environment: Mapping[str, str], *words: str, code: int | None = 0) -> dict[str, Any]:
    """The same with --json: exactly one document on stdout."""
    document: dict[str, Any] = json.loads(run(environment, *words, "--json", code=code).stdout)
    return document


def test_sync_json_prints_one_document_with_sums_that_add_up(environment: dict[str, str]) -> None:
    document = answer(environment, "sync", "--yes", code=None)

    assert set(document) >= {"run", "status", "crms", "people", "mql", "seconds"}
    assert set(document["mql"]) >= {"entered", "left", "now"}
    for counts in document["crms"].values():
        assert counts["read"] == sum(counts[n] for n in ("quarantined", "planned", "held_back", "unchanged"))
        assert counts["planned"] == sum(
            counts[n] for n in ("written", "rejected", "unknown", "set_aside", "waiting")
        )
        assert counts["written"] > 0
        assert counts["error"] is None
        for stream, s in counts["fetched"].items():
            assert s["rows"] == s["stored"] + s["duplicate"] + s["quarantined"] + s["ignored"], stream


def test_a_second_sync_exits_green_and_writes_nothing(environment: dict[str, str]) -> None:
    answer(environment, "sync", "--yes", code=None)

    second = answer(environment, "sync")

    assert second["status"] == "succeeded"
    assert all(counts["written"] == counts["planned"] == 0 for counts in second["crms"].values())


def test_a_rehearsed_plan_waits_is_shown_and_is_applied_exactly(environment: dict[str, str]) -> None:
    rehearsed = answer(environment, "sync", "--plan-only", code=3)
    plan = rehearsed["plans"]["hubspot"]

    shown = answer(environment, "plan", "show", str(plan), "--rows", "1000")
    applied = answer(environment, "plan", "apply", str(plan), code=None)

    assert rehearsed["crms"]["hubspot"]["written"] == 0
    waiting = [row for row in shown["rows"] if row["writes"]]
    assert len(waiting) == rehearsed["crms"]["hubspot"]["waiting"]
    assert applied["written"] + applied["rejected"] + applied["set_aside"] == len(waiting)
    assert {"written", "open"} & {
        row["status"] for row in answer(environment, "plan", "show", str(plan))["rows"]
    }


def test_explain_says_why_by_address_and_by_record_id(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    answer(environment, "sync", "--yes", code=None)
    plan = answer(environment, "plan", "list")["plans"][0]["plan"]
    record = answer(environment, "plan", "show", str(plan))["rows"][0]["record"]

    told = answer(environment, "explain", record)
    spoken = run(environment, "explain", record).stdout

    assert record in told["records"]
    assert {"stage", "mql_status", "because", "score", "band", "grade", "contributions", "story"} <= set(told)
    assert str(told["band"]) in spoken


def test_explaining_nobody_says_so(environment: dict[str, str]) -> None:
    answer(environment, "sync", "--yes", code=None)

    error = answer(environment, "explain", "nobody@nowhere.example", code=2)

    assert "Nobody" in error["error"]["message"]
    assert error["error"]["next_step"]


def test_runs_keep_what_sync_printed(environment: dict[str, str]) -> None:
    document = answer(environment, "sync", "--yes", code=None)

    listed = answer(environment, "runs", "list")["runs"]
    shown = answer(environment, "runs", "show", str(document["run"]))

    assert [run["run"] for run in listed] == [document["run"]]
    assert shown["crms"] == document["crms"]


def test_only_one_crm_can_be_asked(environment: dict[str, str]) -> None:
    document = answer(environment, "sync", "hubspot", "--yes", code=None)

    assert set(document["crms"]) == {"hubspot"}


def test_a_crm_without_credentials_is_skipped_and_said_so(environment: dict[str, str]) -> None:
    half = {name: value for name, value in environment.items() if not name.startswith("SALESFORCE")}

    done = run(half, "sync", "--yes", "--json", code=None)

    assert set(json.loads(done.stdout)["crms"]) == {"hubspot"}
    assert done.stderr.count("salesforce is not connected") == 1


# ------------------------------------------------------------------------------------------------ bad input


def test_no_credentials_at_all_is_exit_2(environment: dict[str, str]) -> None:
    bare = {name: value for name, value in environment.items() if name.startswith("CONNECTOR")}

    error = answer(bare, "sync", code=2)

    assert "No CRM is connected" in error["error"]["message"]


def test_wrong_credentials_are_exit_2_and_nothing_is_read(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    wrong = {**environment, "HUBSPOT_ACCESS_TOKEN": "pat-na1-11111111-2222-3333-4444-555555555555"}
    calls = len(running["hubspot"].log.calls())

    done = run(wrong, "sync", "--json", code=2)

    assert json.loads(done.stdout)["error"]["next_step"]
    assert "pat-na1-11111111" not in done.stdout + done.stderr
    assert not any("objects" in call.path for call in running["hubspot"].log.calls()[calls:])


def test_an_unreachable_host_fails_that_crm_only(environment: dict[str, str]) -> None:
    away = {**environment, "HUBSPOT_BASE_URL": "http://127.0.0.1:9"}

    document = answer(away, "sync", "--yes", code=3)

    assert document["status"] == "partial"
    assert document["crms"]["hubspot"]["error"]
    assert document["crms"]["salesforce"]["error"] is None
    assert document["crms"]["salesforce"]["read"] > 0


def test_a_plain_http_url_beyond_loopback_is_refused(environment: dict[str, str]) -> None:
    error = answer({**environment, "HUBSPOT_BASE_URL": "http://hubspot.example"}, "sync", code=2)

    assert "https" in str(error)


@pytest.mark.parametrize(
    ("file", "find", "replace", "said"),
    [
        ("criteria.yaml", "weights:", "weights: [", "criteria.yaml"),
        ("criteria.yaml", "weights:", "wieghts:", "weights"),
        ("criteria.yaml", "min_change:", "min_change: many #", "min_change"),
        ("hubspot.yaml", "objects:", "objectss:", "objects"),
        ("hubspot.yaml", "rule: always", "rule: allways", "always"),
        ("salesforce.yaml", "first_name:", "firstname:", "first_name"),
    ],
    ids=[
        "broken yaml",
        "unknown key",
        "wrong type",
        "unknown top key",
        "unknown write rule",
        "unknown field",
    ],
)
def test_a_wrong_file_is_exit_2_with_file_line_and_the_nearest_name(
    environment: dict[str, str], tmp_path: Path, file: str, find: str, replace: str, said: str
) -> None:
    folder = tmp_path / "mappings"
    run(environment, "init", str(folder))
    text = (folder / file).read_text()
    assert find in text
    (folder / file).write_text(text.replace(find, replace, 1))

    done = run({**environment, "CONNECTOR_MAPPINGS_DIR": str(folder)}, "sync", "--json", code=2)

    document = json.loads(done.stdout)
    assert said in done.stderr
    assert any(
        problem["file"].endswith(file) and problem["line"] for problem in document["error"]["problems"]
    )


def test_a_field_that_the_account_lacks_is_named_before_anything_runs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "mappings"
    run(environment, "init", str(folder))
    text = (folder / "hubspot.yaml").read_text()
    (folder / "hubspot.yaml").write_text(text.replace("to: mql_score", "to: mql_scoer", 1))

    found = answer(
        {**environment, "CONNECTOR_MAPPINGS_DIR": str(folder)}, "mapping", "check", "hubspot", code=2
    )

    assert any("mql_scoer" in line and "mql_score" in line for line in found["problems"]["hubspot"])


def test_the_shipped_files_hold_against_both_crms(environment: dict[str, str]) -> None:
    found = answer(environment, "mapping", "check")

    assert found["checked_live"] == ["hubspot", "salesforce"]


def test_init_never_overwrites(environment: dict[str, str], tmp_path: Path) -> None:
    run(environment, "init", str(tmp_path / "mine"))

    error = answer(environment, "init", str(tmp_path / "mine"), code=2)

    assert "already" in error["error"]["message"]


def test_html_instead_of_json_is_partial_with_a_clear_error(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    running["hubspot"].faults.add(
        Fault(
            method="GET",
            path="/crm/*/contacts*",
            times=None,
            status=200,
            text="<html><body>Down</body></html>",
        )
    )

    document = answer(environment, "sync", "--yes", code=3)

    assert document["status"] == "partial"
    assert "text/html" in document["crms"]["hubspot"]["error"]


def test_criteria_examples_are_run(environment: dict[str, str]) -> None:
    document = answer(environment, "criteria", "test")

    assert document["failed"] == 0
    assert document["passed"] >= 4
    assert document["untouched"] == []


def test_a_red_example_is_exit_1_and_rules_that_no_example_touches_are_named(
    environment: dict[str, str], tmp_path: Path
) -> None:
    run(environment, "init", str(tmp_path / "mine"))
    path = tmp_path / "mine" / "criteria.yaml"
    examples = (
        "  - {name: nobody, as_of: 2026-11-01T00:00:00Z, person: {}, expect: {stage: lead}}\n"
        "  - {name: impossible, as_of: 2026-11-01T00:00:00Z, person: {}, expect: {band: 5}}\n"
    )
    path.write_text(path.read_text().partition("\nexamples:")[0] + "\nexamples:\n" + examples)

    document = answer(environment, "criteria", "test", "--criteria", str(path), code=1)

    assert [(example["name"], example["ok"]) for example in document["examples"]] == [
        ("nobody", True),
        ("impossible", False),
    ]
    assert {"kind": "guard", "rule": "customer"} in document["untouched"]


def test_criteria_that_break_their_own_examples_are_not_put_in_force(
    environment: dict[str, str], running: RunningSandboxes, tmp_path: Path
) -> None:
    run(environment, "init", str(tmp_path / "mine"))
    path = tmp_path / "mine" / "criteria.yaml"
    path.write_text(
        path.read_text()
        + "  - {name: impossible, as_of: 2026-11-01T00:00:00Z, person: {}, expect: {band: 5}}\n"
    )

    error = answer({**environment, "CONNECTOR_MAPPINGS_DIR": str(path.parent)}, "sync", code=2)

    assert "impossible" in error["error"]["message"]
    assert not running["hubspot"].log.calls()


def test_an_unknown_command_or_crm_is_exit_2(environment: dict[str, str]) -> None:
    run(environment, "snyc", code=2)
    error = answer(environment, "sync", "hubpsot", code=2)

    assert "hubspot" in error["error"]["next_step"]


def test_the_database_is_upgraded_and_twice_is_harmless(environment: dict[str, str]) -> None:
    first = answer(environment, "db", "upgrade")
    second = answer(environment, "db", "upgrade")

    assert first["schema"]
    assert first == second


def test_a_secret_may_be_a_mounted_file(environment: dict[str, str], tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(environment.pop("HUBSPOT_ACCESS_TOKEN") + "\n")

    document = answer(
        {**environment, "HUBSPOT_ACCESS_TOKEN_FILE": str(secret)}, "sync", "hubspot", "--yes", code=None
    )

    assert document["crms"]["hubspot"]["written"] > 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "a container's stop"])
def test_a_stopped_sync_is_cancelled_says_so_and_the_next_one_goes_on(
    environment: dict[str, str], running: RunningSandboxes, sent: signal.Signals
) -> None:
    held_up = running["hubspot"].faults
    held_up.add(Fault(method="*", path="*meetings*", delay=20.0))
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "connector", "sync", "--yes", "--json"],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not held_up.state()[0]["hits"] and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(sent)
    said, errors = process.communicate(timeout=30)
    held_up.clear()

    assert process.returncode == 3
    assert json.loads(said)["status"] == "cancelled"
    assert "Traceback" not in errors
    assert [run["status"] for run in answer(environment, "runs", "list")["runs"]] == ["cancelled"]
    assert answer(environment, "sync", "--yes", code=None)["status"] == "succeeded"


def test_the_sidecar_answers_health_and_metrics_and_stops_clean(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    port = free_port()
    process = serving(environment, port)
    ready = None
    deadline = time.monotonic() + 60
    while (ready is None or ready.status_code != 200) and time.monotonic() < deadline:
        time.sleep(0.1)
        with suppress(httpx.TransportError):
            ready = httpx.get(f"http://127.0.0.1:{port}/readyz")
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    taken = answer({**environment, "CONNECTOR_BIND": f"127.0.0.1:{port}"}, "runs", "list")["runs"]
    refused = run({**environment, "CONNECTOR_BIND": f"127.0.0.1:{port}"}, "serve", code=2)

    process.terminate()
    _, errors = process.communicate(timeout=30)

    assert ready is not None
    assert ready.json()["crms"] == {"hubspot": "ok", "salesforce": "ok"}
    assert 'connector_runs_total{status="succeeded"} 1.0' in metrics
    assert {run["status"] for run in taken} == {"succeeded"}
    assert [run["kind"] for run in taken].count(
        "sync"
    ) == 1  # beside it, what the first night would have done
    assert "CONNECTOR_BIND" in refused.stderr
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert "@" not in errors, "logs hold no addresses"
