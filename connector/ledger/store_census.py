"""Gather: what is known and was not met in a census. Only asks; nothing is taken for dead here."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select

from connector.core.model import Census
from connector.ledger.tables import ENGAGEMENT, RECORD


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
