"""Runs the examples of the criteria, the written agreement between marketing and sales. Pure; blocks nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.criteria import Criteria, Example, Expectation, RuleKind, compare, whole
from connector.core.model import Engagement, Score, StageDecision, Value
from connector.core.score.oracle import rules_that_hold, score_person
from connector.core.stage import decide_stage
from connector.core.stage_rules import Measured


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """What became of one example: green (`ok`), or red with each difference as a sentence."""

    name: str
    ok: bool
    score: Score
    stage: str
    differences: tuple[str, ...] = ()


def run_examples(criteria: Criteria) -> list[ExampleResult]:
    """Every example of the criteria, in file order. The person is new to us: a lead without a history."""
    return [run_example(criteria, example) for example in criteria.examples]


def run_example(criteria: Criteria, example: Example) -> ExampleResult:
    """One example at its own moment."""
    score, decision = as_new(criteria, example.person, example.engagement, example.as_of)
    stage = decision.state.stage
    found = [_difference(expectation, score, stage) for expectation in example.expect]
    differences = tuple(difference for difference in found if difference)
    return ExampleResult(example.name, not differences, score, stage, differences)


def as_new(
    criteria: Criteria, fields: Mapping[str, Value], engagement: Sequence[Engagement], at: datetime
) -> tuple[Score, StageDecision]:
    """What the criteria make of somebody of whom no CRM has said anything: a lead without a history."""

    def then(moment: datetime) -> Measured:
        return Measured(score_person(criteria, fields, engagement, moment), fields, engagement)

    now = then(at)
    return now.score, decide_stage(None, at=at, now=now, then=then, criteria=criteria)


def untouched(criteria: Criteria) -> list[tuple[RuleKind, str]]:
    """The rules that no example touches, by kind and id, in file order: nobody would notice if they were wrong.

    An example touches a rule that holds for its person at its moment.
    """
    touched: set[tuple[RuleKind, str]] = set()
    for each in criteria.examples:
        touched |= rules_that_hold(criteria, each.person, each.engagement, each.as_of)
    there: list[tuple[RuleKind, str]] = [("points", rule.id) for rule in criteria.fit]
    there += [("points", rule.id) for rule in criteria.engagement]
    there += [("disqualify", rule.id) for rule in criteria.disqualify]
    there += [("hand_raise", rule.id) for rule in criteria.hand_raise]
    return [rule for rule in there if rule not in touched]


def _difference(expectation: Expectation, score: Score, stage: str) -> str:
    key = expectation.key
    if expectation.tests:
        measure = float(getattr(score, key))
        wrong = [_spoken(op, bound) for op, bound in expectation.tests if not _meets(op, measure, bound)]
        return f"{key} is {measure:g}, expected {' and '.join(wrong)}" if wrong else ""
    have: str | None = stage if key == "stage" else getattr(score, key)
    wanted = expectation.wanted
    if wanted is True:
        return "" if have is not None else f"{key} by no rule, expected by any"
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
