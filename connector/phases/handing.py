"""What a decision means for the hand-off: whose turn it is, what sales has done, whom to tell. Gathers for
`connector.core.handoff` and makes its answer notices; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.core.conditions import is_missing
from connector.core.definition import Definition
from connector.core.guards import guard_of
from connector.core.handoff import (
    BACKFILL,
    FIRST_LOAD,
    FOUND,
    NEW_DEFINITION,
    Around,
    Followed,
    Pools,
    Spell,
    Touch,
    Users,
    follow,
    owner_of,
    touches,
)
from connector.core.known import Known
from connector.core.mapping import StatusMap
from connector.core.model import PersonRecord, StageDecision
from connector.core.notify import ESCALATION, GUARDED, MQL, REMINDER, REVOPS
from connector.core.privacy import is_unscored
from connector.phases.owners import known_owners
from connector.ports import Facts, Ledger, Notice


@dataclass(frozen=True, slots=True)
class Desks:
    """Who may be handed people, as one phase knows it; the pools grow as it goes on."""

    users: Users
    pools: Pools


@dataclass(frozen=True, slots=True)
class Handed:
    """What the hand-off makes of one decision."""

    decision: StageDecision  # with the moment at which a deadline asks for another look
    spells: tuple[Spell, ...]
    notices: tuple[Notice, ...]


async def desks(ledger: Ledger) -> Desks:
    """As the ledger has them now."""
    return Desks(await known_owners(ledger), Pools(dict(await ledger.pools())))


def sales_did(
    facts: Facts, records: Sequence[PersonRecord], definition: Definition, at: datetime
) -> list[Touch]:
    """What sales did about this person, as far as it is known."""
    if facts.spell is None and (facts.state is None or facts.state.first_mql_at is None):
        return []  # nobody has been anything to sales yet; most people
    return _touches(facts, records, definition, at)


def _touches(
    facts: Facts, records: Sequence[PersonRecord], definition: Definition, at: datetime
) -> list[Touch]:
    answers = [
        (record.answer, _counts(definition, record, record.answer.status))
        for record in records
        if record.answer
    ]
    return touches((known.engagement for known in facts.engagement), answers, at)


def quiet(facts: Facts, version: int, *, first_load: bool, backfill: bool, found: bool = False) -> str:
    """Why nobody is told person by person of what this decision finds; empty: they are. `found`: it was decided in a
    time that a restored ledger does not know, and told then."""
    if backfill:
        return BACKFILL
    if first_load and facts.state is None:
        return FIRST_LOAD
    if found:
        return FOUND
    return NEW_DEFINITION if facts.version is not None and facts.version != version else ""


def hand_over(
    facts: Facts,
    known: Known,
    records: Sequence[PersonRecord],
    decision: StageDecision,
    definition: Definition,
    desks: Desks,
    *,
    at: datetime,
    quiet: str,
    whole: bool,
    run: int,
) -> Handed:
    """The spells of a person after this decision, and whom to tell of it."""
    followed, state = Followed(), decision.state
    if is_unscored(known.criteria) and state.stage == "mql":
        state = replace(state, stage="lead", mql_since=None)  # observed, and nobody's work of ours
    if state.stage == "mql" or (facts.spell is not None and facts.spell.ended_at is None):
        told = known.fields.get("owner")
        source = known.fields.get("source")
        around = Around(
            at=at,
            handoff=known.criteria.handoff,
            owned=owner_of(records, facts.companies, "" if is_missing(told) else str(told), desks.users),
            known=_touches(facts, records, definition, at),
            users=desks.users,
            audience=known.audience,
            source="" if is_missing(source) else str(source),
            quiet=quiet,
            whole=whole,
            run=run,
        )

        def not_ready(answered: datetime) -> bool:
            said = [r for r in records if r.answer is not None and r.answer.at == answered]
            return any(_not_ready(definition, each) for each in said)

        followed = follow(facts.spell, facts.state, state, around, desks.pools, not_ready=not_ready)
    moments = [each for each in (decision.look_again_at, followed.look_again_at) if each is not None]
    return Handed(
        replace(decision, look_again_at=min(moments, default=None)),
        followed.keep,
        (*_told(followed, decision, at), *_guarded(facts, known, decision, at, quiet)),
    )


def _told(followed: Followed, decision: StageDecision, at: datetime) -> list[Notice]:
    """Of the spell: that it began, once; and that it is untouched, once to each side."""
    found: list[Notice] = []
    if not followed.keep:
        return found
    spell = followed.keep[-1]
    about = spell.since.isoformat()
    if followed.began and not spell.quiet:
        found.append(Notice(MQL, spell.owner or REVOPS, decision.because, at, about=about))
    for each in followed.reminders:
        kind = REMINDER if each.whom == "owner" else ESCALATION
        due = f", due {spell.due_at:%Y-%m-%d %H:%M} UTC" if spell.due_at else ""
        text = f"MQL since {spell.since:%Y-%m-%d %H:%M} UTC, untouched{due}. {decision.because}"
        found.append(Notice(kind, each.to or REVOPS, text, at, about=about))
    return found


def _guarded(facts: Facts, known: Known, decision: StageDecision, at: datetime, quiet: str) -> list[Notice]:
    """Once for each spell in which a guard keeps somebody who qualifies from becoming MQL."""
    guard = guard_of(known.criteria, known.fields, at)
    if guard is None or decision.guarded != guard.reason:
        return []
    if facts.state is not None and facts.state.guarded == guard.reason:
        return []
    to = known.fields.get("account.owner") or known.fields.get("owner") or REVOPS
    text = f"Would be MQL by points, but: {guard.reason}"
    return [Notice(GUARDED, str(to), text, at, quiet=bool(quiet))]


def _counts(definition: Definition, record: PersonRecord, status: str) -> bool:
    answers = _answers_of(definition, record)
    return answers is not None and answers.says_touched(status)


def _not_ready(definition: Definition, record: PersonRecord) -> bool:
    answers = _answers_of(definition, record)
    return answers is not None and record.answer is not None and answers.says_not_ready(record.answer.status)


def _answers_of(definition: Definition, record: PersonRecord) -> StatusMap | None:
    """What the lead statuses of this record's object mean."""
    mapping = definition.mappings.get(record.ref.crm)
    shape = mapping.objects.get(record.ref.object) if mapping else None
    return shape.status if shape is not None else None
