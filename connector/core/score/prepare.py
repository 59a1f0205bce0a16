"""Brings tables into the one shape the plan reads, natively per engine. Knows fields and types, no rule and no points.

People become `pid`, `person_id` and one column for each (field, reading) that the criteria need; events become `pid`,
`type`, `occurred_us` (UTC microseconds since 1970) and the same kind of columns. A reading is what a condition looks
at: `text` (trimmed, lower-cased, blank is null), `number` (double, NaN is null), `instant` (UTC microseconds) or `set`
(whether there is anything). `connector/core/conditions.py` says the same for single values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from connector.core.conditions import (
    BLANKS,
    Condition,
    Instant,
    Leaf,
    instant_of,
    is_missing,
    leaves_of,
    number_of,
    operands,
    text_of,
)
from connector.core.criteria import Criteria
from connector.errors import FixConfig

if TYPE_CHECKING:
    pass

Reading = tuple[str, str]  # field, and one of text, number, instant, set
Columns = Mapping[Reading, str]  # where the plan finds each reading

ATTRIBUTE = "attributes."
NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"
TIME = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))?)?"
)
DAY_US = 86_400_000_000
READ: Mapping[str, Callable[[object], object]] = {
    "text": text_of,
    "number": number_of,
    "instant": instant_of,
    "set": lambda value: not is_missing(value),
}
READING_TYPES: Mapping[str, pl.DataType] = {
    "text": pl.String(),
    "number": pl.Float64(),
    "instant": pl.Int64(),
    "set": pl.Boolean(),
}


# ------------------------------------------------------------ what the criteria need


def readings_of_people(*criteria: Criteria, deciding: Iterable[Condition] = ()) -> Columns:
    """The readings of people's fields that the rules of these criteria need, and the conditions that decide who is
    judged by which, each with the name of its column."""
    conditions = [*deciding]
    for each in criteria:
        conditions += [rule.when for rule in each.fit]
        conditions += [rule.when for rule in each.disqualify]
    found = _readings(conditions)
    if any(each.personas for each in criteria):
        found.add(("persona", "set"))  # who has one already keeps it
    return _named(found)


def readings_of_events(*criteria: Criteria) -> Columns:
    """The readings of events that the rules need, each with the name of its column."""
    rules = [rule for each in criteria for rule in (*each.engagement, *each.hand_raise)]
    found = _readings(rule.where for rule in rules if rule.where is not None)
    return _named(found | {(rule.sum, "number") for rule in rules if rule.sum is not None})


def types_of(*criteria: Criteria) -> list[str]:
    """The types of events that any rule asks for."""
    rules = [rule for each in criteria for rule in (*each.engagement, *each.hand_raise)]
    return sorted({type for rule in rules for type in rule.events})


def readings_of(leaf: Leaf) -> list[str]:
    """Which readings of its field a leaf looks at."""
    if leaf.op in ("is_set", "is_blank"):
        return ["set"]
    if isinstance(leaf.value, frozenset):
        return ["text"]
    return [reading_for(operand) for operand in operands(leaf)]


def reading_for(operand: object) -> str:
    """The reading that a value on a rule's side is compared with."""
    if isinstance(operand, Instant):
        return "instant"
    return "number" if isinstance(operand, float) else "text"


def _readings(conditions: Iterable[Condition]) -> set[Reading]:
    leaves = [leaf for condition in conditions for leaf in leaves_of(condition)]
    return {(leaf.field, reading) for leaf in leaves for reading in readings_of(leaf)}


def _named(readings: set[Reading]) -> Columns:
    return {reading: f"c{i}" for i, reading in enumerate(sorted(readings))}


# ------------------------------------------------------------ Polars


def prepare_polars(
    people: pl.LazyFrame,
    events: pl.LazyFrame,
    people_columns: Columns,
    event_columns: Columns,
    types: Collection[str],
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Both tables in the plan's shape, of the events only those of `types`.

    Raises FixConfig where a needed column is absent or of no readable type.
    """
    have, seen = people.collect_schema(), events.collect_schema()
    demand(have.names(), "people", ("person_id",))
    demand(seen.names(), "engagement", ("person_id", "type", "occurred_at"))
    key = _polars_key(have["person_id"], seen["person_id"])
    ready_people = people.select(
        pl.col("person_id").cast(key).alias("pid"),
        pl.col("person_id"),
        *(
            _polars_reading(field, have.get(field), reading, "people").alias(name)
            for (field, reading), name in people_columns.items()
        ),
    )
    plain = {each: name for each, name in event_columns.items() if not each[0].startswith(ATTRIBUTE)}
    attributes = {each: name for each, name in event_columns.items() if each[0].startswith(ATTRIBUTE)}
    of_types = events.filter(pl.col("type").cast(pl.String).is_in(list(types)))
    ready_events = of_types.select(
        pl.col("person_id").cast(key).alias("pid"),
        # Every rule compares it: as small numbers that takes a third of the time.
        pl.col("type").cast(pl.String).cast(pl.Enum(sorted(types))),
        _polars_reading("occurred_at", _a_time(seen["occurred_at"]), "instant", "engagement").alias(
            "occurred_us"
        ),
        *(
            _polars_reading(field, seen.get(field), reading, "engagement").alias(name)
            for (field, reading), name in plain.items()
        ),
        *_polars_attributes(seen.get("attributes"), attributes),
    )
    if attributes:
        ready_events = ready_events.unnest("attributes")
    return ready_people, ready_events.drop_nulls(["pid", "occurred_us"])


def _polars_key(people: pl.DataType, events: pl.DataType) -> pl.DataType:
    for dtype, table in ((people, "people"), (events, "engagement")):
        if not (dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
            raise no_key(table, str(dtype))
    return pl.Int64() if people.is_integer() and events.is_integer() else pl.String()


def _a_time(dtype: pl.DataType) -> pl.DataType:
    if dtype in (pl.Date, pl.Datetime, pl.String, pl.Null):
        return dtype
    raise no_time(str(dtype))


def _polars_reading(field: str, dtype: pl.DataType | None, reading: str, table: str) -> pl.Expr:
    target = READING_TYPES[reading]
    if dtype is None or dtype == pl.Null:
        return pl.lit(False if reading == "set" else None, dtype=target)
    column = pl.col(field)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        trimmed = column.cast(pl.String).str.strip_chars(BLANKS)
        by_reading: dict[str, pl.Expr] = {
            "text": pl.when(trimmed != "").then(trimmed.str.to_lowercase()),
            "number": _polars_number(trimmed),
            "instant": _polars_instant(trimmed),
            "set": (trimmed != "").fill_null(False),
        }
    elif dtype == pl.Boolean:
        by_reading = {"text": column.cast(pl.String)}
    elif dtype.is_integer():
        by_reading = {"text": column.cast(pl.String), "number": column.cast(pl.Float64)}
    elif dtype.is_numeric():
        double = column.cast(pl.Float64).fill_nan(None)
        by_reading = {
            "text": _polars_number_text(double),
            "number": double,
            "set": double.is_not_null(),
        }
    elif dtype == pl.Date:
        us = column.cast(pl.Int64) * DAY_US
        by_reading = {"instant": us, "text": _polars_instant_text(us)}
    elif dtype == pl.Datetime:
        us = _polars_microseconds(column, getattr(dtype, "time_unit", "us"))
        by_reading = {"instant": us, "text": _polars_instant_text(us)}
    else:
        raise no_reading(field, table, str(dtype))
    if reading in by_reading:
        return by_reading[reading]
    return column.is_not_null() if reading == "set" else pl.lit(None, dtype=target)


def _polars_microseconds(column: pl.Expr, unit: str) -> pl.Expr:
    ticks = column.to_physical()
    if unit == "ns":
        return ticks.floordiv(1_000)
    return ticks * 1_000 if unit == "ms" else ticks


def _polars_number(trimmed: pl.Expr) -> pl.Expr:
    digits = pl.when(trimmed.str.contains(rf"\A{NUMBER}\z")).then(trimmed.str.strip_prefix("+"))
    return digits.cast(pl.Float64, strict=False)


def _polars_number_text(double: pl.Expr) -> pl.Expr:
    size = double.abs()
    is_whole = (double == double.floor()) & (size < 2.0**63)
    spelled = pl.when((size >= 1e-3) & (size < 1e7)).then(double.cast(pl.String))
    return pl.when(is_whole).then(double.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(spelled)


def _polars_instant(trimmed: pl.Expr) -> pl.Expr:
    parts = trimmed.str.extract_groups(rf"\A{TIME}\z").struct

    def whole(group: int, default: int = 0) -> pl.Expr:
        return parts.field(str(group)).cast(pl.Int64, strict=False).fill_null(default)

    day = parts.field("1").str.to_date("%Y-%m-%d", strict=False)
    days = pl.when(day >= pl.date(1, 1, 1)).then(day.cast(pl.Int64))
    fraction = parts.field("5").fill_null("").str.pad_end(9, "0").str.slice(0, 6).cast(pl.Int64)
    offset = (whole(7) * 60 + whole(8)) * 60_000_000
    signed = pl.when(parts.field("6") == "-").then(-offset).otherwise(offset)
    seconds = whole(2) * 3_600 + whole(3) * 60 + whole(4)
    return days * DAY_US + seconds * 1_000_000 + fraction - signed


def _polars_instant_text(us: pl.Expr) -> pl.Expr:
    moment = pl.from_epoch(us, time_unit="us")
    return (
        pl.when(us % DAY_US == 0)
        .then(moment.dt.strftime("%Y-%m-%d"))
        .when(us % 1_000_000 == 0)
        .then(moment.dt.strftime("%Y-%m-%dt%H:%M:%Sz"))
        .otherwise(moment.dt.strftime("%Y-%m-%dt%H:%M:%S%.6fz"))
    )


def _polars_attributes(dtype: pl.DataType | None, columns: Columns) -> list[pl.Expr]:
    if not columns:
        return []
    if dtype is not None and dtype not in (pl.String, pl.Null):
        raise no_reading("attributes", "engagement", str(dtype))
    struct = pl.Struct({name: READING_TYPES[reading] for (_, reading), name in columns.items()})
    source = pl.lit(None, dtype=pl.String) if dtype in (None, pl.Null) else pl.col("attributes")

    def read(batch: pl.Series) -> pl.Series:
        rows = [readings_of_json(text, columns) for text in batch.to_list()]
        return pl.Series(batch.name, rows, dtype=struct)

    return [source.map_batches(read, return_dtype=struct, is_elementwise=True).alias("attributes")]


def readings_of_json(text: str | None, columns: Columns) -> dict[str, Any]:
    """The readings of the attributes in a JSON text; everything is missing where it is no JSON object."""
    try:
        values = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        values = {}
    if not isinstance(values, dict):
        values = {}
    found: dict[str, Any] = {}
    for (field, reading), name in columns.items():
        value = values.get(field.removeprefix(ATTRIBUTE))
        found[name] = READ[reading](None if isinstance(value, list | dict) else value)
    return found


# ------------------------------------------------------------ what both engines refuse alike


def demand(have: Sequence[str], table: str, wanted: Sequence[str]) -> None:
    """Raises FixConfig where a column that must be there is absent."""
    absent = [name for name in wanted if name not in have]
    if absent:
        raise FixConfig(
            f"The {table} table has no column {' and no column '.join(f'`{name}`' for name in absent)}.",
            next_step=f"It has: {', '.join(have[:20])}. Rename the right one.",
        )


def no_key(table: str, dtype: str) -> FixConfig:
    """The two tables cannot be joined by such a column."""
    return FixConfig(
        f"The column `person_id` of the {table} table has the type {dtype}.",
        next_step="Give it texts or whole numbers, the same in both tables.",
    )


def no_time(dtype: str) -> FixConfig:
    """No age can be told from such a column."""
    return FixConfig(
        f"The column `occurred_at` of the engagement table has the type {dtype}.",
        next_step="Give it times, dates, or texts such as 2026-11-22T10:00:00Z.",
    )


def no_reading(field: str, table: str, dtype: str) -> FixConfig:
    """A condition cannot be asked of such a column."""
    return FixConfig(
        f"The column `{field}` of the {table} table has the type {dtype}, which no condition can read.",
        next_step="Give it texts, numbers, booleans, dates or times, or take it out of the criteria.",
    )
