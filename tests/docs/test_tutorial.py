"""The tutorial runs: its connector commands, in its order, against a real sandbox process."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs/tutorial/first-sync.md"
CONNECTOR = [sys.executable, "-m", "connector"]
WAITS = 3  # the exit code of a run whose plan waits for a human


def shell_lines() -> list[str]:
    """Every line of the tutorial's shell blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def free_ports() -> int:
    """A port that is free together with the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.fixture
def exported(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The tutorial's sandbox command, running; the environment that its lines make in a second shell."""
    command = next(line for line in shell_lines() if " sandbox " in line)
    words = shlex.split(command)[1:]
    words[words.index("--port") + 1] = str(free_ports())
    words[words.index("--people") + 1] = "40"
    process = subprocess.Popen([*CONNECTOR, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        pairs = [line.removeprefix("export ").rstrip("\n").split("=", 1) for line in lines]
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        yield {**kept, **dict(pairs)}
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_the_tutorial_works_from_its_first_command_to_its_last(
    exported: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mappings").symlink_to(ROOT / "mappings")  # the tutorial begins in a checkout
    ran: list[str] = []
    person = ""

    for line in shell_lines():
        said = re.sub(r"\b(?<=[:/])ID\b", person, line)
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=", 1)
            exported[name] = value
        elif line.startswith("curl "):
            words = shlex.split(said)
            url = words[3].replace("$HUBSPOT_BASE_URL", exported["HUBSPOT_BASE_URL"])
            assert httpx.patch(url, json=json.loads(words[-1])).status_code == 200, said
        elif line.startswith(".venv/bin/connector ") and " sandbox " not in line:
            words = shlex.split(said)[1:]
            done = subprocess.run(
                [*CONNECTOR, *words], cwd=tmp_path, env=exported, capture_output=True, text=True, timeout=120
            )
            waits = words == ["sync"] and "sync" not in ran  # the first plan of a CRM waits for a human
            assert done.returncode == (WAITS if waits else 0), f"{said}\n{done.stdout}{done.stderr}"
            assert done.stdout
            found = re.search(r"contact (\d+)", done.stdout)
            person = person or (found[1] if found else "")
            ran.append(words[0])

    assert ran.count("sync") >= 3
    assert {"check", "plan", "explain", "init", "criteria"} <= set(ran)
