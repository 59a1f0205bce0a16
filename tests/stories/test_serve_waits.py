"""A sidecar that starts before its database waits for it, alive and not ready, and ends when it is told to."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from connector.app.commands.init import shipped
from tests.databases import drop, fresh_url
from tests.stories.serve_words import free_port, serving


def started(url: str, port: int) -> subprocess.Popen[str]:
    environment = {
        "CONNECTOR_DATABASE_URL": url, "CONNECTOR_MAPPINGS_DIR": str(shipped()), "HUBSPOT_ACCESS_TOKEN": "pat-nobody",
        "HUBSPOT_BASE_URL": f"http://127.0.0.1:{free_port()}",
    }  # fmt: skip
    return serving(environment, port)


def until(port: int, path: str, good: Callable[[httpx.Response], bool]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5)
            if good(answer):
                return answer.json()
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{path} never said so")


def ended(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in errors.splitlines()]


def test_a_database_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    url, port, gate = fresh_url("postgresql", tmp_path), free_port(), free_port()
    target = make_url(url)
    folder = target.query.get("host")
    away = target.set(host="127.0.0.1", port=gate, query={})
    process = started(away.render_as_string(hide_password=False), port)
    try:
        assert until(port, "/healthz", lambda it: it.status_code == 200) == {"status": "alive"}
        waits = until(port, "/readyz", lambda it: it.status_code == 503)
        assert waits == {"ready": False, "database": "away"}
        _open_the_gate(gate, str(folder), target.port or 5432)
        there = until(port, "/readyz", lambda it: it.json().get("database") == "ok")
        assert there["schema"] == "ok"
        with psycopg.connect(target.set(drivername="postgresql").render_as_string(hide_password=False)) as db:
            assert db.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        said = ended(process)
    finally:
        process.kill()
        drop(url)
    told = [line["event"] for line in said]
    assert told.count("the ledger is away") == 1
    assert told.count("the ledger is back") == 1


def test_a_stop_while_it_waits_ends_it_and_a_wrong_file_still_ends_the_start(tmp_path: Path) -> None:
    port = free_port()
    process = started(f"postgresql+psycopg://nobody:s3cret@127.0.0.1:{free_port()}/none", port)
    until(port, "/healthz", lambda it: it.status_code == 200)
    said = ended(process)
    assert "s3cret" not in json.dumps(said)

    process = started(f"sqlite:///{tmp_path / 'absent' / 'ledger.db'}", free_port())
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors


def _open_the_gate(port: int, folder: str, number: int) -> None:
    """From now on this port leads to the database server, which itself listens on a socket in a folder."""
    if not folder.startswith("/"):
        pytest.skip("the database server of the tests listens on no socket")
    listener = socket.create_server(("127.0.0.1", port))

    def pump(one: socket.socket, two: socket.socket) -> None:
        while data := one.recv(65_536):
            two.sendall(data)
        two.close()

    def serve() -> None:
        while True:
            here, _ = listener.accept()
            there = socket.socket(socket.AF_UNIX)
            there.connect(f"{folder}/.s.PGSQL.{number}")
            for pair in ((here, there), (there, here)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
