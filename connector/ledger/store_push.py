"""Push: what is under way, and what came of it. Every planned write ends with an outcome; none is assumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, or_, select, update

from connector.core.model import JsonValue, Outcome, PersonRecord, Receipt, RecordState, Ref
from connector.core.resolve import named_as_same
from connector.errors import StopRun
from connector.ledger import codec, store_lease
from connector.ledger.hot import chunks, delete_in, mark_due, upsert, where_in
from connector.ledger.store_admin import audit
from connector.ledger.store_decide import DAY, give_back
from connector.ledger.store_gather import rewrite
from connector.ledger.store_restored import restored
from connector.ledger.store_tug import count_tugs
from connector.ledger.tables import LINK, PERSON, PLAN, PLAN_ROW, RECORD, REFUSAL, WRITTEN
from connector.ledger.types import time_to_db
from connector.ports import Lease, PlanRow

ROWS_AT_ONCE = 2_000  # of a plan in memory
ENDED = ("superseded", "discarded", "expired")
AGAIN = timedelta(hours=24)  # a rejected difference is tried again after this time, or when it changes


def plan_rows(
    db: Connection,
    plan: int,
    *,
    status: str | None = None,
    limit: int | None = None,
    after: int = 0,
) -> list[PlanRow]:
    """Rows of a plan by id, after this id."""
    query = select(PLAN_ROW).where(PLAN_ROW.c.plan == plan, PLAN_ROW.c.id > after).order_by(PLAN_ROW.c.id)
    if status is not None:
        query = query.where(PLAN_ROW.c.status == status)
    return _load_rows(db, query.limit(limit))


def sending(db: Connection, crm: str) -> list[PlanRow]:
    """Rows of this CRM, of any plan, that were under way when a process died, or whose answer never came and that
    nobody has read back since."""
    of_crm = select(PLAN_ROW).where(PLAN_ROW.c.crm == crm)
    under_way = _load_rows(db, of_crm.where(PLAN_ROW.c.status == "sending"))
    open_ = (REFUSAL.c.ref == PLAN_ROW.c.ref) & (REFUSAL.c.refused_at == PLAN_ROW.c.settled_at)
    unanswered = of_crm.join(REFUSAL, open_ & (REFUSAL.c.kind == Outcome.UNKNOWN.value)).where(
        PLAN_ROW.c.status == Outcome.UNKNOWN.value
    )
    return sorted([*under_way, *_load_rows(db, unanswered)], key=lambda row: row.id)


def _load_rows(db: Connection, query: Select[Any]) -> list[PlanRow]:
    return [load_row(row) for row in db.execute(query)]


def load_row(row: Row[Any]) -> PlanRow:
    """A planned write from its row."""
    return PlanRow(
        id=row.id,
        plan=row.plan,
        person=row.person,
        ref=codec.parse_ref(row.ref),
        writes=codec.load_writes(row.writes),
        held_back=codec.load_held_back(row.held_back),
        because=row.because,
        status=row.status,
        reason=row.reason,
        read_at=row.read_at,
        job=row.job or "",
        kind=row.kind,
        rules=codec.load_rules(row.rules),
        settled_at=row.settled_at,
        stage=row.stage,
    )


def mark_sending(
    db: Connection,
    rows: Sequence[PlanRow],
    aside: Sequence[tuple[PlanRow, str]],
    lease: Lease,
    at: datetime,
    ended: Mapping[Ref, tuple[RecordState, Ref | None]],
) -> None:
    """See `connector.ports.Ledger.mark_sending`. Set-aside records are due again at once.

    Raises StopRun for a row that is not waiting to be sent, or whose plan has ended or is older than 24 h.
    """
    store_lease.check(db, lease)
    _check_plans(db, {row.plan for row in (*rows, *(row for row, _ in aside))}, at)
    changes = [
        {
            "row_id": row.id,
            "status": "sending",
            "writes": codec.dump_writes(row.writes),
            "held_back": codec.dump_held_back(row.held_back),
            "because": row.because,
            "reason": "",
            "read_at": row.read_at,
            "sent_at": at,
            "settled_at": None,
            "job": None,
        }
        for row in rows
    ]
    changes += [
        {
            "row_id": row.id,
            "status": Outcome.SET_ASIDE.value,
            "writes": codec.dump_writes(row.writes),
            "held_back": codec.dump_held_back(row.held_back),
            "because": row.because,
            "reason": why,
            "read_at": row.read_at,
            "sent_at": None,
            "settled_at": at,
            "job": None,
        }
        for row, why in aside
    ]
    _change(db, changes, ("planned", "waiting"))
    _keep_records(db, [], ended)
    mark_due(db, [row.ref for row, _ in aside], at)


def keep_job(db: Connection, rows: Sequence[PlanRow], job: str, lease: Lease) -> None:
    """See `connector.ports.Ledger.keep_job`."""
    store_lease.check(db, lease)
    under_way = update(PLAN_ROW).where(PLAN_ROW.c.status == "sending").values(job=job)
    for part in chunks(row.id for row in rows):
        db.execute(under_way.where(PLAN_ROW.c.id.in_(part)))


def companies(db: Connection, refs: Sequence[Ref]) -> dict[Ref, str]:
    """See `connector.ports.Ledger.companies`."""
    query = select(RECORD.c.ref, RECORD.c.company).where(
        RECORD.c.kind == "person", RECORD.c.company.is_not(None)
    )
    found = where_in(db, query, RECORD.c.ref, (str(ref) for ref in refs))
    return {codec.parse_ref(row.ref): row.company for row in found}


def _check_plans(db: Connection, plans: set[int], at: datetime) -> None:
    for row in where_in(db, select(PLAN), PLAN.c.id, plans):
        if row.status != "open" or row.created_at + DAY <= at:
            status = "expired" if row.status == "open" else row.status
            raise StopRun(
                f"Plan {row.id} of {row.crm} is {status}; nothing of it is sent any more.",
                next_step=f"Run `connector sync {row.crm}` for a new plan.",
                where="ledger",
            )


def _change(db: Connection, changes: Sequence[dict[str, Any]], allowed: tuple[str, ...]) -> None:
    """Update plan rows that stand where they may be updated from. Raises StopRun when one does not."""
    if not changes:
        return
    columns: dict[str, Any] = {name: bindparam(f"new_{name}") for name in changes[0] if name != "row_id"}
    done = db.execute(
        update(PLAN_ROW)
        .where(PLAN_ROW.c.id == bindparam("row_id"), or_(*(PLAN_ROW.c.status == each for each in allowed)))
        .values(columns),
        [{name if name == "row_id" else f"new_{name}": value for name, value in c.items()} for c in changes],
    )
    if done.rowcount not in (-1, len(changes)):
        raise StopRun(
            f"{len(changes) - done.rowcount} of {len(changes)} planned writes are not {' or '.join(allowed)} "
            "any more; somebody else has taken them up.",
            next_step="Nothing of this batch was sent or saved. Run again.",
            where="ledger",
        )


def receive(
    db: Connection, rows: Sequence[PlanRow], receipts: Sequence[Receipt], lease: Lease, at: datetime
) -> None:
    """See `connector.ports.Ledger.receive`. `rows` are those marked as sending (or read back: those that `sending`
    gave), `receipts` theirs in order.

    Written: the values become "last written", and the stored record holds them, so that the echo is no news.
    Rejected: due again after 24 h, unless it is parked. Unknown and set aside: due again at once. Waiting: the row
    waits.
    """
    store_lease.check(db, lease)
    if [row.id for row in rows] != [receipt.write_id for receipt in receipts]:
        raise StopRun(
            f"{len(receipts)} receipts do not answer the {len(rows)} writes one by one.",
            next_step="Nothing was saved; the writes are read back at the next run. Report this.",
            where="ledger",
        )
    pairs = list(zip(rows, receipts, strict=True))
    _change(
        db,
        [
            {
                "row_id": row.id,
                "status": receipt.outcome.value,
                "reason": receipt.reason,
                "code": receipt.code,
                "settled_at": at,
            }
            for row, receipt in pairs
        ],
        ("sending", Outcome.UNKNOWN.value),
    )
    written = [(row, receipt) for row, receipt in pairs if receipt.outcome is Outcome.WRITTEN]
    written += [
        (replace(row, writes=tuple(w for w in row.writes if w.field in receipt.arrived)), receipt)
        for row, receipt in pairs
        if receipt.outcome is Outcome.REJECTED and receipt.arrived
    ]
    _keep_written(db, written, at, restored(db, (row for row, _ in written), at))
    refused = [
        (row.ref, _kind(receipt), {w.field: w.after for w in row.writes}, receipt.reason)
        for row, receipt in pairs
        if receipt.outcome in (Outcome.REJECTED, Outcome.UNKNOWN)
    ]
    delete_in(
        db, REFUSAL, REFUSAL.c.ref, (str(r.ref) for r, got in pairs if got.outcome is Outcome.SET_ASIDE)
    )
    keep_refusals(db, refused, at)
    redirected = {row.ref: receipt.moved_to for row, receipt in pairs if receipt.moved_to is not None}
    _keep_records(db, written, {ref: (_state_of(ref, target), target) for ref, target in redirected.items()})
    mark_due(db, [row.ref for row, receipt in pairs if _kind(receipt) == Outcome.REJECTED.value], at + AGAIN)
    at_once = [r.ref for r, receipt in pairs if receipt.outcome in (Outcome.UNKNOWN, Outcome.SET_ASIDE)]
    mark_due(db, [*at_once, *redirected], at)


def _kind(receipt: Receipt) -> str:
    """How a refusal is remembered: `parked` apart from `rejected`, for time does not help it."""
    rejected = receipt.outcome is Outcome.REJECTED
    return "parked" if rejected and receipt.parked else receipt.outcome.value


def _keep_written(
    db: Connection,
    written: Sequence[tuple[PlanRow, Receipt]],
    at: datetime,
    theirs: frozenset[tuple[int, str]],
) -> None:
    people = {row.person for row, _ in written}
    stages = {
        row.id: row.stage for row in where_in(db, select(PERSON.c.id, PERSON.c.stage), PERSON.c.id, people)
    }
    count_tugs(db, [row for row, receipt in written if receipt.moved_to is None], at)
    moment = time_to_db(at, db.dialect.name)
    values = {
        (str(receipt.moved_to or row.ref), line.field): (
            codec.dumps(line.after),
            stages.get(row.person) if line.result == "stage" else None,
            moment,
            row.id,
            (row.id, line.field) in theirs,
        )
        for row, receipt in written
        for line in row.writes
    }
    columns = ("ref", "field", "value", "stage", "written_at", "plan_row", "theirs")
    upsert(db, WRITTEN, columns, [(*key, *values[key]) for key in sorted(values)], ("ref", "field"))
    delete_in(db, REFUSAL, REFUSAL.c.ref, (str(row.ref) for row, _ in written))


def keep_refusals(
    db: Connection, refused: Iterable[tuple[Ref, str, dict[str, Any], str]], at: datetime
) -> None:
    """Remember refused differences: (record, kind, wanted values, reason). The last one per record counts."""
    moment = time_to_db(at, db.dialect.name)
    rows = {
        str(ref): (str(ref), kind, codec.dumps(wanted), reason, moment)
        for ref, kind, wanted, reason in refused
    }
    columns = ("ref", "kind", "wanted", "reason", "refused_at")
    upsert(db, REFUSAL, columns, [rows[ref] for ref in sorted(rows)], ("ref",))


def _state_of(ref: Ref, target: Ref) -> RecordState:
    # The vendor tells only that it moved; a change of object is a conversion. The next pull tells more.
    return RecordState.MERGED if target.object == ref.object else RecordState.CONVERTED


def _keep_records(
    db: Connection,
    written: Sequence[tuple[PlanRow, Receipt]],
    ended: Mapping[Ref, tuple[RecordState, Ref | None]],
) -> None:
    """The stored records hold what we wrote; those that ended say so, and where they went."""
    values: dict[Ref, dict[str, Any]] = {}
    for row, receipt in written:
        values.setdefault(receipt.moved_to or row.ref, {}).update({w.field: w.after for w in row.writes})
    query = select(RECORD.c.body).where(RECORD.c.kind == "person").with_for_update()
    changed: list[PersonRecord] = []
    for found in where_in(db, query, RECORD.c.ref, {str(ref) for ref in (*values, *ended)}):
        record = codec.load_person(found.body)
        now = replace(record, held={**record.held, **values.get(record.ref, {})})
        if record.ref in ended:
            state, target = ended[record.ref]
            now = replace(now, state=state, moved_to=target)
        if now != record:
            changed.append(now)
    rewrite(db, changed)
    links = sorted((str(r.ref), other) for r in changed if r.ref in ended for other in named_as_same(r))
    upsert(db, LINK, ("ref", "other"), links, ("ref", "other"))


def correct(
    db: Connection, stands: Mapping[Ref, Mapping[str, JsonValue]], lease: Lease, at: datetime
) -> None:
    """See `connector.ports.Ledger.correct`."""
    store_lease.check(db, lease)
    query = select(RECORD.c.body).where(RECORD.c.kind == "person").with_for_update()
    records = [
        codec.load_person(row.body) for row in where_in(db, query, RECORD.c.ref, {str(ref) for ref in stands})
    ]
    rewrite(db, [replace(record, held={**record.held, **stands[record.ref]}) for record in records])
    mark_due(db, list(stands), at)


def wait(db: Connection, plan: int, reason: str, lease: Lease, at: datetime) -> int:
    """All rows of a plan that were not sent wait, with the reason. Returns how many."""
    store_lease.check(db, lease)
    done = db.execute(
        update(PLAN_ROW)
        .where(PLAN_ROW.c.plan == plan, PLAN_ROW.c.status.in_(["planned", Outcome.WAITING.value]))
        .values(status=Outcome.WAITING.value, reason=reason, settled_at=at)
    )
    return done.rowcount


def close_plan(db: Connection, plan: int, status: str, lease: Lease, at: datetime, *, by: str = "") -> None:
    """End a plan: applied, empty, superseded, discarded or expired (or `open` again, to wait). `by`: who did it.
    One that another has taken over, that was dropped or is too old stays so.

    Discarded: its unsent differences are refused until the desired value changes. Superseded or expired: their
    records are due again.
    """
    store_lease.check(db, lease)
    row = db.execute(select(PLAN).where(PLAN.c.id == plan)).first()
    if row is None:
        raise StopRun(f"There is no plan {plan}.", next_step="See `connector plan list`.", where="ledger")
    if status == row.status or row.status in ENDED:
        return
    if status == "discarded" and row.kind != "undo":  # of an undo nothing is wanted that could be refused
        for unsent in ("planned", "waiting"):
            after = 0
            while rows := plan_rows(db, plan, status=unsent, limit=ROWS_AT_ONCE, after=after):
                after = rows[-1].id
                why = f"plan {plan} was discarded"
                keep_refusals(
                    db, [(r.ref, "discarded", {w.field: w.after for w in r.writes}, why) for r in rows], at
                )
    elif status in ("superseded", "expired"):
        give_back(db, plan, at)
    db.execute(update(PLAN).where(PLAN.c.id == plan).values(status=status))
    detail = {"crm": row.crm, "status": status}
    audit(
        db,
        at,
        by or lease.holder,
        "discard plan" if status == "discarded" else "close plan",
        f"plan:{plan}",
        detail,
    )
