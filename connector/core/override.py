"""What a human has said of a person, company or domain, above the rules: MQL now, never, not before a date. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from connector.core import stage_moves
from connector.core.model import MqlStatus, StageState
from connector.core.stage_moves import moved

MQL_NOW, NEVER, HOLD_UNTIL = "mql_now", "never", "hold"
KINDS = (MQL_NOW, NEVER, HOLD_UNTIL)
SCOPES = ("person", "company", "domain")
"""The nearest first: what is said of a person goes before what is said of the company."""
_ADDRESS = re.compile(r"\S+@\S+")


@dataclass(frozen=True, slots=True)
class Override:
    """One word of a human. All moments are UTC.

    `target`: an e-mail address or `crm:object:id` for a person, `crm:object:id` for a company, a domain. `until`
    belongs to a hold. `source` is empty where somebody told us, else the record and field of a CRM that says so.
    """

    id: int
    kind: str
    scope: str
    target: str
    author: str
    reason: str
    made_at: datetime
    until: datetime | None = None
    expires_at: datetime | None = None
    source: str = ""
    ended_at: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether it holds at this moment."""
        return self.made_at <= at and (self.ends_at is None or at < self.ends_at)

    @property
    def ends_at(self) -> datetime | None:
        """When it is over, as far as is known."""
        ends = (self.ended_at, self.expires_at, self.until)
        return min((moment for moment in ends if moment is not None), default=None)


def strongest(overrides: Iterable[Override], at: datetime) -> Override | None:
    """The one that counts: of those in force the nearest to the person, then the newest."""
    return min(
        (each for each in overrides if each.in_force(at)),
        key=lambda each: (SCOPES.index(each.scope), -each.made_at.timestamp(), -each.id),
        default=None,
    )


def in_words(override: Override) -> str:
    """ "by override of NAME: REASON", for a reason that anybody may read: no e-mail address, whoever wrote it."""
    author = override.author.partition("@")[0] if "@" in override.author else override.author
    told = f"by override of {author}: {override.reason}" if override.reason else f"by override of {author}"
    return " ".join(_ADDRESS.sub("(address)", told).split())


# what a word makes of a stage


def answered(override: Override, state: StageState) -> bool:
    """Whether sales gave the person back, or somebody lowered the stage in a CRM, since this was said: the later word
    of a human wins over an earlier *MQL now*."""
    return state.rejected_at is not None and state.rejected_at >= override.made_at


def made_mql(state: StageState, override: Override, at: datetime) -> StageState:
    """An MQL by this word; who is one already stays what they are, and is held by it as long as it is in force."""
    if state.stage == "mql":
        mine = override.id if state.by_override is not None else None
        return replace(state, status=MqlStatus.QUALIFIED, disqualified_by=None, by_override=mine)
    return replace(stage_moves.made_mql(state, at), by_override=override.id)


def made_never(state: StageState, override: Override, at: datetime) -> StageState:
    """No MQL: an MQL, and an SQL by a rule, go back to `lead`. A stage past MQL that sales set is theirs and stays, as
    with a disqualifying rule."""
    if state.stage == "mql" or (state.stage == "sql" and state.raised_from):
        state = moved(state, "lead", MqlStatus.NONE, at)
    return replace(
        state,
        status=MqlStatus.DISQUALIFIED,
        guarded="",
        waits=False,
        disqualified_by=None,
        by_override=override.id,
    )


def without(state: StageState, at: datetime) -> StageState:
    """As if the word that made this had not been said, for the rules to judge."""
    if state.stage == "mql":
        state = moved(state, "lead", MqlStatus.NONE, at)
    if state.stage == "sql" and state.raised_from == "mql":
        state = replace(state, raised_from="lead")  # the rule that takes it back leads to no MQL by this word
    if state.disqualified_by is None:
        state = not_disqualified(state)
    return replace(state, by_override=None)


def not_disqualified(state: StageState) -> StageState:
    """The same, where nothing disqualifies (any more)."""
    if state.status is not MqlStatus.DISQUALIFIED:
        return state
    return replace(state, status=MqlStatus.NONE, disqualified_by=None)
