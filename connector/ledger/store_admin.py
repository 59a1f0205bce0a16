"""Runs, the account a ledger belongs to, versions of the definition, the audit trail, sealed tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, not_, select, update

from connector.core.model import JsonValue
from connector.errors import FixConfig, StopRun
from connector.ledger import codec
from connector.ledger.hot import mark_due_at, upsert
from connector.ledger.tables import ACCOUNT, AUDIT, FILE_VERSION, LEASE, RECORD, RUN, SEALED_TOKEN, WATERMARK
from connector.ledger.types import time_to_db
from connector.ports import RunInfo

# ------------------------------------------------------------------------------------------------------------ runs


def start_run(db: Connection, kind: str, crms: Sequence[str], at: datetime) -> int:
    """A new run. Returns its number.

    Runs that still say `running` while no lease is alive died without a word: they are told as failed.
    """
    alive = exists(select(LEASE.c.name).where(LEASE.c.expires_at > at))
    db.execute(
        update(RUN)
        .where(RUN.c.status == "running", RUN.c.started_at < at, not_(alive))
        .values(status="failed", finished_at=at, document=codec.dumps({"error": "the process died"}))
    )
    values = {"kind": kind, "status": "running", "crms": codec.dumps(list(crms)), "started_at": at}
    made = db.execute(insert(RUN).values(**values, document="{}").returning(RUN.c.id))
    run: int = made.scalar_one()
    return run


def finish_run(
    db: Connection, run: int, status: str, document: Mapping[str, JsonValue], at: datetime
) -> None:
    """Its end and the document that was printed."""
    done = db.execute(
        update(RUN)
        .where(RUN.c.id == run)
        .values(status=status, finished_at=at, document=codec.dumps(dict(document)))
    )
    if done.rowcount != 1:
        raise StopRun(f"There is no run {run}.", next_step="See `connector runs list`.", where="ledger")


def runs(db: Connection, limit: int = 20) -> list[RunInfo]:
    """The latest runs, newest first."""
    return [_run(row) for row in db.execute(select(RUN).order_by(RUN.c.id.desc()).limit(limit))]


def run(db: Connection, run: int) -> RunInfo | None:
    """One run."""
    row = db.execute(select(RUN).where(RUN.c.id == run)).first()
    return _run(row) if row is not None else None


def _run(row: Row[Any]) -> RunInfo:
    return RunInfo(
        id=row.id,
        kind=row.kind,
        status=row.status,
        crms=tuple(codec.loads(row.crms)),
        started_at=row.started_at,
        finished_at=row.finished_at,
        document=codec.loads(row.document),
    )


# --------------------------------------------------------------------------------------------------- configuration


def bind(db: Connection, crm: str, account: str, at: datetime) -> None:
    """Remember the account this ledger belongs to. Raises FixConfig when it was another."""
    known = db.execute(select(ACCOUNT.c.account).where(ACCOUNT.c.crm == crm)).scalar()
    if known is None:
        db.execute(insert(ACCOUNT).values(crm=crm, account=account, bound_at=at))
        audit(db, at, "connector", "bind account", crm, {"account": account})
    elif known != account:
        raise FixConfig(
            f"This ledger belongs to {crm} account {known}, but the credentials lead to account {account}.",
            next_step="Use the credentials of that account, or another CONNECTOR_DATABASE_URL for this one.",
            where=crm,
        )


def adopt_files(
    db: Connection, files: Mapping[str, str], at: datetime, *, author: str = "", note: str = ""
) -> int:
    """The definition now in force; a new version, and all people due, when it differs from the last.

    A CRM whose mapping (`<crm>.yaml`) changed is read from the beginning again: what is stored was normalized by the
    old one, and a field that is new in it was never fetched.
    """
    last = db.execute(select(FILE_VERSION).order_by(FILE_VERSION.c.version.desc()).limit(1)).first()
    text = codec.dumps(dict(files))
    if last is not None and last.files == text:
        known: int = last.version
        return known
    version = last.version + 1 if last is not None else 1
    db.execute(
        insert(FILE_VERSION).values(version=version, files=text, author=author, note=note, adopted_at=at)
    )
    before = codec.loads(last.files) if last is not None else {}
    changed = sorted(name for name in {*files, *before} if files.get(name) != before.get(name))
    audit(
        db, at, author or "connector", "adopt files", f"version:{version}", {"changed": changed, "note": note}
    )
    stale = (
        {name.removesuffix(".yaml") for name in changed if name.endswith(".yaml")}
        if last is not None
        else set()
    )
    db.execute(delete(WATERMARK).where(WATERMARK.c.crm.in_(sorted(stale))))
    everybody = db.execute(select(RECORD.c.ref).where(RECORD.c.kind == "person"))
    moment = time_to_db(at, db.dialect.name)
    for part in everybody.partitions(10_000):
        mark_due_at(db, [(row.ref, "", moment) for row in part])
    return version


def files(db: Connection, version: int | None = None) -> Mapping[str, str]:
    """The texts of a version by name (the one in force unless told); empty before the first."""
    query = select(FILE_VERSION.c.files).order_by(FILE_VERSION.c.version.desc()).limit(1)
    text = db.execute(query if version is None else query.where(FILE_VERSION.c.version == version)).scalar()
    found: Mapping[str, str] = codec.loads(text) if text is not None else {}
    return found


def audit(
    db: Connection, at: datetime, actor: str, act: str, subject: str, detail: Mapping[str, JsonValue]
) -> None:
    """Add one line to the audit trail. Nothing here changes or removes one."""
    values = {"at": at, "actor": actor, "act": act, "subject": subject, "detail": codec.dumps(dict(detail))}
    db.execute(insert(AUDIT).values(**values))


# ---------------------------------------------------------------------------------------------------------- tokens


def load_sealed(db: Connection, crm: str) -> str | None:
    """The sealed refresh token of a CRM."""
    return db.execute(select(SEALED_TOKEN.c.sealed).where(SEALED_TOKEN.c.crm == crm)).scalar()


def save_sealed(db: Connection, crm: str, sealed: str, at: datetime) -> None:
    """Replace it. Whoever calls has sealed it."""
    row = (crm, sealed, time_to_db(at, db.dialect.name))
    upsert(db, SEALED_TOKEN, ("crm", "sealed", "saved_at"), [row], ("crm",))
