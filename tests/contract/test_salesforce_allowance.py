"""The org's calls of the last 24 hours are everybody's: what we leave to others, and what still goes."""

from datetime import timedelta

import httpx
import pytest

from adapters.salesforce.sandbox.org import CLIENT_ID, CLIENT_SECRET
from connector.core.model import Outcome, Write
from connector.errors import RetryLater
from tests.contract.salesforce_org import FIELDS

ALL = {"SALESFORCE_DAILY_SHARE": "1"}


def others_use(org, share):
    """Another program brings the org's use to this share of its day."""
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    token = httpx.post(f"{org.sandbox.url}/services/oauth2/token", data=form).json()["access_token"]
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as http:
        while True:
            told = http.get(f"{org.sandbox.url}/services/data/v66.0/limits").headers["Sforce-Limit-Info"]
            used, allowed = told.split(";")[0].removeprefix("api-usage=").split("/")
            if int(used) >= share * int(allowed):
                return


async def test_beyond_85_percent_of_the_orgs_day_only_writes_that_are_decided_go(make_org):
    org = await make_org(daily_limit=200, variables=ALL)
    lead = await org.one("Lead")
    others_use(org, 0.86)
    await org.adapter.account()  # its answer tells how much is used

    with pytest.raises(RetryLater, match="all its programs"):
        await org.pull("Contact")
    fresh = await org.adapter.read([lead.ref], FIELDS)
    [receipt] = await org.adapter.push([Write(1, lead.ref, {"MQL_Score__c": 42})])

    assert lead.ref in fresh
    assert receipt.outcome is Outcome.WRITTEN


async def test_a_use_that_was_told_long_ago_is_asked_for_again_so_that_nothing_waits_for_ever(make_org):
    org = await make_org(daily_limit=200, variables=ALL)
    others_use(org, 0.86)
    await org.adapter.account()
    with pytest.raises(RetryLater):
        await org.pull("Contact")
    org.clock.advance(timedelta(hours=25))

    assert await org.pull("Contact")


async def test_below_it_everything_goes(make_org):
    org = await make_org(daily_limit=200, variables=ALL)
    others_use(org, 0.5)

    assert await org.pull("Contact")


@pytest.mark.parametrize("per_app", [None, 250])
async def test_the_orgs_own_use_is_read_also_behind_and_before_further_clauses(make_org, per_app):
    org = await make_org(daily_limit=5000, per_app_limit=per_app)

    await org.pull("Lead")

    told = org.adapter.allowance()
    assert told is not None
    assert told.allowed == 5000
    assert told.used >= told.ours > 0


async def test_too_many_calls_at_once_are_no_spent_day_and_are_waited_out(org):
    busy = [
        {
            "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            "errorCode": "REQUEST_LIMIT_EXCEEDED",
        }
    ]
    org.sandbox.faults.add(path="*/query*", status=403, json=busy, times=2)

    assert await org.pull("Lead")
