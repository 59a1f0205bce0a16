"""People and what counts of what they did, in bulk: as tables for `score_frames`. Reads below the ORM; scores nobody.

A share of the people at a time, so that memory is bounded by the share. What counts is told by the same functions as in
a run (`set_aside_scanners`, `set_aside_suspects`, `count_once`): they are asked of those whose events could be touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection, select, text

from connector.core.criteria import Criteria
from connector.core.mapping import CrmMapping
from connector.core.normalize import (
    count_once,
    judged_types,
    scanner_rules,
    set_aside_scanners,
    set_aside_suspects,
    suspect_types,
)
from connector.core.normalize.engagement import SAME_EVENT
from connector.core.score.prepare import readings_of_events, readings_of_people, types_of
from connector.core.suspect_rules import SuspectRule
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.store_decide import load_engagement
from connector.ledger.tables import ENGAGEMENT

SHARE = 100_000  # people at a time

_PEOPLE = "SELECT id, fields FROM person WHERE ended_at IS NULL AND id > :after ORDER BY id LIMIT :many"
_READ = ("name", "url", "campaign", "channel", "status", "value", "attributes")  # what conditions may name
_MICROS = {
    "sqlite": "e.occurred_at",
    "postgresql": "(extract(epoch FROM e.occurred_at) * 1000000)::bigint",
}
# Two ways to a person: by the record an event is about, by the address where it is about none.
_EVENTS = """
SELECT r.person_id, e.id, {micros}, {said} FROM record r JOIN engagement e ON e.about = r.ref
WHERE r.kind = 'person' AND r.person_id > :after AND r.person_id <= :last
  AND {counts}
UNION ALL
SELECT r.person_id, e.id, {micros}, {said} FROM record r JOIN address a ON a.ref = r.ref
  JOIN engagement e ON e.email = a.email AND e.about = ''
WHERE r.kind = 'person' AND r.person_id > :after AND r.person_id <= :last
  AND {counts}
"""
_TYPES: dict[str, Any] = {
    "person_id": pl.Int64,
    "id": pl.Int64,
    "occurred_at": pl.Int64,
    **dict.fromkeys(("crm", "stream", "key", "type", *_READ), pl.String),
    "value": pl.Float64,
}
AT_ONCE = 50_000  # rows that become columns at a time


def shares(
    db: Connection, criteria: Criteria, mappings: Collection[CrmMapping], people_at_once: int = SHARE
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """All people who have records, share by share, as `score_frames` takes them: (people, engagement).

    People: `person_id` and the fields that the criteria read, as the last decision settled them. Engagement: what
    counts, of the types that the criteria name, each event once a person.
    """
    fields = sorted({field for field, _ in readings_of_people(criteria)})
    after = 0
    while rows := db.execute(text(_PEOPLE), {"after": after, "many": people_at_once}).fetchall():
        last = rows[-1][0]
        people = _people(rows, fields)
        yield people, _engagement(db, after, last, criteria, mappings)
        after = last


def _people(rows: Iterable[Any], fields: Sequence[str]) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {name: [] for name in fields}
    ids: list[int] = []
    for id_, body in rows:
        ids.append(id_)
        values = codec.loads(body)
        for name in fields:
            value = values.get(name)
            columns[name].append(value if type(value) is not dict else codec.values_from({name: value})[name])
    return pl.DataFrame(
        [pl.Series("person_id", ids, pl.Int64), *(_column(name, values) for name, values in columns.items())]
    )


def _column(name: str, values: list[Any]) -> pl.Series:
    """Our values of one field. They are of one type, or read as text, as conditions would read each of them."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    if kinds == {datetime}:
        return pl.Series(name, values, pl.Datetime("us", "UTC"))
    return pl.Series(name, [_plain(value) for value in values], pl.String)


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _engagement(
    db: Connection, after: int, last: int, criteria: Criteria, mappings: Collection[CrmMapping]
) -> pl.DataFrame:
    scored, suspects = types_of(criteria), criteria.suspect
    wanted = sorted({*scored, *suspect_types(suspects)})
    types = {f"t{number}": name for number, name in enumerate(wanted)}
    true = (
        "e.counted AND NOT e.deleted"
        if db.dialect.name == "postgresql"
        else "e.counted = 1 AND e.deleted = 0"
    )
    of_types = ", ".join(f":{name}" for name in types) or "NULL"
    named = {field.partition(".")[0] for field, _ in readings_of_events(criteria)}
    read = [name for name in _READ if name in named]
    columns = ("crm", "stream", "key", "type", *read)
    query = _EVENTS.format(
        micros=_MICROS[db.dialect.name],
        said=", ".join(f"e.{name}" for name in columns),
        counts=f"{true} AND e.type IN ({of_types})",
    )
    kinds = {name: _TYPES[name] for name in ("person_id", "id", "occurred_at", *columns)}
    found = db.execute(text(query), {"after": after, "last": last, **types})
    parts = [pl.DataFrame(schema=kinds)]
    while rows := found.cursor.fetchmany(AT_ONCE):
        of_rows = zip(kinds.items(), zip(*rows, strict=True), strict=True)
        parts.append(pl.DataFrame([pl.Series(name, values, kind) for (name, kind), values in of_rows]))
    found.close()
    events = pl.concat(parts).unique(["person_id", "id"])
    doubtful = _doubtful(events, mappings, suspects)
    judged = _judged(db, events.join(doubtful, on="person_id", how="semi"), mappings, suspects)
    out = events.join(doubtful, on="person_id", how="anti").vstack(judged)
    out = out.filter(pl.col("type").is_in(scored))
    return out.select("person_id", "type", pl.col("occurred_at").cast(pl.Datetime("us", "UTC")), *read)


def _doubtful(
    events: pl.DataFrame, mappings: Collection[CrmMapping], suspects: Sequence[SuspectRule]
) -> pl.DataFrame:
    """Those of whom an event is told twice, by two records or two CRMs, who clicked as much as a scanner, or who did
    something that a rule of `suspect` may set aside."""
    told_twice = events.group_by("person_id", "crm", "stream", "key").len().filter(pl.col("len") > 1)
    # Of two CRMs that tell one event within minutes, the events next to each other do.
    before = events.sort("person_id", "type", "occurred_at").with_columns(
        pl.col("person_id", "type", "crm", "occurred_at").shift().name.prefix("last_")
    )
    near = pl.col("occurred_at") - pl.col("last_occurred_at") <= SAME_EVENT // timedelta(microseconds=1)
    same = (pl.col("person_id") == pl.col("last_person_id")) & (pl.col("type") == pl.col("last_type"))
    twins = before.filter(same & near & (pl.col("crm") != pl.col("last_crm")))
    many = [
        events.filter((pl.col("crm") == crm) & (pl.col("stream") == stream) & (pl.col("type") == rule.type))
        .group_by("person_id")
        .len()
        .filter(pl.col("len") >= rule.links)
        .select("person_id")
        for (crm, stream), rule in scanner_rules(mappings).items()
    ]
    named = events.filter(pl.col("type").is_in(sorted(judged_types(suspects)))).select("person_id")
    return pl.concat([told_twice.select("person_id"), twins.select("person_id"), *many, named]).unique()


def _judged(
    db: Connection,
    events: pl.DataFrame,
    mappings: Collection[CrmMapping],
    suspects: Sequence[SuspectRule],
) -> pl.DataFrame:
    """Those of these people's events that count, as a run would have it."""
    ids = events["id"].to_list()
    known = {
        row.id: load_engagement(row).engagement
        for row in where_in(db, select(ENGAGEMENT), ENGAGEMENT.c.id, ids)
    }
    rules = scanner_rules(mappings)
    counting: list[tuple[int, int]] = []
    ordered = events.sort("person_id", "occurred_at", "id").group_by("person_id", maintain_order=True)
    for (person,), group in ordered:
        told = [(id_, known[id_]) for id_ in group["id"]]
        ids_of = {(each.crm, each.stream, each.key, each.about): id_ for id_, each in told}
        scanned = set_aside_scanners([each for _, each in told], rules)
        kept = count_once(set_aside_suspects(scanned, suspects))
        counting += [(int(person), ids_of[each.crm, each.stream, each.key, each.about]) for each in kept]
    schema = {"person_id": pl.Int64, "id": pl.Int64}
    return events.join(pl.DataFrame(counting, schema, orient="row"), on=["person_id", "id"], how="semi")
