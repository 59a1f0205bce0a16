"""Who was deleted in one CRM and lives on in another. Reads only.

A record that is gone keeps nothing of itself, so what it was is taken from how it stood before; a person erased here is
in none of it, and is found no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from connector.core.model import PersonRecord, RecordState, Ref
from connector.core.resolve import same_last_name
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.store_decide import CROWD
from connector.ledger.tables import ADDRESS, PAST_RECORD, PERSON, RECORD

ERASED, DELETED = "erased", "deleted"
PAGE = 1_000  # dead records at a time
_DEAD = (RecordState.ARCHIVED.value, RecordState.GONE.value)


@dataclass(frozen=True, slots=True)
class DeletedElsewhere:
    """A record that was deleted in its CRM, while the same person has live records in others and none in this one.

    `how`: `erased` at one stroke, as under privacy law or by a hard delete; else `deleted` into the bin, whatever
    became of it since. `found_at`: when we came to know, None where that is not known any more.
    """

    ref: Ref
    how: str
    found_at: datetime | None
    alive: tuple[Ref, ...]
    person: int | None  # whose the live records are


@dataclass(frozen=True, slots=True)
class _Dead:
    ref: Ref
    how: str
    found_at: datetime | None
    forms: tuple[PersonRecord, ...]  # as it stands, and as it last stood alive
    person: int | None

    @property
    def emails(self) -> set[str]:
        return {mail for form in self.forms for mail in form.emails}

    @property
    def named(self) -> set[Ref]:
        return {ref for form in self.forms for ref in form.same_as}

    @property
    def last_name(self) -> object:
        return next((name for form in self.forms if (name := form.fields.get("last_name"))), None)


def deleted_elsewhere(db: Connection) -> list[DeletedElsewhere]:
    """All of them, by record."""
    found: list[DeletedElsewhere] = []
    after = ""
    while rows := _dead_rows(db, after):
        after = rows[-1].ref
        found += _alive_of(db, _dead(db, rows))
    return found


def treated(db: Connection) -> dict[str, int]:
    """How many people are treated how by the criteria's `privacy`, by the last decisions."""
    query = select(PERSON.c.privacy, func.count().label("people"))
    query = query.where(PERSON.c.privacy.is_not(None), PERSON.c.ended_at.is_(None)).group_by(PERSON.c.privacy)
    return {row.privacy: row.people for row in db.execute(query)}


def _dead_rows(db: Connection, after: str) -> Sequence[Row[Any]]:
    query = select(RECORD.c.ref, RECORD.c.state, RECORD.c.body, RECORD.c.person_id)
    query = query.where(RECORD.c.kind == "person", RECORD.c.state.in_(_DEAD), RECORD.c.ref > after)
    return list(db.execute(query.order_by(RECORD.c.ref).limit(PAGE)))


def _dead(db: Connection, rows: Sequence[Row[Any]]) -> list[_Dead]:
    """With what they were when they lived: their newest form of then."""
    past: dict[str, list[Row[Any]]] = {}
    query = select(PAST_RECORD.c.ref, PAST_RECORD.c.body, PAST_RECORD.c.known_until, PAST_RECORD.c.id)
    for row in where_in(db, query, PAST_RECORD.c.ref, (each.ref for each in rows)):
        past.setdefault(row.ref, []).append(row)
    return [_with_past(row, past.get(row.ref, ())) for row in rows]


def _with_past(row: Row[Any], past: Iterable[Row[Any]]) -> _Dead:
    newest = sorted(past, key=lambda each: (each.known_until, each.id), reverse=True)
    forms = [codec.load_person(each.body) for each in newest]
    # A hint that a record is not there any more says nothing of a bin; whoever was in it is known with their values.
    in_bin = any(
        form.state is RecordState.ARCHIVED and form.fields.keys() - {"email_kind"} for form in forms[:2]
    )
    alive = next((form for form in forms if form.state is RecordState.LIVE), None)
    at_once = row.state == RecordState.GONE.value and alive is not None and not in_bin
    return _Dead(
        codec.parse_ref(row.ref),
        ERASED if at_once else DELETED,
        newest[0].known_until if newest else None,
        (codec.load_person(row.body), *([alive] if alive else [])),
        row.person_id,
    )


def _alive_of(db: Connection, dead: Sequence[_Dead]) -> Iterator[DeletedElsewhere]:
    holders = _holders(db, {mail for each in dead for mail in each.emails})
    wanted = {ref for refs in holders.values() for ref in refs}
    wanted |= {str(ref) for each in dead for ref in each.named}
    mine: dict[int, list[str]] = {}
    people = {each.person for each in dead if each.person is not None}
    for row in where_in(db, select(RECORD.c.ref, RECORD.c.person_id), RECORD.c.person_id, people):
        mine.setdefault(row.person_id, []).append(row.ref)
        wanted.add(row.ref)
    query = select(RECORD.c.ref, RECORD.c.body, RECORD.c.person_id)
    query = query.where(RECORD.c.kind == "person", RECORD.c.state == RecordState.LIVE.value)
    live = {row.ref: row for row in where_in(db, query, RECORD.c.ref, wanted)}
    for each in dead:
        surely = {str(ref) for ref in each.named} | {*mine.get(each.person or 0, ())}
        by_mail = {ref for mail in each.emails for ref in holders.get(mail, ())}
        here = {ref for ref in surely | by_mail if ref in live and (ref in surely or _same(each, live[ref]))}
        refs = sorted(codec.parse_ref(ref) for ref in here)
        if refs and all(ref.crm != each.ref.crm for ref in refs):
            yield DeletedElsewhere(
                each.ref, each.how, each.found_at, tuple(refs), live[str(refs[0])].person_id
            )


def _same(dead: _Dead, row: Row[Any]) -> bool:
    """Of one address: a desk's mailbox is many people's, and their names tell them apart."""
    return same_last_name(dead.last_name, codec.load_person(row.body).fields.get("last_name"))


def _holders(db: Connection, emails: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in where_in(db, select(ADDRESS.c.email, ADDRESS.c.ref), ADDRESS.c.email, emails):
        found.setdefault(row.email, []).append(row.ref)
    return {mail: refs for mail, refs in found.items() if len(refs) <= CROWD}
