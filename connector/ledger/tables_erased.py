"""The tables of who was erased. Says what is kept of them, which is nothing that names them; runs no query."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, Integer, Text

from connector.ledger.tables import Row, _col, _key, table
from connector.ledger.types import KEY, UtcTime


class ErasedRow(Row, table=True):
    """A keyed hash of an address or record of an erased person; nothing that has it is taken in."""

    __tablename__ = "erased"
    __table_args__: ClassVar[Any] = (Index(None, "erasure"), {"sqlite_with_rowid": False})
    hash: str = _key()
    key: str = _col(KEY)  # the number of the key by which it was made
    of: str = _col(KEY)  # of a record that its CRM counts: `crm:object`
    erasure: int = _col(Integer)  # which of the hashes are of one person
    at: datetime = _col(UtcTime)


class ErasureKeyRow(Row, table=True):
    """The key of the hashes, made at random: sealed under CONNECTOR_SECRET_KEY, or as it is where there is none."""

    __tablename__ = "erasure_key"
    id: str = _key()
    kept: str = _col(Text)
    made_at: datetime = _col(UtcTime)


ERASED, ERASURE_KEY = table(ErasedRow), table(ErasureKeyRow)
