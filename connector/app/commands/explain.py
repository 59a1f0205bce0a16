"""`connector explain`: why somebody is an MQL, why not yet, and why that changed, from what is in the ledger."""

from __future__ import annotations

from datetime import datetime

from connector.app.asking import ask_ledger, one_person
from connector.app.commands.override import override_line
from connector.app.commands.score import instant
from connector.app.exits import OK
from connector.app.explaining import (
    Explained,
    explain_change,
    explain_now,
    explain_past,
    gather,
    kept_definitions,
    persona_by_rule,
    whole_document,
)
from connector.app.output import notice_in_words, out, print_json, when
from connector.app.settings import load_settings
from connector.app.wiring import SystemClock
from connector.core.audience import PERSONA
from connector.core.criteria import Criteria, RuleKind
from connector.core.privacy_rules import DO_NOT_SCORE
from connector.errors import FixConfig
from connector.insight.explain import words
from connector.insight.explain.why import Driver, Why
from connector.ledger import SqlLedger
from connector.ports import PersonView

NOT_SCORED = "No score, no stage of ours and nothing written, by the criteria's `privacy`."
_EVENTS = 3  # told of each rule; --json has all


def explain(
    who: str,
    *,
    since: str | None,
    until: str | None,
    at: str | None,
    known_at: str | None,
    email: bool,
    json: bool,
) -> int:
    """Print one person's qualification. FixConfig (exit 2) when nobody or several match, and where a moment cannot be
    gone back to."""
    settings, now = load_settings(), SystemClock().now()
    if until and not since:
        raise FixConfig("--until says where a change ends.", next_step="Say where it begins: --since DATE.")
    if known_at and not at:
        raise FixConfig("--known-at goes with --at.", next_step="Say which decision: --at DATE.")
    first, last = _moment(since, "--since"), _moment(until, "--until")
    moment, known = _moment(at, "--at"), _moment(known_at, "--known-at")

    async def question(ledger: SqlLedger) -> Explained:
        definitions = kept_definitions(ledger, settings)
        person = await one_person(ledger, who)
        found = explain_now(await gather(ledger, person, definitions, now), now)
        if first:
            found = await explain_change(ledger, found, first, last or now, definitions)
        if moment:
            found = await explain_past(ledger, found, moment, known or moment, definitions)
        return found

    found = ask_ledger(question)
    holds = [hold for hold in found.gathered.holds if hold.holds]
    if json:
        print_json(whole_document(found, now, email=email))
        return OK
    if moment:
        _tell_past(found)
    elif first:
        _tell_change(found)
    else:
        _tell_now(found, email=email)
        for hold in holds:
            _say(f"  left alone: {hold.field} of {hold.ref} ({hold.why})")
        for notice in found.gathered.notices:
            _say(f"  {notice_in_words(notice, name=False)}")
        _say("History")
        for entry in found.gathered.story:
            _say(f"  {when(entry.at)}  {entry.kind:<12} {entry.text}")
    return OK


def _moment(text: str | None, option: str) -> datetime | None:
    return instant(text, option) if text else None


def _say(text: str) -> None:
    out.print(text, markup=False)


# ------------------------------------------------------------ as it stands


def _tell_now(found: Explained, *, email: bool) -> None:
    person = found.gathered.person
    state, score = person.state, person.score
    address = f" ({person.fields['email']})" if email and person.fields.get("email") else ""
    _say(f"Person {person.id}{address}: {', '.join(str(ref) for ref in person.refs)}")
    for ground in found.gathered.ground:
        _say(f"  one person: {ground}")
    since = f", MQL since {when(state.mql_since)}" if state.mql_since else ""
    _say(f"  stage {state.stage}, MQL status {state.status.value}{since}")
    if person.scored:
        _say(
            f"  score {score.score:.1f} (fit {score.fit:.1f}, engagement {score.engagement:.1f}), "
            f"band {score.band}, grade {score.grade}"
        )
    _say(f"  {state.because}")
    audience = f", audience {person.audience}" if person.audience else ""
    _say(f"  decided {when(person.decided_at)} UTC by criteria version {person.criteria_version}{audience}")
    if found.gathered.consent:
        _say(f"  consent to mail: {found.gathered.consent}")
    if persona := person.fields.get(PERSONA):
        by_rule = persona_by_rule(found.gathered)
        _say(f"  persona {persona}" + (f", as assigned; by the definition {by_rule}" if by_rule else ""))
    for word in found.gathered.facts.overrides:
        _say(f"  {override_line(word, found.at)}")
    if person.guarded:
        _say(f"  held back: {person.guarded}")
    _say("Why")
    if found.why is None:
        for line in reasons(person, None):
            _say(f"  {line}")
        _say("  The definition of that decision cannot be read any more; no more can be said.")
        return
    if person.scored:
        _tell_why(found.why)
    else:
        _say(f"  {NOT_SCORED}")
    if found.missing and found.missing.sentences:
        _say(f"Why not yet (as of {when(found.at)} UTC)")
        for sentence in found.missing.sentences:
            _say(f"  {sentence}")


def _tell_why(why: Why) -> None:
    for driver in why.drivers:
        _say(f"  {_driver(driver)}")
        for behind in driver.events[:_EVENTS]:
            points = "" if behind.points is None else f" ({words.signed(behind.points)})"
            _say(f"            {when(behind.at)}  {behind.what}, seen in {behind.crm}{points}")
        if len(driver.events) > _EVENTS:
            _say(f"            and {len(driver.events) - _EVENTS} more")
    steps = why.arithmetic
    for group in steps.groups:
        if group.given > group.cap:
            taken = group.counts - group.given
            _say(f"  {taken:+6.1f}  the cap of {group.group}: at most {group.cap:g} count")
    _say(
        f"  fit {steps.fit:g} x {steps.fit_weight:g} + engagement {steps.engagement:.1f} x "
        f"{steps.engagement_weight:g} = {steps.score:.1f}"
    )
    for each in why.not_counted[:_EVENTS]:
        _say(f"  not counted: {when(each.at)}  {each.what}, seen in {each.crm}: {each.why}")
    if len(why.not_counted) > _EVENTS:
        _say(f"  not counted: {len(why.not_counted) - _EVENTS} more (--json tells all)")


def _driver(driver: Driver) -> str:
    if driver.kind == "disqualify":
        return f"disqualified: {driver.name} ({driver.says})"
    if driver.kind == "hand_raise":
        return f"raised a hand: {driver.name}" + (f" ({driver.says})" if driver.says else "")
    group = f" [{driver.group}]" if driver.group else ""
    says = f": {driver.says}" if driver.says else ""
    return f"{driver.points:+6.1f}  {driver.name}{group}{says}"


def reasons(person: PersonView, criteria: Criteria | None) -> list[str]:
    """The rules that gave or took points, the strongest first, by the names the criteria give them."""

    def name(rule: str, kind: RuleKind = "points") -> str:
        return criteria.of(person.audience).name_of(rule, kind) if criteria else rule

    lines = [
        f"{contribution.points:+6.1f}  {name(contribution.rule)}"
        for contribution in sorted(person.score.contributions, key=lambda c: -abs(c.points))
    ]
    if person.score.hand_raised:
        lines.insert(0, f"raised a hand: {name(person.score.hand_raised, 'hand_raise')}")
    if person.score.disqualified:
        lines.insert(0, f"disqualified: {name(person.score.disqualified, 'disqualify')}")
    return lines


# ------------------------------------------------------------ then


def _tell_change(found: Explained) -> None:
    assert found.changed is not None
    assert found.between is not None
    then, now = found.changed.then, found.changed.now
    first, last = found.between
    _say(f"Person {found.gathered.person.id}, from {when(first.at)} to {when(last.at)} UTC")
    _say(f"  score {then.score:.1f} -> {now.score:.1f} ({words.signed(now.score - then.score)})")
    for change in sorted(found.changed.changes, key=lambda change: -abs(change.points)):
        _say(f"  {change.points:+6.1f}  {change.name}: {change.says}")
    if not found.changed.changes:
        _say("  nothing changed")


def _tell_past(found: Explained) -> None:
    past = found.past
    assert past is not None
    state, score = past.decision.state, past.score
    _say(
        f"Person {found.gathered.person.id} as of {when(found.past_at)} UTC, with what was known at "
        f"{when(found.known_at)}, by criteria version {found.past_version}"
    )
    _say(f"  stage {state.stage}, MQL status {state.status.value}")
    if state.privacy != DO_NOT_SCORE:
        _say(
            f"  score {score.score:.1f} (fit {score.fit:.1f}, engagement {score.engagement:.1f}), band {score.band}"
        )
    _say(f"  {past.decision.because}")
    if found.kept is not None:
        _say(f"  kept then: {found.kept.to_stage}: {found.kept.because}")
    for limit in past.limits:
        _say(f"  not as of then: {limit}")
