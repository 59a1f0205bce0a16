"""The table of keys under which writes were asked for over the API. Says what is kept; runs no query."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Boolean, Index, Integer, Text

from connector.ledger.tables import Row, _col, _key, table
from connector.ledger.types import KEY, UtcTime


class IdempotencyKeyRow(Row, table=True):
    """A key of a caller, what was asked for under it, and what was answered."""

    __tablename__ = "idempotency_key"
    __table_args__: ClassVar[Any] = (Index(None, "begun_at"),)
    caller: str = _key()
    key: str = _key()
    fingerprint: str = _col(KEY)
    begun_at: datetime = _col(UtcTime)
    attempt: str = _col(KEY)  # only the transactions of this one are kept
    acted: bool = _col(Boolean)  # one of them was
    status: int | None = _col(Integer, null=True)
    headers: str = _col(Text)
    body: str = _col(Text)


IDEMPOTENCY_KEY = table(IdempotencyKeyRow)
