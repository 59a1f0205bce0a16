"""Marketing events of the made-up HubSpot, who registered and who came. Speaks no HTTP: marketing.py does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.hubspot.sandbox.store import Store

DAY = 86_400_000
EVENT_IDS = 300_000_000_000
STATES = ("REGISTERED", "ATTENDED", "CANCELLED", "NO_SHOW", "EMPTY")


@dataclass(slots=True)
class Participation:
    """One state that a person went through. `contact` is a record id."""

    id: int
    contact: int
    state: str
    at: int
    seconds: int | None = None


@dataclass(slots=True)
class MarketingEvent:
    """An event and its participations, oldest first. Times in epoch milliseconds."""

    id: int
    name: str
    type: str
    start: int
    end: int
    created: int
    updated: int
    participations: list[Participation] = field(default_factory=list)


def held(
    store: Store, name: str, type: str, start: int, end: int, *, created: int | None = None
) -> MarketingEvent:
    """A new event."""
    id = EVENT_IDS + len(store.marketing_events)
    made = store.now() if created is None else created
    event = MarketingEvent(id, name, type, start, end, made, made)
    store.marketing_events[id] = event
    return event


def took_part(store: Store, event: MarketingEvent, contact: int, state: str, at: int) -> Participation:
    """Somebody registered, came, cancelled or stayed away. The event's own stamp moves, the contact's does not."""
    if state not in STATES:
        raise ValueError(f"States are {', '.join(STATES)}.")
    id = event.id * 100_000 + len(event.participations)
    seconds = 2_700 if state == "ATTENDED" else None
    event.participations.append(Participation(id, contact, state, at, seconds))
    event.updated = max(event.updated, at)
    return event.participations[-1]


def control(store: Store, object: str, fields: Mapping[str, Any]) -> str:
    """`marketing_events` {name, type?, start?, end?}, or `participations` {event, contact, state, at?}."""
    now = store.now()
    if object == "marketing_events":
        start = int(fields.get("start", now + 7 * DAY))
        end = int(fields.get("end", start + 3_600_000))
        return str(held(store, str(fields["name"]), str(fields.get("type", "WEBINAR")), start, end).id)
    event = store.marketing_events.get(int(fields["event"]))
    if event is None:
        raise LookupError(f"There is no marketing event {fields['event']}.")
    at = int(fields.get("at", now))
    return str(took_part(store, event, int(fields["contact"]), str(fields["state"]), at).id)


def newest(event: MarketingEvent) -> list[Participation]:
    """Per person the last state."""
    last = {each.contact: each for each in event.participations}
    return sorted(last.values(), key=lambda each: each.id)
