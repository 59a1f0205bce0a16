"""What a run leaves for those who look for it: traces as a tree, log lines with its ids, nothing about a person."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog

from connector.app import tracing
from connector.app.api import build_app
from connector.app.commands.serve import counted
from connector.app.log import configure
from connector.app.observed import calls_told
from connector.app.requests import ask
from connector.app.settings import Settings
from connector.app.sidecar import Sidecar
from connector.app.tracing import route_of
from connector.transport import watch_calls
from tests.stories.otlp import collector
from tests.stories.sidecar_words import BOTH, numbers, parts_of, sidecar
from tests.stories.world import World, world


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    watch_calls(None)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What is logged, as in a container."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    configure(Settings(log_format="json", log_level="info"))
    yield lambda: capsys.readouterr().err
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


async def one_of(w: World) -> Sidecar:
    side = await sidecar(w)
    watch_calls(calls_told(counted(side)))
    return side


async def test_a_run_is_a_tree_of_phases_and_requests_and_names_nobody(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as w:
        side = await one_of(w)
        with collector() as found:
            end = tracing.begin(
                {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": found.url,
                    "OTEL_EXPORTER_OTLP_HEADERS": "x-key=canary-of-the-collector",
                }
            )
            try:
                await side.sync(BOTH)
                w.hubspot.faults.add(status=503, times=None)
                await side.sync(frozenset({"hubspot"}))
            finally:
                end()
        count = await numbers(side)
        [*_, run] = await w.ledger.runs()
        people = await w.ledger.people(limit=100)
        secrets = [
            value for name, value in w.running.environment().items() if "TOKEN" in name or "SECRET" in name
        ]

    first, second = found.named("sync")
    phases = found.below(first)
    asked = [span for phase in phases for span in found.below(phase)]
    assert first.attributes["connector.run"] == run.id
    assert len(first.attributes["connector.correlation_id"]) == 16
    assert second.attributes["connector.correlation_id"] != first.attributes["connector.correlation_id"]
    assert {"gather", "decide", "push"} <= {span.name for span in phases}
    assert {span.attributes["peer.service"] for span in asked} == {"HubSpot", "Salesforce"}
    assert all(span.attributes["http.response.status_code"] for span in asked)
    assert any(span.attributes.get("http.response.status_code") == 503 for span in found.below(second))
    assert found.headers[0]["x-key"] == "canary-of-the-collector"
    sent = b"".join(found.bodies)
    assert not [span for span in found.spans if "@" in f"{span.name} {span.attributes}"]
    assert not [value for value in secrets if value.encode() in sent]
    names = {str(view.fields[field]) for view in people for field in ("last_name",) if view.fields.get(field)}
    assert names
    assert not [name for name in names if len(name) > 4 and name.encode() in sent]
    assert count["crm_calls_total hubspot sync"] == w.adapters["hubspot"].calls() > 10
    assert count["crm_calls_total salesforce sync"] == w.adapters["salesforce"].calls() > 10


@pytest.mark.parametrize("how", ["refuses", "hangs"])
async def test_a_collector_that_is_away_slows_nothing_and_is_one_line(
    how: str, sqlite_url: str, lines: Callable[[], str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if how == "refuses":
            listener.close()
        async with world(sqlite_url, people=1) as w:
            side = await one_of(w)
            environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
            end = tracing.begin({**environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"})
            await side.sync(BOTH)
            began = time.monotonic()
            end()
            took = time.monotonic() - began
            [run] = await w.ledger.runs()

    assert run.status == "succeeded"
    assert took < 2 * tracing.LAST_WORDS
    said = [json.loads(line)["event"] for line in lines().splitlines()]
    assert said.count("traces are not taken") == 1
    assert not [event for event in said if "Transient" in event or "Traceback" in event]


async def test_the_id_of_a_request_goes_into_its_answer_its_span_and_the_run_that_it_starts(
    sqlite_url: str, lines: Callable[[], str]
) -> None:
    async with world(sqlite_url, people=1) as w:
        side = await one_of(w)
        app = build_app(side)

        @app.post("/api/v1/people/{email}/sync")
        async def start(email: str) -> dict[str, Any]:
            arguments = {"plan_only": True, "yes": False}
            return {"request": (await ask(parts_of(w), "sync", arguments, "ada")).id}

        with collector() as found:
            end = tracing.begin({"OTEL_EXPORTER_OTLP_ENDPOINT": found.url})
            try:
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                    trace = "0af7651916cd43dd8448eb211c80319c"
                    told = await client.post(
                        "/api/v1/people/zelda@example.com/sync",
                        headers={
                            "x-request-id": "from-the-host-1",
                            "traceparent": f"00-{trace}-b7ad6b7169203331-01",
                        },
                    )
                    await client.get("/api/v1/people/lookup", params={"email": "zelda@example.com"})
                    strange = await client.get("/healthz", headers={"x-correlation-id": "what is <this>"})
                task = await side._requests.look(side.served.crms)
                assert task is not None
                await task
            finally:
                end()

    asked = json.loads(told.text)["request"]
    assert told.headers["x-correlation-id"] == "from-the-host-1"
    assert len(strange.headers["x-correlation-id"]) == 16
    [served] = found.named("POST /api/v1/people/{email}/sync")
    assert served.trace.hex() == trace
    assert served.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/people/{email}/sync",
        "http.response.status_code": 200,
        "connector.correlation_id": "from-the-host-1",
    }
    [looked_up] = found.named("GET /api/v1/people/lookup")
    assert looked_up.attributes["http.route"] == "/api/v1/people/lookup", "with the prefix of its routers"
    [run] = found.named("sync")
    assert run.attributes["connector.correlation_id"] == "from-the-host-1"
    assert run.attributes["connector.request"] == asked
    logged = lines()
    said = [json.loads(line) for line in logged.splitlines()]
    ours = [line for line in said if line.get("request") == asked]
    assert {line["correlation_id"] for line in ours} == {"from-the-host-1"}
    [finished] = [line for line in ours if line["event"] == "sync finished"]
    assert finished["run"] == run.attributes["connector.run"]
    assert "zelda" not in logged
    assert b"zelda" not in b"".join(found.bodies)


async def test_what_a_scheduled_run_logs_carries_its_ids_and_no_person(
    sqlite_url: str, lines: Callable[[], str]
) -> None:
    async with world(sqlite_url, people=30) as w:
        side = await one_of(w)
        for _ in range(2):
            await side.sync(BOTH)
        addresses = {str(view.fields.get("email")) for view in await w.ledger.people(limit=1_000)}

    logged = lines()
    said = [json.loads(line) for line in logged.splitlines()]
    finished = [line for line in said if line["event"] == "sync finished"]
    assert [line["run"] for line in finished] == [1, 2]
    assert all("correlation_id" in line for line in said)
    assert len({line["correlation_id"] for line in finished}) == 2
    assert len(addresses) > 10
    assert not [address for address in addresses if address in logged]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/crm/v3/objects/contacts/batch/read", "/crm/v3/objects/contacts/batch/read"),
        ("/crm/objects/2026-03/contacts/101", "/crm/objects/2026-03/contacts/{id}"),
        ("/crm/v3/objects/contacts/zelda@example.com", "/crm/v3/objects/contacts/{id}"),
        ("/services/data/v66.0/sobjects/Lead/00Q5e00000AbCdE", "/services/data/v66.0/sobjects/Lead/{id}"),
        ("/services/data/v66.0/sobjects/MQL__c/%C3%84", "/services/data/v66.0/sobjects/MQL__c/{id}"),
    ],
)
def test_a_path_is_told_without_the_record_that_it_names(path: str, route: str) -> None:
    assert route_of(path) == route
