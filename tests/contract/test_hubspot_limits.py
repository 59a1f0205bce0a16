"""Every way in which HubSpot says "not now" or "not you", over real HTTP: what the run does next, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connector.core.model import Ref, Write
from connector.errors import FixConfig, OutcomeUnknown, RetryLater
from tests.contract.test_hubspot_adapter import HOUR, account, connected

__all__ = ["account"]  # the fixture

SECOND = timedelta(seconds=1)
HTML = {"content-type": "text/html"}
TOKEN = {"authorization": "Bearer pat-eu1-sandbox-full"}
BERLIN_MIDNIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)  # the made-up account keeps the time of Berlin


def calls(account, path=""):
    return [call for call in account.sandbox.log.calls() if path in call.path]


@pytest.mark.parametrize("limited_as", ["errorType", "category"])
async def test_a_spent_day_ends_the_pull_at_once_and_the_next_day_goes_on_from_the_last_page(limited_as):
    async with connected(per_day=4, limited_as=limited_as) as account:
        await account.adapter.account()
        with pytest.raises(RetryLater, match="spent its calls") as caught:
            await account.pull("contacts")
        refused = [call for call in calls(account) if call.status == 429]
        before = dict(account.cursors["contacts"])
        assert caught.value.after is not None
        assert abs(account.clock.now() + caught.value.after - BERLIN_MIDNIGHT) < 5 * SECOND
        assert len(refused) == 1  # nobody polls a spent day

        account.clock.advance(BERLIN_MIDNIGHT - account.clock.now() + SECOND)
        rest = await account.records()

    assert before["kind"] == "list"
    assert 0 < len(rest) < 250  # what was kept the day before is not read again


async def test_a_limit_without_json_is_waited_out_like_the_ten_seconds(account):
    account.sandbox.faults.add(status=429, text="<html>429 Too Many Requests</html>", headers=HTML, times=2)
    began = account.clock.now()

    assert (await account.adapter.account()).id

    assert account.clock.now() - began >= 20 * SECOND


async def test_a_retry_after_beats_our_own_guess(account):
    body = {
        "policyName": "TEN_SECONDLY_ROLLING",
        "message": "You have reached your ten_secondly_rolling limit.",
    }
    account.sandbox.faults.add(status=429, json=body, headers={"retry-after": "23"}, times=1)
    began = account.clock.now()

    await account.adapter.account()

    assert account.clock.now() - began >= 23 * SECOND


async def test_a_lock_is_waited_out_for_two_seconds_at_least_by_reads_and_by_writes(account):
    body = {"status": "error", "message": "The record is locked."}
    account.sandbox.faults.add(status=423, json=body, times=2)
    began = account.clock.now()
    await account.adapter.account()
    assert account.clock.now() - began >= 4 * SECOND

    account.sandbox.faults.add(method="POST", path="*/batch/update", status=423, json=body, times=1)
    contact = Ref("hubspot", "contact", account.ids()[0])
    (receipt,) = await account.adapter.push([Write(1, contact, {"mql_score": 9})])
    assert receipt.outcome == "written"  # surely not done the first time, so it was sent again


async def test_an_account_that_moves_to_another_data_centre_parks_the_job_for_as_long_as_it_says(account):
    account.sandbox.faults.add(status=477, text="migrating", headers={"retry-after": "86400"}, times=1)

    with pytest.raises(RetryLater, match="another data centre") as caught:
        await account.pull("contacts")

    assert caught.value.after == timedelta(days=1)
    assert len(calls(account)) == 1


async def test_a_short_move_is_waited_out(account):
    account.sandbox.faults.add(status=477, text="migrating", headers={"retry-after": "60"}, times=1)
    began = account.clock.now()

    await account.adapter.account()

    assert account.clock.now() - began >= 60 * SECOND


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521, 523, 524])
async def test_trouble_at_hubspot_or_its_edge_is_tried_again_even_where_it_comes_as_a_page(account, status):
    page = "<html><body>A timeout occurred</body></html>"
    account.sandbox.faults.add(path="*/objects/*", status=status, text=page, headers=HTML, times=2)

    assert len(await account.records()) >= 250
    assert len([call for call in calls(account) if call.status == status]) == 2


@pytest.mark.parametrize("status", [500, 524])
async def test_trouble_at_hubspot_leaves_a_write_unknown_and_does_not_repeat_it(account, status):
    account.sandbox.faults.add(
        method="POST", path="*/batch/update", status=status, text="x", headers=HTML, times=1
    )

    with pytest.raises(OutcomeUnknown):
        await account.adapter.push([Write(1, Ref("hubspot", "contact", account.ids()[0]), {"mql_score": 9})])

    assert len(calls(account, "/batch/update")) == 1


async def test_a_token_that_breaks_the_edge_is_a_matter_of_configuration_and_no_outage():
    async with connected({"HUBSPOT_ACCESS_TOKEN": "pat-eu1-<cut"}) as account:
        with pytest.raises(FixConfig, match="edge refused the token") as caught:
            await account.pull("contacts")

        assert [call.status for call in calls(account)] == [530]
        assert "HUBSPOT_ACCESS_TOKEN" in caught.value.next_step


@pytest.mark.parametrize("token", ["pat-eu1-sandbox-full", "pat-eu1-sandbox-service-key"])
async def test_private_app_tokens_and_service_keys_are_one_and_the_same_to_us(token):
    async with connected({"HUBSPOT_ACCESS_TOKEN": token}) as account:
        assert (await account.adapter.account()).id


# ------------------------------------------------------------------------------------------- the day's allowance


async def test_the_days_calls_are_told_by_everybody_by_us_and_until_when(account):
    assert account.adapter.allowance() is None  # nothing was asked yet
    async with httpx.AsyncClient(base_url=account.sandbox.url, headers=TOKEN) as http:
        for _ in range(7):  # another app of the same account
            await http.get("/account-info/v3/details")
    await account.adapter.account()
    await account.adapter.account()

    told = account.adapter.allowance()

    assert (told.used, told.allowed, told.ours, told.share) == (9, 625_000, 2, 0.3)
    assert abs(told.resets_at - BERLIN_MIDNIGHT) < 5 * SECOND


async def test_at_midnight_of_the_account_our_own_calls_count_from_nought(account):
    for _ in range(3):
        await account.adapter.account()
    account.clock.advance(14 * HOUR)

    assert account.adapter.allowance().ours == 0
    await account.adapter.account()
    assert (account.adapter.allowance().ours, account.adapter.allowance().used) == (1, 1)
    assert account.adapter.allowance().resets_at > BERLIN_MIDNIGHT + 23 * HOUR


async def test_an_app_of_oauth_is_told_no_daily_number_and_keeps_to_its_own_window():
    async with connected(oauth=True) as account:
        for _ in range(130):
            await account.adapter.account()

        assert account.adapter.allowance() is None
        assert not [call for call in calls(account) if call.status == 429]
