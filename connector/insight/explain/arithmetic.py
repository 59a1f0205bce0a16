"""Lays a score out as the sum it is: what each rule gave, what caps and the bounds of 0 and 100 took or added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.criteria import Criteria
from connector.core.model import Score

Part = tuple[str, str]
"""`("rule", id)`, `("cap", group)`, or `("bounds", "fit" | "engagement" | "score")`."""


@dataclass(frozen=True, slots=True)
class RulePoints:
    """What one rule gave, after decay and before caps. `kind`: fit or engagement; `group`: whose cap it falls under."""

    rule: str
    kind: str
    points: float
    group: str | None = None


@dataclass(frozen=True, slots=True)
class GroupSum:
    """A group of rules: what they gave together, and how much of it the cap lets count."""

    group: str
    given: float
    cap: float
    counts: float


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A score, step by step. `fit_given` and `engagement_given` are the sums before they are held to 0..100 (the latter
    after caps), `weighted` is the score before that."""

    rules: tuple[RulePoints, ...]
    groups: tuple[GroupSum, ...]
    fit_given: float
    fit: float
    engagement_given: float
    engagement: float
    fit_weight: float
    engagement_weight: float
    weighted: float
    score: float
    band: int
    grade: str

    def shares(self) -> dict[Part, float]:
        """What every part adds to the score; they sum up to it, but for the rounding of doubles."""
        weight = {"fit": self.fit_weight, "engagement": self.engagement_weight}
        found: dict[Part, float] = {
            ("rule", each.rule): weight[each.kind] * each.points for each in self.rules
        }
        for each in self.groups:
            found["cap", each.group] = self.engagement_weight * (each.counts - each.given)
        found["bounds", "fit"] = self.fit_weight * (self.fit - self.fit_given)
        found["bounds", "engagement"] = self.engagement_weight * (self.engagement - self.engagement_given)
        found["bounds", "score"] = self.score - self.weighted
        return found


def arithmetic(criteria: Criteria, score: Score) -> Arithmetic:
    """The steps from the rules' points to this score, which these criteria made."""
    given = {each.rule: each.points for each in score.contributions}
    fit = [RulePoints(rule.id, "fit", given[rule.id]) for rule in criteria.fit if rule.id in given]
    engagement = [
        RulePoints(rule.id, "engagement", given[rule.id], rule.group)
        for rule in criteria.engagement
        if rule.id in given
    ]
    sums: dict[str | None, float] = {}
    for each in engagement:
        sums[each.group] = sums.get(each.group, 0.0) + each.points
    groups = tuple(
        GroupSum(name, sums[name], cap, min(sums[name], cap))
        for name, cap in criteria.groups.items()
        if name in sums
    )
    weights = criteria.weights
    return Arithmetic(
        rules=(*fit, *engagement),
        groups=groups,
        fit_given=sum(each.points for each in fit),
        fit=score.fit,
        engagement_given=sums.get(None, 0.0) + sum(each.counts for each in groups),
        engagement=score.engagement,
        fit_weight=weights.fit,
        engagement_weight=weights.engagement,
        weighted=weights.fit * score.fit + weights.engagement * score.engagement,
        score=score.score,
        band=score.band,
        grade=score.grade,
    )


def part_in_words(part: Part, names: Mapping[str, str]) -> str:
    """A part of a score as people know it; `names` are those of the rules."""
    kind, name = part
    if kind == "rule":
        return names.get(name, name)
    if kind == "cap":
        return f"the cap of {name}"
    return f"the bounds of 0 and 100 ({name})"


def names_of(criteria: Criteria) -> dict[str, str]:
    """The names of all rules that give points, by id."""
    found = {rule.id: rule.name for rule in criteria.fit}
    return found | {rule.id: rule.name for rule in criteria.engagement}
