"""When writes go as a job, and what is asked of an org around one. Implements connector.ports.BulkSink."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from adapters.salesforce import soql
from adapters.salesforce.bulk import Bulk
from adapters.salesforce.bulk_push import ENOUGH, JOB_ROWS, Collections, end_job, push_job
from adapters.salesforce.errors import FieldRefused, ObjectRefused
from adapters.salesforce.payload import long_id
from adapters.salesforce.pull import pull
from adapters.salesforce.rest import Rest, urgent
from connector.core.model import JsonValue, Receipt, Ref, VendorRecord, Write
from connector.errors import StopRun
from connector.ports import Alive, Clock, Fields, Switch
from connector.transport import leaving

SCARCE = 0.8  # of the org's calls are used: then a job is better from ENOUGH rows on
RULE_KNOWN = timedelta(hours=1)
NO_SWEEP = timedelta(days=36_500)  # only what changed is asked for

ASSIGNS = Switch(
    "bulk_assigns_leads",
    "A Bulk job runs the org's active lead assignment rule although it names none, so that a score would hand Leads to "
    "others. While that is not known, Leads of an org with such a rule are written by collections.",
    True,
)


class JobSink:
    """Jobs of writes to one org. `writes_from`: so many are always better as a job, None never. `switches` are looked
    up when asked."""

    rows = JOB_ROWS

    def __init__(
        self,
        bulk: Bulk,
        clock: Clock,
        collections: Collections,
        switches: Callable[[str], JsonValue],
        writes_from: int | None,
    ) -> None:
        self._bulk = bulk
        self._clock = clock
        self._collections = collections
        self._switch = switches
        self._from = writes_from
        self._rule: tuple[datetime, bool] | None = None

    async def worth(self, object: str, rows: int) -> bool:
        """See connector.ports.BulkSink."""
        if self._from is None:
            return False
        usage = self._bulk.rest.usage()
        scarce = usage.allowed > 0 and usage.used > SCARCE * usage.allowed
        if rows < (min(ENOUGH, self._from) if scarce else self._from) or not self._bulk.fits(object):
            return False
        return object != "Lead" or await self._leads_stay()

    async def _leads_stay(self) -> bool:
        """Whether a job can neither hand Leads to others nor write to one that was converted meanwhile."""
        if self._switch("converted_leads_editable"):
            return False
        return not self._switch(ASSIGNS.name) or not await self._has_rule()

    async def _has_rule(self) -> bool:
        now = self._clock.now()
        if self._rule is None or now - self._rule[0] > RULE_KNOWN:
            self._rule = (now, await has_rule(self._bulk.rest))
        return self._rule[1]

    async def changed(
        self, refs: Sequence[Ref], since: datetime, fields: Fields, alive: Alive
    ) -> Mapping[Ref, VendorRecord]:
        """See connector.ports.BulkSink."""
        found: dict[Ref, VendorRecord] = {}
        asked = {long_id(ref.id): ref for ref in refs}
        for source in {ref.object for ref in refs}:
            cursor = {
                "kind": "changes",
                "until": soql.instant(since),
                "due": soql.instant(self._clock.now() + NO_SWEEP),
            }
            async with aclosing(pull(self._bulk, source, cursor, fields)) as pages:  # type: ignore[type-var]
                async for page in pages:
                    found |= {
                        asked[key]: record
                        for record in page.records
                        if (key := long_id(record.ref.id)) in asked
                    }
                    if any(long_id(row.id) in asked for row in page.quarantined):
                        raise StopRun(f"A {source} came back unreadable when it was looked at again.")
                    await alive()
        return found

    async def push(
        self, batch: Sequence[Write], *, begun: Callable[[str], Awaitable[None]], alive: Alive
    ) -> list[Receipt]:
        """See connector.ports.BulkSink."""
        with urgent(), leaving(alive):
            return await push_job(self._bulk, self._clock, batch, self._collections, begun=begun, alive=alive)

    async def end(self, job: str, alive: Alive) -> None:
        """See connector.ports.BulkSink."""
        with urgent():
            await end_job(self._bulk, job, alive)


async def has_rule(rest: Rest) -> bool:
    """Whether a lead assignment rule is active; yes where this user may not know."""
    query = soql.select(["Id"], "AssignmentRule", ["SobjectType = 'Lead'", "Active = true"], limit=1)
    try:
        return bool(await rest.all_rows(query))
    except (FieldRefused, ObjectRefused):
        return True
