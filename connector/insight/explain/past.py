"""Any past decision once more, with what was known then: records and what is around them as they stood, engagement that
had come in, the state that the decision went on from. Says what cannot be known any more, and guesses none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.core.definition import Definition
from connector.core.facts import Facts, KnownEngagement
from connector.core.known import Known, known_now, known_then, score_known
from connector.core.model import PersonRecord, RecordState, Ref, Score, StageDecision, StageState
from connector.core.override import strongest
from connector.core.resolve import resolve
from connector.core.reviewing import PairAct, answers_at
from connector.core.stage_case import DEFAULT_LADDER
from connector.core.stage_heard import StageEvidence
from connector.core.then import facts_then, forms_at
from connector.insight.explain.deciding import Case, decide_case
from connector.ports import StageStep

LIMITS = (
    "What a first load or a backfill brought counts from its last change in the CRM on, not from when it was read.",
    "Between two steps of the stage the reason is told as of this moment; a CRM may still show an earlier one.",
    "Of engagement that its CRM deleted since, it is not kept when it had come; it counts from the day it happened.",
)


@dataclass(frozen=True, slots=True)
class Past:
    """A person with what was known at a moment. `apart`: records of today's person that were another one then;
    `unknown`: records that had not been read yet."""

    facts: Facts
    live: tuple[PersonRecord, ...]
    apart: tuple[Ref, ...] = ()
    unknown: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A decision once more. `limits`: what could not be taken as it was."""

    known: Known
    score: Score
    decision: StageDecision
    limits: tuple[str, ...]


def past_of(
    facts: Facts,
    at: datetime,
    erased: Sequence[KnownEngagement] = (),
    said: Sequence[PairAct] = (),
    today: Collection[Ref] = (),
) -> Past:
    """What was known at `at` of whom is one person today. `erased`: engagement deleted since, known to be gone from its
    `known_at` on; `said`: what humans have done to pairs, in order; `today`: the records of this person, where `facts`
    has some that were parted from them since. Joins and splits are taken as they stood at `at`."""
    records = forms_at(facts.records, facts, at)
    own = set(today or (record.ref for record in facts.records))
    groups = resolve(records, {}, answers_at(said, at)).groups
    mine = max(groups, key=lambda group: (len(own & set(group.refs)), len(group.refs)), default=None)
    refs = set(mine.refs) if mine and own & set(mine.refs) else set()
    own_now = tuple(record for record in facts.records if record.ref in refs)
    told = replace(facts, records=own_now, engagement=(*facts.engagement, *_still_there(erased, at)))
    then = facts_then(told, at, anew=True)
    emails = {mail for record in then.records for mail in record.emails}
    of_them = [each for each in then.engagement if _concerns(each, refs, emails)]
    found = {record.ref for record in records}
    return Past(
        replace(then, engagement=tuple(sorted(of_them, key=lambda each: each.engagement.occurred_at))),
        tuple(record for record in then.records if mine and record.ref in mine.targets),
        tuple(sorted(own & found - refs)),
        tuple(record.ref for record in facts.records if record.ref in own - found),
    )


def state_before(
    history: Sequence[StageStep], now: StageState | None, at: datetime
) -> tuple[StageState | None, bool]:
    """The state that a decision at `at` went on from, and whether it was the first and adopted what it found.

    Between two steps only what moves is kept: the reason is then told as of `at`, not as it was last told.
    """
    for step in history:
        if step.made_at(at):
            return step.before, step.adopted and step.before is None
        if step.decided_at > at:
            now = step.before
            break
    return (replace(now, band=None) if now else None), False


def recompute(
    past: Past,
    definition: Definition,
    at: datetime,
    before: StageState | None,
    *,
    adopt: bool = False,
    has_place: bool = True,
    ladder: Sequence[str] = DEFAULT_LADDER,
) -> Recomputed:
    """The decision at `at` by these facts and this definition. `has_place`: among the best, where that is contested."""
    now = known_now(past.facts, definition, past.live)
    case = case_of(past, definition, at, before, now, adopt=adopt, ladder=ladder)
    decision = decide_case(replace(case, has_place=has_place))
    limits = list(LIMITS)
    if now.criteria.stages.mql.contested:
        limits.append("Who had a place among the best is taken from what was kept, not compared anew.")
    if past.apart:
        limits.append(f"Left out: {_refs(past.apart)}, not one with this person then.")
    if past.unknown:
        limits.append(f"Left out: {_refs(past.unknown)}, first read since.")
    return Recomputed(now, score_known(now, at), decision, tuple(limits))


def case_of(
    past: Past,
    definition: Definition,
    at: datetime,
    before: StageState | None,
    now: Known,
    *,
    adopt: bool = False,
    ladder: Sequence[str] = DEFAULT_LADDER,
) -> Case:
    """This person at `at`, with what the CRMs said that was news after `before`."""
    return Case(
        before,
        at,
        now,
        then=lambda moment: known_then(past.facts, definition, moment, past.live),
        newer=lambda since: _newer(past, definition, since),
        evidence=(*_news(past.live, definition, before), *_deals(past.facts, before)),
        answers=tuple(record.answer for record in past.live if record.answer and record.answer.at <= at),
        adopt=adopt,
        ladder=ladder,
        override=strongest(past.facts.overrides, at),
    )


def _newer(past: Past, definition: Definition, since: datetime) -> Known:
    newer = tuple(each for each in past.facts.engagement if each.engagement.occurred_at > since)
    return known_now(replace(past.facts, engagement=newer), definition, past.live)


def _still_there(erased: Iterable[KnownEngagement], at: datetime) -> list[KnownEngagement]:
    """What was deleted later, as it stood before."""
    return [
        KnownEngagement(replace(each.engagement, deleted=False), each.engagement.occurred_at)
        for each in erased
        if each.known_at > at
    ]


def _concerns(each: KnownEngagement, refs: set[Ref], emails: set[str]) -> bool:
    event = each.engagement
    return event.about in refs if event.about is not None else event.email in emails


def _deals(facts: Facts, before: StageState | None) -> Iterable[StageEvidence]:
    """What deals say of the stage, and did not at the decision before."""
    seen = _seen(before)
    for deal in facts.opportunities:
        if deal.state is not RecordState.LIVE or (deal.is_closed and not deal.is_won):
            continue
        stage = "customer" if deal.is_won else "opportunity"
        if before is None or stage not in (before.stage, seen.get(str(deal.ref))):
            told = (deal.closed_at if deal.is_won else None) or deal.changed_at
            yield StageEvidence(deal.ref.crm, deal.ref, stage, told, only_raises=True)


def _seen(before: StageState | None) -> dict[str, str]:
    """What records and deals said of the stage at the decision before."""
    seen = {}
    for each in (before.seen or ()) if before else ():
        ref, _, said = each.partition("=")
        seen[ref] = said.partition("|")[0]
    return seen


def _news(
    live: Sequence[PersonRecord], definition: Definition, before: StageState | None
) -> Iterable[StageEvidence]:
    """What records say of the stage, and did not at the decision before. What equals the state moves nothing."""
    seen = _seen(before)
    for record in live:
        mapping = definition.mappings.get(record.ref.crm)
        mapped = mapping is not None and record.ref.object in mapping.objects
        if record.stage is None or not mapped or record.state is not RecordState.LIVE:
            continue
        if before is not None and record.stage in (before.stage, seen.get(str(record.ref))):
            continue
        told = record.stage_at or record.created_at or record.changed_at
        yield StageEvidence(record.ref.crm, record.ref, record.stage, told)


def _refs(refs: Sequence[Ref]) -> str:
    return ", ".join(str(ref) for ref in refs)
