"""Sets aside what a machine clicked: a scanner that opens every link of a mail before it is delivered. Pure.

CRMs filter the machines they know; the others click all links of a message within a second or two, as no human does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

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
    why: dict[int, str] = {}
    for (crm, stream, *_), clicks in messages.items():
        rule = rules[str(crm), str(stream)]
        for place in of_many_links(clicks, rule.links, rule.within):
            why[place] = _why(rule)
    return tuple(
        replace(each, counted=False, why_not=why[place]) if place in why else each
        for place, each in enumerate(engagements)
    )


def _why(rule: ScannerRule) -> str:
    return f"{rule.links} or more links of one message clicked within {show_duration(rule.within)}: a scanner"


def recipient_and_message(each: Engagement) -> tuple[object, object]:
    """Who got the mail, and which mail it was, as well as it is told; no message: None."""
    return each.about or each.email, each.attributes.get("message") or each.campaign or each.name


def message_of(each: Engagement) -> tuple[object, ...] | None:
    """The mail that an event belongs to, as one recipient got it; None where the event does not tell."""
    recipient, message = recipient_and_message(each)
    return None if message is None else (each.crm, each.stream, recipient, message)


def of_many_links(clicks: Sequence[tuple[int, Engagement]], links: int, within: timedelta | None) -> set[int]:
    """The places of those clicks of one message that lie in a stretch of time, no longer than `within`, in which at
    least so many different links were clicked; None: however long."""
    if len(clicks) < links:
        return set()
    clicks = sorted(clicks, key=lambda click: click[1].occurred_at)
    found: set[int] = set()
    last = 0
    for first, (_, start) in enumerate(clicks):
        while last < len(clicks) and (
            within is None or clicks[last][1].occurred_at - start.occurred_at <= within
        ):
            last += 1
        stretch = clicks[first:last]
        if len({each.url for _, each in stretch}) >= links:
            found.update(place for place, _ in stretch)
    return found
