"""What all sandboxes share, with the smallest possible CRM behind it: faults, logs, clock, control,
serving.
"""

import ssl
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.requests import Request
from starlette.routing import Route

from connector.sandbox.clock import SandboxClock
from connector.sandbox.control import json_response
from connector.sandbox.faults import Fault, Faults
from connector.sandbox.log import SandboxLog
from connector.sandbox.server import count_under, sandbox_app, serve

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Notes:
    """A CRM with notes in it."""

    def __init__(self, clock, log):
        self.rows = {"1": {"text": "hello"}}
        self.clock, self.log = clock, log
        self.threads = set()

    def counts(self):
        return {"note": len(self.rows)}

    def raw(self, object, id):
        self.threads.add(threading.current_thread().name)
        if id not in self.rows:
            raise LookupError(f"There is no {object} {id}.")
        return dict(self.rows[id])

    def edit(self, object, id, fields):
        self.write(id, fields, "user")
        return self.raw(object, id)

    def create(self, object, fields):
        id = str(len(self.rows) + 1)
        self.rows[id] = dict(fields)
        return id

    def act(self, object, id, action, arguments):
        if action != "archive":
            raise ValueError(f"A note knows no action {action}.")
        return self.rows.pop(id)

    def write(self, id, fields, by):
        before = self.rows[id]
        pairs = {name: (before.get(name), value) for name, value in fields.items()}
        before.update(fields)
        self.log.add_write("note", id, pairs, by=by, at=self.clock.now())


def notes_app(crm="notes", **options):
    clock, log = SandboxClock(START), SandboxLog()
    store = Notes(clock, log)

    async def read(request: Request):
        count_under(request, "general")
        return json_response(
            {"results": [{"id": id, **row} for id, row in store.rows.items()], "pad": "x" * 2_000}
        )

    async def write(request: Request):
        store.write("1", await request.json(), "api")
        return json_response({"ok": True})

    routes = [Route("/notes", read), Route("/notes", write, methods=["PATCH"])]
    return sandbox_app(
        crm,
        routes,
        store=store,
        clock=clock,
        log=log,
        environment=lambda url: {f"{crm.upper()}_URL": url},
        empty_page={"results": []},
        **options,
    )


@pytest.fixture(scope="module")
def served():
    with serve([notes_app()]) as running:
        yield running


@pytest.fixture
def notes(served):
    handle = served["notes"]
    handle.faults.clear()
    handle.log.clear()
    return handle


@pytest.fixture
def client(notes):
    with httpx.Client(base_url=notes.url) as client:
        yield client


def test_two_sandboxes_run_on_two_ports_and_give_one_environment():
    with serve([notes_app("one"), notes_app("two")]) as running:
        assert running.crms == ("one", "two")
        assert running.environment() == {"ONE_URL": running.url("one"), "TWO_URL": running.url("two")}
        assert all(httpx.get(running.url(crm) + "/notes").status_code == 200 for crm in running.crms)
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.url("one") + "/notes")


def test_tls_serves_a_certificate_that_its_own_ca_signed():
    with serve([notes_app()], tls=True) as running:
        trust = ssl.create_default_context(cafile=running.environment()["SSL_CERT_FILE"])
        assert httpx.get(running.url("notes") + "/notes", verify=trust).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url("notes") + "/notes")


def test_answers_carry_a_request_id_the_sandboxes_time_and_gzip_where_asked_for(client, notes):
    answer = client.get("/notes")
    assert answer.headers["x-request-id"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["date"].startswith("Sun, 22 Nov 2026 1")
    plain = client.get("/notes", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == answer.json()


def test_the_log_tells_calls_without_their_bodies_and_leaves_the_control_surface_out(client, notes):
    client.get("/notes?limit=1")
    client.get("/_sandbox/clock")
    (call,) = client.get("/_sandbox/calls").json()
    assert (call["method"], call["path"], call["query"], call["status"], call["policy"]) == (
        "GET",
        "/notes",
        "limit=1",
        200,
        "general",
    )


def test_a_write_is_logged_with_what_stood_there_before_and_whether_it_changed(client, notes):
    notes.edit("note", "1", {"text": "hello"})
    client.patch("/notes", json={"text": "bye"})
    client.patch("/notes", json={"text": "bye"})
    writes = client.get("/_sandbox/writes?by=api").json()
    assert [(write["fields"], write["changed"]) for write in writes] == [
        ({"text": ["hello", "bye"]}, True),
        ({"text": ["bye", "bye"]}, False),
    ]
    assert len(notes.log.writes(by="user")) == 1
    notes.edit("note", "1", {"text": "hello"})


def test_an_edit_runs_on_the_servers_thread(notes):
    notes.raw("note", "1")
    assert notes.sandbox.store.threads == {"sandboxes"}
    with pytest.raises(LookupError):
        notes.raw("note", "99")


def test_the_clock_moves_for_everybody_and_flows_on(client, notes):
    before = notes.clock.now()
    told = client.post("/_sandbox/clock", json={"advance_seconds": 3_600}).json()["now"]
    assert timedelta(hours=1) <= datetime.fromisoformat(told) - before < timedelta(hours=1, seconds=10)
    client.post("/_sandbox/clock", json={"now": "2026-11-22T10:00:00+00:00"})
    assert timedelta() <= notes.clock.now() - START < timedelta(seconds=10)


def test_a_scripted_status_comes_with_its_headers_and_body(client, notes):
    notes.faults.add(status=429, headers={"Retry-After": "7"}, json={"message": "slow down"})
    answer = client.get("/notes")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (
        429,
        "7",
        {"message": "slow down"},
    )
    assert client.get("/notes").status_code == 200


def test_html_comes_as_html(client, notes):
    notes.faults.add(status=503, text="<html>Service Unavailable</html>")
    assert client.get("/notes").headers["content-type"].startswith("text/html")


def test_a_fault_hits_only_what_it_names(client, notes):
    notes.faults.add(method="PATCH", path="/no*", body="bad", status=400, times=None)
    assert client.patch("/notes", json={"text": "good"}).status_code == 200
    assert client.patch("/notes", json={"text": "bad"}).status_code == 400
    assert client.get("/notes").status_code == 200


def test_skip_lets_the_first_ones_pass(client, notes):
    notes.faults.add(skip=2, times=1, status=500)
    assert [client.get("/notes").status_code for _ in range(4)] == [200, 200, 500, 200]


def test_drop_closes_the_connection_and_writes_nothing(client, notes):
    notes.edit("note", "1", {"text": "hello"})
    notes.faults.add(method="PATCH", drop=True)
    with pytest.raises(httpx.RemoteProtocolError):
        client.patch("/notes", json={"text": "lost"})
    assert notes.raw("note", "1")["text"] == "hello"
    assert notes.log.calls()[-1].status == 0


def test_drop_after_writes_and_never_answers(client, notes):
    notes.faults.add(method="PATCH", drop_after=True)
    with pytest.raises(httpx.RemoteProtocolError):
        client.patch("/notes", json={"text": "arrived"})
    assert notes.raw("note", "1")["text"] == "arrived"


def test_empty_and_half_answers_are_ok_by_their_status(client, notes):
    notes.faults.add(empty=True)
    notes.faults.add(empty="body")
    notes.faults.add(half=True)
    page, body, half = (client.get("/notes") for _ in range(3))
    assert page.json() == {"results": []}
    assert (body.status_code, body.content) == (200, b"")
    assert half.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        half.json()


def test_faults_are_armed_and_cleared_over_http(client, notes):
    assert client.post("/_sandbox/faults", json={"status": 500, "times": None}).status_code == 201
    assert client.get("/notes").status_code == 500
    assert client.get("/_sandbox/faults").json()[0]["hits"] == 1
    client.delete("/_sandbox/faults")
    assert client.get("/notes").status_code == 200


def test_an_unknown_part_of_a_fault_is_refused(client):
    answer = client.post("/_sandbox/faults", json={"statsu": 500})
    assert answer.status_code == 400
    assert "statsu" in answer.json()["error"]


def test_delay_is_waited_out(client, notes):
    notes.faults.add(delay=0.05)
    assert client.get("/notes").elapsed >= timedelta(seconds=0.05)


def test_records_are_created_edited_and_acted_upon_over_http(client):
    id = client.post("/_sandbox/records/note", json={"text": "new"}).json()["id"]
    assert client.patch(f"/_sandbox/records/note/{id}", json={"text": "newer"}).json() == {"text": "newer"}
    assert client.get("/_sandbox/counts").json()["note"] == 2
    assert client.post(f"/_sandbox/records/note/{id}/explode").status_code == 400
    assert client.post(f"/_sandbox/records/note/{id}/archive").status_code == 200
    assert client.get(f"/_sandbox/records/note/{id}").status_code == 404


def test_a_fault_that_matches_twice_is_used_in_the_order_of_arming():
    faults = Faults()
    first, second = faults.add(Fault(status=500)), faults.add(status=503)
    taken = [faults.take("GET", "/x", "", b"") for _ in range(3)]
    assert [hit[0] if hit else None for hit in taken] == [first, second, None]


def test_a_path_glob_may_name_the_query():
    faults = Faults()
    faults.add(path="*after=5*", status=500)
    assert faults.take("GET", "/x", "after=4", b"") is None
    assert faults.take("GET", "/x", "after=5&limit=1", b"") is not None


def test_the_clock_refuses_a_time_without_a_zone():
    with pytest.raises(ValueError, match="zone"):
        SandboxClock(datetime(2026, 1, 1))  # noqa: DTZ001
