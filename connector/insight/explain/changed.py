"""Why a score changed between two moments: per rule, what time, facts and the definition did to it.

One thing after the other is taken from then to now (time, what went, records' fields, what came, the definition), and
the difference it makes is its own. So the differences add up to that of the score, whatever came together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from connector.core.conditions import fields_of
from connector.core.criteria import Criteria, EngagementRule, FitRule, compare
from connector.core.known import Known, score_known
from connector.core.model import Engagement, Ref, Score, Value
from connector.core.wording import duration_in_words
from connector.insight.explain import words
from connector.insight.explain.arithmetic import Part, arithmetic, names_of, part_in_words
from connector.insight.explain.why import NAMES_SOMEBODY, NotCounted, matching

CAUSES = ("faded", "too_old", "came_due", "gone", "field", "new", "joined", "definition")
"""Decay; out of `within`; its date came; deleted or not counted any more; another value; an event; one that came with
records that were joined; another version of the definition."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A person as known at a moment, and by which version of the definition."""

    known: Known
    at: datetime
    version: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one cause did to one part of the score. `part`: a rule's id, the cap of a group or the bounds."""

    part: str
    name: str
    cause: str
    points: float
    says: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The two scores, and the changes between them in the order of the causes; they add up to the difference."""

    then: Score
    now: Score
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Stand:
    """One stand on the way from then to now."""

    known: Known
    at: datetime


def changed(
    then: Moment,
    now: Moment,
    *,
    joined: Collection[Ref] = (),
    why_gone: Sequence[NotCounted] = (),
) -> Changed:
    """From `then` to `now`. `joined`: records that were not of this person then; `why_gone`: of what counts no more."""
    before, after = then.known, now.known
    there, here = {_key(e): e for e in _counts(before)}, {_key(e): e for e in _counts(after)}
    stay = tuple(event for key, event in there.items() if key in here)
    aged = _Stand(before, now.at)
    less = _Stand(replace(before, engagement=stay), now.at)
    other = _Stand(replace(before, engagement=stay, fields=after.fields), now.at)
    more = _Stand(replace(before, engagement=after.engagement, fields=after.fields), now.at)
    stands = [_Stand(before, then.at), aged, less, other, more, _Stand(after, now.at)]
    gone = [event for key, event in there.items() if key not in here]
    came = [event for key, event in here.items() if key not in there]
    reasons = {(each.at, each.what): each.why for each in why_gone}
    names = {**names_of(before.criteria), **names_of(after.criteria)}

    def told(part: Part, step: int) -> tuple[str, str]:
        rule = _rule(after.criteria if step == 4 else before.criteria, part)
        match step:
            case 0:
                return _by_time(rule, before.engagement, then.at, now.at)
            case 1:
                return "gone", _gone(rule, gone, now.at, reasons)
            case 2:
                return "field", _of_fields(rule, before.fields, after.fields)
            case 3:
                return _came(rule, came, now.at, joined)
        return "definition", _of_definition(part, before.criteria, after.criteria, now.version)

    changes: list[Change] = []
    for step, (old, new) in enumerate(pairwise(stands)):
        if old == new:
            continue
        was, is_ = _shares(old), _shares(new)
        for part in [*was, *(part for part in is_ if part not in was)]:
            points = is_.get(part, 0.0) - was.get(part, 0.0)
            if abs(points) > 1e-12:
                cause, says = told(part, step)
                changes.append(Change(part[1], part_in_words(part, names), cause, points, says))
    return Changed(score_known(before, then.at), score_known(after, now.at), tuple(changes))


def _shares(stand: _Stand) -> dict[Part, float]:
    return arithmetic(stand.known.criteria, score_known(stand.known, stand.at)).shares()


def _counts(known: Known) -> list[Engagement]:
    return [event for event in known.engagement if event.counted and not event.deleted]


def _key(event: Engagement) -> tuple[str, str, str]:
    return (event.crm, event.stream, event.key)


def _rule(criteria: Criteria, part: Part) -> FitRule | EngagementRule | None:
    if part[0] != "rule":
        return None
    found: list[FitRule | EngagementRule] = [*criteria.fit, *criteria.engagement]
    return next((rule for rule in found if rule.id == part[1]), None)


# ------------------------------------------------------------ what each cause says


def _by_time(
    rule: FitRule | EngagementRule | None, engagement: Sequence[Engagement], then: datetime, now: datetime
) -> tuple[str, str]:
    if not isinstance(rule, EngagementRule):
        return "faded", "follows from what faded"
    before, after = matching(rule, engagement, then), matching(rule, engagement, now)
    known = {_key(event) for event in before}
    due = [event for event in after if _key(event) not in known]
    if due:
        return "came_due", f"its date came: {_dated(due)}"
    lost = [event for event in before if _key(event) not in {_key(each) for each in after}]
    if lost and rule.within is not None:
        return "too_old", f"older than {duration_in_words(rule.within)}: {_dated(lost)}"
    return "faded", "faded with age"


def _gone(
    rule: FitRule | EngagementRule | None,
    gone: Sequence[Engagement],
    at: datetime,
    reasons: Mapping[tuple[datetime, str], str],
) -> str:
    if not isinstance(rule, EngagementRule):
        return "follows from what counts no more"
    found = matching(rule, gone, at)
    why = next((reasons[key] for e in found if (key := (e.occurred_at, words.event(e))) in reasons), "")
    return f"{why or 'deleted in its CRM'}: {_dated(found)}"


def _of_fields(
    rule: FitRule | EngagementRule | None, before: Mapping[str, Value], after: Mapping[str, Value]
) -> str:
    if not isinstance(rule, FitRule):
        return "follows from fields that changed"
    names = sorted(fields_of(rule.when))
    moved = [name for name in names if before.get(name) != after.get(name)]
    return ", ".join(
        f"{words.plain(name)} changed"
        if name in NAMES_SOMEBODY
        else f"{words.plain(name)}: {_value(before.get(name))} -> {_value(after.get(name))}"
        for name in moved
    )


def _came(
    rule: FitRule | EngagementRule | None, came: Sequence[Engagement], at: datetime, joined: Collection[Ref]
) -> tuple[str, str]:
    if not isinstance(rule, EngagementRule):
        return "new", "follows from what came"
    found = matching(rule, came, at)
    if found and all(event.about in joined for event in found):
        records = words.listed(sorted({str(event.about) for event in found}))
        return "joined", f"came with {records}, joined since: {_dated(found)}"
    return "new", f"new: {_dated(found)}"


def _of_definition(part: Part, before: Criteria, after: Criteria, version: int) -> str:
    """A rule's points, old and new, where they differ."""
    old, new = _rule(before, part), _rule(after, part)
    since = f"version {version} of the definition" if version else "the definition"
    if part[0] == "rule" and old is None:
        return f"a new rule of {since}"
    if part[0] == "rule" and new is None:
        return f"no rule of {since} any more"
    if old is not None and new is not None and not compare("is", old.points, new.points):
        return f"{words.signed(old.points)} -> {words.signed(new.points)} in {since}"
    return f"changed in {since}"


def _dated(events: Sequence[Engagement]) -> str:
    told = [f"{words.event(event)} on {event.occurred_at:%Y-%m-%d}" for event in events[:3]]
    return words.listed(told) + (f" and {len(events) - 3} more" if len(events) > 3 else "")


def _value(value: Value) -> str:
    return "nothing" if value is None else str(value)
