"""When a plan waits for a human although nobody asked it to: its limits, and days on which nothing is sent. Pure.

Every limit that is crossed is told, not only the first. What the numbers are taken from is `connector.phases.usual`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import median

USUAL_OF = 10  # so many of the latest runs say what is usual
ENOUGH_RUNS = 3  # fewer say nothing
ENOUGH_READS = 50  # a usual below it is noise


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """Of one CRM; None switches a limit off. Shares are 0 to 1 (`mqls`: a multiple).

    `overwrites`: records that would lose or change a value, of those that hold any; plans that overwrite in fewer than
    `at_least` records are not judged by it. `people` or `share`: whose stage or MQL status changes, in number and of
    those in scope. `demoted`: of those in scope. `rejected`: of the rows that the CRM has answered, while pushing.
    `reads`: of the usual. `mqls`: so many times the usual share is promoted. A share of `few` or fewer says nothing.
    `audiences`: what holds besides for the people of each alone; of these only `people`, `share`, `demoted` and `few`.
    """

    overwrites: float | None = 0.5
    at_least: int = 200
    people: int | None = 200
    share: float | None = 0.01
    demoted: float | None = 0.01
    rejected: float | None = 0.02
    reads: float | None = 0.5
    mqls: float | None = 3.0
    few: int = 10
    audiences: Mapping[str, PlanLimits] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Days on which no plan is sent, both included, in the time zone of the settings."""

    since: date
    until: date
    why: str = ""

    def __str__(self) -> str:
        return f"{self.since} to {self.until}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True, slots=True)
class PlanNumbers:
    """What one CRM's plan would do, and what it is held against. None: not known, so not judged.

    `promoted`, `demoted`, `in_scope` are people; `taken_up`, `overwriting`, `holding` target records.
    """

    overwriting: int = 0
    holding: int = 0
    promoted: int = 0
    demoted: int = 0
    in_scope: int | None = None
    taken_up: int = 0
    usual_promoted: float | None = None  # share of the records taken up
    audiences: Mapping[str, PlanNumbers] = field(default_factory=dict)  # of people alone
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Records of one kind of which few were read: in this run, in a usual one (or by the vendor's own count of the
    range), and, where the source was asked how many there are, in all against how many we know."""

    what: str
    read: int
    usual: float
    there: int | None = None
    known: int | None = None
    of: str = "of the usual"


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """One CRM in an earlier run: records taken up, people promoted, rows read by stream."""

    taken_up: int
    promoted: int
    rows: Mapping[str, int]


def crossed(limits: PlanLimits, plan: PlanNumbers) -> dict[str, str]:
    """Every limit that the plan crosses, each in words, by its name."""
    people, share = _stage_changes(limits, plan)
    found = {
        "overwrites": _overwrites(limits, plan),
        "stage_changes.people": people,
        "stage_changes.share": share,
        "demoted": _demoted(limits, plan),
        "mqls": _promoted(limits, plan),
        **{f"reads: {each.what}": _missing(limits, each) for each in plan.shortfalls},
    }
    for audience, own in limits.audiences.items():
        if audience in plan.audiences:
            told = _of_audience(own, plan.audiences[audience])
            found |= {
                f"{name} of {audience}": f"audience `{audience}`: {said}"
                for name, said in told.items()
                if said
            }
    return {name: said for name, said in found.items() if said}


def _of_audience(limits: PlanLimits, plan: PlanNumbers) -> dict[str, str]:
    people, share = _stage_changes(limits, plan)
    return {
        "stage_changes.people": people,
        "stage_changes.share": share,
        "demoted": _demoted(limits, plan),
    }


def _overwrites(limits: PlanLimits, plan: PlanNumbers) -> str:
    """First fills cross nothing: only values already there are at stake."""
    share = limits.overwrites
    if share is None or plan.overwriting < limits.at_least or plan.overwriting <= share * plan.holding:
        return ""
    return (
        f"{plan.overwriting / plan.holding:.0%} of the records that hold a value would change, "
        f"more than {share:.0%}"
    )


def _stage_changes(limits: PlanLimits, plan: PlanNumbers) -> tuple[str, str]:
    """By number, and by share."""
    people = plan.promoted + plan.demoted
    said = f"{people:,} people would change stage"
    many = limits.people is not None and people > limits.people
    return (
        f"{said}, more than {limits.people:,}" if many else "",
        _share(said, people, limits.share, plan.in_scope, limits.few),
    )


def _demoted(limits: PlanLimits, plan: PlanNumbers) -> str:
    said = f"{plan.demoted:,} people would be demoted"
    return _share(said, plan.demoted, limits.demoted, plan.in_scope, limits.few)


def _share(said: str, part: int, limit: float | None, in_scope: int | None, few: int) -> str:
    if limit is None or in_scope is None or part <= few or part <= limit * in_scope:
        return ""
    much = f"{part / in_scope:.1%} of the {in_scope:,} in scope" if in_scope else "nobody is in scope"
    return f"{said}, {much}, more than {limit:.1%}"


def _promoted(limits: PlanLimits, plan: PlanNumbers) -> str:
    usual, times = plan.usual_promoted, limits.mqls
    if usual is None or times is None or plan.promoted <= limits.few or not plan.taken_up:
        return ""
    share = plan.promoted / plan.taken_up
    if share <= times * usual:
        return ""
    return (
        f"{plan.promoted:,} people would be promoted, {share:.1%} of the records taken up, "
        f"more than {times:g} times the usual {usual:.1%}"
    )


def falls_short(limits: PlanLimits, read: int, usual: float | None) -> bool:
    """Whether so few rows are worth asking the source how many there are."""
    return (
        limits.reads is not None
        and usual is not None
        and usual >= ENOUGH_READS
        and read < limits.reads * usual
    )


def _missing(limits: PlanLimits, each: Shortfall) -> str:
    """Few reads alone are a quiet night. Few reads, and few records where many were: something hides them from us."""
    if limits.reads is None or not falls_short(limits, each.read, each.usual):
        return ""
    said = f"{each.read:,} {each.what} were read, fewer than {limits.reads:.0%} {each.of} {each.usual:,.0f}"
    if each.there is None or each.known is None:
        return said
    if each.there >= limits.reads * each.known:
        return ""
    return f"{said}, and the CRM shows {each.there:,} of the {each.known:,} that are known"


def usual_promoted(runs: Sequence[EarlierRun]) -> float | None:
    """The share of records taken up whose people were promoted, over these runs together: in most runs it is nobody,
    so a median would say nothing."""
    taken_up = sum(run.taken_up for run in runs)
    if len(runs) < ENOUGH_RUNS or not taken_up:
        return None
    return sum(run.promoted for run in runs) / taken_up


def usual_rows(runs: Sequence[EarlierRun], stream: str) -> float | None:
    """How many rows a stream usually gives: the median of these runs."""
    return median(run.rows.get(stream, 0) for run in runs) if len(runs) >= ENOUGH_RUNS else None


def too_many_rejected(limits: PlanLimits, rejected: int, answered: int) -> str:
    """Why nothing more may leave, in words, when the CRM rejects too much of what it is sent; empty where it may."""
    if limits.rejected is None or rejected <= limits.few or rejected <= limits.rejected * answered:
        return ""
    return (
        f"{rejected:,} of {answered:,} rows were rejected, {rejected / answered:.0%}, "
        f"more than {limits.rejected:.0%}"
    )


def frozen(freezes: Iterable[Freeze], today: date) -> Freeze | None:
    """The freeze that holds today."""
    return next((each for each in freezes if each.since <= today <= each.until), None)


def next_freeze(freezes: Iterable[Freeze], today: date) -> Freeze | None:
    """The one that holds or comes next."""
    return min((each for each in freezes if each.until >= today), key=lambda each: each.since, default=None)
