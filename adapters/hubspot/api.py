"""Where HubSpot's endpoints are in each API version, and one connection to an account. Knows no record.

Dated paths: developers.hubspot.com changelog, "date-based versioning" (2026-03 is the first that is generally
available). E-mail events, form submissions and the list of forms have no dated twin; that of workflows is in beta.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adapters.hubspot.errors import classifier, place
from adapters.hubspot.rows import next_after, not_a_page, results_of
from connector.errors import FixConfig, StopRun
from connector.ports import Account, Clock
from connector.transport import Answer, Auth, Limiter, Transport

FORMS = "/marketing/v3/forms"
SUBMISSIONS = "/form-integrations/v1/submissions/forms"
EMAIL_EVENTS = "/email/public/v1/events"
EMAIL_CAMPAIGNS = "/email/public/v1/campaigns"
FLOWS = "/automation/v4/flows"
CORRELATION = "x-hubspot-correlation-id"

PERMITS = 100  # per 10 s on the smallest plan; the account's own number is in every answer
WINDOW = timedelta(seconds=10)
SEARCHES = 5  # per second and account; search is exempt from the 10-second window
ASSOCIATION_PERMITS = 100
WIDEST = 6_000  # characters of property names in an address; HubSpot answers 414 somewhere above 8 KB


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths of one API version: `v3`, or a date such as `2026-03`."""

    version: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"v3|20\d\d-(03|09)", self.version):
            raise FixConfig(
                "HUBSPOT_API_VERSION is not a version of HubSpot's API.",
                next_step="Use `2026-03`, a later March or September, or `v3`.",
            )

    def objects(self, type_: str) -> str:
        """Records of one type, `contacts` or `companies` or `calls` ..."""
        return f"/crm/v3/objects/{type_}" if self._v3 else f"/crm/objects/{self.version}/{type_}"

    def properties(self, type_: str) -> str:
        """Property definitions of one type."""
        return f"/crm/v3/properties/{type_}" if self._v3 else f"/crm/properties/{self.version}/{type_}"

    def associations(self, from_: str, to: str) -> str:
        """Links from records of one type to another, in batches."""
        base = "/crm/v4/associations" if self._v3 else f"/crm/associations/{self.version}"
        return f"{base}/{from_}/{to}/batch/read"

    def pipelines(self, type_: str) -> str:
        """Pipelines of one type and their stages."""
        return f"/crm/v3/pipelines/{type_}" if self._v3 else f"/crm/pipelines/{self.version}/{type_}"

    @property
    def owners(self) -> str:
        """Who may own a record."""
        return "/crm/v3/owners" if self._v3 else f"/crm/owners/{self.version}"

    @property
    def lists(self) -> str:
        """Lists of records, found by `/search`."""
        return "/crm/v3/lists" if self._v3 else f"/crm/lists/{self.version}"

    @property
    def marketing_emails(self) -> str:
        """Marketing e-mails, with their names."""
        return "/marketing/v3/emails" if self._v3 else f"/marketing/emails/{self.version}"

    @property
    def marketing_events(self) -> str:
        """Webinars, fairs and the like."""
        return (
            "/marketing/v3/marketing-events/" if self._v3 else f"/marketing/marketing-events/{self.version}"
        )

    def participations(self, event: str) -> str:
        """Who took part in a marketing event, and how."""
        return f"{self.marketing_events.rstrip('/')}/participations/{event}/breakdown"

    @property
    def occurrences(self) -> str:
        """Behavioural events: page visits, and what the account defined itself."""
        return "/events/v3/events/" if self._v3 else f"/events/event-occurrences/{self.version}"

    @property
    def account(self) -> str:
        """Who we are connected as."""
        return "/account-info/v3/details" if self._v3 else f"/account-info/{self.version}/details"

    @property
    def introspect(self) -> str:
        """Where a token tells what it may do."""
        return f"{self.token}/introspect"

    @property
    def token(self) -> str:
        """Where a refresh token becomes an access token."""
        return "/oauth/v3/token" if self._v3 else f"/oauth/{self.version}/token"

    @property
    def _v3(self) -> bool:
        return self.version == "v3"


@dataclass(frozen=True, slots=True)
class Usage:
    """The account's calls today, everybody's counted, as HubSpot's headers say."""

    allowed: int
    remaining: int

    def share_with(self, more: int) -> float:
        """What is used of the day once so many calls more are counted, 0 to 1."""
        return (self.allowed - self.remaining + more) / self.allowed if self.allowed > 0 else 0.0


class Api:
    """One HubSpot account over HTTP: limits learned from its answers, its clock, its day."""

    def __init__(self, base_url: str, auth: Auth, clock: Clock, paths: Paths, rate_share: float) -> None:
        self.paths = paths
        self.clock = clock
        self.usage: Usage | None = None
        self.campaigns: dict[str, str | None] = {}  # names of e-mail campaigns by id, once looked up
        self._widest = WIDEST
        self._zone: ZoneInfo | None = None
        self._today: date | None = None
        self._before_today = 0  # calls of earlier days
        self._skew: timedelta | None = None  # the vendor's clock minus ours
        self._general = Limiter(PERMITS, WINDOW, clock, share=rate_share)
        self._associations = Limiter(ASSOCIATION_PERMITS, WINDOW, clock, share=rate_share)
        self._search = Limiter(SEARCHES, timedelta(seconds=1), clock, share=rate_share)
        self._transport = Transport(
            base_url,
            auth=auth,
            limits={
                "default": self._general,
                "search": self._search,
            },
            classify=classifier(self._until_midnight),
            clock=clock,
            name="HubSpot",
            correlation_header=CORRELATION,
        )

    @property
    def calls(self) -> int:
        """Requests that reached HubSpot, refused ones included."""
        return self._transport.calls

    async def close(self) -> None:
        """Give connections back."""
        await self._transport.close()

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """A GET under the general limit."""
        return self._note(await self._transport.send("GET", path, params=params), general=True)

    async def pages(
        self, path: str, params: Mapping[str, Any], after: str | None = None
    ) -> AsyncIterator[tuple[list[Any], str | None]]:
        """Page after page of a paged GET, from `after` on: the rows, and where the next page begins (None: the last).

        Raises StopRun for an answer that is no such page, or that leads to itself.
        """
        while True:
            answer = await self.get(path, {**params, "after": after})
            following = next_after(answer)
            if following is not None and following == after:
                raise not_a_page(answer)
            yield results_of(answer), following
            if following is None:
                return
            after = following

    async def post(
        self, path: str, body: Mapping[str, Any], *, policy: str = "default", idempotent: bool = True
    ) -> Answer:
        """A POST; `idempotent=False` for writes."""
        answer = await self._transport.send("POST", path, json=body, policy=policy, idempotent=idempotent)
        return self._note(answer, general=policy == "default")

    async def patch(self, path: str, body: Mapping[str, Any]) -> Answer:
        """A PATCH that ends in the same state however often it is sent."""
        return self._note(await self._transport.send("PATCH", path, json=body), general=True)

    async def post_associations(self, path: str, body: Mapping[str, Any]) -> Answer:
        """A POST that counts in the window of associations and in the general one."""
        async with self._associations.permit():
            return self._note(await self._transport.send("POST", path, json=body), general=False)

    def too_wide(self, names: str) -> bool:
        """Whether this many property names, joined by commas, are known to overflow an address."""
        return len(names) > self._widest

    def found_too_wide(self, names: str) -> None:
        """HubSpot, or a proxy on the way, answered 414 to these."""
        self._widest = min(self._widest, len(names) - 1)

    def seconds(self, calls: int, searches: int) -> float:
        """How long so many calls, and so many searches beside them, take at the rate we are allowed."""
        general = calls * self._general.window.total_seconds() / self._general.permits
        search = searches * self._search.window.total_seconds() / self._search.permits
        return max(general, search)

    async def account(self) -> Account:
        """Portal, time zone and clock. One call."""
        answer = await self.get(self.paths.account)
        details = answer.json
        if not isinstance(details, Mapping) or not details.get("portalId"):
            raise StopRun(
                "HubSpot did not say which account this is.",
                next_step="Check that HUBSPOT_BASE_URL leads to HubSpot's API.",
                where=place(answer),
            )
        zone = str(details.get("timeZone") or "UTC")
        self._zone = _zone(zone)
        return Account(
            id=str(details["portalId"]),
            name=str(details.get("uiDomain") or ""),
            timezone=zone,
            currency=str(details["companyCurrency"]) if details.get("companyCurrency") else None,
            now=self._vendor_now(),
        )

    async def now(self) -> datetime:
        """HubSpot's clock, aware UTC. Costs a call only before the first answer of all."""
        if self._skew is None:
            await self.account()
        return self._vendor_now()

    def _vendor_now(self) -> datetime:
        return self.clock.now() + (self._skew or timedelta(0))

    def _note(self, answer: Answer, *, general: bool) -> Answer:
        self._turn_day(made=1)
        said = answer.server_time
        if said is not None:
            self._skew = said - self.clock.now()
        if general:  # search answers carry no such headers, other endpoints may count by other windows
            permits = _number(answer, "x-hubspot-ratelimit-max")
            window = _number(answer, "x-hubspot-ratelimit-interval-milliseconds") or 10_000
            if permits and window == 10_000:
                self._general.resize(permits)
            allowed = _number(answer, "x-hubspot-ratelimit-daily")
            remaining = _number(answer, "x-hubspot-ratelimit-daily-remaining")
            if allowed and remaining is not None:
                self.usage = Usage(allowed, remaining)
        return answer

    def _until_midnight(self) -> timedelta:
        here = self._vendor_now().astimezone(self._zone or UTC)
        midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight.astimezone(UTC) - here.astimezone(UTC)

    def until_midnight(self) -> timedelta:
        """How long until the account's daily allowance starts anew."""
        return self._until_midnight()

    def midnight(self) -> datetime:
        """When the account's daily allowance starts anew, aware UTC."""
        return self._vendor_now() + self._until_midnight()

    def calls_today(self) -> int:
        """Requests of this process since the account's last midnight."""
        self._turn_day()
        return self.calls - self._before_today

    def _turn_day(self, made: int = 0) -> None:
        today = self._vendor_now().astimezone(self._zone or UTC).date()
        if today != self._today:
            self._before_today = self.calls - made if self._today is not None else 0
            self._today = today


def _number(answer: Answer, header: str) -> int | None:
    text = answer.headers.get(header, "")
    return int(text) if text.isascii() and text.isdigit() else None


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
