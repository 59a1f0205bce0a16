"""Gather: keep a page. Rows, watermark, histories and due marks in one commit; only news makes people due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam, select, tuple_, update

from connector.core.account import ENGAGED, domain_of, parent_of
from connector.core.echo import is_news, supersedes
from connector.core.model import (
    CompanyRecord,
    Engagement,
    JsonValue,
    OpportunityRecord,
    PersonRecord,
    Ref,
    VendorRecord,
)
from connector.core.normalize import keep_answer_date
from connector.core.resolve import named_as_same
from connector.ledger import codec, store_account, store_erased, store_lease, store_override
from connector.ledger.hot import (
    chunks,
    delete_in,
    known_people,
    mark_due,
    repeatable,
    rows_by,
    upsert,
    where_in,
)
from connector.ledger.store_backfill import held_by, keep_place
from connector.ledger.tables import (
    ADDRESS,
    COMPANY_DOMAIN,
    ENGAGEMENT,
    FORMER,
    LINK,
    PAST_RECORD,
    QUARANTINE,
    READING,
    RECORD,
    ROLE,
    WATERMARK,
    WRITTEN,
)
from connector.ledger.types import time_to_db
from connector.ports import Held, Kept, Lease, NormalizedPage

R = TypeVar("R", PersonRecord, CompanyRecord, OpportunityRecord)

_RECORD_COLUMNS = (
    "ref",
    "kind",
    "vendor_id",
    "body",
    "vendor",
    "company",
    "state",
    "first_load",
    "changed_at",
    "observed_at",
    "known_at",
)
ENGAGEMENT_COLUMNS = (
    "crm",
    "stream",
    "key",
    "about",
    "email",
    "type",
    "occurred_at",
    "name",
    "url",
    "campaign",
    "channel",
    "status",
    "value",
    "attributes",
    "counted",
    "why_not",
    "deleted",
    "known_at",
    "observed_at",
)
ENGAGEMENT_KEY = ("crm", "stream", "key", "about")


@dataclass(slots=True)
class _Tally:
    """What the page came to so far."""

    stored: int = 0
    duplicate: int = 0
    touched: set[Ref] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Change(Generic[R]):
    """A record that is stored anew: how it stood in the ledger (`body`: as text), and how it stands now."""

    name: str
    old: R | None
    new: R
    body: str | None


class _Known(NamedTuple):
    """A record as it is stored, and as later rows of the page make it."""

    body: str
    vendor: str
    changed_at: Any  # as `time_to_db` makes it
    state: str


# ------------------------------------------------------------------------------------------- questions


def cursor(db: Connection, crm: str, stream: str) -> Mapping[str, JsonValue] | None:
    """The stream's watermark; None before its first page."""
    text = db.execute(
        select(WATERMARK.c.cursor).where(WATERMARK.c.crm == crm, WATERMARK.c.stream == stream)
    ).scalar()
    if text is None:
        return None
    found: Mapping[str, JsonValue] = codec.loads(text)
    return found


def readings(db: Connection, refs: Sequence[Ref]) -> dict[tuple[Ref, str], float]:
    """The last readings of these records' counters."""
    rows = where_in(
        db, select(READING.c.ref, READING.c.counter, READING.c.value), READING.c.ref, map(str, refs)
    )
    return {(codec.parse_ref(row.ref), row.counter): row.value for row in rows}


# ------------------------------------------------------------------------------------------------ keep


def keep(
    db: Connection,
    page: NormalizedPage,
    lease: Lease,
    run: int,
    at: datetime,
    box: store_erased.KeyBox | None = None,
) -> Kept:
    """One page in one commit. See `connector.ports.Ledger.keep`. `box` opens the key by which erased people are known.

    A row older than what is stored is left out, unless its state differs. `stored + duplicate` counts the rows
    of the page that are not quarantined; an event is one row, however many records it is about.
    """
    repeatable(db)
    store_lease.check(db, lease)
    page, left = store_erased.without_erased(db, page, at, box)
    tally = _Tally()
    _keep_people(db, page, at, tally)
    _keep_companies(db, page, at, tally)
    _keep_opportunities(db, page, at, tally)
    _keep_engagement(db, page, at, tally)
    _withdraw(db, page, at, tally)
    if ENGAGED in page.around and (page.engagement or page.vanished):
        tally.touched |= store_account.colleagues(db, tally.touched)
    _keep_readings(db, page, at)
    mark_due(db, tally.touched, at, crm=held_by(page.backfill) if page.backfill is not None else "")
    _keep_quarantine(db, page, run, at)
    if page.backfill is not None:
        wish = keep_place(db, page.backfill, page.stream, page.cursor, page.fetched, at)
        return _kept(tally, page, left, wish)
    saved = (page.crm, page.stream, codec.dumps(dict(page.cursor)), run, time_to_db(at, db.dialect.name))
    upsert(db, WATERMARK, ("crm", "stream", "cursor", "run", "saved_at"), [saved], ("crm", "stream"))
    return _kept(tally, page, left)


def _kept(tally: _Tally, page: NormalizedPage, left: store_erased.Left, wish: str = "") -> Kept:
    return Kept(
        tally.stored,
        tally.duplicate,
        len(page.quarantined),
        frozenset(tally.touched),
        wish,
        left.rows,
        left.refs,
    )


def _keep_records(
    db: Connection,
    kind: str,
    pairs: Sequence[tuple[VendorRecord, R]],
    dump: Callable[[R], str],
    load: Callable[[str], R],
    page: NormalizedPage,
    at: datetime,
    tally: _Tally,
    dated: Callable[[VendorRecord, R, R], R] | None = None,
) -> list[_Change[R]]:
    """Store the rows that differ. Returns what changed, one per record, with the form stored before the page.

    `dated(vendor, stored, new)` gives a record that is known the dates that it should keep.
    """
    if not pairs:
        return []
    names = [str(record.ref) for _, record in pairs]
    columns = ("ref", *_Known._fields)
    stored = {row[0]: _Known(*row[1:]) for row in rows_by(db, RECORD, columns, "ref", names, lock=True)}
    now = dict(stored)
    fresh: dict[str, R] = {}
    dialect = db.dialect.name
    for name, (vendor, record) in zip(names, pairs, strict=True):
        known = now.get(name)
        state = record.state.value
        changed_at = time_to_db(vendor.changed_at, dialect)
        if known is not None and changed_at < known.changed_at and state == known.state:
            tally.duplicate += 1
            continue
        told = codec.told(vendor.values)
        if known is not None and codec.same_told(known.vendor, told):
            told = known.vendor  # nothing new: what was let go stays so
        row = _Known(dump(record), told, changed_at, state)
        if known is not None and known != row and dated is not None:
            record = dated(vendor, load(known.body), record)
            row = row._replace(body=dump(record))
        if known is not None and known == row:
            tally.duplicate += 1
            continue
        tally.stored += 1
        now[name] = row
        fresh[name] = record
    seen = time_to_db(at, dialect)
    rows: list[tuple[Any, ...]] = []
    for name in sorted(fresh):
        body, told, changed_at, state = now[name]
        new = fresh[name]
        company = _company_of(new)
        # Of a first load, the vendor knew it before we did.
        since = min(changed_at, seen) if page.first_load else seen
        rows.append(
            (name, kind, new.ref.id, body, told, company, state, page.first_load, changed_at, seen, since)
        )
    upsert(db, RECORD, _RECORD_COLUMNS, rows, ("ref",))
    before = {name: stored[name].body for name in fresh if name in stored}
    return [
        _Change(name, load(before[name]) if name in before else None, record, before.get(name))
        for name, record in fresh.items()
    ]


def _company_of(record: PersonRecord | CompanyRecord | OpportunityRecord) -> str | None:
    """Whose record it is, to be looked up by: of a person and a deal their company, of a company its parent."""
    company = parent_of(record) if isinstance(record, CompanyRecord) else record.company
    return str(company) if company else None


def _keep_people(db: Connection, page: NormalizedPage, at: datetime, tally: _Tally) -> None:
    if not page.people:
        return
    written = _Written(db, [record.ref for _, record in page.people])

    def dated(vendor: VendorRecord, old: PersonRecord, new: PersonRecord) -> PersonRecord:
        if vendor.status_at is None:  # the vendor keeps no history: the first sight of an answer stands
            new = keep_answer_date(new, old)
        # An echo is no change: who was changed last is believed, and our own write must not decide that.
        return new if is_news(old, new, written.to(new.ref)) else replace(new, changed_at=old.changed_at)

    changes = _keep_records(
        db, "person", page.people, codec.dump_person, codec.load_person, page, at, tally, dated
    )
    tally.touched.update(
        change.new.ref
        for change in changes
        if change.old is None or is_news(change.old, change.new, written.to(change.new.ref))
    )
    store_override.follow(db, [change.new for change in changes if _says_otherwise(change)], at)
    _relate(db, ADDRESS, changes, lambda record: set(record.emails))
    _relate(db, LINK, changes, named_as_same)
    _keep_domains(db, changes)
    _keep_past(db, changes, supersedes, lambda record: {str(record.company)} - {"None"}, at)


def _says_otherwise(change: _Change[PersonRecord]) -> bool:
    return change.new.says != (change.old.says if change.old is not None else None)


def _keep_past(
    db: Connection,
    changes: Sequence[_Change[R]],
    differs: Callable[[R, R], bool],
    found_by: Callable[[R], set[str]],
    at: datetime,
) -> None:
    """The forms that are no more, where a later one `differs`; and what they were found by, and are no more."""
    before = [(change, change.old) for change in changes if change.old is not None]
    past = [
        {"ref": change.name, "body": change.body, "known_until": at}
        for change, old in before
        if differs(old, change.new)
    ]
    if past:
        db.execute(PAST_RECORD.insert(), past)
    lost = {(name, change.name) for change, old in before for name in found_by(old) - found_by(change.new)}
    upsert(db, FORMER, ("name", "ref"), sorted(lost), ("name", "ref"))


class _Written:
    """What we last wrote to the records of a page, looked up when it is first asked for."""

    def __init__(self, db: Connection, refs: Sequence[Ref]) -> None:
        self._db, self._refs = db, refs
        self._found: dict[Ref, dict[str, Held]] | None = None

    def to(self, ref: Ref) -> dict[str, Held]:
        """By vendor field."""
        if self._found is None:
            self._found = written_to(self._db, self._refs)
        return self._found.get(ref, {})


def _relate(
    db: Connection,
    table: Any,
    changes: Sequence[_Change[PersonRecord]],
    related: Callable[[PersonRecord], set[str]],
) -> None:
    """Replace what is looked up from the other side: addresses, links."""
    known: list[str] = []
    rows: list[tuple[str, str]] = []
    for change in changes:
        now = related(change.new)
        if change.old is not None:
            if related(change.old) == now:
                continue
            known.append(change.name)
        rows += [(change.name, value) for value in now]
    delete_in(db, table, table.c.ref, known)
    if table is ADDRESS:
        upsert(db, table, ("email", "ref"), sorted((value, ref) for ref, value in rows), ("email", "ref"))
    else:
        upsert(db, table, ("ref", "other"), sorted(rows), ("ref", "other"))


def written_to(db: Connection, refs: Iterable[Ref]) -> dict[Ref, dict[str, Held]]:
    """What we last wrote to these records, by record and vendor field."""
    found: dict[Ref, dict[str, Held]] = {}
    for row in where_in(db, select(WRITTEN), WRITTEN.c.ref, map(str, refs)):
        held = Held(codec.loads(row.value), row.written_at, row.stage, row.plan_row, bool(row.theirs))
        found.setdefault(codec.parse_ref(row.ref), {})[row.field] = held
    return found


def _keep_companies(db: Connection, page: NormalizedPage, at: datetime, tally: _Tally) -> None:
    changes = _keep_records(
        db, "company", page.companies, codec.dump_company, codec.load_company, page, at, tally
    )
    if not changes:
        return
    moved = [change.name for change in changes if change.old is None or _moves(change.old, change.new)]
    _keep_past(db, changes, _moves, lambda record: {domain_of(record) or ""} - {""}, at)
    if page.around:  # also whom only the domain that it had has found
        tally.touched |= store_account.people_around(db, _domain_left(changes))
    _keep_domains(db, changes)
    if page.around:
        tally.touched |= store_account.people_around(db, moved)
        return
    people = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    for row in where_in(db, people, RECORD.c.company, moved):
        tally.touched.add(codec.parse_ref(row.ref))


def _moves(old: CompanyRecord, new: CompanyRecord) -> bool:
    """All of a company that can matter to its people."""
    return (old.fields, old.state, old.moved_to) != (new.fields, new.state, new.moved_to)


def _keep_domains(
    db: Connection, changes: Sequence[_Change[PersonRecord]] | Sequence[_Change[CompanyRecord]]
) -> None:
    """By which business domain a company is found, and people whose CRM names none."""
    delete_in(db, COMPANY_DOMAIN, COMPANY_DOMAIN.c.ref, _domain_left(changes))
    rows = {(domain, change.name) for change in changes if (domain := domain_of(change.new))}
    upsert(db, COMPANY_DOMAIN, ("domain", "ref"), sorted(rows), ("domain", "ref"))


def _domain_left(changes: Sequence[_Change[PersonRecord]] | Sequence[_Change[CompanyRecord]]) -> list[str]:
    return [
        change.name
        for change in changes
        if change.old is not None and domain_of(change.old) not in (None, domain_of(change.new))
    ]


def _keep_opportunities(db: Connection, page: NormalizedPage, at: datetime, tally: _Tally) -> None:
    changes = _keep_records(
        db,
        "opportunity",
        page.opportunities,
        codec.dump_opportunity,
        codec.load_opportunity,
        page,
        at,
        tally,
    )
    if not changes:
        return
    _keep_past(db, changes, lambda old, new: old != new, _found_by, at)
    delete_in(db, ROLE, ROLE.c.opportunity, (c.name for c in changes if c.old is not None))
    roles = {(str(person), c.name) for c in changes for person in c.new.people}
    upsert(db, ROLE, ("person", "opportunity"), sorted(roles), ("person", "opportunity"))
    people: set[Ref] = set()
    companies: set[str] = set()
    for change in changes:
        if change.old is None or _deal(change.old) != _deal(change.new):
            told = [change.new, *([change.old] if change.old else ())]
            people.update(*(each.people for each in told))
            companies.update(str(each.company) for each in told if each.company is not None)
    if page.around:
        tally.touched |= store_account.people_around(db, companies)
    tally.touched.update(codec.parse_ref(ref) for ref in known_people(db, people))


def _found_by(record: OpportunityRecord) -> set[str]:
    return {str(ref) for ref in (*record.people, record.company) if ref is not None}


def _deal(record: OpportunityRecord) -> tuple[object, ...]:
    """All of an opportunity that can matter to its people."""
    return (
        record.people,
        record.company,
        record.is_closed,
        record.is_won,
        record.amount,
        record.currency,
        record.state,
        record.closed_at,
    )


# ------------------------------------------------------------------------------------------ engagement


def _keep_engagement(db: Connection, page: NormalizedPage, at: datetime, tally: _Tally) -> None:
    """Upsert by (crm, stream, key, about). A record that an event is no longer about loses it.

    `known_at`: of a first load, when it happened (the vendor knew it then); otherwise now, and again when what
    is said of it changes.
    """
    if not page.engagement:
        return
    stored = _stored_engagement(db, page.engagement)
    fresh: dict[tuple[str, str, str, str], tuple[Any, ...]] = {}
    dialect = db.dialect.name
    observed = time_to_db(at, dialect)
    told: set[tuple[str, str, str, str]] = set()
    rows: dict[str, bool] = {}  # rows of the stream itself (not what grew out of counters): anything new?
    abouts: set[str] = set()
    emails: set[str] = set()
    for event in page.engagement:
        key = (event.crm, event.stream, clean(event.key), str(event.about) if event.about else "")
        said = said_of(event, dialect)
        before = fresh.get(key) or stored.get(key)
        news = before is None or before[: len(said)] != said
        if event.stream == page.stream:
            rows[event.key] = rows.get(event.key, False) or news
        told.add(key)
        if not news:
            continue
        known_at = min(event.occurred_at, at) if page.first_load else at
        fresh[key] = (*said, time_to_db(known_at, dialect), observed)
        if event.counted or before is not None:
            abouts.add(key[3])
            emails.update(filter(None, (said[0], before[0] if before is not None else None)))
    tally.stored += sum(rows.values())
    tally.duplicate += len(rows) - sum(rows.values())
    withdrawn = [key for key, row in stored.items() if key not in told and not row[_DELETED]]
    for key in withdrawn:
        abouts.add(key[3])
        emails.update(filter(None, (stored[key][0],)))
        changed = list(stored[key])
        changed[_DELETED] = True
        fresh[key] = (*changed, observed, observed)
    upsert(
        db,
        ENGAGEMENT,
        ENGAGEMENT_COLUMNS,
        [(*key, *row) for key, row in sorted(fresh.items())],
        ENGAGEMENT_KEY,
    )
    _touch_by_engagement(db, abouts - {""}, emails, tally)


_SAID = ENGAGEMENT_COLUMNS[4:-2]
_DELETED = _SAID.index("deleted")
_OCCURRED = _SAID.index("occurred_at")


def said_of(event: Engagement, dialect: str) -> tuple[Any, ...]:
    """What a row says of an event, as the driver takes it, in the order of `_SAID`."""
    return (
        clean(event.email) if event.email else None,
        clean(event.type),
        time_to_db(event.occurred_at, dialect),
        clean(event.name),
        clean(event.url),
        clean(event.campaign),
        clean(event.channel),
        clean(event.status),
        float(event.value) if event.value is not None else None,
        codec.dumps(dict(event.attributes)),
        event.counted,
        clean(event.why_not),
        event.deleted,
    )


N = TypeVar("N", str, str | None)


def clean(text: N) -> N:
    """Without NUL characters, which PostgreSQL's text cannot hold."""
    return text.replace("\x00", "") if text and "\x00" in text else text


def _stored_engagement(
    db: Connection, events: Sequence[Engagement]
) -> dict[tuple[str, str, str, str], tuple[Any, ...]]:
    """What is stored under the keys of these events, whichever record it is about."""
    query = select(*(ENGAGEMENT.c[name] for name in (*ENGAGEMENT_KEY, *_SAID)))
    dialect = db.dialect.name
    keys: dict[tuple[str, str], set[str]] = {}
    for event in events:
        keys.setdefault((event.crm, event.stream), set()).add(clean(event.key))
    found: dict[tuple[str, str, str, str], tuple[Any, ...]] = {}
    for (crm, stream), names in sorted(keys.items()):
        of_stream = query.where(ENGAGEMENT.c.crm == crm, ENGAGEMENT.c.stream == stream)
        for row in where_in(db, of_stream, ENGAGEMENT.c.key, names):
            said: list[Any] = list(tuple(row)[4:])
            said[_OCCURRED] = time_to_db(said[_OCCURRED], dialect)
            found[row.crm, row.stream, row.key, row.about] = tuple(said)
    return found


def _withdraw(db: Connection, page: NormalizedPage, at: datetime, tally: _Tally) -> None:
    """Engagement that its vendor no longer has: kept as deleted, like what a vendor takes back with a word."""
    if not page.vanished:
        return
    of_stream = (ENGAGEMENT.c.crm == page.crm, ENGAGEMENT.c.stream == page.stream)
    query = select(ENGAGEMENT.c.about, ENGAGEMENT.c.email).where(*of_stream, ENGAGEMENT.c.deleted.is_(False))
    rows = list(where_in(db, query, ENGAGEMENT.c.key, page.vanished))
    for part in chunks(page.vanished):
        db.execute(
            update(ENGAGEMENT)
            .where(*of_stream, ENGAGEMENT.c.key.in_(part), ENGAGEMENT.c.deleted.is_(False))
            .values(deleted=True, known_at=at, observed_at=at)
        )
    tally.stored += len(page.vanished)
    _touch_by_engagement(
        db, {row.about for row in rows} - {""}, {row.email for row in rows if row.email}, tally
    )


def _touch_by_engagement(db: Connection, abouts: set[str], emails: set[str], tally: _Tally) -> None:
    """The stored people it is about, and all who hold one of the addresses."""
    about = known_people(db, (codec.parse_ref(ref) for ref in abouts))
    by_address = {row.ref for row in where_in(db, select(ADDRESS.c.ref), ADDRESS.c.email, emails)}
    tally.touched.update(codec.parse_ref(ref) for ref in about | by_address)


# -------------------------------------------------------------------------------- counters, quarantine


def _keep_readings(db: Connection, page: NormalizedPage, at: datetime) -> None:
    moment = time_to_db(at, db.dialect.name)
    rows = sorted(
        (str(ref), counter, float(value), moment) for (ref, counter), value in page.readings.items()
    )
    upsert(db, READING, ("ref", "counter", "value", "read_at"), rows, ("ref", "counter"))


_ANY_IN_QUARANTINE = select(QUARANTINE.c.run).where(QUARANTINE.c.crm == bindparam("of")).limit(1)


def _keep_quarantine(db: Connection, page: NormalizedPage, run: int, at: datetime) -> None:
    """Bad rows are kept with the reason; a record that reads well again leaves the quarantine."""
    if db.execute(_ANY_IN_QUARANTINE, {"of": page.crm}).first():
        told = (*page.people, *page.companies, *page.opportunities)
        well = {(vendor.ref.object, vendor.ref.id) for vendor, _ in told}
        for part in chunks(well):
            db.execute(
                QUARANTINE.delete().where(
                    QUARANTINE.c.crm == page.crm, tuple_(QUARANTINE.c.object, QUARANTINE.c.record).in_(part)
                )
            )
    moment = time_to_db(at, db.dialect.name)
    rows = {
        (row.crm, row.object, clean(row.id)): (
            row.crm,
            row.object,
            clean(row.id),
            clean(row.why),
            run,
            moment,
        )
        for row in page.quarantined
    }
    columns = ("crm", "object", "record", "why", "run", "met_at")
    upsert(db, QUARANTINE, columns, [rows[key] for key in sorted(rows)], ("crm", "object", "record"))


# ------------------------------------------------------------------ changes of ours to a stored record


def rewrite(db: Connection, records: Iterable[PersonRecord]) -> None:
    """Store these forms of known person records; what the vendor told stays beside them."""
    rows = [
        {"its_ref": str(record.ref), "body": codec.dump_person(record), "state": record.state.value}
        for record in sorted(records, key=lambda each: each.ref)
    ]
    if rows:
        db.execute(update(RECORD).where(RECORD.c.ref == bindparam("its_ref")), rows)
