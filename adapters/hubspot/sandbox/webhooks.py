"""The made-up account's webhooks: what an app that is subscribed to everything is told, signed, bad habits included.

Shapes: https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide. Ids are numbers here, a call holds
at most a hundred events, their order is not guaranteed, and a call that is not answered with 2xx comes again, up to ten
times. Signed by the app's client secret (v3); knows nothing of how the connector checks that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from adapters.hubspot.sandbox.gate import CLIENT_SECRET, PORTAL

MOST = 100  # events of a call
TRIES = 10

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""Sends a POST to an address, with a body and headers; returns the status."""


class Webhooks:
    """What has happened and was not told yet. Off until somebody subscribes: a benchmark must not fill the memory."""

    def __init__(self, now: Callable[[], int], portal: int = PORTAL) -> None:
        self._now, self._portal = now, portal
        self.subscribed = False
        self.events: list[dict[str, Any]] = []

    def changed(self, object: str, id: int, values: Mapping[str, Any], by: str) -> None:
        """Properties have other values."""
        source = (
            {"changeSource": "INTEGRATION"}
            if by == "api"
            else {"changeSource": "CRM_UI", "sourceId": "userId:9"}
        )
        for name, value in values.items():
            if name not in ("hs_lastmodifieddate", "lastmodifieddate", "num_unique_conversion_events"):
                self._add(
                    object, "propertyChange", id, propertyName=name, propertyValue=value or "", **source
                )

    def happened(self, object: str, what: str, id: int, **more: Any) -> None:
        """creation, deletion, restore, privacyDeletion, merge."""
        self._add(object, what, id, **more)

    def _add(self, object: str, what: str, id: int, **more: Any) -> None:
        if self.subscribed and object in ("contact", "company", "deal"):
            self.events.append(
                {
                    "eventId": 100 + len(self.events) % 3,  # not unique, as HubSpot's are not
                    "subscriptionId": 25,
                    "portalId": self._portal,
                    "appId": 77,
                    "occurredAt": self._now(),
                    "subscriptionType": f"{object}.{what}",
                    "attemptNumber": 0,
                    "objectId": id,
                    **more,
                }
            )

    async def deliver(self, uri: str, post: Post, *, secret: str = CLIENT_SECRET, late: int = 0) -> list[int]:
        """Tell what has happened, newest first, the last event twice; returns the statuses. `late`: milliseconds that
        the signature is old. What nobody has taken after ten tries is lost."""
        told, self.events = [*reversed(self.events), *self.events[-1:]], []
        statuses = []
        for start in range(0, len(told), MOST):
            for attempt in range(TRIES):
                body = orjson.dumps(
                    [{**each, "attemptNumber": attempt} for each in told[start : start + MOST]]
                )
                status = await post(uri, body, self.signed("POST", uri, body, secret=secret, late=late))
                statuses.append(status)
                if 200 <= status < 300:
                    break
        return statuses

    def signed(
        self, method: str, uri: str, body: bytes, *, secret: str = CLIENT_SECRET, late: int = 0
    ) -> dict[str, str]:
        """The headers of a call."""
        stamp = str(self._now() - late)
        source = b"".join((method.encode(), uri.encode(), body, stamp.encode()))
        v3 = base64.b64encode(hmac.new(secret.encode(), source, hashlib.sha256).digest()).decode()
        v1 = hashlib.sha256(secret.encode() + body).hexdigest()
        return {
            "Content-Type": "application/json",
            "X-HubSpot-Signature": v1,
            "X-HubSpot-Signature-Version": "v1",
            "X-HubSpot-Signature-v3": v3,
            "X-HubSpot-Request-Timestamp": stamp,
        }
