"""People and what counts of what they did, in bulk: as tables for `score_frames`. Reads below the ORM; scores nobody.

A share of the people at a time, so that memory is bounded by the share. What counts is told by the same functions as in
a run (`set_aside_scanners`, `set_aside_suspects`, `count_once`): they are asked of those whose events could be touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
from sqlalchemy import Connection, Row, func, select, text

from connector.core.criteria import Criteria
from connector.core.known import known_as
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
from connector.core.normalize.scanners import Rules
from connector.core.score.split import needs_of
from connector.core.suspect_rules import SuspectRule
from connector.ledger import codec
from connector.ledger.arrays import Wanted, exact, read_columns
from connector.ledger.hot import chunks, where_in
from connector.ledger.store_decide import load_engagement
from connector.ledger.tables import ADDRESS, ENGAGEMENT, RECORD
from connector.ledger.types import to_micros

SHARE = 100_000  # people at a time
PIECE = 1_000  # people whose events are one answer of the database: a megabyte for each fits into what a text may have

_PEOPLE = "SELECT id, fields FROM person WHERE ended_at IS NULL AND id > :after ORDER BY id LIMIT :many"
_READ = ("name", "url", "campaign", "channel", "status", "value", "attributes")  # what conditions may name
_MICROS = {
    "sqlite": "e.occurred_at",
    "postgresql": "(extract(epoch FROM e.occurred_at) * 1000000)::bigint",
}
_COUNTS = {"sqlite": "e.counted = 1 AND e.deleted = 0", "postgresql": "e.counted AND NOT e.deleted"}
# Two ways to a person: by the record an event is about, by the address where it is about none. CROSS JOIN and `length`
# tell SQLite, which knows no numbers of ours, to begin with the people: it would else begin with all events about none.
_BY_RECORD = """
FROM (SELECT ref, person_id, count(*) OVER (PARTITION BY person_id) > 1 AS several FROM record
      WHERE kind = 'person' AND person_id > :after AND person_id <= :last) p
CROSS JOIN engagement e WHERE e.about = p.ref AND {counts}
"""
_BY_ADDRESS = """
FROM (SELECT DISTINCT r.person_id, a.email FROM record r CROSS JOIN address a
      WHERE a.ref = r.ref AND r.kind = 'person' AND r.person_id > :after AND r.person_id <= :last) p
CROSS JOIN engagement e WHERE e.email = p.email AND length(e.about) = 0 AND {counts}
"""


def shares(
    db: Connection, criteria: Criteria, mappings: Collection[CrmMapping], people_at_once: int = SHARE
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """All people who have records, share by share, as `score_frames` takes them: (people, engagement).

    People: `person_id` and the fields that the criteria read, as the last decision settled them. Engagement: what
    counts, of the types that the criteria and their audiences name, each event once a person.
    """
    needs = needs_of(criteria)
    fields = sorted({field for field, _ in needs.people})
    after = 0
    while rows := db.execute(text(_PEOPLE), {"after": after, "many": people_at_once}).cursor.fetchall():
        yield _people(rows, fields), _engagement(db, after, rows, criteria, mappings)
        after = rows[-1][0]


def _people(rows: Sequence[Any], fields: Sequence[str]) -> pl.DataFrame:
    """These rows (id, fields) with a column for each of the fields."""
    columns: dict[str, list[Any]] = {name: [] for name in fields}
    for start in range(0, len(rows), PIECE):
        bodies = [codec.loads(body) for _, body in rows[start : start + PIECE]]
        for name, column in columns.items():
            column += [values.get(name) for values in bodies]
    ids = pl.Series("person_id", [id_ for id_, _ in rows], pl.Int64)
    return pl.DataFrame([ids, *(_column(name, values) for name, values in columns.items())])


def _column(name: str, values: list[Any]) -> pl.Series:
    """Our values of one field. They are of one type, or read as text, as conditions would read each of them."""
    kinds = set(map(type, values)) - {type(None)}
    if dict in kinds:  # a time, as the codec tags it
        values = [codec.values_from({name: value})[name] for value in values]
        kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    if kinds == {datetime}:
        return pl.Series(name, values, pl.Datetime("us", "UTC"))
    return pl.Series(name, values if kinds == {str} else list(map(_plain, values)), pl.String)


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _engagement(
    db: Connection, after: int, people: Sequence[Any], criteria: Criteria, mappings: Collection[CrmMapping]
) -> pl.DataFrame:
    """What counts of what the people of these rows (id, fields), all from `after` on, did."""
    needs = needs_of(criteria)
    suspects = [rule for each in criteria.variants() for rule in each.suspect]
    types = sorted({*needs.types, *suspect_types(suspects)})
    scanners = scanner_rules(mappings)
    named = {field.partition(".")[0] for field, _ in needs.events}
    read = [name for name in _READ if name in named]
    bounds = [after, *(row[0] for row in people[PIECE - 1 : -1 : PIECE]), people[-1][0]]
    wanted = _wanted(db.dialect.name, types, scanners, read)
    parts = (part for piece in pairwise(bounds) for part in _piece(db, *piece, types, wanted))
    events = pl.concat(part.with_columns(pl.col("type").cast(pl.Enum(types))) for part in parts)
    doubtful = _doubtful(events, scanners, suspects)
    out = events.select("person_id", "type", "occurred_at", *read)
    if len(doubtful):
        judged = _judged(db, doubtful["person_id"], types, scanners, _suspects_of(people, criteria))
        rows = [
            (person, row.type, to_micros(row.occurred_at), *(getattr(row, name) for name in read))
            for person, row in judged
        ]
        out = out.join(doubtful, on="person_id", how="anti").vstack(
            pl.DataFrame(rows, out.schema, orient="row")
        )
    out = out.filter(pl.col("type").cast(pl.String).is_in(needs.types))
    return out.with_columns(pl.col("occurred_at").cast(pl.Datetime("us", "UTC")))


def _wanted(dialect: str, types: Sequence[str], scanners: Rules, read: Sequence[str]) -> dict[str, Wanted]:
    """The columns to ask for; `key` and `stream` only where they may tell what does not count."""
    texts = {name: Wanted(f"e.{name}", pl.String) for name in ("crm", "type", *read)}
    if "value" in texts:
        texts["value"] = exact("e.value", dialect)
    of_scanners = [
        place for place, name in enumerate(types) if name in {rule.type for rule in scanners.values()}
    ]
    if of_scanners:
        clicks = ", ".join(f":t{place}" for place in of_scanners)
        texts["stream"] = Wanted(f"CASE WHEN e.type IN ({clicks}) THEN e.stream END", pl.String)
    return {
        "person_id": Wanted("p.person_id", pl.Int64),
        "occurred_at": Wanted(_MICROS[dialect], pl.Int64),
        **texts,
    }


def _piece(
    db: Connection, after: int, last: int, types: Sequence[str], wanted: Mapping[str, Wanted]
) -> Iterator[pl.DataFrame]:
    """All that is stored and counts of the people in (after, last], a row for each event and record it is about."""
    of_types = ", ".join(f":t{number}" for number in range(len(types))) or "NULL"
    counts = f"{_COUNTS[db.dialect.name]} AND e.type IN ({of_types})"
    given = {"after": after, "last": last} | {f"t{number}": name for number, name in enumerate(types)}

    def ask(way: str, key: str) -> pl.DataFrame:
        return read_columns(db, {**wanted, "key": Wanted(key, pl.String)}, way.format(counts=counts), given)

    by_address = ask(_BY_ADDRESS, "e.key")
    yield by_address
    # One event is told twice where somebody has several records, or an address beside: its key says so.
    yield ask(_BY_RECORD, "e.key" if len(by_address) else "CASE WHEN p.several THEN e.key END")


def _suspects_of(people: Sequence[Any], criteria: Criteria) -> Callable[[int], Sequence[SuspectRule]]:
    """The rules of `suspect` that hold for a person: those of their audience."""
    if all(each.suspect is criteria.suspect for each in criteria.variants()):
        return lambda person: criteria.suspect
    bodies: dict[int, str] = dict(people)
    return lambda person: (
        known_as(codec.values_from(codec.loads(bodies[person])), (), criteria).criteria.suspect
    )


def _doubtful(events: pl.DataFrame, scanners: Rules, suspects: Sequence[SuspectRule]) -> pl.DataFrame:
    """Those of whom an event is told twice, by two records or two CRMs, who clicked as much as a scanner, or who did
    something that a rule of `suspect` may set aside."""
    keyed = events.filter(pl.col("key").is_not_null())
    told_twice = keyed.group_by("person_id", "crm", "key").len().filter(pl.col("len") > 1)
    # Of two CRMs that tell one event within minutes, the events next to each other do. Only a few have two.
    new = (pl.col("person_id") != pl.col("person_id").shift()) | (pl.col("crm") != pl.col("crm").shift())
    crms = events.filter(new.fill_null(True)).select("person_id", "crm").unique()
    of_two = crms.group_by("person_id").len().filter(pl.col("len") > 1)
    before = (
        events.join(of_two, on="person_id", how="semi")
        .sort("person_id", "type", "occurred_at")
        .with_columns(pl.col("person_id", "type", "crm", "occurred_at").shift().name.prefix("last_"))
    )
    near = pl.col("occurred_at") - pl.col("last_occurred_at") <= SAME_EVENT // timedelta(microseconds=1)
    same = (pl.col("person_id") == pl.col("last_person_id")) & (pl.col("type") == pl.col("last_type"))
    twins = before.filter(same & near & (pl.col("crm") != pl.col("last_crm")))
    found = [told_twice, twins]
    for (crm, stream), rule in scanners.items():
        of_stream = (pl.col("crm") == crm) & (pl.col("stream") == stream)
        clicks = events.filter(of_stream & (pl.col("type").cast(pl.String) == rule.type))
        found.append(clicks.group_by("person_id").len().filter(pl.col("len") >= rule.links))
    found.append(events.filter(pl.col("type").cast(pl.String).is_in(sorted(judged_types(suspects)))))
    return pl.concat(each.select("person_id") for each in found).unique()


def _judged(
    db: Connection,
    people: pl.Series,
    types: Sequence[str],
    scanners: Rules,
    suspects_of: Callable[[int], Sequence[SuspectRule]],
) -> Iterator[tuple[int, Row[Any]]]:
    """Person and row of those of these people's events that count, as a run would have it."""
    event = [ENGAGEMENT.c.counted.is_(True), ENGAGEMENT.c.deleted.is_(False), ENGAGEMENT.c.type.in_(types)]
    query = select(RECORD.c.person_id, ENGAGEMENT).where(RECORD.c.kind == "person", *event)
    ways = (
        query.where(ENGAGEMENT.c.about == RECORD.c.ref),
        query.where(
            ADDRESS.c.ref == RECORD.c.ref,
            ENGAGEMENT.c.email == ADDRESS.c.email,
            func.length(ENGAGEMENT.c.about) == 0,
        ),
    )
    for some in chunks(people):
        told: dict[int, dict[int, Row[Any]]] = {}
        for way in ways:
            for row in where_in(db, way, RECORD.c.person_id, some):
                told.setdefault(row.person_id, {})[row.id] = row
        for person, rows in told.items():
            events = {id_: load_engagement(row).engagement for id_, row in rows.items()}
            ids = {(each.crm, each.stream, each.key, each.about): id_ for id_, each in events.items()}
            in_order = sorted(events, key=lambda id_: (events[id_].occurred_at, id_))
            scanned = set_aside_scanners([events[id_] for id_ in in_order], scanners)
            for each in count_once(set_aside_suspects(scanned, suspects_of(person))):
                yield person, rows[ids[each.crm, each.stream, each.key, each.about]]
