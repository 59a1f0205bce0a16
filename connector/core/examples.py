"""Runs the examples of the criteria, the written agreement between marketing and sales. Pure; blocks nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connector.core.audience import PERSONA
from connector.core.criteria import (
    Criteria,
    Disqualifier,
    EventRule,
    Example,
    Expectation,
    FitRule,
    Guard,
    RuleKind,
    compare,
    whole,
)
from connector.core.guards import guards_that_hold
from connector.core.known import Known, known_as, measure, told_as
from connector.core.model import Engagement, Score, StageDecision, Value
from connector.core.normalize import rules_that_suspect
from connector.core.score.oracle import rules_that_hold
from connector.core.stage import decide_stage
from connector.core.suspect_rules import SuspectRule

Rule = FitRule | EventRule | Disqualifier | SuspectRule | Guard


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """What became of one example: green (`ok`), or red with each difference as a sentence. `audience`: into which its
    person falls, empty for none."""

    name: str
    ok: bool
    score: Score
    stage: str
    differences: tuple[str, ...] = ()
    audience: str = ""


def run_examples(criteria: Criteria) -> list[ExampleResult]:
    """Every example of the criteria, in file order, then those of each audience. The person is new to us: a lead
    without a history."""
    found = [run_example(criteria, example) for example in criteria.examples]
    for audience in criteria.audiences:
        found += [run_example(criteria, each, audience=audience.id) for each in audience.criteria.examples]
    return found


def run_example(criteria: Criteria, example: Example, *, audience: str = "") -> ExampleResult:
    """One example at its own moment; the person must fall into this audience, where one is named."""
    known = told_as(example.person, example.engagement, criteria)
    score, decision = _as_new(known, example.as_of)
    stage = decision.state.stage
    words = {
        "stage": stage,
        "audience": known.audience or None,
        "persona": known.fields.get(PERSONA),
        "privacy": decision.state.privacy or None,
    }
    found = [_difference(expectation, score, words) for expectation in example.expect]
    if audience and known.audience != audience:
        found.insert(0, f"falls into {_called(known.audience)}, not into `{audience}`, where it stands")
    differences = tuple(difference for difference in found if difference)
    return ExampleResult(example.name, not differences, score, stage, differences, known.audience)


def _called(audience: str) -> str:
    return f"the audience `{audience}`" if audience else "no audience"


def as_new(
    criteria: Criteria, fields: Mapping[str, Value], engagement: Sequence[Engagement], at: datetime
) -> tuple[Score, StageDecision]:
    """What the criteria make of somebody of whom no CRM has said anything: a lead without a history."""
    return _as_new(known_as(fields, engagement, criteria), at)


def _as_new(known: Known, at: datetime) -> tuple[Score, StageDecision]:
    then = partial(measure, known)
    now = then(at)
    return now.score, decide_stage(None, at=at, now=now, then=then, criteria=known.criteria)


def untouched(criteria: Criteria) -> list[tuple[RuleKind, str]]:
    """The rules that no example touches, by kind and id, in file order: nobody would notice if they were wrong.

    An example touches a rule that holds for its person at its moment, and one of `suspect` that sets an event aside.
    """
    variants = criteria.variants()
    touched: set[tuple[RuleKind, Rule]] = set()
    for each in (example for variant in variants for example in variant.examples):
        known = told_as(each.person, each.engagement, criteria)
        hold = {
            *rules_that_hold(known.criteria, known.fields, known.engagement, each.as_of),
            *(("guard", id) for id in guards_that_hold(known.criteria, known.fields, each.as_of)),
            *(("suspect", id) for id in rules_that_suspect(each.engagement, known.criteria.suspect)),
        }
        touched.update((kind, rule) for kind, rule in _rules(known.criteria) if (kind, rule.id) in hold)
    there = dict.fromkeys(rule for variant in variants for rule in _rules(variant))
    return list(dict.fromkeys((kind, rule.id) for kind, rule in there if (kind, rule) not in touched))


def _rules(criteria: Criteria) -> list[tuple[RuleKind, Rule]]:
    """All rules, in file order. A rule that an audience takes from the file is the same one."""
    found: list[tuple[RuleKind, Rule]] = [("points", rule) for rule in criteria.fit]
    found += [("points", rule) for rule in criteria.engagement]
    found += [("disqualify", rule) for rule in criteria.disqualify]
    found += [("hand_raise", rule) for rule in criteria.hand_raise]
    found += [("suspect", rule) for rule in criteria.suspect]
    found += [("guard", rule) for rule in criteria.guards]
    return found


def _difference(expectation: Expectation, score: Score, words: Mapping[str, Value]) -> str:
    key = expectation.key
    if expectation.tests:
        measure = float(getattr(score, key))
        wrong = [_spoken(op, bound) for op, bound in expectation.tests if not _meets(op, measure, bound)]
        return f"{key} is {measure:g}, expected {' and '.join(wrong)}" if wrong else ""
    have: Value = words[key] if key in words else getattr(score, key)
    wanted = expectation.wanted
    if wanted is True:
        return "" if have is not None else f"{key} by no rule, expected by any"
    if wanted is None and key in words:
        return "" if have is None else f"{key} is {have}, expected none"
    if wanted is False or wanted is None:
        return "" if have is None else f"{key} by {have}, expected by no rule"
    return "" if have == wanted else f"{key} is {have or 'nothing'}, expected {wanted}"


def _meets(op: str, measure: float, bound: float | tuple[float, float]) -> bool:
    """`about` is how people write a number down: a whole one means the rounded score, others two decimals."""
    if op != "about" or isinstance(bound, tuple):
        return compare(op, measure, bound)
    return whole(measure) == bound if bound.is_integer() else compare("lte", abs(measure - bound), 0.005)


_SPOKEN: dict[str, Callable[[str], str]] = {
    "about": lambda bound: bound,
    "is": lambda bound: bound,
    "is_not": lambda bound: f"anything but {bound}",
    "gt": lambda bound: f"more than {bound}",
    "gte": lambda bound: f"at least {bound}",
    "lt": lambda bound: f"less than {bound}",
    "lte": lambda bound: f"at most {bound}",
    "between": lambda bound: f"between {bound}",
}


def _spoken(op: str, bound: float | tuple[float, float]) -> str:
    shown = " and ".join(f"{end:g}" for end in bound) if isinstance(bound, tuple) else f"{bound:g}"
    return _SPOKEN[op](shown)
