"""Secrets and people's names are planted, and found nowhere that somebody else may look."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, select
from sqlalchemy.exc import SQLAlchemyError
from typer.testing import CliRunner

from connector.app import tracing
from connector.app.api import build_app
from connector.app.cli import app
from connector.app.commands.init import shipped
from connector.app.settings import Settings
from connector.app.sidecar import Sidecar
from connector.app.telling import read_targets, tell
from connector.app.wiring import plugins, wired
from connector.ledger.tables import METADATA
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.databases import drop, fresh_url
from tests.stories.otlp import Collector, collector
from tests.stories.serve_words import free_port, serving
from tests.stories.sidecar_words import BOTH
from tests.stories.test_told_people import Board, board
from tests.stories.test_traces_and_logs import lines, one_of
from tests.stories.world import world
from tests.unit.test_secrets_are_hidden import SECRETS, VARIABLES

__all__ = ["board", "lines"]  # fixtures

# What the sandboxes hand out while it runs: access tokens, sessions, rotated refresh tokens.
HANDED_OUT = re.compile(r"sandbox-(?:access|refresh)-[0-9a-f]{8,}|\b00D\w{9,15}!AQ[0-9a-f]{8,}")


def planted(running: RunningSandboxes, board: Board, found: Collector, folder: Path) -> dict[str, str]:
    """The environment of a sidecar with a canary in every place for a secret; CRMs have those that open them."""
    canaries = {f"CONNECTOR_{name.upper()}": f"canary-{name}-0123456789" for name in SECRETS}
    password = canaries["CONNECTOR_NOTIFY_URLS"]
    address = board.url(password).replace("://", f"://told:{password}@")
    return {
        **canaries,
        **running.environment(),
        "CONNECTOR_NOTIFY_URLS": f"ops={address} revops={address}",
        "CONNECTOR_DATABASE_URL": f"sqlite:///{folder / 'ledger.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
        "CONNECTOR_LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": found.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=canary-of-the-collector",
    }


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """Their values, as they stand and as they stand in a URL."""
    declared = {f"CONNECTOR_{name.upper()}" for name in SECRETS}
    declared |= {name for name, each in VARIABLES.items() if each.secret}
    found = {environment[name] for name in declared if name in environment and "://" not in environment[name]}
    if "CONNECTOR_NOTIFY_URLS" in environment:
        found |= {"canary-notify_urls-0123456789", "canary-of-the-collector"}
    return found | {quote(each, safe="") for each in found}


def basic(secret: str) -> str:
    """As it stands in a header of Basic authentication."""
    return base64.b64encode(f"{secret}:".encode()).decode()


def echoing(running: RunningSandboxes, secrets: Iterable[str]) -> None:
    """From now on both CRMs repeat our secrets in what they refuse: reading, writing, and in headers."""
    plain = sorted(secrets)
    said = " ".join([*plain, *(f"Basic {basic(each)}" for each in plain)])
    told = {"status": "error", "category": "VALIDATION_ERROR", "message": f"No access with {said}"}
    headers = {"x-hubspot-correlation-id": plain[0]}
    refused = [{"errorCode": "INVALID_FIELD", "message": f"No such column, session {said}"}]
    hubspot, salesforce = running["hubspot"].faults, running["salesforce"].faults
    for path in ("*/objects/*/calls*", "*/contacts/batch/update*"):
        hubspot.add(path=path, status=400, json=told, headers=headers, times=None)
    for path in ("*query*FROM+Task*", "*/composite/*"):
        salesforce.add(path=path, status=400, json=refused, times=None)


@contextmanager
def up(seed: int, **hubspot: Any) -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(12, seed, clock.now())
    options = {"hubspot": hubspot}
    apps = [
        plugin.build_sandbox(population, clock, **options.get(crm, {})) for crm, plugin in plugins().items()
    ]
    with serve(apps) as running:
        yield running


def cells(url: str) -> Iterator[tuple[str, str]]:
    """Every cell of every table that is no number: its place and its text."""
    engine = create_engine(url)
    with engine.connect() as db:
        for name, table in METADATA.tables.items():
            for row in db.execute(select(table)).mappings():
                for column, value in row.items():
                    if value is not None and not isinstance(value, int | float):
                        yield f"{name}.{column}", str(value)
    engine.dispose()


def processes() -> Iterator[tuple[str, str]]:
    """The command lines of all processes, as `ps` shows them to everybody."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield str(place), place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile


def leaks(places: Iterable[tuple[str, str]], secrets: Iterable[str]) -> list[str]:
    """Where which of them stands."""
    wanted = {*secrets, *map(basic, secrets)}
    return sorted(
        {
            f"{place}: {secret[:30]}"
            for place, text in places
            for secret in (*wanted, *HANDED_OUT.findall(text))
            if secret in text
        }
    )


def runs_ended(url: str) -> int:
    try:
        return sum(1 for place, _ in cells(url) if place == "run.finished_at")
    except SQLAlchemyError:  # the schema is still being made
        return 0


async def until(done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """The process has come so far."""
    deadline = time.monotonic() + 60
    while not done():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "nothing was done"
        await asyncio.sleep(0.05)


async def told_of_it(environment: Mapping[str, str]) -> None:
    """One round of the notifications, on what the process has left."""
    settings = Settings(
        database_url=environment["CONNECTOR_DATABASE_URL"], mappings_dir=shipped(),
        secret_key=SecretStr(environment["CONNECTOR_SECRET_KEY"]),
    )  # fmt: skip
    async with wired(settings, environ=environment) as parts:
        await tell(Sidecar(parts, read_targets(environment["CONNECTOR_NOTIFY_URLS"])))


def ask_everything(port: int, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the port answers to whoever may ask, and to those who offer the wrong secret, or one in the wrong place."""
    admin, ingest = environment["CONNECTOR_ADMIN_TOKEN"], environment["CONNECTOR_INGEST_TOKEN"]
    other = environment["CONNECTOR_SECRET_KEY"]
    bearer = {"authorization": f"Bearer {admin}"}
    event = {"type": "track", "userId": "u1", "event": "Docs Viewed", "properties": {"plan": "free"}}
    paths = ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", f"/{other}"]
    paths += [f"/api/v1/{name}" for name in ("runs", "runs/1", "people", "plans", "status", "whoami")]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        answers = [(path.replace(other, "OTHER"), client.get(path, headers=bearer)) for path in paths]
        wrong = {"authorization": f"Bearer {other}"}
        answers.append(("wrong token", client.get("/api/v1/people", headers=wrong)))
        for key in (ingest, other):
            sent = client.post("/v1/track", auth=(key, ""), json={**event, "messageId": f"m{len(key)}"})
            answers.append(("track", sent))
    return [(place, f"{answer.status_code} {answer.text} {answer.headers}") for place, answer in answers]


async def test_no_secret_is_in_a_log_a_trace_a_number_an_answer_a_message_the_ledger_or_the_list_of_processes(
    board: Board, tmp_path: Path
) -> None:
    with up(3, oauth=True, rotates_grant=True) as running, collector() as found:
        environment = planted(running, board, found, tmp_path)
        secrets = secrets_of(environment)
        echoing(running, secrets)
        port, url = free_port(), environment["CONNECTOR_DATABASE_URL"]
        process = serving(environment, port)
        try:
            await until(lambda: runs_ended(url) > 0, process)
            listed = list(processes())
            answers = await asyncio.to_thread(ask_everything, port, environment)
        finally:
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=30)
        await told_of_it(environment)

    assert any("-m connector serve" in line for _, line in listed)
    assert leaks(listed, secrets) == []
    assert "sync finished" in logged
    assert leaks([("log", logged)], secrets) == []
    assert found.spans
    assert leaks([("traces", b"".join(found.bodies).decode(errors="replace"))], secrets) == []
    assert any("connector_crm_up" in text for _, text in answers)
    assert leaks(answers, secrets) == []
    assert any("No access with [hidden]" in body["message"] for _, body in board.posted)
    assert leaks([("message", json.dumps(body)) for _, body in board.posted], secrets) == []
    kept = list(cells(url))
    assert any("No access with [hidden]" in text for _, text in kept), "both CRMs did repeat them"
    assert any("No such column, session [hidden]" in text for _, text in kept)
    assert any(text.startswith("v1.") for _, text in kept), "a rotated refresh token is kept, sealed"
    assert leaks(kept, secrets) == []


def test_no_secret_is_in_what_commands_say_or_in_an_error_of_the_database(
    board: Board, tmp_path: Path
) -> None:
    password = "canary-of-the-database"
    there = fresh_url("postgresql", tmp_path)
    refusing = make_url(there).set(username="nobody", password=password).render_as_string(hide_password=False)
    with up(4) as running:
        environment = planted(running, board, Collector(), tmp_path)
        told_only_by_the_sidecar = ("OTEL_", "CONNECTOR_NOTIFY_URLS")
        environment = {
            name: each for name, each in environment.items() if not name.startswith(told_only_by_the_sidecar)
        }
        secrets = secrets_of(environment)
        echoing(running, secrets)
        said: list[tuple[str, str]] = []

        def say(place: str, *words: str, **more: str) -> int:
            done = CliRunner().invoke(app, [*words], env={**environment, **more})
            assert "Traceback" not in done.output
            said.append((place, done.output))
            return done.exit_code

        for words in ("check", "sync --yes", "runs list --json", "plan list"):
            say(words, *words.split())
        for url in (
            f"postgresql://ledger:{password}@127.0.0.1:{free_port()}/x",
            refusing,
            f"postgres-of-nobody://ledger:{password}@127.0.0.1/x",
        ):
            assert say("database", "runs", "list", "--json", CONNECTOR_DATABASE_URL=url)
    drop(there)

    assert any("No access with [hidden]" in text for _, text in said), "both CRMs did repeat them"
    assert leaks(said, {*secrets, password}) == []
    assert leaks(cells(environment["CONNECTOR_DATABASE_URL"]), secrets) == []


ZELDA = {
    "email": "zelda.canary@canary-mail.example",
    "first": "Zeldacanary",
    "last": "Quixcanary",
    "phone": "+49 30 55501234",
}


async def test_nobodys_name_address_or_phone_is_in_a_log_line_a_number_or_a_trace(
    sqlite_url: str, lines: Callable[[], str]
) -> None:
    personal = " ".join(ZELDA.values())
    async with world(sqlite_url, people=8) as made:
        properties = dict(zip(("email", "firstname", "lastname", "phone"), ZELDA.values(), strict=True))
        made.hubspot.create("contact", {**properties, "jobtitle": "VP Sales"})
        lead = dict(zip(("Email", "FirstName", "LastName", "Phone"), ZELDA.values(), strict=True))
        made.salesforce.create("Lead", {**lead, "Company": "Canary & Sons"})
        made.later(hours=1)
        rejected = {"status": "error", "category": "VALIDATION_ERROR", "message": f"Not valid: {personal}"}
        made.hubspot.faults.add(path="*/contacts/batch/update*", status=400, json=rejected, times=3)
        unreadable = {**rejected, "message": f"No access to the calls of {ZELDA['email']}"}
        made.hubspot.faults.add(path="*/objects/*/calls*", status=400, json=unreadable)
        made.salesforce.faults.add(method="PATCH", path="*/composite/*", drop_after=True)
        side = await one_of(made)
        with collector() as found:
            end = tracing.begin({"OTEL_EXPORTER_OTLP_ENDPOINT": found.url})
            try:
                for _ in range(2):
                    await side.sync(BOTH)
                transport = httpx.ASGITransport(build_app(side))
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                    looked = await client.get("/api/v1/people/lookup", params={"email": ZELDA["email"]})
                    told = await client.get(f"/api/v1/people/{ZELDA['email']}/explain")
                    lost = await client.get(
                        "/api/v1/people/lookup", params={"email": f"not.{ZELDA['email']}"}
                    )
                    numbers = (await client.get("/metrics")).text
            finally:
                end()
        [person] = await made.ledger.find(ZELDA["email"])
        view = await made.ledger.person(person)

    assert view is not None
    assert view.fields["last_name"] == ZELDA["last"], "they are there"
    assert (looked.status_code, told.status_code, lost.status_code) == (200, 200, 404)
    logged = lines()
    traced = b"".join(found.bodies).decode(errors="replace")
    assert "sync finished" in logged
    assert "[email]" in logged
    assert "connector_records_total" in numbers
    assert "/people/lookup" in traced
    for where, text in (("logs", logged), ("numbers", numbers), ("traces", traced), ("not found", lost.text)):
        assert leaks([(where, text)], {*ZELDA.values(), quote(ZELDA["email"]), "canary"}) == []
