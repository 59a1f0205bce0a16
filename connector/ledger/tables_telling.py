"""The tables of what sales is handed and what people are told. Says what is kept; runs no query."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Boolean, Index, Integer, Text

from connector.ledger.tables import _NUMBER, Row, _col, _id, _key, table
from connector.ledger.types import KEY, UtcTime


class CrmUserRow(Row, table=True):
    """Somebody, or a queue, who may own records in a CRM, as the CRM last told. Others are not active."""

    __tablename__ = "crm_user"
    crm: str = _key()
    id: str = _key()
    name: str = _col(Text)
    email: str = _col(Text)
    active: bool = _col(Boolean)
    manager: str = _col(Text)
    queue: bool = _col(Boolean)
    read_at: datetime = _col(UtcTime)


class SpellRow(Row, table=True):
    """One time of a person as MQL: to whom it was handed, its deadlines, the first touch, the end."""

    __tablename__ = "spell"
    __table_args__: ClassVar[Any] = (
        Index("uq_spell_person_since", "person", "since", unique=True),
        Index(None, "since"),
        Index(None, "via", "owner"),
    )
    id: int | None = _id()
    person: int = _col(_NUMBER)
    since: datetime = _col(UtcTime)
    audience: str = _col(KEY)
    source: str = _col(Text)
    via: str = _col(KEY)
    owner: str = _col(KEY)
    quiet: str = _col(KEY)
    due_at: datetime | None = _col(UtcTime, null=True)
    remind_at: datetime | None = _col(UtcTime, null=True)
    escalate_at: datetime | None = _col(UtcTime, null=True)
    take_back_at: datetime | None = _col(UtcTime, null=True)
    touched_at: datetime | None = _col(UtcTime, null=True)
    touch: str = _col(Text)
    reminded_at: datetime | None = _col(UtcTime, null=True)
    escalated_at: datetime | None = _col(UtcTime, null=True)
    ended_at: datetime | None = _col(UtcTime, null=True)
    ended: str = _col(KEY)
    run: int | None = _col(_NUMBER, null=True)
    summed: bool = _col(Boolean)  # told of in a summary, or person by person


class DeliveryRow(Row, table=True):
    """A notice on its way to one target, at one address where the target takes one."""

    __tablename__ = "delivery"
    __table_args__: ClassVar[Any] = (
        Index("uq_delivery_notice", "notice", "target", "address", unique=True),
        Index(None, "status", "next_at"),
        Index(None, "target", "told_at"),
    )
    id: int | None = _id()
    notice: int = _col(_NUMBER)
    target: str = _col(KEY)  # its name: never its URL, which is a secret
    address: str = _col(KEY)
    status: str = _col(KEY)  # waiting, told, folded, said, given_up
    personal: bool = _col(Boolean)  # counts against the daily cap
    tries: int = _col(Integer)
    next_at: datetime = _col(UtcTime)
    told_at: datetime | None = _col(UtcTime, null=True)


class ToldRow(Row, table=True):
    """What is known to have been told last, by name: the state of health, the last digest."""

    __tablename__ = "told"
    name: str = _key()
    value: str = _col(Text)
    at: datetime = _col(UtcTime)


CRM_USER, SPELL = table(CrmUserRow), table(SpellRow)
DELIVERY, TOLD = table(DeliveryRow), table(ToldRow)
