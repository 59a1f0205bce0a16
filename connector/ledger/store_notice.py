"""Notices: what somebody is to be told once, kept when it is decided. Delivers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from connector.ledger.hot import insert_new
from connector.ledger.tables import NOTICE
from connector.ledger.types import time_to_db
from connector.ports import Decided, Notice


def keep(db: Connection, run: int, decisions: Sequence[Decided], people: Sequence[int]) -> None:
    """The notices of these decisions of a run. One that is there already is not made again."""
    _insert(
        db,
        [
            (replace(each, person=person, run=run), f"{person} {each.about or each.made_at.isoformat()}")
            for decided, person in zip(decisions, people, strict=True)
            for each in decided.notices
        ],
    )


def keep_one(db: Connection, notice: Notice, key: str) -> None:
    """A notice about no person. Where there is one of this kind and key, that one stays."""
    _insert(db, [(notice, key)])


def _insert(db: Connection, notices: Sequence[tuple[Notice, str]]) -> None:
    dialect = db.dialect.name
    columns = ("kind", "key", "person", "to", "text", "made_at", "told_at", "run", "quiet", "routed_at")
    rows = [
        (
            each.kind,
            key,
            each.person,
            each.to,
            each.text,
            at,
            None,
            each.run,
            each.quiet,
            at if each.quiet else None,
        )
        for each, key in notices
        if (at := time_to_db(each.made_at, dialect))
    ]
    insert_new(db, NOTICE, columns, rows, ("kind", "key"))


def find(
    db: Connection,
    person: int | None = None,
    since: datetime | None = None,
    limit: int = 100,
    run: int | None = None,
) -> list[Notice]:
    """See `connector.ports.Ledger.notices`."""
    query = select(NOTICE).order_by(NOTICE.c.made_at.desc(), NOTICE.c.id.desc()).limit(limit)
    if person is not None:
        query = query.where(NOTICE.c.person == person)
    if since is not None:
        query = query.where(NOTICE.c.made_at >= since)
    if run is not None:
        query = query.where(NOTICE.c.run == run)
    return [load(row) for row in db.execute(query)]


def load(row: Row[Any]) -> Notice:
    """A notice from its row."""
    return Notice(
        row.kind, row.to, row.text, row.made_at, row.person, row.told_at, row.run, quiet=bool(row.quiet)
    )
