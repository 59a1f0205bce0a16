"""Our own parts as a benchmark runs them: connected adapters, the shipped definition, a ledger of its own."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench.measure import Rate, Watch
from bench.server import WIDE
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.settings import variables_of
from connector.app.wiring import SystemClock, plugins
from connector.core.definition import Definition
from connector.core.mapping import CrmMapping, wanted_fields
from connector.ledger import SqlLedger, open_ledger
from connector.phases.gather import gather
from connector.ports import Adapter, Clock, Fields

CONTACT = "contact"


@dataclass(frozen=True)
class Ours:
    """Everything a run needs."""

    adapters: Mapping[str, Adapter]
    definition: Definition
    ledger: SqlLedger
    clock: Clock


@asynccontextmanager
async def ours(
    url: str, environment: Mapping[str, str], crms: tuple[str, ...] = (), clock: Clock | None = None
) -> AsyncIterator[Ours]:
    """Connected to these sandboxes, keeping in this database."""
    clock = clock or SystemClock()
    connected = {
        crm: plugin.connect(variables_of(plugin.variables, environment), clock, None)
        for crm, plugin in plugins().items()
        if not crms or crm in crms
    }
    ledger = open_ledger(url)
    try:
        yield Ours(connected, load_definition(shipped(), plugins()), ledger, clock)
    finally:
        for adapter in connected.values():
            await adapter.close()
        await ledger.close()


class Wider:
    """An adapter that is asked for all 60 properties of a wide account, mapped or not."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def pull(self, stream: str, since: Any, fields: Fields) -> Any:
        return self._adapter.pull(stream, since, {**fields, CONTACT: fields[CONTACT] | frozenset(WIDE)})


def contacts_only(mapping: CrmMapping) -> CrmMapping:
    """HubSpot's contacts without counters and engagement: what the reading of people costs alone."""
    contact = replace(mapping.objects[CONTACT], counters=())
    return replace(mapping, objects={CONTACT: contact}, engagement={})


async def keep_contacts(url: str, environment: Mapping[str, str]) -> Rate:
    """Pull, normalize and keep every contact of a wide account. Connecting and an empty ledger are not counted."""
    async with ours(url, environment, ("hubspot",)) as parts:
        run = await parts.ledger.start_run("bench", ["hubspot"], parts.clock.now())
        await parts.adapters["hubspot"].schema(CONTACT)
        watch = Watch()
        gathered = await gather(
            Wider(parts.adapters["hubspot"]),  # type: ignore[arg-type]
            contacts_only(parts.definition.mappings["hubspot"]),
            parts.ledger,
            parts.clock,
            run=run,
            holder="bench",
        )
        done = watch.rate(sum(counts.rows for counts in gathered.fetched.values()))
    if gathered.failed:
        sys.exit(f"gather failed: {gathered.failed}")
    return done


async def sixty_properties(environment: Mapping[str, str]) -> list[str]:
    """The names that we ask a wide account for: the peers ask for the same."""
    from adapters.hubspot.pull import Pulling, wanted

    plugin = plugins()["hubspot"]
    adapter: Any = plugin.connect(variables_of(plugin.variables, environment), SystemClock(), None)
    mapping = contacts_only(load_definition(shipped(), plugins()).mappings["hubspot"])
    fields = {CONTACT: wanted_fields(mapping)[CONTACT] | frozenset(WIDE)}
    try:
        return await wanted(Pulling(adapter._api, fields, adapter._cached_schema), CONTACT)
    finally:
        await adapter.close()
