"""People and what counts of what they did, in bulk: as tables for `score_frames`, and scored. Reads below the ORM.

A share of the people at a time, so that memory is bounded by the share. What counts is told by the same functions as in
a run (`set_aside_scanners`, `set_aside_suspects`, `count_once`): they are asked of those whose events could be touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
from sqlalchemy import Connection, select, text

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
from connector.core.score import score_frames
from connector.core.score.split import needs_of
from connector.core.suspect_rules import SuspectRule
from connector.ledger import codec
from connector.ledger.arrays import Wanted, exact, read_columns
from connector.ledger.hot import where_in
from connector.ledger.store_decide import load_engagement
from connector.ledger.tables import ENGAGEMENT

SHARE = 25_000  # people at a time; two shares are in memory, one read while the other is scored
PIECE = (
    2_000  # people whose events are one answer of the database; 500 kB of text for each of them is what fits
)

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


_ANY_BY_ADDRESS = "SELECT id FROM engagement WHERE about = '' LIMIT 1"

Judges = Callable[[int], Sequence[SuspectRule]]


def scores(
    db: Connection,
    criteria: Criteria,
    mappings: Collection[CrmMapping],
    as_of: datetime,
    people_at_once: int = SHARE,
) -> Iterator[pl.DataFrame]:
    """The scores at `as_of` of all people who have records, share by share, in the columns of `score_frames`.

    All of one transaction: this thread reads, another scores the share before meanwhile, and both let go of Python's
    lock for most of it.
    """

    def score(people: pl.DataFrame, engagement: pl.DataFrame) -> pl.DataFrame:
        found: pl.DataFrame = score_frames(criteria, people, engagement, as_of).collect()
        return found

    before: Future[pl.DataFrame] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="score") as beside:
        for share in shares(db, criteria, mappings, people_at_once):
            scored, before = before, beside.submit(score, *share)
            del share  # the next is read while this one goes
            if scored is not None:
                yield scored.result()
        if before is not None:
            yield before.result()


def shares(
    db: Connection,
    criteria: Criteria,
    mappings: Collection[CrmMapping],
    people_at_once: int = SHARE,
    people_a_piece: int = PIECE,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """All people who have records, share by share, as `score_frames` takes them: (people, engagement).

    People: `person_id` and the fields that the criteria read, as the last decision settled them. Engagement: what
    counts, of the types that the criteria and their audiences name or judge by, each event once a person.
    """
    needs = needs_of(criteria)
    fields = sorted({field for field, _ in needs.people})
    after = 0
    while rows := db.execute(text(_PEOPLE), {"after": after, "many": people_at_once}).cursor.fetchall():
        last = rows[-1][0]
        bounds = [after, *(row[0] for row in rows[people_a_piece - 1 : -1 : people_a_piece]), last]
        judges = _judges(criteria, rows)
        yield _people(rows, fields), _engagement(db, bounds, criteria, mappings, judges)
        after = last


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
    db: Connection,
    bounds: Sequence[int],
    criteria: Criteria,
    mappings: Collection[CrmMapping],
    judges: Judges,
) -> pl.DataFrame:
    """What counts of what the people between these ids (each piece without its first, with its last) did."""
    needs = needs_of(criteria)
    suspects = [rule for each in criteria.variants() for rule in each.suspect]
    types = sorted({*needs.types, *suspect_types(suspects)})
    scanners = scanner_rules(mappings)
    named = {field.partition(".")[0] for field, _ in needs.events}
    read = [name for name in _READ if name in named]
    told = ["id", "occurred_at", "crm", *(["stream"] if scanners else []), "type", *read]
    events = _events(db, bounds, types, told)
    doubtful = _doubtful(events, scanners, suspects)
    if len(doubtful):
        judged = _judged(db, events.join(doubtful, on="person_id", how="semi"), scanners, judges)
        events = events.join(doubtful, on="person_id", how="anti").vstack(judged)
    return events.select("person_id", "type", pl.col("occurred_at").cast(pl.Datetime("us", "UTC")), *read)


def _events(
    db: Connection, bounds: Sequence[int], types: Sequence[str], columns: Sequence[str]
) -> pl.DataFrame:
    """All that is stored and would count, a row for each record that an event is about. `key` is there only where it
    can show that one event is told twice: for people with several records, or something told by address."""
    dialect = db.dialect.name
    special = {
        "id": Wanted("e.id", pl.Int64),
        "occurred_at": Wanted(_MICROS[dialect], pl.Int64),
        "value": exact("e.value", dialect),
    }
    wanted = {"person_id": Wanted("p.person_id", pl.Int64)}
    wanted |= {name: special.get(name, Wanted(f"e.{name}", pl.String)) for name in columns}
    of_types = {f"t{number}": name for number, name in enumerate(types)}
    counts = f"{_COUNTS[dialect]} AND e.type IN ({', '.join(f':{name}' for name in of_types) or 'NULL'})"

    def ask(way: str, key: str, after: int, last: int) -> pl.DataFrame:
        every = {**wanted, "key": Wanted(key, pl.String)}
        return read_columns(db, every, way.format(counts=counts), {"after": after, "last": last, **of_types})

    parts = []
    about_none = db.execute(text(_ANY_BY_ADDRESS)).first() is not None
    for piece in pairwise(bounds):
        key = "CASE WHEN p.several THEN e.key END"
        if about_none:
            parts.append(ask(_BY_ADDRESS, "e.key", *piece))
            key = "e.key" if len(parts[-1]) else key
        parts.append(ask(_BY_RECORD, key, *piece))
    return pl.concat(parts)


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
        clicks = events.filter(of_stream & (pl.col("type") == rule.type))
        found.append(clicks.group_by("person_id").len().filter(pl.col("len") >= rule.links))
    found.append(events.filter(pl.col("type").is_in(sorted(judged_types(suspects)))))
    return pl.concat(each.select("person_id") for each in found).unique()


def _judged(db: Connection, events: pl.DataFrame, scanners: Rules, judges: Judges) -> pl.DataFrame:
    """Those of these people's events that count, as a run would have it."""
    known = {
        row.id: load_engagement(row).engagement
        for row in where_in(db, select(ENGAGEMENT), ENGAGEMENT.c.id, events["id"].to_list())
    }
    counting: list[tuple[int, int]] = []
    ordered = events.sort("person_id", "occurred_at", "id").group_by("person_id", maintain_order=True)
    for (person,), group in ordered:
        told = [(id_, known[id_]) for id_ in group["id"]]
        ids_of = {(each.crm, each.stream, each.key, each.about): id_ for id_, each in told}
        scanned = set_aside_scanners([each for _, each in told], scanners)
        kept = count_once(set_aside_suspects(scanned, judges(person)))
        counting += [(int(person), ids_of[each.crm, each.stream, each.key, each.about]) for each in kept]
    schema = {"person_id": pl.Int64, "id": pl.Int64}
    return events.join(pl.DataFrame(counting, schema, orient="row"), on=["person_id", "id"], how="semi")


def _judges(criteria: Criteria, rows: Sequence[Any]) -> Judges:
    """By which rules of `suspect` somebody of these rows (id, fields) is judged: those of their audience."""
    if all(each.suspect == criteria.suspect for each in criteria.variants()):
        return lambda person: criteria.suspect
    bodies: dict[int, str] = dict(rows)

    def judges(person: int) -> Sequence[SuspectRule]:
        fields = codec.values_from(codec.loads(bodies[person]))
        return known_as(fields, (), criteria).criteria.suspect

    return judges
