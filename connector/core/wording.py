"""Says in words what criteria mean, and where two definitions differ, for people who agree on them. Pure.

`connector.core.changed` says of each difference what it takes until it is in force; here it is told to marketing and
sales.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.core.conditions import All, Condition, Instant, Leaf, Not
from connector.core.conditions import Any as AnyOf
from connector.core.criteria import (
    Criteria,
    Decay,
    Disqualifier,
    EngagementRule,
    EventRule,
    FitRule,
    HandRaise,
    StageAll,
    StageAny,
    StageEntry,
    StageRule,
)
from connector.core.privacy_rules import DO_NOT_SCORE, NO_BEHAVIOUR, SCORE, PrivacyRule
from connector.core.suspect_rules import SecondSign, SuspectRule

_OPS: Mapping[str, str] = {
    "is": "is", "is_not": "is not", "in": "is one of", "not_in": "is none of", "in_list": "is in the list",
    "contains": "contains", "starts_with": "starts with", "ends_with": "ends with", "matches": "looks like",
    "gt": "is more than", "gte": "is at least", "lt": "is less than", "lte": "is at most", "between": "is between",
    "is_set": "is known", "is_blank": "is not known",
}  # fmt: skip
_BOUNDS: Mapping[str, str] = {
    "is": "is", "is_not": "is not", "gt": "above", "gte": "at least", "lt": "below", "lte": "at most",
    "between": "between",
}  # fmt: skip
_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def condition_in_words(condition: Condition) -> str:
    """`company size is at least 200 and (industry contains software or ...)`."""
    match condition:
        case Leaf():
            name = condition.field.removeprefix("attributes.").replace("_", " ")
            said = condition.listed or _operands(
                condition.value, " and " if condition.op == "between" else ", "
            )
            return f"{name} {_OPS[condition.op]} {said}".strip()
        case All() | AnyOf():
            parts = [condition_in_words(part) for part in condition.parts]
            inner = (" and " if isinstance(condition, All) else " or ").join(parts)
            return inner if len(parts) == 1 else f"({inner})"
        case Not():
            return f"not {condition_in_words(condition.part)}"


def duration_in_words(span: timedelta) -> str:
    """`30 days`, `1 hour`."""
    for name, unit in _UNITS:
        if span % unit == timedelta(0):
            return _many(span // unit, name)
    return f"{span.total_seconds():g} seconds"


def decay_in_words(decay: Decay | None) -> str:
    """`counts half after 30 days`."""
    if decay is None:
        return "does not fade"
    if decay.half_life is not None:
        return f"counts half after {duration_in_words(decay.half_life)}"
    steps = ", ".join(f"{factor:g} below {duration_in_words(below)}" for below, factor in decay.steps)
    return f"fades in steps ({steps})"


def stage_rule_in_words(rule: StageRule) -> str:
    """`(score at least 60 and fit at least 25) or a hand was raised`."""
    match rule:
        case StageAll() | StageAny():
            if not rule.parts:
                return "always" if isinstance(rule, StageAll) else "never"
            parts = [stage_rule_in_words(part) for part in rule.parts]
            inner = (" and " if isinstance(rule, StageAll) else " or ").join(parts)
            return inner if len(parts) == 1 else f"({inner})"
        case StageEntry():
            return _entry(rule)


def _entry(entry: StageEntry) -> str:
    parts = []
    for measure, op, value in entry.tests:
        bound = " and ".join(f"{end:g}" for end in value) if isinstance(value, tuple) else f"{value:g}"
        parts.append(f"{measure} {_BOUNDS[op]} {bound}")
    if entry.when is not None:
        parts.append(condition_in_words(entry.when))
    if entry.hand_raised is not None:
        parts.append("a hand was raised" if entry.hand_raised else "no hand was raised")
    if entry.disqualified is not None:
        parts.append("disqualified" if entry.disqualified else "not disqualified")
    inner = " and ".join(parts) or "always"
    inner = inner if len(parts) < 2 else f"({inner})"
    return inner if entry.dwell is None else f"{inner} for {duration_in_words(entry.dwell)}"


# ------------------------------------------------------------------------------------------------- differences

Rule = FitRule | EventRule | Disqualifier | SuspectRule


def changes_in_words(old: Criteria, new: Criteria) -> list[str]:
    """One sentence a difference, what decides first: stages, then rules as they stand in the new file, then the rest.
    Empty: the two mean the same."""
    found: list[str] = []
    for name in _keys(old.stages, new.stages):
        found += _stage(name, getattr(old.stages, name, None), getattr(new.stages, name, None))
    if old.decay != new.decay:
        found.append(f"Interest {decay_in_words(new.decay)}; so far it {_past(decay_in_words(old.decay))}.")
    found += _rules("hand-raiser", old.hand_raise, new.hand_raise, old, new)
    found += _rules("disqualifier", old.disqualify, new.disqualify, old, new)
    found += _rules("rule of fit", old.fit, new.fit, old, new)
    found += _rules("rule of engagement", old.engagement, new.engagement, old, new)
    found += _rules("suspect rule", old.suspect, new.suspect, old, new)
    found += _groups(old.groups, new.groups)
    found += _privacy(old, new)
    found += _who(old, new)
    found += _head(old, new)
    return found + _audiences(old, new, found)


_TREATED = {
    SCORE: "is scored as anybody",
    DO_NOT_SCORE: "is not scored",
    NO_BEHAVIOUR: "is judged without what they did",
}


def _privacy(old: Criteria, new: Criteria) -> Iterator[str]:
    """Rules have no ids: one that stands in another place, or says anything else, is told as gone and as new."""
    if old.privacy == new.privacy:
        return
    for each in new.privacy:
        if each not in old.privacy:
            yield f"New rule of privacy: {_privacy_rule(each)}."
    for each in old.privacy:
        if each not in new.privacy:
            yield f"A rule of privacy is gone: {_privacy_rule(each)}."
    if {*old.privacy} == {*new.privacy}:
        yield "The rules of privacy are asked in another order."


def _privacy_rule(rule: PrivacyRule) -> str:
    return f"somebody with {condition_in_words(rule.when)} {_TREATED[rule.do]}, because: {rule.because}"


def _who(old: Criteria, new: Criteria) -> Iterator[str]:
    """Personas, and who is in which audience."""
    for kind, were, are in (
        ("persona", old.personas, new.personas),
        ("audience", old.audiences, new.audiences),
    ):
        before, now = {each.id: each for each in were}, {each.id: each for each in are}
        for id_, each in now.items():
            said = condition_in_words(each.when)
            if id_ not in before:
                yield f"New {kind} `{id_}` ({each.name}): {said}."
            elif each.when != before[id_].when:
                was = condition_in_words(before[id_].when)
                yield _instead(f"The {kind} `{id_}` ({each.name}) is who", said, was)
        for id_ in before.keys() - now.keys():
            yield f"The {kind} `{id_}` ({before[id_].name}) is gone."
        if [id_ for id_ in before if id_ in now] != [id_ for id_ in now if id_ in before]:
            yield f"The {kind}s are asked in another order: {', '.join(now)}."


def _audiences(old: Criteria, new: Criteria, told: Sequence[str]) -> list[str]:
    """What changed for an audience alone. A new one is told as it differs from the file."""
    before, known = {each.id: each.criteria for each in old.audiences}, {*told}
    found: list[str] = []
    for each in new.audiences:
        so_far = before.get(each.id, replace(new, audiences=(), personas=(), examples=()))
        said = changes_in_words(so_far, each.criteria)
        said = [line for line in said if each.id not in before or line not in known]
        found += [f"For {each.name}: {line}" for line in said]
    return found


def _stage(name: str, was: Any, now: Any) -> Iterator[str]:
    """A stage's own keys; rules in words, everything else as it is."""
    if was == now:
        return
    if name == "next":
        for stage in dict.fromkeys([*was, *now]):
            if was.get(stage) != now.get(stage):
                so_far, then = (each.get(stage, "nothing") for each in (was, now))
                yield _instead(
                    f"After {stage.upper() if stage in ('mql', 'sql') else stage} follows", then, so_far
                )
        return
    title = name.upper() if name in ("mql", "sql") else name.capitalize()
    if isinstance(was, StageEntry | StageAll | StageAny) or isinstance(now, StageEntry | StageAll | StageAny):
        yield _instead(f"{title} is entered", _rule_or_none(now), _rule_or_none(was))
        return
    verbs = {"enter": "is entered", "leave": "is left", "cool_off": "rests"}
    for key in _keys(was, now):
        before, after = getattr(was, key, None), getattr(now, key, None)
        if before != after:
            yield _instead(f"{title} {verbs.get(key, key.replace('_', ' '))}", _said(after), _said(before))


def _rule_or_none(rule: StageRule | None) -> str:
    return "by no rule" if rule is None else f"by {stage_rule_in_words(rule)}"


def _instead(what: str, now: str, was: str) -> str:
    return f"{what}: {now}; so far: {was}."


def _rules(
    kind: str, were: Sequence[Rule], are: Sequence[Rule], old: Criteria, new: Criteria
) -> Iterator[str]:
    before = {rule.id: rule for rule in were}
    now = {rule.id: rule for rule in are}
    for id_, rule in now.items():
        if id_ not in before:
            yield f"New {kind} `{id_}` ({rule.name}): {rule_in_words(rule, new)}."
        elif told := list(_of_rule(before[id_], rule, old, new)):
            yield f"`{id_}` ({rule.name}) {', '.join(told)}."
    for id_, rule in before.items():
        if id_ not in now:
            yield f"The {kind} `{id_}` ({rule.name}) is gone: it {_past(rule_in_words(rule, old))}."


def rule_in_words(rule: Rule, criteria: Criteria) -> str:
    """What a rule does: `gives 12 points for each of the newest 3 page_view with url contains /pricing within 60
    days, counts half after 14 days, at most 40 together with the group web`."""
    match rule:
        case FitRule():
            return f"gives {_points(rule.points)} where {condition_in_words(rule.when)}"
        case Disqualifier():
            return f"disqualifies where {condition_in_words(rule.when)}"
        case SuspectRule():
            return f"does not count {_suspect(rule)}"
        case HandRaise():
            fit = "" if rule.min_fit is None else f" from fit {rule.min_fit:g} on"
            return f"qualifies at once{fit} for {_events(rule)}"
        case EngagementRule():
            newest = (
                "each"
                if rule.newest is None
                else f"the newest {rule.newest}"
                if rule.newest > 1
                else "the newest"
            )
            said = f"gives {_points(rule.points)} for {newest} of {_events(rule)}"
            if rule.decay != criteria.decay:
                said += f", {decay_in_words(rule.decay)}"
            if rule.group:
                said += (
                    f", at most {criteria.groups.get(rule.group, 0):g} together with the group {rule.group}"
                )
            return said
    raise TypeError(type(rule).__name__)


def _those(types: Sequence[str], where: Condition | None) -> str:
    said = " or ".join(types)
    return said if where is None else f"{said} with {condition_in_words(where)}"


def _suspect(rule: SuspectRule) -> str:
    said = _those(rule.events, rule.where)
    if rule.links is not None:
        said += f", from {rule.links} links of one message on"
    if rule.within is not None:
        said += f" within {duration_in_words(rule.within)}"
    if rule.after_sent is not None:
        said += f", at most {duration_in_words(rule.after_sent)} after the mail was sent"
    if rule.again_within is not None:
        said += f", again within {duration_in_words(rule.again_within)}"
    if rule.unopened:
        said += ", of a mail that was not opened"
    return said if rule.unless is None else f"{said}, unless {_sign(rule.unless)}"


def _sign(sign: SecondSign) -> str:
    said = [f"{' or '.join(sign.events)} lies within {duration_in_words(sign.within)}"] if sign.events else []
    return " or ".join([*said, *(["it happens on another day again"] if sign.another_day else [])])


def _events(rule: EventRule) -> str:
    said = _those(rule.events, rule.where)
    if rule.sum is not None:
        said += f" whose {rule.sum.removeprefix('attributes.')} adds up to {rule.at_least:g} or more"
    elif rule.at_least > 1:
        said += f", from {rule.at_least:g} on"
    return said if rule.within is None else f"{said}, within {duration_in_words(rule.within)}"


def _of_rule(was: Rule, now: Rule, old: Criteria, new: Criteria) -> Iterator[str]:
    """What is new about a rule. A decay that only follows the file's own is told once, for the file."""
    told: Mapping[str, Callable[[Any], str]] = {
        "points": lambda value: f"gives {_points(value)}",
        "within": lambda value: (
            "counts at any age" if value is None else f"counts for {duration_in_words(value)}"
        ),
        "newest": lambda value: "counts all of them" if value is None else f"counts the newest {value}",
        "at_least": lambda value: f"needs at least {value:g}",
        "decay": decay_in_words,
        "group": lambda value: f"belongs to the group {value}" if value else "stands alone",
        "min_fit": lambda value: "needs no fit" if value is None else f"needs a fit of {value:g}",
        "events": lambda value: f"counts {' and '.join(value)}",
        "when": lambda value: f"holds where {condition_in_words(value)}",
        "where": lambda value: (
            "counts any" if value is None else f"counts those with {condition_in_words(value)}"
        ),
        "after_sent": lambda value: (
            "asks no time of sending"
            if value is None
            else f"looks at {duration_in_words(value)} after the mail was sent"
        ),
        "again_within": lambda value: (
            "asks no repetition" if value is None else f"looks at {duration_in_words(value)} after the first"
        ),
        "links": lambda value: "asks no links" if value is None else f"needs {value} links of one message",
        "unopened": lambda value: "concerns mails not opened" if value else "concerns opened mails as well",
        "unless": lambda value: (
            "lets no second sign pass" if value is None else f"lets pass where {_sign(value)}"
        ),
        "name": lambda value: f"is called {value}",
    }
    for each in fields(now):
        before, after = getattr(was, each.name, None), getattr(now, each.name)
        if before == after or (each.name == "decay" and before == old.decay and after == new.decay):
            continue
        said = told.get(each.name, _said)
        yield f"{said(after)} ({_shortly(each.name, before)})"


def _shortly(name: str, before: Any) -> str:
    """What it was so far, in as few words as can be."""
    if isinstance(before, Decay):
        return f"so far {decay_in_words(before)}"
    return f"so far {_said(before)}"


def _groups(old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[str]:
    for name in [*new, *(name for name in old if name not in new)]:
        if name not in old:
            yield f"New group {name}: its rules give at most {new[name]:g} together."
        elif name not in new:
            yield f"The group {name} (at most {old[name]:g}) is gone."
        elif old[name] != new[name]:
            yield f"The group {name} gives at most {new[name]:g}; so far {old[name]:g}."


def _head(old: Criteria, new: Criteria) -> Iterator[str]:
    """Everything else in the file: what decides is told with its values, what is only told with its new one."""
    done = {
        "stages",
        "decay",
        "hand_raise",
        "disqualify",
        "fit",
        "engagement",
        "groups",
        "warnings",
        "version",
        "personas",
        "audiences",
        "privacy",
    }
    for each in fields(new):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if each.name in done or before == after:
            continue
        if each.name == "examples":
            yield f"{_many(len(new.examples), 'example')} of what was agreed; so far {len(old.examples)}."
        elif _by_id(before) and _by_id(after):
            yield from _entries(each.name, before, after)
        else:
            yield _instead(each.name.replace("_", " ").capitalize(), _said(after), _said(before))


def _by_id(value: object) -> bool:
    return isinstance(value, tuple) and all(hasattr(one, "id") for one in value)


def _entries(name: str, were: Iterable[Any], are: Iterable[Any]) -> Iterator[str]:
    before, now = ({one.id: one for one in each} for each in (were, are))
    for id_ in [*now, *(id_ for id_ in before if id_ not in now)]:
        if before.get(id_) != now.get(id_):
            fate = "is new" if id_ not in before else "is gone" if id_ not in now else "has changed"
            yield f"`{id_}` of {name.replace('_', ' ')} {fate}."


# ------------------------------------------------------------------------------------------------- single words


def _said(value: Any) -> str:
    match value:
        case None | () | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:g}"
        case timedelta():
            return duration_in_words(value)
        case Decay():
            return decay_in_words(value)
        case StageEntry() | StageAll() | StageAny():
            return stage_rule_in_words(value)
        case Leaf() | All() | AnyOf() | Not():
            return condition_in_words(value)
        case tuple() | list() | frozenset():
            return ", ".join(_said(each) for each in value)
        case Mapping():
            return ", ".join(f"{key} {_said(each)}" for key, each in value.items())
    if hasattr(value, "__dataclass_fields__"):
        return ", ".join(
            f"{each.name.replace('_', ' ')} {_said(getattr(value, each.name))}" for each in fields(value)
        )
    return str(value)


def _operands(value: Any, between: str) -> str:
    if isinstance(value, tuple):
        return between.join(_operands(each, between) for each in value)
    if isinstance(value, Instant):
        return f"{datetime.fromtimestamp(value.us / 1_000_000, UTC):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _points(points: float) -> str:
    return f"{points:g} point" + ("" if abs(points) == 1 else "s")


def _many(count: int, name: str) -> str:
    return f"{count} {name}" + ("" if count == 1 else "s")


def _past(said: str) -> str:
    """`gives` -> `gave`: what a rule did until now."""
    for now, then in (("gives", "gave"), ("disqualifies", "disqualified"), ("qualifies", "qualified"),
                      ("counts", "counted"), ("fades", "faded"), ("does not fade", "did not fade")):  # fmt: skip
        if said.startswith(now):
            return then + said.removeprefix(now)
    return said


def _keys(one: object, other: object) -> list[str]:
    """The fields of two values that may be of one kind, or absent."""
    names = [each.name for each in fields(one)] if hasattr(one, "__dataclass_fields__") else []  # type: ignore[arg-type]
    if hasattr(other, "__dataclass_fields__"):
        names += [each.name for each in fields(other) if each.name not in names]  # type: ignore[arg-type]
    return names
