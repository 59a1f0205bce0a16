"""Backfills: what was asked, how far each stream is, what somebody wishes of it. Reads no CRM, decides nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from connector.core.model import JsonValue
from connector.errors import FixConfig, StopRun
from connector.ledger import codec, store_lease
from connector.ledger.hot import mark_due
from connector.ledger.tables import BACKFILL, BACKFILL_STREAM, DUE, LEASE, PLAN, PLAN_ROW, RUN
from connector.ports import (
    UNFINISHED,
    Backfill,
    BackfillStream,
    Estimate,
    Lease,
    Range,
    backfill_lease,
)

HELD = "backfill:"


def held_by(backfill: int) -> str:
    """The `crm` of a due mark that only this backfill may take up."""
    return f"{HELD}{backfill}"


# ------------------------------------------------------------------------------------------------------- questions


def backfill(db: Connection, run: int) -> Backfill | None:
    """The backfill that this run worked on."""
    query = select(BACKFILL).join(RUN, RUN.c.backfill == BACKFILL.c.id).where(RUN.c.id == run)
    found = db.execute(query).first()
    return load(db, found) if found is not None else None


def unfinished(db: Connection, crm: str | None = None) -> list[Backfill]:
    """Those that somebody may go on with, the oldest first."""
    query = select(BACKFILL).where(BACKFILL.c.status.in_(UNFINISHED)).order_by(BACKFILL.c.id)
    if crm is not None:
        query = query.where(BACKFILL.c.crm == crm)
    return [load(db, row) for row in db.execute(query).all()]


def load(db: Connection, row: Row[Any]) -> Backfill:
    """A backfill from its row, with its streams."""
    streams = db.execute(
        select(BACKFILL_STREAM).where(BACKFILL_STREAM.c.backfill == row.id).order_by(BACKFILL_STREAM.c.place)
    )
    told = codec.loads(row.estimate)  # one of before this was kept holds the streams alone
    return Backfill(
        id=row.id,
        crm=row.crm,
        object=row.object,
        within=Range(row.since, row.until),
        yes=row.yes,
        status=row.status,
        wish=row.wish,
        reason=row.reason,
        run=row.run,
        created_at=row.created_at,
        changed_at=row.changed_at,
        estimates={name: Estimate(**each) for name, each in told.get("streams", told).items()},
        streams=tuple(
            BackfillStream(
                each.stream,
                each.rows,
                each.expected,
                each.done,
                codec.loads(each.cursor) if each.cursor is not None else None,
            )
            for each in streams
        ),
        preflight=told.get("told", {}),
    )


def outcomes(db: Connection, run: int, crm: str) -> dict[str, int]:
    """How the records that a run planned (or held back) stand now, each once: by its latest row."""
    latest = (
        select(func.max(PLAN_ROW.c.id).label("row"))
        .join(PLAN, PLAN.c.id == PLAN_ROW.c.plan)
        .where(PLAN.c.run == run, PLAN.c.crm == crm)
        .group_by(PLAN_ROW.c.ref)
        .subquery()
    )
    query = (
        select(PLAN_ROW.c.status, func.count().label("rows"))
        .join(latest, latest.c.row == PLAN_ROW.c.id)
        .group_by(PLAN_ROW.c.status)
    )
    return {row.status: row.rows for row in db.execute(query)}


# ----------------------------------------------------------------------------------------------------------- steps


def ask(
    db: Connection,
    crm: str,
    object: str,
    within: Range,
    yes: bool,
    estimates: Mapping[str, Estimate],
    at: datetime,
    preflight: Mapping[str, JsonValue] | None = None,
    asked_by: str = "",
) -> Backfill:
    """A new backfill, queued, with the run that will work on it."""
    run = _new_run(db, crm, "queued", at, asked_by)
    values = {"crm": crm, "object": object, "since": within.since, "until": within.until, "yes": yes}
    each = {name: asdict(estimate) for name, estimate in estimates.items()}
    told = codec.dumps({"streams": each, "told": dict(preflight or {})})
    number: int = db.execute(
        insert(BACKFILL)
        .values(
            **values,
            status="queued",
            wish="",
            reason="",
            estimate=told,
            run=run,
            created_at=at,
            changed_at=at,
        )
        .returning(BACKFILL.c.id)
    ).scalar_one()
    db.execute(update(RUN).where(RUN.c.id == run).values(backfill=number))
    rows = [
        {
            "backfill": number,
            "stream": name,
            "place": place,
            "rows": 0,
            "expected": estimate.rows,
            "done": False,
            "saved_at": at,
        }
        for place, (name, estimate) in enumerate(estimates.items())
    ]
    db.execute(insert(BACKFILL_STREAM), rows)
    return _known(db, number)


def _new_run(
    db: Connection, crm: str, status: str, at: datetime, asked_by: str, backfill: int | None = None
) -> int:
    values = {
        "kind": "backfill",
        "status": status,
        "crms": codec.dumps([crm]),
        "started_at": at,
        "asked_by": asked_by,
    }
    made = db.execute(insert(RUN).values(**values, document="{}", backfill=backfill).returning(RUN.c.id))
    run: int = made.scalar_one()
    return run


def _known(db: Connection, number: int) -> Backfill:
    return load(db, db.execute(select(BACKFILL).where(BACKFILL.c.id == number)).one())


def begin(db: Connection, number: int, lease: Lease, at: datetime) -> Backfill:
    """An attempt begins: with the run that was queued for it, else with a new one. An earlier attempt that still says
    `running` died without a word, since we hold the lease; it is told as failed. What it had planned and not sent is
    held again, so that this attempt decides it anew."""
    store_lease.check(db, lease)
    known = _known(db, number)
    if known.status not in UNFINISHED:
        raise StopRun(
            f"The backfill of run {known.run} is {known.status}.",
            next_step="Ask for a new one.",
            where=known.crm,
        )
    db.execute(
        update(RUN)
        .where(RUN.c.backfill == number, RUN.c.status == "running")
        .values(status="failed", finished_at=at, document=codec.dumps({"error": "the process died"}))
    )
    unsent = (
        select(PLAN_ROW.c.ref)
        .join(PLAN, PLAN.c.id == PLAN_ROW.c.plan)
        .join(RUN, RUN.c.id == PLAN.c.run)
        .where(
            RUN.c.backfill == number,
            PLAN.c.status == "open",
            PLAN_ROW.c.status.in_(["planned", "waiting", "sending"]),
        )
    )
    refs = [codec.parse_ref(row.ref) for row in db.execute(unsent)]
    mark_due(db, refs, at, crm=held_by(number))
    taken = db.execute(
        update(RUN)
        .where(RUN.c.id == known.run, RUN.c.status == "queued")
        .values(status="running", started_at=at)
    )
    run = known.run
    if taken.rowcount != 1:  # its plans are whoever's who asked for the first one
        asked_by = db.execute(select(RUN.c.asked_by).where(RUN.c.id == known.run)).scalar()
        run = _new_run(db, known.crm, "running", at, asked_by or "", number)
    _set(db, number, at, status="running", wish="", reason="", run=run)
    return _known(db, number)


def keep_place(
    db: Connection, number: int, stream: str, cursor: Mapping[str, JsonValue], rows: int, at: datetime
) -> str:
    """Within the commit of a page: where its stream is now. Returns what somebody wishes meanwhile."""
    db.execute(
        update(BACKFILL_STREAM)
        .where(BACKFILL_STREAM.c.backfill == number, BACKFILL_STREAM.c.stream == stream)
        .values(cursor=codec.dumps(dict(cursor)), rows=BACKFILL_STREAM.c.rows + rows, saved_at=at)
    )
    wish: str = db.execute(select(BACKFILL.c.wish).where(BACKFILL.c.id == number)).scalar_one()
    return wish


def end_stream(db: Connection, number: int, stream: str, lease: Lease, at: datetime) -> None:
    """The stream's range was read to its end."""
    store_lease.check(db, lease)
    db.execute(
        update(BACKFILL_STREAM)
        .where(BACKFILL_STREAM.c.backfill == number, BACKFILL_STREAM.c.stream == stream)
        .values(done=True, saved_at=at)
    )


def settle(db: Connection, number: int, status: str, reason: str, at: datetime) -> None:
    """An attempt has ended so. Ended for good: people still held for it are anybody's to decide."""
    _set(db, number, at, status=status, wish="", reason=reason)
    if status not in UNFINISHED:
        _let_go(db, number, at)


def wish(db: Connection, number: int, wish: str, at: datetime) -> Backfill:
    """`pause`, `cancel` or `resume` from outside. A runner that is alive sees it at its next page; without one it
    holds at once. Raises FixConfig for a backfill that has ended."""
    known = _known(db, number)
    if known.status not in UNFINISHED:
        raise FixConfig(
            f"The backfill of run {known.run} is {known.status} already.",
            next_step="`connector runs list` shows what is under way.",
            where=known.crm,
        )
    alive = store_lease.holder(db, backfill_lease(known.crm), at) is not None
    if known.status == "running" and alive:
        _set(db, number, at, wish="" if wish == "resume" else wish)
    elif wish == "resume":
        _set(db, number, at, status="queued", wish="", reason="")
    else:
        status = "paused" if wish == "pause" else "cancelled"
        settle(db, number, status, f"{status} from outside", at)
        died = {"status": "failed", "document": codec.dumps({"error": "the process died"})}
        ended = [("running", died)]
        if status == "cancelled":
            ended.append(("queued", {"status": "cancelled"}))
        for was, values in ended:
            of_this = (RUN.c.backfill == number, RUN.c.status == was)
            db.execute(update(RUN).where(*of_this).values(finished_at=at, **values))
    return _known(db, number)


def _set(db: Connection, number: int, at: datetime, **values: Any) -> None:
    db.execute(update(BACKFILL).where(BACKFILL.c.id == number).values(**values, changed_at=at))


def _let_go(db: Connection, number: int, at: datetime) -> None:
    held = [row.ref for row in db.execute(select(DUE.c.ref).where(DUE.c.crm == held_by(number)))]
    mark_due(db, [codec.parse_ref(ref) for ref in held], at)
    db.execute(delete(DUE).where(DUE.c.crm == held_by(number)))


def working(kind: str) -> Any:
    """The condition on a lease that work of this kind is being done under it: backfills hold theirs by a name of
    their own, and nobody works by merely serving or waiting."""
    backfills = LEASE.c.holder.like("%/backfill")
    work = or_(LEASE.c.name == "decide", LEASE.c.name.like("pull:%"), LEASE.c.name.like("push:%"))
    return or_(LEASE.c.name.like("backfill:%"), work & backfills) if kind == "backfill" else work & ~backfills
