"""Reads `stages` of the criteria document: rules of lead, MQL and SQL, what follows a rejection, each one's nurture."""

from __future__ import annotations

import math
from collections.abc import Mapping

from connector.core.conditions import Path
from connector.core.criteria import (
    DEFAULT_STAGES,
    Best,
    Evidence,
    MqlStage,
    Recycle,
    RuledStage,
    StageAll,
    StageAny,
    StageEntry,
    StageRule,
    Stages,
    StageTest,
)
from connector.core.criteria_reading import Reading, shown

MEASURES = ("score", "fit", "engagement", "band")
_MEASURE_OPS = ("is", "is_not", "gt", "gte", "lt", "lte", "between")
_NURTURED = ("subscriber", "opportunity", "customer", "evangelist", "other", "disqualified")
"""Keys of `stages` that hold nothing but their `next`."""
_WITH_NEXT = ("lead", "mql", "sql", "recycle", *_NURTURED)
_NEXT_AT_MOST = 255  # a text field of a CRM must hold it
_MQL = ("enter", "leave", "evidence", "best", "capacity", "next")


def read_stages(read: Reading, top: Mapping[str, object]) -> Stages:
    """The stages of a document, or those that hold where it says nothing."""
    if "stages" not in top:
        return DEFAULT_STAGES
    path: Path = ("stages",)
    doc = read.a_map(top["stages"], path, _WITH_NEXT)
    return Stages(
        _mql(read, doc),
        _recycle(read, doc),
        sql=_ruled(read, doc, "sql"),
        lead=_ruled(read, doc, "lead"),
        next=_nexts(read, doc),
    )


def _nexts(read: Reading, doc: Mapping[str, object]) -> dict[str, str]:
    """The nurture of each stage that names one."""
    found: dict[str, str] = {}
    for stage in (each for each in _WITH_NEXT if each in doc):
        path, body = ("stages", stage), doc[stage]
        if stage in _NURTURED:
            body = read.a_map(body, path, ("next",), required=("next",))
        if isinstance(body, Mapping) and "next" in body:
            found[stage] = read.text(body, path, "next")
            if len(found[stage]) > _NEXT_AT_MOST:
                read.wrong((*path, "next"), f"`next` has at most {_NEXT_AT_MOST} characters.")
    return found


def _mql(read: Reading, doc: Mapping[str, object]) -> MqlStage:
    if "mql" not in doc:
        return DEFAULT_STAGES.mql
    path = ("stages", "mql")
    mql = read.a_map(doc["mql"], path, _MQL, required=("enter",))
    enter = _stage_rule(read, mql["enter"], (*path, "enter")) if "enter" in mql else StageAny(())
    leave = _stage_rule(read, mql["leave"], (*path, "leave")) if "leave" in mql else StageAny(())
    capacity = read.whole(mql, path, "capacity")
    best = _best(read, mql, path) if "best" in mql else None
    if best is not None and None not in (best.per_week, capacity) and best.per_week > capacity:  # type: ignore[operator]
        read.wrong(
            (*path, "best", "per_week"),
            f"The best {best.per_week} of a week are more than the capacity of {capacity}.",
        )
    return MqlStage(enter, leave, _evidence(read, mql, path), best, capacity)


def _best(read: Reading, mql: Mapping[str, object], path: Path) -> Best | None:
    path = (*path, "best")
    doc = read.a_map(mql["best"], path, ("per_week", "top", "from"))
    if not isinstance(mql["best"], Mapping):
        return None
    if len(doc.keys() & {"per_week", "top"}) != 1:
        read.wrong(path, "`best` has either `per_week`, as in `{per_week: 40}`, or `top`, as in `{top: 5%}`.")
        return None
    enough = _stage_rule(read, doc["from"], (*path, "from")) if "from" in doc else None
    return Best(read.whole(doc, path, "per_week"), _share(read, doc, path, "top"), enough)


def _share(read: Reading, doc: Mapping[str, object], path: Path, key: str) -> float | None:
    """Per cent, as in `5%`."""
    if key not in doc:
        return None
    text = str(doc[key]).strip().removesuffix("%").strip()
    try:
        found = float(text) if str(doc[key]).strip().endswith("%") else math.nan
    except ValueError:
        found = math.nan
    if not 0 < found <= 100:
        read.wrong(
            (*path, key), f"`{key}` needs a share of at most 100 %, as in `5%`, not {shown(doc[key])}."
        )
        return None
    return found


def _evidence(read: Reading, mql: Mapping[str, object], path: Path) -> Evidence | None:
    if "evidence" not in mql:
        return None
    path, keys = (*path, "evidence"), ("events", "types", "days")
    doc = read.a_map(mql["evidence"], path, keys)
    if isinstance(mql["evidence"], Mapping) and not doc:
        read.wrong(path, "`evidence` needs one of events, types, days, as in `{events: 3, days: 2}`.")
    return Evidence(**{key: read.whole(doc, path, key, default=0) or 0 for key in keys})


def _ruled(read: Reading, doc: Mapping[str, object], stage: str) -> RuledStage | None:
    """The rules of `lead` or `sql`; None where the file has none, at most a `next`."""
    if stage not in doc:
        return None
    path = ("stages", stage)
    body = read.a_map(doc[stage], path, ("enter", "leave", "next"))
    if "enter" not in body:
        if isinstance(doc[stage], Mapping) and body.keys() != {"next"}:
            read.wrong(path, "`enter` is missing.")
        return None
    enter = _stage_rule(read, body["enter"], (*path, "enter"))
    leave = _stage_rule(read, body["leave"], (*path, "leave")) if "leave" in body else StageAny(())
    return RuledStage(enter, leave)


def _recycle(read: Reading, doc: Mapping[str, object]) -> Recycle:
    if "recycle" not in doc:
        return Recycle()
    path = ("stages", "recycle")
    recycle = read.a_map(doc["recycle"], path, ("cool_off", "next"))
    cool_off = read.duration(recycle, path, "cool_off")
    return Recycle() if cool_off is None else Recycle(cool_off)


def _stage_rule(read: Reading, doc: object, path: Path) -> StageRule:
    entry_keys = (*MEASURES, "hand_raised", "disqualified", "when", "for")
    if isinstance(doc, Mapping) and ("all" in doc or "any" in doc):
        joiner = "all" if "all" in doc else "any"
        for key in doc:
            if key != joiner:
                read.wrong((*path, str(key)), f"`{joiner}` stands alone in its map; `{key}` does not fit.")
        parts = read.a_list(doc[joiner], (*path, joiner))
        if not parts:
            read.wrong((*path, joiner), f"`{joiner}` needs at least one entry.")
        rules = tuple(_stage_rule(read, part, (*path, joiner, i)) for i, part in enumerate(parts))
        return StageAll(rules) if joiner == "all" else StageAny(rules)
    entry = read.a_map(doc, path, (*entry_keys, "all", "any"))
    if isinstance(doc, Mapping) and not entry.keys() - {"for"}:
        read.wrong(path, f"An entry needs one of {', '.join(entry_keys[:-1])}.")
    tests = [
        StageTest(measure, op, value)
        for measure in MEASURES
        if measure in entry
        for op, value in read_measure_tests(read, entry[measure], (*path, measure))
    ]
    return StageEntry(
        tuple(tests),
        hand_raised=read.flag(entry, path, "hand_raised"),
        disqualified=read.flag(entry, path, "disqualified"),
        when=read.condition(entry, path) if "when" in entry else None,
        dwell=read.duration(entry, path, "for"),
    )


def read_measure_tests(
    read: Reading, doc: object, path: Path
) -> list[tuple[str, float | tuple[float, float]]]:
    found: list[tuple[str, float | tuple[float, float]]] = []
    tests = read.a_map(doc, path, _MEASURE_OPS)
    if isinstance(doc, Mapping) and not doc:
        read.wrong(path, "A comparison is needed here, as in `{gte: 60}`.")
    for op, value in tests.items():
        if op not in _MEASURE_OPS:
            continue
        if op != "between":
            number = read.as_number(value, (*path, op))
            if number is not None:
                found.append((op, number))
            continue
        ends = [read.as_number(end, (*path, op, i)) for i, end in enumerate(read.a_list(value, path))]
        if len(ends) != 2:
            read.wrong((*path, op), "`between` needs the two ends, as in `[40, 60]`.")
        elif ends[0] is not None and ends[1] is not None:
            if ends[0] > ends[1]:
                read.wrong((*path, op), "The first end of `between` lies above the second.")
            found.append((op, (ends[0], ends[1])))
    return found
