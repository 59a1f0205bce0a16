"""A ledger in one file: a ZIP with `manifest.json` and a file of lines (`rows`) for each table, the same from SQLite
and from PostgreSQL. Written from one snapshot, while others go on working.

It holds what the ledger holds: personal data, hashes of tokens, and a rotated refresh token, sealed. So only its owner
may read the file.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from connector import __version__
from connector.errors import FixConfig
from connector.ledger.engine import build_engine, check_place, parse_url
from connector.ledger.tables import ACCOUNT
from connector.ledger.upgrade import HEAD, other_schema, unreachable, version
from connector.ledger.whole.rows import KINDS, Seal, Sealing, Shape, last_number, read, shape_of
from connector.ledger.whole.special import NOT_CARRIED
from connector.ledger.whole.tables import all_tables

FORMAT = 1
_MANIFEST = "manifest.json"

Said = Callable[[str, int], None]
"""Told after each table: its name, and how many rows."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One table in a backup. `last`: the highest number that its database had given out."""

    shape: Shape
    seal: Seal
    last: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `made_at` is aware UTC; `schema` the revision of its tables; `accounts` what each
    CRM's account was called."""

    made_at: datetime
    schema: str
    program: str
    database: str
    accounts: Mapping[str, str]
    tables: tuple[Kept, ...]

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(each.seal.rows for each in self.tables)


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """One consistent view of the ledger at this URL; what others commit meanwhile is not in it.

    Raises FixConfig where there is no ledger, or one of another schema.
    """
    parsed = parse_url(url)
    check_place(parsed, create=False)
    engine = build_engine(parsed, begin="BEGIN", cache_mb=8)
    if parsed.drivername != "sqlite":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    try:
        with engine.begin() as db:
            refuse_other(version(db))
            yield db
    except DBAPIError as error:
        raise unreachable(parsed.render_as_string(hide_password=True), error) from error
    finally:
        engine.dispose()


def refuse_other(found: str | None) -> None:
    """That the schema which a database states is this program's. FixConfig otherwise."""
    if found == HEAD:
        return
    if found is None:
        raise FixConfig(
            "The database holds no ledger.", next_step="Correct the URL.", where="CONNECTOR_DATABASE_URL"
        )
    if not found.isdigit() or found > HEAD:
        raise other_schema(found)
    raise FixConfig(
        f"The database has schema {found}, older than this version of the connector's ({HEAD}).",
        next_step="Use the version that made it, or run `connector db upgrade` first.",
        where="CONNECTOR_DATABASE_URL",
    )


def back_up(url: str, file: Path, at: datetime, said: Said = lambda table, rows: None) -> Manifest:
    """Write the ledger at this URL into a new file that only its owner may read. Nothing is left of one that failed.

    Raises FixConfig where the file is there already or cannot be written, or the ledger cannot be read.
    """
    part = file.with_name(f"{file.name}.part")
    if file.exists():
        raise FixConfig(f"{file} is there already.", next_step="Name a new file.", where=str(file))
    try:
        with open(part, "xb", opener=_private) as raw:
            try:
                with snapshot(url) as db:
                    manifest = _write(db, raw, at, said)
                raw.flush()
                os.fsync(raw.fileno())
                part.rename(file)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        busy = f" Remove {part} where no other backup is at it." if part.exists() else ""
        raise FixConfig(
            f"{file} cannot be written: {error.strerror or type(error).__name__}.",
            next_step=f"Name a file in a folder that can be written and has room.{busy}",
            where=str(file),
        ) from error
    return manifest


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(db: Connection, raw: IO[bytes], at: datetime, said: Said) -> Manifest:
    accounts = {row.crm: row.account for row in db.execute(select(ACCOUNT).order_by(ACCOUNT.c.crm))}
    kept = []
    with ZipFile(raw, "w", ZIP_DEFLATED) as file:
        for table in all_tables():
            if table.name in NOT_CARRIED:
                continue
            shape, sealing = shape_of(table), Sealing()
            with file.open(_member(shape.name), "w", force_zip64=True) as lines:
                for part in read(db, shape):
                    sealing.add(part)
                    lines.write(b"\n".join(part) + b"\n")
            kept.append(Kept(shape, sealing.seal, last_number(db, shape)))
            said(shape.name, sealing.seal.rows)
        manifest = Manifest(at, HEAD, __version__, db.dialect.name, accounts, tuple(kept))
        file.writestr(_MANIFEST, _dump(manifest))
    return manifest


def _member(table: str) -> str:
    return f"tables/{table}.jsonl"


# ------------------------------------------------------------------------------------------------- read again


@contextmanager
def opened(file: Path) -> Iterator[tuple[Manifest, ZipFile]]:
    """A backup, with what it says of itself. Raises FixConfig where it is none, or of a format of the future."""
    try:
        found = ZipFile(file)
        manifest = _load(found.read(_MANIFEST), file)
    except OSError as error:
        raise FixConfig(
            f"{file} cannot be read: {error.strerror}.", next_step="Name a backup.", where=str(file)
        ) from error
    except (BadZipFile, zlib.error, KeyError, ValueError, TypeError) as error:
        raise damaged(file, "it is no backup, or a part of it is missing") from error
    with found:
        yield manifest, found


def damaged(file: Path, why: str) -> FixConfig:
    """What to tell of a file that is not whole."""
    return FixConfig(
        f"{file} cannot be restored: {why}.",
        next_step="Nothing was changed. Use another backup.",
        where=str(file),
    )


def lines_of(found: ZipFile, table: str, at_once: int) -> Iterator[list[bytes]]:
    """The lines of one table, in parts."""
    part: list[bytes] = []
    with found.open(_member(table)) as lines:
        for line in lines:
            part.append(line.rstrip(b"\n"))
            if len(part) == at_once:
                yield part
                part = []
    if part:
        yield part


def _dump(manifest: Manifest) -> bytes:
    document = {
        "format": FORMAT,
        "made_at": manifest.made_at.isoformat(),
        "schema": manifest.schema,
        "program": manifest.program,
        "database": manifest.database,
        "accounts": dict(manifest.accounts),
        "tables": [
            {
                "name": each.shape.name,
                "columns": [list(column) for column in each.shape.columns],
                "key": list(each.shape.key),
                "rows": each.seal.rows,
                "sha256": each.seal.sha256,
                "last": each.last,
            }
            for each in manifest.tables
        ],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _load(text: bytes, file: Path) -> Manifest:
    document: dict[str, Any] = orjson.loads(text)
    if document["format"] != FORMAT:
        raise FixConfig(
            f"{file} is of format {document['format']}; this version of the connector reads format {FORMAT}.",
            next_step="Restore it with the version that made it or a newer one.",
            where=str(file),
        )
    tables = tuple(
        Kept(
            Shape(
                each["name"],
                tuple((str(name), str(kind)) for name, kind in each["columns"]),
                tuple(each["key"]),
            ),
            Seal(each["rows"], each["sha256"]),
            each["last"],
        )
        for each in document["tables"]
    )
    if not all(kind in KINDS for each in tables for _, kind in each.shape.columns):
        raise damaged(file, "a column is of a kind that nobody knows")
    if not all(
        each.shape.name.isidentifier() and all(name.isidentifier() for name in each.shape.names)
        for each in tables
    ):
        raise damaged(file, "a table has a name that none of ours has")
    return Manifest(
        datetime.fromisoformat(document["made_at"]),
        document["schema"],
        document["program"],
        document["database"],
        document["accounts"],
        tables,
    )
