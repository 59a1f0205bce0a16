"""Tasks in the CRMs, one a spell as MQL at most: of which spells one is due, and what became of those asked for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, insert, or_, select, update

from connector.core.crm_task import CrmTask, TaskStatus
from connector.core.handoff import ACCOUNT, RECORD
from connector.ledger import codec, store_lease
from connector.ledger.hot import where_in
from connector.ledger.tables import HOLD, PERSON, PLAN, PLAN_ROW
from connector.ledger.tables import RECORD as RECORDS
from connector.ledger.tables_tasks import CRM_TASK
from connector.ledger.tables_telling import CRM_USER, SPELL
from connector.ports import KeptTask, Lease, TaskDue

_OPEN = (TaskStatus.SENDING.value, TaskStatus.UNKNOWN.value)
_UNDER_WAY = ("sending", "unknown")  # writes of which nobody can tell
_TO_COME = ("planned", "waiting")


def due(db: Connection, crm: str, audiences: Collection[str], since: datetime, limit: int) -> list[TaskDue]:
    """Spells that began at `since` or later, whose owner is an active user of this CRM, whom sales has not touched and
    of which no task was ever asked for; the oldest first. Not yet where the CRM is still to be told that they are MQL,
    nor where a human holds fields of theirs."""
    unsent = exists().where(
        PLAN_ROW.c.person == SPELL.c.person,
        PLAN_ROW.c.crm == crm,
        PLAN_ROW.c.plan == PLAN.c.id,
        or_(
            PLAN_ROW.c.status.in_(_UNDER_WAY),
            and_(PLAN.c.status == "open", PLAN_ROW.c.status.in_(_TO_COME)),
        ),
    )
    held = exists().where(RECORDS.c.person_id == SPELL.c.person, HOLD.c.ref == RECORDS.c.ref)
    query = (
        select(SPELL.c.id, SPELL.c.person, SPELL.c.owner, SPELL.c.due_at, PERSON.c.state)
        .join(PERSON, PERSON.c.id == SPELL.c.person)
        .join(CRM_USER, CRM_USER.c.id == SPELL.c.owner)
        .where(
            CRM_USER.c.crm == crm,
            CRM_USER.c.active,
            ~CRM_USER.c.queue,
            SPELL.c.via.in_((RECORD, ACCOUNT)),
            SPELL.c.audience.in_(sorted(audiences)),
            SPELL.c.quiet == "",
            SPELL.c.since >= since,
            SPELL.c.ended_at.is_(None),
            SPELL.c.touched_at.is_(None),
            PERSON.c.ended_at.is_(None),
            PERSON.c.stage == "mql",
            ~exists().where(CRM_TASK.c.spell == SPELL.c.id),
            ~unsent,
            ~held,
        )
        .order_by(SPELL.c.id)
        .limit(limit)
    )
    rows = db.execute(query).all()
    bodies: dict[int, list[str]] = {}
    live = select(RECORDS.c.person_id, RECORDS.c.body).where(
        RECORDS.c.kind == "person", RECORDS.c.state == "live"
    )
    for row in where_in(
        db, live.order_by(RECORDS.c.ref), RECORDS.c.person_id, {each.person for each in rows}
    ):
        bodies.setdefault(row.person_id, []).append(row.body)
    return [
        TaskDue(
            row.id,
            row.person,
            row.owner,
            row.due_at,
            codec.load_state(row.state).because,
            tuple(map(codec.load_person, bodies.get(row.person, ()))),
        )
        for row in rows
    ]


def asked(db: Connection, task: CrmTask, person: int, lease: Lease, at: datetime) -> None:
    """It is about to be asked for."""
    store_lease.check(db, lease)
    db.execute(
        insert(CRM_TASK).values(
            spell=task.spell,
            person=person,
            crm=task.record.crm,
            ref=str(task.record),
            owner=task.owner,
            subject=task.subject,
            body=task.body,
            due_at=task.due_at,
            status=TaskStatus.SENDING.value,
            task="",
            why="",
            asked_at=at,
        )
    )


def settle(
    db: Connection, spell: int, status: TaskStatus, task: str, why: str, lease: Lease, at: datetime
) -> None:
    """What became of it."""
    store_lease.check(db, lease)
    values = {"status": status.value, "task": task, "why": why, "settled_at": at}
    db.execute(update(CRM_TASK).where(CRM_TASK.c.spell == spell).values(**values))


def drop(db: Connection, spell: int, lease: Lease) -> None:
    """It was never sent: it may be asked for again."""
    store_lease.check(db, lease)
    db.execute(delete(CRM_TASK).where(CRM_TASK.c.spell == spell))


def unsettled(db: Connection, crm: str, before: datetime) -> list[CrmTask]:
    """Those of which nobody can tell whether they arrived, the oldest first."""
    query = select(CRM_TASK).where(
        CRM_TASK.c.crm == crm, CRM_TASK.c.status.in_(_OPEN), CRM_TASK.c.asked_at <= before
    )
    return [_task(row) for row in db.execute(query.order_by(CRM_TASK.c.spell))]


def of_person(db: Connection, person: int) -> list[KeptTask]:
    """All that were asked for about somebody, the oldest first."""
    query = select(CRM_TASK).join(SPELL, SPELL.c.id == CRM_TASK.c.spell).where(SPELL.c.person == person)
    return [
        KeptTask(_task(row), TaskStatus(row.status), row.task, row.why, row.asked_at)
        for row in db.execute(query.order_by(CRM_TASK.c.spell))
    ]


def _task(row: Row[Any]) -> CrmTask:
    return CrmTask(row.spell, codec.parse_ref(row.ref), row.owner, row.subject, row.body, row.due_at)
