"""`connector explain`: why somebody is an MQL or not yet, from the facts and decisions in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from connector.app.asking import ask_ledger, one_person
from connector.app.commands.holds import hold_document
from connector.app.commands.override import override_document, override_line
from connector.app.definition import CRITERIA
from connector.app.exits import OK
from connector.app.files import load_criteria
from connector.app.output import out, print_json, when
from connector.app.settings import load_settings
from connector.app.wiring import SystemClock
from connector.core.criteria import Criteria, RuleKind
from connector.core.override import Override
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ports import Hold, PersonView, StoryLine


def explain(who: str, *, json: bool) -> int:
    """Print one person's qualification. FixConfig (exit 2) when nobody or several match."""

    async def question(
        ledger: SqlLedger,
    ) -> tuple[PersonView, list[StoryLine], list[Hold], tuple[Override, ...]]:
        person = await one_person(ledger, who)
        story, holds = await ledger.story(person.id), await ledger.holds(person.refs)
        return person, story, holds, await ledger.overrides_of(person.refs)

    person, story, holds, overrides = ask_ledger(question)
    at = SystemClock().now()
    if json:
        print_json(document(person, story, holds, [override_document(word, at) for word in overrides]))
        return OK
    state, score = person.state, person.score
    out.print(f"Person {person.id}: {', '.join(str(ref) for ref in person.refs)}")
    out.print(
        f"  stage {state.stage}, MQL status {state.status.value}"
        + (f", MQL since {when(state.mql_since)}" if state.mql_since else "")
    )
    out.print(
        f"  score {score.score:.1f} (fit {score.fit:.1f}, engagement {score.engagement:.1f}), "
        f"band {score.band}, grade {score.grade}"
    )
    out.print(f"  {state.because}", markup=False)
    for word in overrides:
        out.print(f"  {override_line(word, at)}", markup=False)
    for line in reasons(person, _criteria()):
        out.print(f"    {line}")
    out.print(f"  decided {when(person.decided_at)} UTC by criteria version {person.criteria_version}")
    for hold in holds:
        if hold.holds:
            out.print(f"  left alone: {hold.field} of {hold.ref} ({hold.why})", markup=False)
    for entry in story:
        out.print(f"  {when(entry.at)}  {entry.kind:<12} {entry.text}")
    return OK


def reasons(person: PersonView, criteria: Criteria | None) -> list[str]:
    """The rules that gave or took points, the strongest first, by the names the criteria give them."""

    def name(rule: str, kind: RuleKind = "points") -> str:
        return criteria.name_of(rule, kind) if criteria else rule

    lines = [
        f"{contribution.points:+6.1f}  {name(contribution.rule)}"
        for contribution in sorted(person.score.contributions, key=lambda c: -abs(c.points))
    ]
    if person.score.hand_raised:
        lines.insert(0, f"raised a hand: {name(person.score.hand_raised, 'hand_raise')}")
    if person.score.disqualified:
        lines.insert(0, f"disqualified: {name(person.score.disqualified, 'disqualify')}")
    return lines


def _criteria() -> Criteria | None:
    """For the rules' names only: a file that does not load now must not hide what was decided then."""
    try:
        return load_criteria(load_settings().mappings_dir / CRITERIA)
    except FixConfig:
        return None


def document(
    person: PersonView,
    story: list[StoryLine],
    holds: Sequence[Hold] = (),
    overrides: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The same as JSON. `override` is the number of the one that counted at the last decision."""
    return {
        "person": person.id,
        "records": [str(ref) for ref in person.refs],
        "stage": person.state.stage,
        "mql_status": person.state.status.value,
        "mql_since": person.state.mql_since,
        "first_mql_at": person.state.first_mql_at,
        "because": person.state.because,
        "fit": person.score.fit,
        "engagement": person.score.engagement,
        "score": person.score.score,
        "band": person.score.band,
        "grade": person.score.grade,
        "disqualified": person.score.disqualified,
        "hand_raised": person.score.hand_raised,
        "contributions": [asdict(contribution) for contribution in person.score.contributions],
        "fields": dict(person.fields),
        "decided_at": person.decided_at,
        "criteria_version": person.criteria_version,
        "override": person.override,
        "overrides": list(overrides),
        "holds": [hold_document(hold) for hold in holds if hold.holds],
        "story": [asdict(line) for line in story],
    }
