"""How somebody may be treated by the `privacy` of the criteria, and the criteria that are left for them. Pure.

Asked of the fields as CRMs tell them, before a persona or anything else is made of them. `connector.core.score.split`
says the same for whole tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from connector.core.conditions import Get, compiled
from connector.core.criteria import Criteria, MqlStage, RuledStage, StageAll, StageAny, Stages
from connector.core.model import Engagement, Value
from connector.core.privacy_rules import DO_NOT_SCORE, NO_BEHAVIOUR, SCORE, UNCOUNTED, PrivacyRule


def rule_for(criteria: Criteria, fields: Mapping[str, Value]) -> PrivacyRule | None:
    """The first rule that holds for whom these fields describe; None: no rule does, they are scored."""
    tests = _tests(criteria)
    return next(
        (rule for rule, holds in zip(criteria.privacy, tests, strict=True) if holds(fields.get)), None
    )


def behaviour_counts(criteria: Criteria, fields: Mapping[str, Value]) -> bool:
    """Whether what somebody with these fields does may be counted, and so be stored where we are its first holder."""
    rule = rule_for(criteria, fields)
    return rule is None or rule.do == SCORE


def held_to(criteria: Criteria, rule: PrivacyRule | None) -> Criteria:
    """What is left of these criteria for whom this rule holds. The same criteria and treatment give the same value.

    Without behaviour no rule on engagement is left and no hand can be raised. Not scored: no rule at all; who is MQL
    by our rules is not any more, what a human or a CRM says is observed as before.
    """
    if rule is None or rule.do == SCORE or criteria.under is not None:
        return criteria
    return _held_to(criteria, rule)


@lru_cache(maxsize=128)  # criteria are compared by identity; few are in use at a time
def _held_to(criteria: Criteria, rule: PrivacyRule) -> Criteria:
    fit_only = replace(
        criteria, engagement=(), hand_raise=(), suspect=(), groups={}, personas=(), audiences=(), under=rule
    )
    if rule.do == NO_BEHAVIOUR:
        return fit_only
    nobody = RuledStage(StageAny(()), StageAll(()))
    stages = Stages(MqlStage(nobody.enter, nobody.leave), criteria.stages.recycle, nobody, nobody)
    return replace(fit_only, fit=(), disqualify=(), guards=(), handoff=None, stages=stages)


def set_aside_behaviour(engagement: Sequence[Engagement], criteria: Criteria) -> tuple[Engagement, ...]:
    """The same events in the same order; where these criteria are what a rule leaves, none of them counts."""
    if criteria.under is None:
        return tuple(engagement)
    why = under_in_words(criteria)
    return tuple(replace(each, counted=False, why_not=why) if each.counted else each for each in engagement)


def is_unscored(criteria: Criteria) -> bool:
    """Whether these are what is left for somebody who is not scored."""
    return criteria.under is not None and criteria.under.do == DO_NOT_SCORE


def under_in_words(criteria: Criteria) -> str:
    """What a rule keeps from being made of somebody, and why; empty where none does."""
    rule = criteria.under
    if rule is None:
        return ""
    because = " ".join(rule.because.split())
    return f"not scored: {because}" if rule.do == DO_NOT_SCORE else f"{UNCOUNTED}{because}"


@lru_cache(maxsize=64)
def _tests(criteria: Criteria) -> tuple[Callable[[Get], bool], ...]:
    return tuple(compiled(each.when) for each in criteria.privacy)
