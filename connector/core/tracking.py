"""Read one call of Segment's HTTP tracking API: who it is about, when it was, and what engagement it is. Pure.

The shape is https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/. What cannot be read raises
SkipRecord with the reason, without the value: what people send is personal data.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from connector.core.model import Engagement, JsonValue, Value
from connector.core.normalize import transforms
from connector.core.tracking_types import CALLS, TRACK, TrackingRule, rule_of, snake
from connector.errors import SkipRecord

APP, STREAM = "app", "track"
"""The `crm` and the `stream` of first-party engagement: beside those of the CRMs, one source like them."""

IDENTIFY, ALIAS, GROUP = "identify", "alias", "group"
KINDS = (*CALLS, IDENTIFY, ALIAS, GROUP)

MOST_ATTRIBUTES = 50
LONGEST_ATTRIBUTE = 500  # characters of a text
LONGEST_ID = 255
_OF_THE_PERSON = frozenset(
    (
        "email",
        "phone",
        "password",
        "token",
        "secret",
        "first_name",
        "firstname",
        "last_name",
        "lastname",
        "address",
        "ip",
    )
)
"""Properties that say who somebody is, not what they did: read where a rule names them, and not kept."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `keys`: who made it, the surer first; `email`: whose they are, where the call itself says so.

    `was`: the keys that an alias joins to the first of `keys`. `event`: what was done, still nobody's but for `email`.
    """

    id: str
    kind: str
    at: datetime
    keys: tuple[str, ...]
    email: str | None = None
    was: tuple[str, ...] = ()
    event: Engagement | None = None


def read_call(
    raw: JsonValue,
    received: datetime,
    *,
    kind: str = "",
    sent: JsonValue = None,
    rules: Sequence[TrackingRule] = (),
) -> Call:
    """The call that `raw` is. `kind`: of the path; in a batch each says its own. `sent`: the batch's `sentAt`.

    A device's clock is corrected as Segment does: what it says is moved by the difference between `sentAt` and when it
    came; nothing lies in the future. Raises SkipRecord.
    """
    if not isinstance(raw, Mapping):
        raise SkipRecord("The event is no object.")
    kind = kind or _text(raw, "type") or ""
    if kind not in KINDS:
        raise SkipRecord(f"`type` is none of {', '.join(KINDS)}.")
    for part in ("properties", "traits", "context"):
        if raw.get(part) is not None and not isinstance(raw[part], Mapping):
            raise SkipRecord(f"`{part}` is no object.")
    user, anonymous = _id(raw, "userId"), _id(raw, "anonymousId")
    was = _id(raw, "previousId") if kind == ALIAS else ""
    keys = tuple(
        filter(None, (f"user:{user}" if user else "", f"anonymous:{anonymous}" if anonymous else ""))
    )
    if not keys:
        raise SkipRecord("It has neither `userId` nor `anonymousId`.")
    if kind == ALIAS and not was:
        raise SkipRecord("An alias needs `previousId`.")
    at = _moment(raw, received, sent)
    id = _id(raw, "messageId") or _digest(raw)

    def get(name: str) -> JsonValue:
        return _under(raw, name)

    email = _own_email(raw, kind, user)
    event = None
    if kind in CALLS:
        name = _event_name(raw, kind)
        rule = rule_of(rules, kind, name, get)
        if rule.email:
            email = transforms.email(get(rule.email)) or email
        event = _engagement(raw, id, at, name, rule, email)
    return Call(id, kind, at, keys, email, _either(was), event)


def name_of(raw: JsonValue) -> str:
    """By what an event that is set aside is known: its message id, else its digest."""
    if isinstance(raw, Mapping):
        found = raw.get("messageId")
        if isinstance(found, str) and 0 < len(found) <= LONGEST_ID:
            return found
    try:
        return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()[:32]
    except RecursionError:
        return str(uuid4())


def _engagement(
    raw: Mapping[str, JsonValue], id: str, at: datetime, name: str, rule: TrackingRule, email: str | None
) -> Engagement:
    def get(place: str) -> JsonValue:
        return _under(raw, place)

    named = transforms.text(get(rule.name)) if rule.name else None
    places = [rule.value] if rule.value else [f"properties.{each}" for each in ("value", "revenue", "total")]
    attributes: dict[str, Value] = dict(_attributes(raw.get("properties") or {}))
    if name:
        attributes["event"] = name[:LONGEST_ATTRIBUTE]
    return Engagement(
        crm=APP,
        stream=STREAM,
        key=id,
        type=rule.type,
        occurred_at=at,
        email=email,
        name=_short(named or name) or None,
        url=_short(transforms.text(get("url"))),
        campaign=_short(transforms.text(get("context.campaign.name"))),
        channel=_short(transforms.text(get("context.campaign.medium"))),
        value=next((found for place in places if (found := _number(get(place))) is not None), None),
        attributes=attributes,
    )


def _event_name(raw: Mapping[str, JsonValue], kind: str) -> str:
    if kind != TRACK:
        return _text(raw, "name") or transforms.text(_under(raw, "properties.title")) or ""
    found = _text(raw, "event")
    if not found:
        raise SkipRecord("A track call needs the name of its `event`.")
    return found


def _own_email(raw: Mapping[str, JsonValue], kind: str, user: str) -> str | None:
    """Whose the call says it is: the person's traits (of a group call they are the group's), what somebody signed up
    with (https://segment.com/docs/connections/spec/b2b-saas/#signed-up), else a user id that is an address."""
    places = ["context.traits.email"]
    if kind == IDENTIFY:
        places.append("traits.email")
    elif kind == TRACK and snake(str(raw.get("event"))) == "signed_up":
        places.append("properties.email")
    told = next(
        (found for place in reversed(places) if (found := transforms.email(_under(raw, place)))), None
    )
    return told or (transforms.email(user) if "@" in user else None)


def _either(previous: str) -> tuple[str, ...]:
    """An alias does not say what its `previousId` was."""
    return (f"anonymous:{previous}", f"user:{previous}") if previous else ()


def _moment(raw: Mapping[str, JsonValue], received: datetime, sent: JsonValue) -> datetime:
    said = _time(raw, "originalTimestamp") or _time(raw, "timestamp")
    if said is None:
        return received
    sent_at = _time(raw, "sentAt") or _time({"sentAt": sent}, "sentAt")
    try:
        moved = said + (received - sent_at) if sent_at is not None else said
    except OverflowError:
        raise SkipRecord("Its times cannot be read together.") from None
    return min(moved, received)


def _time(raw: Mapping[str, JsonValue], name: str) -> datetime | None:
    value = raw.get(name)
    if value is None or value == "":
        return None
    try:
        found = transforms.moment(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise SkipRecord(f"`{name}` is no time as in 2026-11-01T00:00:00Z.")
    return found


def _digest(raw: Mapping[str, JsonValue]) -> str:
    """Without a message id the same event with the same time is the same; without a time each is another."""
    if not (raw.get("timestamp") or raw.get("originalTimestamp")):
        return str(uuid4())
    told = {name: value for name, value in raw.items() if name != "sentAt"}
    try:
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    except RecursionError:
        raise SkipRecord("It is nested too deep.") from None


def _id(raw: Mapping[str, JsonValue], name: str) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SkipRecord(f"`{name}` is no text.")
    found = str(value).replace("\x00", "").strip()
    if len(found) > LONGEST_ID:
        raise SkipRecord(f"`{name}` is longer than {LONGEST_ID} characters.")
    return found


def _text(raw: Mapping[str, JsonValue], name: str) -> str | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise SkipRecord(f"`{name}` is no text.")
    return transforms.text(value)


def _under(raw: Mapping[str, JsonValue], name: str) -> JsonValue:
    """What stands under a dotted name. `url` is the page's, wherever the library puts it."""
    if name == "url":
        return _under(raw, "properties.url") or _under(raw, "context.page.url")
    found: JsonValue = raw
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _attributes(properties: Mapping[str, JsonValue], before: str = "") -> Iterator[tuple[str, Value]]:
    """Flat, one level of objects under dotted names; at most so many."""
    kept = 0
    for name, value in properties.items():
        if name.lower() in _OF_THE_PERSON or kept >= MOST_ATTRIBUTES:
            continue
        if isinstance(value, Mapping):
            if not before:
                for inner in _attributes(value, f"{name}."):
                    if kept >= MOST_ATTRIBUTES:
                        break
                    kept += 1
                    yield inner
            continue
        if isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value)):
            plain: Value = value
        else:
            plain = _short(transforms.text(value))
        if plain is not None:
            kept += 1
            yield f"{before}{name}".replace("\x00", "")[:LONGEST_ID], plain


def _short(text: str | None) -> str | None:
    return text[:LONGEST_ATTRIBUTE] if text else None


def _number(value: JsonValue) -> float | None:
    if isinstance(value, str):
        value = transforms.number(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
