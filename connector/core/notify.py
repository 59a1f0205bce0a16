"""Who is told of what, how often, and in which words. Pure: sends nothing and knows no address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

MQL, GUARDED, REMINDER, ESCALATION = "mql", "guarded", "reminder", "escalation"
REVIEW, HEALTH, SUMMARY, DIGEST, FOLDED = "review", "health", "summary", "digest", "folded"
PRIVACY = "privacy"

PERSONAL = frozenset({MQL, GUARDED, REMINDER, ESCALATION})
"""Kinds that are told person by person: these are capped a day, and a first load tells none of them."""

KINDS = (MQL, GUARDED, REMINDER, ESCALATION, REVIEW, HEALTH, SUMMARY, PRIVACY, DIGEST)
OWNER, MANAGER = "owner", "manager"
ADDRESSED = frozenset({OWNER, MANAGER})
"""Words of a route for whom the notice itself is addressed to; any other word is a tag of the targets."""

REVOPS = "revops"
"""The tag that is told where nobody else can be."""

OWNERS = "owners"
"""The tag of the target by which owners and managers are reached under their own address."""

ROUTES: Mapping[str, tuple[str, ...]] = {
    MQL: (OWNER, "sales"),
    GUARDED: (OWNER,),
    REMINDER: (OWNER,),
    ESCALATION: (MANAGER,),
    REVIEW: (REVOPS,),
    HEALTH: ("ops",),
    SUMMARY: (REVOPS,),
    PRIVACY: (REVOPS,),
    DIGEST: (REVOPS,),
}
"""What holds where the criteria do not say otherwise."""

TITLES: Mapping[str, str] = {
    MQL: "New MQL",
    GUARDED: "Kept from sales",
    REMINDER: "MQL waits for you",
    ESCALATION: "MQL is waiting",
    REVIEW: "Review of the definition",
    HEALTH: "Connector",
    SUMMARY: "MQLs in bulk",
    PRIVACY: "Deleted in one CRM, alive in another",
    DIGEST: "MQLs of the week",
    FOLDED: "More of yesterday",
}

WEEK = timedelta(days=7)
RETRY = tuple(timedelta(minutes=each) for each in (1, 5, 15, 60))
GIVE_UP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Notify:
    """What the criteria say under `notify`. `email`: e-mail addresses of people stand in notices, too. The digest is
    told once a week, from `digest_at` (since midnight) of `digest_day` (Monday is 0) on, in `zone`."""

    routes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ROUTES)
    daily_cap: int = 50
    email: bool = False
    digest_day: int = 0
    digest_at: timedelta = timedelta(hours=8)
    zone: tzinfo = field(default=UTC, compare=False)  # of the settings, not of the file

    def of(self, kind: str) -> tuple[str, ...]:
        """The words of the route of this kind."""
        return self.routes.get(kind, (REVOPS,))

    def day_of(self, at: datetime) -> date:
        """The day of this moment by which the cap counts."""
        return at.astimezone(self.zone).date()

    def day_begins(self, at: datetime) -> datetime:
        """When that day began, in UTC."""
        return datetime.combine(self.day_of(at), time(), self.zone).astimezone(UTC)

    def digest_due(self, at: datetime) -> datetime:
        """The latest moment, not after `at`, at which a digest was to be told, in UTC. It tells of the week before."""
        local = at.astimezone(self.zone)
        day = local.date() - timedelta(days=(local.weekday() - self.digest_day) % 7)
        due = self._digest_on(day)
        return due if due <= at else self._digest_on(day - WEEK)

    def _digest_on(self, day: date) -> datetime:
        wall = datetime.combine(day, time()) + self.digest_at
        return wall.replace(tzinfo=self.zone).astimezone(UTC)


def retry_after(tries: int) -> timedelta:
    """How long a target that failed so many times is left alone."""
    return RETRY[min(tries, len(RETRY)) - 1]


def folded_text(kinds: Mapping[str, int], day: date) -> str:
    """The one line for what was beyond the cap of a day."""
    words = {
        MQL: "new MQLs",
        GUARDED: "people kept from sales",
        REMINDER: "reminders",
        ESCALATION: "reminders",
    }
    counts: dict[str, int] = {}
    for kind, count in kinds.items():
        counts[words.get(kind, kind)] = counts.get(words.get(kind, kind), 0) + count
    parts = [f"{count:,} {what}" for what, count in sorted(counts.items())]
    return (
        f"Beyond the daily cap of {day.isoformat()}: {' and '.join(parts)} were not told one by one. "
        "`connector people --stage mql` and `connector report sla` list them."
    )
