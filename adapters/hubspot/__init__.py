"""HubSpot as one of the CRMs: what it needs from the environment, and both halves of its adapter. Thin on
purpose: what is read is in `pull`, what is written in `push`, what an answer means in `errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.hubspot import access, changes, deals, in_use, segments, setup
from adapters.hubspot import automations as automating
from adapters.hubspot import backfill as filling
from adapters.hubspot import catalog as cataloguing
from adapters.hubspot import inspect as inspecting
from adapters.hubspot import owners as owning
from adapters.hubspot import probe as probing
from adapters.hubspot import pull as pulling
from adapters.hubspot import push as pushing
from adapters.hubspot import tasks as tasking
from adapters.hubspot.api import Api, Paths
from adapters.hubspot.auth import OAuth, StaticToken
from adapters.hubspot.byid import READ_BATCH, missing_of, read_refs, type_of
from adapters.hubspot.cursors import cursor_time
from adapters.hubspot.errors import MissingScopes
from adapters.hubspot.lower import BACKWARD, CLEAR_FIRST
from adapters.hubspot.payload import field_info, read_rows
from adapters.hubspot.rows import results_of
from adapters.hubspot.stage_dates import Answers
from adapters.hubspot.webhooks import hook
from connector.core.crm_task import CrmTask
from connector.core.mapping import CrmMapping
from connector.core.model import JsonValue, Page, Receipt, Ref, VendorRecord, Write
from connector.errors import FixConfig, Problem, RetryLater
from connector.ports import (
    Account,
    Alive,
    Allowance,
    Automations,
    Clock,
    CrmAdmin,
    CrmUser,
    Estimate,
    FieldInfo,
    Fields,
    Finding,
    LastChange,
    Limits,
    Named,
    Plugin,
    ProbeAnswer,
    Range,
    Stream,
    Switch,
    TokenStore,
    ValueInUse,
    Variable,
)
from connector.transport import Auth, checked_url, leaving

SWITCHES = (
    Switch(
        "backward_lifecycle",
        "how a lifecycle stage goes back: cleared and then set (clear_first), set at once (accepted), or not at all"
        " (impossible)",
        CLEAR_FIRST,
    ),
)
SCHEMA_LASTS = timedelta(hours=6)  # admins add stages and options while we run
SCHEMA_ANEW = timedelta(minutes=1)  # where a page makes us doubt it
SCHEMA_AGAIN = timedelta(minutes=1)  # how old it may be when a write is turned away by it
OAUTH = ("HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET", "HUBSPOT_REFRESH_TOKEN")


class HubSpot:
    """A connected HubSpot account: a `connector.ports.Adapter`."""

    crm = "hubspot"
    bulk = None  # batches of 100 are all there is
    limits = Limits(write_batch=pushing.BATCH, read_batch=READ_BATCH, writes_at_once=pushing.AT_ONCE)

    def __init__(self, api: Api, auth: Auth, *, daily_share: float) -> None:
        self._api = api
        self._auth = auth
        self._daily_share = daily_share
        self._under_way = 0  # batches of writes that no answer has counted yet
        self._switches = {switch.name: str(switch.default) for switch in SWITCHES}
        self._answers = Answers()
        self._schemas: dict[str, tuple[datetime, Mapping[str, FieldInfo]]] = {}

    def streams(self) -> Sequence[Stream]:
        """Companies and contacts before the deals and the engagement that refer to them."""
        return pulling.STREAMS

    def pull(self, stream: str, since: Mapping[str, JsonValue] | None, fields: Fields) -> AsyncIterator[Page]:
        """See `adapters.hubspot.pull`."""
        return pulling.pull(self._reading(fields), stream, since)

    def pull_for(
        self, stream: str, people: Sequence[Ref], since: Mapping[str, JsonValue] | None, fields: Fields
    ) -> AsyncIterator[Page]:
        """See `adapters.hubspot.occurrences`: the one stream that costs calls per person."""
        return pulling.pull(self._reading(fields), stream, since, people)

    async def read(self, refs: Sequence[Ref], fields: Fields) -> Mapping[Ref, VendorRecord]:
        """Contacts, companies and deals as they stand now, by the ref asked for; a merged one carries `moved_to`."""
        asked = self._reading(fields)
        found: dict[Ref, VendorRecord] = {}
        for object_ in dict.fromkeys(ref.object for ref in refs):
            type_of(object_)
            here = [ref for ref in refs if ref.object == object_]
            read = await read_refs(self._api, here, await pulling.wanted(asked, object_))
            if object_ == "deal":
                read = dict(zip(read, await deals.whose(self._api, list(read.values())), strict=True))
            found |= read
        return found

    async def gone(self, stream: str, keys: Sequence[str]) -> frozenset[str]:
        """Activities that are no longer live; of streams without ids of records nothing is said."""
        return await missing_of(self._api, stream, keys) if stream in pulling.OBJECTS else frozenset()

    async def last_changes(self, refs: Sequence[Ref], fields: Fields) -> Mapping[tuple[Ref, str], LastChange]:
        """See `adapters.hubspot.changes`."""
        return await changes.last_changes(self._api, refs, fields)

    async def members(self, object: str, segment: str) -> frozenset[str]:
        """See `adapters.hubspot.segments`."""
        return await segments.members(self._api, segment)

    async def account(self) -> Account:
        """Portal, zone, currency and HubSpot's clock. Raises FixConfig for credentials that do not work."""
        return await self._api.account()

    async def schema(self, object: str) -> Mapping[str, FieldInfo]:
        """The live properties of `contact`, `company`, `deal` or a kind of activity, by name. Always asked anew. Of
        deals none, where the token may not see them."""
        try:
            answer = await self._api.get(self._api.paths.properties(type_of(object)))
        except MissingScopes:
            if object != "deal":
                raise
            return {}
        rows, _ = read_rows(results_of(answer), object, field_info)
        found = {info.name: info for info in rows}
        self._schemas[object] = (self._api.clock.now(), found)
        return found

    def _reading(self, fields: Fields) -> pulling.Pulling:
        return pulling.Pulling(self._api, fields, self._cached_schema, self._answers)

    async def _cached_schema(self, object: str, *, anew: bool = False) -> Mapping[str, FieldInfo]:
        known = self._schemas.get(object)
        lasts = SCHEMA_ANEW if anew else SCHEMA_LASTS
        if known is not None and self._api.clock.now() - known[0] < lasts:
            return known[1]
        return await self.schema(object)

    async def _checking(self, object: str, anew: bool) -> Mapping[str, FieldInfo]:
        """The schema that values are held against; asked anew at most once a minute."""
        known = self._schemas.get(object)
        if anew and (known is None or self._api.clock.now() - known[0] >= SCHEMA_AGAIN):
            return await self.schema(object)
        return await self._cached_schema(object)

    def calls(self) -> int:
        """HTTP requests sent so far, refused ones included, token calls not."""
        return self._api.calls

    async def push(self, batch: Sequence[Write], *, alive: Alive | None = None) -> list[Receipt]:
        """See `adapters.hubspot.push`. RetryLater once the day's share of calls, everybody's counted, is
        spent.
        """
        usage = self._api.usage
        used = usage.share_with(self._under_way) if usage is not None else 0.0
        if used >= self._daily_share:
            raise RetryLater(
                f"{used:.0%} of this HubSpot account's calls for today are used, and the connector stops writing at"
                f" {self._daily_share:.0%}.",
                next_step="Writing goes on tomorrow; or raise HUBSPOT_DAILY_SHARE.",
                after=self._api.until_midnight(),
            )
        self._under_way += 1
        try:
            with leaving(alive):
                return await pushing.push(
                    pushing.Pushing(self._api, self._checking, self._switches["backward_lifecycle"]), batch
                )
        finally:
            self._under_way -= 1

    def read_up_to(self, cursor: Mapping[str, JsonValue]) -> datetime | None:
        """See connector.ports. A list that is being read has no watermark yet."""
        return cursor_time(cursor, "until") if "until" in cursor else None

    def under_way(self, cursor: Mapping[str, JsonValue]) -> bool:
        """See connector.ports."""
        return cursor.get("kind") != "window" or "hi" in cursor

    async def estimate(self, stream: str, within: Range) -> Estimate:
        """See `adapters.hubspot.backfill`."""
        return await filling.estimate(self._reading({}), stream, within)

    def backfill(
        self, stream: str, within: Range, begun: Mapping[str, JsonValue] | None, fields: Fields
    ) -> AsyncIterator[Page]:
        """See `adapters.hubspot.backfill`."""
        return filling.backfill(self._reading(fields), stream, within, begun)

    def allowance(self) -> Allowance | None:
        """The day's calls, by HubSpot's own headers; None for OAuth apps, whom it does not tell."""
        usage = self._api.usage
        if usage is None:
            return None
        return Allowance(
            used=usage.allowed - usage.remaining,
            allowed=usage.allowed,
            ours=self._api.calls_today(),
            share=self._daily_share,
            resets_at=self._api.midnight(),
        )

    async def inspect(self, mapping: CrmMapping) -> Sequence[Finding]:
        """See `adapters.hubspot.inspect`."""
        return await inspecting.inspect(self._api, self._auth, mapping)

    async def automations(self, targets: Sequence[str]) -> Automations:
        """See `adapters.hubspot.automations`."""
        return await automating.automations(self._api, targets)

    async def probe(self, test_record: Ref) -> Sequence[ProbeAnswer]:
        """See `adapters.hubspot.probe`."""
        return await probing.probe(self._api, test_record, await self.schema("contact"))

    async def catalog(self) -> Sequence[Named]:
        """Stages, statuses, forms, lists, owners and pipelines, as far as the token may see them."""
        return await cataloguing.catalog(self._api)

    async def make_task(self, task: CrmTask, *, alive: Alive) -> str:
        """See `adapters.hubspot.tasks`."""
        with leaving(alive):
            return await tasking.make_task(self._api, task)

    async def find_task(self, task: CrmTask) -> str | None:
        """See `adapters.hubspot.tasks`."""
        return await tasking.find_task(self._api, task)

    async def users(self) -> Sequence[CrmUser]:
        """See `adapters.hubspot.owners`."""
        return await owning.owners(self._api)

    async def values_in_use(
        self, object: str, field: str, *, besides: Collection[str] = ()
    ) -> Sequence[ValueInUse]:
        """See `adapters.hubspot.in_use`."""
        schema = await self._cached_schema(object)
        return await in_use.values_in_use(self._api, object, field, schema, besides)

    def use(self, switches: Mapping[str, JsonValue]) -> None:
        """The answers of earlier probes. Raises FixConfig for a value that a switch does not have."""
        for name, value in switches.items():
            if name in self._switches:
                if value not in BACKWARD:
                    raise FixConfig(
                        f"The switch {name} has no position {value!r}.",
                        next_step="Run `connector check hubspot --deep` again.",
                    )
                self._switches[name] = str(value)

    async def close(self) -> None:
        """Give connections back."""
        await self._api.close()
        if isinstance(self._auth, OAuth):
            await self._auth.close()


def connected(variables: Mapping[str, str]) -> bool:
    """Whether any credential is set; half-set ones are `connect`'s to refuse."""
    return any(variables.get(name) for name in ("HUBSPOT_ACCESS_TOKEN", *OAUTH))


def connect(variables: Mapping[str, str], clock: Clock, store: TokenStore | None) -> HubSpot:
    """The adapter for these variables. Sends nothing. Raises FixConfig with every problem at once."""
    api, auth, daily_share = _connection(variables, clock, store, ACCESS_TOKEN)
    return HubSpot(api, auth, daily_share=daily_share)


def _connection(
    variables: Mapping[str, str], clock: Clock, store: TokenStore | None, token_variable: str
) -> tuple[Api, StaticToken | OAuth, float]:
    problems: list[Problem] = []

    def tried(name: str, read: Any) -> Any:
        try:
            return read(variables.get(name) or DEFAULTS[name])
        except FixConfig as error:
            message = error.message.removeprefix(f"{name} ")
            problems.append(Problem((name,), f"{message} {error.next_step}".strip()))
        except ValueError as error:
            problems.append(Problem((name,), str(error)))
        return None

    base_url = tried("HUBSPOT_BASE_URL", lambda text: checked_url("HUBSPOT_BASE_URL", text))
    paths = tried("HUBSPOT_API_VERSION", lambda text: Paths(text.strip()))
    rate_share = tried("HUBSPOT_RATE_SHARE", _share)
    daily_share = tried("HUBSPOT_DAILY_SHARE", _share)
    fine = not problems
    token = (variables.get(token_variable) or "").strip()
    oauth = {name: (variables.get(name) or "").strip() for name in OAUTH}
    if not token:
        problems += [Problem((name,), "is not set") for name, value in oauth.items() if not value]
    elif any(character.isspace() or ord(character) > 126 for character in token):
        problems.append(Problem((token_variable,), "holds characters that no token has"))
    if problems:
        raise FixConfig(
            "HubSpot cannot be connected with these settings.",
            next_step="Set HUBSPOT_ACCESS_TOKEN, or all three of HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET and"
            " HUBSPOT_REFRESH_TOKEN."
            if fine
            else "Correct them; docs/reference/settings.md says what each takes.",
            problems=problems,
        )
    auth: StaticToken | OAuth
    if token:
        auth = StaticToken(token, token_variable)
    else:
        auth = OAuth(
            base_url,
            paths.token,
            client_id=oauth["HUBSPOT_CLIENT_ID"],
            client_secret=oauth["HUBSPOT_CLIENT_SECRET"],
            refresh_token=oauth["HUBSPOT_REFRESH_TOKEN"],
            clock=clock,
            store=store,
        )
    return Api(base_url, auth, clock, paths, rate_share), auth, daily_share


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ValueError(f"{text[:20]!r} is not a share above 0 and up to 1")
    return share


def build_sandbox(*arguments: Any, **options: Any) -> object:
    """HubSpot's sandbox; its server is imported only when one is wanted."""
    from adapters.hubspot.sandbox import build

    return build(*arguments, **options)


def admin(variables: Mapping[str, str], clock: Clock) -> CrmAdmin:
    """Set-up by HUBSPOT_ADMIN_TOKEN where it is set, else by the connector's own credentials. Sends nothing."""
    own = (variables.get(ADMIN_TOKEN) or "").strip()
    api, auth, _ = _connection(variables, clock, None, ADMIN_TOKEN if own else ACCESS_TOKEN)
    return setup.Admin(api, auth)


VARIABLES = (
    Variable("HUBSPOT_ACCESS_TOKEN", "a private app's token or a service key", secret=True),
    Variable("HUBSPOT_CLIENT_ID", "OAuth instead of a token: the app's client id"),
    Variable(
        "HUBSPOT_CLIENT_SECRET",
        "the app's client secret: for OAuth, and to know that a webhook is HubSpot's",
        secret=True,
    ),
    Variable("HUBSPOT_REFRESH_TOKEN", "OAuth: the refresh token of this account", secret=True),
    Variable("HUBSPOT_BASE_URL", "where HubSpot's API is", "https://api.hubapi.com"),
    Variable("HUBSPOT_API_VERSION", "a dated version of the API, or v3", "2026-03"),
    Variable("HUBSPOT_RATE_SHARE", "share of the short rate window that we use", "0.9"),
    Variable(
        "HUBSPOT_DAILY_SHARE", "share of the day's calls, everybody's counted, at which writing stops", "0.3"
    ),
)
ACCESS_TOKEN = "HUBSPOT_ACCESS_TOKEN"  # noqa: S105  (a name)
ADMIN_TOKEN = "HUBSPOT_ADMIN_TOKEN"  # noqa: S105  (a name)
ADMIN_VARIABLES = (
    Variable(
        ADMIN_TOKEN,
        "a token that may create properties (`crm.schemas.contacts.write`), for `connector setup` alone; never stored",
        secret=True,
    ),
)
DEFAULTS = {variable.name: variable.default or "" for variable in VARIABLES}

PLUGIN = Plugin(
    crm="hubspot",
    title="HubSpot",
    variables=VARIABLES,
    connected=connected,
    connect=connect,
    build_sandbox=build_sandbox,
    admin=admin,
    admin_variables=ADMIN_VARIABLES,
    as_source=setup.as_source,
    reject_reason="mql_reject_reason",
    access=access.access,
    switches=SWITCHES,
    hook=hook,
)
