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
from connector.core.handoff import take_back_at
from connector.core.kinds import responsible
from connector.core.known import Known, known_now, known_then, measure, score_all
from connector.core.model import PersonRecord, PlannedWrite, Ref, Score, StageDecision
from connector.core.override import strongest
from connector.core.places import Bar, contest_of, contests
from connector.core.privacy import is_unscored
from connector.core.resolve import Group, resolve
from connector.core.stage import decide_stage
from connector.core.stage_rules import Measured
from connector.core.write_plan import REJECTED_WAIT, results
from connector.errors import LeaseBusy
from connector.phases.counting import Counted, CrmTally, count, count_moves
from connector.phases.evidence import said_of_stage
from connector.phases.handing import Desks, desks, hand_over, quiet, sales_did
from connector.phases.lease import acquired, in_turn
from connector.phases.others import others_pushed
from connector.phases.places import Given, give_places
from connector.phases.planning import Schemas, ladder_of, master_here, outlived_of, plan_for, tugs_of
from connector.ports import Clock, Decided, Facts, Gap, Hold, Lease, Ledger, Review, wanted

BATCH = 500  # people a commit: small enough to lose little in a crash, large enough to score in one go


@dataclass(slots=True)
class DecidedAll:
    """What the phase came to."""

    people: int = 0
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
    privacy: Counter[str] = field(default_factory=Counter)  # people treated so by `privacy`, by treatment
    bars: tuple[Bar, ...] = ()  # where places among the best are contested
    waited: dict[Ref, Counted] = field(default_factory=dict)  # records whose person waited for such a place

    @property
    def entered(self) -> int:
        """People who became MQL."""
        return self.entered_in.total()

    @property
    def left(self) -> int:
        """People who are MQL no more."""
        return self.left_in.total()


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


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is the same for everybody in one phase."""

    definition: Definition
    as_of: datetime
    version: int
    crms: Sequence[str]
    schemas: Schemas
    may_leave: bool
    ladder: Sequence[str]
    reads: frozenset[str]  # fields of the account
    run: int
    desks: Desks
    backfill: bool
    gaps: Sequence[Gap]


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
    around = around_at(definition, as_of)
    try:
        asked = _Asked(
            definition,
            as_of,
            version,
            crms,
            schemas,
            may_leave,
            ladder_of(definition, schemas),
            around.fields if around else frozenset(),
            run,
            await desks(ledger),
            turn is not None,
            await ledger.gaps(),
        )
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
            decisions = _decide_many(resolution.groups, facts, asked, done, hood.first_load, given.people)
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
            lease = await _hand_over(ledger, done.plans, lease, holder, clock)
    finally:
        await ledger.release(lease)
    return done


async def _hand_over(
    ledger: Ledger, plans: Mapping[str, int], lease: Lease, holder: str, clock: Clock
) -> Lease:
    """Let what was approved of older plans hold for these, and reserve each push: whoever decides next sees that this
    plan is about to leave."""
    for plan in plans.values():
        lease = await ledger.renew(lease, clock.now())
        await ledger.carry_approval(plan, lease, clock.now())
    for crm in plans:
        with suppress(LeaseBusy):
            await ledger.acquire(f"push:{crm}", holder, clock.now())
    return lease


def _decide_many(
    groups: Sequence[Group],
    facts: Sequence[Facts],
    asked: _Asked,
    done: DecidedAll,
    first_load: frozenset[Ref],
    given: frozenset[int],
) -> list[Decided]:
    candidates = [
        _candidate(group, known, asked.definition) for group, known in zip(groups, facts, strict=True)
    ]
    scores = score_all([candidate.known for candidate in candidates], asked.as_of)
    return [
        _decide_one(candidate, score, asked, done, first_load, given)
        for candidate, score in zip(candidates, scores, strict=True)
    ]


def _candidate(group: Group, facts: Facts, definition: Definition) -> _Candidate:
    # Its targets: a record that another has absorbed says nothing any more, though nobody told us it ended.
    live = tuple(record for record in facts.records if record.ref in group.targets)
    return _Candidate(group, facts, live, known_now(facts, definition, live))


def _decide_one(
    candidate: _Candidate,
    score: Score,
    asked: _Asked,
    done: DecidedAll,
    first_load: frozenset[Ref],
    given: frozenset[int],
) -> Decided:
    definition, as_of, crms, schemas = asked.definition, asked.as_of, asked.crms, asked.schemas
    facts, known = candidate.facts, candidate.known
    criteria = known.criteria
    override = strongest(facts.overrides, as_of)
    new = facts.state is None and any(ref in first_load for ref in candidate.group.refs)
    done_by_sales = sales_did(facts, candidate.records, definition, as_of)
    decision = decide_stage(
        facts.state,
        at=as_of,
        now=Measured(score, known.fields, known.engagement),
        then=lambda at: measure(known_then(facts, definition, at, candidate.records), at),
        newer=lambda since: measure(
            known_then(facts, definition, as_of, candidate.records, since=since), as_of
        ),
        criteria=criteria,
        evidence=said_of_stage(candidate.records, facts, definition, asked.gaps),
        answers=[record.answer for record in candidate.records if record.answer],
        adopt=new,
        may_leave=asked.may_leave,
        has_place=facts.person in given,
        ladder=asked.ladder,
        override=override,
        take_back_at=take_back_at(facts.spell, facts.state, criteria.handoff, done_by_sales),
    )
    found = facts.state is not None and decision.change is not None and decision.change.adopted
    handed = hand_over(
        facts, known, candidate.records, decision, definition, asked.desks,
        at=as_of, whole=asked.may_leave, run=asked.run,
        quiet=quiet(facts, asked.version, first_load=new, backfill=asked.backfill, found=found),
    )  # fmt: skip
    decision = handed.decision
    persona = known.fields.get(PERSONA)
    consent = mail_consent(known.fields, facts.records, definition.mappings)
    may_be_mailed = consent is Consent.NOT_REFUSED
    wanted = results(
        score,
        decision,
        asked.version,
        next=criteria.stages.next_of(decision.state.stage, decision.state.status) if may_be_mailed else None,
        persona=None if is_missing(persona) else str(persona),
        audience=known.audience or None,
    )
    unscored = is_unscored(criteria)
    if unscored:
        wanted = dict.fromkeys(wanted)  # of what we wrote nothing may stay
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
            only_ours=unscored,
        )  # fmt: skip
        pulled = tugs_of(write, facts)
        tugged += [hold for hold in pulled if hold not in facts.holds.values()]
        if record.ref.crm in crms:
            done.tallies[record.ref.crm].tugs += pulled
        if not unscored:
            ended += outlived_of(record, mapping, wanted, facts, schemas, criteria.min_change)
        if record.ref.crm in crms:
            counted = count(
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
    count_moves(
        done.tallies, kinds, known.audience, by_override=decision.by_override and _told_us(facts, decision)
    )
    done.people += not anew
    if criteria.under is not None and not anew:
        done.privacy[criteria.under.do] += 1
    contest = contest_of(definition.criteria, known.audience)
    done.loosened[contest] += decision.loosened
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
        notices=handed.notices,
        spells=handed.spells,
        moves_account=MQLS in asked.reads
        and (decision.state.stage == "mql") != (facts.state is not None and facts.state.stage == "mql"),
    )


def _told_us(facts: Facts, decision: StageDecision) -> bool:
    """Whether the word behind this was said to us: such a wish is no unusual share of what the rules do. What a field
    or list of a CRM says may be one slip that concerns many, and counts as any change."""
    states = (decision.state, facts.state)
    words = {state.by_override for state in states if state is not None}
    return all(not each.source for each in facts.overrides if each.id in words)


def _tried_again(facts: Facts, as_of: datetime) -> dict[Ref, datetime]:
    """When a record whose CRM rejected the values is due for that reason alone, whatever is decided until then."""
    moments = {
        ref: refused.at + REJECTED_WAIT
        for ref, refused in facts.refused.items()
        if refused.kind == "rejected"
    }
    return {ref: moment for ref, moment in moments.items() if moment > as_of}
