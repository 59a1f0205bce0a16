"""Why somebody is an MQL, in lines for people: what `connector explain` prints and the page of a person shows."""

from __future__ import annotations

from collections.abc import Iterator

from connector.app.explaining import Explained, persona_by_rule
from connector.app.output import notice_in_words, when
from connector.app.overriding import override_line
from connector.core.audience import PERSONA
from connector.core.criteria import Criteria, RuleKind
from connector.insight.explain import words
from connector.insight.explain.why import Driver, Why
from connector.ports import PersonView

NOT_SCORED = "No score, no stage of ours and nothing written, by the criteria's `privacy`."
_EVENTS = 3  # told of each rule; --json has all


def lines_now(found: Explained, *, email: bool = False) -> Iterator[str]:
    """As it stands: the decision, why, why not yet, and what happened. Lines of a part are indented."""
    yield from _decision(found, email=email)
    for hold in found.gathered.holds:
        if hold.holds:
            yield f"  left alone: {hold.field} of {hold.ref} ({hold.why})"
    for notice in found.gathered.notices:
        yield f"  {notice_in_words(notice, name=False)}"
    for kept in found.gathered.tasks:
        why = f": {kept.why}" if kept.why else ""
        id = f" {kept.id}" if kept.id else ""
        yield f"  task{id} for {kept.task.owner} on {kept.task.record}: {kept.status.value}{why}"
    yield "History"
    for entry in found.gathered.story:
        yield f"  {when(entry.at)}  {entry.kind:<12} {entry.text}"


def _decision(found: Explained, *, email: bool) -> Iterator[str]:
    person = found.gathered.person
    state, score = person.state, person.score
    address = f" ({person.fields['email']})" if email and person.fields.get("email") else ""
    yield f"Person {person.id}{address}: {', '.join(str(ref) for ref in person.refs)}"
    for ground in found.gathered.ground:
        yield f"  one person: {ground}"
    since = f", MQL since {when(state.mql_since)}" if state.mql_since else ""
    yield f"  stage {state.stage}, MQL status {state.status.value}{since}"
    if person.scored:
        yield (
            f"  score {score.score:.1f} (fit {score.fit:.1f}, engagement {score.engagement:.1f}), "
            f"band {score.band}, grade {score.grade}"
        )
    yield f"  {state.because}"
    audience = f", audience {person.audience}" if person.audience else ""
    yield f"  decided {when(person.decided_at)} UTC by criteria version {person.criteria_version}{audience}"
    if found.gathered.consent:
        yield f"  consent to mail: {found.gathered.consent}"
    if persona := person.fields.get(PERSONA):
        by_rule = persona_by_rule(found.gathered)
        yield f"  persona {persona}" + (f", as assigned; by the definition {by_rule}" if by_rule else "")
    for word in found.gathered.facts.overrides:
        yield f"  {override_line(word, found.at)}"
    if person.guarded:
        yield f"  held back: {person.guarded}"
    yield "Why"
    if not person.scored:
        yield f"  {NOT_SCORED}"
    elif found.why is None:
        for line in reasons(person, None):
            yield f"  {line}"
        yield "  The definition of that decision cannot be read any more; no more can be said."
        return
    else:
        yield from _why(found.why)
    if found.missing and found.missing.sentences:
        yield f"Why not yet (as of {when(found.at)} UTC)"
        for sentence in found.missing.sentences:
            yield f"  {sentence}"


def _why(why: Why) -> Iterator[str]:
    for driver in why.drivers:
        yield f"  {_driver(driver)}"
        for behind in driver.events[:_EVENTS]:
            points = "" if behind.points is None else f" ({words.signed(behind.points)})"
            yield f"            {when(behind.at)}  {behind.what}, seen in {behind.crm}{points}"
        if len(driver.events) > _EVENTS:
            yield f"            and {len(driver.events) - _EVENTS} more"
    steps = why.arithmetic
    for group in steps.groups:
        if group.given > group.cap:
            taken = group.counts - group.given
            yield f"  {taken:+6.1f}  the cap of {group.group}: at most {group.cap:g} count"
    yield (
        f"  fit {steps.fit:g} x {steps.fit_weight:g} + engagement {steps.engagement:.1f} x "
        f"{steps.engagement_weight:g} = {steps.score:.1f}"
    )
    for each in why.not_counted[:_EVENTS]:
        yield f"  not counted: {when(each.at)}  {each.what}, seen in {each.crm}: {each.why}"
    if len(why.not_counted) > _EVENTS:
        yield f"  not counted: {len(why.not_counted) - _EVENTS} more (--json tells all)"


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
