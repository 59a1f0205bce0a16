"""What the arithmetic is given of one person at a moment: settled fields, the engagement that counts, the criteria that
hold for them. Pure: gathers nothing and scores nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.core.account import with_account
from connector.core.audience import settled
from connector.core.criteria import Criteria
from connector.core.definition import Definition
from connector.core.facts import Facts, KnownEngagement
from connector.core.model import Engagement, PersonRecord, Score, Value
from connector.core.normalize import (
    count_once,
    merged_precedence,
    person_fields,
    scanner_rules,
    set_aside_scanners,
    set_aside_suspects,
)
from connector.core.privacy import held_to, is_unscored, rule_for, set_aside_behaviour
from connector.core.score import score_people, score_person
from connector.core.stage_rules import Measured
from connector.core.then import facts_then


@dataclass(frozen=True, slots=True)
class Known:
    """One person at a moment. `engagement` is what counts; `judged` tells of the rest, with the reason.

    `criteria` are those of the person's audience, or the file's where `audience` is empty; of them what `privacy`
    leaves.
    """

    fields: Mapping[str, Value]
    engagement: Sequence[Engagement]
    criteria: Criteria
    audience: str = ""


def known_now(facts: Facts, definition: Definition, live: Sequence[PersonRecord] = ()) -> Known:
    """By all that is known. `live`: the records that speak for the person; none: all of them do."""
    return _known(live or facts.records, facts, facts.engagement, definition)


def known_then(
    facts: Facts,
    definition: Definition,
    at: datetime,
    live: Sequence[PersonRecord] = (),
    *,
    since: datetime | None = None,
) -> Known:
    """By what was known at `at`, an earlier moment: records and what is around them as they stood, engagement that had
    come in by then.

    `since` leaves out engagement that is not newer than it.
    """
    then = facts_then(facts, at)
    speak = {record.ref for record in live or facts.records}
    records = [record for record in then.records if record.ref in speak]
    engagement = [item for item in then.engagement if since is None or item.engagement.occurred_at > since]
    return _known(records, then, engagement, definition)


def known_as(fields: Mapping[str, Value], engagement: Sequence[Engagement], criteria: Criteria) -> Known:
    """Somebody with these fields and this engagement, with their persona, judged by the criteria of their audience."""
    told, audience = settled(criteria, fields)
    own = held_to(audience.criteria if audience else criteria, rule_for(criteria, fields))
    if is_unscored(own):
        told = dict(fields)  # a persona by rule would be made of them all the same
    return Known(told, () if own.under else engagement, own, audience.id if audience else "")


def told_as(fields: Mapping[str, Value], told: Sequence[Engagement], criteria: Criteria) -> Known:
    """Like `known_as`, of events as somebody wrote them down: what a rule of `suspect` names counts none."""
    person = known_as(fields, (), criteria)
    told = set_aside_behaviour(set_aside_suspects(told, person.criteria.suspect), person.criteria)
    return replace(person, engagement=tuple(each for each in told if each.counted))


def judged(
    engagement: Iterable[Engagement], fields: Mapping[str, Value], definition: Definition
) -> tuple[Engagement, ...]:
    """All engagement of somebody with these fields, in order, by the definition of now: what a machine did, what a rule
    of `suspect` names or one of `privacy` excludes, is not counted, and `why_not` says which. Whether two CRMs tell the
    same is not asked."""
    return _judged(engagement, known_as(fields, (), definition.criteria).criteria, definition)


def _judged(
    engagement: Iterable[Engagement], criteria: Criteria, definition: Definition
) -> tuple[Engagement, ...]:
    scanned = set_aside_scanners(list(engagement), scanner_rules(definition.mappings.values()))
    return set_aside_behaviour(set_aside_suspects(scanned, criteria.suspect), criteria)


def score_known(known: Known, at: datetime) -> Score:
    """The score of one person at this moment."""
    return score_person(known.criteria, known.fields, known.engagement, at)


def measure(known: Known, at: datetime) -> Measured:
    """What the rules of the stages look at of one person at this moment."""
    return Measured(score_known(known, at), known.fields, known.engagement)


def score_all(people: Sequence[Known], at: datetime) -> list[Score]:
    """The scores of many at this moment, in order: everybody who shares criteria in one go."""
    shares: dict[int, list[int]] = {}
    for place, each in enumerate(people):
        shares.setdefault(id(each.criteria), []).append(place)
    found: dict[int, Score] = {}
    for places in shares.values():
        criteria = people[places[0]].criteria
        scores = score_people(criteria, [(people[i].fields, people[i].engagement) for i in places], at)
        found.update(zip(places, scores, strict=True))
    return [found[place] for place in range(len(people))]


def _known(
    records: Sequence[PersonRecord],
    facts: Facts,
    engagement: Iterable[KnownEngagement],
    definition: Definition,
) -> Known:
    mappings = definition.mappings.values()
    settled_, _ = person_fields(records, facts.companies, merged_precedence(mappings))
    fields = with_account(settled_, facts.account, facts.opportunities)
    person = known_as(fields, (), definition.criteria)
    told = _judged((known.engagement for known in engagement), person.criteria, definition)
    return replace(person, engagement=count_once(told))
