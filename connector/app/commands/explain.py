"""`connector explain`: why somebody is an MQL, why not yet, and why that changed, from what is in the ledger."""

from __future__ import annotations

from datetime import datetime

from connector.app.asking import ask_ledger, one_person
from connector.app.commands.score import instant
from connector.app.exits import OK
from connector.app.explain_lines import lines_now
from connector.app.explaining import (
    Explained,
    explain_change,
    explain_now,
    explain_past,
    gather,
    kept_definitions,
    whole_document,
)
from connector.app.output import out, print_json, when
from connector.app.settings import load_settings
from connector.app.wiring import SystemClock
from connector.core.privacy_rules import DO_NOT_SCORE
from connector.errors import FixConfig
from connector.insight.explain import words
from connector.ledger import SqlLedger


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
    if json:
        print_json(whole_document(found, now, email=email))
        return OK
    if moment:
        _tell_past(found)
    elif first:
        _tell_change(found)
    else:
        for line in lines_now(found, email=email):
            _say(line)
    return OK


def _moment(text: str | None, option: str) -> datetime | None:
    return instant(text, option) if text else None


def _say(text: str) -> None:
    out.print(text, markup=False)


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
