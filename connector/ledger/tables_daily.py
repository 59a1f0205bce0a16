"""The table of numbers that are kept a day: calls to the CRMs, sizes of the ledger's tables. Runs no query."""

from __future__ import annotations

from typing import Any, ClassVar

from connector.ledger.tables import _NUMBER, Row, _col, _key, table


class DailyRow(Row, table=True):
    """A number of one UTC day. `kind`: `calls` (`name` is CRM and feature, `hubspot sync`), `rows` or `bytes` (`name`
    is a table of the ledger; bytes of the whole have an empty one)."""

    __tablename__ = "daily"
    __table_args__: ClassVar[Any] = {"sqlite_with_rowid": False}
    day: str = _key()  # 2026-11-26
    kind: str = _key()
    name: str = _key()
    value: int = _col(_NUMBER)


DAILY = table(DailyRow)
