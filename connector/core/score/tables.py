"""Scores whole tables: checks them, then prepares, plans and packs on the engine they come from. Reads and writes the
Parquet files of `connector score`, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl

from connector.core.conditions import instant_of
from connector.core.criteria import Criteria
from connector.core.model import Contribution, Engagement, Score, Value
from connector.core.score.pack import pack_polars
from connector.core.score.plan import Planned, plan_scores
from connector.core.score.prepare import (
    READ,
    READING_TYPES,
    prepare_polars,
    readings_of_events,
    readings_of_people,
    types_of,
)
from connector.core.score.split import needs_of, plan_parts, told_of
from connector.errors import FixConfig

if TYPE_CHECKING:
    from pyspark.sql import DataFrame as SparkFrame
    from pyspark.sql import SparkSession


EVENTS_AT_ONCE = 5_000_000  # so many events are in memory at a time; more are scored in shares of the people


def score_frames(criteria: Criteria, people: Any, engagement: Any, as_of: datetime) -> Any:
    """Everyone in `people` scored at `as_of` (naive is UTC), as a lazy frame of the engine the tables come from.

    Both tables are Polars frames (eager or lazy; a LazyFrame comes back) or both PySpark DataFrames. People:
    `person_id` and a column per field. Engagement: `person_id`, `type`, `occurred_at` and any of `name`, `url`,
    `campaign`, `channel`, `status`, `value`, `attributes` (a JSON text). Out: `person_id`, `fit`, `engagement`,
    `score` (doubles, unrounded), `band` (int64), `grade`, `disqualified`, `hand_raised` (texts, the latter two may be
    null), `contributions` (list of {rule: text, points: double}); where the criteria have audiences, `audience` (its
    id, null for none), too; where they have `privacy`, `privacy` (`do_not_score`, `no_behaviour` or null), and who is
    not scored has nulls for numbers, band and grade. Raises FixConfig where a person comes twice or a column cannot be
    read.
    """
    if isinstance(people, pl.DataFrame | pl.LazyFrame):
        return _score_polars(criteria, people.lazy(), engagement.lazy(), as_of)
    return _score_spark(criteria, people, engagement, as_of, (), ())


def score_parquet(
    criteria: Criteria,
    people: Path | str,
    engagement: Path | str,
    as_of: datetime,
    out: Path | str,
    engine: str = "polars",
    *,
    events_at_once: int = EVENTS_AT_ONCE,
) -> int:
    """Score the people of one Parquet file (or folder of them) by the engagement of another, and write a third.

    `engine` is `polars` or `spark` (which writes a single file, too). Returns how many people there are. Raises
    FixConfig where a file cannot be read, its columns make no sense, or there is no place for `out`.
    """
    people_scan, engagement_scan = _scan(people), _scan(engagement)
    _demand_place(Path(out), Path(people), Path(engagement))
    if engine == "spark":
        return _spark_parquet(criteria, people, engagement, as_of, Path(out))
    try:
        rows = engagement_scan.select(pl.len()).collect().item()
        parts = 1 + rows // events_at_once
        scored = [
            _score_polars(criteria, people_scan, engagement_scan, as_of, (part, parts)).collect(
                engine="streaming"
            )
            for part in range(parts)
        ]
    except (pl.exceptions.ComputeError, OSError) as error:  # a file whose end is sound may be damaged inside
        raise FixConfig(
            f"One of the two tables is damaged: {str(error).splitlines()[0]}.",
            where=f"{people}, {engagement}",
            next_step="Write it anew.",
        ) from error
    pl.concat(scored).write_parquet(out)
    return pl.scan_parquet(out).select(pl.len()).collect().item()  # type: ignore[no-any-return]


def score_many(
    criteria: Criteria,
    people: Sequence[tuple[Mapping[str, Value], Sequence[Engagement]]],
    as_of: datetime,
) -> list[Score]:
    """The same as `score_person` for each of these people, in order, by the plan on Polars."""
    people_columns, event_columns = readings_of_people(criteria), readings_of_events(criteria)
    people_rows = {
        name: pl.Series(
            name, [READ[reading](fields.get(field)) for fields, _ in people], READING_TYPES[reading]
        )
        for (field, reading), name in people_columns.items()
    }
    ids = pl.Series("pid", range(len(people)), pl.Int64)
    ready_people = pl.LazyFrame({"pid": ids, "person_id": ids, **people_rows})
    types = set(types_of(criteria))
    events = [
        (i, event)
        for i, (_, engagement) in enumerate(people)
        for event in engagement
        if event.type in types and event.counted and not event.deleted
    ]
    event_rows = {
        name: pl.Series(
            name, [READ[reading](event.get(field)) for _, event in events], READING_TYPES[reading]
        )
        for (field, reading), name in event_columns.items()
    }
    ready_events = pl.LazyFrame(
        {
            "pid": pl.Series("pid", [i for i, _ in events], pl.Int64),
            "type": pl.Series("type", [event.type for _, event in events], pl.String),
            "occurred_us": pl.Series(
                "occurred_us", [instant_of(event.occurred_at) for _, event in events], pl.Int64
            ),
            **event_rows,
        }
    )
    planned = plan_scores(
        criteria,
        nw.from_native(ready_people),
        nw.from_native(ready_events),
        people_columns,
        event_columns,
        _as_of_us(as_of),
    )
    packed = _packed(criteria, planned).sort("person_id").collect()
    return [_as_score(row) for row in packed.iter_rows(named=True)]


def _score_polars(
    criteria: Criteria,
    people: pl.LazyFrame,
    engagement: pl.LazyFrame,
    as_of: datetime,
    share: tuple[int, int] = (0, 1),
) -> pl.LazyFrame:
    """The scores of one share (number, of how many) of the people."""
    needs = needs_of(criteria)
    ready_people, ready_events = prepare_polars(people, engagement, needs.people, needs.events, needs.types)
    counts = people.select(
        blank=pl.col("person_id").null_count(),
        twice=pl.len() - pl.col("person_id").n_unique(),
    ).collect()
    _demand_unique(counts["blank"].item(), counts["twice"].item())
    part, parts = share
    if parts > 1:
        mine = pl.col("pid").hash(0) % parts == part
        ready_people, ready_events = ready_people.filter(mine), ready_events.filter(mine)
    # Each rule filters the events: in memory that is cheap, read and trimmed anew for each rule it is not.
    ready_people, ready_events = (each.lazy() for each in pl.collect_all([ready_people, ready_events]))
    planned = plan_parts(
        criteria, nw.from_native(ready_people), nw.from_native(ready_events), needs, _as_of_us(as_of)
    )
    return pl.concat(
        _packed(part.criteria, part.planned).with_columns(
            pl.lit(told, pl.String).alias(name) for name, told in told_of(criteria, part)
        )
        for part in planned
    )


def _packed(criteria: Criteria, planned: Planned) -> pl.LazyFrame:
    scores, contributions = nw.to_native(planned.scores), nw.to_native(planned.contributions)
    assert isinstance(scores, pl.LazyFrame)
    assert isinstance(contributions, pl.LazyFrame)
    return pack_polars(scores, contributions, _rules(criteria))


def _score_spark(
    criteria: Criteria,
    people: SparkFrame,
    engagement: SparkFrame,
    as_of: datetime,
    people_nanos: Sequence[str],
    event_nanos: Sequence[str],
) -> SparkFrame:
    from pyspark.sql import functions as fn

    from connector.core.score.spark import pack_spark, prepare_spark

    needs = needs_of(criteria)
    ready_people, ready_events = prepare_spark(
        people, engagement, needs.people, needs.events, needs.types, people_nanos, event_nanos
    )
    counts = ready_people.select(
        fn.count_if(fn.col("person_id").isNull()).alias("blank"),
        (fn.count("person_id") - fn.countDistinct("person_id")).alias("twice"),
    ).first()
    assert counts is not None
    _demand_unique(counts["blank"], counts["twice"])
    packed: list[SparkFrame] = []
    for part in plan_parts(
        criteria, nw.from_native(ready_people), nw.from_native(ready_events), needs, _as_of_us(as_of)
    ):
        scores: Any = nw.to_native(part.planned.scores)
        contributions: Any = nw.to_native(part.planned.contributions)
        each = pack_spark(scores, contributions, _rules(part.criteria))
        for name, told in told_of(criteria, part):
            each = each.withColumn(name, fn.lit(told).cast("string"))
        packed.append(each)
    return reduce(lambda a, b: a.unionByName(b), packed)


def _spark_parquet(
    criteria: Criteria, people: Path | str, engagement: Path | str, as_of: datetime, out: Path
) -> int:
    spark, ours = _session()
    try:
        scores = _score_spark(
            criteria,
            _read_spark(spark, people),
            _read_spark(spark, engagement),
            as_of,
            _nanoseconds(people),
            _nanoseconds(engagement),
        )
        parts = out.with_name(f".{out.name}.parts")
        scores.coalesce(1).write.mode("overwrite").parquet(str(parts))
    finally:
        if ours:
            spark.stop()
    (written,) = parts.glob("part-*.parquet")
    written.replace(out)
    for left in parts.iterdir():
        left.unlink()
    parts.rmdir()
    return pl.scan_parquet(out).select(pl.len()).collect().item()  # type: ignore[no-any-return]


def _read_spark(spark: SparkSession, path: Path | str) -> SparkFrame:
    from pyspark.errors import AnalysisException

    try:
        return spark.read.parquet(str(path))
    except AnalysisException as error:  # a type of column that Spark does not know
        raise FixConfig(
            f"Spark cannot read this file: {str(error).splitlines()[0]}",
            where=str(path),
            next_step="Leave that column out, or use the engine polars.",
        ) from error


def _session() -> tuple[SparkSession, bool]:
    """A session, and whether it is ours to stop."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise FixConfig(
            "The engine `spark` needs PySpark.",
            next_step="Install mql-connector[spark], and Java 17 or newer.",
        ) from error
    try:
        running = SparkSession.getActiveSession()
        builder = SparkSession.builder.appName("connector score").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        spark = builder.getOrCreate()
    except Exception as error:  # PySpark has an own error for each way in which Java can be absent
        raise FixConfig("Spark does not start.", next_step="Install Java 17 or newer.") from error
    for key in (
        "spark.sql.legacy.parquet.nanosAsLong",
        "spark.sql.variant.allowDuplicateKeys",
        "spark.sql.caseSensitive",
    ):
        spark.conf.set(key, "true")
    return spark, running is None


def _nanoseconds(path: Path | str) -> list[str]:
    # Spark reads times in nanoseconds as plain whole numbers only.
    schema = _scan(path).collect_schema()
    return [name for name, dtype in schema.items() if getattr(dtype, "time_unit", None) == "ns"]


def _scan(path: Path | str) -> pl.LazyFrame:
    path = Path(path)
    if not path.exists():
        raise FixConfig("There is no such file.", where=str(path), next_step="Check the path.")
    try:
        scan = pl.scan_parquet(path / "**/*.parquet" if path.is_dir() else path)
        scan.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FixConfig("This is no Parquet file.", where=str(path), next_step="Check the path.") from error
    except pl.exceptions.PanicException as error:
        # Polars panics at a time zone that is an offset, unless POLARS_IGNORE_TIMEZONE_PARSE_ERROR is set.
        raise FixConfig(
            f"This file has a column that Polars cannot read: {str(error).splitlines()[0]}",
            where=str(path),
            next_step="Give its times a named zone, such as UTC.",
        ) from error
    return scan


def _demand_place(out: Path, people: Path, engagement: Path) -> None:
    if out.is_dir() or not out.parent.is_dir():
        raise FixConfig(
            "No file can be written here.", where=str(out), next_step="Name a file in a folder that exists."
        )
    if out.exists() and any(out.samefile(source) for source in (people, engagement)):
        raise FixConfig("This table would be overwritten.", where=str(out), next_step="Name another file.")


def _demand_unique(blank: int, twice: int) -> None:
    if blank or twice:
        raise FixConfig(
            f"In the people table `person_id` is blank in {blank} row(s) and repeated in {twice} row(s).",
            next_step="Give everyone one row with an own id.",
        )


def _rules(criteria: Criteria) -> list[str]:
    return [rule.id for rule in criteria.fit] + [rule.id for rule in criteria.engagement]


def _as_of_us(as_of: datetime) -> int:
    us = instant_of(as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC))
    assert us is not None
    return us


def _as_score(row: Mapping[str, Any]) -> Score:
    return Score(
        fit=row["fit"],
        engagement=row["engagement"],
        score=row["score"],
        band=row["band"],
        grade=row["grade"],
        disqualified=row["disqualified"],
        hand_raised=row["hand_raised"],
        contributions=tuple(Contribution(one["rule"], one["points"]) for one in row["contributions"]),
    )
