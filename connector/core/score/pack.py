"""Puts the contributions into their list column, natively for Polars. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

OUT = (
    "person_id",
    "fit",
    "engagement",
    "score",
    "band",
    "grade",
    "disqualified",
    "hand_raised",
    "contributions",
)
"""The columns of a table of scores, in order."""

_LIST = pl.List(pl.Struct({"rule": pl.String, "points": pl.Float64}))


def pack_polars(scores: pl.LazyFrame, contributions: pl.LazyFrame, rules: Sequence[str]) -> pl.LazyFrame:
    """Scores with `contributions`, a list of {rule, points} in the order of `rules`; empty, never null."""
    named = pl.col("seq").replace_strict(range(len(rules)), rules, return_dtype=pl.String)
    lists = (
        contributions.with_columns(pl.struct(named.alias("rule"), "points").alias("one"))
        .group_by("pid")
        .agg(pl.col("one").sort_by("seq").alias("contributions"))
    )
    return scores.join(lists, on="pid", how="left", maintain_order="left").select(
        *OUT[:-1], pl.col("contributions").cast(_LIST).fill_null(pl.lit([], dtype=_LIST))
    )
