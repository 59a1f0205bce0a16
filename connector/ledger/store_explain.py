"""Questions of `explain` to the past: steps of a stage, engagement that is gone, which definition was in force. Writes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from connector.core.facts import KnownEngagement
from connector.core.model import Ref
from connector.core.reviewing import PairAct
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.store_decide import load_engagement
from connector.ledger.store_review import acts_on
from connector.ledger.tables import ENGAGEMENT, FILE_VERSION, RUN, STAGE_HISTORY
from connector.ports import StageStep


def stage_steps(db: Connection, person: int) -> list[StageStep]:
    """A person's own steps, oldest first; not those of whom they were joined with. One that was adopted is dated by the
    CRM, so all that is known is that its run decided it."""
    query = (
        select(*STAGE_HISTORY.c, RUN.c.started_at, RUN.c.finished_at)
        .join(RUN, RUN.c.id == STAGE_HISTORY.c.run, isouter=True)
        .where(STAGE_HISTORY.c.person == person, STAGE_HISTORY.c.was_of.is_(None))
        .order_by(STAGE_HISTORY.c.id)
    )
    return [
        StageStep(
            decided_at=max(row.at, row.started_at) if row.adopted and row.started_at else row.at,
            decided_by=max(row.at, row.finished_at) if row.adopted and row.finished_at else row.at,
            to_stage=row.to_stage,
            because=row.because,
            adopted=row.adopted,
            version=row.criteria_version,
            before=None if row.before is None else codec.load_state(row.before),
        )
        for row in db.execute(query)
    ]


def erased(db: Connection, refs: Sequence[Ref], emails: Sequence[str]) -> list[KnownEngagement]:
    """Engagement of these records and addresses that its CRM has deleted; `known_at` is when we learned of that."""
    query = select(ENGAGEMENT).where(ENGAGEMENT.c.deleted.is_(True))
    rows = {row.id: row for row in where_in(db, query, ENGAGEMENT.c.about, map(str, refs))}
    by_address = where_in(db, query.where(ENGAGEMENT.c.about == ""), ENGAGEMENT.c.email, emails)
    rows |= {row.id: row for row in by_address}
    return [load_engagement(row) for _, row in sorted(rows.items())]


def pair_acts(db: Connection, refs: Sequence[Ref]) -> list[PairAct]:
    """Joins, splits and their undoing of pairs in which one of these records is, as the audit trail has them."""
    return [
        PairAct(line.at, codec.parse_ref(a), codec.parse_ref(b), act)
        for line, act, a, b in acts_on(db, map(str, refs))
    ]


def version_at(db: Connection, at: datetime) -> int | None:
    """The version of the definition that was in force at this moment; None before the first."""
    query = select(func.max(FILE_VERSION.c.version)).where(FILE_VERSION.c.adopted_at <= at)
    found: int | None = db.execute(query).scalar()
    return found
