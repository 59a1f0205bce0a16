"""Answers that no CRM should give, and what the run makes of them: a clear error, the promised exit code, nothing
lost. The real command line, real HTTP, both CRMs; each fault hits one of them and must not touch the other."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.app import cli
from connector.app.commands.init import shipped
from connector.app.wiring import plugins
from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Fault
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve

PAGES = {  # where each CRM hands out people
    "hubspot": {"method": "GET", "path": "/crm/objects/*/contacts*"},
    "salesforce": {"method": "GET", "path": "/services/data/*/query*FROM*Lead*"},
}
OTHER = {"hubspot": "salesforce", "salesforce": "hubspot"}
SECRETS = ("pat-eu1", "sandbox-consumer-secret")
FAULTS: dict[str, dict[str, Any]] = {
    "html": {"status": 200, "text": "<html><body>Down for a moment</body></html>"},
    "half a page": {"half": True},
    "an empty body": {"status": 200, "text": ""},
    "an empty page": {"empty": True},
    "another shape": {"status": 200, "json": {"hello": "world"}},
}

Connector = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(40, 11, clock.now())
    with serve([plugin.build_sandbox(population, clock) for plugin in plugins().values()]) as up:
        yield up


@pytest.fixture
def connector(
    running: RunningSandboxes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Connector]:
    """`connector WORDS --json` on a ledger of this test's own: exit code, the document on stdout, and stderr."""
    settings = {
        **running.environment(),
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> tuple[int, dict[str, Any], str]:
        monkeypatch.setattr(sys, "argv", ["connector", *words, "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        assert not any(secret in said.out + said.err for secret in SECRETS)
        return int(left.value.code or 0), json.loads(said.out), said.err

    yield call
    for crm in running.crms:
        running[crm].faults.clear()


@pytest.fixture(scope="module")
def everybody() -> dict[str, set[str]]:
    """What a ledger holds after syncs that met no fault, by CRM; the first test that asks fills it."""
    return {}


def held(ledger: Path) -> set[str]:
    """The records that a ledger holds."""
    with sqlite3.connect(ledger) as opened:
        return {ref for (ref,) in opened.execute("select ref from record")}


@pytest.mark.parametrize("crm", PAGES)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_broken_page_fails_that_crm_only_and_the_next_run_misses_nobody(
    connector: Connector,
    running: RunningSandboxes,
    everybody: dict[str, set[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    crm: str,
    fault: dict[str, Any],
) -> None:
    if not everybody:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("CONNECTOR_DATABASE_URL", f"sqlite:///{tmp_path / 'calm.db'}")
            connector("sync", "--plan-only")
        everybody["refs"] = held(tmp_path / "calm.db")
    running[crm].faults.add(Fault(times=None, **PAGES[crm], **fault))

    code, broken, _ = connector("sync", "--yes")

    assert code == 3
    assert broken["status"] == "partial"
    assert broken["crms"][crm]["error"]
    assert broken["crms"][OTHER[crm]]["error"] is None
    assert broken["crms"][OTHER[crm]]["read"] > 0

    running[crm].faults.clear()
    _, calm, _ = connector("sync", "--yes")

    assert calm["status"] == "succeeded"
    assert held(tmp_path / "ledger.db") == everybody["refs"]


@pytest.mark.parametrize(
    ("crm", "name", "value"),
    [
        ("hubspot", "HUBSPOT_ACCESS_TOKEN", "pat-na1-11111111-2222-3333-4444-555555555555"),
        ("salesforce", "SALESFORCE_CLIENT_SECRET", "a-secret-that-opens-nothing"),
        ("salesforce", "SALESFORCE_CLIENT_ID", "a-key-that-nobody-made"),
    ],
)
def test_wrong_credentials_are_exit_2_in_both_crms_and_are_never_repeated(
    connector: Connector,
    running: RunningSandboxes,
    monkeypatch: pytest.MonkeyPatch,
    crm: str,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    before = len(running[crm].log.writes())

    code, said, errors = connector("sync", "--yes")

    assert code == 2
    assert said["error"]["next_step"]
    assert value not in json.dumps(said) + errors or name == "SALESFORCE_CLIENT_ID"
    assert len(running[crm].log.writes()) == before


def test_an_unreachable_salesforce_fails_that_crm_only(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", "http://127.0.0.1:9")

    code, document, _ = connector("sync", "--yes")

    assert code == 3
    assert document["crms"]["salesforce"]["error"]
    assert document["crms"]["hubspot"]["error"] is None


SETTINGS = {
    "CONNECTOR_DATABASE_URL": "mysql://somewhere/ledger",
    "CONNECTOR_CONFIG_OWNER": "nobody",
    "CONNECTOR_BIND": "127.0.0.1:99999",
    "CONNECTOR_SYNC_INTERVAL": "soon",
    "CONNECTOR_SYNC_INTERVAL_HUBSPOT": "later",
    "CONNECTOR_TIMEZONE": "Mars/Olympus",
    "CONNECTOR_LOG_LEVEL": "loud",
    "CONNECTOR_LOG_FORMAT": "xml",
    "HUBSPOT_BASE_URL": "http://hubspot.example",
    "HUBSPOT_API_VERSION": "1999",
    "HUBSPOT_RATE_SHARE": "7",
    "HUBSPOT_DAILY_SHARE": "-1",
    "SALESFORCE_LOGIN_URL": "https://login.salesforce.com",
    "SALESFORCE_API_VERSION": "newest",
    "SALESFORCE_RATE_SHARE": "0",
    "SALESFORCE_DAILY_SHARE": "none",
}


@pytest.mark.parametrize(("name", "value"), SETTINGS.items(), ids=SETTINGS)
def test_a_bad_setting_is_exit_2_and_named_before_anything_is_asked(
    connector: Connector, running: RunningSandboxes, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    before = [len(running[crm].log.calls()) for crm in running.crms]

    code, said, _ = connector("sync")

    assert code == 2
    assert name in json.dumps(said)
    assert [len(running[crm].log.calls()) for crm in running.crms] == before


def test_a_database_in_a_missing_folder_is_exit_2(
    connector: Connector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"sqlite:///{tmp_path}/no/such/ledger.db")

    code, said, _ = connector("sync")

    assert code == 2
    assert "does not exist" in said["error"]["message"]
    assert said["error"]["next_step"]


def test_an_unreachable_postgresql_is_exit_2_and_its_password_stays_hidden(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", "postgresql+psycopg://ledger:opensesame@127.0.0.1:9/ledger")

    code, said, errors = connector("runs", "list")

    assert code == 2
    assert said["error"]["where"] == "CONNECTOR_DATABASE_URL"
    assert "opensesame" not in json.dumps(said) + errors


def test_a_file_that_is_no_database_is_exit_2(
    connector: Connector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("milk, bread\n" * 100)
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"sqlite:///{tmp_path / 'notes.txt'}")

    code, said, _ = connector("sync")

    assert code == 2
    assert "not a database" in said["error"]["message"]
    assert (tmp_path / "notes.txt").read_text().startswith("milk")


def test_a_ledger_of_a_newer_version_or_of_another_account_is_left_alone(
    connector: Connector, tmp_path: Path
) -> None:
    connector("sync", "--plan-only")
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute("update account set account = '999' where crm = 'hubspot'")

    code, foreign, _ = connector("sync")

    assert code == 2
    assert "999" in foreign["error"]["message"]

    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute("update alembic_version set version_num = '9999'")

    for words in (("sync",), ("runs", "list"), ("db", "upgrade")):
        code, newer, _ = connector(*words)
        assert code == 2
        assert "newer" in newer["error"]["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("snyc",),
        ("sync", "--frobnicate"),
        ("plan", "show"),
        ("plan", "show", "three"),
        ("sandbox", "--port", "70000"),
        ("explain",),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_exit_2_and_a_document_too(
    connector: Connector, words: tuple[str, ...]
) -> None:
    code, said, errors = connector(*words)

    assert code == 2
    assert said["error"]["message"]
    assert "Usage:" in errors


def test_a_port_that_is_taken_is_exit_2_with_its_number(
    connector: Connector, running: RunningSandboxes
) -> None:
    port = running.url("hubspot").rsplit(":", 1)[1]

    code, said, _ = connector("sandbox", "hubspot", "--people", "10", "--port", port)

    assert code == 2
    assert port in said["error"]["message"]
    assert "--port" in said["error"]["next_step"]


def test_init_where_nothing_may_be_written_is_exit_2(connector: Connector, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")

    code, said, _ = connector("init", str(tmp_path / "taken" / "mappings"))

    assert code == 2
    assert "cannot be written" in said["error"]["message"]


@pytest.mark.parametrize("file", ["hubspot.yaml", "salesforce.yaml", "criteria.yaml"])
@pytest.mark.parametrize("text", ["", "[]", "just words", "a: [b", "a: 1\na: 2\n", "\t- x"])
def test_a_file_that_is_no_definition_is_exit_2_and_named(
    connector: Connector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    connector("init", str(tmp_path / "mine"))
    (tmp_path / "mine" / file).write_text(text)

    code, said, _ = connector("mapping", "check", "--mappings", str(tmp_path / "mine"))

    assert code == 2
    assert all(problem["file"].endswith(file) and problem["what"] for problem in said["files"])
    assert said["files"]
