"""First-party engagement: each message once, whose it is, and whose it turns out to be. One commit for many calls.

Ids of the application are tied to addresses by the calls that name both. An event goes to whoever its ids belong to
when it comes; one that belongs to nobody yet awaits the first tie of any of its ids. What somebody has stays theirs: a
later tie is for later events.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, text, update

from connector.core.account import ENGAGED
from connector.core.model import Engagement, Quarantined, Ref, Value
from connector.core.tracking import APP, STREAM, Call
from connector.ledger import codec, store_account, store_hint
from connector.ledger.hot import chunks, delete_in, insert_new, mark_due, upsert, where_in
from connector.ledger.store_erased import KeyBox, erased_among
from connector.ledger.store_gather import ENGAGEMENT_COLUMNS, ENGAGEMENT_KEY, clean, said_of
from connector.ledger.tables import ADDRESS, ENGAGEMENT, PERSON, QUARANTINE, RECORD
from connector.ledger.tables_tracking import AWAITED, VISITOR
from connector.ledger.types import time_to_db
from connector.ports import EARLY, Tracked

_LOCK = 4_702_111_936  # any number, the same in every process, and not that of the upgrade
FAR = 4  # ids that lead to one another, at most
SAID_ANEW = timedelta(hours=1)  # what is said with every call is written down again so often, and no more
_COLUMNS = ("key", "email", "email_at", "leads", "leads_at")
_OURS = (ENGAGEMENT.c.crm == APP, ENGAGEMENT.c.stream == STREAM, ENGAGEMENT.c.about == "")


Counts = Callable[[Mapping[str, Value]], bool]
"""Whether what somebody with these fields does may be counted."""


class _Whose(NamedTuple):
    """An event that is somebody's."""

    id: str
    email: str
    type: str


@dataclass(slots=True)
class _Visitor:
    """An id, and whose it was last said to be."""

    email: str | None = None
    email_at: datetime | None = None
    leads: str | None = None
    leads_at: datetime | None = None


@dataclass(slots=True)
class _Visitors:
    """The ids that are spoken of, as known and as the calls change them."""

    known: dict[str, _Visitor] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)  # whose address is another than before

    def tie(self, key: str, email: str, at: datetime) -> None:
        """An id is somebody's, said at this moment; what was said later stands."""
        row = self.known.setdefault(key, _Visitor())
        if not _is_said(row.email, row.email_at, email, at):
            if row.email != email:
                self.named.add(key)
            row.email, row.email_at = email, at
            self.changed.add(key)

    def lead(self, key: str, to: str, at: datetime) -> None:
        """An id is whoever another one is."""
        row = self.known.setdefault(key, _Visitor())
        if key != to and not _is_said(row.leads, row.leads_at, to, at):
            if row.leads != to:
                self.named.add(key)
            row.leads, row.leads_at = to, at
            self.changed.add(key)

    def whose(self, key: str, far: int = FAR) -> str | None:
        """The address behind an id; of two that were said the later."""
        row = self.known.get(key)
        if row is None or not far:
            return None
        led = self.whose(row.leads, far - 1) if row.leads else None
        if led and row.email and row.email_at and row.leads_at and row.email_at > row.leads_at:
            return row.email
        return led or row.email

    def of(self, call: Call) -> str | None:
        """Whose call it is."""
        return call.email or next((found for key in call.keys if (found := self.whose(key))), None)


def _is_said(now: str | None, since: datetime | None, said: str, at: datetime) -> bool:
    """Whether this is nothing new: something later stands, or the same as a moment ago."""
    return since is not None and at < since + (SAID_ANEW if now == said else timedelta())


def keep(
    db: Connection,
    calls: Sequence[Call],
    aside: Sequence[Quarantined],
    at: datetime,
    *,
    urgent: Collection[str] = (),
    around: Collection[str] = (),
    counts: Counts | None = None,
    box: KeyBox | None = None,
) -> Tracked:
    """See `connector.ledger.incoming.Incoming.keep_tracked`. `box` opens the key by which erased people are known."""
    one_by_one(db)
    came = len(calls)
    calls = _without_erased(db, calls, box)
    visitors = _visitors(db, calls)
    events: dict[str, tuple[Call, Engagement]] = {}
    for call in calls:
        if len(call.keys) > 1:
            visitors.lead(call.keys[1], call.keys[0], call.at)
        for was in call.was:
            visitors.lead(was, call.keys[0], call.at)
        if call.email:
            visitors.tie(call.keys[0], call.email, call.at)
        if call.event is not None and call.id not in events:
            events[call.id] = call, replace(call.event, email=visitors.of(call))
    told = sum(call.event is not None for call in calls)
    stored = _stored(db, events)
    new = {id: found for id, found in events.items() if id not in stored}
    fresh = [
        (call, event if event.email else replace(event, email=visitors.of(call)))
        for call, event in new.values()
    ]
    _keep_visitors(db, visitors)
    _insert(db, [event for _, event in fresh], at)
    waits = {(key, clean(call.id)) for call, event in fresh if not event.email for key in call.keys}
    insert_new(db, AWAITED, ("visitor", "event"), sorted(waits), ("visitor", "event"))
    done = [_Whose(call.id, event.email, event.type) for call, event in fresh if event.email]
    done += _claim(db, visitors, calls, at)
    _set_aside(db, aside, at)
    touched = _touched(db, {each.email for each in done})
    barred = _barred(db, touched, counts) if counts is not None else set()
    left_out = {each.id for each in done if each.email in barred}
    _forget(db, left_out)
    people = {ref for email, refs in touched.items() if email not in barred for ref in refs}
    mark_due(db, people | (store_account.colleagues(db, people) if ENGAGED in around else set()), at)
    soon = any(each.type in urgent and each.email in touched.keys() - barred for each in done)
    if soon:
        store_hint.mark(db, [EARLY], at)
    return Tracked(
        stored=len(new.keys() - left_out),
        duplicate=told - len(new),
        aside=len(aside),
        left_out=len(left_out),
        touched=frozenset(people),
        urgent=soon,
        erased=came - len(calls),
    )


def _without_erased(db: Connection, calls: Sequence[Call], box: KeyBox | None) -> Sequence[Call]:
    """Without those of erased people: by their address, or by an id that was theirs."""

    def names(call: Call) -> set[str]:
        return {*call.keys, *call.was, *({call.email} if call.email else ())}

    theirs = erased_among(db, {name for call in calls for name in names(call)}, box)
    return [call for call in calls if not names(call) & theirs.keys()] if theirs else calls


def one_by_one(db: Connection) -> None:
    """Two replicas must not tie an id and let an event await it without seeing each other. SQLite has one writer."""
    if db.dialect.name == "postgresql":
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _visitors(db: Connection, calls: Iterable[Call]) -> _Visitors:
    """What is known of the ids that these calls name, and of those that they lead to."""
    found = _Visitors()
    fresh = {key for call in calls for key in (*call.keys, *call.was)}
    for _ in range(FAR):
        rows = list(where_in(db, select(VISITOR), VISITOR.c.key, fresh))
        found.known |= {row.key: _Visitor(row.email, row.email_at, row.leads, row.leads_at) for row in rows}
        fresh = {row.leads for row in rows if row.leads} - found.known.keys()
        if not fresh:
            break
    return found


def _stored(db: Connection, ids: Iterable[str]) -> set[str]:
    """Which of these messages are kept already."""
    query = select(ENGAGEMENT.c.key).where(*_OURS)
    by_key = {clean(id): id for id in ids}
    return {by_key[row.key] for row in where_in(db, query, ENGAGEMENT.c.key, by_key)}


def _keep_visitors(db: Connection, visitors: _Visitors) -> None:
    dialect = db.dialect.name

    def moment(at: datetime | None) -> object:
        return time_to_db(at, dialect) if at is not None else None

    rows = [
        (key, row.email, moment(row.email_at), row.leads, moment(row.leads_at))
        for key, row in sorted(visitors.known.items())
        if key in visitors.changed
    ]
    upsert(db, VISITOR, _COLUMNS, rows, ("key",))


def _insert(db: Connection, events: Sequence[Engagement], at: datetime) -> None:
    dialect = db.dialect.name
    now = time_to_db(at, dialect)
    rows = [
        (event.crm, event.stream, clean(event.key), "", *said_of(event, dialect), now, now)
        for event in events
    ]
    insert_new(db, ENGAGEMENT, ENGAGEMENT_COLUMNS, sorted(rows, key=lambda row: row[2]), ENGAGEMENT_KEY)


def _claim(db: Connection, visitors: _Visitors, calls: Iterable[Call], at: datetime) -> list[_Whose]:
    """Give events that awaited one of these ids, or one that leads to it, to whoever that is now known to be."""
    keys = {key for call in calls for key in (*call.keys, *call.was)}
    fresh = visitors.named
    for _ in range(FAR):
        rows = list(where_in(db, select(VISITOR), VISITOR.c.leads, fresh))
        for row in rows:
            visitors.known.setdefault(row.key, _Visitor(row.email, row.email_at, row.leads, row.leads_at))
        fresh = {row.key for row in rows} - keys
        if not fresh:
            break
        keys |= fresh
    whose = {key: email for key in keys if (email := visitors.whose(key))}
    events: dict[str, str] = {}
    for row in where_in(db, select(AWAITED), AWAITED.c.visitor, whose):
        events.setdefault(row.event, whose[row.visitor])
    if not events:
        return []
    by_email: dict[str, list[str]] = {}
    for event, email in events.items():
        by_email.setdefault(email, []).append(event)
    for email, mine in sorted(by_email.items()):
        for part in chunks(mine):
            db.execute(
                update(ENGAGEMENT)
                .where(*_OURS, ENGAGEMENT.c.key.in_(part), ENGAGEMENT.c.email.is_(None))
                .values(email=email, known_at=at, observed_at=at)
            )
    delete_in(db, AWAITED, AWAITED.c.event, events)
    query = select(ENGAGEMENT.c.key, ENGAGEMENT.c.type).where(*_OURS)
    return [
        _Whose(row.key, events[row.key], row.type) for row in where_in(db, query, ENGAGEMENT.c.key, events)
    ]


def _touched(db: Connection, emails: Iterable[str]) -> dict[str, set[Ref]]:
    """The person records that hold these addresses."""
    found: dict[str, set[Ref]] = {}
    for row in where_in(db, select(ADDRESS), ADDRESS.c.email, emails):
        found.setdefault(row.email, set()).add(codec.parse_ref(row.ref))
    return found


def _barred(db: Connection, touched: Mapping[str, Iterable[Ref]], counts: Counts) -> set[str]:
    """The addresses of people whose behaviour may not be counted, as far as they were decided yet: by the fields of
    their last decision. What is not counted is not collected."""
    refs = {str(ref) for found in touched.values() for ref in found}
    query = select(RECORD.c.ref, PERSON.c.fields).join(PERSON, PERSON.c.id == RECORD.c.person_id)
    found = where_in(db, query, RECORD.c.ref, refs)
    theirs = {row.ref for row in found if not counts(codec.values_from(codec.loads(row.fields)))}
    return {email for email, mine in touched.items() if theirs & {str(ref) for ref in mine}}


def _forget(db: Connection, ids: Iterable[str]) -> None:
    for part in chunks(clean(id) for id in ids):
        db.execute(delete(ENGAGEMENT).where(*_OURS, ENGAGEMENT.c.key.in_(part)))


def _set_aside(db: Connection, aside: Sequence[Quarantined], at: datetime) -> None:
    """Malformed events, with the reason and without what they said."""
    moment = time_to_db(at, db.dialect.name)
    rows = {clean(each.id): (APP, STREAM, clean(each.id), each.why, 0, moment) for each in aside}
    columns = ("crm", "object", "record", "why", "run", "met_at")
    upsert(db, QUARANTINE, columns, [rows[id] for id in sorted(rows)], ("crm", "object", "record"))
