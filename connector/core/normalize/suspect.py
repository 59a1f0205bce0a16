"""Sets aside what the criteria's `suspect` rules name: clicks and opens of machines, honeypots. Pure.

Judged from all that is stored of a person whenever somebody is decided, so that a new rule holds for old events too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from connector.core.conditions import holds
from connector.core.model import Engagement
from connector.core.normalize import transforms
from connector.core.normalize.scanners import message_of, of_many_links
from connector.core.suspect_rules import SecondSign, SuspectRule

Message = tuple[object, ...]


def set_aside_suspects(
    engagements: Sequence[Engagement], rules: Sequence[SuspectRule]
) -> tuple[Engagement, ...]:
    """The same events of one person in the same order; those that a rule names are not counted, `why_not` says which.

    Rules are applied in their order, each to what the earlier ones left. What a rule has to know and is not told
    (when the mail was sent, which message it was) clears an event: nobody is suspected for a gap in the data.
    """
    judged = list(engagements)
    for rule in rules:
        for place in _suspects(judged, rule):
            judged[place] = replace(judged[place], counted=False, why_not=rule.why)
    return tuple(judged)


def rules_that_suspect(engagements: Sequence[Engagement], rules: Sequence[SuspectRule]) -> frozenset[str]:
    """The ids of the rules that set aside something of one person's events."""
    judged = set_aside_suspects(engagements, rules)
    whys = {each.why_not for each in judged if not each.counted}
    return frozenset(rule.id for rule in rules if rule.why in whys)


def _suspects(judged: Sequence[Engagement], rule: SuspectRule) -> set[int]:
    counting = [place for place, each in enumerate(judged) if each.counted and not each.deleted]
    found = {place for place in counting if _named(judged[place], rule)}
    if rule.links is not None and found:
        found = _many_links(judged, found, rule.links, rule.within)
    if rule.again_within is not None and found:
        found = _repeated(judged, found, rule.again_within)
    if rule.unopened and found:
        opened = {message_of(judged[place]) for place in counting if judged[place].type == "email_open"}
        found = {
            place for place in found if (of := message_of(judged[place])) is not None and of not in opened
        }
    if rule.unless is not None and found:
        others = [judged[place] for place in counting]
        found = {place for place in found if not _cleared(judged[place], others, rule.unless)}
    return found


def _named(each: Engagement, rule: SuspectRule) -> bool:
    """Whether it is of the rule's types, and looks by itself as the rule says."""
    if each.type not in rule.events:
        return False
    if rule.after_sent is not None:
        sent = transforms.moment(each.attributes.get("sent"))
        if sent is None or each.occurred_at - sent > rule.after_sent:
            return False
    return rule.where is None or holds(rule.where, each.get)


def _many_links(
    judged: Sequence[Engagement], found: Iterable[int], links: int, within: timedelta | None
) -> set[int]:
    """Those of a message of which so many different links were clicked, in one stretch of time if there is a bound."""
    messages: dict[Message, list[int]] = {}
    for place in found:
        of = message_of(judged[place])
        if of is not None and judged[place].url:
            messages.setdefault(of, []).append(place)
    clicks = ([(place, judged[place]) for place in places] for places in messages.values())
    return set().union(*(of_many_links(each, links, within) for each in clicks))


def _repeated(judged: Sequence[Engagement], found: Iterable[int], within: timedelta) -> set[int]:
    """Those that repeat the one before them, as a page that is loaded again sends its form again. The first counts."""
    last: dict[Message, Engagement] = {}
    again: set[int] = set()
    for place in sorted(found, key=lambda place: (judged[place].occurred_at, judged[place].key)):
        each = judged[place]
        what = (each.crm, each.stream, each.type, (each.name or "").casefold(), each.url)
        before = last.get(what)
        if before is not None and before.key == each.key:
            continue  # the same event, told about another record of the person
        if before is not None and each.occurred_at - before.occurred_at <= within:
            again.add(place)
        last[what] = each
    return again


def _cleared(each: Engagement, others: Iterable[Engagement], unless: SecondSign) -> bool:
    """Whether something else shows that a human was there."""
    for other in others:
        if other.type in unless.events and abs(other.occurred_at - each.occurred_at) <= unless.within:
            return True
        same = (other.type, message_of(other)) == (each.type, message_of(each))
        if unless.another_day and same and other.occurred_at.date() != each.occurred_at.date():
            return True
    return False


def suspect_types(rules: Iterable[SuspectRule]) -> frozenset[str]:
    """All types of events that it takes to judge by these rules."""
    return frozenset().union(*(rule.looks_at for rule in rules))


def judged_types(rules: Iterable[SuspectRule]) -> frozenset[str]:
    """The types of which an event may be set aside by these rules."""
    return frozenset(type for rule in rules for type in rule.events)
