"""Erase: all that is held about one person goes, in one commit; what reports count stays, about nobody.

What stays: the keyed hashes of `store_erased`, and rows that nothing ties to the person any more: steps of stage and
MQL status with their moments, times as MQL, how many writes each plan had and how they ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Table, bindparam, case, delete, func, insert, select, update

from connector.core.erasure import NOBODY, Scrubber, Subject
from connector.core.model import JsonValue, RecordState, Ref, StageState
from connector.ledger import codec, store_erased, store_lease
from connector.ledger.hot import chunks, where_in
from connector.ledger.personal import DECLARED, QUOTES, Erase
from connector.ledger.store_admin import audit
from connector.ledger.store_ask import spellings
from connector.ledger.store_erased import KeyBox
from connector.ledger.store_subject import about, gathered, mentioning, scrubbers, subject_of
from connector.ledger.store_tracking import one_by_one
from connector.ledger.tables import (
    ADDRESS,
    AUDIT,
    AUDIT_ABOUT,
    DRAFT,
    ENGAGEMENT,
    FILE_VERSION,
    FORMER,
    LEASE,
    LINK,
    METADATA,
    NOTICE,
    OVERRIDE,
    PAST_RECORD,
    PERSON,
    PLAN_ROW,
    RECORD,
    ROLE,
    STAGE_HISTORY,
)
from connector.ledger.tables_erased import ERASED
from connector.ledger.tables_telling import DELIVERY, SPELL
from connector.ledger.tables_tracking import VISITOR
from connector.ports import Erased, Lease

ERASED_WORD = "erased"
_STANDING = (RecordState.LIVE.value, RecordState.CONVERTED.value)  # what a CRM counts
_VISITORS = ("anonymous:", "user:")  # begin an id of the application
_AT_ONCE = 5_000  # names whose hashes are looked up together


@dataclass(frozen=True, slots=True)
class _Erasure:
    """One erasure under way."""

    db: Connection
    subject: Subject
    number: int
    at: datetime
    scrub: Scrubber


def erase(
    db: Connection,
    who: str,
    *,
    by: str,
    reason: str,
    leases: Sequence[Lease],
    at: datetime,
    box: KeyBox | None,
) -> Erased | None:
    """Erase the person of this address or record; None where nobody is known by it.

    `leases`: of deciding and of every push, so that nobody holds the person in memory. Pages that come in meanwhile
    wait for this commit, and see its hashes. Raises LeaseBusy, FixConfig where several people match.
    """
    for lease in leases:
        store_lease.check(db, lease)
    _halt_intake(db)
    subject = subject_of(db, who)
    return _erase(db, subject, by=by, reason=reason, at=at, box=box) if subject is not None else None


def erase_again(db: Connection, at: datetime, box: KeyBox | None) -> list[Erased]:
    """Erase everybody of whom a hash is kept and who is held all the same, as after the restore of an older backup."""
    if not store_erased.any_erased(db):
        return []
    _halt_intake(db)
    found: dict[int, set[str]] = {}
    for part in _in_parts(_all_names(db), _AT_ONCE):
        for name, erasure in store_erased.erased_among(db, part, box).items():
            found.setdefault(erasure, set()).add(name)
    done = []
    for erasure in sorted(found):
        visitors = {name for name in found[erasure] if name.startswith(_VISITORS)}
        emails = {name for name in found[erasure] - visitors if "@" in name}
        refs = found[erasure] - visitors - emails
        theirs = select(RECORD.c.person_id).where(RECORD.c.person_id.is_not(None))
        people = sorted({row.person_id for row in where_in(db, theirs, RECORD.c.ref, refs)})
        subject = gathered(db, people, refs, emails)
        subject = replace(subject, visitors=tuple(sorted({*subject.visitors, *visitors})))
        done.append(_erase(db, subject, by="connector", reason="erased before", at=at, box=box))
    return done


def allow(db: Connection, who: str, *, by: str, reason: str, at: datetime, box: KeyBox | None) -> int:
    """Whoever has this address or record may come in again, by all that was theirs. Returns how many erasures."""
    names = {who.strip(), *(spellings(who) if "@" in who else ())}
    numbers = sorted(set(store_erased.erased_among(db, names, box).values()))
    for number in numbers:
        db.execute(delete(ERASED).where(ERASED.c.erasure == number))
        audit(db, at, by, "allow erased person", f"erasure:{number}", {"reason": reason})
    return len(numbers)


def resealed(db: Connection, box: KeyBox, old: KeyBox | None, by: str, at: datetime) -> int:
    """See `store_erased.reseal`."""
    many = store_erased.reseal(db, box, old)
    audit(db, at, by, "reseal erasures", "erasures", {"keys": many})
    return many


def forgotten(db: Connection, by: str, at: datetime) -> int:
    """See `store_erased.forget_all`."""
    many = store_erased.forget_all(db)
    audit(db, at, by, "forget erasures", "erasures", {"hashes": many})
    return many


def _all_names(db: Connection) -> Iterable[str]:
    for column in (
        RECORD.c.ref, ADDRESS.c.email, ENGAGEMENT.c.email, ENGAGEMENT.c.about, OVERRIDE.c.target, PLAN_ROW.c.ref,
        VISITOR.c.key, VISITOR.c.email,
    ):  # fmt: skip
        for part in db.execute(select(column).distinct()).partitions(10_000):
            yield from (row[0] for row in part if row[0])


def _in_parts(names: Iterable[str], size: int) -> Iterable[list[str]]:
    part: list[str] = []
    for name in names:
        part.append(name)
        if len(part) == size:
            yield part
            part = []
    yield part


def _halt_intake(db: Connection) -> None:
    """Every commit that takes something in checks its lease first: it waits until this one is through."""
    db.execute(select(LEASE.c.name).order_by(LEASE.c.name).with_for_update()).all()
    one_by_one(db)  # first-party engagement has no lease


def _erase(
    db: Connection, subject: Subject, *, by: str, reason: str, at: datetime, box: KeyBox | None
) -> Erased:
    number = _next_number(db)
    work = _Erasure(db, subject, number, at, Scrubber(subject, number))
    query = select(RECORD.c.ref, RECORD.c.state).where(RECORD.c.kind == "person").order_by(RECORD.c.ref)
    records = list(where_in(db, query, RECORD.c.ref, subject.refs))
    named_in = _named_in(work)
    _let_others_go(work)
    rows: dict[str, int] = {}
    for name, declared in DECLARED.items():
        table = METADATA.tables[name]
        if declared.erase is Erase.ANONYMISE:
            rows[name] = _ANONYMOUS[name](work)
        if declared.erase is Erase.DELETE and table is not AUDIT_ABOUT:  # the audit trail is scrubbed by it
            rows[name] = _delete(work, table)
        if declared.of(*QUOTES):
            rows[name] = rows.get(name, 0) + _scrub(work, table)
    rows["audit_about"] = _delete(work, AUDIT_ABOUT)
    standing = {row.ref: row.ref.rpartition(":")[0] for row in records if row.state in _STANDING}
    names = {name: _object_of(name, standing) for name in subject.keys}
    store_erased.remember(db, names, number, at, box)
    still_there = tuple(codec.parse_ref(row.ref) for row in records if row.state in _STANDING)
    told: dict[str, JsonValue] = {
        "reason": work.scrub.scrubbed(reason),
        "rows": {name: many for name, many in rows.items() if many},
        "records": len(records),
    }
    audit(db, at, by, "erase person", f"erasure:{number}", told)
    return Erased(number, at, dict(rows), still_there, named_in, len(subject.shared))


def _object_of(name: str, standing: dict[str, str]) -> str:
    """`crm:object` of a record that its CRM still counts."""
    if name not in standing:
        return ""
    ref = codec.parse_ref(name)
    return f"{ref.crm}:{ref.object}"


def _next_number(db: Connection) -> int:
    used = db.execute(select(func.max(ERASED.c.erasure))).scalar() or 0
    lowest = db.execute(select(func.min(PERSON.c.id))).scalar() or 0
    return max(int(used), -int(lowest), 0) + 1


# ------------------------------------------------------------------------------------------------- what is deleted


def _delete(work: _Erasure, table: Table) -> int:
    those = about(table, work.subject)
    return 0 if those is None else work.db.execute(delete(table).where(those)).rowcount


def _let_others_go(work: _Erasure) -> None:
    """Records of others, and deals, that name the person's: they name nobody in that place from now on."""
    db, refs = work.db, work.subject.refs
    named = {row.opportunity for row in where_in(db, select(ROLE.c.opportunity), ROLE.c.person, refs)}
    named |= {row.ref for row in where_in(db, select(LINK.c.ref), LINK.c.other, refs)}
    named |= {row.ref for row in where_in(db, select(FORMER.c.ref), FORMER.c.name, refs)}
    named -= set(refs)
    for row in list(where_in(db, select(RECORD.c.ref, RECORD.c.body), RECORD.c.ref, named)):
        body = work.scrub.scrubbed(row.body)
        db.execute(update(RECORD).where(RECORD.c.ref == row.ref).values(body=body, vendor="{}"))
    for row in list(where_in(db, select(PAST_RECORD.c.id, PAST_RECORD.c.body), PAST_RECORD.c.ref, named)):
        body = work.scrub.scrubbed(row.body)
        db.execute(update(PAST_RECORD).where(PAST_RECORD.c.id == row.id).values(body=body))


# --------------------------------------------------------------------------------------------------- what is scrubbed


def _scrub(work: _Erasure, table: Table) -> int:
    looking = scrubbers(table, work.scrub)
    own = _own_lines(work) if table is AUDIT else set()
    rows = {tuple(row): row for row in mentioning(work.db, table, work.scrub)}
    rows |= {tuple(row): row for row in where_in(work.db, select(AUDIT), AUDIT.c.id, own)} if own else {}
    for row in rows.values():
        texts = {name: getattr(row, name) or "" for name in looking}
        values = {name: looking[name].scrubbed(text) for name, text in texts.items()}
        values = {name: value for name, value in values.items() if value != texts[name]}
        if table is AUDIT and (row.id in own or work.scrub.mentions(row.subject)):
            values["detail"] = "{}"  # whatever was noted of them
        if values:
            same = [column == getattr(row, column.name) for column in table.primary_key.columns]
            work.db.execute(update(table).where(*same).values(values))
    return len(rows)


def _own_lines(work: _Erasure) -> set[int]:
    found = where_in(work.db, select(AUDIT_ABOUT.c.line), AUDIT_ABOUT.c.ref, work.subject.refs)
    return {row.line for row in found}


def _named_in(work: _Erasure) -> tuple[str, ...]:
    """Files of the definition in force, and of open drafts, that name the person: they are edited by humans."""
    newest = select(FILE_VERSION.c.files).order_by(FILE_VERSION.c.version.desc()).limit(1)
    drafts = select(DRAFT.c.files).where(DRAFT.c.status == "open")
    by_key = work.scrub.by_key  # names in it are of who agreed to it
    texts = [row.files for query in (newest, drafts) for row in work.db.execute(query)]
    return tuple(
        sorted({name for each in texts for name, text in codec.loads(each).items() if by_key.mentions(text)})
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- what stays about nobody


def _people(work: _Erasure) -> int:
    """One row of nobody, so that what is counted by audience and version still is."""
    if not work.subject.people:
        return 0
    db = work.db
    kept = db.execute(select(PERSON).where(PERSON.c.id == work.subject.people[0])).first()
    done = _delete(work, PERSON)
    if kept is not None:
        nobody = {
            "id": -work.number, "fields": "{}", "fit": 0.0, "engagement": 0.0, "score": 0.0, "band": 1, "grade": "",
            "contributions": "[]", "stage": kept.stage, "status": kept.status,
            "state": codec.dump_state(StageState(kept.stage)), "decays": False, "decided_at": kept.decided_at,
            "criteria_version": kept.criteria_version, "run": kept.run, "ended_at": work.at, "audience": kept.audience,
        }  # fmt: skip
        db.execute(insert(PERSON).values(nobody))
    return done


def _history(work: _Erasure) -> int:
    those = about(STAGE_HISTORY, work.subject)
    if those is None:
        return 0
    nobody = {"person": -work.number, "was_of": None, "because": ERASED_WORD, "before": None}
    return work.db.execute(update(STAGE_HISTORY).where(those).values(nobody)).rowcount


def _spells(work: _Erasure) -> int:
    those = about(SPELL, work.subject)
    if those is None:
        return 0
    db = work.db
    rows = db.execute(select(SPELL.c.id, SPELL.c.since).where(those).order_by(SPELL.c.id)).all()
    first = {
        row.since: row.id for row in reversed(rows)
    }  # of two joined people, one that began at one moment
    db.execute(delete(SPELL).where(those, SPELL.c.id.not_in(list(first.values()))))
    ended = {
        "ended": case((SPELL.c.ended_at.is_(None), ERASED_WORD), else_=SPELL.c.ended),
        "ended_at": func.coalesce(SPELL.c.ended_at, bindparam("now", work.at, SPELL.c.ended_at.type)),
    }
    db.execute(update(SPELL).where(those).values(person=-work.number, touch="", **ended))
    return len(rows)


def _plan_rows(work: _Erasure) -> int:
    """Each stays a row of its plan, and ended as it did. What was not sent never is; what was under way is unknown."""
    those = about(PLAN_ROW, work.subject)
    if those is None:
        return 0
    db = work.db
    rows = db.execute(select(PLAN_ROW.c.id, PLAN_ROW.c.ref, PLAN_ROW.c.status).where(those)).all()
    places = {ref: place for place, ref in enumerate(sorted({row.ref for row in rows}), start=1)}
    fates = {"planned": "set_aside", "waiting": "set_aside", "sending": "unknown"}
    values = [
        {"row": row.id, "now": fates.get(row.status, row.status), "nobody": str(_nowhere(work, row.ref, places))}
        for row in rows
    ]  # fmt: skip
    blank = {"person": -work.number, "writes": "[]", "held_back": "[]", "because": "", "reason": ERASED_WORD,
             "stage": None, "job": None}  # fmt: skip
    if values:
        change = update(PLAN_ROW).where(PLAN_ROW.c.id == bindparam("row"))
        db.execute(change.values(**blank, status=bindparam("now"), ref=bindparam("nobody")), values)
        settled = func.coalesce(PLAN_ROW.c.settled_at, bindparam("at", work.at, PLAN_ROW.c.settled_at.type))
        for part in chunks(row.id for row in rows):
            db.execute(update(PLAN_ROW).where(PLAN_ROW.c.id.in_(part)).values(settled_at=settled))
    return len(rows)


def _nowhere(work: _Erasure, name: str, places: dict[str, int]) -> Ref:
    """What stands in place of a record: of its CRM and object, so that a plan still adds up by them."""
    ref = codec.parse_ref(name)
    return Ref(ref.crm, ref.object, f"{NOBODY.replace(':', '-')}{work.number}-{places[name]}")


def _notices(work: _Erasure) -> int:
    """What was not told is told nobody; of what was told stays that it was."""
    those = about(NOTICE, work.subject)
    if those is None:
        return 0
    db = work.db
    rows = db.execute(select(NOTICE.c.id).where(those)).all()
    for part in chunks(row.id for row in rows):
        db.execute(delete(DELIVERY).where(DELIVERY.c.notice.in_(part), DELIVERY.c.status == "waiting"))
        sent = select(DELIVERY.c.id).where(DELIVERY.c.notice == NOTICE.c.id).exists()
        db.execute(delete(NOTICE).where(NOTICE.c.id.in_(part), NOTICE.c.told_at.is_(None), ~sent))
        routed = func.coalesce(NOTICE.c.routed_at, bindparam("at", work.at, NOTICE.c.routed_at.type))
        values = {"person": None, "text": ERASED_WORD, "routed_at": routed}
        for each in part:
            db.execute(
                update(NOTICE).where(NOTICE.c.id == each).values(**values, key=f"{ERASED_WORD} {each}")
            )
    return len(rows)


_ANONYMOUS: dict[str, Callable[[_Erasure], int]] = {
    "person": _people,
    "stage_history": _history,
    "spell": _spells,
    "plan_row": _plan_rows,
    "notice": _notices,
}
