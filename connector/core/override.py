"""What a human has said of a person, company or domain, above the rules: MQL now, never, not before a date. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MQL_NOW, NEVER, HOLD_UNTIL = "mql_now", "never", "hold"
KINDS = (MQL_NOW, NEVER, HOLD_UNTIL)
SCOPES = ("person", "company", "domain")
"""The nearest first: what is said of a person goes before what is said of the company."""


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
        ends = (moment for moment in (self.ended_at, self.expires_at, self.until) if moment is not None)
        return self.made_at <= at and all(at < moment for moment in ends)


def strongest(overrides: Iterable[Override], at: datetime) -> Override | None:
    """The one that counts: of those in force the nearest to the person, then the newest."""
    return min(
        (each for each in overrides if each.in_force(at)),
        key=lambda each: (SCOPES.index(each.scope), -each.made_at.timestamp(), -each.id),
        default=None,
    )
