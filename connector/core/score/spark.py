"""Prepare and pack for PySpark, the same shape and the same meaning as for Polars. Needs the extra `spark`.

Wall-clock parts and UTC microseconds are computed with, never casts to timestamps, so that the session's time zone does
not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn
from pyspark.sql import types as ty

from connector.core.conditions import BLANKS
from connector.core.score.pack import OUT
from connector.core.score.prepare import (
    ATTRIBUTE,
    DAY_US,
    NUMBER,
    TIME,
    Columns,
    demand,
    no_key,
    no_reading,
    no_time,
)

_WHOLE = (ty.ByteType, ty.ShortType, ty.IntegerType, ty.LongType)
_SPARK_TYPES = {"text": "string", "number": "double", "instant": "bigint", "set": "boolean"}


def prepare_spark(
    people: DataFrame,
    events: DataFrame,
    people_columns: Columns,
    event_columns: Columns,
    types: Collection[str],
    people_nanoseconds: Collection[str] = (),
    event_nanoseconds: Collection[str] = (),
) -> tuple[DataFrame, DataFrame]:
    """Both tables in the plan's shape, of the events only those of `types`.

    The last two name whole-number columns that are times in that unit.

    Raises FixConfig where a needed column is absent or of no readable type.
    """
    demand(people.columns, "people", ("person_id",))
    demand(events.columns, "engagement", ("person_id", "type", "occurred_at"))
    have = _by_exact_name(people, people_nanoseconds)
    seen = _by_exact_name(events, event_nanoseconds)
    key = _key(have["person_id"][1], seen["person_id"][1])
    ready_people = _positional(people).select(
        have["person_id"][0].cast(key).alias("pid"),
        have["person_id"][0].alias("person_id"),
        *(
            _reading(field, have.get(field), reading, "people").alias(name)
            for (field, reading), name in people_columns.items()
        ),
    )
    _demand_time(seen["occurred_at"][1])
    columns = [
        seen["person_id"][0].cast(key).alias("pid"),
        seen["type"][0].cast("string").alias("type"),
        _reading("occurred_at", seen["occurred_at"], "instant", "engagement").alias("occurred_us"),
    ]
    for (field, reading), name in event_columns.items():
        if field.startswith(ATTRIBUTE):
            column = _attribute(field.removeprefix(ATTRIBUTE), seen.get("attributes"), reading)
        else:
            column = _reading(field, seen.get(field), reading, "engagement")
        columns.append(column.alias(name))
    ready_events = _positional(events).filter(columns[1].isin(list(types))).select(*columns)
    return ready_people, ready_events.dropna(subset=["pid", "occurred_us"])


def pack_spark(scores: DataFrame, contributions: DataFrame, rules: Sequence[str]) -> DataFrame:
    """Scores with `contributions`, an array of {rule, points} in the order of `rules`; empty, never null."""
    ids = fn.array(*(fn.lit(rule) for rule in rules)) if rules else fn.array().cast("array<string>")
    # `element_at` would fail where there are no rules, though no row asks for any: Spark folds it before.
    one = fn.struct("seq", fn.try_element_at(ids, (fn.col("seq") + 1).cast("int")).alias("rule"), "points")
    lists = contributions.groupBy("pid").agg(fn.array_sort(fn.collect_list(one)).alias("found"))
    packed = fn.transform(
        "found", lambda each: fn.struct(each["rule"].alias("rule"), each["points"].alias("points"))
    )
    empty = fn.array().cast("array<struct<rule:string,points:double>>")
    return scores.join(lists, on="pid", how="left").select(
        *OUT[:-1], fn.coalesce(packed, empty).alias("contributions")
    )


Typed = tuple[Column, ty.DataType]


class _Nanoseconds(ty.LongType):
    """Marks a column whose whole numbers are nanoseconds since 1970."""


def _positional(frame: DataFrame) -> DataFrame:
    # Spark compares column names without case and reads dots as paths; positions are free of both.
    return frame.toDF(*(f"k{i}" for i in range(len(frame.columns))))


def _by_exact_name(frame: DataFrame, nanoseconds: Collection[str]) -> dict[str, Typed]:
    return {
        field.name: (fn.col(f"k{i}"), _Nanoseconds() if field.name in nanoseconds else field.dataType)
        for i, field in enumerate(frame.schema.fields)
    }


def _key(people: ty.DataType, events: ty.DataType) -> str:
    for dtype, table in ((people, "people"), (events, "engagement")):
        if not isinstance(dtype, (*_WHOLE, ty.StringType, ty.VarcharType, ty.CharType, ty.NullType)):
            raise no_key(table, dtype.simpleString())
    return "bigint" if isinstance(people, _WHOLE) and isinstance(events, _WHOLE) else "string"


def _demand_time(dtype: ty.DataType) -> None:
    times = (ty.StringType, ty.DateType, ty.TimestampType, ty.TimestampNTZType, ty.NullType, _Nanoseconds)
    if not isinstance(dtype, times):
        raise no_time(dtype.simpleString())


def _reading(field: str, typed: Typed | None, reading: str, table: str) -> Column:
    nothing = fn.lit(False if reading == "set" else None).cast(_SPARK_TYPES[reading])
    if typed is None or isinstance(typed[1], ty.NullType):
        return nothing
    column, dtype = typed
    found: dict[str, Column] = {"set": column.isNotNull()}
    if isinstance(dtype, ty.StringType | ty.VarcharType | ty.CharType):
        found = _of_text(column)
    elif isinstance(dtype, ty.BooleanType):
        found["text"] = column.cast("string")
    elif isinstance(dtype, _Nanoseconds):
        found["instant"] = _floor_div(column, 1_000)
        found["text"] = _instant_text(found["instant"])
    elif isinstance(dtype, _WHOLE):
        found["text"], found["number"] = column.cast("string"), column.cast("double")
    elif isinstance(dtype, ty.FloatType | ty.DoubleType | ty.DecimalType):
        double = column.cast("double")
        number = fn.when(~fn.isnan(double), double)
        found = {"number": number, "set": number.isNotNull(), "text": _number_text(number)}
    elif isinstance(dtype, ty.DateType):
        found["instant"] = fn.unix_date(column).cast("bigint") * DAY_US
        found["text"] = _instant_text(found["instant"])
    elif isinstance(dtype, ty.TimestampType | ty.TimestampNTZType):
        is_wall = isinstance(dtype, ty.TimestampNTZType)
        found["instant"] = _wall_us(column) if is_wall else fn.unix_micros(column)
        found["text"] = _instant_text(found["instant"])
    else:
        raise no_reading(field, table, dtype.simpleString())
    return found.get(reading, nothing)


def _attribute(key: str, typed: Typed | None, reading: str) -> Column:
    """A reading of one key of a JSON text; missing where the text is no JSON object or the value is none."""
    nothing = fn.lit(False if reading == "set" else None).cast(_SPARK_TYPES[reading])
    if typed is None or isinstance(typed[1], ty.NullType):
        return nothing
    column, dtype = typed
    if not isinstance(dtype, ty.StringType):
        raise no_reading("attributes", "engagement", dtype.simpleString())
    # The parser takes `{"a": 1} and more`; an object that does not end the text is malformed, though.
    whole = fn.when(column.rlike(r"\A\s*\{(?s:.*)\}\s*\z"), column)
    path = f"$['{key}']" if "'" not in key else f'$["{key}"]'
    json = fn.try_parse_json(whole)
    kind = fn.schema_of_variant(fn.try_variant_get(json, path, "variant"))
    text = fn.try_variant_get(json, path, "string")
    double = fn.try_variant_get(json, path, "double")
    of_text = _of_text(text)[reading]
    is_number = kind.isin("BIGINT", "DOUBLE", "FLOAT") | kind.startswith("DECIMAL")
    match reading:
        case "text":
            spelled = fn.when(kind == "BIGINT", text).otherwise(_number_text(double))
            return fn.when(kind == "STRING", of_text).when(kind == "BOOLEAN", text).when(is_number, spelled)
        case "number":
            return fn.when(kind == "STRING", of_text).when(is_number, double)
        case "instant":
            return fn.when(kind == "STRING", of_text)
    is_set = fn.when(kind == "STRING", of_text).otherwise((kind == "BOOLEAN") | is_number)
    return fn.coalesce(is_set, fn.lit(False))


def _of_text(column: Column) -> dict[str, Column]:
    trimmed = fn.btrim(column.cast("string"), fn.lit(BLANKS))
    return {
        "text": fn.when(trimmed != "", fn.lower(trimmed)),
        "number": fn.when(trimmed.rlike(rf"\A{NUMBER}\z"), trimmed.try_cast("double")),
        "instant": _instant(trimmed),
        "set": fn.coalesce(trimmed != "", fn.lit(False)),
    }


def _number_text(number: Column) -> Column:
    size = fn.abs(number)
    # `floor` would go through bigint, and overflow.
    is_whole = (number == fn.rint(number)) & (size < 2.0**63)
    spelled = fn.when((size >= 1e-3) & (size < 1e7), number.cast("string"))
    return fn.when(is_whole, number.try_cast("bigint").cast("string")).otherwise(spelled)


def _instant(trimmed: Column) -> Column:
    pattern = rf"\A{TIME}\z"

    def part(group: int) -> Column:
        return fn.regexp_extract(trimmed, pattern, group)

    def whole(group: int) -> Column:
        return fn.coalesce(part(group).try_cast("bigint"), fn.lit(0))

    day = part(1).try_cast("date")
    days = fn.when(day >= fn.lit("0001-01-01").cast("date"), fn.unix_date(day).cast("bigint"))
    fraction = fn.substring(fn.rpad(part(5), 9, "0"), 1, 6).cast("bigint")
    offset = (whole(7) * 60 + whole(8)) * 60_000_000
    signed = fn.when(part(6) == "-", -offset).otherwise(offset)
    seconds = whole(2) * 3_600 + whole(3) * 60 + whole(4)
    return days * DAY_US + seconds * 1_000_000 + fraction - signed


def _wall_us(column: Column) -> Column:
    days = fn.unix_date(column.cast("date")).cast("bigint")
    seconds = (fn.hour(column) * 3_600 + fn.minute(column) * 60).cast("bigint")
    fraction = fn.extract(fn.lit("SECOND"), column) * 1_000_000
    return days * DAY_US + seconds * 1_000_000 + fraction.cast("bigint")


def _instant_text(us: Column) -> Column:
    days = _floor_div(us, DAY_US)
    within = us - days * DAY_US
    seconds, fraction = _floor_div(within, 1_000_000), fn.pmod(within, fn.lit(1_000_000))
    day = fn.date_from_unix_date(days.cast("int")).cast("string")

    def two(number: Column) -> Column:
        return fn.lpad(number.cast("string"), 2, "0")

    clock = fn.concat(
        day,
        fn.lit("t"),
        two(_floor_div(seconds, 3_600)),
        fn.lit(":"),
        two(fn.pmod(_floor_div(seconds, 60), fn.lit(60))),
        fn.lit(":"),
        two(fn.pmod(seconds, fn.lit(60))),
    )
    micro = fn.concat(fn.lit("."), fn.lpad(fraction.cast("string"), 6, "0"))
    return (
        fn.when(within == 0, day)
        .when(fraction == 0, fn.concat(clock, fn.lit("z")))
        .otherwise(fn.concat(clock, micro, fn.lit("z")))
    )


def _floor_div(column: Column, by: int) -> Column:
    rest = fn.pmod(column, fn.lit(by))
    # `/` would go through doubles, which are too coarse for nanoseconds since 1970.
    return fn.call_function("div", column - rest, fn.lit(by))
