"""What is counted where people wait for a place among the best, and the bars that were found. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from connector.core.places import Bar
from connector.core.privacy_rules import DO_NOT_SCORE
from connector.ledger import codec, store_lease
from connector.ledger.hot import mark_due, where_in
from connector.ledger.tables import BAR, PERSON, RECORD, STAGE_HISTORY
from connector.ports import Lease


def entered(db: Connection, audiences: Collection[str], since: datetime) -> int:
    """How many of these audiences became MQL after this moment; who was taken back since does not count."""
    undone = select(STAGE_HISTORY.c.undoes).where(STAGE_HISTORY.c.undoes.is_not(None))
    query = (
        select(func.count(STAGE_HISTORY.c.person.distinct()))
        .join(PERSON, PERSON.c.id == STAGE_HISTORY.c.person)
        .where(STAGE_HISTORY.c.at > since, STAGE_HISTORY.c.entered_mql.is_(True), _of(audiences))
        .where(STAGE_HISTORY.c.id.not_in(undone))
    )
    return db.execute(query).scalar() or 0


def waiting(db: Connection, contest: str) -> list[tuple[int, float]]:
    """Who waits for a place in this contest: (person, score)."""
    query = select(PERSON.c.id, PERSON.c.score).where(PERSON.c.waits == contest, PERSON.c.ended_at.is_(None))
    return [(row.id, row.score) for row in db.execute(query)]


def in_the_running(db: Connection, audiences: Collection[str]) -> int:
    """How many people of these audiences are scored and not disqualified."""
    return db.execute(select(func.count()).select_from(PERSON).where(*_running(audiences))).scalar() or 0


def score_of_rank(db: Connection, audiences: Collection[str], rank: int) -> float | None:
    """The score of whoever stands at this place among them, from 1; None where there are not so many."""
    query = select(PERSON.c.score).where(*_running(audiences)).order_by(PERSON.c.score.desc())
    return db.execute(query.offset(rank - 1).limit(1)).scalar()


def take_up(db: Connection, people: Sequence[int], lease: Lease, at: datetime) -> None:
    """All records of these people are due."""
    store_lease.check(db, lease)
    query = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    refs = [codec.parse_ref(row.ref) for row in where_in(db, query, RECORD.c.person_id, people)]
    mark_due(db, refs, at)


def keep_bars(db: Connection, bars: Sequence[Bar], run: int, lease: Lease) -> None:
    """Add what a run found."""
    store_lease.check(db, lease)
    names = ("audience", "at", "score", "places", "taken", "waiting", "loosened")
    if bars:
        db.execute(
            BAR.insert(), [{name: getattr(bar, name) for name in names} | {"run": run} for bar in bars]
        )


def bars(db: Connection) -> list[Bar]:
    """The newest of each contest, by name."""
    newest = select(func.max(BAR.c.id)).group_by(BAR.c.audience)
    return [
        Bar(row.audience, row.at, row.score, row.places, row.taken, row.waiting, row.loosened)
        for row in db.execute(select(BAR).where(BAR.c.id.in_(newest)).order_by(BAR.c.audience))
    ]


def _of(audiences: Collection[str]) -> ColumnElement[bool]:
    """Of one of these audiences; the empty one is of those in none."""
    return func.coalesce(PERSON.c.audience, "").in_(sorted(audiences))


def _running(audiences: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    scored = func.coalesce(PERSON.c.privacy, "") != DO_NOT_SCORE
    return PERSON.c.ended_at.is_(None), PERSON.c.disqualified.is_(None), scored, _of(audiences)
