"""Times as MQL and to whom they were handed, and who may own records in a CRM. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select, update

from connector.core.handoff import BDR, POOL, CrmUser, Spell
from connector.ledger import codec
from connector.ledger.hot import upsert, where_in
from connector.ledger.tables import PERSON
from connector.ledger.tables_telling import CRM_USER, SPELL
from connector.ledger.types import time_to_db
from connector.ports import Decided, KeptSpell

_OF_A_SPELL = (
    "audience", "source", "via", "owner", "quiet", "due_at", "remind_at", "escalate_at", "take_back_at", "touched_at",
    "touch", "reminded_at", "escalated_at", "ended_at", "ended", "run",
)  # fmt: skip


def last_spells(db: Connection, people: Iterable[int]) -> dict[int, Spell]:
    """The last time as MQL of each of these people who ever was one."""
    found: dict[int, Spell] = {}
    for row in where_in(db, select(SPELL), SPELL.c.person, people):
        spell = load_spell(row)
        if row.person not in found or found[row.person].since < spell.since:
            found[row.person] = spell
    return found


def load_spell(row: Row[Any]) -> Spell:
    """A spell from its row."""
    return Spell(since=row.since, **{name: getattr(row, name) for name in _OF_A_SPELL})


def keep_spells(db: Connection, decisions: Sequence[Decided], people: Sequence[int]) -> None:
    """What these decisions made of spells: new ones are added, known ones replaced. Which run made one, and whether it
    was told of, stays."""
    dialect = db.dialect.name

    def value(given: Any) -> Any:
        return time_to_db(given, dialect) if isinstance(given, datetime) else given

    rows = {
        (person, spell.since): (
            person,
            value(spell.since),
            *(value(getattr(spell, name)) for name in _OF_A_SPELL),
            not spell.quiet,
        )
        for decided, person in zip(decisions, people, strict=True)
        for spell in decided.spells
    }
    columns = ("person", "since", *_OF_A_SPELL, "summed")
    upsert(db, SPELL, columns, [rows[key] for key in sorted(rows)], ("person", "since"))


def pools(db: Connection) -> dict[str, int]:
    """Who of the pools was last given somebody, by address: the higher, the later."""
    query = select(SPELL.c.owner, func.max(SPELL.c.id).label("last")).where(SPELL.c.via.in_((POOL, BDR)))
    return {row.owner: row.last for row in db.execute(query.group_by(SPELL.c.owner))}


# ------------------------------------------------------------------------------------------------ who owns records


def users(db: Connection) -> list[CrmUser]:
    """All that CRMs ever told of, by CRM and id."""
    rows = db.execute(select(CRM_USER).order_by(CRM_USER.c.crm, CRM_USER.c.id))
    return [CrmUser(row.crm, row.id, row.name, row.email, row.active, row.manager, row.queue) for row in rows]


def users_read_at(db: Connection, crm: str) -> datetime | None:
    """When a CRM last told who may own its records."""
    query = select(CRM_USER.c.read_at).where(CRM_USER.c.crm == crm).order_by(CRM_USER.c.read_at.desc())
    found: datetime | None = db.execute(query.limit(1)).scalar()
    return found


def keep_users(db: Connection, crm: str, told: Sequence[CrmUser], at: datetime) -> None:
    """All of a CRM; who was known and is not among them is active no more."""
    dialect = db.dialect.name
    rows = [
        (
            each.crm,
            each.id,
            each.name,
            each.email,
            each.active,
            each.manager,
            each.queue,
            time_to_db(at, dialect),
        )
        for each in sorted(told, key=lambda each: each.id)
    ]
    columns = ("crm", "id", "name", "email", "active", "manager", "queue", "read_at")
    upsert(db, CRM_USER, columns, rows, ("crm", "id"))
    gone = update(CRM_USER).where(CRM_USER.c.crm == crm, CRM_USER.c.read_at < at)
    db.execute(gone.values(active=False))


# ------------------------------------------------------------------------------------------------------- questions


def spells(
    db: Connection, since: datetime | None = None, until: datetime | None = None, audience: str | None = None
) -> list[KeptSpell]:
    """Those that began in `[since, until)`, and all that are open, of people who are there, or were erased (then of
    nobody); by beginning."""
    query = (
        select(SPELL, PERSON.c.fields, PERSON.c.stage)
        .join(PERSON, PERSON.c.id == SPELL.c.person)
        .where(or_(PERSON.c.ended_at.is_(None), PERSON.c.id < 0))
        .order_by(SPELL.c.since, SPELL.c.id)
    )
    if audience is not None:
        query = query.where(SPELL.c.audience == audience)
    began = [SPELL.c.since >= since] if since is not None else []
    began += [SPELL.c.since < until] if until is not None else []
    if began:
        open_now = SPELL.c.ended_at.is_(None) & SPELL.c.touched_at.is_(None)
        query = query.where(or_(and_(*began), open_now))
    return [
        KeptSpell(row.person, load_spell(row), codec.values_from(codec.loads(row.fields)))
        for row in db.execute(query)
    ]
