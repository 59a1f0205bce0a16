"""A human's word above the rules: kept, and ended. Prints nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connector.app.asking import one_person
from connector.app.output import when
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override
from connector.core.override_file import moment_of, record_name, target_of
from connector.errors import FixConfig
from connector.ledger import SqlLedger

WORDS = {MQL_NOW: "MQL now", NEVER: "never", HOLD_UNTIL: "hold"}


async def add(
    ledger: SqlLedger,
    who: str,
    kind: str,
    *,
    reason: str,
    until: datetime | None,
    expires: datetime | None,
    by: str,
    at: datetime,
) -> tuple[Override, int]:
    """Keep one word about whoever `who` names (address, domain, record, `person:ID`), and how many records it concerns
    now; none: it waits for them to appear. What was said of the same before ends. FixConfig without a reason, and for a
    name that can be nobody's."""
    if not reason.strip():
        raise FixConfig("An override needs a reason: others read it.", next_step="Give one (--reason TEXT).")
    scope, target = await _target(ledger, who)
    (added,) = await ledger.add_overrides(
        [Override(0, kind, scope, target, by, reason.strip(), at, until, expires)], at
    )
    return added, await ledger.concerned([added])


async def remove(ledger: SqlLedger, which: str, *, by: str, at: datetime) -> list[Override]:
    """End one word by its number, or what was said of a person, company or domain. FixConfig where none is in force, or
    where a CRM says it."""
    known = [word for word in await ledger.overrides() if word.in_force(at)]
    chosen = [word for word in known if which.strip().isdecimal() and word.id == int(which)]
    if not chosen:
        place = await _target(ledger, which)
        chosen = [word for word in known if (word.scope, word.target) == place]
    if not chosen:
        raise FixConfig("No override is in force there.", next_step="See `connector override list`.")
    told = [word for word in chosen if not word.source]
    if not told:
        raise FixConfig(
            f"This override is said by {chosen[0].source}.",
            next_step="Clear it in that CRM; we only read it.",
        )
    return await ledger.end_overrides([word.id for word in told], by, at)


def override_document(word: Override, at: datetime) -> dict[str, Any]:
    """One word as JSON."""
    return {
        "id": word.id,
        "kind": word.kind,
        "scope": word.scope,
        "target": word.target,
        "until": word.until,
        "expires": word.expires_at,
        "author": word.author,
        "reason": word.reason,
        "made": word.made_at,
        "ended": word.ends_at if not word.in_force(at) else None,
        "source": word.source,
        "in_force": word.in_force(at),
    }


async def _target(ledger: SqlLedger, who: str) -> tuple[str, str]:
    if who.startswith(
        "person:"
    ):  # as `people` and `explain` print them; their address follows them, a number does not
        person = await one_person(ledger, who)
        who = str(person.fields.get("email") or person.refs[0])
    name = record_name(who)
    try:
        return target_of(who, await ledger.named([name]) if name else {})
    except ValueError as error:
        raise FixConfig(
            f"Whom is `{who}` about? {error}.",
            next_step="Write an e-mail address, a domain, or a record as crm:object:id.",
        ) from error


def moment(text: str | None, option: str, at: datetime) -> datetime | None:
    """A date or moment as somebody wrote it. FixConfig where it is none; `option`: what they wrote it for."""
    try:
        return None if text is None else moment_of(text, at)
    except ValueError as error:
        raise FixConfig(f"{option}: {error}.", next_step="Write it as 2026-12-31.") from error


def override_line(word: Override, at: datetime) -> str:
    """One word for people."""
    until = f" until {when(word.until)}" if word.until else ""
    over = "" if word.in_force(at) else f" (over since {when(word.ends_at)})"
    expires = f", expires {when(word.expires_at)}" if word.expires_at and not over else ""
    return (
        f"override {word.id}: {WORDS[word.kind]}{until} for {word.scope} {word.target}, "
        f"by {word.author} on {when(word.made_at)}{expires}: {word.reason}{over}"
    )
