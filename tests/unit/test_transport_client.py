"""The transport over respx: what is retried, what is raised, what is counted, what is never said."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import respx
import trustme

from connector.errors import ConnectorError, FixConfig, OutcomeUnknown, RetryLater, StopRun
from connector.testing.clock import HandClock
from connector.transport import Answer, Fail, Limiter, Ok, Refresh, Retry, Transport, Verdict

BASE = "https://api.crm.example"


class Token:
    """Credentials that count how often they were renewed."""

    def __init__(self) -> None:
        self.renewed = 0

    async def headers(self, force_refresh: bool) -> Mapping[str, str]:
        if force_refresh:
            await asyncio.sleep(0)
            self.renewed += 1
        return {"authorization": f"Bearer token-{self.renewed}"}


def classify(answer: Answer) -> Verdict:
    if answer.status == 429:
        return Retry(RetryLater("full"), after=timedelta(seconds=10), refused=True, hold=True)
    if answer.status == 477:
        return Retry(RetryLater("moving", after=timedelta(hours=1)), after=timedelta(hours=1), refused=True)
    if answer.status >= 500:
        return Retry(RetryLater(f"status {answer.status}"))
    if answer.status == 401:
        return Refresh(FixConfig("token refused"))
    if answer.status >= 400:
        return Fail(FixConfig("no"))
    return Ok()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def token() -> Token:
    return Token()


@pytest.fixture
async def crm(clock, token):
    limits = {"default": Limiter(190, timedelta(seconds=10), clock)}
    transport = Transport(BASE, auth=token, limits=limits, classify=classify, clock=clock, name="ACME CRM")
    yield transport
    await transport.close()


@respx.mock
async def test_an_answer_brings_status_json_and_the_vendors_clock(crm):
    respx.get(f"{BASE}/things").respond(
        200, json={"a": 1}, headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT", "X-Request-Id": "r-1"}
    )

    answer = await crm.send("GET", "/things", params={"limit": 5, "after": None})

    assert answer.json == {"a": 1}
    assert answer.server_time == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert answer.correlation_id == "r-1"
    assert respx.calls.last.request.url.query == b"limit=5"
    assert respx.calls.last.request.headers["accept-encoding"] == "gzip"
    assert crm.calls == 1


@respx.mock
async def test_a_full_window_is_waited_out_by_the_clock_and_asked_again(crm, clock):
    began = clock.now()
    respx.get(f"{BASE}/things").mock(side_effect=[httpx.Response(429), httpx.Response(200, json={})])

    answer = await crm.send("GET", "/things")

    assert answer.status == 200
    assert timedelta(seconds=10) <= clock.now() - began <= timedelta(seconds=20)
    assert crm.calls == 2


@respx.mock
async def test_a_busy_vendor_is_asked_a_bounded_number_of_times(crm):
    route = respx.get(f"{BASE}/things").respond(503, text="busy")

    with pytest.raises(RetryLater, match="status 503"):
        await crm.send("GET", "/things")

    assert route.call_count == 5


@respx.mock
async def test_a_wait_beyond_two_minutes_is_left_to_the_run(crm, clock):
    began = clock.now()
    route = respx.get(f"{BASE}/things").respond(477)

    with pytest.raises(RetryLater) as caught:
        await crm.send("GET", "/things")

    assert caught.value.after == timedelta(hours=1)
    assert route.call_count == 1
    assert clock.now() == began


@respx.mock
async def test_a_refused_token_is_renewed_once_for_all_requests_under_way(crm, token):
    def by_token(request: httpx.Request) -> httpx.Response:
        fresh = request.headers["authorization"] == "Bearer token-1"
        return httpx.Response(200, json={}) if fresh else httpx.Response(401)

    respx.get(f"{BASE}/things").mock(side_effect=by_token)

    await asyncio.gather(*(crm.send("GET", "/things") for _ in range(8)))

    assert token.renewed == 1


@respx.mock
async def test_a_token_that_stays_refused_does_not_loop(crm, token):
    route = respx.get(f"{BASE}/things").respond(401)

    with pytest.raises(FixConfig, match="token refused"):
        await crm.send("GET", "/things")

    assert token.renewed == 1
    assert route.call_count == 2


@respx.mock
@pytest.mark.parametrize(
    "lost", [httpx.ReadTimeout("t"), httpx.RemoteProtocolError("gone"), httpx.ReadError("reset")]
)
async def test_a_write_whose_answer_never_came_is_unknown_and_not_sent_twice(crm, lost):
    route = respx.post(f"{BASE}/things").mock(side_effect=lost)

    with pytest.raises(OutcomeUnknown):
        await crm.send("POST", "/things", json={"a": 1}, idempotent=False)

    assert route.call_count == 1


@respx.mock
async def test_a_read_whose_answer_never_came_is_asked_again(crm):
    respx.get(f"{BASE}/things").mock(side_effect=[httpx.ReadTimeout("t"), httpx.Response(200, json={})])

    assert (await crm.send("GET", "/things")).status == 200


@respx.mock
async def test_a_write_that_met_a_server_error_is_unknown(crm):
    respx.post(f"{BASE}/things").respond(502, html="<html>Bad gateway</html>")

    with pytest.raises(OutcomeUnknown, match="502"):
        await crm.send("POST", "/things", json={}, idempotent=False)


@respx.mock
async def test_a_write_that_the_limit_refused_is_sent_again(crm):
    respx.post(f"{BASE}/things").mock(side_effect=[httpx.Response(429), httpx.Response(200, json={})])

    assert (await crm.send("POST", "/things", json={}, idempotent=False)).status == 200


@respx.mock
@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(200, html="<html>Sign in, ada@example.com</html>"), "text/html"),
        (
            httpx.Response(200, content=b'{"a": [1,', headers={"content-type": "application/json"}),
            "breaks off",
        ),
        (httpx.Response(200, content=b""), "empty body"),
    ],
)
async def test_what_is_not_json_is_a_clear_error_without_query_or_people(crm, response, said):
    respx.get(f"{BASE}/things").mock(return_value=response)

    with pytest.raises(StopRun) as caught:
        await crm.send("GET", "/things", params={"email": "ada@example.com"})

    text = str(caught.value)
    assert said in text
    assert "200" in text
    assert "GET /things" in text
    assert "ada@example" not in text
    assert caught.value.next_step


@respx.mock
async def test_an_unreadable_answer_to_a_write_is_unknown(crm):
    respx.post(f"{BASE}/things").respond(200, html="<html></html>")

    with pytest.raises(OutcomeUnknown):
        await crm.send("POST", "/things", json={}, idempotent=False)


@respx.mock
async def test_no_content_is_an_answer(crm):
    respx.delete(f"{BASE}/things/1").respond(204)

    answer = await crm.send("DELETE", "/things/1")

    assert (answer.status, answer.json) == (204, None)


async def test_an_unreachable_vendor_is_tried_a_few_times_then_said_with_a_next_step(clock, token):
    began = clock.now()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
    crm = Transport(base, auth=token, limits={}, classify=classify, clock=clock, name="ACME CRM")

    with pytest.raises(RetryLater, match="refused the connection") as caught:
        await crm.send("POST", "/things", json={}, idempotent=False)

    assert clock.now() - began > timedelta(seconds=2)
    assert crm.calls == 0
    assert "Nothing was sent" in caught.value.next_step
    await crm.close()


async def test_an_untrusted_certificate_is_a_matter_of_configuration(clock, token):
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(serving)
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0, ssl=serving)
    base = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    crm = Transport(base, auth=token, limits={}, classify=classify, clock=clock, name="ACME CRM")

    with pytest.raises(FixConfig, match="not trusted") as caught:
        await crm.send("GET", "/things")

    assert "SSL_CERT_FILE" in caught.value.next_step
    await crm.close()
    server.close()


@respx.mock
async def test_a_slow_drip_ends_at_the_total_time_out(clock, token):
    async def drip(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(5)
        return httpx.Response(200, json={})

    respx.post(f"{BASE}/things").mock(side_effect=drip)
    crm = Transport(
        BASE,
        auth=token,
        limits={},
        classify=classify,
        clock=clock,
        name="ACME CRM",
        timeout=timedelta(milliseconds=30),
    )

    with pytest.raises(OutcomeUnknown, match=r"within 0\.03 s"):
        await crm.send("POST", "/things", json={}, idempotent=False)

    await crm.close()


@respx.mock
async def test_no_error_carries_a_credential(crm):
    respx.get(f"{BASE}/things").mock(side_effect=httpx.ReadError("boom"))

    with pytest.raises(ConnectorError) as caught:
        await crm.send("GET", "/things", headers={"x-extra": "s3cret-value"})

    assert "token-" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_base_url_may_be_asked_after_the_credentials(clock):
    class Naming:
        host = ""

        async def headers(self, force_refresh: bool) -> Mapping[str, str]:
            self.host = "https://org.crm.example"
            return {}

    auth = Naming()
    crm = Transport(lambda: auth.host, auth=auth, limits={}, classify=classify, clock=clock, name="ACME CRM")
    with respx.mock:
        respx.get("https://org.crm.example/things").respond(200, json=[])
        assert (await crm.send("GET", "/things")).json == []
    await crm.close()


@respx.mock
async def test_a_raw_body_is_handed_on_as_it_came_and_an_error_beside_it_still_reads(crm):
    respx.get(f"{BASE}/table").mock(
        side_effect=[
            httpx.Response(503),
            httpx.Response(200, content=b'"Id"\n"\xc3\xa4"\n', headers={"content-type": "text/csv"}),
        ]
    )
    respx.put(f"{BASE}/table").respond(400, json={"why": "no"})

    answer = await crm.send("GET", "/table", raw=True)

    assert answer.body is not None
    assert answer.body.read() == b'"Id"\n"\xc3\xa4"\n'
    assert (answer.size, answer.json) == (10, None)
    with pytest.raises(FixConfig):
        await crm.send("PUT", "/table", content=b"x", headers={"content-type": "text/csv"}, raw=True)
    sent = respx.calls.last.request
    assert (sent.content, sent.headers["content-type"]) == (b"x", "text/csv")
