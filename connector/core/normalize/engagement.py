"""Turn one vendor event into engagement in our words, and count once what two CRMs both tell. Pure: points
come later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from connector.core.conditions import holds
from connector.core.handoff import TOUCH
from connector.core.mapping import CrmMapping, StreamMapping
from connector.core.model import Engagement, JsonValue, Ref, Value, VendorEvent
from connector.core.normalize import transforms
from connector.core.normalize.records import first_filled, plain_value

SAME_EVENT = timedelta(minutes=5)
"""Two CRMs that tell of the same type and name within this time tell of one event."""

MACHINE = "the CRM's own filter took it for a machine's"
"""Why an event is not counted whose `attributes.filtered` is true."""

SALES_DID = "sales did it, not the person"
"""Why an event is not counted that the mapping ignores, and keeps as a touch of sales."""


def normalize_event(event: VendorEvent, mapping: CrmMapping) -> tuple[Engagement, ...]:
    """One engagement per record the event is about (all with the event's key), else one by address.

    Empty when the mapping has no such stream or ignores the event, unless it was deleted: a deletion always
    passes, so that what was stored before is taken back. An event that no line of `types` takes is `other`.
    `counted` is False when another stream is this CRM's source of record for the type, and where the vendor itself
    says that no human did it (`attributes.filtered`): that is kept and shown.
    """
    stream = mapping.engagement.get(event.stream)
    if stream is None:
        return ()
    kept = _kept(event, stream)
    attributes = {
        key: plain_value(raw)
        for key, names in stream.attributes.items()
        if not transforms.is_blank(raw := first_filled(event.values, names))
    }

    def value_of(name: str) -> Value:
        if name in stream.fields:
            return kept[name]
        if name.startswith("attributes.") and name.removeprefix("attributes.") in stream.attributes:
            return attributes.get(name.removeprefix("attributes."))
        return plain_value(event.values.get(name))

    touched = stream.touch is not None and holds(stream.touch, value_of)
    if touched:
        attributes[TOUCH] = True
    ignored = not event.deleted and any(holds(condition, value_of) for condition in stream.ignore)
    if ignored and not touched:
        return ()
    type = next(
        (rule.type for rule in stream.types if rule.when is None or holds(rule.when, value_of)), "other"
    )
    source = mapping.source_of(type)
    elsewhere = source is not None and source != event.stream
    why_not = MACHINE if attributes.get("filtered") is True else None
    if ignored:
        why_not = SALES_DID
    if elsewhere:
        why_not = f"{source} is the source of record for {type}"
    about: Sequence[Ref | None] = tuple(dict.fromkeys(event.about)) or (None,)
    return tuple(
        Engagement(
            crm=event.crm,
            stream=event.stream,
            key=event.key,
            type=type,
            occurred_at=event.occurred_at,
            about=ref,
            email=transforms.email(event.email),
            name=_text(kept.get("name")),
            url=_text(kept.get("url")),
            campaign=_text(kept.get("campaign")),
            channel=_text(kept.get("channel")),
            status=_text(kept.get("status")),
            value=_number(kept.get("value")),
            attributes=attributes,
            counted=why_not is None,
            why_not=why_not,
            deleted=event.deleted,
        )
        for ref in about
    )


def count_once(engagements: Iterable[Engagement]) -> tuple[Engagement, ...]:
    """Of one person's engagement what counts, oldest first.

    Left out: what is deleted or set aside already, one event told about a second record of the person, and
    what another CRM told as well (same type, same name in any case, at most five minutes apart). Each event
    stands for at most one event of each other CRM, so two visits that both CRMs know are two; events of one
    CRM are never folded into each other.
    """
    live = sorted(
        (each for each in engagements if each.counted and not each.deleted),
        key=lambda each: (each.occurred_at, each.crm, each.stream, each.key),
    )
    counting: list[Engagement] = []
    recent: dict[tuple[str, str], list[tuple[Engagement, set[str]]]] = {}
    told: set[tuple[str, str, str]] = set()
    for each in live:
        event = (each.crm, each.stream, each.key)
        if event in told:
            continue
        told.add(event)
        kind = (each.type, (each.name or "").strip().casefold())
        near = [pair for pair in recent.get(kind, []) if each.occurred_at - pair[0].occurred_at <= SAME_EVENT]
        twin = next((told for _, told in near if each.crm not in told), None)
        if twin is None:
            counting.append(each)
            near.append((each, {each.crm}))
        else:
            twin.add(each.crm)
        recent[kind] = near
    return tuple(counting)


def _kept(event: VendorEvent, stream: StreamMapping) -> Mapping[str, Value]:
    kept: dict[str, Value] = {}
    for name, sources in stream.fields.items():
        raw: JsonValue = first_filled(event.values, sources)
        kept[name] = transforms.number(raw) if name == "value" else transforms.text(raw)
    return kept


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def moment_of(event: Mapping[str, JsonValue], name: str | None, otherwise: datetime) -> datetime:
    """The time in this column, else the other one."""
    return (transforms.moment(event.get(name)) if name else None) or otherwise
