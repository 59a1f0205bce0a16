"""A ledger back from its file, in one transaction: it is as it was when the backup was made, or nothing has changed.

The tables are made as they were in the version of the backup, filled, compared with what the backup says of itself, and
only then upgraded. What must not come back (`special`) does not, numbers that were given out are not given out again,
and the lost time is marked (`store_gap`).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from connector.errors import FixConfig
from connector.ledger import store_erase, store_gap
from connector.ledger.engine import build_engine, check_place, parse_url
from connector.ledger.store_erased import KeyBox
from connector.ledger.tables import METADATA
from connector.ledger.upgrade import (
    VERSION,
    alone,
    knows,
    other_schema,
    unreachable,
    upgrade_connection,
    version,
)
from connector.ledger.whole.backup import Kept, Manifest, Said, damaged, lines_of, opened, refuse_other
from connector.ledger.whole.rows import (
    AT_ONCE,
    Sealing,
    empty,
    insert,
    last_number,
    number_on,
    read,
    seal,
    shape_of,
)
from connector.ledger.whole.special import ENDURES, NOT_CARRIED
from connector.ledger.whole.standing import nobody_at_work, rows_standing
from connector.ledger.whole.tables import all_tables
from connector.ports import Gap


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it. `run`: the one that marks the gap. `replaced`: rows of the ledger that stood there before;
    `erased`: people of the backup who had been erased since."""

    manifest: Manifest
    run: int
    replaced: int
    erased: int


def restore(
    url: str,
    file: Path,
    at: datetime,
    by: str,
    *,
    replace: bool = False,
    box: KeyBox | None = None,
    said: Said = lambda table, rows: None,
) -> Restored:
    """Bring the ledger of a backup into the database at this URL.

    Whoever was erased since the backup was made is erased again; `box` opens the key of their hashes.
    Raises FixConfig where the file is no whole backup or of a newer schema, the database cannot be used, or holds a
    ledger that is not empty and not to be replaced; LeaseBusy while somebody works on it. Nothing is changed then.
    """
    parsed = parse_url(url)
    check_place(parsed, create=True)
    engine = build_engine(parsed)
    try:
        with opened(file) as (manifest, found):
            if not knows(manifest.schema):
                raise other_schema(manifest.schema, of=f"The backup {file}", where=str(file))
            with engine.begin() as db:
                alone(db)
                before = _cleared(db, at, replace=replace)
                upgrade_connection(db, to=manifest.schema)
                for kept in manifest.tables:
                    _fill(db, kept, found, file)
                    said(kept.shape.name, kept.seal.rows)
                upgrade_connection(db)
                before.put_back(db)
                _number_on(db, manifest, before)
                erased = len(store_erase.erase_again(db, at, box))
                run = store_gap.mark(db, manifest.made_at, at, by)
                return Restored(manifest, run, before.rows, erased)
    except DBAPIError as error:
        raise unreachable(parsed.render_as_string(hide_password=True), error) from error
    finally:
        engine.dispose()


def mark_gap(url: str, at: datetime, by: str, *, box: KeyBox | None = None) -> Gap:
    """For a ledger that came back by other means, a snapshot of its disk for instance: mark the lost time, from the
    last thing that its runs tell of. Raises FixConfig where there is no ledger of this schema or no run, LeaseBusy."""
    parsed = parse_url(url)
    check_place(parsed, create=False)
    engine = build_engine(parsed)
    try:
        with engine.begin() as db:
            alone(db)
            refuse_other(version(db))
            nobody_at_work(db, at)
            since = store_gap.last_moment(db)
            if since is None:
                raise FixConfig(
                    "The ledger has done nothing yet: there is no gap.", next_step="Run `connector sync`."
                )
            store_erase.erase_again(db, at, box)
            return Gap(store_gap.mark(db, since, at, by), since, at)
    except DBAPIError as error:
        raise unreachable(parsed.render_as_string(hide_password=True), error) from error
    finally:
        engine.dispose()


# ---------------------------------------------------------------------------------------- what stood there before


@dataclass(frozen=True, slots=True)
class _Before:
    """What is kept of the ledger that goes: the rows of some tables, and the last number of each."""

    rows: int
    endures: dict[str, list[bytes]]
    numbers: dict[str, int]

    def put_back(self, db: Connection) -> None:
        """They stand again; where the backup has a row of the same key, theirs is gone."""
        for name, lines in self.endures.items():
            shape = shape_of(METADATA.tables[name])
            others = [line for part in read(db, shape) for line in part]
            empty(db, shape)
            insert(db, shape, lines)
            insert(db, shape, others, keeping=True)


def _cleared(db: Connection, at: datetime, *, replace: bool) -> _Before:
    """Take away what stands in the database, once that is allowed."""
    if version(db) is None:
        return _Before(0, {}, {})
    upgrade_connection(db)  # refuses a newer one; an older one is brought to the tables that we know
    nobody_at_work(db, at)
    tables, rows = all_tables(), rows_standing(db)
    if rows and not replace:
        raise FixConfig(
            f"The database holds a ledger already ({rows:,} rows).",
            next_step="Restore into an empty database, or say --replace: what stands there is lost then.",
            where="CONNECTOR_DATABASE_URL",
        )
    kept = {
        table.name: [line for part in read(db, shape_of(table)) for line in part]
        for table in tables
        if table.name in ENDURES | NOT_CARRIED
    }
    numbers = {table.name: last_number(db, shape_of(table)) for table in tables}
    METADATA.drop_all(db)
    VERSION.drop(db)
    return _Before(rows, kept, numbers)


# ------------------------------------------------------------------------------------------------- what comes back


def _fill(db: Connection, kept: Kept, found: ZipFile, file: Path) -> None:
    """One table, compared twice: the lines as they are read, and the rows as they stand."""
    sealing = Sealing()
    empty(db, kept.shape)
    try:
        for lines in lines_of(found, kept.shape.name, AT_ONCE):
            sealing.add(lines)
            insert(db, kept.shape, lines)
    except (BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise damaged(file, f"the rows of `{kept.shape.name}` cannot be read") from error
    if sealing.seal != kept.seal:
        raise damaged(file, f"the rows of `{kept.shape.name}` are not those that it was sealed with")
    if seal(db, kept.shape) != kept.seal:
        raise damaged(file, f"this database does not hold the rows of `{kept.shape.name}` as they were")


def _number_on(db: Connection, manifest: Manifest, before: _Before) -> None:
    backed_up = {kept.shape.name: kept.last for kept in manifest.tables}
    for table in all_tables():
        name = table.name
        number_on(db, shape_of(table), at_least=max(backed_up.get(name, 0), before.numbers.get(name, 0)))
