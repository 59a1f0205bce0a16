"""What a plan is held against: who is known and in scope, what earlier runs read and promoted. Only asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, not_, select

from connector.core.model import Value
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.store_admin import load_run
from connector.ledger.tables import PERSON, PLAN, PLAN_ROW, RECORD, RUN
from connector.ports import RunInfo

OUT_OF_SCOPE = '"in_scope":false'  # as `codec` writes it; within a text of the record its quotes are escaped
_SENT = ("sending", "written", "unknown")


def people_in_scope(db: Connection, crm: str) -> int:
    """People with a live record in this CRM that is in scope."""
    query = select(func.count(RECORD.c.person_id.distinct())).where(
        RECORD.c.kind == "person",
        RECORD.c.state == "live",
        RECORD.c.ref.startswith(f"{crm}:", autoescape=True),
        not_(RECORD.c.body.contains(OUT_OF_SCOPE, autoescape=True)),
    )
    return int(db.execute(query).scalar_one())


def live_records(db: Connection, crm: str, objects: Sequence[str]) -> int:
    """Live records of these objects of a CRM."""
    return sum(
        int(
            db.execute(
                select(func.count()).where(
                    RECORD.c.state == "live", RECORD.c.ref.startswith(f"{crm}:{each}:", autoescape=True)
                )
            ).scalar_one()
        )
        for each in objects
    )


def finished_syncs(db: Connection, crm: str, limit: int) -> list[RunInfo]:
    """The latest runs that read this CRM by its watermarks and succeeded, newest first."""
    query = select(RUN).where(
        RUN.c.kind == "sync",
        RUN.c.status == "succeeded",
        RUN.c.crms.contains(codec.dumps(crm), autoescape=True),
    )
    return [load_run(row) for row in db.execute(query.order_by(RUN.c.id.desc()).limit(limit))]


def sent_by_backfill(db: Connection, backfill: int) -> Mapping[str, int]:
    """Of how many people a backfill has sent writes so far, in all its attempts, by `PlanRow.kind`."""
    query = (
        select(PLAN_ROW.c.kind, func.count(PLAN_ROW.c.person.distinct()).label("people"))
        .join(PLAN, PLAN.c.id == PLAN_ROW.c.plan)
        .join(RUN, RUN.c.id == PLAN.c.run)
        .where(RUN.c.backfill == backfill, PLAN_ROW.c.status.in_(_SENT))
        .group_by(PLAN_ROW.c.kind)
    )
    return {row.kind: row.people for row in db.execute(query)}


def person_fields(db: Connection, people: Sequence[int]) -> Mapping[int, Mapping[str, Value]]:
    """What these people are, as settled at their last decision."""
    query = select(PERSON.c.id, PERSON.c.fields)
    return {
        row.id: codec.values_from(codec.loads(row.fields))
        for row in where_in(db, query, PERSON.c.id, sorted(set(people)))
    }
