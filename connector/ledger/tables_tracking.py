"""The tables of what comes in by itself: visitors of the application, hints of CRMs. Runs no query."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index

from connector.ledger.tables import Row, _col, _key, table
from connector.ledger.types import KEY, UtcTime


class VisitorRow(Row, table=True):
    """An id of the application, `anonymous:...` or `user:...`, and whose it is: an address, or that of the user `leads`
    names. Each was last said at its own moment."""

    __tablename__ = "visitor"
    __table_args__: ClassVar[Any] = (
        Index(None, "leads"),
        Index(None, "email"),
        {"sqlite_with_rowid": False},
    )
    key: str = _key()
    email: str | None = _col(KEY, null=True)
    email_at: datetime | None = _col(UtcTime, null=True)
    leads: str | None = _col(KEY, null=True)
    leads_at: datetime | None = _col(UtcTime, null=True)


class AwaitedRow(Row, table=True):
    """An event of which nobody knows yet whose it is, under each id that it came with."""

    __tablename__ = "awaited"
    __table_args__: ClassVar[Any] = (Index(None, "event"), {"sqlite_with_rowid": False})
    visitor: str = _key()
    event: str = _key()  # the key of the engagement


class HintRow(Row, table=True):
    """A record that a CRM says has changed: read again by the next sync of that CRM."""

    __tablename__ = "hint"
    __table_args__: ClassVar[Any] = {"sqlite_with_rowid": False}
    crm: str = _key()
    object: str = _key()
    record: str = _key()
    at: datetime = _col(UtcTime)


VISITOR, AWAITED, HINT = table(VisitorRow), table(AwaitedRow), table(HintRow)
