"""Runs, the account a ledger belongs to and what was learned of it, versions of the definition, the audit trail,
sealed tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, not_, select, update

from connector.core.model import JsonValue
from connector.errors import FixConfig, StopRun
from connector.ledger import codec
from connector.ledger.hot import mark_due_at, upsert
from connector.ledger.store_backfill import working
from connector.ledger.tables import (
    ACCOUNT,
    AUDIT,
    AUDIT_ABOUT,
    FILE_VERSION,
    LEARNED,
    LEASE,
    RECORD,
    RUN,
    SEALED_TOKEN,
    WATERMARK,
)
from connector.ledger.types import EPOCH, time_to_db
from connector.ports import Act, ProbeAnswer, Reread, RunInfo

TARGETS = "targets"  # the name in LEARNED of what no probe tells

# ------------------------------------------------------------------------------------------------------------ runs


def start_run(db: Connection, kind: str, crms: Sequence[str], at: datetime, *, asked_by: str = "") -> int:
    """A new run. Returns its number.

    Runs that still say `running` while no lease of their kind of work is alive died without a word: they are told as
    failed.
    """
    for of_kind, work in ((RUN.c.kind != "backfill", "sync"), (RUN.c.kind == "backfill", "backfill")):
        alive = exists(select(LEASE.c.name).where(LEASE.c.expires_at > at, working(work)))
        db.execute(
            update(RUN)
            .where(of_kind, RUN.c.status == "running", RUN.c.started_at < at, not_(alive))
            .values(status="failed", finished_at=at, document=codec.dumps({"error": "the process died"}))
        )
    values = {"kind": kind, "status": "running", "crms": codec.dumps(list(crms)), "started_at": at}
    made = db.execute(insert(RUN).values(**values, asked_by=asked_by, document="{}").returning(RUN.c.id))
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
    return [load_run(row) for row in db.execute(select(RUN).order_by(RUN.c.id.desc()).limit(limit))]


def run(db: Connection, run: int) -> RunInfo | None:
    """One run."""
    row = db.execute(select(RUN).where(RUN.c.id == run)).first()
    return load_run(row) if row is not None else None


def load_run(row: Row[Any]) -> RunInfo:
    """A run from its row."""
    return RunInfo(
        id=row.id,
        kind=row.kind,
        status=row.status,
        crms=tuple(codec.loads(row.crms)),
        started_at=row.started_at,
        finished_at=row.finished_at,
        document=codec.loads(row.document),
        backfill=row.backfill,
        asked_by=row.asked_by or "",
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


def bound(db: Connection, crm: str) -> str | None:
    """The account of this CRM that the ledger belongs to; None before the first run."""
    return db.execute(select(ACCOUNT.c.account).where(ACCOUNT.c.crm == crm)).scalar()


def adopt_targets(db: Connection, crm: str, targets: Sequence[str], at: datetime) -> bool:
    """Remember which targets (`Object.field`) can be written to. True when some are new since the last time.

    Then everybody of this CRM is due: what was held back for want of a field is decided again. `targets_since`
    tells the moment, for before-images read earlier say nothing of the new fields.
    """
    row = db.execute(select(LEARNED).where(LEARNED.c.crm == crm, LEARNED.c.name == TARGETS)).first()
    known = set(codec.loads(row.value)) if row is not None else None
    if known == set(targets):
        return False
    grown = known is not None and not set(targets) <= known
    since = at if grown else (row.learned_at if row is not None else EPOCH)
    answer = ProbeAnswer(TARGETS, "fields that can be written to", value=sorted(targets))
    _keep_learned(db, crm, [answer], since)
    if grown:
        moment = time_to_db(at, db.dialect.name)
        query = select(RECORD.c.ref).where(RECORD.c.kind == "person", RECORD.c.ref.startswith(f"{crm}:"))
        for part in db.execute(query).partitions(10_000):
            mark_due_at(db, [(row.ref, "", moment) for row in part])
    return grown


def targets_since(db: Connection) -> Mapping[str, datetime]:
    """By CRM, when a target was last found that had not been there before."""
    query = select(LEARNED.c.crm, LEARNED.c.learned_at).where(LEARNED.c.name == TARGETS)
    return {row.crm: row.learned_at for row in db.execute(query)}


def learn(db: Connection, crm: str, answers: Sequence[ProbeAnswer], at: datetime) -> None:
    """Keep what probes found out; a later answer of the same probe replaces the earlier one."""
    _keep_learned(db, crm, answers, at)
    told = {answer.probe: answer.value for answer in answers}
    audit(db, at, "connector", "probe account", crm, told)


def learned(db: Connection, crm: str) -> list[tuple[ProbeAnswer, datetime]]:
    """What probes found out of this CRM's account, and when."""
    query = select(LEARNED).where(LEARNED.c.crm == crm, LEARNED.c.name != TARGETS).order_by(LEARNED.c.name)
    return [
        (ProbeAnswer(row.name, row.what, row.switch, codec.loads(row.value)), row.learned_at)
        for row in db.execute(query)
    ]


def _keep_learned(db: Connection, crm: str, answers: Sequence[ProbeAnswer], at: datetime) -> None:
    moment = time_to_db(at, db.dialect.name)
    rows = [(crm, a.probe, a.switch, codec.dumps(a.value), a.what, moment) for a in answers]
    upsert(db, LEARNED, ("crm", "name", "switch", "value", "what", "learned_at"), rows, ("crm", "name"))


def adopt_files(
    db: Connection,
    files: Mapping[str, str],
    at: datetime,
    *,
    reread: Reread | None = None,
    author: str = "",
    note: str = "",
) -> int:
    """The definition now in force; a new version, and all people due, when it differs from the last.

    What `reread` names is read from the beginning again: what is stored was normalized by the old mapping, and a field
    that is new in it was never fetched. Where it is not known what differs, that is all of each CRM whose mapping
    (`<crm>.yaml`) has another text.
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
    if last is not None and reread is not None and reread.version == last.version:
        stale = {crm for crm, streams in reread.streams.items() if streams is None}
        for crm, streams in reread.streams.items():
            these = (WATERMARK.c.crm == crm) & WATERMARK.c.stream.in_(streams or ())
            db.execute(delete(WATERMARK).where(these))
    db.execute(delete(WATERMARK).where(WATERMARK.c.crm.in_(sorted(stale))))
    everybody = db.execute(select(RECORD.c.ref).where(RECORD.c.kind == "person"))
    moment = time_to_db(at, db.dialect.name)
    for part in everybody.partitions(10_000):
        mark_due_at(db, [(row.ref, "", moment) for row in part])
    return version


def version(db: Connection) -> int | None:
    """The number of the version in force."""
    query = select(FILE_VERSION.c.version).order_by(FILE_VERSION.c.version.desc()).limit(1)
    return db.execute(query).scalar()


def files(db: Connection, version: int | None = None) -> Mapping[str, str]:
    """The texts of a version by name (the one in force unless told); empty before the first."""
    query = select(FILE_VERSION.c.files).order_by(FILE_VERSION.c.version.desc()).limit(1)
    text = db.execute(query if version is None else query.where(FILE_VERSION.c.version == version)).scalar()
    found: Mapping[str, str] = codec.loads(text) if text is not None else {}
    return found


def audit(
    db: Connection,
    at: datetime,
    actor: str,
    act: str,
    subject: str,
    detail: Mapping[str, JsonValue],
    *,
    about: Sequence[str] = (),
) -> None:
    """Add one line to the audit trail. Nothing here changes or removes one. `about`: the records it is found by."""
    values = {"at": at, "actor": actor, "act": act, "subject": subject, "detail": codec.dumps(dict(detail))}
    line = db.execute(insert(AUDIT).values(**values).returning(AUDIT.c.id)).scalar_one()
    if about:
        db.execute(insert(AUDIT_ABOUT), [{"ref": ref, "line": line} for ref in about])


def note(
    db: Connection, subject: str, act: str, by: str, detail: Mapping[str, JsonValue], at: datetime
) -> None:
    """The same as a transaction of its own."""
    audit(db, at, by, act, subject, detail)


def acts(db: Connection, subject: str) -> list[Act]:
    """What the audit trail says of something, oldest first."""
    query = select(AUDIT).where(AUDIT.c.subject == subject).order_by(AUDIT.c.id)
    return [Act(row.at, row.actor, row.act, codec.loads(row.detail)) for row in db.execute(query)]


# ---------------------------------------------------------------------------------------------------------- tokens


def load_sealed(db: Connection, crm: str) -> str | None:
    """The sealed refresh token of a CRM."""
    return db.execute(select(SEALED_TOKEN.c.sealed).where(SEALED_TOKEN.c.crm == crm)).scalar()


def save_sealed(db: Connection, crm: str, sealed: str, at: datetime) -> None:
    """Replace it. Whoever calls has sealed it."""
    row = (crm, sealed, time_to_db(at, db.dialect.name))
    upsert(db, SEALED_TOKEN, ("crm", "sealed", "saved_at"), [row], ("crm",))
