"""Notices on their way: which are not routed yet, which deliveries wait, what was told. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from connector.core.notify import FOLDED, SUMMARY
from connector.core.routing import TO_TARGET, Way
from connector.ledger import codec, store_lease, store_notice
from connector.ledger.tables import BACKFILL, NOTICE, PERSON, RUN
from connector.ledger.tables_telling import DELIVERY, SPELL, TOLD
from connector.ports import UNFINISHED, Bulk, Delivery, Folded, Lease, Notice

WAITING, TOLD_IT, FOLDED_IT, SAID, GIVEN_UP = "waiting", "told", "folded", "said", "given_up"
"""States of a delivery. `folded`: beyond the cap of its day; `said`: the line of the next day has told of it."""


def unrouted(db: Connection, limit: int) -> list[tuple[int, Notice]]:
    """Notices of which it is not settled whom to tell, the oldest first, with their numbers."""
    query = select(NOTICE).where(NOTICE.c.routed_at.is_(None)).order_by(NOTICE.c.id).limit(limit)
    return [(row.id, store_notice.load(row)) for row in db.execute(query)]


def route(
    db: Connection, routed: Mapping[int, Sequence[Way]], late: frozenset[int], personal: frozenset[int],
    lease: Lease, at: datetime,
) -> None:  # fmt: skip
    """Keep where these notices go. `late`: those that are told in the line of the next day alone; `personal`: those
    that count against the cap. In one commit, so that no notice is half routed."""
    store_lease.check(db, lease)
    rows = [
        {
            "notice": notice,
            "target": way.target,
            "address": way.address,
            "status": FOLDED_IT if notice in late else WAITING,
            "personal": notice in personal,
            "tries": 0,
            "next_at": at,
            "told_at": at if notice in late else None,
        }
        for notice, found in sorted(routed.items())
        for way in found
    ]
    if rows:
        db.execute(insert(DELIVERY), rows)
    for notice in routed:
        db.execute(update(NOTICE).where(NOTICE.c.id == notice).values(routed_at=at))


def due(db: Connection, at: datetime, limit: int) -> list[Delivery]:
    """Deliveries whose time has come, in the order in which they were made."""
    query = (
        select(NOTICE, *(each.label(f"delivery_{each.name}") for each in DELIVERY.c))
        .join(DELIVERY, NOTICE.c.id == DELIVERY.c.notice)
        .where(DELIVERY.c.status == WAITING, DELIVERY.c.next_at <= at)
        .order_by(DELIVERY.c.id)
        .limit(limit)
    )
    return [
        Delivery(
            row.delivery_id, row.id, store_notice.load(row), row.delivery_target, row.delivery_address,
            row.delivery_personal, row.delivery_tries,
        )
        for row in db.execute(query)
    ]  # fmt: skip


def told_since(db: Connection, way: Way, since: datetime) -> int:
    """How many messages about single people were told there since this moment."""
    query = select(func.count()).where(
        DELIVERY.c.target == way.target,
        DELIVERY.c.address == way.address,
        DELIVERY.c.personal.is_(True),
        DELIVERY.c.status == TOLD_IT,
        DELIVERY.c.told_at >= since,
    )
    return db.execute(query).scalar() or 0


def settle(
    db: Connection,
    delivery: Delivery,
    status: str,
    lease: Lease,
    at: datetime,
    *,
    again: datetime | None = None,
) -> None:
    """What became of a try. `again`: when it is tried next."""
    store_lease.check(db, lease)
    tried = delivery.tries + (status != FOLDED_IT)
    told_at = None if again is not None else at
    values = {"status": status, "tries": tried, "told_at": told_at, **({"next_at": again} if again else {})}
    db.execute(update(DELIVERY).where(DELIVERY.c.id == delivery.id).values(values))
    if status == TOLD_IT:
        first = update(NOTICE).where(NOTICE.c.id == delivery.notice_number, NOTICE.c.told_at.is_(None))
        db.execute(first.values(told_at=at))


def folded(db: Connection, before: datetime) -> list[Folded]:
    """What was beyond the cap of earlier days, by target, address and kind, and was not told of since."""
    query = (
        select(DELIVERY.c.target, DELIVERY.c.address, NOTICE.c.kind, func.count().label("many"))
        .join(NOTICE, NOTICE.c.id == DELIVERY.c.notice)
        .where(DELIVERY.c.status == FOLDED_IT, DELIVERY.c.told_at < before)
        .group_by(DELIVERY.c.target, DELIVERY.c.address, NOTICE.c.kind)
        .order_by(DELIVERY.c.target, DELIVERY.c.address, NOTICE.c.kind)
    )
    return [Folded(Way(row.target, row.address), row.kind, row.many) for row in db.execute(query)]


def fold(db: Connection, way: Way, text: str, key: str, before: datetime, lease: Lease, at: datetime) -> None:
    """One line for what was beyond the cap there before this moment."""
    store_lease.check(db, lease)
    to = f"{TO_TARGET}{way.target} {way.address}".strip()
    store_notice.keep_one(db, Notice(FOLDED, to, text, at), key)
    those = (
        DELIVERY.c.status == FOLDED_IT,
        DELIVERY.c.told_at < before,
        DELIVERY.c.target == way.target,
        DELIVERY.c.address == way.address,
    )
    db.execute(update(DELIVERY).where(*those).values(status=SAID))


def waiting(db: Connection) -> dict[str, tuple[int, int]]:
    """Per target: how many deliveries wait, and how often the one that was tried most has failed."""
    query = (
        select(DELIVERY.c.target, func.count().label("many"), func.max(DELIVERY.c.tries).label("tries"))
        .where(DELIVERY.c.status == WAITING)
        .group_by(DELIVERY.c.target)
    )
    return {row.target: (row.many, row.tries) for row in db.execute(query)}


# ------------------------------------------------------------------------------------------------ one for many


def bulks(db: Connection, over_since: datetime) -> list[Bulk]:
    """MQLs that were found in bulk and told to nobody yet, by run, or by backfill; only of runs that have ended, or
    that began before this moment and will not end any more."""
    query = (
        select(
            func.min(RUN.c.backfill).label("backfill"),
            func.min(SPELL.c.run).label("run"),
            SPELL.c.quiet,
            func.count().label("many"),
        )
        .join(RUN, RUN.c.id == SPELL.c.run)
        .join(BACKFILL, BACKFILL.c.id == RUN.c.backfill, isouter=True)
        .where(SPELL.c.summed.is_(False))
        .where(or_(RUN.c.finished_at.is_not(None), RUN.c.started_at < over_since))
        .where(or_(RUN.c.backfill.is_(None), BACKFILL.c.status.not_in(UNFINISHED)))
        .group_by(func.coalesce(RUN.c.backfill, -RUN.c.id), SPELL.c.quiet)
        .order_by(func.min(SPELL.c.run))
    )
    return [Bulk(row.run, row.backfill or None, row.quiet, row.many) for row in db.execute(query)]


def sum_up(db: Connection, bulk: Bulk, notice: Notice, lease: Lease) -> None:
    """One notice for all MQLs that a run, or a backfill, has found in bulk."""
    store_lease.check(db, lease)
    of = [bulk.run] if bulk.backfill is None else _runs_of(db, bulk.backfill)
    store_notice.keep_one(db, notice, f"{bulk.quiet} of {bulk.run}")
    db.execute(
        update(SPELL)
        .where(SPELL.c.run.in_(of), SPELL.c.quiet == bulk.quiet, SPELL.c.summed.is_(False))
        .values(summed=True)
    )


def _runs_of(db: Connection, backfill: int) -> list[int]:
    return [row.id for row in db.execute(select(RUN.c.id).where(RUN.c.backfill == backfill))]


def kept_quiet(db: Connection, bulk: Bulk) -> int:
    """How many were kept from sales by a guard in the same run, whom nobody was told of either."""
    of = [bulk.run] if bulk.backfill is None else _runs_of(db, bulk.backfill)
    query = select(func.count()).where(
        NOTICE.c.run.in_(of), NOTICE.c.quiet.is_(True), NOTICE.c.kind != SUMMARY
    )
    return db.execute(query).scalar() or 0


# ------------------------------------------------------------------------------------------------ said last


def told_last(db: Connection, name: str) -> tuple[Any, datetime] | None:
    """What was told last under this name, and when."""
    row = db.execute(select(TOLD).where(TOLD.c.name == name)).first()
    return None if row is None else (codec.loads(row.value), row.at)


def tell(
    db: Connection, name: str, value: Any, notices: Sequence[tuple[Notice, str]], lease: Lease, at: datetime
) -> None:
    """Remember what was told last under this name, with the notices (and their keys) that tell it."""
    store_lease.check(db, lease)
    db.execute(delete(TOLD).where(TOLD.c.name == name))
    db.execute(insert(TOLD).values(name=name, value=codec.dumps(value), at=at))
    for notice, key in notices:
        store_notice.keep_one(db, notice, key)


def about(db: Connection, person: int) -> tuple[Mapping[str, Any], str] | None:
    """What a person is by the last decision, and to whom they were last handed. None: erased, or ended."""
    row = db.execute(
        select(PERSON.c.fields).where(PERSON.c.id == person, PERSON.c.ended_at.is_(None))
    ).first()
    if row is None:
        return None
    last = select(SPELL.c.owner).where(SPELL.c.person == person).order_by(SPELL.c.since.desc()).limit(1)
    return codec.values_from(codec.loads(row.fields)), db.execute(last).scalar() or ""
