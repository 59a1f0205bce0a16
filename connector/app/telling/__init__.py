"""Tells people what they are to be told: a job of the sidecar, once among all replicas, never in the way of a sync.

What is to be told is kept in the ledger before it is sent and marked after: a message may come twice where a process
dies between the two (its number says so), and is never lost. A target that fails is tried again, alone, ever later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from connector.app.leases import held
from connector.app.telling.once import digest, erasures, fold, health, summaries
from connector.app.telling.targets import Target, by_name, read_targets, send
from connector.app.telling.words import message
from connector.core.handoff import Users
from connector.core.notify import GIVE_UP, PERSONAL, REVIEW, Notify, retry_after
from connector.core.routing import Way, ways
from connector.ledger.store_delivery import FOLDED_IT, GIVEN_UP, TOLD_IT, WAITING
from connector.phases.lease import Heartbeat
from connector.phases.owners import known_owners, read_owners
from connector.ports import Delivery

if TYPE_CHECKING:
    from connector.app.sidecar import Sidecar
    from connector.app.wiring import Wired

__all__ = ["EVERY", "Outbox", "Target", "read_targets", "refresh_owners", "tell"]

log = structlog.get_logger("connector.telling")

EVERY = timedelta(minutes=1)
LEASE = "notify"
AT_ONCE = 200  # messages in one go; the rest has its turn a minute later
ROUTED = 1_000  # notices in one go
STALE = timedelta(days=3)  # what is older is told of in one line: it is no news any more


class Outbox:
    """Where messages go. `failing`: targets that did not take the last message; each is logged once. `address`: of the
    connector, by which others reach it; without one no message has a link."""

    def __init__(self, targets: Sequence[Target], registry: CollectorRegistry, address: str = "") -> None:
        self.targets, self.address = tuple(targets), address
        self.failing: set[str] = set()
        self.waiting = Gauge(
            "connector_notifications_waiting", "Messages that wait to be told", ["target"], registry=registry
        )
        self.tried = Counter(
            "connector_notifications_total",
            "Tries to tell a message",
            ["target", "outcome"],
            registry=registry,
        )


@dataclass(frozen=True, slots=True)
class _Desk:
    """One round of the job."""

    parts: Wired
    outbox: Outbox
    notify: Notify
    hold: Heartbeat
    users: Users

    @property
    def tags(self) -> Mapping[str, frozenset[str]]:
        return {each.name: each.tags for each in self.outbox.targets}


async def tell(side: Sidecar) -> None:
    """One round: what is to be told once (health, summaries, the digest), whom to tell, and the messages that are due.
    Without a target nothing is done: notices are kept, and are old news by the time there is one."""
    if not side.outbox.targets:
        return
    parts, criteria = side.parts, side.current.definition.criteria
    async with held(parts.ledger, LEASE, parts.holder, parts.clock, patience=timedelta()) as hold:
        users = await known_owners(parts.ledger)
        desk = _Desk(parts, side.outbox, criteria.notify, hold, users)
        await health(parts, hold)
        await summaries(parts, hold)
        await digest(parts, criteria, hold, users)
        await erasures(parts, criteria.notify, hold)
        await fold(parts, criteria.notify, hold)
        await _route(desk)
        await _deliver(desk)


async def refresh_owners(side: Sidecar, crm: str) -> None:
    """Who may own records, where a target reaches owners; a hand-off reads them with the syncs by itself."""
    if any("owners" in each.tags for each in side.outbox.targets):
        parts = side.parts
        for why in (await read_owners({crm: parts.adapters[crm]}, parts.ledger, parts.clock)).values():
            log.warning("owners cannot be read", crm=crm, why=why)


async def _route(desk: _Desk) -> None:
    """Settle whom to tell of what is new. A notice that leads nowhere is settled all the same."""
    now, ledger = desk.parts.clock.now(), desk.parts.ledger
    found = await ledger.unrouted(ROUTED)
    if not found:
        return
    stale = {number for number, each in found if each.kind != REVIEW and now - each.made_at > STALE}
    personal = frozenset(number for number, each in found if each.kind in PERSONAL)
    routed = {
        number: []
        if number in stale - personal  # it is no news any more, and is about nobody
        else ways(each.kind, each.to, desk.notify, desk.tags, desk.users)
        for number, each in found
    }
    await ledger.route_notices(routed, desk.hold.lease, now, late=personal & stale, personal=personal)


async def _deliver(desk: _Desk) -> None:
    """Tell what is due, in order. A target that fails is left alone for the rest of the round."""
    clock, ledger = desk.parts.clock, desk.parts.ledger
    targets, down = by_name(desk.outbox.targets), set[str]()
    for each in await ledger.due_deliveries(clock.now(), AT_ONCE):
        target = targets.get(each.target)
        if target is None:  # it was taken out of the settings
            await ledger.settle_delivery(each, GIVEN_UP, desk.hold.lease, clock.now())
        elif each.target not in down and not await _told(desk, target, each):
            down.add(each.target)
    waiting = await ledger.waiting_deliveries()
    for name in targets:
        desk.outbox.waiting.labels(name).set(waiting.get(name, (0, 0))[0])


async def _told(desk: _Desk, target: Target, each: Delivery) -> bool:
    """Try one. False where the target did not take it."""
    clock, ledger, outbox = desk.parts.clock, desk.parts.ledger, desk.outbox
    way = Way(each.target, each.address)
    if each.personal and each.notice.kind in PERSONAL:
        told = await ledger.told_since(way, desk.notify.day_begins(clock.now()))
        if told >= desk.notify.daily_cap:
            await ledger.settle_delivery(each, FOLDED_IT, desk.hold.lease, clock.now())
            return True
    fields, owner = None, ""
    if each.notice.person is not None:
        found = await ledger.person_told_of(each.notice.person)
        if found is None:  # erased, or another person by now
            await ledger.settle_delivery(each, GIVEN_UP, desk.hold.lease, clock.now())
            return True
        fields, owner = found
    title, body = message(
        each.notice_number, each.notice, fields, desk.notify, desk.users, owner, outbox.address
    )
    took = await send(target, title, body, to=each.address)
    outbox.tried.labels(each.target, "told" if took else "failed").inc()
    now = clock.now()
    if took:
        await ledger.settle_delivery(each, TOLD_IT, desk.hold.lease, now)
        if each.target in outbox.failing:
            outbox.failing.discard(each.target)
            log.info("target of notifications is back", target=each.target)
        return True
    if each.target not in outbox.failing:
        outbox.failing.add(each.target)
        log.warning(
            "target of notifications fails",
            target=each.target,
            next_step="It is tried again. See that it is reachable and that its token in CONNECTOR_NOTIFY_URLS holds.",
        )
    if now - each.notice.made_at > GIVE_UP:
        await ledger.settle_delivery(each, GIVEN_UP, desk.hold.lease, now)
    else:
        again = now + retry_after(each.tries + 1)
        await ledger.settle_delivery(each, WAITING, desk.hold.lease, now, again=again)
    return False
