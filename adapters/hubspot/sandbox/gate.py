"""Who may do what in the made-up HubSpot, and how often: tokens, scopes, rate windows. Knows no record.

Limits of a Professional account as of developers.hubspot.com, "API usage guidelines".
"""

from __future__ import annotations

import secrets
import uuid
from collections import deque
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request

from adapters.hubspot.sandbox.wire import Refused, iso, problem, to_ms
from connector.sandbox.clock import SandboxClock

PORTAL = 4_711_000_001
TIME_ZONE = "Europe/Berlin"
FULL_TOKEN = "pat-eu1-sandbox-full"  # noqa: S105  (opens nothing but this sandbox)
SERVICE_KEY = "pat-eu1-sandbox-service-key"
READ_ONLY_TOKEN = "pat-eu1-sandbox-read-only"  # noqa: S105
RUN_TOKEN = "pat-eu1-sandbox-run"  # noqa: S105  (what a run needs and no more)
NO_FORMS_TOKEN = "pat-eu1-sandbox-no-forms"  # noqa: S105
NO_EVENTS_TOKEN = "pat-eu1-sandbox-no-marketing-events"  # noqa: S105
NO_DEALS_TOKEN = "pat-eu1-sandbox-no-deals"  # noqa: S105
NO_AUTOMATION_TOKEN = "pat-eu1-sandbox-no-automation"  # noqa: S105
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105
TOKEN_SECONDS = 1_800

AUTOMATION = "automation"
SCOPES = frozenset(
    {
        "oauth",
        AUTOMATION,
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
        "crm.objects.companies.read",
        "crm.objects.companies.write",
        "crm.schemas.contacts.read",
        "crm.schemas.contacts.write",
        "crm.schemas.companies.read",
        "crm.schemas.companies.write",
        "crm.objects.deals.read",
        "crm.objects.owners.read",
        "crm.objects.marketing_events.read",
        "crm.lists.read",
        "forms",
        "content",
    }
)
RARELY = frozenset(
    {"crm.schemas.contacts.write", "crm.schemas.companies.write", "crm.objects.companies.write"}
)
GENERAL = ("TEN_SECONDLY_ROLLING", 190, 10.0)
GRANTED = ("TEN_SECONDLY_ROLLING", 110, 10.0)  # of an app that was installed by OAuth
ASSOCIATIONS = ("TEN_SECONDLY_ROLLING", 150, 10.0)
SEARCH = ("SECONDLY", 5, 1.0)
PER_DAY = 625_000
SHAPES = ("errorType", "category", "page")  # of a 429
_CLOUDFLARE = "<html><head><title>530</title></head><body>Error 1016: origin DNS error</body></html>"


class Gate:
    """Checks one request after the other.

    Windows slide by the sandbox clock; a refused call is not counted.
    """

    def __init__(
        self,
        clock: SandboxClock,
        *,
        strict: bool,
        per_day: int,
        portal: int = PORTAL,
        rotates: bool = False,
        revoked: Collection[str] = (),
        shape: str = "errorType",
        grants: frozenset[str] | None = None,
    ) -> None:
        self.portal = portal
        self._clock = clock
        self._rotates = rotates
        self._revoked = revoked
        self._grants = SCOPES if grants is None else grants
        self._shape = shape
        self._grant = REFRESH_TOKEN
        self._strict = strict
        self._per_day = per_day
        self._windows = {name: _Window(*rule) for name, rule in _RULES.items()}
        self._day: Any = None
        self._today = 0
        self._tokens = {
            FULL_TOKEN: SCOPES,
            SERVICE_KEY: SCOPES,
            READ_ONLY_TOKEN: frozenset(scope for scope in SCOPES if not scope.endswith(".write")),
            NO_FORMS_TOKEN: SCOPES - {"forms"},
            NO_EVENTS_TOKEN: SCOPES - {"crm.objects.marketing_events.read"},
            NO_DEALS_TOKEN: SCOPES - {"crm.objects.deals.read"},
            NO_AUTOMATION_TOKEN: SCOPES - {AUTOMATION},
            RUN_TOKEN: SCOPES - RARELY,
        }
        self._granted: dict[str, datetime] = {}  # access token -> when it expires

    def scopes(self, request: Request) -> frozenset[str]:
        """What the bearer of this token may do.

        Raises Refused with 401, or 530 where the token breaks the edge.
        """
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise problem(
                401,
                "INVALID_AUTHENTICATION",
                "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
            )
        if not token.isascii() or any(char.isspace() or char in '"<>' for char in token):
            raise Refused(530, _CLOUDFLARE)
        expires = self._granted.get(token)
        if expires is not None:
            late = self._clock.now() - expires
            if late >= timedelta():
                raise problem(
                    401,
                    "EXPIRED_AUTHENTICATION",
                    f"The OAuth token used to make this call expired {int(late.total_seconds())} second(s) ago.",
                    context={"expire time": [iso(to_ms(expires))]},
                )
            return self._grants
        if token not in self._tokens or token in self._revoked:
            raise problem(401, "INVALID_AUTHENTICATION", "Authentication credentials are invalid.")
        return self._tokens[token]

    def allow(self, scopes: frozenset[str], needed: str) -> None:
        """Raises Refused with 403 where the scope is missing."""
        if needed and needed not in scopes:
            raise problem(
                403,
                "MISSING_SCOPES",
                "This app hasn't been granted all required scopes to make this call.",
                errors=[
                    {
                        "message": "One or more of the following scopes are required.",
                        "context": {"requiredGranularScopes": [needed]},
                    }
                ],
                links={"scopes": "https://developers.hubspot.com/scopes"},
            )

    def is_granted(self, request: Request) -> bool:
        """Whether this call carries an access token of OAuth."""
        return request.headers.get("authorization", "").partition(" ")[2] in self._granted

    def count(self, policy: str, *, granted: bool = False) -> dict[str, str]:
        """Count a call under `general`, `search` or `associations`. Returns the rate headers; raises 429.

        An app of OAuth (`granted`) has a window of its own, and is not told the day's calls.
        """
        now = self._clock.now()
        self._turn_day(now)
        general = "granted" if granted else "general"
        names = {"general": (general,), "search": ("search",)}.get(policy, (general, "associations"))
        windows = [self._windows[name] for name in names]
        if self._strict:
            if self._today >= self._per_day:
                raise _too_many("DAILY", "You have reached your daily limit.", self._shape)
            for window in windows:
                if window.used(now) >= window.most:
                    raise _too_many(window.name, window.message, self._shape)
        self._today += 1
        for window in windows:
            window.add(now)
        if policy == "search":
            return {}  # search answers carry no rate headers
        window = windows[-1]
        daily = {
            "X-HubSpot-RateLimit-Daily": str(self._per_day),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, self._per_day - self._today)),
        }
        return {
            "X-HubSpot-RateLimit-Max": str(window.most),
            "X-HubSpot-RateLimit-Remaining": str(max(0, window.most - window.used(now))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(window.seconds * 1000)),
            "X-HubSpot-RateLimit-Secondly": "19",
            "X-HubSpot-RateLimit-Secondly-Remaining": "18",
            **({} if granted else daily),
        }

    def usage(self) -> dict[str, Any]:
        """Today's calls and when the day ends, by the account's zone."""
        now = self._clock.now()
        self._turn_day(now)
        midnight = (now.astimezone(ZoneInfo(TIME_ZONE)) + timedelta(days=1)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        return {
            "name": "private-apps-api-calls-daily",
            "usageLimit": self._per_day,
            "currentUsage": self._today,
            "collectedAt": iso(to_ms(now)),
            "fetchStatus": "SUCCESS",
            "resetsAt": iso(to_ms(midnight)),
        }

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        """Answer of the token endpoint. Raises Refused with 400."""
        _refuse_strangers(form)
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self._grant:
            raise Refused(
                400,
                {
                    "error": "invalid_grant",
                    "error_description": "refresh token is invalid, expired or revoked",
                    "status": "BAD_REFRESH_TOKEN",
                    "message": "missing or invalid refresh token",
                },
            )
        token = f"sandbox-access-{secrets.token_hex(12)}"
        if self._rotates:
            self._grant = f"sandbox-refresh-{secrets.token_hex(12)}"
        self._granted[token] = self._clock.now() + timedelta(seconds=TOKEN_SECONDS)
        return {
            "token_type": "bearer",
            "access_token": token,
            "refresh_token": self._grant,
            "expires_in": TOKEN_SECONDS,
            "hub_id": self.portal,
            "scopes": sorted(self._grants),
        }

    def introspect(self, form: dict[str, str]) -> dict[str, Any]:
        """What an access token may do. Raises Refused with 400."""
        _refuse_strangers(form)
        expires = self._granted.get(form.get("token", ""))
        left = (expires - self._clock.now()).total_seconds() if expires is not None else 0
        if left <= 0:
            return {"active": False}
        return {
            "active": True,
            "token_type": "ACCESS",
            "client_id": CLIENT_ID,
            "hub_id": self.portal,
            "expires_in": int(left),
            "scopes": sorted(self._grants),
        }

    def _turn_day(self, now: datetime) -> None:
        day = now.astimezone(ZoneInfo(TIME_ZONE)).date()
        if day != self._day:
            self._day, self._today = day, 0


def _refuse_strangers(form: dict[str, str]) -> None:
    if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
        raise Refused(
            400,
            {
                "error": "invalid_client",
                "error_description": "client_id or client_secret is wrong",
                "status": "BAD_CLIENT_ID",
                "message": "missing or unknown client id",
            },
        )


_RULES = {"general": GENERAL, "granted": GRANTED, "associations": ASSOCIATIONS, "search": SEARCH}


class _Window:
    def __init__(self, name: str, most: int, seconds: float) -> None:
        self.name = name
        self.most = most
        self.seconds = seconds
        self._at: deque[datetime] = deque()

    @property
    def message(self) -> str:
        word = "secondly" if self.name == "SECONDLY" else self.name.lower()
        return f"You have reached your {word} limit."

    def used(self, now: datetime) -> int:
        start = now - timedelta(seconds=self.seconds)
        while self._at and (self._at[0] <= start or self._at[0] > now):  # a clock set back forgives
            self._at.popleft()
        return len(self._at)

    def add(self, now: datetime) -> None:
        self._at.append(now)


def _too_many(policy: str, message: str, shape: str) -> Refused:
    if shape == "page":  # an edge before the API answers so, without JSON
        return Refused(429, "<html><body><h1>429 Too Many Requests</h1></body></html>")
    kind = {"errorType": "RATE_LIMIT"} if shape == "errorType" else {"category": "RATE_LIMITS"}
    body = {
        "status": "error",
        "message": message,
        **kind,
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "requestId": str(uuid.uuid4()),
    }
    return Refused(429, body)
