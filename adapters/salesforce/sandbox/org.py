"""What an org knows beside its records: who may call, what was used up, which query cursors live."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP
from typing import Any

import jwt

from adapters.salesforce.sandbox.evaluate import Found, World
from adapters.salesforce.sandbox.schema import ObjectType
from adapters.salesforce.sandbox.store import ADMIN_USER, API_USER, Store
from adapters.salesforce.sandbox.wire import Reply

CLIENT_ID = "sandbox-consumer-key"
CLIENT_SECRET = "sandbox-consumer-secret"  # noqa: S105 - a made-up org's
ADMIN_CLIENT_ID = "sandbox-admin-key"
ADMIN_CLIENT_SECRET = "sandbox-admin-secret"  # noqa: S105
USERNAME = "scoring.connector@ourproduct.example"
REFRESH_TOKEN = "sandbox-refresh-token-0"  # noqa: S105
_DAY = timedelta(hours=24)
_CURSORS = 100  # kept at once; older ones die


@dataclass(frozen=True, slots=True)
class Options:
    """How awkward this org is. Times by the sandbox clock.

    `assignment_rule`: an active lead assignment rule takes Leads that an API update does not shield.
    `duplicate_rule`: an Alert rule on the e-mail address of Leads. `page_rows`: the server shrinks pages to this.
    `trigger_rows`: a trigger of the org runs out of CPU time when a call carries more rows than this. `same_id_twice`
    in one call: refuses the second `row`, the whole `request`, or the `last` one counts. `edit_converted`: the API user
    may edit converted Leads. `checkbox_takes_null`: as false, else refused. `noop_moves_stamps`: a write that changes
    nothing moves stamps. `rounding`: to a number field's scale, by decimal's names. `record_types`: some Leads are of
    a type with fewer picklist values; where a client can learn of them: `record_type_source` (layouts, ui, none).
    `uri_limit`: bytes of path and query; beyond them something on the way answers 414. `slow_from`: a query that finds
    more rows runs out of its time.
    `read_only`: the API user may edit no object until a permission set lets it. `rights`: its system permissions (with
    `ViewSetup` it may look at automations); `sees_rights`: it may ask for them. `dependencies`: set-up tells what
    mentions a field (a beta). `picklist_key`: what the Tooling API calls a picklist value's name.
    `session_life` slides with use, but for `jwt_tokens`, which end with another code. `public_key`: PEM by which
    assertions of USERNAME are checked.

    `bulk_queue`, `bulk_time`: how long a job waits, and runs. `bulk_refuses`: objects that Bulk does not serve.
    `bulk_jobs`: query jobs of a day. `bulk_slowest`: a query over a longer stretch of SystemModstamp times out.
    `bulk_nuls`: NUL bytes in texts. `bulk_assigns`: ingest runs the assignment rule too. `bulk_failures`: so many
    ingest jobs end as Failed after `bulk_fails_after` rows. `bulk_batch`: rows of an inner batch; two that write
    children of one account collide.
    """

    strict_limits: bool = True
    daily_limit: int = 100_000
    per_app_limit: int | None = None
    page_rows: int | None = None
    assignment_rule: bool = True
    duplicate_rule: bool = False
    trigger_rows: int | None = None
    same_id_twice: str = "row"
    edit_converted: bool = False
    checkbox_takes_null: bool = True
    noop_moves_stamps: bool = True
    rounding: str = ROUND_HALF_UP
    record_types: bool = False
    record_type_source: str = "layouts"
    uri_limit: int | None = None
    slow_from: int | None = None
    read_only: bool = False
    rights: tuple[str, ...] = ("ApiEnabled",)
    sees_rights: bool = True
    dependencies: bool = True
    picklist_key: str = "valueName"
    jwt_tokens: bool = False
    session_life: timedelta = timedelta(hours=2)
    cursor_life: timedelta = timedelta(days=2)
    public_key: str | None = None
    bulk_queue: timedelta = timedelta(seconds=2)
    bulk_time: timedelta = timedelta(seconds=5)
    bulk_refuses: tuple[str, ...] = ()
    bulk_jobs: int = 10_000
    bulk_slowest: timedelta | None = None
    bulk_nuls: bool = False
    bulk_assigns: bool = False
    bulk_failures: int = 0
    bulk_fails_after: int = 0
    bulk_batch: int = 10_000


@dataclass(frozen=True, slots=True)
class Cursor:
    """An unfinished query: what was found, until when its locator lives."""

    found: Found
    rows: int
    until: datetime


@dataclass(slots=True)
class Org:
    """One made-up org. `schema` is what the API user may see; the store holds everything."""

    id: str
    store: Store
    schema: dict[str, ObjectType]
    options: Options
    sessions: dict[str, datetime] = field(default_factory=dict)  # token -> dies at
    admins: set[str] = field(default_factory=set)  # tokens of the administrator
    by_profile: dict[str, ObjectType] = field(
        default_factory=dict
    )  # what the API user sees without further grants
    custom_ids: dict[tuple[str, str], str] = field(
        default_factory=dict
    )  # (object, field) -> id in the Tooling API
    used: deque[datetime] = field(default_factory=deque)
    cursors: OrderedDict[str, Cursor] = field(default_factory=OrderedDict)
    refresh_token: str | None = REFRESH_TOKEN

    def set_visible(self, object: str, field: str, visible: bool) -> None:
        """Field-level security changes while the org runs. Raises ValueError for a field that does not exist."""
        every, seen = self.store.schema[object].fields, self.schema[object].fields
        if field not in every:
            raise ValueError(f"{object} has no field {field}.")
        fields = {
            name: seen.get(name, each)
            for name, each in every.items()
            if (visible if name == field else name in seen)
        }
        self.schema[object] = self.by_profile[object] = replace(self.schema[object], fields=fields)

    @property
    def world(self) -> World:
        return World(self.schema, self.store.tables, self.store.prefixes)

    # ------------------------------------------------------------ sessions

    def token(self, form: Mapping[str, str], basic: str, base_url: str) -> Reply:
        """Answer `POST /services/oauth2/token`. Errors have a shape of their own, and status 400."""
        client, secret = _basic(basic) or (form.get("client_id", ""), form.get("client_secret", ""))
        grant = form.get("grant_type", "")
        more: dict[str, Any] = {}
        if grant == "client_credentials":
            known = {CLIENT_ID: CLIENT_SECRET, ADMIN_CLIENT_ID: ADMIN_CLIENT_SECRET}
            if client not in known:
                return _refusal("invalid_client_id", "client identifier invalid")
            if secret != known[client]:
                return _refusal("invalid_client", "invalid client credentials")
        elif grant == "refresh_token":
            given = form.get("refresh_token", "")
            if client != CLIENT_ID or self.refresh_token is None or given != self.refresh_token:
                # The second use of a rotated token revokes the whole family.
                self.refresh_token = None
                return _refusal("invalid_grant", "expired access/refresh token")
            self.refresh_token = more["refresh_token"] = f"sandbox-refresh-{secrets.token_hex(16)}"
        elif grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            fault = self._assertion_fault(form.get("assertion", ""), base_url)
            if fault:
                return _refusal("invalid_grant", fault)
        else:
            return _refusal("unsupported_grant_type", "grant type not supported")
        now = self.store.clock.now()
        token = f"{self.id[:15]}!AQ{secrets.token_hex(40)}"
        if self.options.jwt_tokens:
            token = ".".join(base64.urlsafe_b64encode(secrets.token_bytes(30)).decode() for _ in range(3))
        self.sessions[token] = now + self.options.session_life
        user = API_USER
        if grant == "client_credentials" and client == ADMIN_CLIENT_ID:
            self.admins.add(token)
            user = ADMIN_USER
        return Reply(
            200,
            {
                "access_token": token,
                "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
                "scope": "api id",
                "instance_url": base_url,
                "id": f"{base_url}/id/{self.id}/{user}",
                "token_type": "Bearer",
                "issued_at": str(int(now.timestamp() * 1000)),
                **more,
            },
        )

    def _assertion_fault(self, assertion: str, base_url: str) -> str | None:
        if self.options.public_key is None:
            return "user hasn't approved this consumer"
        try:
            claims = jwt.decode(
                assertion,
                self.options.public_key,
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False},  # judged below, by the sandbox clock
            )
        except jwt.PyJWTError:
            return "invalid assertion"
        if claims.get("iss") != CLIENT_ID or claims.get("sub") != USERNAME:
            return "user hasn't approved this consumer"
        if claims.get("aud") not in ("https://login.salesforce.com", "https://test.salesforce.com", base_url):
            return "audience is invalid"
        # An expiry further off than this is in milliseconds, or from a clock that is wrong.
        ahead = float(claims.get("exp", 0)) - self.store.clock.now().timestamp()
        return None if 0 < ahead <= 600 else "expired authorization code"

    def knows(self, authorization: str) -> bool:
        """Whether this `Authorization` header carries a live session; using it prolongs it."""
        scheme, _, token = authorization.partition(" ")
        until = self.sessions.get(token.strip())
        now = self.store.clock.now()
        if scheme.lower() not in ("bearer", "oauth") or until is None or until <= now:
            return False
        if not self.options.jwt_tokens:
            self.sessions[token.strip()] = now + self.options.session_life
        return True

    def is_admin(self, authorization: str) -> bool:
        """Whether this header carries the administrator's session."""
        return authorization.partition(" ")[2].strip() in self.admins

    # ------------------------------------------------------------ allowance

    def spend(self) -> bool:
        """Count one call of the rolling day; False when the allowance was spent already."""
        now = self.store.clock.now()
        while self.used and self.used[0] <= now - _DAY:
            self.used.popleft()
        if self.options.strict_limits and len(self.used) >= self.options.daily_limit:
            return False
        self.used.append(now)
        return True

    def usage(self) -> str:
        """The `Sforce-Limit-Info` header."""
        text = f"api-usage={len(self.used)}/{self.options.daily_limit}"
        if self.options.per_app_limit is not None:
            text += f"; per-app-api-usage={len(self.used)}/{self.options.per_app_limit}(appName=scorer)"
        return text

    # ------------------------------------------------------------ cursors

    def open_cursor(self, found: Found, rows: int) -> str:
        """Keep a query open; returns its locator."""
        locator = f"0r8{secrets.token_hex(7)[:12]}"
        self.cursors[locator] = Cursor(found, rows, self.store.clock.now() + self.options.cursor_life)
        while len(self.cursors) > _CURSORS:
            self.cursors.popitem(last=False)
        return locator

    def cursor(self, locator: str) -> Cursor | None:
        """A live cursor by its locator."""
        found = self.cursors.get(locator)
        return found if found is not None and found.until > self.store.clock.now() else None


def _refusal(error: str, description: str) -> Reply:
    return Reply(400, {"error": error, "error_description": description})


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret
