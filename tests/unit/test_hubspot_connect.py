"""Settings and credentials: every problem at once, tokens renewed in time, nothing secret said."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest
import respx

from adapters.hubspot import PLUGIN, connect
from connector.errors import FixConfig
from connector.testing.clock import HandClock

BASE = "https://api.crm.example"
OAUTH = {
    "HUBSPOT_CLIENT_ID": "client-1",
    "HUBSPOT_CLIENT_SECRET": "client-secret-1",
    "HUBSPOT_REFRESH_TOKEN": "refresh-0",
    "HUBSPOT_BASE_URL": BASE,
}
DETAILS = {"portalId": 7, "timeZone": "Europe/Berlin", "companyCurrency": "EUR"}


class Store:
    def __init__(self, token=None):
        self.token = token
        self.lock = asyncio.Lock()

    def alone(self, crm):
        return self.lock

    async def load(self, crm):
        return self.token

    async def save(self, crm, token):
        self.token = token


def test_no_credentials_mean_not_connected():
    assert not PLUGIN.connected({"HUBSPOT_BASE_URL": BASE})
    assert PLUGIN.connected({"HUBSPOT_ACCESS_TOKEN": "x"})
    assert PLUGIN.connected({"HUBSPOT_CLIENT_ID": "x"})


def test_every_wrong_setting_is_told_at_once():
    wrong = {
        "HUBSPOT_CLIENT_ID": "x",
        "HUBSPOT_BASE_URL": "http://api.crm.example",
        "HUBSPOT_API_VERSION": "v9",
        "HUBSPOT_RATE_SHARE": "lots",
        "HUBSPOT_DAILY_SHARE": "1.5",
    }

    with pytest.raises(FixConfig) as caught:
        connect(wrong, HandClock(), None)

    named = {problem.path[0] for problem in caught.value.problems}
    assert named == {
        "HUBSPOT_BASE_URL",
        "HUBSPOT_API_VERSION",
        "HUBSPOT_RATE_SHARE",
        "HUBSPOT_DAILY_SHARE",
        "HUBSPOT_CLIENT_SECRET",
        "HUBSPOT_REFRESH_TOKEN",
    }


@respx.mock
async def test_the_account_is_named_with_its_clock():
    respx.get(f"{BASE}/account-info/v3/details").respond(
        200, json=DETAILS, headers={"Date": "Sun, 22 Nov 2026 12:00:05 GMT"}
    )
    variables = {"HUBSPOT_ACCESS_TOKEN": "t-123456", "HUBSPOT_BASE_URL": BASE, "HUBSPOT_API_VERSION": "v3"}
    adapter = connect(variables, HandClock(), None)

    account = await adapter.account()

    assert (account.id, account.timezone, account.currency) == ("7", "Europe/Berlin", "EUR")
    assert account.now == HandClock().now() + timedelta(seconds=5)
    assert adapter.calls() == 1
    await adapter.close()


@respx.mock
async def test_a_static_token_that_is_refused_is_a_matter_of_configuration_and_is_not_shown():
    respx.get(f"{BASE}/account-info/2026-03/details").respond(401, json={"message": "bad t-123456"})
    adapter = connect({"HUBSPOT_ACCESS_TOKEN": "t-123456", "HUBSPOT_BASE_URL": BASE}, HandClock(), None)

    with pytest.raises(FixConfig) as caught:
        await adapter.account()

    assert "HUBSPOT_ACCESS_TOKEN" in str(caught.value)
    assert "t-123456" not in str(caught.value)
    await adapter.close()


@respx.mock
async def test_an_oauth_token_is_renewed_once_at_80_percent_of_its_life_and_a_rotated_grant_is_kept():
    clock, store, issued = HandClock(), Store(), []

    def issue(request: httpx.Request) -> httpx.Response:
        issued.append(request.content.decode())
        number = len(issued)
        token = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "expires_in": 1800}
        return httpx.Response(200, json=token)

    respx.post(f"{BASE}/oauth/2026-03/token").mock(side_effect=issue)
    account = respx.get(f"{BASE}/account-info/2026-03/details").respond(200, json=DETAILS)
    adapter = connect(OAUTH, clock, store)

    await asyncio.gather(*(adapter.account() for _ in range(5)))
    clock.advance(timedelta(minutes=23))
    await adapter.account()
    assert len(issued) == 1
    clock.advance(timedelta(minutes=2))
    await adapter.account()

    assert len(issued) == 2
    assert "refresh_token=refresh-1" in issued[1]
    assert store.token == "refresh-2"
    assert account.calls.last.request.headers["authorization"] == "Bearer access-2"
    assert adapter.calls() == 7  # token calls are not counted
    await adapter.close()


@respx.mock
async def test_a_kept_grant_that_died_gives_way_to_the_one_that_was_set():
    def issue(request: httpx.Request) -> httpx.Response:
        if "refresh_token=stale" in request.content.decode():
            return httpx.Response(400, json={"error": "invalid_grant", "message": "refresh token is invalid"})
        return httpx.Response(200, json={"access_token": "access-1", "expires_in": 1800})

    respx.post(f"{BASE}/oauth/2026-03/token").mock(side_effect=issue)
    respx.get(f"{BASE}/account-info/2026-03/details").respond(200, json=DETAILS)
    adapter = connect(OAUTH, HandClock(), Store("stale"))

    assert (await adapter.account()).id == "7"
    await adapter.close()


@respx.mock
async def test_a_grant_that_is_gone_is_a_matter_of_configuration():
    body = {
        "status": "BAD_REFRESH_TOKEN",
        "error": "invalid_grant",
        "message": "missing or invalid refresh token",
    }
    respx.post(f"{BASE}/oauth/2026-03/token").respond(400, json=body)
    adapter = connect(OAUTH, HandClock(), None)

    with pytest.raises(FixConfig, match="invalid refresh token") as caught:
        await adapter.account()

    assert "refresh-0" not in str(caught.value)
    assert "client-secret-1" not in str(caught.value)
    await adapter.close()
