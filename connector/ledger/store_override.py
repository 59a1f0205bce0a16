"""A human's words above the rules: kept, ended, listed, and those that concern a group. Whoever they concern is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, or_, select, update

from connector.core.model import CompanyRecord, PersonRecord, Ref
from connector.core.normalize.transforms import domain
from connector.core.override import Override
from connector.errors import FixConfig
from connector.ledger import codec, store_audience, store_lease
from connector.ledger.hot import chunks, mark_due, where_in
from connector.ledger.store_account import companies_of
from connector.ledger.store_admin import audit
from connector.ledger.store_erased import KeyBox, erased_among
from connector.ledger.tables import ADDRESS, COMPANY_DOMAIN, OVERRIDE, PERSON, RECORD
from connector.ports import Lease

_DOMAINS = 50  # looked for in one walk over the records

# ------------------------------------------------------------------------------------------------------------- say


def add(
    db: Connection, words: Sequence[Override], at: datetime, *, again: bool, box: KeyBox | None = None
) -> list[Override]:
    """Keep these words, each in place of what was told to us of the same person, company or domain before.

    `again=False`: one that says what is in force already is left out. Their `id` and `made_at` are given here. Raises
    FixConfig, and keeps none, where one is about a person who was erased.
    """
    if erased_among(db, {word.target for word in words if word.scope == "person"}, box):
        raise FixConfig(
            "This person was erased, and nothing is kept about them." if len(words) == 1
            else "Somebody among these was erased, and nothing is kept about them.",
            next_step="`connector person allow` lets somebody in again.",
        )  # fmt: skip
    known = {(word.scope, word.target): word for word in _told(db, words) if word.in_force(at)}
    done: list[Override] = []
    for word in words:
        earlier = known.get((word.scope, word.target))
        if earlier is not None and not again and _says(earlier) == _says(word):
            continue
        if earlier is not None:
            _end(db, earlier.id, word.author, at)
        done.append(_insert(db, replace(word, made_at=at)))
        detail = {
            "kind": word.kind, "until": _iso(word.until), "expires": _iso(word.expires_at),
            "reason": word.reason, "instead_of": earlier.id if earlier else None,
        }  # fmt: skip
        audit(db, at, word.author, "override add", f"{word.scope} {word.target}", detail)
    mark_due(db, _people(db, done), at)
    return done


def end(db: Connection, ids: Sequence[int], by: str, at: datetime) -> list[Override]:
    """These words hold no longer; those that have ended before stay as they are."""
    rows = where_in(db, select(OVERRIDE).where(OVERRIDE.c.ended_at.is_(None)), OVERRIDE.c.id, ids)
    ended = sorted((load(row) for row in rows), key=lambda word: word.id)
    for word in ended:
        _end(db, word.id, by, at)
        audit(db, at, by, "override remove", f"{word.scope} {word.target}", {"override": word.id})
    mark_due(db, _people(db, ended), at)
    return [replace(word, ended_at=at) for word in ended]


def follow(db: Connection, records: Sequence[PersonRecord], at: datetime) -> None:
    """What the own fields of these records say has changed: the earlier word of each ends, a new one begins. Its author
    is the record. Whoever keeps the records makes their people due."""
    earlier = select(OVERRIDE).where(OVERRIDE.c.ended_at.is_(None), OVERRIDE.c.source != "")
    standing: dict[str, Override] = {}
    for row in where_in(db, earlier, OVERRIDE.c.target, (str(record.ref) for record in records)):
        if row.source.startswith(f"{row.target} "):  # not what a list says of it
            standing[row.target] = load(row)
    for record in records:
        name, says = str(record.ref), record.says
        before = standing.get(name)
        if before is not None:
            _end(db, before.id, name, at)
            audit(db, at, name, "override remove", f"person {name}", {"override": before.id})
        if says is None:
            continue
        since = min(record.changed_at or at, at)
        if before is not None and before.kind == says.kind:
            since = (
                before.made_at
            )  # said otherwise, it is not said anew: an answer of sales since then still wins
        source = f"{name} {says.field}"
        word = Override(0, says.kind, "person", name, name, says.reason, since, says.until, None, source)
        _insert(db, word)
        detail = {"kind": says.kind, "until": _iso(says.until), "reason": says.reason}
        audit(db, at, name, "override add", f"person {name}", detail)


def keep_segments(
    db: Connection,
    crm: str,
    segments: Mapping[tuple[str, str, str], frozenset[str]],
    lease: Lease,
    at: datetime,
    box: KeyBox | None = None,
) -> None:
    """See `connector.ports.Ledger.keep_segments`. One audit row a list that changed."""
    store_lease.check(db, lease)
    standing: dict[tuple[str, str], dict[str, int]] = {}  # (list, kind) -> record -> override
    of_lists = OVERRIDE.c.source.startswith(f"{crm} segment ", autoescape=True)
    for row in db.execute(select(OVERRIDE).where(OVERRIDE.c.ended_at.is_(None), of_lists)):
        standing.setdefault((row.source, row.kind), {})[row.target] = row.id
    wanted = {
        (f"{crm} segment {name} of {object_}", kind): (name, {f"{crm}:{object_}:{id_}" for id_ in ids})
        for (object_, name, kind), ids in segments.items()
    }
    erased = erased_among(db, {ref for _, refs in wanted.values() for ref in refs}, box)
    for source, kind in sorted(standing.keys() | wanted.keys()):
        were = standing.get((source, kind), {})
        name, are = wanted.get((source, kind), ("", set()))
        are = are - erased.keys()
        came, went = sorted(are - were.keys()), sorted(were.keys() - are)
        if not came and not went:
            continue
        for part in chunks(were[target] for target in went):
            db.execute(update(OVERRIDE).where(OVERRIDE.c.id.in_(part)).values(ended_at=at, ended_by=source))
        said = {
            "kind": kind, "scope": "person", "until": None, "expires_at": None, "author": source,
            "reason": f"on the list {name}", "source": source, "made_at": at,
        }  # fmt: skip
        if came:
            db.execute(insert(OVERRIDE), [{**said, "target": target} for target in came])
        audit(
            db, at, source, "override segment", source, {"kind": kind, "came": len(came), "went": len(went)}
        )
        mark_due(db, [codec.parse_ref(target) for target in _known(db, [*came, *went])], at)


def _known(db: Connection, targets: Sequence[str]) -> set[str]:
    people = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    return {row.ref for row in where_in(db, people, RECORD.c.ref, targets)}


def _insert(db: Connection, word: Override) -> Override:
    values = {
        "kind": word.kind,
        "scope": word.scope,
        "target": word.target,
        "until": word.until,
        "expires_at": word.expires_at,
        "author": word.author,
        "reason": word.reason,
        "source": word.source,
        "made_at": word.made_at,
    }
    return load(db.execute(insert(OVERRIDE).values(**values).returning(*OVERRIDE.c)).one())


def _end(db: Connection, number: int, by: str, at: datetime) -> None:
    db.execute(update(OVERRIDE).where(OVERRIDE.c.id == number).values(ended_at=at, ended_by=by))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _says(word: Override) -> tuple[object, ...]:
    return word.kind, word.until, word.expires_at, word.reason


def _told(db: Connection, words: Iterable[Override]) -> list[Override]:
    query = select(OVERRIDE).where(OVERRIDE.c.ended_at.is_(None), OVERRIDE.c.source == "")
    rows = where_in(db, query, OVERRIDE.c.target, (word.target for word in words))
    return [load(row) for row in sorted(rows, key=lambda row: row.id)]


# ------------------------------------------------------------------------------------------------------------- ask


def listed(db: Connection, *, ended: bool = False) -> list[Override]:
    """Every word, newest first; without `ended`, those that nobody has ended. Time may have, even so."""
    query = select(OVERRIDE).order_by(OVERRIDE.c.id.desc())
    return [load(row) for row in db.execute(query if ended else query.where(OVERRIDE.c.ended_at.is_(None)))]


def by_id(db: Connection, ids: Iterable[int]) -> dict[int, Override]:
    """These words, ended ones too."""
    return {row.id: load(row) for row in where_in(db, select(OVERRIDE), OVERRIDE.c.id, ids)}


def overridden(db: Connection, people: Iterable[int]) -> dict[int, int]:
    """The word in force at the last decision, by person, of those of these people who have one."""
    query = select(PERSON.c.id, PERSON.c.override).where(PERSON.c.override.is_not(None))
    return {row.id: row.override for row in where_in(db, query, PERSON.c.id, people)}


def of_people(
    db: Connection, groups: Sequence[Sequence[PersonRecord]], companies: Mapping[Ref, CompanyRecord]
) -> list[tuple[Override, ...]]:
    """All that was ever said of each of these groups of records, oldest first: of a person by an address or record, of
    their company, of the domain of their mail or company."""
    if db.execute(select(OVERRIDE.c.id).limit(1)).first() is None:
        return [() for _ in groups]
    places = [_places(group, companies) for group in groups]
    rows = where_in(
        db, select(OVERRIDE), OVERRIDE.c.target, {target for each in places for _, target in each}
    )
    said: dict[tuple[str, str], list[Override]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        said.setdefault((row.scope, row.target), []).append(load(row))
    return [
        tuple(sorted((word for place in each for word in said.get(place, ())), key=lambda word: word.id))
        for each in places
    ]


def of_refs(db: Connection, refs: Sequence[Ref]) -> tuple[Override, ...]:
    """The same for the records of one person."""
    people = where_in(
        db, select(RECORD.c.body).where(RECORD.c.kind == "person"), RECORD.c.ref, map(str, refs)
    )
    records = [codec.load_person(row.body) for row in people]
    return of_people(db, [records], companies_of(db, records))[0]


def _places(records: Sequence[PersonRecord], companies: Mapping[Ref, CompanyRecord]) -> set[tuple[str, str]]:
    mails = {mail for record in records for mail in record.emails}
    theirs = {record.company for record in records if record.company is not None}
    fields = [record.fields for record in records]
    fields += [companies[ref].fields for ref in theirs if ref in companies]
    hosts = {mail.rpartition("@")[2] for mail in mails}
    for each in fields:
        hosts |= {str(each["company_domain"])} if each.get("company_domain") else set()
        site = each.get("website")
        host = domain(site) if isinstance(site, str) else None
        hosts |= {host} if host else set()
    return (
        {("person", mail) for mail in mails}
        | {("person", str(record.ref)) for record in records}
        | {("company", str(ref)) for ref in theirs}
        | {("domain", host) for host in hosts}
    )


def named(db: Connection, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """The (scope, record) that each of these names, written as `crm:object:id` or as the CRM's id alone, may mean."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    records = select(RECORD.c.ref, RECORD.c.vendor_id, RECORD.c.kind)
    records = records.where(RECORD.c.kind.in_(["person", "company"]))
    for row in where_in(db, records, RECORD.c.ref, names):
        found[row.ref].append((row.kind, row.ref))
    for row in where_in(db, records, RECORD.c.vendor_id, names):
        found[row.vendor_id].append((row.kind, row.ref))
    return {name: sorted(set(each)) for name, each in found.items()}


def concerned(db: Connection, words: Sequence[Override]) -> int:
    """How many person records these words may concern, as far as they are known."""
    return len(_people(db, words))


def about(db: Connection, audience: str, words: Iterable[Override]) -> list[Override]:
    """Those of these words that may concern somebody in this audience."""
    return [word for word in words if store_audience.records_about(db, audience, _people(db, [word]))]


def _people(db: Connection, words: Sequence[Override]) -> set[Ref]:
    """The person records that these words concern. Of a domain some more: each of them is only looked at."""
    of = {
        scope: {word.target for word in words if word.scope == scope}
        for scope in ("person", "company", "domain")
    }
    people = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    found = {row.ref for row in where_in(db, select(ADDRESS.c.ref), ADDRESS.c.email, of["person"])}
    found |= {row.ref for row in where_in(db, people, RECORD.c.ref, of["person"])}
    companies = set(of["company"])
    for part in chunks(of["domain"], _DOMAINS):
        mail = or_(*(ADDRESS.c.email.endswith(f"@{each}", autoescape=True) for each in part))
        found |= {row.ref for row in db.execute(select(ADDRESS.c.ref).where(mail))}
        companies |= {
            row.ref for row in where_in(db, select(COMPANY_DOMAIN.c.ref), COMPANY_DOMAIN.c.domain, part)
        }
        for row in db.execute(_mentioning(part)):
            (found if row.kind == "person" else companies).add(row.ref)
    found |= {row.ref for row in where_in(db, people, RECORD.c.company, companies)}
    return {codec.parse_ref(ref) for ref in found}


def _mentioning(domains: Sequence[str]) -> Select[Any]:
    """Records whose normalized form names one of these domains, as a site or otherwise."""
    named = or_(*(RECORD.c.body.contains(each, autoescape=True) for each in domains))
    return select(RECORD.c.ref, RECORD.c.kind).where(RECORD.c.kind.in_(["person", "company"]), named)


def load(row: Row[Any]) -> Override:
    """A word from its row."""
    return Override(
        id=row.id,
        kind=row.kind,
        scope=row.scope,
        target=row.target,
        author=row.author,
        reason=row.reason,
        made_at=row.made_at,
        until=row.until,
        expires_at=row.expires_at,
        source=row.source,
        ended_at=row.ended_at,
    )
