"""A served HubSpot account and an adapter connected to it, for the contract tests of this adapter."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from adapters.hubspot import PLUGIN
from connector.app.commands.init import shipped
from connector.app.files import load_mapping
from connector.core.mapping import wanted_fields
from connector.core.normalize import normalize_event
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from connector.testing.clock import LeapingClock

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
MAPPING = load_mapping(shipped() / "hubspot.yaml")
FIELDS = wanted_fields(MAPPING)


class Engaged:
    """The shipped mapping over one account; cursors are kept as a run keeps them."""

    def __init__(self, sandbox, clock, adapter, population):
        self.sandbox = sandbox
        self.clock = clock
        self.adapter = adapter
        self.population = population
        self.cursors = {}

    async def pages(self, stream):
        async for page in self.adapter.pull(stream, self.cursors.get(stream), FIELDS):
            yield page
            self.cursors[stream] = page.cursor

    async def events(self, stream):
        """Every event that came, in order; one that came twice is there twice."""
        return [event for page in [page async for page in self.pages(stream)] for event in page.events]

    async def engagement(self, stream):
        """The same in our words, by the shipped mapping."""
        return [one for event in await self.events(stream) for one in normalize_event(event, MAPPING)]

    async def quiet(self, *streams):
        """Everything read, the overlap long past."""
        for _ in range(2):
            for stream in streams:
                await self.events(stream)
            self.clock.advance(2 * HOUR)

    def people(self, many=1):
        """Record ids and main addresses of live contacts that have one."""
        live = [r for r in self.population.records("hubspot") if r.state == "live" and r.emails]
        return [(r.id, r.emails[0]) for r in live[:many]]


@asynccontextmanager
async def engaged(variables=None, people=120, **options):
    """`variables` replace the environment's, `options` go to the sandbox."""
    clock = SandboxClock(START)
    population = make_population(people, 5, START)
    with serve([PLUGIN.build_sandbox(population, clock, **options)]) as running:
        adapter = PLUGIN.connect({**running.environment(), **(variables or {})}, LeapingClock(clock), None)
        try:
            yield Engaged(running["hubspot"], clock, adapter, population)
        finally:
            await adapter.close()


def uncommented(text):
    """The shipped mapping with the streams that it only proposes: `tasks` to `communications`, `behavioural_events`."""
    lines = []
    inside = False
    for line in text.splitlines():
        inside = line.startswith(("  # tasks:", "  # behavioural_events:")) or (
            inside and line.startswith("  # ")
        )
        lines.append(line.replace("  # ", "  ", 1) if inside else line)
    return "\n".join(lines)
