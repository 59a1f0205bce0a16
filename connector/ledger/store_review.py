"""Pairs of records that a human looks at, and what humans decided of them. The next decision joins, nothing here.

An answer stands until it is taken back; then the one before it stands again. Every change is a line of the audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from connector.core.model import CompanyRecord, JsonValue, PersonRecord, RecordState, Ref
from connector.core.reviewing import refusal
from connector.errors import StopRun
from connector.ledger import codec
from connector.ledger.hot import mark_due, upsert, where_in
from connector.ledger.store_account import companies_of
from connector.ledger.store_admin import audit
from connector.ledger.tables import AUDIT, AUDIT_ABOUT, PERSON, RECORD, REVIEW
from connector.ledger.types import time_to_db
from connector.ports import Answered, Review, ReviewAnswer, ReviewPair, ReviewSide

JOIN, SPLIT, UNDO = "join", "split", "undo"
_ACTS = {f"review {act}": act for act in (JOIN, SPLIT, UNDO)}
_DEAD = (RecordState.ARCHIVED, RecordState.GONE)

# ----------------------------------------------------------------------------------------------------------- asked


def keep_reviews(db: Connection, reviews: Sequence[Review], at: datetime) -> None:
    """New pairs are added, each with a number; a pair that a human has answered keeps the answer."""
    pairs = {_names(review.a, review.b): review.why for review in reviews}
    moment = time_to_db(at, db.dialect.name)
    known = {
        (row.a, row.b)
        for row in where_in(db, select(REVIEW.c.a, REVIEW.c.b), REVIEW.c.a, (a for a, _ in pairs))
    }
    fresh = [pair for pair in sorted(pairs) if pair not in known]
    first = _next_number(db) if fresh else 0
    rows = [(a, b, pairs[a, b], moment, first + place) for place, (a, b) in enumerate(fresh)]
    upsert(db, REVIEW, ("a", "b", "why", "found_at", "number"), rows, ("a", "b"))
    for (a, b), why in sorted(pairs.items()):
        if (a, b) in known:
            db.execute(
                update(REVIEW)
                .where(REVIEW.c.a == a, REVIEW.c.b == b, REVIEW.c.answer.is_(None))
                .values(why=why)
            )


def _next_number(db: Connection) -> int:
    if db.dialect.name == "postgresql":  # SQLite has one writer at a time
        db.exec_driver_sql("LOCK TABLE review IN SHARE ROW EXCLUSIVE MODE")
    return int(db.execute(select(func.max(REVIEW.c.number))).scalar() or 0) + 1


def _names(a: Ref, b: Ref) -> tuple[str, str]:
    first, second = sorted((str(a), str(b)))
    return first, second


# --------------------------------------------------------------------------------------------------------- looking


def reviews(db: Connection, *, answered: bool = False) -> list[Review]:
    """The pairs that wait for a human, in order; or those that humans have answered."""
    query = select(REVIEW).order_by(REVIEW.c.a, REVIEW.c.b)
    query = query.where(REVIEW.c.answer.is_not(None) if answered else REVIEW.c.answer.is_(None))
    return [load_review(row) for row in db.execute(query)]


def review_of(db: Connection, a: Ref, b: Ref) -> Review | None:
    """This pair; None where nobody asked and nobody answered."""
    row = _row(db, a, b)
    return load_review(row) if row is not None else None


def numbered(db: Connection, number: int) -> Review | None:
    """The pair of this number."""
    row = db.execute(select(REVIEW).where(REVIEW.c.number == number)).first()
    return load_review(row) if row is not None else None


def knows(db: Connection, ref: Ref) -> bool:
    """Whether this is a person's record that was read."""
    query = select(RECORD.c.ref).where(RECORD.c.ref == str(ref), RECORD.c.kind == "person")
    return db.execute(query).first() is not None


def pairs(db: Connection, *, answered: bool = False) -> list[ReviewPair]:
    """The pairs beside their evidence, by number."""
    return evidence(db, sorted(reviews(db, answered=answered), key=lambda each: each.number))


def evidence(db: Connection, found: Sequence[Review]) -> list[ReviewPair]:
    """These pairs beside their evidence."""
    wanted = {str(ref) for each in found for ref in (each.a, each.b)}
    query = select(RECORD.c.ref, RECORD.c.body, RECORD.c.person_id)
    rows = {row.ref: row for row in where_in(db, query, RECORD.c.ref, wanted)}
    people = {row.person_id for row in rows.values() if row.person_id is not None}
    stages = {
        row.id: row.stage for row in where_in(db, select(PERSON.c.id, PERSON.c.stage), PERSON.c.id, people)
    }
    records = {name: codec.load_person(row.body) for name, row in rows.items()}
    companies = companies_of(db, records.values())
    answer = []
    for review in found:
        sides = []
        for ref in (review.a, review.b):
            record, row = records.get(str(ref)), rows.get(str(ref))
            ours = stages.get(row.person_id, "") if row is not None else ""
            sides.append(_side(ref, record, ours, companies))
        one, other = (rows.get(str(ref)) for ref in (review.a, review.b))
        dead = any(side.state in _DEAD for side in sides)
        same = one is not None and other is not None and one.person_id == other.person_id is not None
        answer.append(ReviewPair(review, sides[0], sides[1], dead or (same and not review.answer)))
    return answer


def _side(
    ref: Ref, record: PersonRecord | None, ours: str, companies: Mapping[Ref, CompanyRecord]
) -> ReviewSide:
    if record is None:
        return ReviewSide(ref, "", (), "", "", "", ours, RecordState.GONE)
    fields = record.fields
    parts = [str(fields[name]) for name in ("first_name", "last_name") if fields.get(name)]
    company = str(fields.get("company_name") or "")
    if not company and record.company is not None and record.company in companies:
        company = str(companies[record.company].fields.get("company_name") or "")
    return ReviewSide(
        ref=ref,
        name=" ".join(parts),
        emails=record.emails,
        company=company,
        owner=str(fields.get("owner") or ""),
        stage=record.stage or "",
        ours=ours,
        state=record.state,
    )


def load_review(row: Row[Any]) -> Review:
    """A pair from its row."""
    return Review(
        a=codec.parse_ref(row.a),
        b=codec.parse_ref(row.b),
        why=row.why,
        number=row.number or 0,
        found_at=row.found_at,
        answer=row.answer or "",
        answered_at=row.answered_at,
        answered_by=row.answered_by or "",
        note=row.note or "",
    )


# ------------------------------------------------------------------------------------------------------- answering


def answer_review(
    db: Connection,
    a: Ref,
    b: Ref,
    answer: str,
    at: datetime,
    *,
    author: str = "",
    note: str = "",
    told: Sequence[str] = (),
) -> Answered:
    """A human's `join` or `split` of two records, asked or not; both become due. The same answer twice is harmless.

    `told`: what there was to say against it, for the audit trail. Raises StopRun for records that nobody knows.
    """
    if answer not in (JOIN, SPLIT):
        raise ValueError(f"an answer is join or split, not {answer}")
    first, second = _names(a, b)
    if first == second:
        raise StopRun(f"{first} is one record.", next_step="Name two records.", where="review")
    _known(db, first, second)
    row = _row(db, a, b)
    if row is not None and row.answer == answer:
        return Answered(load_review(row), changed=False)
    _refuse(db, a, b, answer)
    values: dict[str, Any] = {
        "answer": answer,
        "answered_at": at,
        "answered_by": author,
        "note": note,
        "earlier": codec.dumps([*_earlier(row), *_as_earlier(row)]),
    }
    if row is None:
        keys = {"a": first, "b": second, "why": "", "found_at": at, "number": _next_number(db)}
        db.execute(insert(REVIEW).values(**keys, **values))
    else:
        db.execute(update(REVIEW).where(REVIEW.c.a == first, REVIEW.c.b == second).values(**values))
    was = row.answer if row is not None else None
    detail: dict[str, JsonValue] = {"was": was, "note": note, "told": list(told)}
    _tell(db, at, author, answer, (first, second), detail)
    mark_due(db, [a, b], at)
    row = _row(db, a, b)
    assert row is not None
    return Answered(load_review(row), changed=True, told=tuple(told))


def undo_review(
    db: Connection, a: Ref, b: Ref, at: datetime, *, author: str = "", note: str = ""
) -> Answered:
    """The last answer is taken back: the one before it stands again, else the pair waits as it did before.

    Both records become due. Raises StopRun where nobody has answered.
    """
    first, second = _names(a, b)
    row = _row(db, a, b)
    if row is None or row.answer is None:
        raise StopRun(
            f"Nobody has joined or split {first} and {second}.",
            next_step="See `connector review list --answered`.",
            where="review",
        )
    earlier = _earlier(row)
    _refuse(db, a, b, earlier[-1]["answer"] if earlier else "")
    values: dict[str, Any] = dict.fromkeys(("answer", "answered_at", "answered_by", "note"))
    if earlier:
        last = earlier[-1]
        values = {**last, "answered_at": datetime.fromisoformat(last["answered_at"])}
    place = (REVIEW.c.a == first, REVIEW.c.b == second)
    db.execute(update(REVIEW).where(*place).values(**values, earlier=codec.dumps(earlier[:-1])))
    _tell(db, at, author, UNDO, (first, second), {"was": row.answer, "note": note})
    mark_due(db, [a, b], at)
    now = _row(db, a, b)
    assert now is not None
    if not now.answer and not now.why:
        db.execute(delete(REVIEW).where(*place))  # nobody asked
    return Answered(load_review(now), changed=True)


def answer_reviews(
    db: Connection, answers: Sequence[ReviewAnswer], at: datetime, *, author: str = ""
) -> list[Answered]:
    """Many answers, all of them or none. See `answer_review`."""
    return [
        answer_review(db, each.a, each.b, each.answer, at, author=author, note=each.note, told=each.told)
        for each in answers
    ]


def answers(db: Connection) -> dict[tuple[Ref, Ref], str]:
    """All that humans have decided, by pair."""
    return {(each.a, each.b): each.answer for each in reviews(db, answered=True)}


def acts_on(db: Connection, refs: Iterable[str]) -> list[tuple[Row[Any], str, str, str]]:
    """What humans have done to the pairs in which one of these records is, in order: the line of the audit trail, the
    act, the two records."""
    query = select(AUDIT, AUDIT_ABOUT.c.ref).join(AUDIT_ABOUT, AUDIT_ABOUT.c.line == AUDIT.c.id)
    rows = {row.id: row for row in where_in(db, query, AUDIT_ABOUT.c.ref, refs) if row.act in _ACTS}
    return [(row, _ACTS[row.act], *row.subject.split(" ", 1)) for _, row in sorted(rows.items())]


def _tell(
    db: Connection,
    at: datetime,
    author: str,
    act: str,
    pair: tuple[str, str],
    detail: Mapping[str, JsonValue],
) -> None:
    audit(db, at, author or "connector", f"review {act}", " ".join(pair), detail, about=pair)


def _refuse(db: Connection, a: Ref, b: Ref, answer: str) -> None:
    why = refusal(answers(db), a, b, answer)
    if why:
        raise StopRun(
            f"{a} and {b}: {why}.",
            next_step="Take the other answer back first: `connector review undo A B`.",
            where="review",
        )


def _row(db: Connection, a: Ref, b: Ref) -> Row[Any] | None:
    first, second = _names(a, b)
    return db.execute(select(REVIEW).where(REVIEW.c.a == first, REVIEW.c.b == second)).first()


def _earlier(row: Row[Any] | None) -> list[dict[str, Any]]:
    return list(codec.loads(row.earlier)) if row is not None and row.earlier else []


def _as_earlier(row: Row[Any] | None) -> list[dict[str, Any]]:
    if row is None or row.answer is None:
        return []
    return [
        {
            "answer": row.answer,
            "answered_at": row.answered_at.isoformat(),
            "answered_by": row.answered_by,
            "note": row.note,
        }
    ]


def _known(db: Connection, *names: str) -> None:
    query = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    found = {row.ref for row in where_in(db, query, RECORD.c.ref, names)}
    for name in names:
        if name not in found:
            raise StopRun(
                f"No person's record {name} is known.",
                next_step="Write crm:object:id, as `connector review list` prints it.",
                where="review",
            )
