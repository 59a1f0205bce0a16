"""What is asked of the CRMs by night, beside the syncs of the day: the sweep of those whom time alone changes, and the
slow full compare. Both in turn with the syncs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import structlog

from connector.app.observed import work
from connector.app.who import SCHEDULE
from connector.compare import compare
from connector.errors import RetryLater

if TYPE_CHECKING:
    from connector.app.sidecar import Sidecar

log = structlog.get_logger("connector.jobs")


async def sweep(side: Sidecar, crm: str) -> None:
    """Whoever became due at the last UTC midnight, since a score fades or a dwell ends, is decided by a sync of its
    own: whatever the interval of the day's syncs, and however the last of them went. Nothing is done where one has done
    it already, and reached the CRM. Raises RetryLater where the CRM does not answer."""
    parts = side.parts
    midnight = datetime.combine(parts.clock.now().date(), time(), UTC)
    async with side.turn:  # one sync for all CRMs: whoever comes next finds nobody due
        if not (await parts.ledger.pulse(midnight)).due and side.health.crms.get(crm) is None:
            return
        result = await side.synced(side.served.crms)
    if side.stopping:
        raise asyncio.CancelledError
    if result is None or crm not in result.crms:
        raise RetryLater(f"{crm} is served by another process by now.", next_step="It does it.", where=crm)
    if result.status not in ("succeeded", "partial") or result.crms[crm].error:
        why = result.crms[crm].error or f"the run {result.status}"
        raise RetryLater(
            f"The nightly sweep of {crm}, run {result.run}, did not go through: {why}",
            next_step="It is tried again by itself; `connector runs show` and `connector check` say more.",
            where=crm,
        )


async def full_compare(side: Sidecar, crm: str) -> None:
    """Everything that is known of the CRM against its own counts. Raises RetryLater where it has more than is known, or
    does not answer."""
    async with side.turn:
        if side.stopping:
            raise asyncio.CancelledError
        parts = await side.current.of([crm])
        with work("compare") as note:
            result = await compare(
                parts.adapters[crm], parts.definition, parts.ledger, parts.clock,
                holder=parts.holder, asked_by=SCHEDULE,
            )  # fmt: skip
            note(connector__run=result.run)
    for stream, why in result.more["closed"].items():
        log.warning("a gap was closed", crm=crm, stream=stream, what=why)
    if error := result.crms[crm].error:
        raise RetryLater(
            f"The full compare of {crm}, run {result.run}: {error}",
            next_step=f"`connector backfill {crm}` reads everything once more.",
            where=crm,
        )
