"""Questions about people by audience: the ranked list, who is in which, how many stand where. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, and_, exists, func, not_, or_, select

from connector.core.model import Ref
from connector.ledger import codec, store_ask
from connector.ledger.hot import where_in
from connector.ledger.store_usual import OUT_OF_SCOPE
from connector.ledger.tables import PERSON, PLAN_ROW, RECORD
from connector.ports import PersonView

NO_AUDIENCE = ""


def people(
    db: Connection,
    *,
    stage: str | None = None,
    status: str | None = None,
    audience: str | None = None,
    sort: str = "score",
    after: tuple[float, int] | None = None,
    limit: int = 50,
) -> list[PersonView]:
    """See `connector.ports.Ledger.people`."""
    by = PERSON.c[sort]
    query = select(PERSON).where(PERSON.c.ended_at.is_(None))
    if stage is not None:
        query = query.where(PERSON.c.stage == stage)
    if status is not None:
        query = query.where(PERSON.c.status == status)
    if audience is not None:
        query = query.where(_in(audience))
    if after is not None:
        query = query.where(or_(by < after[0], and_(by == after[0], PERSON.c.id > after[1])))
    return store_ask.views(db, db.execute(query.order_by(by.desc(), PERSON.c.id).limit(limit)).all())


def audiences(db: Connection, people: Iterable[int]) -> dict[int, str]:
    """Who of these people is in an audience, and in which, by the last decision."""
    query = select(PERSON.c.id, PERSON.c.audience).where(PERSON.c.audience.is_not(None))
    return {row.id: row.audience for row in where_in(db, query, PERSON.c.id, people)}


def audience_sizes(db: Connection) -> dict[str, int]:
    """How many people are in each audience now; under the empty name those in none."""
    return _people_of_each(db)


def mqls_by_audience(db: Connection) -> dict[str, int]:
    """How many MQLs are in each audience now; under the empty name those in none."""
    return _people_of_each(db, PERSON.c.stage == "mql")


def _people_of_each(db: Connection, *conditions: ColumnElement[bool]) -> dict[str, int]:
    query = select(PERSON.c.audience, func.count().label("people"))
    query = query.where(PERSON.c.ended_at.is_(None), *conditions).group_by(PERSON.c.audience)
    return {row.audience or NO_AUDIENCE: row.people for row in db.execute(query)}


def people_in_scope(db: Connection, crm: str, audience: str) -> int:
    """People of an audience with a live record in this CRM that is in scope."""
    query = (
        select(func.count(RECORD.c.person_id.distinct()))
        .join(PERSON, PERSON.c.id == RECORD.c.person_id)
        .where(
            RECORD.c.kind == "person",
            RECORD.c.state == "live",
            RECORD.c.ref.startswith(f"{crm}:", autoescape=True),
            not_(RECORD.c.body.contains(OUT_OF_SCOPE, autoescape=True)),
            _in(audience),
        )
    )
    return int(db.execute(query).scalar_one())


def plans_about(db: Connection, audience: str, plans: Iterable[int]) -> set[int]:
    """Those of these plans that hold a record of somebody in this audience."""
    mine = exists().where(PERSON.c.id == PLAN_ROW.c.person, _in(audience))
    found = where_in(db, select(PLAN_ROW.c.plan).where(mine).distinct(), PLAN_ROW.c.plan, plans)
    return {row.plan for row in found}


def records_about(db: Connection, audience: str, refs: Iterable[Ref]) -> set[Ref]:
    """Those of these person records that are somebody's in this audience."""
    query = select(RECORD.c.ref).join(PERSON, PERSON.c.id == RECORD.c.person_id).where(_in(audience))
    return {codec.parse_ref(row.ref) for row in where_in(db, query, RECORD.c.ref, [str(ref) for ref in refs])}


def _in(audience: str) -> ColumnElement[bool]:
    return PERSON.c.audience.is_(None) if audience == NO_AUDIENCE else PERSON.c.audience == audience
