"""Several at one ledger: two processes at the same CRM, one that was paused and wakes up, one that was killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from connector.app.settings import variables_of
from connector.app.wiring import plugins
from connector.ledger import open_ledger
from connector.ports import Adapter
from tests.stories.world import START, QuickClock, World, world


class Beside(QuickClock):
    """Waiting takes a moment of ours and a tenth of it on the clock: others get on meanwhile."""

    async def sleep(self, span: timedelta) -> None:
        self.advance(span / 10)
        await asyncio.sleep(span.total_seconds() / 100)


@asynccontextmanager
async def another_process(made: World) -> AsyncIterator[World]:
    """The same ledger and the same CRMs with connections of its own."""
    environment = made.running.environment()
    adapters: Mapping[str, Adapter] = {
        crm: plugin.connect(variables_of(plugin.variables, environment), made.clock, None)
        for crm, plugin in plugins().items()
    }
    ledger = open_ledger(made.ledger_url)
    try:
        yield replace(made, adapters=adapters, ledger=ledger, asked=[])
    finally:
        for adapter in adapters.values():
            await adapter.close()
        await ledger.close()


def written_twice(made: World, crm: str, since: int = 0) -> list[str]:
    """Records that the API was told the same of more than once."""
    told = Counter((write.id, str(sorted(write.fields.items()))) for write in made.writes(crm, since))
    return [id_ for (id_, _), times in told.items() if times > 1]


async def test_two_processes_that_sync_the_same_crms_at_once_write_nothing_twice_and_both_end_well(
    database_url: str,
) -> None:
    async with world(database_url, people=150, clock=Beside(START)) as one, another_process(one) as two:
        one.hubspot.faults.add(
            method="POST", path="*/batch/update", delay=1.5, times=1
        )  # while the other decides
        results = await asyncio.gather(one.sync(holder="one"), two.sync(holder="two"))
        after = await one.sync(holder="one")

        assert [result.status for result in results] == ["succeeded", "succeeded"], results
        for crm in ("hubspot", "salesforce"):
            assert sum(result.crms[crm].written for result in results) == len(one.writes(crm)) > 0
            assert written_twice(one, crm) == []
        assert all(counts.written == counts.planned == 0 for counts in after.crms.values())
