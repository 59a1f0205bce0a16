"""A served Salesforce sandbox with an adapter connected to it, for the contract tests."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache

from adapters.salesforce.sandbox import build
from connector.core.model import RecordState
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIELDS = {
    "Lead": frozenset({"Email", "LastName", "Company", "Status", "MQL_Score__c", "Owner.Name"}),
    "Contact": frozenset({"Email", "Account.Name", "MQL_Score__c"}),
    "Account": frozenset({"Name", "Industry"}),
    "Opportunity": frozenset({"Amount", "StageName"}),
    "CampaignMember": frozenset({"Campaign.Name", "Status"}),
    "Task": frozenset({"Subject", "Status"}),
    "Event": frozenset({"Subject"}),
}


class Org:
    """A served sandbox and an adapter connected to it."""

    def __init__(self, running, clock, adapter):
        self.sandbox = running["salesforce"]
        self.clock = clock
        self.adapter = adapter
        self.cursors = {}

    async def pull(self, stream, *, fields=FIELDS, kept=None):
        """Pages since the last pull; `kept`: the process dies after that many were saved."""
        pages = []
        async for page in self.adapter.pull(stream, self.cursors.get(stream), fields):
            if kept is not None and len(pages) == kept:
                break
            pages.append(page)
            self.cursors[stream] = page.cursor
        return pages

    async def pull_all(self):
        return {stream.name: await self.pull(stream.name) for stream in self.adapter.streams()}

    async def records(self, stream, **more):
        return {record.ref.id: record for page in await self.pull(stream, **more) for record in page.records}

    async def events(self, stream):
        return {event.key: event for page in await self.pull(stream) for event in page.events}

    async def one(self, source, where=lambda record: record.state is RecordState.LIVE):
        return next(record for record in (await self.records(source)).values() if where(record))

    def ids(self, source):
        rows = self.sandbox._run(lambda: list(self.sandbox.sandbox.store.tables[source].rows.values()))
        return {row["Id"] for row in rows if not row.get("IsDeleted")}


@cache
def population(people):
    """Everything in it is long settled when the clock starts."""
    return make_population(people, 11, START - timedelta(days=60))


@contextmanager
def served(people=60, **options):
    clock = SandboxClock(START)
    with serve([build(population(people), clock, **options)]) as running:
        yield running, clock
