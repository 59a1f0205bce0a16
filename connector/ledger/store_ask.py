"""Questions to the ledger: people and their stories. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, or_, select

from connector.core.model import Engagement, MqlStatus, Ref, Value
from connector.core.reconcile import Standing
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.store_decide import load_engagement
from connector.ledger.store_review import UNDO, acts_on
from connector.ledger.tables import (
    ADDRESS,
    ENGAGEMENT,
    PERSON,
    PLAN_ROW,
    QUARANTINE,
    RECORD,
    REVIEW,
    STAGE_HISTORY,
)
from connector.ports import Judge, PersonView, StoryLine

_DIGITS = 19  # of a number that both databases hold
_SENT = ("sending", "written", "rejected", "unknown", "set_aside")

# ---------------------------------------------------------------------------------------------------------- people


_BELONG = select(RECORD.c.person_id.label("person")).where(RECORD.c.person_id.is_not(None)).distinct()
NAMED: Mapping[str, Select[tuple[int]]] = {
    "number": select(PERSON.c.id.label("person")).where(PERSON.c.id == bindparam("number")),
    "address": _BELONG.join(ADDRESS, ADDRESS.c.ref == RECORD.c.ref).where(
        or_(ADDRESS.c.email == bindparam("typed"), ADDRESS.c.email == bindparam("travels"))
    ),
    "ref": _BELONG.where(RECORD.c.ref == bindparam("ref")),
    "id": _BELONG.where(RECORD.c.vendor_id == bindparam("vendor_id")),
}
"""The question for the ids (`person`) of whom something names, by what it is. Built once: with each look-up of a page
view it would cost as much as the look-up."""


def find(db: Connection, who: str) -> list[int]:
    """Person ids by e-mail address, record id, `crm:object:id` or `person:ID`."""
    kind, given = named(who)
    return sorted(row.person for row in db.execute(NAMED[kind], given))


def named(who: str) -> tuple[str, dict[str, str | int]]:
    """What this is, and the parameters of its question in `NAMED`."""
    who = who.strip()
    if who.startswith("person:"):
        digits = who.removeprefix("person:")
        return "number", {"number": int(digits) if digits.isdecimal() and len(digits) < _DIGITS else 0}
    if "@" in who:
        typed, travels = spellings(who)
        return "address", {"typed": typed, "travels": travels}
    return ("ref", {"ref": who}) if who.count(":") >= 2 else ("id", {"vendor_id": who})


def spellings(address: str) -> tuple[str, str]:
    """As typed, and with the domain as it travels (IDNA)."""
    name, _, domain = address.lower().rpartition("@")
    typed = f"{name}@{domain}"
    if domain.isascii():
        return typed, typed
    try:
        return typed, f"{name}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return typed, typed


def person(db: Connection, person: int) -> PersonView | None:
    """A person as the last decision left them; None when there is none of this id."""
    row = db.execute(select(PERSON).where(PERSON.c.id == person)).first()
    return views(db, [row])[0] if row is not None else None


def names(db: Connection, people: Sequence[int]) -> dict[int, dict[str, Value]]:
    """The fields of these people as the last decision left them, by person id."""
    found = where_in(db, select(PERSON.c.id, PERSON.c.fields), PERSON.c.id, people)
    return {row.id: codec.values_from(codec.loads(row.fields)) for row in found}


def standings(db: Connection, crm: str, limit: int, *, after: str = "") -> list[Standing]:
    """Live person records of a CRM beside the score of their person, by ref, after this one."""
    query = (
        select(RECORD.c.body, *PERSON.c)
        .join(PERSON, PERSON.c.id == RECORD.c.person_id)
        .where(RECORD.c.kind == "person", RECORD.c.state == "live", RECORD.c.ref.startswith(f"{crm}:"))
        .where(RECORD.c.ref > after)
        .order_by(RECORD.c.ref)
        .limit(limit)
    )
    return [
        Standing(
            codec.load_person(row.body),
            row.id,
            codec.load_score(row._asdict()),
            MqlStatus(row.status),
            codec.values_from(codec.loads(row.fields)),
            row.audience or "",
            row.override is not None,
        )
        for row in db.execute(query)
    ]


def views(db: Connection, rows: Sequence[Row[Any]]) -> list[PersonView]:
    """Rows of people as they are told."""
    members: dict[int, list[Ref]] = {}
    query = select(RECORD.c.ref, RECORD.c.person_id)
    for row in where_in(db, query, RECORD.c.person_id, (row.id for row in rows)):
        members.setdefault(row.person_id, []).append(codec.parse_ref(row.ref))
    return [
        PersonView(
            id=row.id,
            refs=tuple(sorted(members.get(row.id, ()))),
            fields=codec.values_from(codec.loads(row.fields)),
            score=codec.load_score(row._asdict()),
            state=codec.load_state(row.state),
            decided_at=row.decided_at,
            criteria_version=row.criteria_version,
            audience=row.audience or "",
            override=row.override,
            guarded=row.guarded or "",
            waits=row.waits is not None,
        )
        for row in rows
    ]


def members(db: Connection, limit: int, *, after: int = 0) -> list[tuple[int, tuple[Ref, ...]]]:
    """The next so many people who have records, by id, with their records in order."""
    ids = select(PERSON.c.id).where(PERSON.c.ended_at.is_(None), PERSON.c.id > after).order_by(PERSON.c.id)
    people = [row.id for row in db.execute(ids.limit(limit))]
    refs: dict[int, list[Ref]] = {person: [] for person in people}
    for row in where_in(db, select(RECORD.c.ref, RECORD.c.person_id), RECORD.c.person_id, people):
        refs[row.person_id].append(codec.parse_ref(row.ref))
    return [(person, tuple(sorted(refs[person]))) for person in people]


def in_bands(db: Connection, crm: str, bands: Sequence[int], limit: int) -> list[Ref]:
    """Live person records of a CRM whose person stands in one of these bands, highest score first."""
    query = (
        select(RECORD.c.ref)
        .join(PERSON, PERSON.c.id == RECORD.c.person_id)
        .where(PERSON.c.ended_at.is_(None), PERSON.c.band.in_(list(bands)))
        .where(RECORD.c.kind == "person", RECORD.c.state == "live", RECORD.c.ref.startswith(f"{crm}:"))
        .order_by(PERSON.c.score.desc(), RECORD.c.ref)
        .limit(limit)
    )
    return [codec.parse_ref(row.ref) for row in db.execute(query)]


def stage_counts(db: Connection) -> dict[str, int]:
    """How many people stand in each stage now."""
    query = (
        select(PERSON.c.stage, func.count().label("people"))
        .where(PERSON.c.ended_at.is_(None))
        .group_by(PERSON.c.stage)
    )
    return {row.stage: row.people for row in db.execute(query)}


# ----------------------------------------------------------------------------------------------------------- story


def story(db: Connection, person: int, judge: Judge | None = None) -> list[StoryLine]:
    """What happened to a person, oldest first: counted engagement, stage changes, writes, pairs for review.

    `judge` says of all engagement what does not count and why; with it, that is told as well.
    """
    rows = db.execute(select(RECORD.c.ref, RECORD.c.body).where(RECORD.c.person_id == person)).all()
    refs = [row.ref for row in rows]
    emails = {mail for row in rows for mail in codec.load_person(row.body).emails}
    lines = [
        *_engagement_lines(db, refs, emails, judge),
        *_stage_lines(db, person),
        *_write_lines(db, refs),
        *_review_lines(db, refs),
    ]
    return sorted(lines, key=lambda line: line.at)


def _engagement_lines(
    db: Connection, refs: Iterable[str], emails: Iterable[str], judge: Judge | None
) -> list[StoryLine]:
    counted = select(ENGAGEMENT).where(ENGAGEMENT.c.deleted.is_(False))
    if judge is None:
        counted = counted.where(ENGAGEMENT.c.counted.is_(True))
    rows = {row.id: row for row in where_in(db, counted, ENGAGEMENT.c.about, refs)}
    by_address = where_in(db, counted.where(ENGAGEMENT.c.about == ""), ENGAGEMENT.c.email, emails)
    rows |= {row.id: row for row in by_address}
    events: Sequence[Engagement] = [load_engagement(row).engagement for _, row in sorted(rows.items())]
    if judge is not None:
        events = judge(events)
    return [StoryLine(event.occurred_at, "engagement", _told(event)) for event in events]


def _told(event: Engagement) -> str:
    what = event.name or event.url or event.campaign
    status = f" ({event.status})" if event.status else ""
    head = f"{event.type.replace('_', ' ')}: {what}" if what else event.type.replace("_", " ")
    aside = "" if event.counted else f" (not counted: {event.why_not})"
    return f"{head}{status}, seen in {event.crm}{aside}"


def _stage_lines(db: Connection, person: int) -> list[StoryLine]:
    lines = []
    for row in db.execute(
        select(STAGE_HISTORY).where(STAGE_HISTORY.c.person == person).order_by(STAGE_HISTORY.c.id)
    ):
        stages = (
            row.to_stage if row.from_stage in (None, row.to_stage) else f"{row.from_stage} to {row.to_stage}"
        )
        status = f", {row.from_status} to {row.to_status}" if row.from_status != row.to_status else ""
        adopted = "adopted as found: " if row.adopted else ""
        whose = f" (of person:{row.was_of}, before the two were joined)" if row.was_of is not None else ""
        lines.append(StoryLine(row.at, "stage", f"{adopted}{stages}{status}: {row.because}{whose}"))
    return lines


def _write_lines(db: Connection, refs: Iterable[str]) -> list[StoryLine]:
    """Writes are of records, so they follow whoever these belong to now."""
    query = select(PLAN_ROW).where(PLAN_ROW.c.status.in_(_SENT))
    lines = []
    for row in sorted(where_in(db, query, PLAN_ROW.c.ref, refs), key=lambda each: int(each.id)):
        fields = ", ".join(f"{w.field} = {w.after}" for w in codec.load_writes(row.writes))
        reason = f" ({row.reason})" if row.reason else ""
        at = row.settled_at or row.sent_at
        if at is not None:
            lines.append(
                StoryLine(at, "write", f"{row.status.replace('_', ' ')} at {row.ref}: {fields}{reason}")
            )
    return lines


def _review_lines(db: Connection, refs: Iterable[str]) -> list[StoryLine]:
    """When somebody was asked of these records, and every answer since, those that were taken back too."""
    names = list(refs)
    rows = {(row.a, row.b): row for row in where_in(db, select(REVIEW), REVIEW.c.a, names)}
    rows |= {(row.a, row.b): row for row in where_in(db, select(REVIEW), REVIEW.c.b, names)}
    lines = [
        StoryLine(row.found_at, "review", f"are {a} and {b} one person? {row.why}")
        for (a, b), row in sorted(rows.items())
        if row.why
    ]
    for line, act, a, b in acts_on(db, names):
        detail = codec.loads(line.detail)
        what = f"{detail.get('was')} taken back" if act == UNDO else act
        note = f": {detail['note']}" if detail.get("note") else ""
        lines.append(StoryLine(line.at, "review", f"{a} and {b}: {what} by {line.actor}{note}"))
    return lines


# ------------------------------------------------------------------------------------------------------ quarantine


def in_quarantine(db: Connection, crm: str, limit: int = 100) -> list[tuple[str, str, str]]:
    """Rows that could not be read as records: (object, id, why)."""
    query = (
        select(QUARANTINE).where(QUARANTINE.c.crm == crm).order_by(QUARANTINE.c.met_at.desc()).limit(limit)
    )
    return [(row.object, row.record, row.why) for row in db.execute(query)]
