"""Decide: who is due, all that is known of them, and one commit for what was decided. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from connector.core.account import Around
from connector.core.model import (
    Engagement,
    OpportunityRecord,
    PersonRecord,
    PlannedWrite,
    Ref,
)
from connector.errors import StopRun
from connector.ledger import (
    codec,
    store_account,
    store_identity,
    store_lease,
    store_notice,
    store_override,
    store_past,
    store_review,
    store_telling,
)
from connector.ledger.hot import chunks, mark_due, mark_due_at, upsert, where_in
from connector.ledger.store_admin import targets_since
from connector.ledger.store_backfill import held_by
from connector.ledger.store_gather import written_to
from connector.ledger.tables import (
    ADDRESS,
    DUE,
    ENGAGEMENT,
    FILE_VERSION,
    HOLD,
    LINK,
    PERSON,
    PLAN,
    PLAN_ROW,
    RECORD,
    REFUSAL,
    REVIEW,
    ROLE,
    RUN,
    STAGE_HISTORY,
)
from connector.ledger.types import EPOCH, time_to_db
from connector.ports import (
    UNDONE,
    Decided,
    Facts,
    Held,
    Hold,
    KnownEngagement,
    Lease,
    Neighbourhood,
    Refusal,
    Review,
)

CROWD = 50  # records with one address: more than that is a shared mailbox, not a person
DAY = timedelta(days=1)

Marks = dict[str, list[tuple[str, int]]]
"""Due marks as they were seen: record -> (crm, serial)."""


# ------------------------------------------------------------------------------------------------------------- due


def due(
    db: Connection,
    crms: Sequence[str],
    at: datetime,
    limit: int,
    *,
    after: Ref | None = None,
    backfill: int | None = None,
) -> list[Ref]:
    """See `connector.ports.Ledger.due`. Moments at which time alone matters are due marks like any other."""
    marked_by = ["", *crms] if backfill is None else [held_by(backfill)]
    ready = (
        select(DUE.c.ref)
        .where(DUE.c.not_before <= at, DUE.c.crm.in_(marked_by))
        .where(DUE.c.ref > str(after) if after is not None else DUE.c.ref >= "")
    )
    # With few marks ready, finding them by time costs what changed; with many, walking in order costs less than
    # sorting all of them for every page.
    few = 4 * limit
    window = select(DUE.c.ref, DUE.c.crm).where(DUE.c.not_before <= at).limit(few + 1).subquery()
    if (db.execute(select(func.count()).select_from(window)).scalar() or 0) <= few:
        by_time = {
            row.ref for row in db.execute(select(DUE).where(DUE.c.not_before <= at)) if row.crm in marked_by
        }
        marked = sorted(ref for ref in by_time if after is None or ref > str(after))
        return _people_of(db, marked)[:limit]
    query = (
        ready.join(RECORD, RECORD.c.ref == DUE.c.ref)
        .where(RECORD.c.kind == "person")
        .distinct()
        .order_by(DUE.c.ref)
        .limit(limit)
    )
    return [codec.parse_ref(row.ref) for row in db.execute(query)]


def _people_of(db: Connection, refs: Sequence[str]) -> list[Ref]:
    query = select(RECORD.c.ref).where(RECORD.c.kind == "person")
    return [
        codec.parse_ref(ref) for ref in sorted(row.ref for row in where_in(db, query, RECORD.c.ref, refs))
    ]


# --------------------------------------------------------------------------------------------------- neighbourhood


def neighbourhood(db: Connection, refs: Sequence[Ref]) -> tuple[Neighbourhood, Marks]:
    """The closure over shared addresses, explicit ids either way, merges and conversions, human joins, and the
    people of the last decision.

    An address that more than 50 records carry does not extend it: that is a shared mailbox, and would drag half
    of a CRM into one batch. Returns beside it the due marks seen, so that only these are cleared later.
    """
    found: set[str] = set()
    fresh = {str(ref) for ref in refs}
    while fresh:
        found |= fresh
        fresh = _one_step(db, fresh) - found
    rows = sorted(
        where_in(
            db,
            select(RECORD.c.ref, RECORD.c.body, RECORD.c.person_id, RECORD.c.first_load).where(
                RECORD.c.kind == "person"
            ),
            RECORD.c.ref,
            found,
        ),
        key=lambda row: str(row.ref),
    )
    known = {row.ref: codec.parse_ref(row.ref) for row in rows}
    marks: Marks = {ref: [] for ref in known}
    for row in where_in(db, select(DUE.c.ref, DUE.c.crm, DUE.c.serial), DUE.c.ref, known):
        marks[row.ref].append((row.crm, row.serial))
    return (
        Neighbourhood(
            records=tuple(codec.load_person(row.body) for row in rows),
            person_of={known[row.ref]: row.person_id for row in rows if row.person_id is not None},
            first_load=frozenset(known[row.ref] for row in rows if row.first_load and row.person_id is None),
            decided=_answers(db, known),
        ),
        marks,
    )


def _one_step(db: Connection, refs: set[str]) -> set[str]:
    """Everybody one link away from these."""
    near: set[str] = set()
    emails = {row.email for row in where_in(db, select(ADDRESS.c.email), ADDRESS.c.ref, refs)}
    sizes = select(ADDRESS.c.email, func.count().label("records")).group_by(ADDRESS.c.email)
    few = {row.email for row in where_in(db, sizes, ADDRESS.c.email, emails) if row.records <= CROWD}
    near.update(row.ref for row in where_in(db, select(ADDRESS.c.ref), ADDRESS.c.email, few))
    near.update(row.other for row in where_in(db, select(LINK.c.other), LINK.c.ref, refs))
    near.update(row.ref for row in where_in(db, select(LINK.c.ref), LINK.c.other, refs))
    joined = select(REVIEW.c.a, REVIEW.c.b).where(REVIEW.c.answer == "join")
    near.update(row.b for row in where_in(db, joined, REVIEW.c.a, refs))
    near.update(row.a for row in where_in(db, joined, REVIEW.c.b, refs))
    belong = select(RECORD.c.person_id).where(RECORD.c.person_id.is_not(None))
    people = {row.person_id for row in where_in(db, belong, RECORD.c.ref, refs)}
    near.update(row.ref for row in where_in(db, select(RECORD.c.ref), RECORD.c.person_id, people))
    return near


def _answers(db: Connection, known: Mapping[str, Ref]) -> dict[tuple[Ref, Ref], str]:
    query = select(REVIEW.c.a, REVIEW.c.b, REVIEW.c.answer).where(REVIEW.c.answer.is_not(None))
    return {
        (known[row.a], known[row.b]): row.answer
        for row in where_in(db, query, REVIEW.c.a, known)
        if row.b in known
    }


# ----------------------------------------------------------------------------------------------------------- facts


def facts(db: Connection, groups: Sequence[Sequence[Ref]], around: Around | None = None) -> list[Facts]:
    """See `connector.ports.Ledger.facts`.

    A person id goes to one group only, and a group that several people merge into goes on as one of them, with the
    earliest first-MQL date of all: see `store_identity`.
    """
    refs = {ref for group in groups for ref in group}
    rows = {
        row.ref: row
        for row in where_in(
            db,
            select(RECORD.c.ref, RECORD.c.body, RECORD.c.person_id, RECORD.c.home, RECORD.c.known_at),
            RECORD.c.ref,
            map(str, refs),
        )
    }
    people = {name: codec.load_person(row.body) for name, row in rows.items()}
    past = store_past.people_before(db, people)
    companies = store_account.companies_of(db, people.values())
    deals = _deals(db, people)
    by_about, by_email = _engagement(
        db, people, {mail for record in people.values() for mail in record.emails}
    )
    written = written_to(db, refs)
    refused = _refused(db, people)
    held = holds_on(db, people)
    members = [[people[str(ref)] for ref in group if str(ref) in people] for group in groups]
    said = store_override.of_people(db, members, companies)
    whose = {name: store_identity.Place(row.person_id, row.home) for name, row in rows.items()}
    before = store_identity.going_on(db, [[str(ref) for ref in group] for group in groups], whose)
    who = [was.id if was else None for was in before]
    spells = store_telling.last_spells(db, [was.id for was in before if was and was.state.first_mql_at])
    around_them = store_account.accounts(db, members, who, around) if around else [None] * len(members)
    own_deals = [
        {deal.ref: deal for record in group for deal in deals.get(str(record.ref), ())} for group in members
    ]
    near = [
        store_past.near(group, companies, theirs.values(), account)
        for group, theirs, account in zip(members, own_deals, around_them, strict=True)
    ]
    kept = store_past.around_ever(db, members, past, near, around)
    answer: list[Facts] = []
    for group, was, words, account, theirs, ever in zip(
        members, before, said, around_them, own_deals, kept, strict=True
    ):
        names = [str(record.ref) for record in group]
        records = tuple(group)
        events = {row[0]: row[1] for name in names for row in by_about.get(name, ())}
        events |= {row[0]: row[1] for r in records for mail in r.emails for row in by_email.get(mail, ())}
        answer.append(
            Facts(
                records=records,
                companies={
                    record.company: companies[record.company]
                    for record in records
                    if record.company is not None and record.company in companies
                },
                opportunities=tuple(theirs[ref] for ref in sorted(theirs)),
                engagement=tuple(
                    event
                    for _, event in sorted(events.items(), key=lambda e: (e[1].engagement.occurred_at, e[0]))
                ),
                past=(*(each for name in names for each in past.get(name, ())), *ever.past),
                since={**ever.since, **{record.ref: rows[str(record.ref)].known_at for record in group}},
                once=ever.once,
                written=_written_of(records, written),
                holds={
                    (record.ref, name): hold
                    for record in records
                    for name, hold in held.get(record.ref, {}).items()
                },
                refused={
                    record.ref: refused[str(record.ref)] for record in records if str(record.ref) in refused
                },
                overrides=words,
                account=account,
                person=was.id if was else None,
                state=was.state if was else None,
                score=was.score if was else None,
                version=was.version if was else None,
                spell=spells.get(was.id) if was else None,
            )
        )
    return answer


def written(db: Connection, refs: Sequence[Ref]) -> dict[tuple[Ref, str], Held]:
    """What we last wrote to these records, by record and vendor field."""
    return {
        (ref, name): held for ref, fields in written_to(db, refs).items() for name, held in fields.items()
    }


def _written_of(
    records: Iterable[PersonRecord], written: Mapping[Ref, Mapping[str, Held]]
) -> dict[tuple[Ref, str], Held]:
    return {
        (record.ref, name): held for record in records for name, held in written.get(record.ref, {}).items()
    }


def _deals(db: Connection, people: Iterable[str]) -> dict[str, list[OpportunityRecord]]:
    """The opportunities that these records play a role in, by record."""
    query = select(ROLE.c.person, RECORD.c.body).join(RECORD, RECORD.c.ref == ROLE.c.opportunity)
    found: dict[str, list[OpportunityRecord]] = {}
    for row in where_in(db, query, ROLE.c.person, people):
        found.setdefault(row.person, []).append(codec.load_opportunity(row.body))
    return found


Events = dict[str, list[tuple[int, KnownEngagement]]]


def _engagement(db: Connection, people: Iterable[str], emails: set[str]) -> tuple[Events, Events]:
    """What these records and addresses did: (row id, event), by record and by address."""
    by_about: Events = {}
    by_email: Events = {}
    query = select(ENGAGEMENT).where(ENGAGEMENT.c.deleted.is_(False))
    for row in where_in(db, query, ENGAGEMENT.c.about, people):
        by_about.setdefault(row.about, []).append((row.id, load_engagement(row)))
    for row in where_in(db, query.where(ENGAGEMENT.c.about == ""), ENGAGEMENT.c.email, emails):
        by_email.setdefault(row.email, []).append((row.id, load_engagement(row)))
    return by_about, by_email


def load_engagement(row: Row[Any]) -> KnownEngagement:
    """An engagement from its row."""
    event = Engagement(
        crm=row.crm,
        stream=row.stream,
        key=row.key,
        type=row.type,
        occurred_at=row.occurred_at,
        about=codec.parse_ref(row.about) if row.about else None,
        email=row.email,
        name=row.name,
        url=row.url,
        campaign=row.campaign,
        channel=row.channel,
        status=row.status,
        value=row.value,
        attributes=codec.values_from(codec.loads(row.attributes)) if row.attributes != "{}" else {},
        counted=row.counted,
        why_not=row.why_not,
        deleted=row.deleted,
    )
    return KnownEngagement(event, row.known_at)


def _refused(db: Connection, people: Iterable[str]) -> dict[str, Refusal]:
    return {
        row.ref: Refusal(row.kind, codec.loads(row.wanted), row.refused_at, row.reason)
        for row in where_in(db, select(REFUSAL), REFUSAL.c.ref, people)
    }


def holds_on(db: Connection, refs: Iterable[str]) -> dict[Ref, dict[str, Hold]]:
    """The holds in force on these records, or that the next turn puts in force, by record and field. What an admin has
    undone says more than a tug."""
    found: dict[Ref, dict[str, Hold]] = {}
    for row in where_in(db, select(HOLD), HOLD.c.ref, refs):
        hold = load_hold(row)
        fields = found.setdefault(hold.ref, {})
        if (hold.holds or hold.next_holds) and (hold.kind == UNDONE or hold.field not in fields):
            fields[hold.field] = hold
    return found


def load_hold(row: Row[Any]) -> Hold:
    """A hold from its row."""
    return Hold(
        ref=codec.parse_ref(row.ref),
        field=row.field,
        kind=row.kind,
        value=codec.loads(row.value),
        run=row.run,
        at=row.at,
        why=row.why,
        other=codec.loads(row.other),
        times=row.times,
    )


# ------------------------------------------------------------------------------------------------------------ keep


def criteria_version(db: Connection) -> int:
    """The definition in force; 0 before the first."""
    return db.execute(select(func.max(FILE_VERSION.c.version))).scalar() or 0


def keep_decisions(
    db: Connection,
    run: int,
    decisions: Sequence[Decided],
    plans: Mapping[str, int],
    reviews: Sequence[Review],
    clear: Sequence[Ref],
    lease: Lease,
    at: datetime,
    seen: Marks,
) -> None:
    """See `connector.ports.Ledger.keep_decisions`.

    `seen` are the due marks as `neighbourhood` met them: a mark made since by a page that came in meanwhile
    stays, so its news is not lost. Planned writes to a CRM without a plan in `plans` are left to `pending`.
    """
    store_lease.check(db, lease)
    moves = store_identity.moves(db, [[str(ref) for ref in decided.refs] for decided in decisions], at)
    people = _keep_people(db, run, decisions, at, moves)
    _keep_members(db, decisions, people, at, moves)
    store_identity.keep_moves(db, moves, people, run, criteria_version(db), at)
    _keep_history(db, run, decisions, people)
    store_notice.keep(db, run, decisions, people)
    store_telling.keep_spells(db, decisions, people)
    _keep_plan(db, decisions, people, plans)
    store_review.keep_reviews(db, reviews, at)
    _clear_marks(db, decisions, clear, seen)
    _set_marks(db, decisions, at)
    moved = [decided.refs for decided in decisions if decided.moves_account]
    mark_due(db, store_account.colleagues_of_movers(db, moved), at)
    for ref, name in sorted(place for decided in decisions for place in decided.outlived):
        end_hold(db, str(ref), name)
    keep_holds(db, [replace(hold, run=run) for decided in decisions for hold in decided.tugged], at)


def keep_holds(db: Connection, holds: Sequence[Hold], at: datetime) -> None:
    """Add or replace, by record, field and kind."""
    columns = ("ref", "field", "kind", "value", "other", "times", "run", "why", "at")
    rows = {
        (str(each.ref), each.field, each.kind): (
            codec.dumps(each.value),
            codec.dumps(each.other),
            each.times,
            each.run,
            each.why,
            time_to_db(each.at, db.dialect.name),
        )
        for each in holds
    }
    upsert(db, HOLD, columns, [(*key, *rows[key]) for key in sorted(rows)], ("ref", "field", "kind"))


def end_hold(db: Connection, ref: str, field: str) -> None:
    """A field that was undone is not left alone any longer."""
    db.execute(delete(HOLD).where(HOLD.c.ref == ref, HOLD.c.field == field, HOLD.c.kind == UNDONE))


def _keep_people(
    db: Connection,
    run: int,
    decisions: Sequence[Decided],
    at: datetime,
    moves: store_identity.Moves,
) -> list[int]:
    """Write every person's row. Returns their ids; an id asked for twice goes to the first who asks."""
    version = criteria_version(db)
    taken: set[int] = set()
    known: list[tuple[int, dict[str, Any]]] = []
    new: list[tuple[int, dict[str, Any]]] = []
    for index, decided in enumerate(decisions):
        values = _person_values(decided, run, at, version)
        goes_on = moves.going.get(index)
        values["alone"] = goes_on.alone if goes_on and goes_on.id == decided.person else None
        if decided.person is not None and decided.person not in taken:
            taken.add(decided.person)
            known.append((index, {"person_row": decided.person, **values}))
        else:
            new.append((index, values))
    ids: dict[int, int] = {}
    if known:
        columns: dict[str, Any] = {name: bindparam(name) for name in known[0][1] if name != "person_row"}
        done = db.execute(
            update(PERSON).where(PERSON.c.id == bindparam("person_row")).values(columns),
            [values for _, values in known],
        )
        if done.rowcount not in (-1, len(known)):
            raise StopRun(
                "A decision names a person that the ledger does not know.",
                next_step="Nothing of this batch was saved. Run again; report it if it repeats.",
                where="ledger",
            )
        ids.update({index: values["person_row"] for index, values in known})
    if new:
        made = db.execute(
            insert(PERSON).returning(PERSON.c.id, sort_by_parameter_order=True), [values for _, values in new]
        )
        ids.update({index: row.id for (index, _), row in zip(new, made, strict=True)})
    return [ids[index] for index in range(len(decisions))]


def _person_values(decided: Decided, run: int, at: datetime, version: int) -> dict[str, Any]:
    score, state = decided.score, decided.stage.state
    return {
        "fields": codec.dumps(dict(decided.fields)),
        "fit": score.fit,
        "engagement": score.engagement,
        "score": score.score,
        "band": score.band,
        "grade": score.grade,
        "disqualified": score.disqualified,
        "hand_raised": score.hand_raised,
        "contributions": codec.dump_contributions(score.contributions),
        "stage": state.stage,
        "status": state.status.value,
        "state": codec.dump_state(state),
        "decays": decided.decays,
        "look_again_at": decided.stage.look_again_at,
        "decided_at": at,
        "criteria_version": version,
        "run": run,
        "ended_at": None,
        "audience": decided.audience or None,
        "override": decided.override,
        "waits": decided.waits or None,
        "guarded": decided.stage.guarded or None,
        "privacy": state.privacy or None,
    }


def _keep_members(
    db: Connection,
    decisions: Sequence[Decided],
    people: Sequence[int],
    at: datetime,
    moves: store_identity.Moves,
) -> None:
    """Records go to their people; people without records end, their history stays."""
    belong = [
        {
            "record_ref": str(ref),
            "belongs_to": person,
            "at_home_with": store_identity.home_of(str(ref), person, claimed, moves.known),
        }
        for decided, person, claimed in zip(decisions, people, moves.claimed, strict=True)
        for ref in decided.refs
    ]
    if belong:
        db.execute(
            update(RECORD)
            .where(RECORD.c.ref == bindparam("record_ref"))
            .values(person_id=bindparam("belongs_to"), home=bindparam("at_home_with"), first_load=False),
            sorted(belong, key=lambda each: str(each["record_ref"])),
        )
    earlier = {place.person for place in moves.known.values() if place.person is not None}
    for part in chunks(earlier - set(people)):
        left = select(RECORD.c.ref).where(RECORD.c.person_id == PERSON.c.id).exists()
        db.execute(update(PERSON).where(PERSON.c.id.in_(part), ~left).values(ended_at=at))


def _keep_history(db: Connection, run: int, decisions: Sequence[Decided], people: Sequence[int]) -> None:
    version = criteria_version(db)
    steps = [
        {
            "person": person,
            "at": change.at,
            "from_stage": change.from_stage,
            "to_stage": change.to_stage,
            "from_status": change.from_status.value,
            "to_status": change.to_status.value,
            "because": change.because,
            "adopted": change.adopted,
            "entered_mql": decided.stage.entered_mql,
            "left_mql": decided.stage.left_mql,
            "criteria_version": version,
            "run": run,
            "before": None if decided.before is None else codec.dump_state(decided.before),
        }
        for decided, person in zip(decisions, people, strict=True)
        if (change := decided.stage.change) is not None
    ]
    if steps:
        db.execute(insert(STAGE_HISTORY), steps)


def plan_row(
    plan: int, person: int, planned: PlannedWrite, *, read_at: datetime | None = None
) -> dict[str, Any]:
    """A planned write as a new row. Without `read_at` it is read again before it leaves, however soon that is."""
    return {
        "plan": plan,
        "crm": planned.ref.crm,
        "person": person,
        "ref": str(planned.ref),
        "status": planned.fate,
        "writes": codec.dump_writes(planned.writes),
        "held_back": codec.dump_held_back(planned.held_back),
        "because": planned.because,
        "kind": planned.kind,
        "rules": codec.dump_rules(planned.rules),
        "stage": planned.stage,
        "reason": "",
        "code": "",
        "read_at": read_at,
    }


def _keep_plan(
    db: Connection, decisions: Sequence[Decided], people: Sequence[int], plans: Mapping[str, int]
) -> None:
    """Plan rows, one per record and plan: a later decision of the same run replaces what was not sent yet."""
    for part in chunks(str(ref) for decided in decisions for ref in decided.refs):
        db.execute(
            delete(PLAN_ROW).where(
                PLAN_ROW.c.plan.in_(sorted(plans.values())),
                PLAN_ROW.c.ref.in_(part),
                PLAN_ROW.c.status.in_(["planned", "held_back"]),
            )
        )
    refs = {str(planned.ref) for decided in decisions for planned in decided.plan}
    since = targets_since(db)
    read_at = {
        row.ref: row.observed_at
        for row in where_in(db, select(RECORD.c.ref, RECORD.c.observed_at), RECORD.c.ref, refs)
        # Read before a target could be seen, a before-image says nothing of it: None has it read again.
        if row.observed_at >= since.get(row.ref.partition(":")[0], EPOCH)
    }
    rows = [
        plan_row(plans[planned.ref.crm], person, planned, read_at=read_at.get(str(planned.ref)))
        for decided, person in zip(decisions, people, strict=True)
        for planned in decided.plan
        if planned.ref.crm in plans and planned.fate != "unchanged"
    ]
    if rows:
        db.execute(insert(PLAN_ROW), rows)
        # An approval is of a plan as it stands.
        grown = PLAN.c.id.in_(sorted({row["plan"] for row in rows})), PLAN.c.approved_by.is_not(None)
        db.execute(
            update(PLAN)
            .where(*grown)
            .values(approved_by=None, approved_at=None, approval_note=None, approval_proof=None)
        )


def _clear_marks(db: Connection, decisions: Sequence[Decided], clear: Sequence[Ref], seen: Marks) -> None:
    """Remove the marks that this decision has answered, and no newer ones."""
    answered = {str(ref) for ref in clear}
    members = {str(ref) for decided in decisions for ref in decided.refs}
    exactly: list[dict[str, Any]] = []
    blindly: set[str] = set()
    for ref in answered | members:
        if ref not in seen:
            blindly |= {ref} & answered
            continue
        # A member that was not asked for still loses its moments of time alone: they are computed anew.
        exactly += [
            {"mark_ref": ref, "mark_crm": crm, "mark_serial": serial}
            for crm, serial in seen[ref]
            if ref in answered or crm == ""
        ]
    for part in chunks(blindly):
        db.execute(delete(DUE).where(DUE.c.ref.in_(part)))
    if exactly:
        exactly.sort(key=lambda mark: (mark["mark_ref"], mark["mark_crm"]))
        db.execute(
            delete(DUE).where(
                DUE.c.ref == bindparam("mark_ref"),
                DUE.c.crm == bindparam("mark_crm"),
                DUE.c.serial == bindparam("mark_serial"),
            ),
            exactly,
        )


def _set_marks(db: Connection, decisions: Sequence[Decided], at: datetime) -> None:
    """The moments at which these people have to be looked at again, and the CRMs that were not asked."""
    dialect = db.dialect.name
    now = time_to_db(at, dialect)
    midnight = time_to_db(next_midnight(at), dialect)
    marks: list[tuple[str, str, Any]] = []
    for decided in decisions:
        moment = decided.stage.look_again_at
        for ref in decided.refs:
            if moment is not None:
                marks.append((str(ref), "", time_to_db(moment, dialect)))
            if decided.decays:
                marks.append((str(ref), "", midnight))
            if ref.crm in decided.pending:
                marks.append((str(ref), ref.crm, now))
        marks += [(str(ref), "", time_to_db(later, dialect)) for ref, later in decided.later.items()]
    mark_due_at(db, marks)


def next_midnight(at: datetime) -> datetime:
    """The first UTC midnight after this moment."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + DAY


# ----------------------------------------------------------------------------------------------------------- plans


def open_plan(
    db: Connection,
    run: int,
    crm: str,
    lease: Lease,
    at: datetime,
    *,
    kind: str = "sync",
    undoes: int | None = None,
) -> int:
    """A new open plan. Older open ones end as superseded, or as expired after 24 h; what they had not sent yet
    makes its records due again."""
    store_lease.check(db, lease)
    older = select(PLAN).where(PLAN.c.crm == crm, PLAN.c.status == "open")
    if kind != "undo":  # no later decision replaces an undo that waits for a human
        older = older.where(PLAN.c.kind != "undo")
    for row in db.execute(older).all():
        give_back(db, row.id, at)
        status = "expired" if row.created_at + DAY <= at else "superseded"
        db.execute(update(PLAN).where(PLAN.c.id == row.id).values(status=status))
    asked_by = db.execute(select(RUN.c.asked_by).where(RUN.c.id == run)).scalar()
    values = {
        "run": run,
        "crm": crm,
        "status": "open",
        "created_at": at,
        "kind": kind,
        "definition": criteria_version(db),
        "asked_by": asked_by or "",
        "held": "",
        "summary": "{}",
        "undoes": undoes,
    }
    made = db.execute(insert(PLAN).values(**values).returning(PLAN.c.id))
    plan: int = made.scalar_one()
    return plan


def give_back(db: Connection, plan: int, at: datetime) -> None:
    """The records whose planned writes were never sent are due again; the rows end as waiting."""
    unsent = select(PLAN_ROW.c.ref).where(
        PLAN_ROW.c.plan == plan, or_(PLAN_ROW.c.status == "planned", PLAN_ROW.c.status == "waiting")
    )
    mark_due(db, [codec.parse_ref(row.ref) for row in db.execute(unsent)], at)
    db.execute(
        update(PLAN_ROW)
        .where(PLAN_ROW.c.plan == plan, PLAN_ROW.c.status == "planned")
        .values(status="waiting", reason="the plan ended before this was sent; decided anew", settled_at=at)
    )
