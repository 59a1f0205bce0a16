"""What differs between two definitions, in words, and what it takes until each difference is in force. Pure.

A difference needs *nothing* (it changes no decision), is *decided* anew from what the ledger holds, or has to be
*read*: the ledger keeps records as the old mapping normalized them, and a field that is new in a mapping was never
fetched. In doubt it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import zip_longest
from typing import Any

from connector.core.criteria import Audience, Criteria, Disqualifier, EventRule, FitRule, Guard, Persona
from connector.core.mapping import COUNTERS, CrmMapping, ObjectMapping, StreamMapping, object_wants
from connector.core.privacy_rules import PrivacyRule
from connector.core.suspect_rules import SuspectRule
from connector.core.wording import condition_in_words

NOTHING, DECIDE, READ = "nothing", "decide", "read"

Rules = Sequence[FitRule | EventRule | Disqualifier | SuspectRule | Guard | Persona]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `source`: the object or engagement stream of `crm` that has to be read again; empty with READ:
    all of that CRM."""

    what: str
    needs: str
    crm: str = ""
    source: str = ""


def differences(
    old: Criteria, new: Criteria, before: Mapping[str, CrmMapping], now: Mapping[str, CrmMapping]
) -> tuple[Difference, ...]:
    """From the old criteria and mappings (by CRM) to the new ones, criteria first. Empty: they mean the same."""
    found = [*_criteria(old, new)]
    found += [*_audiences(old, new, found)]
    for crm in sorted({*before, *now}):
        found += _mapping(crm, before.get(crm), now.get(crm))
    return tuple(found)


def to_read(found: Iterable[Difference]) -> dict[str, frozenset[str] | None]:
    """Per CRM the objects and streams that have to be read again; None: all of it."""
    sources: dict[str, frozenset[str] | None] = {}
    for each in found:
        if each.needs == READ:
            known = sources.get(each.crm, frozenset())
            sources[each.crm] = None if known is None or not each.source else known | {each.source}
    return sources


# ------------------------------------------------------------------------------------------------------- criteria


def _criteria(old: Criteria, new: Criteria) -> Iterator[Difference]:
    kinds: tuple[tuple[str, Rules, Rules], ...] = (
        ("fit rule", old.fit, new.fit),
        ("engagement rule", old.engagement, new.engagement),
        ("disqualifier", old.disqualify, new.disqualify),
        ("guard", old.guards, new.guards),
        ("hand-raiser", old.hand_raise, new.hand_raise),
        ("suspect rule", old.suspect, new.suspect),
    )
    for kind, were, are in (*kinds, ("persona", old.personas, new.personas)):
        for what in _by_id(kind, were, are):
            yield Difference(what, DECIDE)
    for was, is_ in zip_longest(old.privacy, new.privacy):
        if was != is_:
            yield Difference(f"privacy: {_treated(was)} -> {_treated(is_)}", DECIDE)
    for name in ("weights", "bands", "grades", "min_change", "currency", "decay", "groups"):
        for what in _value(name, getattr(old, name), getattr(new, name)):
            yield Difference(what, DECIDE)
    for path, was, now in _leaves("stages", old.stages, new.stages):
        yield Difference(f"{path}: {_shown(was)} -> {_shown(now)}", DECIDE)
    if old.tracking != new.tracking:
        yield Difference("tracking: for events that come after this", NOTHING)
    # Two rules that give the same points in another order give the same score; only their ids matter.
    for name in ("version", "name", "preset", "agreed_by", "approve_both", "review_by", "examples"):
        if getattr(old, name) != getattr(new, name):
            yield Difference(f"{name}: only told, decides nothing", NOTHING)
    yield from _order("personas", old.personas, new.personas)


def _treated(rule: PrivacyRule | None) -> str:
    return "no rule" if rule is None else f"{rule.do} where {condition_in_words(rule.when)} ({rule.because})"


def _audiences(old: Criteria, new: Criteria, told: Sequence[Difference]) -> Iterator[Difference]:
    """What an audience takes from the file has been `told` once, of the file."""
    known = {each.what for each in told}
    before, now = ({each.id: each for each in one.audiences} for one in (old, new))
    for id_ in _names(before, now):
        was, is_ = before.get(id_), now.get(id_)
        if was is None or is_ is None:
            yield Difference(f"audience `{id_}` {_fate(was, is_)}", DECIDE)
            continue
        for what in _value("name", was.name, is_.name):
            yield Difference(f"audience `{id_}`: {what}", NOTHING)
        for path, before_, now_ in _leaves("when", was.when, is_.when):
            yield Difference(f"audience `{id_}`: {path}: {_shown(before_)} -> {_shown(now_)}", DECIDE)
        for each in _criteria(was.criteria, is_.criteria):
            if each.what not in known:
                yield replace(each, what=f"audience `{id_}`: {each.what}")
    yield from _order("audiences", old.audiences, new.audiences)


def _order(
    name: str, old: Sequence[Persona | Audience], new: Sequence[Persona | Audience]
) -> Iterator[Difference]:
    """The first that holds counts, so their order does."""
    before, now = ([each.id for each in some] for some in (old, new))
    if [each for each in before if each in now] != [each for each in now if each in before]:
        yield Difference(f"{name}: another order", DECIDE)


def _by_id(kind: str, were: Rules, are: Rules) -> Iterator[str]:
    before, now = ({rule.id: rule for rule in rules} for rules in (were, are))
    for id_ in [*before, *(id_ for id_ in now if id_ not in before)]:
        if id_ not in now:
            yield f"{kind} `{id_}` is gone"
        elif id_ not in before:
            yield f"{kind} `{id_}` is new"
        elif before[id_] != now[id_]:
            told = (
                f"{path}: {_shown(was)} -> {_shown(is_)}"
                for path, was, is_ in _leaves("", before[id_], now[id_])
            )
            yield f"{kind} `{id_}` has changed ({'; '.join(told)})"


# -------------------------------------------------------------------------------------------------------- mapping


def _mapping(crm: str, old: CrmMapping | None, new: CrmMapping | None) -> Iterator[Difference]:
    if new is None:
        yield Difference(f"{crm} is mapped no longer", DECIDE, crm)
    elif old is None:
        yield Difference(f"{crm} is new", READ, crm)
    else:
        for name in _names(old.objects, new.objects):
            yield from _object(crm, name, old.objects.get(name), new.objects.get(name))
        for name in _names(old.engagement, new.engagement):
            yield from _stream(crm, name, old, new)
        if old.titles != new.titles:
            for each in new.of_kind("person"):
                yield Difference(f"{crm}: the table of titles has changed", READ, crm, each.object)
        for name in ("precedence", "extra_fields", "master"):
            if getattr(old, name) != getattr(new, name):
                yield Difference(f"{crm}: {name.replace('_', ' ')} changed", DECIDE, crm)
        for path, was, now in _leaves("limits", old.limits, new.limits):
            yield Difference(f"{crm}: {path}: {_shown(was)} -> {_shown(now)}", NOTHING, crm)
        for name in ("version", "freeze", "approval", "extra_types", "file"):
            if getattr(old, name) != getattr(new, name):
                yield Difference(f"{crm}: {name.replace('_', ' ')} changed", NOTHING, crm)


def _object(
    crm: str, name: str, old: ObjectMapping | None, new: ObjectMapping | None
) -> Iterator[Difference]:
    if new is None:
        yield Difference(f"{crm} {name} is mapped no longer; what is kept of it stays", DECIDE, crm)
        return
    if old is None:
        yield Difference(f"{crm} {name} is new", READ, crm, name)
        return
    were, are = ({each.field: each for each in one.fields} for one in (old, new))
    for field in _names(were, are):
        what = _fate(were.get(field), are.get(field))
        if what:
            yield Difference(f"{crm} {name}: field `{field}` {what}", READ, crm, name)
    for part in ("kind", "emails", "scope", "stage", "status", "override", "counters"):
        if getattr(old, part) != getattr(new, part):
            yield Difference(f"{crm} {name}: {part} changed", READ, crm, name)
    yield from _write_lines(crm, name, old, new)
    if old.write_only != new.write_only:
        yield Difference(f"{crm} {name}: write_only changed", DECIDE, crm)


def _write_lines(crm: str, name: str, old: ObjectMapping, new: ObjectMapping) -> Iterator[Difference]:
    """What is written where. What stands in a field that is new there was never fetched."""
    fetched = {field.casefold() for field in object_wants(old)}
    were, are = ({line.to: line for line in one.write} for one in (old, new))
    for to in _names(were, are):
        what = _fate(were.get(to), are.get(to))
        if what and to in are and to.casefold() not in fetched:
            yield Difference(f"{crm} {name}: writing `{to}` {what}", READ, crm, name)
        elif what:
            yield Difference(f"{crm} {name}: writing `{to}` {what}", DECIDE, crm)


def _stream(crm: str, name: str, old: CrmMapping, new: CrmMapping) -> Iterator[Difference]:
    was, now = old.engagement.get(name), new.engagement.get(name)
    if now is None:
        yield Difference(f"{crm} {name} is mapped no longer; what is kept of it still counts", DECIDE, crm)
        return
    told = [
        each.name
        for each in fields(StreamMapping)
        if was and getattr(was, each.name) != getattr(now, each.name)
    ]
    what = "is new" if was is None else f"has changed ({', '.join(told)})"
    if was is not None and not told:
        return
    if was is not None and {*told} <= {"only_bands", "at_most"}:
        yield Difference(f"{crm} {name}: of whom it is read from now on", NOTHING, crm)
    elif was is not None and {*told} <= {"scanner"}:
        yield Difference(f"{crm} {name} {what}", DECIDE, crm)
    elif name == COUNTERS:  # no stream of the vendor's: they stand on the people
        for each in new.of_kind("person"):
            yield Difference(f"{crm} {name} {what}", READ, crm, each.object)
    else:
        yield Difference(f"{crm} {name} {what}", READ, crm, name)


# ---------------------------------------------------------------------------------------------------------- words


def _names(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [*old, *(name for name in new if name not in old)]


def _fate(old: object, new: object) -> str:
    if old == new:
        return ""
    if old is None:
        return "is new"
    return "is gone" if new is None else "has changed"


def _value(name: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{name}: {_shown(old)} -> {_shown(new)}"


def _leaves(path: str, old: Any, new: Any) -> Iterator[tuple[str, object, object]]:
    """Where two values differ, down to the smallest that can be told apart by name or place."""
    if old == new:
        return
    named = hasattr(old, "_fields")
    if type(old) is type(new) and is_dataclass(old):
        for each in fields(old):
            name = each.name if each.name not in ("parts", "tests") else ""
            inner = ".".join(part for part in (path, name) if part)
            yield from _leaves(inner, getattr(old, each.name), getattr(new, each.name))
    elif type(old) is type(new) and named and (old[0], old[1]) == (new[0], new[1]):  # one test of a stage
        yield f"{path} {old[0]} {old[1]}", old[2], new[2]
    elif isinstance(old, tuple) and isinstance(new, tuple) and not named and len(old) == len(new):
        for was, now in zip(old, new, strict=True):
            yield from _leaves(path, was, now)
    else:
        yield path or "it", old, new


def _shown(value: object) -> str:
    """A value as an admin would write it, where it is small; else only that it is another."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool | int | str):
        return str(value)
    if isinstance(value, tuple) and all(isinstance(each, bool | int | float | str) for each in value):
        return ", ".join(_shown(each) for each in value) or "none"
    if is_dataclass(value) and all(isinstance(getattr(value, each.name), float) for each in fields(value)):
        return ", ".join(f"{each.name} {_shown(getattr(value, each.name))}" for each in fields(value))
    text = str(value)
    return text if len(text) <= 60 and "(" not in text else "(as in the file)"
