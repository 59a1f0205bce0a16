"""All that is held about one person, as plain values. Reads only, and what it reads is what an erasure reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from connector.core.erasure import Scrubber, Subject
from connector.errors import StopRun
from connector.ledger import codec
from connector.ledger.personal import DECLARED, Erase
from connector.ledger.store_subject import scrubbers, subject_of, walk
from connector.ledger.tables import METADATA

AROUND = 80  # characters of a text on each side of where it names somebody


def export(db: Connection, who: str, at: datetime) -> dict[str, Any] | None:
    """What is held, by table, each row by column; None where nobody is known by that.

    Of texts that are about nobody in particular (a run's document, a version of the definition) only the places that
    name the person are given: the rest is about others.
    """
    subject = subject_of(db, who)
    if subject is None:
        return None
    return {
        "exported_at": at,
        "person": asdict(subject),
        "held": {
            name: {"what": DECLARED[name].what, "rows": [_told(name, row, subject) for row in rows]}
            for name, rows in walk(db, subject)
        },
    }


def _told(name: str, row: Row[Any], subject: Subject) -> Mapping[str, Any]:
    declared = DECLARED[name]
    if declared.erase is not Erase.SCRUB:
        return {column: _plain(value) for column, value in row._asdict().items()}
    looking = scrubbers(METADATA.tables[name], Scrubber(subject, 0))
    told: dict[str, Any] = {}
    for column, value in row._asdict().items():
        if column in looking:
            if isinstance(value, str) and looking[column].mentions(value):
                told[column] = looking[column].places(value, AROUND)
        elif value is not None:
            told[column] = _plain(value)
    return told


def _plain(value: Any) -> Any:
    """A column as a reader expects it: JSON texts as what they say."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return codec.loads(value)
        except StopRun:  # a text that only begins like JSON
            return value
    return value
