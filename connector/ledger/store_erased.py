"""Who was erased, as keyed hashes: what comes in is held against them, and left out where it is theirs.

The key is random. With CONNECTOR_SECRET_KEY it is kept sealed, so that whoever has a copy of the database alone cannot
try addresses against the hashes; without, it stands beside them.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from connector.core.erasure import KEY_BYTES, hashed
from connector.core.model import PersonRecord, Ref
from connector.core.resolve import named_as_same
from connector.errors import FixConfig
from connector.ledger import codec
from connector.ledger.hot import insert_new, where_in
from connector.ledger.tables import RECORD
from connector.ledger.tables_erased import ERASED, ERASURE_KEY
from connector.ledger.types import time_to_db
from connector.ports import NormalizedPage

_BARE = "bare."  # begins a key that is not sealed


@dataclass(frozen=True, slots=True)
class KeyBox:
    """How the key of the hashes is sealed and opened again; `open` raises FixConfig where it cannot."""

    seal: Callable[[bytes], str]
    open: Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Left:
    """Rows of a page that are an erased person's, and the records among them."""

    rows: int = 0
    refs: frozenset[Ref] = frozenset()


# ------------------------------------------------------------------------------------------------------ keys


def keys(db: Connection, box: KeyBox | None) -> dict[str, bytes]:
    """Every key that hashes were made by, opened. Raises FixConfig where one is sealed and cannot be opened: whoever
    goes on without it would bring erased people back."""
    return {row.id: _opened(row.kept, box) for row in db.execute(select(ERASURE_KEY))}


def _opened(kept: str, box: KeyBox | None) -> bytes:
    if kept.startswith(_BARE):
        return b64decode(kept.removeprefix(_BARE))
    if box is None:
        raise FixConfig(
            "The ledger keeps erased people out by a key that CONNECTOR_SECRET_KEY opens, and that is not set.",
            next_step="Set the CONNECTOR_SECRET_KEY of this ledger: without it erased people would come back.",
            where="CONNECTOR_SECRET_KEY",
        )
    return box.open(kept)


def reseal(db: Connection, box: KeyBox, old: KeyBox | None = None) -> int:
    """Keep every key sealed by `box`: those that were not sealed, or were by `old`. Returns how many."""
    rows = db.execute(select(ERASURE_KEY)).all()
    for row in rows:
        sealed = box.seal(_opened(row.kept, old))
        db.execute(update(ERASURE_KEY).where(ERASURE_KEY.c.id == row.id).values(kept=sealed))
    return len(rows)


def forget_all(db: Connection) -> int:
    """Nobody is kept out any more: the key is lost by which they are known. Returns how many hashes that were."""
    done = db.execute(delete(ERASED)).rowcount
    db.execute(delete(ERASURE_KEY))
    return done


def _key(db: Connection, box: KeyBox | None, at: datetime) -> tuple[str, bytes]:
    """The newest key; the first is made here."""
    row = db.execute(select(ERASURE_KEY).order_by(ERASURE_KEY.c.made_at.desc()).limit(1)).first()
    if row is not None and row.kept.startswith(_BARE) and box is not None:
        reseal(db, box)  # CONNECTOR_SECRET_KEY was set since
    if row is not None:
        return row.id, _opened(row.kept, box)
    made, number = secrets.token_bytes(KEY_BYTES), secrets.token_hex(4)
    kept = _BARE + b64encode(made).decode() if box is None else box.seal(made)
    db.execute(insert(ERASURE_KEY).values(id=number, kept=kept, made_at=at))
    return number, made


# -------------------------------------------------------------------------------------------------- who is it


def any_erased(db: Connection) -> bool:
    """Whether anybody was."""
    return db.execute(select(ERASED.c.hash).limit(1)).first() is not None


def erased_among(db: Connection, names: Iterable[str], box: KeyBox | None) -> dict[str, int]:
    """Which of these addresses, records (as texts) and visitors are an erased person's: name -> erasure."""
    if not any_erased(db):
        return {}
    by_hash = {hashed(key, name): name for name in set(names) for key in keys(db, box).values()}
    query = select(ERASED.c.hash, ERASED.c.erasure)
    return {by_hash[row.hash]: row.erasure for row in where_in(db, query, ERASED.c.hash, by_hash)}


def counted(db: Connection, crm: str, object_: str) -> int:
    """How many records of an object are left out, as far as their CRM still has them."""
    query = select(func.count()).select_from(ERASED).where(ERASED.c.of == f"{crm}:{object_}")
    return int(db.execute(query).scalar_one())


def remember(
    db: Connection,
    names: Mapping[str, str],
    erasure: int,
    at: datetime,
    box: KeyBox | None,
) -> None:
    """Keep the hashes of these addresses, records and visitors; of a record with what its CRM counts it as."""
    number, key = _key(db, box, at)
    moment = time_to_db(at, db.dialect.name)
    rows = {hashed(key, name): of for name, of in names.items()}
    insert_new(
        db, ERASED, ("hash", "key", "of", "erasure", "at"),
        [(each, number, rows[each], erasure, moment) for each in sorted(rows)],
        ("hash",),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- what comes in


def without_erased(
    db: Connection, page: NormalizedPage, at: datetime, box: KeyBox | None
) -> tuple[NormalizedPage, Left]:
    """The page without what is an erased person's: by record, by address, or as a new record that names theirs.

    A record that is left out is known by its own hash from then on. One that is known as somebody else's, and names
    an erased one, names nobody instead.
    """
    if not any_erased(db):
        return page, Left()
    theirs = erased_among(db, _names(page), box)
    if not theirs:
        return page, Left()
    gone: dict[Ref, int] = {}
    naming: set[str] = set()
    for _, record in page.people:
        own = [theirs[name] for name in (str(record.ref), *record.emails) if name in theirs]
        named = [theirs[name] for name in named_as_same(record) if name in theirs]
        if own or named:
            gone[record.ref] = min(own or named)
        if named and not own:
            naming.add(str(record.ref))
    for row in where_in(db, select(RECORD.c.ref), RECORD.c.ref, naming):
        del gone[codec.parse_ref(row.ref)]  # somebody else, who was split from the erased person
    for ref, erasure in gone.items():
        if str(ref) not in theirs:
            remember(db, {str(ref): f"{ref.crm}:{ref.object}"}, erasure, at, box)
            theirs[str(ref)] = erasure
    return _without(page, theirs, gone)


def _names_of(record: PersonRecord) -> set[str]:
    return {str(record.ref), *record.emails, *named_as_same(record)}


def _names(page: NormalizedPage) -> set[str]:
    names = {name for _, record in page.people for name in _names_of(record)}
    names |= {str(ref) for _, deal in page.opportunities for ref in deal.people}
    names |= {each.email for each in page.engagement if each.email}
    names |= {str(each.about) for each in page.engagement if each.about}
    return names | {f"{each.crm}:{each.object}:{each.id}" for each in page.quarantined}


def _naming_nobody(record: PersonRecord, theirs: Collection[str]) -> PersonRecord:
    if not any(name in theirs for name in named_as_same(record)):
        return record
    same_as = tuple(ref for ref in record.same_as if str(ref) not in theirs)
    moved_to = None if str(record.moved_to) in theirs else record.moved_to
    return replace(record, same_as=same_as, moved_to=moved_to)


def _without(
    page: NormalizedPage, theirs: Collection[str], gone: Collection[Ref]
) -> tuple[NormalizedPage, Left]:
    engagement = tuple(
        each for each in page.engagement if each.email not in theirs and str(each.about) not in theirs
    )
    quarantined = tuple(
        each for each in page.quarantined if f"{each.crm}:{each.object}:{each.id}" not in theirs
    )
    kept = replace(
        page,
        people=tuple(
            (vendor, _naming_nobody(record, theirs))
            for vendor, record in page.people
            if record.ref not in gone
        ),
        opportunities=tuple(
            (vendor, replace(deal, people=tuple(ref for ref in deal.people if str(ref) not in theirs)))
            for vendor, deal in page.opportunities
        ),
        engagement=engagement,
        quarantined=quarantined,
        readings={place: value for place, value in page.readings.items() if str(place[0]) not in theirs},
    )
    own = {each.key for each in page.engagement if each.stream == page.stream}
    left = own - {each.key for each in engagement}
    rows = len(page.people) - len(kept.people) + len(page.quarantined) - len(quarantined) + len(left)
    refs = {Ref(each.crm, each.object, each.id) for each in page.quarantined if each not in quarantined}
    return kept, Left(rows, frozenset(refs | set(gone)))
