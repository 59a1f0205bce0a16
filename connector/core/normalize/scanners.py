"""Sets aside what a machine clicked: a scanner that opens every link of a mail before it is delivered. Pure.

CRMs filter the machines they know; the others click all links of a message within a second or two, as no human does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from connector.core.durations import show_duration
from connector.core.mapping import CrmMapping, ScannerRule
from connector.core.model import Engagement

Rules = Mapping[tuple[str, str], ScannerRule]
"""Per CRM and stream of its mapping, the rule of that stream."""


def scanner_rules(mappings: Iterable[CrmMapping]) -> Rules:
    """The rules that the mappings set."""
    return {
        (mapping.crm, stream.stream): stream.scanner
        for mapping in mappings
        for stream in mapping.engagement.values()
        if stream.scanner is not None
    }


def set_aside_scanners(engagements: Sequence[Engagement], rules: Rules) -> tuple[Engagement, ...]:
    """The same events in the same order; those of a machine are not counted, and `why_not` says so.

    A machine's are all clicks of a stretch of time, no longer than the rule's, in which one recipient of one message
    (`attributes.message`, else the campaign, else the name) clicked at least so many different links. A click before
    or after stands for itself.
    """
    messages: dict[tuple[object, ...], list[tuple[int, Engagement]]] = {}
    for place, each in enumerate(engagements):
        rule = rules.get((each.crm, each.stream))
        if rule is None or each.type != rule.type or not each.url or each.deleted or not each.counted:
            continue
        messages.setdefault((each.crm, each.stream, *recipient_and_message(each)), []).append((place, each))
    aside: dict[int, Engagement] = {}
    for (crm, stream, *_), clicks in messages.items():
        aside.update(_by_machine(clicks, rules[str(crm), str(stream)]))
    if not aside:
        return tuple(engagements)
    return tuple(aside.get(place, each) for place, each in enumerate(engagements))


def recipient_and_message(each: Engagement) -> tuple[object, object]:
    """Who got the mail, and which mail it was, as well as it is told; no message: None."""
    return each.about or each.email, each.attributes.get("message") or each.campaign or each.name


def message_of(each: Engagement) -> tuple[object, ...] | None:
    """The mail that an event belongs to, as one recipient got it; None where the event does not tell."""
    recipient, message = recipient_and_message(each)
    return None if message is None else (each.crm, each.stream, recipient, message)


def _by_machine(clicks: list[tuple[int, Engagement]], rule: ScannerRule) -> dict[int, Engagement]:
    """The clicks of one message that lie in a stretch with too many links."""
    if len(clicks) < rule.links:
        return {}
    clicks.sort(key=lambda click: click[1].occurred_at)
    why = f"{rule.links} or more links of one message clicked within {show_duration(rule.within)}: a scanner"
    aside: dict[int, Engagement] = {}
    last = 0
    for first, (_, start) in enumerate(clicks):
        last = max(last, first)
        while last < len(clicks) and clicks[last][1].occurred_at - start.occurred_at <= rule.within:
            last += 1
        stretch = clicks[first:last]
        if len({each.url for _, each in stretch}) >= rule.links:
            aside.update({place: replace(each, counted=False, why_not=why) for place, each in stretch})
    return aside
