"""Decide: resolve, score, stage and plan all due people from the whole ledger, one commit a batch.

Runs only after every stream has ended, so that nobody is judged on half of the facts. Sends nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.core.account import ENGAGED, MQLS, around_at
from connector.core.aging import ages
from connector.core.audience import PERSONA
from connector.core.conditions import is_missing
from connector.core.consent import Consent, mail_consent
from connector.core.definition import Definition
from connector.core.guards import guard_of
from connector.core.kinds import DEMOTION, PROMOTION, kind_of, responsible
from connector.core.known import Known, known_now, known_then, measure, score_all
from connector.core.mapping import CrmMapping, ObjectMapping, master_of
from connector.core.model import (
    JsonValue,
    PersonRecord,
    PlannedWrite,
    RecordState,
    Ref,
    Score,
    StageDecision,
    Value,
)
from connector.core.override import strongest
from connector.core.places import Bar, contest_of, contests
from connector.core.refs import RefSet
from connector.core.resolve import Group, resolve
from connector.core.stage import decide_stage
from connector.core.stage_case import DEFAULT_LADDER
from connector.core.stage_heard import StageEvidence
from connector.core.stage_rules import Measured
from connector.core.tug import why_tugged
from connector.core.values import same_value
from connector.core.write_only import outside
from connector.core.write_plan import REJECTED_WAIT, Lowering, outlived, plan_record, results
from connector.errors import LeaseBusy
from connector.phases.lease import acquired, in_turn
from connector.phases.others import others_pushed
from connector.phases.places import Given, give_places
from connector.ports import (
    TUGGED,
    Clock,
    Decided,
    Facts,
    FieldInfo,
    Hold,
    Ledger,
    Notice,
    Review,
    wanted,
)

GUARDED, REVOPS = "guarded", "revops"

BATCH = 500  # people a commit: small enough to lose little in a crash, large enough to score in one go

Schemas = Mapping[str, Mapping[str, Mapping[str, FieldInfo]]]
"""The live fields of the objects we write to: crm -> object -> field -> info."""


@dataclass(slots=True)
class CrmTally:
    """What deciding meant for the target records of one CRM, each counted once."""

    seen: RefSet = field(default_factory=RefSet)
    planned: int = 0
    held_back: int = 0
    unchanged: int = 0
    promoted: int = 0  # people with a planned record whose stage (or MQL status) rises, by the rules
    by_override: int = 0  # people whose stage or MQL status a human's override moves; in neither of the two
    demoted: int = 0  # and falls
    holding: int = 0  # records that already hold a value in a field we write
    overwriting: int = 0  # planned records that replace or clear such a value
    moved_in: Counter[str] = field(default_factory=Counter)  # of promoted and demoted, by audience
    demoted_in: Counter[str] = field(
        default_factory=Counter
    )  # never changed in place: an earlier count keeps its own
    tugs: list[Hold] = field(
        default_factory=list
    )  # fields left alone because somebody keeps changing them back

    def beyond(self, earlier: CrmTally) -> CrmTally:
        """What came to it since an earlier count; whom it has seen is not told."""
        numbers = (
            *("planned", "held_back", "unchanged", "promoted", "demoted", "by_override", "holding"),
            "overwriting",
        )
        by_audience = ("moved_in", "demoted_in")
        return CrmTally(
            **{name: getattr(self, name) - getattr(earlier, name) for name in (*numbers, *by_audience)}
        )


@dataclass(slots=True)
class DecidedAll:
    """What the phase came to."""

    people: int = 0
    entered: int = 0
    left: int = 0
    entered_in: Counter[str] = field(
        default_factory=Counter
    )  # by audience; under the empty name of those in none
    left_in: Counter[str] = field(default_factory=Counter)
    by_override: int = 0  # of those who entered or left, by a human's word
    tallies: dict[str, CrmTally] = field(default_factory=dict)
    plans: dict[str, int] = field(default_factory=dict)
    last: Ref | None = None  # up to whom a backfill has decided
    more: bool = False  # it gave way to another run, or had enough for one plan
    loosened: Counter[str] = field(default_factory=Counter)  # who entered below the fixed bar, by contest
    bars: tuple[Bar, ...] = ()  # where places among the best are contested
    waited: dict[Ref, _Counted] = field(default_factory=dict)  # records whose person waited for such a place


@dataclass(frozen=True, slots=True)
class _Counted:
    """As what a record was counted."""

    fate: str
    overwrites: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn at the people whom a backfill holds: about `most` of them, fewer where another run waits for its own.

    `done` carries on what earlier turns came to, plans that are still open included. `meanwhile` is called while others
    have theirs.
    """

    backfill: int
    most: int
    done: DecidedAll
    meanwhile: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One group on its way through the phase."""

    group: Group
    facts: Facts
    records: tuple[PersonRecord, ...]
    known: Known


async def decide(
    ledger: Ledger,
    definition: Definition,
    clock: Clock,
    *,
    run: int,
    crms: Sequence[str],
    holder: str,
    version: int,
    schemas: Schemas,
    may_leave: bool = True,
    progress: Callable[[int], None] = lambda people: None,
    turn: Turn | None = None,
    anew: bool = False,
) -> DecidedAll:
    """Decide everybody who is due, and keep a write plan per asked CRM. `turn`: only whom a backfill holds.

    A plan is opened at the first due person who has records in that CRM; one that waits for a human stays while nothing
    is to be decided there, unless `anew`. `may_leave=False` after a stream failed: nobody is demoted on missing facts.
    Raises LeaseBusy.
    """
    if turn:
        lease = await in_turn(ledger, "decide", holder, clock, turn.meanwhile)
    else:
        for crm in crms:
            await others_pushed(ledger, clock, crm)  # a new plan would end theirs
        lease = await acquired(ledger, "decide", holder, clock)
    as_of = clock.now()
    done = turn.done if turn else DecidedAll()
    backfill = turn.backfill if turn else None
    done.more = False
    before = done.people
    batch = min(BATCH, turn.most) if turn else BATCH
    ladder = ladder_of(definition, schemas)
    around = around_at(definition, as_of)
    try:
        for crm in crms:
            done.tallies.setdefault(crm, CrmTally())
        if turn:
            still = {plan.id for plan in await ledger.open_plans()}
            done.plans = {crm: plan for crm, plan in done.plans.items() if plan in still}
        else:
            await ledger.retire_plans(crms, lease, as_of, anew=anew)
        last = done.last
        given = Given(frozenset(), ())
        while True:
            refs = await ledger.due(crms, as_of, batch, after=last, backfill=backfill)
            if not refs and (turn or given.bars or not contests(definition.criteria)):
                break
            if not refs:
                given, last = await give_places(ledger, definition.criteria, lease, as_of), None
                continue
            hood = await ledger.neighbourhood(refs)
            resolution = resolve(hood.records, hood.person_of, hood.decided)
            targets = {ref.crm for group in resolution.groups for ref in group.targets}
            lacking = [crm for crm in crms if crm in targets and crm not in done.plans]
            for crm in lacking:
                kind = "backfill" if turn else "sync"
                done.plans[crm] = await ledger.open_plan(run, crm, lease, as_of, kind=kind)
            if lacking and not turn:
                last = None  # what an older plan gave back may stand before these
                continue
            last = refs[-1]
            facts = await ledger.facts([group.refs for group in resolution.groups], around)
            candidates = [
                _candidate(group, known, definition)
                for group, known in zip(resolution.groups, facts, strict=True)
            ]
            scores = score_all([candidate.known for candidate in candidates], as_of)
            decisions = [
                _decide_one(
                    candidate,
                    score,
                    definition,
                    as_of,
                    version=version,
                    crms=crms,
                    schemas=schemas,
                    first_load=hood.first_load,
                    may_leave=may_leave,
                    ladder=ladder,
                    done=done,
                    given=given.people,
                    reads=around.fields if around else frozenset(),
                )
                for candidate, score in zip(candidates, scores, strict=True)
            ]
            lease = await ledger.renew(lease, clock.now())
            await ledger.keep_decisions(
                run,
                decisions,
                done.plans,
                [Review(a, b, why) for a, b, why in resolution.reviews],
                sorted({*refs, *(record.ref for record in hood.records)}),
                lease,
                as_of,
            )
            progress(done.people)
            if turn:
                done.last = last
                enough = done.people - before >= turn.most
                if enough or await ledger.holder(wanted("decide"), clock.now()) is not None:
                    done.more = True
                    break
        if given.bars:
            done.bars = tuple(replace(bar, loosened=done.loosened.get(bar.audience, 0)) for bar in given.bars)
            lease = await ledger.renew(lease, clock.now())
            await ledger.keep_bars(done.bars, run, lease)
        if not turn:
            for plan in done.plans.values():
                lease = await ledger.renew(lease, clock.now())
                await ledger.carry_approval(plan, lease, clock.now())
            for crm in done.plans:
                with suppress(LeaseBusy):  # whoever decides next sees that this plan is about to leave
                    await ledger.acquire(f"push:{crm}", holder, clock.now())
    finally:
        await ledger.release(lease)
    return done


def _candidate(group: Group, facts: Facts, definition: Definition) -> _Candidate:
    # Its targets: a record that another has absorbed says nothing any more, though nobody told us it ended.
    live = tuple(record for record in facts.records if record.ref in group.targets)
    return _Candidate(group, facts, live, known_now(facts, definition, live))


def _decide_one(
    candidate: _Candidate,
    score: Score,
    definition: Definition,
    as_of: datetime,
    *,
    version: int,
    crms: Sequence[str],
    schemas: Schemas,
    first_load: frozenset[Ref],
    may_leave: bool,
    ladder: Sequence[str],
    done: DecidedAll,
    given: frozenset[int],
    reads: frozenset[str] = frozenset(),
) -> Decided:
    facts, known = candidate.facts, candidate.known
    criteria = known.criteria
    override = strongest(facts.overrides, as_of)
    decision = decide_stage(
        facts.state,
        at=as_of,
        now=Measured(score, known.fields, known.engagement),
        then=lambda at: measure(known_then(facts, definition, at, candidate.records), at),
        newer=lambda since: measure(
            known_then(facts, definition, as_of, candidate.records, since=since), as_of
        ),
        criteria=criteria,
        evidence=_evidence(candidate, definition),
        answers=[record.answer for record in candidate.records if record.answer],
        adopt=facts.state is None and any(ref in first_load for ref in candidate.group.refs),
        may_leave=may_leave,
        has_place=facts.person in given,
        ladder=ladder,
        override=override,
    )
    persona = known.fields.get(PERSONA)
    consent = mail_consent(known.fields, facts.records, definition.mappings)
    may_be_mailed = consent is Consent.NOT_REFUSED
    wanted = results(
        score,
        decision,
        version,
        next=criteria.stages.next_of(decision.state.stage, decision.state.status) if may_be_mailed else None,
        persona=None if is_missing(persona) else str(persona),
        audience=known.audience or None,
    )
    master = master_here(candidate.records, definition.mappings)
    planned: list[PlannedWrite] = []
    pending: set[str] = set()
    kinds: set[tuple[str, str]] = set()
    ended: list[tuple[Ref, str]] = []
    tugged: list[Hold] = []
    anew = any(record.ref in done.waited for record in candidate.records)
    for record in candidate.records:
        mapping = definition.mappings.get(record.ref.crm)
        if mapping is None:
            continue
        write = plan_for(
            record, mapping, wanted, facts, schemas, criteria.min_change, as_of, known.fields,
            follows="" if record.ref.crm == master else master,
        )  # fmt: skip
        pulled = _tugs(write, facts)
        tugged += [hold for hold in pulled if hold not in facts.holds.values()]
        if record.ref.crm in crms:
            done.tallies[record.ref.crm].tugs += pulled
        ended += _outlived(record, mapping, wanted, facts, schemas, criteria.min_change)
        if record.ref.crm in crms:
            counted = _count(
                done.tallies[record.ref.crm], record, write, mapping, waited=done.waited.pop(record.ref, None)
            )
            if counted and write.fate == "planned":
                kinds.add((record.ref.crm, write.kind))
            if counted and decision.waits:
                done.waited[record.ref] = counted
            if write.fate != "unchanged":
                planned.append(replace(write, rules=responsible(score)))
        elif write.fate == "planned":
            pending.add(record.ref.crm)
    for crm in {crm for crm, _ in kinds}:
        if decision.by_override and _told_us(facts, decision):
            moved = (crm, PROMOTION) in kinds or (crm, DEMOTION) in kinds
            done.tallies[crm].by_override += moved
            continue
        promoted = (crm, PROMOTION) in kinds
        demoted = (crm, DEMOTION) in kinds and not promoted
        tally = done.tallies[crm]
        tally.promoted += promoted
        tally.demoted += demoted
        tally.moved_in = tally.moved_in + Counter({known.audience: promoted + demoted})
        tally.demoted_in = tally.demoted_in + Counter({known.audience: demoted})
    done.people += not anew
    contest = contest_of(definition.criteria, known.audience)
    done.loosened[contest] += decision.loosened
    done.entered += decision.entered_mql
    done.left += decision.left_mql
    done.entered_in[known.audience] += decision.entered_mql
    done.left_in[known.audience] += decision.left_mql
    done.by_override += decision.by_override and (decision.entered_mql or decision.left_mql)
    return Decided(
        person=facts.person,  # whose state this goes on from
        refs=candidate.group.refs,
        fields=known.fields,
        score=score,
        stage=decision,
        plan=tuple(planned),
        decays=ages(criteria, score, known.engagement, as_of) or bool(known.fields.get(ENGAGED)),
        later=_tried_again(facts, as_of),
        pending=frozenset(pending),
        before=facts.state,
        outlived=tuple(ended),
        tugged=tuple(tugged),
        audience=known.audience,
        override=override.id if override else None,
        waits=contest if decision.waits else "",
        notice=_notice(facts, known, decision, as_of),
        moves_account=MQLS in reads
        and (decision.state.stage == "mql") != (facts.state is not None and facts.state.stage == "mql"),
    )


def _notice(facts: Facts, known: Known, decision: StageDecision, as_of: datetime) -> Notice | None:
    """Once for each spell in which a guard keeps somebody who qualifies from becoming MQL."""
    guard = guard_of(known.criteria, known.fields, as_of)
    if guard is None or decision.guarded != guard.reason:
        return None
    if facts.state is not None and facts.state.guarded == guard.reason:
        return None
    to = known.fields.get("account.owner") or known.fields.get("owner") or REVOPS
    return Notice(GUARDED, str(to), f"Would be MQL by points, but: {guard.reason}", as_of)


def _told_us(facts: Facts, decision: StageDecision) -> bool:
    """Whether the word behind this was said to us: such a wish is no unusual share of what the rules do. What a field
    or list of a CRM says may be one slip that concerns many, and counts as any change."""
    states = (decision.state, facts.state)
    words = {state.by_override for state in states if state is not None}
    return all(not each.source for each in facts.overrides if each.id in words)


def _tugs(write: PlannedWrite, facts: Facts) -> list[Hold]:
    """The holds for which fields of this record are left alone; one that this turn puts in force is told as such."""
    found: list[Hold] = []
    for field_ in write.held_back:
        hold = facts.holds.get((write.ref, field_.field))
        if hold is None or hold.kind != TUGGED or field_.why != hold.why:
            continue
        if hold.next_holds:
            times = hold.times + 1
            hold = replace(hold, times=times, other=field_.before, why=why_tugged(times, field_.before))
        found.append(hold)
    return found


def _tried_again(facts: Facts, as_of: datetime) -> dict[Ref, datetime]:
    """When a record whose CRM rejected the values is due for that reason alone, whatever is decided until then."""
    moments = {
        ref: refused.at + REJECTED_WAIT
        for ref, refused in facts.refused.items()
        if refused.kind == "rejected"
    }
    return {ref: moment for ref, moment in moments.items() if moment > as_of}


def plan_for(
    record: PersonRecord,
    mapping: CrmMapping,
    wanted: Mapping[str, JsonValue],
    facts: Facts,
    schemas: Schemas,
    min_change: float,
    as_of: datetime,
    person: Mapping[str, Value],
    *,
    follows: str = "",
) -> PlannedWrite:
    """The write plan of one target record, by its mapping's lines and what the live schema knows. `person`: the fields
    of whom it is a record, as settled; `follows`: the CRM from which something else copies the stage to this record."""
    target = mapping.objects[record.ref.object]
    schema = schemas.get(record.ref.crm, {}).get(record.ref.object)
    closed = (
        {line.to: why for line in target.write if (why := why_no_target(schema.get(line.to)))}
        if schema is not None
        else {}
    )
    if follows:
        why = f"the stage is written to {follows} (`master`), and follows from there"
        closed |= {line.to: why for line in target.write if line.result == "stage"}
    order, values = stage_order(target, schema), target.stage.theirs() if target.stage else {}
    planned = plan_record(
        record,
        target.write,
        wanted,
        written={field: held for (ref, field), held in facts.written.items() if ref == record.ref},
        refused=facts.refused.get(record.ref),
        stage_order=order,
        stage_values=values,
        min_change=min_change,
        at=as_of,
        closed=closed | outside(target, record.fields, person),
        lowering=lowering_of(target, schema),
        holds={field: hold for (ref, field), hold in facts.holds.items() if ref == record.ref},
    )
    return replace(planned, kind=kind_of(planned.writes, order, values))


def _outlived(
    record: PersonRecord,
    mapping: CrmMapping,
    wanted: Mapping[str, JsonValue],
    facts: Facts,
    schemas: Schemas,
    min_change: float,
) -> list[tuple[Ref, str]]:
    """The fields of a record that were undone and of which something else is wanted by now."""
    holds = {field: hold for (ref, field), hold in facts.holds.items() if ref == record.ref}
    if not holds:
        return []
    target = mapping.objects[record.ref.object]
    order = stage_order(target, schemas.get(record.ref.crm, {}).get(record.ref.object))
    values = target.stage.theirs() if target.stage else {}
    ended = outlived(
        record, target.write, wanted, holds, stage_order=order, stage_values=values, min_change=min_change
    )
    return [(record.ref, name) for name in ended]


def master_here(records: Sequence[PersonRecord], mappings: Mapping[str, CrmMapping]) -> str:
    """The CRM alone to which this person's stage is written; empty where it is written to all: no master is declared,
    or the person has no record there to which it is."""
    master = master_of(mappings.values())
    if master not in mappings:
        return ""
    for record in records:
        target = mappings[master].objects.get(record.ref.object) if record.ref.crm == master else None
        if target is not None and record.in_scope and any(line.result == "stage" for line in target.write):
            return master
    return ""


def why_no_target(info: FieldInfo | None) -> str:
    """Why a field of the live schema cannot be written to; empty where it can. A field that nobody made and one that
    is hidden from us look alike."""
    if info is None:
        return "would be written, but is not there yet (or hidden from this user)"
    return "" if info.writable else "would be written, but this user may not edit the field"


def stage_order(target: ObjectMapping, schema: Mapping[str, FieldInfo] | None) -> Sequence[str]:
    """The account's own stages, lowest first; where the schema lists none, the mapping's order."""
    if target.stage is None:
        return ()
    info = schema.get(target.stage.source) if schema else None
    if info is not None and info.options:
        return info.options
    return tuple(target.stage.theirs().values())


def lowering_of(target: ObjectMapping, schema: Mapping[str, FieldInfo] | None) -> Lowering:
    """What becomes of a stage that must go back, by the field that the mapping writes it to."""
    fields = [line.to for line in target.write if line.result == "stage"]
    if target.stage is None or not any(schema and to in schema and schema[to].forward_only for to in fields):
        return Lowering.FREE
    return Lowering.TWO_STEP if target.stage.backward else Lowering.HELD


def ladder_of(definition: Definition, schemas: Schemas) -> tuple[str, ...]:
    """Our stages, lowest first, with each account's own stages where that account orders them."""
    ladder = list(DEFAULT_LADDER)
    for crm, mapping in definition.mappings.items():
        for name, target in mapping.objects.items():
            if target.stage is None:
                continue
            ours = {theirs: stage for stage, values in target.stage.values.items() for theirs in values}
            place = -1
            for theirs in stage_order(target, schemas.get(crm, {}).get(name)):
                stage = ours.get(theirs, theirs)
                if stage in ladder:
                    place = max(place, ladder.index(stage))
                elif stage not in target.stage.values:  # `other` stands beside the ladder, not on it
                    place += 1
                    ladder.insert(place, stage)
    return tuple(ladder)


def _evidence(candidate: _Candidate, definition: Definition) -> list[StageEvidence]:
    """What the CRMs say of the stage. Equal to what we last wrote there is our own echo; equal to what its master says
    is a copy, and no second voice."""
    found: list[StageEvidence] = []
    master = master_here(candidate.records, definition.mappings)
    there = {record.stage for record in candidate.records if record.ref.crm == master}
    for record in candidate.records:
        if record.stage is None:
            continue
        mapping = definition.mappings.get(record.ref.crm)
        stage = mapping.objects[record.ref.object].stage if mapping else None
        last = candidate.facts.written.get((record.ref, stage.source)) if stage else None
        copied = bool(master) and record.ref.crm != master and record.stage in there
        found.append(
            StageEvidence(
                crm=record.ref.crm,
                ref=record.ref,
                stage=record.stage,
                at=record.stage_at or _noticed(record, candidate.facts),
                ours=copied
                or (
                    last is not None
                    and stage is not None
                    and same_value(last.value, record.held.get(stage.source))
                ),
                wrote_at=last.at if last is not None else None,
            )
        )
    for deal in candidate.facts.opportunities:
        if deal.state is not RecordState.LIVE or (deal.is_closed and not deal.is_won):
            continue
        found.append(
            StageEvidence(
                crm=deal.ref.crm,
                ref=deal.ref,
                stage="customer" if deal.is_won else "opportunity",
                at=(deal.closed_at if deal.is_won else None) or deal.changed_at,
                only_raises=True,  # a deal lifts a person; one that is still open lowers no customer
            )
        )
    return found


def _noticed(record: PersonRecord, facts: Facts) -> datetime | None:
    """When a stage that its CRM does not date was set: with the last change, once we have decided on the record
    before; at first sight an old value must not look new, so as early as can be."""
    known = facts.state is not None and any(
        each.startswith(f"{record.ref}=") for each in facts.state.seen or ()
    )
    return record.changed_at if known else record.created_at or record.changed_at


def _count(
    tally: CrmTally,
    record: PersonRecord,
    write: PlannedWrite,
    mapping: CrmMapping,
    *,
    waited: _Counted | None,
) -> _Counted | None:
    """Count a record in the first class that fits; None where it was counted before. One that was counted while its
    person `waited` for a place is counted anew."""
    if not tally.seen.add(record.ref) and waited is None:
        return None
    lines = mapping.objects[record.ref.object].write
    now = _Counted(write.fate, any(line.before not in (None, "") for line in write.writes))
    if waited is None:
        tally.holding += any(record.held.get(line.to) not in (None, "") for line in lines)
    else:
        _add(tally, waited, -1)
    _add(tally, now, 1)
    return now


def _add(tally: CrmTally, counted: _Counted, one: int) -> None:
    if counted.fate == "planned":
        tally.planned += one
        tally.overwriting += one * counted.overwrites
    elif counted.fate == "held_back":
        tally.held_back += one
    else:
        tally.unchanged += one
