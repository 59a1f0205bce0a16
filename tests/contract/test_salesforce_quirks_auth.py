"""Salesforce's quirks of logging in, over real HTTP: rotating tokens, sessions that end, a 401 that no login helps."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from adapters.salesforce import PLUGIN
from adapters.salesforce.sandbox.org import REFRESH_TOKEN
from connector.core.model import Ref, Write
from connector.errors import FixConfig
from connector.testing.clock import LeapingClock
from tests.contract.salesforce_org import FIELDS

BY_REFRESH = {"SALESFORCE_REFRESH_TOKEN": REFRESH_TOKEN}


class SharedStore:
    """What two processes share: one stored token, and a turn for each."""

    def __init__(self):
        self.stored = None
        self.saved = []
        self.turn = asyncio.Lock()

    async def load(self, crm):
        return self.stored

    async def save(self, crm, token):
        self.stored = token
        self.saved.append(token)

    @asynccontextmanager
    async def alone(self, crm):
        async with self.turn:
            yield


def logins(org):
    return list(org.sandbox.log.calls("oauth2/token"))


@pytest.fixture
async def two(make_org):
    """Two adapters, as of two processes, with one refresh token and one store."""
    store = SharedStore()
    org = await make_org(variables=BY_REFRESH, tokens=store)
    given = {**org.sandbox.environment(), **BY_REFRESH}
    other = PLUGIN.connect(given, LeapingClock(org.clock), store)
    yield org, other, store
    await other.close()


async def test_quirk_salesforce_29_two_processes_that_refresh_at_once_do_not_kill_the_grant(two):
    """The org revokes the whole family when an old refresh token is shown a second time."""
    org, other, store = two
    for _ in range(3):
        await asyncio.gather(org.adapter.account(), other.account())
        org.clock.advance(timedelta(hours=3))

    await asyncio.gather(org.adapter.account(), other.account())

    assert {call.status for call in logins(org)} == {200}
    assert len(store.saved) == len(set(store.saved)) == len(logins(org)) == 8


async def test_quirk_salesforce_29_without_taking_turns_the_same_two_processes_lose_the_grant(two):
    """That the turn matters: the store's word alone is not enough."""
    org, other, store = two

    @asynccontextmanager
    async def nobody_waits(crm):
        yield

    store.alone = nobody_waits
    results = await asyncio.gather(org.adapter.account(), other.account(), return_exceptions=True)

    assert any(isinstance(each, FixConfig) for each in results)


async def test_quirk_salesforce_29_a_process_that_starts_anew_goes_on_with_the_stored_token(make_org):
    store = SharedStore()
    org = await make_org(variables=BY_REFRESH, tokens=store)
    await org.adapter.account()
    again = PLUGIN.connect({**org.sandbox.environment(), **BY_REFRESH}, LeapingClock(org.clock), store)

    account = await again.account()
    await again.close()

    assert account.id.startswith("00D")
    assert len(store.saved) == 2


@pytest.mark.parametrize("jwt_tokens", [False, True])
async def test_quirk_salesforce_30_parallel_streams_whose_session_ends_log_in_once(make_org, jwt_tokens):
    """Tokens in JWT form have a fixed life and end with a code of their own."""
    org = await make_org(jwt_tokens=jwt_tokens)
    await org.adapter.account()
    org.clock.advance(timedelta(hours=3))

    await asyncio.gather(*(org.pull(name) for name in ("Lead", "Contact", "Account", "Opportunity", "Task")))

    assert len(logins(org)) == 2
    refused = [call for call in org.sandbox.log.calls("query") if call.status == 401]
    assert refused


async def test_quirk_salesforce_30_a_session_that_ends_between_two_pages_costs_no_row(make_org):
    org = await make_org(jwt_tokens=True, page_rows=7)
    expired = [{"message": "INVALID_JWT_FORMAT", "errorCode": "INVALID_JWT_FORMAT"}]
    org.sandbox.faults.add(method="GET", path="*/query/*", skip=1, status=401, json=expired)

    pages = await org.pull("Lead")

    assert sorted(record.ref.id for page in pages for record in page.records) == sorted(org.ids("Lead"))
    assert len(logins(org)) == 2


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("This session is not valid for use with the REST API", "INVALID_SESSION_ID"),
        ("Connected app is not attached to Agent", "INVALID_SESSION_ID"),
    ],
)
async def test_quirk_salesforce_31_a_401_that_no_login_helps_is_not_answered_with_one(org, message, code):
    await org.adapter.account()
    refused = [{"message": message, "errorCode": code}]
    org.sandbox.faults.add(path="*/query*", status=401, json=refused, times=None)

    with pytest.raises(FixConfig, match=message):
        await org.pull("Lead")

    assert len(logins(org)) == 1


async def test_quirk_salesforce_31_a_401_that_stays_after_a_login_ends_instead_of_looping(org):
    await org.adapter.account()
    expired = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    org.sandbox.faults.add(path="*/query*", status=401, json=expired, times=None)

    with pytest.raises(FixConfig, match="INVALID_SESSION_ID"):
        await org.pull("Lead")

    assert len(logins(org)) == 2
    assert len([call for call in org.sandbox.log.calls("query") if call.status == 401]) == 2


async def test_a_write_whose_session_ended_is_sent_again_once_and_written_once(make_org):
    org = await make_org()
    lead = await org.one("Lead")
    org.clock.advance(timedelta(hours=3))
    [receipt] = await org.adapter.push([Write(1, lead.ref, {"MQL_Score__c": 42})])

    assert receipt.outcome.value == "written"
    assert len([write for write in org.sandbox.log.writes() if write.by == "api"]) == 1
    assert (await org.adapter.read([Ref("salesforce", "Lead", lead.ref.id)], FIELDS))[lead.ref].values[
        "MQL_Score__c"
    ] == 42
