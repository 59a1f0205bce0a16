"""Which first-party events are which of our engagement types: the rules of `tracking`, then the built-in names. Pure.

The built-in names are those of Segment's specs (https://segment.com/docs/connections/spec/: e-commerce, mobile, B2B
SaaS, e-mail), written in snake case; whatever is called like one of our types is that type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from connector.core.conditions import Condition, fold, glob_regex, holds
from connector.core.fields import ENGAGEMENT_TYPES
from connector.core.model import JsonValue

TRACK, PAGE, SCREEN = "track", "page", "screen"
CALLS = (TRACK, PAGE, SCREEN)
"""Calls that tell of something that was done; the others only say who somebody is."""

Get = Callable[[str], JsonValue]
"""Whatever stands in a call under a dotted name: `event`, `name`, `url`, `properties.plan`, `context.ip` ..."""

READS = ("event", "name", "url", "properties.", "context.", "traits.")
"""What a rule may name."""

_BUILT_IN: Mapping[str, str] = {
    "product_added": "cart_added",
    "added_to_cart": "cart_added",
    "wishlist_product_added_to_cart": "cart_added",
    "product_added_to_wishlist": "favorite_added",
    "favorited": "favorite_added",
    "checkout_started": "purchase_intent",
    "payment_info_entered": "purchase_intent",
    "order_completed": "purchase_intent",
    "application_installed": "app_download",
    "app_downloaded": "app_download",
    "application_opened": "product_use",
    "signed_in": "product_use",
    "signed_up": "trial_signup",
    "trial_started": "trial_signup",
    "demo_requested": "demo_request",
    "contact_requested": "contact_request",
    "form_submitted": "form_submission",
    "newsletter_subscribed": "newsletter_subscription",
    "documentation_viewed": "docs_viewed",
    "docs_read": "docs_viewed",
    "content_downloaded": "content_download",
    "page_viewed": "page_view",
    "email_opened": "email_open",
    "email_link_clicked": "email_click",
    "email_bounced": "email_bounce",
    "email_marked_as_spam": "email_unsubscribe",
    "unsubscribed": "email_unsubscribe",
}
_OF_CALL = {PAGE: "page_view", SCREEN: "product_use"}


@dataclass(frozen=True, slots=True)
class TrackingRule:
    """Events of this call, with one of these names (`*` and `?` as in `matches`; none: any) and for which `where`
    holds, are of this type. `name`, `value` and `email` say where in the call these stand."""

    type: str
    call: str = TRACK
    events: tuple[str, ...] = ()
    where: Condition | None = None
    name: str = ""
    value: str = ""
    email: str = ""

    def takes(self, call: str, event: str, get: Get) -> bool:
        """Whether it says what this event is."""
        if call != self.call or (
            self.events and not any(_pattern(each).fullmatch(fold(event)) for each in self.events)
        ):
            return False
        return self.where is None or holds(self.where, get)


def rule_of(rules: Sequence[TrackingRule], call: str, event: str, get: Get) -> TrackingRule:
    """The first rule that takes it; without one the built-in type, `other` where its name says nothing."""
    found = next((rule for rule in rules if rule.takes(call, event, get)), None)
    return found or TrackingRule(_OF_CALL.get(call) or built_in(event))


def built_in(event: str) -> str:
    """The type of an event by its name alone."""
    name = snake(event)
    return name if name in ENGAGEMENT_TYPES else _BUILT_IN.get(name, "other")


def snake(name: str) -> str:
    """`Product Added`, `productAdded` and `product-added` are `product_added`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


@lru_cache(maxsize=1_000)
def _pattern(event: str) -> re.Pattern[str]:
    return re.compile(glob_regex(fold(event)))
