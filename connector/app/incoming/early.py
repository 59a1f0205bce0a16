"""A sync before its time, where somebody raised a hand in the application: they are decided within a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.app.requests import fingerprint
from connector.ports import EARLY, serving

if TYPE_CHECKING:
    from connector.app.sidecar import Sidecar

WHO = "first-party engagement"


async def sync_early(side: Sidecar) -> None:
    """Leave one sync to whoever serves the CRMs. Where nobody does, the mark stays."""
    ledger, clock = side.parts.ledger, side.parts.clock
    marked = await ledger.hints(EARLY.crm, EARLY.object, 1)
    if not marked:
        return
    await side.current.of(())  # by the definition that is in force now: the request is refused otherwise
    asked = {
        each.crms for each in await ledger.open_requests() if each.kind == "sync" and each.status == "queued"
    }
    by_holder: dict[str, list[str]] = {}
    for crm in sorted(side.parts.adapters):
        if who := await ledger.holder(serving(crm), clock.now()):
            by_holder.setdefault(who, []).append(crm)
    arguments = {"plan_only": False, "yes": False, "definition": fingerprint(side.current.definition)}
    for crms in by_holder.values():
        if tuple(crms) not in asked:
            await ledger.ask_request("sync", crms, arguments, WHO, clock.now())
    if by_holder:
        await ledger.heed(marked)
