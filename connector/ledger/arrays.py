"""Rows of a query as columns of a table: the database writes each column as one JSON array, Polars reads it.

So no value of a million rows becomes an object of Python's, and nothing is read beside the transaction that asks. Both
databases write text and whole numbers exactly; for doubles there is `exact`. Knows no table and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, text

_ARRAY = {"sqlite": "json_group_array({})", "postgresql": "json_agg({})::text"}
_EXACT = {
    # In JSON it would have 15 digits; `quote` writes as many as it takes (sqlite.org/lang_corefunc.html#quote).
    "sqlite": "CASE WHEN {0} IS NOT NULL THEN quote({0}) END",
    "postgresql": "{0}::text",
}


class Wanted(NamedTuple):
    """A column: what it holds, in SQL, and its type. A double is told as text, by `exact`."""

    sql: str
    kind: Any  # a data type of Polars, or its class


def exact(sql: str, dialect: str) -> Wanted:
    """A column of doubles that loses no bit on the way."""
    return Wanted(_EXACT[dialect].format(sql), pl.Float64)


def read_columns(
    db: Connection, wanted: Mapping[str, Wanted], source: str, given: Mapping[str, Any]
) -> pl.DataFrame:
    """`SELECT wanted ... source` as a table, rows in no order to rely on. `source` begins with FROM.

    All of it is in memory as text for a moment, and a text has a gigabyte at most: ask for no more than a share.
    """
    arrays = ", ".join(_ARRAY[db.dialect.name].format(each.sql) for each in wanted.values())
    rows, *told = db.execute(text(f"SELECT count(*), {arrays} {source}"), given).one()
    if not rows:
        return pl.DataFrame(schema={name: each.kind for name, each in wanted.items()})
    return pl.DataFrame(
        [_column(name, each, array) for (name, each), array in zip(wanted.items(), told, strict=True)]
    )


def _column(name: str, wanted: Wanted, array: str) -> pl.Series:
    of_text = wanted.kind == pl.Float64
    kind = pl.String if of_text else wanted.kind
    column: pl.Series = pl.Series([array], dtype=pl.String).str.json_decode(pl.List(kind))[0]
    return (column.cast(pl.Float64) if of_text else column).alias(name)
