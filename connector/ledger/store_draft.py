"""Definitions that are not in force yet, who agreed to them, and the history of those that were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from connector.core.approval import Agreed, Proof
from connector.errors import StopRun
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.store_admin import audit
from connector.ledger.tables import DRAFT, DRAFT_APPROVAL, FILE_VERSION
from connector.ports import Draft, VersionInfo

OPEN, PUBLISHED, DISCARDED, OVERTAKEN = "open", "published", "discarded", "overtaken"


def digest_of(files: Mapping[str, str]) -> str:
    """The same texts under the same names have the same digest."""
    return hashlib.sha256(codec.dumps(dict(sorted(files.items()))).encode()).hexdigest()


def keep_draft(
    db: Connection,
    files: Mapping[str, str],
    base: int,
    author: str,
    note: str,
    at: datetime,
    *,
    status: str = OPEN,
    brings_back: int | None = None,
) -> Draft:
    """The open draft of these files; a new one where there is none. `brings_back`: whose files they are again."""
    digest = digest_of(files)
    known = select(DRAFT).where(DRAFT.c.digest == digest, DRAFT.c.status == OPEN)
    if found := _drafts(db, known):
        if brings_back is not None:
            db.execute(update(DRAFT).where(DRAFT.c.id == found[0].id).values(brings_back=brings_back))
        return replace(found[0], brings_back=brings_back or found[0].brings_back)
    values = {
        "base": base, "files": codec.dumps(dict(files)), "digest": digest, "author": author, "note": note,
        "status": status, "made_at": at, "changed_at": at, "brings_back": brings_back,
    }  # fmt: skip
    number = db.execute(DRAFT.insert().values(**values).returning(DRAFT.c.id)).scalar_one()
    audit(db, at, author or "connector", f"draft {status}", f"draft:{number}", {"note": note})
    return _drafts(db, select(DRAFT).where(DRAFT.c.id == number))[0]


def drafts(db: Connection, *, number: int | None = None, status: str | None = None) -> list[Draft]:
    """The newest first."""
    query = select(DRAFT).order_by(DRAFT.c.id.desc())
    if number is not None:
        query = query.where(DRAFT.c.id == number)
    return _drafts(db, query if status is None else query.where(DRAFT.c.status == status))


def approve_draft(db: Connection, number: int, agreed: Agreed) -> Draft:
    """Add one side's word. StopRun where the draft is not open (any more), or that side has spoken."""
    draft = _open(db, number)
    if any(each.side == agreed.side for each in draft.agreed):
        raise StopRun(
            f"{agreed.side} has approved of draft {number} already.", next_step="Nothing was changed."
        )
    values = {
        "draft": number, "side": agreed.side, "by": agreed.by, "note": agreed.note, "at": agreed.at,
        "proof": agreed.proof.value,
    }  # fmt: skip
    db.execute(DRAFT_APPROVAL.insert().values(**values))
    audit(
        db,
        agreed.at,
        agreed.by,
        "approve draft",
        f"draft:{number}",
        {"side": agreed.side, "note": agreed.note, "proof": agreed.proof.value},
    )
    return drafts(db, number=number)[0]


def settle_draft(
    db: Connection, number: int, status: str, by: str, at: datetime, *, version: int | None = None
) -> None:
    """How an open draft ended: published (as a version) or discarded. StopRun where it is not open any more."""
    _open(db, number)
    db.execute(
        update(DRAFT).where(DRAFT.c.id == number).values(status=status, changed_at=at, version=version)
    )
    audit(db, at, by or "connector", f"draft {status}", f"draft:{number}", {"version": version})


def overtake(db: Connection, files: Mapping[str, str], base: int, by: str, at: datetime) -> None:
    """This edit does not put itself in force any more. One that waits for somebody's approval goes on waiting."""
    keep_draft(db, files, base, by, "", at, status=OVERTAKEN)


def history(db: Connection, limit: int) -> list[VersionInfo]:
    """The newest first."""
    return load_versions(
        db.execute(select(FILE_VERSION).order_by(FILE_VERSION.c.version.desc()).limit(limit))
    )


def load_versions(rows: Iterable[Row[Any]]) -> list[VersionInfo]:
    """Versions of the definition from their rows."""
    return [
        VersionInfo(
            row.version,
            row.author,
            row.note,
            row.adopted_at,
            row.brings_back,
            _agreed(codec.loads(row.agreed or "[]")),
        )
        for row in rows
    ]


def sign(
    db: Connection,
    version: int,
    author: str,
    note: str,
    agreed: Sequence[Agreed],
    brings_back: int | None,
) -> None:
    """Who put a version in force, why, and who had agreed."""
    told = [
        {
            "side": each.side,
            "by": each.by,
            "note": each.note,
            "at": each.at.isoformat(),
            "proof": each.proof.value,
        }
        for each in agreed
    ]
    values = {"author": author, "note": note, "agreed": codec.dumps(told), "brings_back": brings_back}
    db.execute(update(FILE_VERSION).where(FILE_VERSION.c.version == version).values(**values))


def _agreed(told: Iterable[Mapping[str, Any]]) -> tuple[Agreed, ...]:
    return tuple(
        Agreed(
            each["side"],
            each["by"],
            each["note"],
            datetime.fromisoformat(each["at"]),
            Proof(each.get("proof") or Proof.CLAIMED),
        )
        for each in told
    )


def _open(db: Connection, number: int) -> Draft:
    found = drafts(db, number=number)
    if not found:
        raise StopRun(f"There is no draft {number}.", next_step="`connector criteria history` lists them.")
    if found[0].status != OPEN:
        raise StopRun(f"Draft {number} is {found[0].status}.", next_step="Nothing was changed.")
    return found[0]


def _drafts(db: Connection, query: Select[Any]) -> list[Draft]:
    rows: Sequence[Row[Any]] = db.execute(query).all()
    words: dict[int, list[Agreed]] = {}
    for row in where_in(db, select(DRAFT_APPROVAL), DRAFT_APPROVAL.c.draft, [row.id for row in rows]):
        words.setdefault(row.draft, []).append(
            Agreed(row.side, row.by, row.note, row.at, Proof(row.proof or Proof.CLAIMED))
        )
    return [
        Draft(
            row.id, row.base, codec.loads(row.files), row.digest, row.author, row.note, row.status, row.made_at,
            row.changed_at, tuple(sorted(words.get(row.id, ()), key=lambda each: each.at)), row.version,
            row.brings_back,
        )
        for row in rows
    ]  # fmt: skip
