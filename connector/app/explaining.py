"""Gathers what is to be explained of one person from the ledger, and makes one document of it. Reads only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from connector.app.definition import in_zone, load_definition
from connector.app.hold_document import hold_document
from connector.app.overriding import override_document
from connector.app.settings import Settings
from connector.app.wiring import plugins, read_version
from connector.core.account import Around, around_at
from connector.core.audience import other_persona
from connector.core.consent import Consent, mail_consent
from connector.core.criteria import fields_of_criteria
from connector.core.definition import Definition
from connector.core.facts import Facts, KnownEngagement
from connector.core.fields import ACCOUNT_FIELDS
from connector.core.known import judged, known_now, known_then, score_known
from connector.core.model import Engagement, PersonRecord, StageState
from connector.core.override import strongest
from connector.core.privacy_rules import DO_NOT_SCORE
from connector.core.resolve import resolve
from connector.core.reviewing import PairAct
from connector.errors import FixConfig
from connector.insight.explain.changed import Changed, Moment, changed
from connector.insight.explain.deciding import Case
from connector.insight.explain.missing import Missing, missing
from connector.insight.explain.past import Past, Recomputed, past_of, recompute, state_before
from connector.insight.explain.why import NAMES_SOMEBODY, Why, why
from connector.ledger import SqlLedger
from connector.ports import Hold, KeptTask, Notice, PersonView, StageStep, StoryLine

Definitions = Callable[[int | None], Awaitable[Definition | None]]
"""A version of the definition. None where it cannot be read by today's rules: what was decided is told all the same."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that is known of one person, and by which definition they were decided (None: it cannot be read any more)."""

    person: PersonView
    facts: Facts
    live: tuple[PersonRecord, ...]
    ground: tuple[str, ...]
    said: tuple[PairAct, ...]  # joins, splits and what was taken back, in order
    once: Facts  # with the records that a human has parted from these since
    steps: tuple[StageStep, ...]
    erased: tuple[KnownEngagement, ...]
    story: tuple[StoryLine, ...]
    holds: tuple[Hold, ...]
    notices: tuple[Notice, ...]  # what somebody is, or was, told of this person
    tasks: tuple[KeptTask, ...]  # in the CRMs, for whoever the person was handed to
    definition: Definition | None

    def past(self, at: datetime, definition: Definition | None = None) -> Past:
        """What was known of this person at `at`. `definition`: whose fields of the account are read, where that is not
        the one they were decided by last."""
        once, account = self.once, self.once.account
        if definition is not None and account is not None:
            around = around_at(definition, at)
            once = replace(once, account=replace(account, around=around) if around else None)
        return past_of(once, at, self.erased, self.said, self.person.refs)

    @property
    def mail_consent(self) -> Consent | None:
        """What is known of the consent to mail; None where the definition cannot be read."""
        if self.definition is None:
            return None
        return mail_consent(self.person.fields, self.facts.records, self.definition.mappings)

    @property
    def consent(self) -> str:
        """The same in words, empty for None."""
        found = self.mail_consent
        if found is None:
            return ""
        said = {
            Consent.UNKNOWN: " (a field of consent that we may not read, or that is not mapped; no nurture is written)",
            Consent.REFUSED: " (no nurture is written)",
        }
        return found.value + said.get(found, "")


@dataclass(frozen=True, slots=True)
class Explained:
    """The three answers, as far as they could be given and were asked."""

    gathered: Gathered
    why: Why | None
    missing: Missing | None
    at: datetime  # of `missing`
    changed: Changed | None = None
    between: tuple[Moment, Moment] | None = None
    past: Recomputed | None = None
    past_at: datetime | None = None
    known_at: datetime | None = None
    past_version: int | None = None
    kept: StageStep | None = None  # the step that was kept at `past_at`


async def gather(ledger: SqlLedger, person: PersonView, definitions: Definitions, now: datetime) -> Gathered:
    """What is known of this person, without anything being written."""
    hood = await ledger.neighbourhood(person.refs)
    groups = resolve(hood.records, hood.person_of, hood.decided).groups
    own = [group for group in groups if set(group.refs) & set(person.refs)]
    group = max(own, key=lambda group: (group.person == person.id, len(group.refs)), default=None)
    targets = set(group.targets) if group else set()
    definition = await definitions(person.criteria_version)
    around = around_at(definition, now) if definition else None
    # An earlier definition may read others.
    wider = Around(now, ACCOUNT_FIELDS, around.deals if around else frozenset())
    (facts,) = await ledger.facts([person.refs], around)
    said = tuple(await ledger.pair_acts(person.refs))
    parted = {ref for each in said for ref in (each.a, each.b)} - set(person.refs)
    wide = (await ledger.neighbourhood((*person.refs, *sorted(parted)))).records if parted else ()
    everyone = sorted({*person.refs, *(record.ref for record in wide)})
    (once,) = await ledger.facts([everyone], wider)
    emails = sorted({mail for record in once.records for mail in record.emails})

    def judge(engagement: Sequence[Engagement]) -> Sequence[Engagement]:
        return judged(engagement, person.fields, definition) if definition else engagement

    return Gathered(
        person=person,
        facts=facts,
        live=tuple(record for record in facts.records if record.ref in targets),
        ground=group.ground if group else (),
        said=said,
        once=once,
        steps=tuple(await ledger.stage_steps(person.id)),
        erased=tuple(await ledger.erased(everyone, emails)),
        story=tuple(await ledger.story(person.id, judge)),
        holds=tuple(await ledger.holds(person.refs)),
        notices=tuple(await ledger.notices(person.id)),
        tasks=tuple(await ledger.tasks(person.id)),
        definition=definition,
    )


def kept_definitions(ledger: SqlLedger, settings: Settings) -> Definitions:
    """The versions as they were kept; the one in force else as the files are."""

    async def definition_of(version: int | None) -> Definition | None:
        definition = read_version(await ledger.files(version) if version else {}, settings)
        if definition is not None or version != await ledger.version():
            return definition
        try:
            return in_zone(load_definition(settings.mappings_dir, plugins()), settings)
        except FixConfig:
            return None

    return definition_of


def explain_now(gathered: Gathered, now: datetime) -> Explained:
    """Why, as decided; and what is missing now."""
    person, facts, definition = gathered.person, gathered.facts, gathered.definition
    override = strongest(facts.overrides, now)
    if definition is None:
        return Explained(gathered, None, None, now)
    known = known_then(facts, definition, person.decided_at, gathered.live)
    told = [each.engagement for each in facts.engagement if each.known_at <= person.decided_at]
    case = Case(
        person.state,
        now,
        known_now(facts, definition, gathered.live),
        then=lambda moment: known_then(facts, definition, moment, gathered.live),
        newer=lambda since: known_then(facts, definition, now, gathered.live, since=since),
        override=override,
        base=definition.criteria,
    )
    all_told = judged(told, known.fields, definition)
    return Explained(
        gathered,
        why(known, person.score, person.decided_at, all_told) if person.scored else None,
        missing(case, guarded=person.guarded, waits=person.waits),
        now,
    )


async def explain_change(
    ledger: SqlLedger, explained: Explained, since: datetime, until: datetime, definitions: Definitions
) -> Explained:
    """What came between the two moments. FixConfig where a definition of then cannot be read."""
    gathered = explained.gathered
    first, before, _ = await _moment(ledger, gathered, since, definitions)
    last, after, definition = await _moment(ledger, gathered, until, definitions)
    there = {record.ref for record in after.facts.records} - {record.ref for record in before.facts.records}
    told = judged((each.engagement for each in after.facts.engagement), last.known.fields, definition)
    gone = why(last.known, score_known(last.known, until), until, told)
    found = changed(first, last, joined=there, why_gone=gone.not_counted)
    return replace(explained, changed=found, between=(first, last))


async def explain_past(
    ledger: SqlLedger, explained: Explained, at: datetime, known_at: datetime, definitions: Definitions
) -> Explained:
    """The decision at `at` once more, with what was known at `known_at`. FixConfig where that cannot be done."""
    gathered = explained.gathered
    version, definition = await _definition_at(ledger, gathered, at, definitions)
    past = await _past_at(ledger, gathered, definition, at, known_at)
    if not past.facts.records:
        raise FixConfig("Nothing was known of this person then.", next_step="Choose a later moment.")
    before, adopt = state_before(gathered.steps, gathered.person.state, at)
    kept = next((step for step in gathered.steps if step.made_at(at)), None)
    place = known_at != at or (kept is not None and kept.to_stage == "mql")
    found = recompute(past, definition, at, before, adopt=adopt, has_place=place)
    return replace(explained, past=found, past_at=at, known_at=known_at, past_version=version, kept=kept)


async def _past_at(
    ledger: SqlLedger, gathered: Gathered, definition: Definition, at: datetime, known_at: datetime
) -> Past:
    """What was known at `known_at`, with those of their account who were engaged, or MQL, at `at`."""
    past = gathered.past(known_at, definition)
    account = past.facts.account
    if account is None:
        return past
    then = await ledger.account_then(account, gathered.person.id, at, known_at)
    return replace(past, facts=replace(past.facts, account=then))


async def _definition_at(
    ledger: SqlLedger, gathered: Gathered, at: datetime, definitions: Definitions
) -> tuple[int, Definition]:
    version = await ledger.version_at(at)
    if version is None:
        raise FixConfig(
            f"No definition was in force at {at:%Y-%m-%d %H:%M}.", next_step="Choose a later moment."
        )
    own = version == gathered.person.criteria_version
    definition = gathered.definition if own else await definitions(version)
    if definition is None:
        raise FixConfig(
            f"Version {version} of the definition cannot be read by today's rules.",
            next_step="Choose a moment of a later version; `connector explain PERSON` tells what was decided then.",
        )
    return version, definition


async def _moment(
    ledger: SqlLedger, gathered: Gathered, at: datetime, definitions: Definitions
) -> tuple[Moment, Past, Definition]:
    version, definition = await _definition_at(ledger, gathered, at, definitions)
    past = await _past_at(ledger, gathered, definition, at, at)
    return Moment(known_now(past.facts, definition, past.live), at, version), past, definition


# ------------------------------------------------------------ one document


def document(explained: Explained, *, email: bool = False) -> dict[str, Any]:
    """All of it. Of the person's fields only what the rules read; addresses where they are asked for."""
    gathered, person = explained.gathered, explained.gathered.person
    found = {
        **as_decided(person),
        "identity": list(gathered.ground),
        "fields": fields_told(gathered, email=email),
        "persona_by_rule": persona_by_rule(gathered),
        "mail_consent": gathered.mail_consent,
        "override": person.override,
        "why": asdict(explained.why) if explained.why else None,
        "missing": _missing(explained.missing, explained.at),
        "story": [asdict(line) for line in gathered.story],
    }
    if explained.changed and explained.between:
        first, last = explained.between
        found["changed"] = {
            "since": first.at,
            "until": last.at,
            "score_then": explained.changed.then.score,
            "score_now": explained.changed.now.score,
            "versions": [first.version, last.version],
            "changes": [asdict(change) for change in explained.changed.changes],
        }
    if explained.past:
        found["past"] = _past(explained, explained.past)
    return found


def whole_document(explained: Explained, now: datetime, *, email: bool = False) -> dict[str, Any]:
    """The same beside what humans and other systems have to do with it. As `explain --json` prints it."""
    gathered = explained.gathered
    return {
        **document(explained, email=email),
        "holds": [hold_document(hold) for hold in gathered.holds if hold.holds],
        "overrides": [override_document(word, now) for word in gathered.facts.overrides],
        "notices": [asdict(notice) for notice in gathered.notices],
        "tasks": [task_document(task) for task in gathered.tasks],
    }


def task_document(kept: KeptTask) -> dict[str, Any]:
    """One task in a CRM as JSON."""
    return {
        "spell": kept.task.spell,
        "record": str(kept.task.record),
        "owner": kept.task.owner,
        "subject": kept.task.subject,
        "due_at": kept.task.due_at,
        "status": kept.status.value,
        "id": kept.id or None,
        "why": kept.why or None,
        "asked_at": kept.asked_at,
    }


def as_decided(person: PersonView) -> dict[str, Any]:
    """How the last decision left a person, without their fields."""
    state, score = person.state, person.score
    return {
        "person": person.id,
        "records": [str(ref) for ref in person.refs],
        "stage": state.stage,
        "mql_status": state.status.value,
        "mql_since": state.mql_since,
        "first_mql_at": state.first_mql_at,
        "because": state.because,
        "privacy": state.privacy or None,
        "fit": score.fit if person.scored else None,
        "engagement": score.engagement if person.scored else None,
        "score": score.score if person.scored else None,
        "band": score.band if person.scored else None,
        "grade": score.grade if person.scored else None,
        "disqualified": score.disqualified,
        "hand_raised": score.hand_raised,
        "contributions": [asdict(contribution) for contribution in score.contributions],
        "decided_at": person.decided_at,
        "criteria_version": person.criteria_version,
        "audience": person.audience,
        "guarded": person.guarded,
        "waits": person.waits,
    }


def persona_by_rule(gathered: Gathered) -> str | None:
    """The persona that the definition would give, where the person has another one; None: there is no difference."""
    criteria = gathered.definition.criteria if gathered.definition else None
    return other_persona(criteria, gathered.person.fields) if criteria else None


def fields_told(gathered: Gathered, *, email: bool) -> dict[str, Any]:
    """What the rules read of the person; where they cannot be told, nothing."""
    criteria = gathered.definition.criteria if gathered.definition else None
    read = (fields_of_criteria(criteria) if criteria else frozenset()) - NAMES_SOMEBODY
    wanted = read | ({"email"} if email else set())
    return {name: value for name, value in gathered.person.fields.items() if name in wanted}


def _missing(missing: Missing | None, at: datetime) -> dict[str, Any] | None:
    if missing is None:
        return None
    return {
        "as_of": at,
        "blockers": list(missing.blockers),
        "shortfalls": [asdict(each) for each in missing.shortfalls],
        "ways": [
            {
                "steps": [_step(step) for step in way.steps],
                "acts": way.acts,
                "not_before": way.not_before,
                "days": way.days,
            }
            for way in missing.ways
        ],
        "gains": [
            {**_step(gain.step), "score": gain.score, "fit": gain.fit, "engagement": gain.engagement}
            for gain in missing.gains
        ],
        "sentences": list(missing.sentences),
    }


def _step(step: Any) -> dict[str, Any]:
    events = [each.type for each in step.events]
    return {
        "rule": step.rule,
        "name": step.name,
        "says": step.says,
        "events": events,
        "fields": dict(step.fields),
    }


def _past(explained: Explained, past: Recomputed) -> dict[str, Any]:
    state: StageState = past.decision.state
    scored = state.privacy != DO_NOT_SCORE
    return {
        "at": explained.past_at,
        "known_at": explained.known_at,
        "criteria_version": explained.past_version,
        "stage": state.stage,
        "mql_status": state.status.value,
        "because": past.decision.because,
        "privacy": state.privacy or None,
        "fit": past.score.fit if scored else None,
        "engagement": past.score.engagement if scored else None,
        "score": past.score.score if scored else None,
        "band": past.score.band if scored else None,
        "grade": past.score.grade if scored else None,
        "guarded": past.decision.guarded,
        "why": asdict(why(past.known, past.score, _at(explained))),
        "kept": asdict(explained.kept) if explained.kept else None,
        "limits": list(past.limits),
    }


def _at(explained: Explained) -> datetime:
    assert explained.past_at is not None
    return explained.past_at
