"""The table of tasks in the CRMs. Says what is kept; runs no query."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Text
from sqlmodel import Field

from connector.ledger.tables import _NUMBER, Row, _col, table
from connector.ledger.types import KEY, UtcTime


class CrmTaskRow(Row, table=True):
    """The task of one spell as MQL in a CRM, and what became of it: never a second one."""

    __tablename__ = "crm_task"
    spell: int = Field(sa_column=Column(_NUMBER, primary_key=True, autoincrement=False))
    person: int = _col(_NUMBER, index=True)
    crm: str = _col(KEY)
    ref: str = _col(KEY)
    owner: str = _col(KEY)
    subject: str = _col(Text)
    body: str = _col(Text)
    due_at: datetime | None = _col(UtcTime, null=True)
    status: str = _col(KEY)  # sending, written, rejected, unknown
    task: str = _col(Text)  # the CRM's id of it
    why: str = _col(Text)
    asked_at: datetime = _col(UtcTime)
    settled_at: datetime | None = _col(UtcTime, null=True)


CRM_TASK = table(CrmTaskRow)
