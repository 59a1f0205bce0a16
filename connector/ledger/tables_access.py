"""The table of who may ask the sidecar. Says what is kept; runs no query."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import Boolean, Date, Index, Text

from connector.ledger.tables import _NEVER_REUSED, Row, _col, _id, table
from connector.ledger.types import KEY, UtcTime


class TokenRow(Row, table=True):
    """A token of a person or a program, by its SHA-256: who holds the database holds no token. Revoked and expired ones
    are kept, so that what was done with them keeps a name."""

    __tablename__ = "token"
    __table_args__: ClassVar[Any] = (Index("uq_token_hash", "hash", unique=True), _NEVER_REUSED)
    id: int | None = _id()
    name: str = _col(Text)
    role: str = _col(KEY)
    service: bool = _col(Boolean)
    hash: str = _col(KEY)
    made_at: datetime = _col(UtcTime)
    made_by: str = _col(Text)
    expires_at: datetime = _col(UtcTime)
    revoked_at: datetime | None = _col(UtcTime, null=True)
    revoked_by: str = _col(Text)
    last_used: date | None = _col(Date, null=True)


TOKEN = table(TokenRow)
