"""The criteria as frozen values: rules, weights, stages, examples, and how a number is held to a bound. Reads
no document (`connector.core.criteria_file` does) and computes no score.

The keys and their meaning are in docs/reference/criteria.md. All comparisons of fit, engagement and score go
through `compare`, so that a sum of doubles that misses a bound by less than 1e-9 still reaches it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple

from connector.core.conditions import Condition, fields_of
from connector.core.handoff import Handoff
from connector.core.model import Engagement, MqlStatus, Value
from connector.core.notify import Notify
from connector.core.privacy_rules import PrivacyRule
from connector.core.retention import Retention
from connector.core.suspect_rules import SuspectRule
from connector.core.tracking_types import TrackingRule
from connector.errors import Problem

TOLERANCE = 1e-9

RuleKind = Literal["points", "disqualify", "hand_raise", "suspect", "guard"]


# ------------------------------------------------------------ rules


@dataclass(frozen=True, slots=True)
class FitRule:
    """Adds `points` once while the condition on the person holds."""

    id: str
    name: str
    when: Condition
    points: float


@dataclass(frozen=True, slots=True)
class Decay:
    """How a point fades with age: by `half_life`, or by ascending `steps` of (age below, factor)."""

    half_life: timedelta | None = None
    steps: tuple[tuple[timedelta, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """Which engagement counts, and how much of it there must be.

    An event matches when its type is in `events`, `where` holds, and `as_of - within < occurred_at <= as_of`.
    `at_least` is a number of events, or with `sum` (a field of the event) the total to be reached.
    """

    id: str
    name: str
    events: tuple[str, ...]
    where: Condition | None = None
    within: timedelta | None = None
    at_least: float = 1
    sum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementRule(EventRule):
    """Gives `points` times the decay's weight for each of the `newest` matching events (None: all).

    `decay` is the one in force: the rule's own, else the default of the file; None means no fading.
    """

    points: float
    newest: int | None = None
    decay: Decay | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandRaise(EventRule):
    """An engagement that qualifies at once, whatever the points, where fit reaches `min_fit`."""

    min_fit: float | None = None


@dataclass(frozen=True, slots=True)
class Disqualifier:
    """Who must never be MQL, and why in words that sales understands."""

    id: str
    name: str
    when: Condition
    reason: str


@dataclass(frozen=True, slots=True)
class Guard:
    """Who becomes no MQL by points as long as it holds, and why. With `since` and `within` it holds while the date in
    that field is not older. It keeps from entering; who is MQL stays, and who raised a hand passes."""

    id: str
    name: str
    when: Condition | None
    reason: str
    since: str | None = None
    within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """The shares of fit and engagement in the score."""

    fit: float = 0.5
    engagement: float = 0.5


# ------------------------------------------------------------ stages


class StageTest(NamedTuple):
    """One comparison of `score`, `fit`, `engagement` or `band`; `value` is a pair for `between`."""

    measure: str
    op: str
    value: float | tuple[float, float]


@dataclass(frozen=True, slots=True)
class StageEntry:
    """All of it must hold. With `dwell` (the file's `for`) it must have held for that long, too."""

    tests: tuple[StageTest, ...] = ()
    hand_raised: bool | None = None
    disqualified: bool | None = None
    when: Condition | None = None  # on the person's fields
    dwell: timedelta | None = None


@dataclass(frozen=True, slots=True)
class StageAll:
    """Holds when each part holds."""

    parts: tuple[StageRule, ...]


@dataclass(frozen=True, slots=True)
class StageAny:
    """Holds when at least one part holds. `StageAny(())` never does."""

    parts: tuple[StageRule, ...]


StageRule = StageEntry | StageAll | StageAny


@dataclass(frozen=True, slots=True)
class RuledStage:
    """When a rule raises a person to a stage, and when it takes that back (no `leave` in the file: never)."""

    enter: StageRule
    leave: StageRule = StageAny(())


@dataclass(frozen=True, slots=True)
class Evidence:
    """The least counted engagement of whom the rules make MQL: so many, of so many types, on so many UTC days."""

    events: int = 0
    types: int = 0
    days: int = 0


@dataclass(frozen=True, slots=True)
class Best:
    """Only the best of those who qualify by points become MQL: so many in any seven days, or the top per cent of
    everybody who is not disqualified.

    `enough`: what must hold at least (the file's `from`); None: the enter rule. Where it is less, the bar is loosened.
    """

    per_week: int | None = None
    top: float | None = None
    enough: StageRule | None = None


@dataclass(frozen=True, slots=True)
class MqlStage(RuledStage):
    """When a person becomes MQL, and when an MQL stops being one. Who raised a hand is asked for no `evidence` and no
    place: `capacity` is of how many new MQLs in any seven days sales can take care."""

    evidence: Evidence | None = None
    best: Best | None = None
    capacity: int | None = None

    @property
    def contested(self) -> bool:
        """Whether somebody who qualifies by points has to wait for a place."""
        return self.best is not None or self.capacity is not None


@dataclass(frozen=True, slots=True)
class Recycle:
    """What happens after sales said no: how long the person is left alone."""

    cool_off: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Stages:
    """The rules of the stages that we decide. `lead` and `sql` are None unless the file has a rule for them: `lead`
    raises whom a CRM calls a subscriber, `sql` somebody below it, MQL before or not.

    `next`: the nurture that follows, by stage, `recycle` or `disqualified`.
    """

    mql: MqlStage
    recycle: Recycle = Recycle()
    sql: RuledStage | None = None
    lead: RuledStage | None = None
    next: Mapping[str, str] = field(default_factory=dict)

    def next_of(self, stage: str, status: MqlStatus) -> str | None:
        """The nurture of somebody who stands here. Whom sales gave back is in the nurture of `recycle`, where it has
        one; who is disqualified in that of `disqualified` or in none."""
        if status is MqlStatus.DISQUALIFIED:
            return self.next.get("disqualified")
        resting = status in (MqlStatus.REJECTED, MqlStatus.RECYCLED)
        return (self.next.get("recycle") if resting else None) or self.next.get(stage)


DEFAULT_STAGES = Stages(
    MqlStage(
        enter=StageAny(
            (
                StageEntry((StageTest("score", "gte", 60.0), StageTest("fit", "gte", 25.0))),
                StageEntry(hand_raised=True),
            )
        ),
        leave=StageAny(
            (
                StageEntry((StageTest("score", "lt", 40.0),), dwell=timedelta(days=14)),
                StageEntry(disqualified=True),
            )
        ),
    )
)


# ------------------------------------------------------------ examples and the whole


@dataclass(frozen=True, slots=True)
class Expectation:
    """One key of `expect`. `tests` for numbers, `wanted` for the rest.

    `disqualified` and `hand_raised` want a rule's id, True (any rule), or False or None (no rule).
    """

    key: str
    wanted: str | bool | None = None
    tests: tuple[tuple[str, float | tuple[float, float]], ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A made-up person at a moment (UTC), and what the definition must make of them."""

    name: str
    as_of: datetime
    person: Mapping[str, Value]
    engagement: tuple[Engagement, ...]
    expect: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Persona:
    """What a person is like: the first that holds is the field `persona` of whom no CRM assigned one."""

    id: str
    name: str
    when: Condition


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """People who are judged by criteria of their own: the file's, with the audience's keys in place of its keys."""

    id: str
    name: str
    when: Condition
    criteria: Criteria


@dataclass(frozen=True, slots=True, eq=False)
class Criteria:
    """One definition of a qualified lead, compared by identity. `warnings` are doubts that do not stop it.

    Those of an audience hold no audience and no persona; its `examples` are of people who fall into it.
    """

    version: int = 1
    name: str = ""
    preset: str = ""
    agreed_by: Mapping[str, str] = field(default_factory=dict)
    approve_both: bool = False  # whoever `agreed_by` names has to approve before another one is put in force
    review_by: date | None = None
    currency: str | None = None
    weights: Weights = Weights()
    bands: tuple[float, ...] = (20.0, 40.0, 60.0, 80.0)
    grades: tuple[float, ...] = (75.0, 50.0, 25.0)
    min_change: float = 3.0
    decay: Decay | None = None
    groups: Mapping[str, float] = field(default_factory=dict)
    fit: tuple[FitRule, ...] = ()
    engagement: tuple[EngagementRule, ...] = ()
    disqualify: tuple[Disqualifier, ...] = ()
    hand_raise: tuple[HandRaise, ...] = ()
    suspect: tuple[SuspectRule, ...] = ()
    guards: tuple[Guard, ...] = ()
    stages: Stages = DEFAULT_STAGES
    handoff: Handoff | None = None
    notify: Notify = field(default_factory=Notify)
    tracking: tuple[TrackingRule, ...] = ()
    retention: Retention = field(default_factory=Retention)
    examples: tuple[Example, ...] = ()
    personas: tuple[Persona, ...] = ()
    audiences: tuple[Audience, ...] = ()
    privacy: tuple[PrivacyRule, ...] = ()
    under: PrivacyRule | None = None  # these are what it leaves of the criteria (`connector.core.privacy`)
    warnings: tuple[Problem, ...] = ()

    def of(self, audience: str) -> Criteria:
        """Those by which people of this audience are judged; of nobody's, or one that is gone, the file's."""
        return next((each.criteria for each in self.audiences if each.id == audience), self)

    def variants(self) -> tuple[Criteria, ...]:
        """The file's, then those of each audience."""
        return (self, *(each.criteria for each in self.audiences))

    def in_zone(self, zone: tzinfo) -> Criteria:
        """The same, working hours and digests by the clock of this zone."""
        return replace(
            self,
            handoff=self.handoff.in_zone(zone) if self.handoff else None,
            notify=replace(self.notify, zone=zone),
            audiences=tuple(replace(each, criteria=each.criteria.in_zone(zone)) for each in self.audiences),
        )

    @property
    def smallest_change(self) -> float:
        """The least `min_change` of any audience: what is smaller is nobody's difference."""
        return min(each.min_change for each in self.variants())

    def name_of(self, rule: str, kind: RuleKind = "points") -> str:
        """The name of a rule by its id, as people know it; the id itself where no rule of the kind has it. An id may
        stand once among the rules that give points, and once among those of each other kind."""
        rules: Mapping[RuleKind, Sequence[FitRule | EventRule | Disqualifier | SuspectRule | Guard]] = {
            "points": (*self.fit, *self.engagement),
            "disqualify": self.disqualify,
            "hand_raise": self.hand_raise,
            "suspect": self.suspect,
            "guard": self.guards,
        }
        return next((one.name for one in rules[kind] if one.id == rule), rule)


# ------------------------------------------------------------ comparing with tolerance


def compare(op: str, a: float, b: float | tuple[float, float]) -> bool:
    """Compare fit, engagement, score or band with a bound: `>=` and `<` treat a miss by 1e-9 as reached,
    `>` and `<=` treat an excess by 1e-9 as equal."""
    if isinstance(b, tuple):
        return compare("gte", a, b[0]) and compare("lte", a, b[1])
    match op:
        case "gte":
            return a >= b - TOLERANCE
        case "lt":
            return a < b - TOLERANCE
        case "gt":
            return a > b + TOLERANCE
        case "lte":
            return a <= b + TOLERANCE
        case "is":
            return abs(a - b) <= TOLERANCE
        case "is_not":
            return abs(a - b) > TOLERANCE
    raise ValueError(f"No such comparison: {op}")


def whole(x: float) -> int:
    """The whole number that is written to a CRM for a score: half is rounded up."""
    return math.floor(x + 0.5 + TOLERANCE)


# ------------------------------------------------------------ what the rules read


def fields_of_criteria(criteria: Criteria) -> frozenset[str]:
    """The fields of a person that the rules of any audience read. One that no person has deserves a warning."""
    dates: set[str] = set()
    conditions = [each.when for each in criteria.personas] + [each.when for each in criteria.audiences]
    conditions += [each.when for each in criteria.privacy]
    for each in criteria.variants():
        conditions += [rule.when for rule in each.fit] + [rule.when for rule in each.disqualify]
        conditions += [guard.when for guard in each.guards if guard.when is not None]
        dates |= {guard.since for guard in each.guards if guard.since}
        for stage in (each.stages.lead, each.stages.mql, each.stages.sql):
            if stage is not None:
                conditions += [*_conditions_of(stage.enter), *_conditions_of(stage.leave)]
    return frozenset(dates).union(*(fields_of(condition) for condition in conditions))


def _conditions_of(rule: StageRule) -> list[Condition]:
    match rule:
        case StageAll() | StageAny():
            return [condition for part in rule.parts for condition in _conditions_of(part)]
        case StageEntry():
            return [] if rule.when is None else [rule.when]
