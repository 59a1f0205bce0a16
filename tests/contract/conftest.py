"""Fixtures of the contract tests: orgs of Salesforce, each with an adapter connected to it."""

import pytest

from adapters.salesforce import PLUGIN
from connector.testing.clock import LeapingClock
from tests.contract.salesforce_org import Org, served


@pytest.fixture
async def make_org():
    """Starts orgs with the options a test needs; adapters and servers end with the test."""
    ends, adapters = [], []

    async def make(people=60, variables=None, tokens=None, **options):
        context = served(people, **options)
        running, clock = context.__enter__()
        ends.append(context)
        given = {**running["salesforce"].environment(), **(variables or {})}
        given = {name: value for name, value in given.items() if value}
        adapter = PLUGIN.connect(given, LeapingClock(clock), tokens)
        adapters.append(adapter)
        return Org(running, clock, adapter)

    yield make
    for adapter in adapters:
        await adapter.close()
    for context in ends:
        context.__exit__(None, None, None)


@pytest.fixture
async def org(make_org):
    return await make_org()
