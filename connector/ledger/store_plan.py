"""Plans as things of their own: what they are, why they wait, who approved; the brake; fields that are left alone.

What is sent, and what came of it, is `store_push`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, or_, select, update

from connector.core.approval import Proof
from connector.core.model import JsonValue, Ref
from connector.errors import StopRun
from connector.ledger import codec, store_lease
from connector.ledger.hot import mark_due, where_in
from connector.ledger.store_admin import audit
from connector.ledger.store_decide import give_back, load_hold
from connector.ledger.tables import BRAKE, HOLD, PLAN, PLAN_ROW, RECORD, WRITTEN
from connector.ports import PLAN_LIFE, Brake, Hold, Lease, PlanInfo


def plans(db: Connection, limit: int = 20, *, at: datetime | None = None) -> list[PlanInfo]:
    """The latest plans, newest first, with their rows counted.

    With `at`, an open plan that is older than 24 h by then is told as expired.
    """
    return infos(db, db.execute(select(PLAN).order_by(PLAN.c.id.desc()).limit(limit)).all(), at)


def plan(db: Connection, plan: int, *, at: datetime | None = None) -> PlanInfo | None:
    """One plan, told likewise."""
    found = infos(db, db.execute(select(PLAN).where(PLAN.c.id == plan)).all(), at)
    return found[0] if found else None


def infos(
    db: Connection, rows: Sequence[Row[Any]], at: datetime | None, *, by_kind: bool = True
) -> list[PlanInfo]:
    """Rows of plans as they are told. To count a large plan's rows `by_kind` each of them is read; by status an index
    tells."""
    ids = [row.id for row in rows]
    counts, kinds = _counted(db, ids, "status"), _counted(db, ids, "kind") if by_kind else {}
    successors = _successors(db, [row.id for row in rows if row.status == "superseded"])
    return [
        PlanInfo(
            id=row.id,
            run=row.run,
            crm=row.crm,
            status="expired" if _expired(row, at) else row.status,
            created_at=row.created_at,
            counts=counts.get(row.id, {}),
            kind=row.kind,
            definition=row.definition,
            asked_by=row.asked_by,
            held=row.held,
            summary=codec.loads(row.summary),
            undoes=row.undoes,
            approved_by=row.approved_by,
            approved_at=row.approved_at,
            approval_note=row.approval_note or "",
            approval_proof=Proof(row.approval_proof or Proof.CLAIMED),
            kinds=kinds.get(row.id, {}),
            superseded_by=successors.get(row.id),
            let_go_at=row.let_go_at,
        )
        for row in rows
    ]


def _successors(db: Connection, plans: Sequence[int]) -> dict[int, int]:
    """The plan after each: one CRM has one open plan, and a new one ends it."""
    after = PLAN.alias("after")
    query = (
        select(PLAN.c.id, func.min(after.c.id).label("successor"))
        .join(after, and_(after.c.crm == PLAN.c.crm, after.c.id > PLAN.c.id))
        .group_by(PLAN.c.id)
    )
    return {row.id: row.successor for row in where_in(db, query, PLAN.c.id, plans)}


def _counted(db: Connection, plans: Iterable[int], by: str) -> dict[int, dict[str, int]]:
    column = PLAN_ROW.c[by]
    query = select(PLAN_ROW.c.plan, column.label("what"), func.count().label("rows")).group_by(
        PLAN_ROW.c.plan, column
    )
    found: dict[int, dict[str, int]] = {}
    for row in where_in(db, query, PLAN_ROW.c.plan, plans):
        found.setdefault(row.plan, {})[row.what] = row.rows
    return found


def _expired(row: Row[Any], at: datetime | None) -> bool:
    return at is not None and row.status == "open" and row.created_at + PLAN_LIFE <= at


def open_plans(db: Connection, *, at: datetime | None = None) -> list[PlanInfo]:
    """Those that are open: one a CRM at most, and one that takes a run back; with `at`, those not expired by then."""
    found = infos(db, db.execute(select(PLAN).where(PLAN.c.status == "open").order_by(PLAN.c.id)).all(), at)
    return [each for each in found if each.status == "open"]


def retire(db: Connection, crms: Sequence[str], lease: Lease, at: datetime, *, anew: bool) -> None:
    """See `connector.ports.Ledger.retire_plans`."""
    store_lease.check(db, lease)
    query = select(PLAN).where(PLAN.c.status == "open", PLAN.c.crm.in_(sorted(crms)))
    for row in db.execute(query).all():
        waits = row.held or row.approved_by is not None
        leaving = store_lease.holder(db, f"push:{row.crm}", at) is not None
        if _expired(row, at):
            end(db, row.id, "expired", at)
        elif row.kind != "undo" and not leaving and (anew or not waits):  # no later decision replaces an undo
            end(db, row.id, "superseded", at)


def end(db: Connection, plan: int, status: str, at: datetime) -> None:
    """A plan ends as superseded or expired: what it had not sent makes its records due again."""
    give_back(db, plan, at)
    db.execute(update(PLAN).where(PLAN.c.id == plan).values(status=status))


def carry_approval(db: Connection, plan: int, lease: Lease, at: datetime) -> bool:
    """See `connector.ports.Ledger.carry_approval`."""
    store_lease.check(db, lease)
    new = db.execute(select(PLAN).where(PLAN.c.id == plan)).one()
    older = select(PLAN).where(PLAN.c.crm == new.crm, PLAN.c.id < plan).order_by(PLAN.c.id.desc()).limit(1)
    old = db.execute(older).first()
    if old is None or old.status != "superseded" or old.approved_by is None:
        return False
    if old.created_at + PLAN_LIFE <= at or _content(db, plan) != _content(db, old.id):
        return False
    told = f"carried over from plan {old.id}, which held the same"
    note = f"{told}: {old.approval_note}" if old.approval_note else told
    approval = {
        "approved_by": old.approved_by, "approved_at": old.approved_at, "approval_note": note,
        "approval_proof": old.approval_proof,
    }  # fmt: skip
    db.execute(update(PLAN).where(PLAN.c.id == plan).values(**approval))
    audit(db, at, lease.holder, "carry approval", f"plan:{plan}", {"from": old.id, "by": old.approved_by})
    return True


def _content(db: Connection, plan: int) -> str:
    """A digest of what a plan sends: records, fields, values before and after."""
    digest = sha256()
    sent = (PLAN_ROW.c.plan == plan, PLAN_ROW.c.status != "held_back")
    for row in db.execute(select(PLAN_ROW.c.ref, PLAN_ROW.c.writes).where(*sent).order_by(PLAN_ROW.c.ref)):
        lines = sorted(
            (w.field, codec.dumps(w.before), codec.dumps(w.after)) for w in codec.load_writes(row.writes)
        )
        digest.update(codec.dumps([row.ref, [list(line) for line in lines]]).encode())
    return digest.hexdigest()


def ever_applied(db: Connection, crm: str) -> bool:
    """Whether a write has ever left for this CRM, or a plan of it was applied. Old rows of plans go, what we wrote last
    stays."""
    sent = exists().where(
        PLAN_ROW.c.crm == crm, PLAN_ROW.c.status.in_(["written", "rejected", "unknown", "sending"])
    )
    applied = exists().where(PLAN.c.crm == crm, PLAN.c.status == "applied")
    written = exists().where(WRITTEN.c.ref.startswith(f"{crm}:", autoescape=True))
    return bool(db.execute(select(or_(sent, applied, written))).scalar())


def hold(db: Connection, plan: int, held: str, lease: Lease, at: datetime) -> None:
    """Say why a plan waits for a human; empty: it need not any more."""
    store_lease.check(db, lease)
    db.execute(update(PLAN).where(PLAN.c.id == plan).values(held=held))


def planned_values(
    db: Connection, plan: int, limit: int, *, after: int = 0
) -> dict[int, list[tuple[Ref, Mapping[str, JsonValue]]]]:
    """See `connector.ports.Ledger.planned_values`."""
    written = (PLAN_ROW.c.plan == plan, PLAN_ROW.c.status != "held_back", PLAN_ROW.c.person > after)
    people = select(PLAN_ROW.c.person).where(*written).distinct().order_by(PLAN_ROW.c.person).limit(limit)
    found: dict[int, list[tuple[Ref, Mapping[str, JsonValue]]]] = {
        row.person: [] for row in db.execute(people)
    }
    told = select(RECORD.c.person_id, RECORD.c.ref, RECORD.c.vendor)
    told = told.where(RECORD.c.kind == "person", RECORD.c.state == "live")
    for row in where_in(db, told, RECORD.c.person_id, found):
        values = {name: value for name, value in codec.loads(row.vendor).items() if name}
        found[row.person_id].append((codec.parse_ref(row.ref), values))
    return found


def tell(db: Connection, plan: int, name: str, value: JsonValue, at: datetime) -> None:
    """Keep something worth telling in the plan's `summary`, beside what is there."""
    text = db.execute(select(PLAN.c.summary).where(PLAN.c.id == plan).with_for_update()).scalar_one()
    summary = codec.dumps({**codec.loads(text), name: value})
    db.execute(update(PLAN).where(PLAN.c.id == plan).values(summary=summary))


def approve(
    db: Connection, plan: int, by: str, note: str, at: datetime, proof: Proof = Proof.CLAIMED
) -> None:
    """A human approves of an open plan. Raises StopRun when it is not open."""
    done = db.execute(
        update(PLAN)
        .where(PLAN.c.id == plan, PLAN.c.status == "open", PLAN.c.created_at > at - PLAN_LIFE)
        .values(approved_by=by, approved_at=at, approval_note=note, approval_proof=proof.value)
    )
    if done.rowcount != 1:
        raise StopRun(
            f"Plan {plan} is not open, so there is nothing to approve.",
            next_step="See `connector plan list`.",
            where="ledger",
        )
    audit(db, at, by, "approve plan", f"plan:{plan}", {"note": note, "proof": proof.value})


# ------------------------------------------------------------------------------------------------------- the brake


def brakes(db: Connection) -> dict[str, Brake]:
    """The CRMs to which nothing is pushed now."""
    return {row.crm: Brake(row.crm, row.by, row.why, row.at) for row in db.execute(select(BRAKE))}


def set_brake(db: Connection, crm: str, on: bool, by: str, why: str, at: datetime) -> None:
    """`stop` or `start`; twice is harmless, and the first to stop keeps being told."""
    standing = crm in brakes(db)
    if on == standing:
        return
    if on:
        db.execute(insert(BRAKE).values(crm=crm, by=by, why=why, at=at))
    else:
        db.execute(delete(BRAKE).where(BRAKE.c.crm == crm))
    audit(db, at, by, "stop pushing" if on else "start pushing", crm, {"why": why})


# ------------------------------------------------------------------------------------- fields that are left alone


def holds(db: Connection, refs: Sequence[Ref] | None = None, *, kind: str | None = None) -> list[Hold]:
    """The holds on these records (None: on all), those that only count so far included, in order."""
    query = select(HOLD) if kind is None else select(HOLD).where(HOLD.c.kind == kind)
    rows = db.execute(query) if refs is None else where_in(db, query, HOLD.c.ref, (str(ref) for ref in refs))
    return sorted((load_hold(row) for row in rows), key=lambda each: (each.ref, each.field, each.kind))


def release_holds(db: Connection, holds: Sequence[Hold], by: str, at: datetime) -> None:
    """Leave these fields alone no longer; their records are due."""
    for each in holds:
        db.execute(
            delete(HOLD).where(
                and_(HOLD.c.ref == str(each.ref), HOLD.c.field == each.field, HOLD.c.kind == each.kind)
            )
        )
        audit(db, at, by, f"release {each.kind}", str(each.ref), {"field": each.field})
    mark_due(db, [each.ref for each in holds], at)
