"""The column types of the ledger: one for times, one for keys, one for JSON. Knows no table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime) -> int:
    """Whole microseconds of an aware time since 1970 UTC, exactly."""
    return (at - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC time of these microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


def time_to_db(at: datetime | None, dialect: str) -> Any:
    """A time as the driver takes it, for statements that bypass SQLAlchemy's own conversion.

    Raises ValueError for a naive time.
    """
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone; the ledger keeps aware times only.")
    return to_micros(at) if dialect == "sqlite" else at


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time with microseconds: `timestamptz` on PostgreSQL, an integer of microseconds on SQLite.

    SQLite has no time type; an integer sorts, is compact and loses nothing.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type the database itself sees."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Aware time in, refused when naive."""
        return time_to_db(value, dialect.name)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware UTC out."""
        if value is None:
            return None
        return from_micros(value) if isinstance(value, int) else value.astimezone(UTC)


KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text compared byte by byte on both databases, so that keys sort the same everywhere."""
