"""The arithmetic of the criteria as one lazy plan over whole tables, the same for every engine through Narwhals.

Per rule it filters the events, ranks only the hits, in one window over (person, rule), then sums: no running count
over all events is ever kept. It reads the prepared shape (`connector/core/score/prepare.py`) and knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import narwhals as nw

from connector.core.conditions import All, Any, Condition, Instant, Leaf, Not, Operand, glob_regex, operands
from connector.core.criteria import TOLERANCE, Criteria, Decay, EngagementRule, EventRule
from connector.core.durations import microseconds
from connector.core.score.prepare import Columns, reading_for

Frame = nw.LazyFrame[nw.typing.IntoLazyFrame]


@dataclass(frozen=True, slots=True)
class Planned:
    """Two lazy tables, still without the list column.

    `scores`: pid, person_id, fit, engagement, score (doubles), band, grade, disqualified, hand_raised; a row a person.
    `contributions`: pid, seq (position of the rule, fit rules first), points (not 0); a row a (person, rule).
    """

    scores: Frame
    contributions: Frame


def plan_scores(
    criteria: Criteria,
    people: Frame,
    events: Frame,
    people_columns: Columns,
    event_columns: Columns,
    as_of_us: int,
) -> Planned:
    """The plan for everyone in `people` at `as_of_us` (UTC microseconds). Events of unknown people give nothing."""
    rules: list[EventRule] = [*criteria.engagement, *criteria.hand_raise]
    ages = events.filter(nw.col("occurred_us") <= as_of_us).with_columns(
        age=nw.lit(as_of_us, nw.Int64) - nw.col("occurred_us")
    )
    per_rule = _sum_per_rule(rules, ages, event_columns)
    people = people.with_columns(fit=_fit(criteria, people_columns))
    found = people if per_rule is None else _join_sums(criteria, people, per_rule)
    return Planned(
        _finish(criteria, found, people_columns, has_events=per_rule is not None),
        _contributions(criteria, people, per_rule, people_columns),
    )


# ------------------------------------------------------------ conditions


def condition_expr(condition: Condition, columns: Columns) -> nw.Expr:
    """A condition as a boolean column without nulls: each leaf is false where its reading is missing."""
    match condition:
        case Leaf():
            return _leaf_expr(condition, columns)
        case All():
            return reduce(lambda a, b: a & b, (condition_expr(part, columns) for part in condition.parts))
        case Any():
            return reduce(lambda a, b: a | b, (condition_expr(part, columns) for part in condition.parts))
        case Not():
            return ~condition_expr(condition.part, columns)


def _leaf_expr(leaf: Leaf, columns: Columns) -> nw.Expr:
    def read(reading: str) -> nw.Expr:
        return nw.col(columns[leaf.field, reading])

    match leaf.op:
        case "is_set":
            return read("set")
        case "is_blank":
            return ~read("set")
        case "is" | "in":
            return _is_one_of(leaf, columns)
        case "is_not" | "not_in":
            return ~_is_one_of(leaf, columns)
        case "between":
            low, high = operands(leaf)
            have = read(reading_for(low))
            return ((have >= _literal(low)) & (have <= _literal(high))).fill_null(False)
        case "gt" | "gte" | "lt" | "lte":
            (bound,) = operands(leaf)
            have = read(reading_for(bound))
            return _compared(leaf.op, have, _literal(bound)).fill_null(False)
    text = read("text")
    if isinstance(leaf.value, frozenset):
        return text.is_in(sorted(leaf.value) or [""]).fill_null(False)  # no text is ever empty here
    wanted = str(leaf.value)
    match leaf.op:
        case "contains":
            return text.str.contains(wanted, literal=True).fill_null(False)
        case "starts_with":
            return text.str.starts_with(wanted).fill_null(False)
        case "ends_with":
            return text.str.ends_with(wanted).fill_null(False)
        case "matches":
            return text.str.contains(rf"\A{glob_regex(wanted)}\z").fill_null(False)
    raise ValueError(f"No such operator: {leaf.op}")


def _is_one_of(leaf: Leaf, columns: Columns) -> nw.Expr:
    """One comparison per reading; texts, which may be many, as one membership."""
    tests: list[nw.Expr] = []
    texts = [operand for operand in operands(leaf) if isinstance(operand, str)]
    if len(texts) == 1:
        tests.append(nw.col(columns[leaf.field, "text"]) == texts[0])
    elif texts:
        tests.append(nw.col(columns[leaf.field, "text"]).is_in(texts))
    tests.extend(
        nw.col(columns[leaf.field, reading_for(operand)]) == _literal(operand)
        for operand in operands(leaf)
        if not isinstance(operand, str)
    )
    return reduce(lambda a, b: a | b, (test.fill_null(False) for test in tests))


def _literal(operand: Operand) -> nw.Expr:
    if isinstance(operand, Instant):
        return nw.lit(operand.us, nw.Int64)
    return nw.lit(operand, nw.Float64)


def _compared(op: str, have: nw.Expr, bound: nw.Expr) -> nw.Expr:
    match op:
        case "gt":
            return have > bound
        case "gte":
            return have >= bound
        case "lt":
            return have < bound
    return have <= bound


# ------------------------------------------------------------ engagement


def _sum_per_rule(rules: Sequence[EventRule], events: Frame, columns: Columns) -> Frame | None:
    """pid, rule (position in `rules`), points: a row where a rule's events are enough, points 0 for a hand-raise."""
    plain: list[Frame] = []
    ranked: list[Frame] = []
    for i, rule in enumerate(rules):
        hits = _hits(i, rule, events, columns)
        (plain if getattr(rule, "newest", None) is None else ranked).append(hits)
    if ranked:
        rank = nw.col("age").rank("ordinal").over("pid", "rule")
        within = nw.concat(ranked).with_columns(rank=rank)
        plain.append(
            within.with_columns(
                points=nw.when(nw.col("rank") <= nw.col("newest")).then(nw.col("points")).otherwise(0.0)
            ).drop("rank")
        )
    if not plain:
        return None
    sums = (
        nw.concat([hits.drop("age", "newest") for hits in plain])
        .with_columns(one=nw.lit(1, nw.Int64))
        .group_by("pid", "rule")
        .agg(nw.col("one").sum(), nw.col("points").sum(), nw.col("total").sum())
    )
    too_few = [_too_few(i, rule) for i, rule in enumerate(rules) if rule.sum is not None or rule.at_least > 1]
    if too_few:
        sums = sums.filter(~reduce(lambda a, b: a | b, too_few))
    return sums.select("pid", "rule", "points")


def _hits(i: int, rule: EventRule, events: Frame, columns: Columns) -> Frame:
    matching = nw.col("type").is_in(list(rule.events))
    if rule.within is not None:
        matching = matching & (nw.col("age") < microseconds(rule.within))
    if rule.where is not None:
        matching = matching & condition_expr(rule.where, columns)
    points, newest = nw.lit(0.0, nw.Float64), 0
    if isinstance(rule, EngagementRule):
        points = nw.lit(rule.points, nw.Float64) * _weight(rule.decay)
        newest = rule.newest or 0
    total = nw.lit(0.0, nw.Float64)
    if rule.sum is not None:
        total = nw.col(columns[rule.sum, "number"]).fill_null(0.0)
    return events.filter(matching).select(
        nw.col("pid"),
        nw.col("age"),
        rule=nw.lit(i, nw.Int64),
        newest=nw.lit(newest, nw.Int64),
        points=points,
        total=total,
    )


def _weight(decay: Decay | None) -> nw.Expr:
    if decay is None:
        return nw.lit(1.0, nw.Float64)
    age = nw.col("age")
    if decay.half_life is not None:
        halves = age.cast(nw.Float64) / nw.lit(float(microseconds(decay.half_life)), nw.Float64)
        return nw.lit(0.5, nw.Float64) ** halves
    weight = nw.lit(0.0, nw.Float64)
    for below, factor in reversed(decay.steps):
        step = nw.lit(factor, nw.Float64)
        weight = nw.when(age < microseconds(below)).then(step).otherwise(weight)
    return weight


def _too_few(i: int, rule: EventRule) -> nw.Expr:
    if rule.sum is None:
        return (nw.col("rule") == i) & (nw.col("one") < int(rule.at_least))
    total = nw.col("total")
    # Infinities of both signs sum up to NaN, which reaches nothing; engines hold it to be the largest number, though.
    return (nw.col("rule") == i) & (total.is_nan() | (total < rule.at_least - TOLERANCE))


# ------------------------------------------------------------ a row a person


def _fit(criteria: Criteria, columns: Columns) -> nw.Expr:
    points = [
        nw.when(condition_expr(rule.when, columns)).then(nw.lit(rule.points, nw.Float64)).otherwise(0.0)
        for rule in criteria.fit
    ]
    return _clip(_total(points))


def _join_sums(criteria: Criteria, people: Frame, per_rule: Frame) -> Frame:
    """People with `lone` and one `g<n>` a group (before caps) and one `h<n>` a hand-raise."""
    first_hand = len(criteria.engagement)
    by_group: dict[str, list[int]] = {"lone": []}
    by_group.update({f"g{n}": [] for n in range(len(criteria.groups))})
    places = {name: f"g{n}" for n, name in enumerate(criteria.groups)}
    for i, rule in enumerate(criteria.engagement):
        by_group["lone" if rule.group is None else places[rule.group]].append(i)
    points = {
        name: nw.when(nw.col("rule").is_in(rules)).then(nw.col("points")).otherwise(0.0)
        for name, rules in by_group.items()
        if rules
    }
    hands = {
        f"h{n}": nw.when(nw.col("rule") == first_hand + n).then(nw.lit(1, nw.Int64)).otherwise(0)
        for n in range(len(criteria.hand_raise))
    }
    names = [*points, *hands]
    sums = (
        per_rule.with_columns(**points, **hands).group_by("pid").agg(*(nw.col(name).sum() for name in names))
    )
    joined = people.join(sums, on="pid", how="left")
    joined = joined.with_columns(*(nw.col(name).fill_null(0) for name in names))
    empty = {name: nw.lit(0.0, nw.Float64) for name in by_group if name not in points}
    return joined.with_columns(**empty) if empty else joined


def _finish(criteria: Criteria, people: Frame, columns: Columns, *, has_events: bool) -> Frame:
    parts: list[nw.Expr] = []
    if has_events:
        parts.append(nw.col("lone"))
    for n, cap in enumerate(criteria.groups.values()):
        group = nw.col(f"g{n}") if has_events else nw.lit(0.0, nw.Float64)
        parts.append(nw.when(group > cap).then(nw.lit(cap, nw.Float64)).otherwise(group))
    weights = criteria.weights
    hands = [_hand(n, rule.min_fit) for n, rule in enumerate(criteria.hand_raise)]
    return (
        people.with_columns(engagement=_clip(_total(parts)))
        .with_columns(score=_clip(nw.col("fit") * weights.fit + nw.col("engagement") * weights.engagement))
        .select(
            "pid",
            "person_id",
            "fit",
            "engagement",
            "score",
            band=reduce(
                lambda a, b: a + b,
                (_reaches("score", cut).cast(nw.Int64) for cut in criteria.bands),
                nw.lit(1, nw.Int64),
            ),
            grade=nw.concat_str(
                _first_cut("fit", criteria.grades, "ABCD"), _first_cut("engagement", criteria.grades, "1234")
            ),
            disqualified=_first_id(
                [condition_expr(rule.when, columns) for rule in criteria.disqualify],
                [rule.id for rule in criteria.disqualify],
            ),
            hand_raised=_first_id(hands, [rule.id for rule in criteria.hand_raise]),
        )
    )


def _hand(n: int, min_fit: float | None) -> nw.Expr:
    raised = nw.col(f"h{n}") > 0
    return raised if min_fit is None else raised & _reaches("fit", min_fit)


def _reaches(name: str, bound: float) -> nw.Expr:
    return nw.col(name) >= bound - TOLERANCE


def _first_cut(name: str, cuts: Sequence[float], marks: str) -> nw.Expr:
    found = nw.lit(marks[-1])
    for cut, mark in reversed(list(zip(cuts, marks, strict=False))):
        found = nw.when(_reaches(name, cut)).then(nw.lit(mark)).otherwise(found)
    return found


def _first_id(tests: Sequence[nw.Expr], ids: Sequence[str]) -> nw.Expr:
    found = nw.lit(None, nw.String)
    for test, id in reversed(list(zip(tests, ids, strict=True))):
        found = nw.when(test).then(nw.lit(id)).otherwise(found)
    return found


def _total(parts: Sequence[nw.Expr]) -> nw.Expr:
    return reduce(lambda a, b: a + b, parts, nw.lit(0.0, nw.Float64))


def _clip(expr: nw.Expr) -> nw.Expr:
    return nw.when(expr < 0.0).then(0.0).when(expr > 100.0).then(100.0).otherwise(expr)


# ------------------------------------------------------------ a row a (person, rule)


def _contributions(criteria: Criteria, people: Frame, per_rule: Frame | None, columns: Columns) -> Frame:
    parts = [
        people.filter(condition_expr(rule.when, columns)).select(
            "pid", seq=nw.lit(i, nw.Int64), points=nw.lit(rule.points, nw.Float64)
        )
        for i, rule in enumerate(criteria.fit)
        if rule.points != 0
    ]
    if per_rule is not None:
        shift = len(criteria.fit)
        parts.append(
            per_rule.filter(nw.col("points") != 0.0).select(
                "pid", seq=nw.col("rule") + shift, points="points"
            )
        )
    if not parts:
        return people.filter(nw.col("pid").is_null()).select(  # nobody
            "pid", seq=nw.lit(0, nw.Int64), points=nw.lit(0.0, nw.Float64)
        )
    return nw.concat(parts)
