"""Questions that are answered piece by piece, or once per page view, for whoever asks over the API. Writes nothing.

A piece goes on from the last row of the one before, by its key, never by a count of rows: what is added or taken away
meanwhile makes no row appear twice or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from connector.core.override import Override
from connector.core.privacy_rules import DO_NOT_SCORE
from connector.ledger import codec, store_ask, store_backfill, store_draft, store_override, store_plan
from connector.ledger.store_admin import load_run
from connector.ledger.store_notice import load as load_notice
from connector.ledger.store_review import evidence, load_review
from connector.ledger.tables import (
    BACKFILL,
    FILE_VERSION,
    NOTICE,
    OVERRIDE,
    PERSON,
    PLAN,
    PLAN_ROW,
    QUARANTINE,
    REVIEW,
    RUN,
)
from connector.ports import Backfill, Notice, PlanInfo, ReviewPair, RunInfo, VersionInfo

WENT_WRONG = ("rejected", "unknown", "set_aside")


@dataclass(frozen=True, slots=True)
class Glance:
    """Where a person stands, in short. Of who is not scored (`scored`) the numbers are zeros that say nothing."""

    person: int
    stage: str
    mql_status: str
    mql_since: datetime | None
    score: float
    fit: float
    engagement: float
    band: int
    grade: str
    why: str
    audience: str
    privacy: str
    decided_at: datetime

    @property
    def scored(self) -> bool:
        """Whether there is a score."""
        return self.privacy != DO_NOT_SCORE


@dataclass(frozen=True, slots=True)
class Trouble:
    """So many records of a run to which one thing happened. `kind`: the vendor's code, else why, without the values of
    any one record."""

    crm: str
    outcome: str
    kind: str
    records: int


_GLANCE: Select[Any] = select(
    PERSON.c.id, PERSON.c.stage, PERSON.c.status, PERSON.c.state, PERSON.c.score, PERSON.c.fit, PERSON.c.engagement,
    PERSON.c.band, PERSON.c.grade, PERSON.c.audience, PERSON.c.privacy, PERSON.c.decided_at,
).where(PERSON.c.ended_at.is_(None))  # fmt: skip
_GLANCES = {
    kind: _GLANCE.where(PERSON.c.id.in_(ids)).order_by(PERSON.c.id) for kind, ids in store_ask.NAMED.items()
}


def glance(db: Connection, who: str) -> list[Glance]:
    """Whom this address, record or number names: one statement, by index all the way."""
    kind, given = store_ask.named(who)
    return [_glance(row) for row in db.execute(_GLANCES[kind], given)]


def _glance(row: Row[Any]) -> Glance:
    state = codec.load_state(row.state)
    return Glance(
        row.id, row.stage, row.status, state.mql_since, row.score, row.fit, row.engagement, row.band, row.grade,
        state.because, row.audience or "", row.privacy or "", row.decided_at,
    )  # fmt: skip


def runs(db: Connection, limit: int, before: int | None = None) -> list[RunInfo]:
    """Runs, the newest first."""
    return [load_run(row) for row in db.execute(_newest_first(select(RUN), RUN.c.id, limit, before))]


def troubles(db: Connection, run: int) -> list[Trouble]:
    """What went wrong with the records of a run, the most frequent first; quarantined ones by what it last met."""
    rows = (
        select(
            PLAN.c.crm, PLAN_ROW.c.status, PLAN_ROW.c.code, PLAN_ROW.c.reason, func.count().label("records")
        )
        .join(PLAN, PLAN.c.id == PLAN_ROW.c.plan)
        .where(PLAN.c.run == run, PLAN_ROW.c.status.in_(WENT_WRONG))
        .group_by(PLAN.c.crm, PLAN_ROW.c.status, PLAN_ROW.c.code, PLAN_ROW.c.reason)
    )
    quarantined = (
        select(QUARANTINE.c.crm, QUARANTINE.c.why, func.count().label("records"))
        .where(QUARANTINE.c.run == run)
        .group_by(QUARANTINE.c.crm, QUARANTINE.c.why)
    )
    found: Counter[tuple[str, str, str]] = Counter()
    for row in db.execute(rows):
        found[row.crm, row.status, row.code or _kind(row.reason)] += row.records
    for row in db.execute(quarantined):
        found[row.crm, "quarantined", _kind(row.why)] += row.records
    return [
        Trouble(*what, records)
        for what, records in sorted(found.items(), key=lambda each: (-each[1], each[0]))
    ]


def _kind(why: str) -> str:
    """What a reason says before it comes to the values of one record."""
    return why.partition(":")[0].strip().rstrip(".")


def plans(
    db: Connection,
    limit: int,
    before: int | None = None,
    *,
    at: datetime,
    crm: str | None = None,
    run: int | None = None,
    open_only: bool = False,
) -> list[PlanInfo]:
    """Plans, the newest first, their rows not counted by kind. An open one that has expired by `at` says so."""
    query = select(PLAN)
    if crm is not None:
        query = query.where(PLAN.c.crm == crm)
    if run is not None:
        query = query.where(PLAN.c.run == run)
    if open_only:
        query = query.where(PLAN.c.status == "open")
    rows = db.execute(_newest_first(query, PLAN.c.id, limit, before)).all()
    return store_plan.infos(db, rows, at, by_kind=False)


def backfills(db: Connection, limit: int, before: int | None = None) -> list[Backfill]:
    """Backfills, the newest first."""
    rows = db.execute(_newest_first(select(BACKFILL), BACKFILL.c.id, limit, before)).all()
    return [store_backfill.load(db, row) for row in rows]


def backfill(db: Connection, number: int) -> Backfill | None:
    """One by its own number."""
    row = db.execute(select(BACKFILL).where(BACKFILL.c.id == number)).first()
    return store_backfill.load(db, row) if row is not None else None


def notices(
    db: Connection,
    limit: int,
    before: int | None = None,
    *,
    run: int | None = None,
    person: int | None = None,
) -> list[tuple[int, Notice]]:
    """Notices with their numbers, the last made first: of this run, about this person."""
    query = select(NOTICE)
    if run is not None:
        query = query.where(NOTICE.c.run == run)
    if person is not None:
        query = query.where(NOTICE.c.person == person)
    rows = db.execute(_newest_first(query, NOTICE.c.id, limit, before))
    return [(row.id, load_notice(row)) for row in rows]


def overrides(
    db: Connection, limit: int, before: int | None = None, *, ended: bool = False
) -> list[Override]:
    """Words of humans, the newest first; without `ended`, those that nobody has ended."""
    query = select(OVERRIDE) if ended else select(OVERRIDE).where(OVERRIDE.c.ended_at.is_(None))
    return [
        store_override.load(row) for row in db.execute(_newest_first(query, OVERRIDE.c.id, limit, before))
    ]


def review_pairs(
    db: Connection, limit: int, after: int | None = None, *, answered: bool = False
) -> list[ReviewPair]:
    """Pairs beside their evidence, by number."""
    query = select(REVIEW).where(REVIEW.c.answer.is_not(None) if answered else REVIEW.c.answer.is_(None))
    query = query.where(REVIEW.c.number > (after or 0)).order_by(REVIEW.c.number).limit(limit)
    return evidence(db, [load_review(row) for row in db.execute(query)])


def versions(db: Connection, limit: int, before: int | None = None) -> list[VersionInfo]:
    """Versions of the definition, the newest first."""
    return store_draft.load_versions(
        db.execute(_newest_first(select(FILE_VERSION), FILE_VERSION.c.version, limit, before))
    )


def version(db: Connection, number: int) -> VersionInfo | None:
    """One version of the definition."""
    found: Sequence[VersionInfo] = store_draft.load_versions(
        db.execute(select(FILE_VERSION).where(FILE_VERSION.c.version == number))
    )
    return found[0] if found else None


def _newest_first(query: Select[Any], key: ColumnElement[int], limit: int, before: int | None) -> Select[Any]:
    query = query.order_by(key.desc()).limit(limit)
    return query if before is None else query.where(key < before)
