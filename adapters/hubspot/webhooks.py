"""HubSpot's webhooks: whether a call is HubSpot's, and which records it names. Reads nothing else out of it.

Signature v3: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation.
What a webhook says of values is not believed: order is not guaranteed and calls come twice, so it is a hint to read
again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from adapters.hubspot.payload import CRM, NEEDS
from connector.core.hints import Hint
from connector.core.model import Ref
from connector.ports import Heard, HookCall

SIGNATURE, TIMESTAMP = "x-hubspot-signature-v3", "x-hubspot-request-timestamp"
WINDOW_MS = 300_000
SECRET = "HUBSPOT_CLIENT_SECRET"  # noqa: S105  (a name)
OBJECTS = {
    "contact": "contact",
    "company": "company",
    "deal": "deal",
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
}
_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
    "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
"""What HubSpot decodes in the address before it signs it."""


def hook(variables: Mapping[str, str], call: HookCall) -> Heard:
    """The records that a call names, where its signature proves that HubSpot sent it within five minutes."""
    secret = (variables.get(SECRET) or "").strip()
    if not secret:
        return Heard(refused=f"{SECRET} is not set, so that nobody can tell who sent this.")
    why = _refused(secret, call)
    if why:
        return Heard(refused=why)
    try:
        told = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        return Heard(unreadable=1)
    events = told if isinstance(told, list) else [told]
    hints: list[tuple[str, Hint]] = []
    unreadable = 0
    for event in events:
        named = list(_hints(event)) if isinstance(event, Mapping) else []
        unreadable += not named
        hints += named
    return Heard(tuple(hints), unreadable=unreadable)


def signature(secret: str, method: str, uri: str, body: bytes, timestamp: str) -> str:
    """Signature v3 of a request."""
    signed = method.encode() + _decoded(uri).encode() + body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def _refused(secret: str, call: HookCall) -> str:
    """Why it is not believed; empty: it is HubSpot's."""
    given, timestamp = call.headers.get(SIGNATURE, ""), call.headers.get(TIMESTAMP, "")
    if not given or not timestamp:
        return "It carries no signature v3."
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        return "Its timestamp is no number of milliseconds."
    if abs(_ms(call.at) - int(timestamp)) > WINDOW_MS:
        return "It was signed more than five minutes ago (or the clocks differ)."
    expected = signature(secret, call.method, call.uri, call.body, timestamp)
    if not hmac.compare_digest(expected.encode(), given.encode()):
        return (
            "Its signature is not that of this app and this address. Behind a proxy set CONNECTOR_PUBLIC_URL to the"
            " address that HubSpot calls."
        )
    return ""


def _decoded(uri: str) -> str:
    address, mark, query = uri.partition("?")
    for code, character in _DECODED.items():
        for each in (code, code.lower()):
            address, query = address.replace(each, character), query.replace(each, character)
    return address + mark + query


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _hints(event: Mapping[str, Any]) -> Iterator[tuple[str, Hint]]:
    """(portal, what to read again): the record, on a merge all that it names, on a changed association both ends."""
    portal = str(event.get("portalId", ""))
    kind, _, what = str(event.get("subscriptionType", "")).partition(".")
    if what == "associationChange":
        yield from _ends(portal, event)
        return
    object_ = OBJECTS.get(str(event.get("objectTypeId", "")) if kind == "object" else kind)
    if object_ is None:
        return
    if what == "propertyChange":
        ids = _ids([event.get("objectId")])
        field, value = str(event.get("propertyName") or ""), event.get("propertyValue")
        needed = field in NEEDS[object_]
        yield from ((portal, Hint(Ref(CRM, object_, id_), field, value, needed)) for id_ in ids)
        return
    merged = event.get("mergedObjectIds")
    named = [event.get("objectId"), event.get("primaryObjectId"), event.get("newObjectId")]
    ids = _ids([*named, *(merged if isinstance(merged, list) else ())])
    yield from ((portal, Hint(Ref(CRM, object_, id_))) for id_ in ids)


def _ends(portal: str, event: Mapping[str, Any]) -> Iterator[tuple[str, Hint]]:
    """`associationType` is as in CONTACT_TO_COMPANY."""
    kinds = str(event.get("associationType", "")).lower().split("_to_")
    ends = (event.get("fromObjectId"), event.get("toObjectId"))
    for kind, end in zip(kinds, ends, strict=False):
        object_ = OBJECTS.get(kind)
        if object_ is not None:
            yield from ((portal, Hint(Ref(CRM, object_, id_))) for id_ in _ids([end]))


def _ids(values: Sequence[Any]) -> list[str]:
    """Numbers here, text in REST."""
    found = [str(each) for each in values if isinstance(each, int | str) and not isinstance(each, bool)]
    return list(dict.fromkeys(each for each in found if each.isascii() and each.isdigit() and len(each) < 20))
