"""Hints of CRMs: which records to read again. Decides nothing of what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, delete, or_, select

from connector.core.hints import Hint, is_echo
from connector.core.model import Ref
from connector.ledger import store_lease
from connector.ledger.hot import upsert
from connector.ledger.store_erased import KeyBox, erased_among
from connector.ledger.store_gather import written_to
from connector.ledger.tables_tracking import HINT
from connector.ledger.types import time_to_db
from connector.ports import Lease


def keep(db: Connection, hints: Sequence[Hint], at: datetime, box: KeyBox | None = None) -> int:
    """Mark these records, but for what only tells of our own write, and those of erased people. How many."""
    held = written_to(db, {hint.ref for hint in hints})
    theirs = erased_among(db, {str(hint.ref) for hint in hints}, box)
    refs = {
        hint.ref
        for hint in hints
        if str(hint.ref) not in theirs and not is_echo(hint, held.get(hint.ref, {}))
    }
    mark(db, refs, at)
    return len(refs)


def mark(db: Connection, refs: Iterable[Ref], at: datetime) -> None:
    """These are named now."""
    moment = time_to_db(at, db.dialect.name)
    rows = sorted((ref.crm, ref.object, ref.id, moment) for ref in refs)
    upsert(db, HINT, ("crm", "object", "record", "at"), rows, ("crm", "object", "record"))


def hints(db: Connection, crm: str, object: str, limit: int) -> list[tuple[Ref, datetime]]:
    """Records of an object that are to be read again, and when that was last said; the oldest first."""
    query = select(HINT).where(HINT.c.crm == crm, HINT.c.object == object).order_by(HINT.c.at, HINT.c.record)
    return [(Ref(row.crm, row.object, row.record), row.at) for row in db.execute(query.limit(limit))]


def done(db: Connection, read: Sequence[tuple[Ref, datetime]], lease: Lease | None = None) -> None:
    """They were read; one that was named once more meanwhile stays."""
    if lease is not None:
        store_lease.check(db, lease)
    for start in range(0, len(read), 200):
        part = read[start : start + 200]
        db.execute(
            delete(HINT).where(
                or_(
                    *(
                        and_(
                            HINT.c.crm == ref.crm,
                            HINT.c.object == ref.object,
                            HINT.c.record == ref.id,
                            HINT.c.at <= at,
                        )
                        for ref, at in part
                    )
                )
            )
        )
