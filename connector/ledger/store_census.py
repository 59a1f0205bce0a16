"""Gather: what is known, held against what a CRM shows or counts. Only asks; nothing is taken for dead here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select

from connector.core.model import Census, RecordState, Ref
from connector.ledger import codec, store_erased
from connector.ledger.hot import where_in
from connector.ledger.tables import ENGAGEMENT, QUARANTINE, RECORD
from connector.ports import Range


def absent(db: Connection, crm: str, stream: str, census: Census) -> list[str]:
    """See `connector.ports.Ledger.absent`. A range within ids of one length costs what lies in it."""
    if census.object:
        prefix = f"{crm}:{census.object}:"
        query = select(RECORD.c.ref).where(
            RECORD.c.state == census.state.value,
            *_between(RECORD.c.ref, prefix, census),
        )
    else:
        prefix = ""
        query = (
            select(ENGAGEMENT.c.key)
            .where(ENGAGEMENT.c.crm == crm, ENGAGEMENT.c.stream == stream, ENGAGEMENT.c.deleted.is_(False))
            .where(*_between(ENGAGEMENT.c.key, prefix, census))
            .distinct()
        )
    known = {row[0].removeprefix(prefix) for row in db.execute(query)}
    return sorted(known - census.alive, key=lambda id_: (len(id_), id_))


def _between(column: Column[str], prefix: str, census: Census) -> list[ColumnElement[bool]]:
    """Shorter ids first, equally long ones by their characters; keys compare by bytes in both databases."""
    low, high = census.after, census.up_to
    length = func.length(column)
    if low is not None and high is not None and len(low) == len(high):
        return [length == len(prefix + low), column > prefix + low, column <= prefix + high]
    conditions: list[ColumnElement[bool]] = []
    if prefix:
        conditions += [column > prefix, column < prefix[:-1] + chr(ord(prefix[-1]) + 1)]
    if low is not None:
        here = len(prefix + low)
        conditions.append(or_(length > here, and_(length == here, column > prefix + low)))
    if high is not None:
        here = len(prefix + high)
        conditions.append(or_(length < here, and_(length == here, column <= prefix + high)))
    return conditions


def standing(db: Connection, crm: str, object_: str, within: Range) -> int:
    """See `connector.ports.Ledger.standing`. Walks all records of the object."""
    query = (
        select(func.count())
        .select_from(RECORD)
        .where(*_of(crm, object_))
        .where(RECORD.c.state.in_([RecordState.LIVE.value, RecordState.CONVERTED.value]))
    )
    if within.since is not None:
        query = query.where(RECORD.c.changed_at >= within.since)
    if within.until is not None:
        query = query.where(RECORD.c.changed_at < within.until)
    aside = select(func.count()).where(QUARANTINE.c.crm == crm, QUARANTINE.c.object == object_)
    known = int(db.execute(query).scalar_one()) + int(db.execute(aside).scalar_one())
    # A range of all, as the nightly one is, has those of erased people in it; of a shorter one nobody can tell.
    return known + (store_erased.counted(db, crm, object_) if within.since is None else 0)


def newest(db: Connection, crm: str, object_: str) -> datetime | None:
    """See `connector.ports.Ledger.newest`. Walks all records of the object."""
    found: datetime | None = db.execute(
        select(func.max(RECORD.c.changed_at)).where(*_of(crm, object_))
    ).scalar()
    return found


def _of(crm: str, object_: str) -> list[ColumnElement[bool]]:
    prefix = f"{crm}:{object_}"
    return [RECORD.c.ref >= f"{prefix}:", RECORD.c.ref < f"{prefix};"]  # `;` comes right after `:`


def stamps(db: Connection, refs: Sequence[Ref]) -> dict[Ref, datetime]:
    """See `connector.ports.Ledger.stamps`."""
    known = where_in(db, select(RECORD.c.ref, RECORD.c.changed_at), RECORD.c.ref, map(str, refs))
    found = {codec.parse_ref(row.ref): row.changed_at for row in known}
    columns = (QUARANTINE.c.crm, QUARANTINE.c.object, QUARANTINE.c.record, QUARANTINE.c.met_at)
    for row in where_in(db, select(*columns), QUARANTINE.c.record, {ref.id for ref in refs}):
        ref = Ref(row.crm, row.object, row.record)
        found[ref] = max(row.met_at, found.get(ref, row.met_at))
    return {ref: found[ref] for ref in refs if ref in found}
