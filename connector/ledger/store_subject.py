"""Who is meant, and where the ledger holds something about them: the walk over all that `personal` declares.

An export and an erasure ask the same questions, so that what the one shows the other reaches. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, func, or_, select

from connector.core.erasure import Scrubber, Subject, full_names
from connector.core.resolve import named_as_same
from connector.core.tracking import APP, STREAM
from connector.errors import FixConfig
from connector.ledger import codec, tables_access, tables_erased, tables_telling  # noqa: F401  (METADATA is whole)
from connector.ledger.hot import chunks, where_in
from connector.ledger.personal import DECLARED, QUOTES, Erase, Is
from connector.ledger.store_ask import find, spellings
from connector.ledger.tables import (
    ADDRESS,
    ENGAGEMENT,
    METADATA,
    OVERRIDE,
    PAST_RECORD,
    PERSON,
    PLAN_ROW,
    RECORD,
    STAGE_HISTORY,
)
from connector.ledger.tables_tracking import AWAITED, VISITOR

_NAMES = 100  # texts that are looked for by one statement


def subject_of(db: Connection, who: str) -> Subject | None:
    """The person of this address, record id, `crm:object:id` or `person:ID`, whether decided already or not.

    None where nothing is known by it. Raises FixConfig where several people are.
    """
    people = find(db, who)
    if len(people) > 1:
        choices = ", ".join(f"person:{number}" for number in people)
        raise FixConfig(f"{len(people)} people match.", next_step=f"Ask for one of {choices}.")
    who = who.strip()
    emails = set(spellings(who)) if "@" in who else set()
    people = _now(db, people)
    refs = _records(db, people, who, emails)
    if not people and not refs and not _anything(db, emails | {who}):
        return None
    return gathered(db, people, refs, emails if not people else set())


def gathered(db: Connection, people: Sequence[int], refs: set[str], emails: Iterable[str]) -> Subject:
    """All that belongs to these people, records and addresses."""
    mails = set(emails)
    bodies = _bodies(db, refs)
    while True:  # records that carry one of the addresses, or are named, and were not decided yet
        mails |= {mail for body in bodies for mail in body.emails}
        named = {name for body in bodies for name in named_as_same(body)}
        near = {row.ref for row in where_in(db, select(ADDRESS.c.ref), ADDRESS.c.email, mails)} | named
        undecided = select(RECORD.c.ref).where(RECORD.c.kind == "person", RECORD.c.person_id.is_(None))
        more = {row.ref for row in where_in(db, undecided, RECORD.c.ref, near)} - refs
        if not more:
            break
        refs = refs | more
        bodies += _bodies(db, more)
    others = {row.ref for row in where_in(db, select(RECORD.c.ref), RECORD.c.ref, named - refs)}
    carried = where_in(db, select(ADDRESS), ADDRESS.c.email, mails)
    shared = {row.email for row in carried if row.ref not in refs}
    numbers = _people(db, people, refs, mails - shared)
    fields = [body.fields for body in bodies]
    fields += [codec.loads(row.fields) for row in where_in(db, select(PERSON.c.fields), PERSON.c.id, numbers)]
    names = full_names((each.get("first_name"), each.get("last_name")) for each in fields)
    phones = {str(each["phone"]) for each in fields if each.get("phone")}
    return Subject(
        people=tuple(numbers),
        visitors=tuple(sorted(_visitors(db, mails - shared))),
        refs=tuple(sorted(refs | (named - others))),
        emails=tuple(sorted(mails - shared)),
        shared=tuple(sorted(shared)),
        names=(*names, *sorted(phones)),
    )


def _now(db: Connection, people: list[int]) -> list[int]:
    """As whom they go on where a human has joined them with another: the two are one person."""
    joined = select(RECORD.c.person_id).where(RECORD.c.home.in_(people), RECORD.c.person_id.is_not(None))
    own = select(RECORD.c.ref).where(RECORD.c.person_id.in_(people)).limit(1)
    if not people or db.execute(own).first() is not None:
        return people
    return sorted({row.person_id for row in db.execute(joined)}) or people


def _records(db: Connection, people: Sequence[int], who: str, emails: set[str]) -> set[str]:
    """Their records by the last decision; of somebody who was not decided yet, those found by what was asked."""
    person = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    if people:
        return {row.ref for row in db.execute(person.where(RECORD.c.person_id.in_(people)))}
    undecided = person.where(RECORD.c.person_id.is_(None))
    if emails:
        found = {row.ref for row in where_in(db, select(ADDRESS.c.ref), ADDRESS.c.email, emails)}
        return {row.ref for row in where_in(db, undecided, RECORD.c.ref, found)}
    by_name = or_(RECORD.c.ref == who, RECORD.c.vendor_id == who)
    return {row.ref for row in db.execute(undecided.where(by_name))}


def _anything(db: Connection, names: set[str]) -> bool:
    """Whether something is kept of an address or record that no record is read of."""
    found: list[ColumnElement[bool]] = [
        select(column).where(column.in_(names)).exists()
        for column in (ENGAGEMENT.c.email, ENGAGEMENT.c.about, OVERRIDE.c.target, VISITOR.c.email)
    ]
    return bool(db.execute(select(or_(*found))).scalar())


def _bodies(db: Connection, refs: set[str]) -> list[Any]:
    """The forms of these records, those that they had before too."""
    query = select(RECORD.c.body).where(RECORD.c.kind == "person")
    rows = [*where_in(db, query, RECORD.c.ref, refs)]
    rows += where_in(db, select(PAST_RECORD.c.body), PAST_RECORD.c.ref, refs)
    return [codec.load_person(row.body) for row in rows]


def _visitors(db: Connection, emails: set[str]) -> set[str]:
    """Ids of the application that are theirs, and those that lead to these."""
    found: set[str] = set()
    fresh = {row.key for row in where_in(db, select(VISITOR.c.key), VISITOR.c.email, emails)}
    while fresh:
        found |= fresh
        nobody_elses = or_(VISITOR.c.email.is_(None), VISITOR.c.email.in_(emails))
        leading = select(VISITOR.c.key).where(nobody_elses)
        led = select(VISITOR.c.leads).where(VISITOR.c.leads.is_not(None))
        near = {row.key for row in where_in(db, leading, VISITOR.c.leads, fresh)}
        led_to = {row.leads for row in where_in(db, led, VISITOR.c.key, fresh)}
        others = select(VISITOR.c.key).where(VISITOR.c.email.is_not(None), VISITOR.c.email.not_in(emails))
        near |= led_to - {row.key for row in where_in(db, others, VISITOR.c.key, led_to)}
        fresh = near - found
    return found


def _people(db: Connection, people: Sequence[int], refs: set[str], emails: set[str]) -> list[int]:
    """Their numbers: the one of the last decision first, then those that ended when their records went to it."""
    before = select(STAGE_HISTORY.c.was_of).where(
        STAGE_HISTORY.c.person.in_(people), STAGE_HISTORY.c.was_of.is_not(None)
    )
    found = {row.was_of for row in db.execute(before)}
    found |= {row.home for row in where_in(db, select(RECORD.c.home), RECORD.c.ref, refs) if row.home}
    found |= {row.person for row in where_in(db, select(PLAN_ROW.c.person), PLAN_ROW.c.ref, refs)}
    ended = select(PERSON.c.id).where(PERSON.c.ended_at.is_not(None))
    numbers = {row.id for row in where_in(db, ended, PERSON.c.id, found)}
    for part in chunks(emails, _NAMES):
        named = or_(*(PERSON.c.fields.contains(f'"{email}"', autoescape=True) for email in part))
        numbers |= {row.id for row in db.execute(ended.where(named))}
    return [*people, *sorted(numbers - set(people))]


# ---------------------------------------------------------------------------------------------------- the walk


def about(table: Table, subject: Subject) -> ColumnElement[bool] | None:
    """Which rows of a table are about somebody; None where none can be."""
    declared = DECLARED[table.name]
    found: list[ColumnElement[bool]] = []
    for name in declared.of(Is.KEY):
        found += [table.c[name].in_(part) for part in chunks(subject.keys)]
    for name in declared.of(Is.PERSON):
        found += [table.c[name].in_(part) for part in chunks(subject.people)]
    for name in declared.of(Is.RECORD_ID):
        for ref in map(codec.parse_ref, subject.refs):
            found.append(and_(table.c.crm == ref.crm, table.c.object == ref.object, table.c[name] == ref.id))
    if table is ENGAGEMENT and subject.visitors:  # what waits to be somebody's, and is theirs
        waits = select(AWAITED.c.event).where(AWAITED.c.visitor.in_(subject.visitors))
        found.append(and_(table.c.crm == APP, table.c.stream == STREAM, table.c.key.in_(waits)))
    return or_(*found) if found else None


def scrubbers(table: Table, scrub: Scrubber) -> dict[str, Scrubber]:
    """What takes somebody out of the texts of a table, by column."""
    columns, by_key = DECLARED[table.name].columns, scrub.by_key
    return {
        name: scrub if kind is Is.MENTIONS else by_key for name, kind in columns.items() if kind in QUOTES
    }


def mentioning(db: Connection, table: Table, scrub: Scrubber) -> Iterator[Row[Any]]:
    """The rows whose texts name somebody, whole words only."""
    looking = scrubbers(table, scrub)
    met: set[tuple[Any, ...]] = set()
    for part in chunks(scrub.subject.needles, _NAMES):
        named = or_(
            *(
                text.contains(each, autoescape=True)
                for name in looking
                for text in (table.c[name], func.lower(table.c[name]))  # SQLite lowers ASCII alone
                for each in part
            )
        )
        for row in db.execute(select(table).where(named)).all():
            key = tuple(getattr(row, column.name) for column in table.primary_key.columns)
            if key not in met and any(
                each.mentions(getattr(row, name) or "") for name, each in looking.items()
            ):
                met.add(key)
                yield row


def walk(db: Connection, subject: Subject) -> Iterator[tuple[str, Sequence[Row[Any]]]]:
    """Every table that holds something about somebody, with the rows, in the order of the declaration."""
    scrub = Scrubber(subject, 0)
    for name, declared in DECLARED.items():
        table = METADATA.tables[name]
        rows: list[Row[Any]] = []
        if declared.erase in (Erase.DELETE, Erase.ANONYMISE):
            those = about(table, subject)
            order = table.primary_key.columns
            rows = list(db.execute(select(table).where(those).order_by(*order))) if those is not None else []
        if declared.of(*QUOTES):
            known = {tuple(row) for row in rows}
            rows += [row for row in mentioning(db, table, scrub) if tuple(row) not in known]
        if rows:
            yield name, rows
