"""The gap between a backup and its restoring: what happened in it is not known here. It is kept as a run of kind
`restore`, so that everybody who lists runs sees it; what was on its way when the backup was made is not sent from it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from connector.core.model import JsonValue
from connector.core.notify import REVOPS, SUMMARY
from connector.ledger import codec, store_backfill, store_notice, store_plan
from connector.ledger.store_admin import audit
from connector.ledger.store_delivery import GIVEN_UP, WAITING
from connector.ledger.tables import ACCOUNT, BACKFILL, JOB, NOTICE, PLAN, REQUEST, RUN
from connector.ledger.tables_telling import DELIVERY
from connector.ports import OPEN_REQUEST, UNFINISHED, Gap, Notice

RESTORE = "restore"


def gaps(db: Connection) -> list[Gap]:
    """The oldest first. Where the run's details are not kept any more, it began when it ended."""
    found = db.execute(select(RUN).where(RUN.c.kind == RESTORE).order_by(RUN.c.id))
    return [
        Gap(
            row.id,
            datetime.fromisoformat(told["made_at"])
            if (told := codec.loads(row.document).get(RESTORE))
            else row.started_at,
            row.started_at,
        )
        for row in found
    ]


def last_moment(db: Connection) -> datetime | None:
    """The last that any run tells of; None where there was none."""
    found: datetime | None = db.execute(
        select(func.max(func.coalesce(RUN.c.finished_at, RUN.c.started_at)))
    ).scalar()
    return found


def mark(db: Connection, made_at: datetime, at: datetime, by: str) -> int:
    """The ledger is that of `made_at` again, from `at` on. Returns the number of the run that says so.

    Plans that were open end, and their records are due: the lost time may have sent them. What commands had left to a
    sidecar is answered as failed, backfills are paused, and what nobody had been told yet is not told: by now they
    were, or it is too late. Jobs by the clock count as never done, so that the slow compares come first.
    """
    told: dict[str, JsonValue] = {"made_at": made_at.isoformat()}
    plans = [row.id for row in db.execute(select(PLAN.c.id).where(PLAN.c.status == "open"))]
    for plan in plans:
        store_plan.end(db, plan, "superseded", at)
    told["plans_ended"] = list(plans)
    why = f"the ledger was restored from a backup made at {made_at:%Y-%m-%d %H:%M} UTC"
    told["requests_ended"] = db.execute(
        update(REQUEST)
        .where(REQUEST.c.status.in_(OPEN_REQUEST))
        .values(status="failed", changed_at=at, answer=codec.dumps({"error": _request_lost(why)}))
    ).rowcount
    unfinished = [
        row.id for row in db.execute(select(BACKFILL.c.id).where(BACKFILL.c.status.in_(UNFINISHED)))
    ]
    for number in unfinished:
        store_backfill.settle(db, number, "paused", f"{why}; `connector runs resume` goes on", at)
    told["backfills_paused"] = len(unfinished)
    waiting = update(DELIVERY).where(DELIVERY.c.status == WAITING)
    told["deliveries_given_up"] = db.execute(waiting.values(status=GIVEN_UP)).rowcount
    unrouted = update(NOTICE).where(NOTICE.c.routed_at.is_(None))
    told["notices_left_out"] = db.execute(unrouted.values(routed_at=at)).rowcount
    db.execute(delete(JOB))
    crms = [row.crm for row in db.execute(select(ACCOUNT.c.crm).order_by(ACCOUNT.c.crm))]
    values = {
        "kind": RESTORE,
        "status": "succeeded",
        "crms": codec.dumps(crms),
        "started_at": at,
        "finished_at": at,
        "asked_by": by,
        "document": codec.dumps({RESTORE: told}),
    }
    run: int = db.execute(insert(RUN).values(values).returning(RUN.c.id)).scalar_one()
    audit(db, at, by, "restore ledger", f"run {run}", told)
    text = (
        f"{why[:1].upper()}{why[1:]}, by {by}. What happened since is read again; what was written since cannot be "
        f"undone. Plans that waited have ended and are made anew. See `connector runs show {run}`."
    )
    store_notice.keep_one(db, Notice(SUMMARY, REVOPS, text, at, run=run), f"restore {run}")
    return run


def _request_lost(why: str) -> dict[str, JsonValue]:
    return {
        "kind": "StopRun",
        "message": f"It was not done: {why}.",
        "next_step": "Look at what stands in the CRMs now, and ask again.",
        "where": "ledger",
    }
