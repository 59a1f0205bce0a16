"""Every folder under adapters/ keeps the promises of the suite, over real HTTP against its own sandbox."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import UTC, datetime

import pytest

import adapters
from connector.core.model import Ref
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from connector.testing.adapter_suite import AdapterSuite, Subject
from connector.testing.backfill_suite import BackfillSuite
from connector.testing.clock import LeapingClock

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
FOUND = sorted(module.name for module in pkgutil.iter_modules(adapters.__path__) if module.ispkg)


def test_there_are_adapters():
    assert FOUND


class TestEveryAdapter(AdapterSuite, BackfillSuite):
    @pytest.fixture(scope="class", params=FOUND)
    def world(self, request):
        """The plugin and a made-up population; made once, served anew for each test."""
        plugin = importlib.import_module(f"adapters.{request.param}").PLUGIN
        return plugin, make_population(150, 11, START)

    @pytest.fixture
    async def subject(self, world):
        plugin, population = world
        clock = SandboxClock(START)
        people = frozenset(
            Ref(plugin.crm, record.object, record.id)
            for record in population.records(plugin.crm)
            if record.state == "live"
        )
        with serve([plugin.build_sandbox(population, clock)]) as running:
            variables = running.environment()

            def reconnect(changed):
                return plugin.connect({**variables, **changed}, LeapingClock(clock), None)

            adapter = reconnect({})
            try:
                yield await self._subject(plugin, adapter, running[plugin.crm], people, reconnect, variables)
            finally:
                await adapter.close()

    @staticmethod
    async def _subject(plugin, adapter, sandbox, people, reconnect, variables):
        objects = sorted({ref.object for ref in people})
        schema = await adapter.schema(objects[0])
        by_name = {name.lower().removesuffix("__c"): name for name in schema}
        score, reason = by_name["mql_score"], by_name["mql_reason"]
        sandbox.log.clear()
        return Subject(
            adapter=adapter,
            sandbox=sandbox,
            fields={object_: frozenset({score, reason}) for object_ in objects},
            people=people,
            score=score,
            reason=reason,
            reconnect=reconnect,
            secrets=tuple(v.name for v in plugin.variables if v.secret and v.name in variables),
        )
