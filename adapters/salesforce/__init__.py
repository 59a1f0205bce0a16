"""Salesforce as the flow asks for it: what it can pull and take, how to connect. Delegates everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.salesforce import auth, in_use, soql, tasks
from adapters.salesforce.access import access
from adapters.salesforce.automations import automations
from adapters.salesforce.backfill import backfill, estimate
from adapters.salesforce.bulk import Bulk
from adapters.salesforce.bulk_sink import JobSink
from adapters.salesforce.byid import gone, read
from adapters.salesforce.catalog import catalog
from adapters.salesforce.changes import last_changes
from adapters.salesforce.cursors import Changes, read_cursor
from adapters.salesforce.errors import FieldRefused, ObjectRefused, classify
from adapters.salesforce.inspect import inspect
from adapters.salesforce.owners import owners
from adapters.salesforce.payload import CRM, field_info
from adapters.salesforce.probe import EDITABLE, SOURCE, SWITCHES, probe
from adapters.salesforce.pull import STREAMS, pull
from adapters.salesforce.push import BATCH, Pace, push
from adapters.salesforce.rest import Rest, urgent
from adapters.salesforce.setup import Admin, Door
from adapters.salesforce.source import as_source
from connector.core.crm_task import CrmTask
from connector.core.mapping import CrmMapping
from connector.core.model import JsonValue, Page, Receipt, Ref, VendorRecord, Write
from connector.errors import FixConfig, StopRun
from connector.ports import (
    Account,
    Adapter,
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
    TokenStore,
    ValueInUse,
)
from connector.transport import Limiter, Transport, leaving

OLDEST_VERSION = 60  # Spring '24, the oldest that was tried

# Only calls of 20 s and longer are counted, 25 at once in production and 5 in small orgs:
# https://developer.salesforce.com/docs/atlas.en-us.salesforce_app_limits_cheatsheet.meta/
CALLS_AT_ONCE = 5
AT_ONCE_NOT_PER_TIME = timedelta(milliseconds=1)

SCHEMA_FRESH = timedelta(seconds=30)  # a permission just granted shows at the next `check`


class Salesforce:
    """One connected org. Implements connector.ports.Adapter."""

    crm = CRM
    limits = Limits(write_batch=BATCH, read_batch=soql.IDS_IN_QUERY)

    def __init__(
        self,
        grant: auth.Grant,
        clock: Clock,
        tokens: TokenStore | None,
        *,
        version: str = "66.0",
        rate_share: float = 0.9,
        daily_share: float = 0.3,
        guard_stage: bool = False,
        bulk_read_from: int | None = 50_000,
        bulk_write_from: int | None = 10_000,
    ) -> None:
        self._clock = clock
        self._login = auth.Login(grant, clock, tokens)
        limiter = Limiter(CALLS_AT_ONCE, AT_ONCE_NOT_PER_TIME, clock, share=rate_share)
        self._http = _transport(self._login, clock, limiter)
        self._rest = Rest(self._http, clock, version, daily_share)
        self._bulk = Bulk(self._rest, clock, reads_from=bulk_read_from)
        writes_from = None if guard_stage else bulk_write_from  # a job knows no conditions
        self.bulk = JobSink(self._bulk, clock, self.push, lambda name: self._switches[name], writes_from)
        self._pace = Pace()
        self._guard = guard_stage
        self._switches: dict[str, JsonValue] = {switch.name: switch.default for switch in SWITCHES}
        self._version, self._daily_share = version, daily_share
        self._served: Sequence[str] = ()

    def streams(self) -> Sequence[Stream]:
        """Companies, people, opportunities, then what people did."""
        return STREAMS

    def pull(self, stream: str, since: Mapping[str, JsonValue] | None, fields: Fields) -> AsyncIterator[Page]:
        """See pull.pull."""
        return pull(self._bulk, stream, since, fields)

    def pull_for(
        self, stream: str, people: Sequence[Ref], since: Mapping[str, JsonValue] | None, fields: Fields
    ) -> AsyncIterator[Page]:
        """Salesforce has no streams that cost calls per person."""
        raise StopRun(
            f"Salesforce has no stream `{stream}` that is read per person.",
            next_step="Use one of the adapter's streams.",
        )

    async def read(self, refs: Sequence[Ref], fields: Fields) -> Mapping[Ref, VendorRecord]:
        """See pull.read."""
        with urgent():
            return await read(self._rest, refs, fields)

    async def push(self, batch: Sequence[Write], *, alive: Alive | None = None) -> list[Receipt]:
        """See push.push."""
        look_first = bool(self._switches[EDITABLE])
        with urgent(), leaving(alive):
            return await push(
                self._rest, self._clock, batch, pace=self._pace, look_first=look_first, guard=self._guard
            )

    async def schema(self, object: str) -> Mapping[str, FieldInfo]:
        """The fields of an object that this user sees, by name. Raises FixConfig where it sees no such
        object.
        """
        described = await self._rest.describe(soql.name(object), younger_than=SCHEMA_FRESH)
        infos = (field_info(each) for each in described["fields"])
        return {info.name: info for info in infos}

    async def gone(self, stream: str, keys: Sequence[str]) -> frozenset[str]:
        """See byid.gone."""
        return await gone(self._rest, stream, keys)

    async def last_changes(self, refs: Sequence[Ref], fields: Fields) -> Mapping[tuple[Ref, str], LastChange]:
        """See changes.last_changes."""
        return await last_changes(self._rest, refs, fields)

    async def members(self, object: str, segment: str) -> frozenset[str]:
        """Salesforce has no lists of people in this sense: FixConfig."""
        raise FixConfig(
            f"Salesforce has no segments; `{segment}` cannot be read.",
            next_step="Take `override.segments` out of mappings/salesforce.yaml; use a field (`override.from`).",
            where="salesforce",
        )

    async def account(self) -> Account:
        """The org, its name, time zone and clock. Raises FixConfig where the credentials do not work, or where the org
        does not serve our version of the API."""
        session = await self._login.session()
        await self._check_version()
        query = soql.select(["Id", "Name", "TimeZoneSidKey"], "Organization")
        now = None
        try:
            async for page in self._rest.query(query):
                now = page.opened
                for row in page.rows:
                    zone = str(row.get("TimeZoneSidKey") or "UTC")
                    return Account(session.org, str(row.get("Name") or ""), zone, now=now)
        except (FieldRefused, ObjectRefused):
            pass  # the org's own row is hidden from this user; its id came with the login
        return Account(session.org, now=now)

    async def _check_version(self) -> None:
        """Once per connection. Three releases a year; each is served for three years at least:
        https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/api_rest_eol.htm"""
        if not self._served:
            self._served = await self._rest.versions()
        if self._version not in self._served:
            raise FixConfig(
                f"The org does not serve version {self._version} of its API; it serves {self._served[0]} to "
                f"{self._served[-1]}.",
                next_step=f"Set SALESFORCE_API_VERSION to {self._served[-1]}, or to one in between.",
            )

    def calls(self) -> int:
        """HTTP requests sent so far, logins not."""
        return self._http.calls

    def read_up_to(self, cursor: Mapping[str, JsonValue]) -> datetime | None:
        """See connector.ports."""
        place = read_cursor(cursor)
        return place.until if isinstance(place, Changes) else None

    def under_way(self, cursor: Mapping[str, JsonValue]) -> bool:
        """See connector.ports."""
        place = read_cursor(cursor)
        return not isinstance(place, Changes) or place.stamp is not None

    async def estimate(self, stream: str, within: Range) -> Estimate:
        """See backfill.estimate."""
        return await estimate(self._bulk, stream, within)

    def backfill(
        self, stream: str, within: Range, begun: Mapping[str, JsonValue] | None, fields: Fields
    ) -> AsyncIterator[Page]:
        """See backfill.backfill."""
        return backfill(self._bulk, stream, within, begun, fields)

    def allowance(self) -> Allowance | None:
        """The org's calls of the last 24 hours, as `Sforce-Limit-Info` or `/limits` told them last."""
        told = self._rest.usage()
        return Allowance(told.used, told.allowed, told.ours, self._daily_share) if told.allowed else None

    async def inspect(self, mapping: CrmMapping) -> Sequence[Finding]:
        """See inspect.inspect."""
        session = await self._login.session()
        source = str(self._switches[SOURCE])
        return await inspect(self._rest, session.user, mapping, source=source)

    async def automations(self, targets: Sequence[str]) -> Automations:
        """See automations.automations."""
        return await automations(self._rest, targets)

    async def probe(self, test_record: Ref) -> Sequence[ProbeAnswer]:
        """See probe.probe."""
        return await probe(self._rest, self._clock, test_record)

    async def catalog(self) -> Sequence[Named]:
        """See catalog.catalog."""
        return await catalog(self._rest)

    async def make_task(self, task: CrmTask, *, alive: Alive) -> str:
        """See tasks.make_task."""
        with leaving(alive), urgent():
            return await tasks.make_task(self._rest, self._clock, task)

    async def find_task(self, task: CrmTask) -> str | None:
        """See tasks.find_task."""
        return await tasks.find_task(self._rest, task)

    async def users(self) -> Sequence[CrmUser]:
        """See owners.owners."""
        return await owners(self._rest)

    async def values_in_use(
        self, object: str, field: str, *, besides: Collection[str] = ()
    ) -> Sequence[ValueInUse]:
        """See in_use.values_in_use."""
        return await in_use.values_in_use(self._rest, object, field, besides)

    def use(self, switches: Mapping[str, JsonValue]) -> None:
        """See connector.ports."""
        self._switches |= {name: value for name, value in switches.items() if name in self._switches}

    async def close(self) -> None:
        """Give connections back."""
        await self._http.close()
        await self._login.close()


def connect(variables: Mapping[str, str], clock: Clock, tokens: TokenStore | None) -> Adapter:
    """An adapter for the org these variables mean; nothing is sent yet. Raises FixConfig."""
    return Salesforce(
        auth.grant_of(variables),
        clock,
        tokens,
        version=_version(variables.get("SALESFORCE_API_VERSION", "66.0")),
        rate_share=_share("SALESFORCE_RATE_SHARE", variables.get("SALESFORCE_RATE_SHARE", "0.9")),
        daily_share=_share("SALESFORCE_DAILY_SHARE", variables.get("SALESFORCE_DAILY_SHARE", "0.3")),
        guard_stage=_yes("SALESFORCE_GUARD_STAGE", variables.get("SALESFORCE_GUARD_STAGE", "false")),
        bulk_read_from=_rows(
            "SALESFORCE_BULK_READ_FROM", variables.get("SALESFORCE_BULK_READ_FROM", "50000")
        ),
        bulk_write_from=_rows(
            "SALESFORCE_BULK_WRITE_FROM", variables.get("SALESFORCE_BULK_WRITE_FROM", "10000")
        ),
    )


def _yes(name: str, value: str) -> bool:
    if value.strip().lower() not in ("true", "false"):
        raise FixConfig(f"{name} is neither true nor false.", next_step="Set it to true or false.")
    return value.strip().lower() == "true"


def _version(value: str) -> str:
    number = value.strip().removeprefix("v").removesuffix(".0")
    if not (number.isascii() and number.isdecimal() and int(number) >= OLDEST_VERSION):
        raise FixConfig(
            "SALESFORCE_API_VERSION is not a REST API version that this connector can use.",
            next_step=f"Set it to {OLDEST_VERSION}.0 or newer, such as 66.0.",
        )
    return f"{number}.0"


def _rows(name: str, value: str) -> int | None:
    text = value.strip().lower()
    if text == "never":
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise FixConfig(
            f"{name} is not a number of rows.", next_step="Set it to a whole number above 0, or to `never`."
        )
    return int(text)


def _share(name: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise FixConfig(
            f"{name} is not a share.", next_step="Set it to a number above 0 and at most 1, such as 0.9."
        )
    return share


def build_sandbox(*args: Any, **options: Any) -> object:
    """The made-up org: see adapters/salesforce/sandbox."""
    from adapters.salesforce.sandbox import build

    return build(*args, **options)


def admin(variables: Mapping[str, str], clock: Clock) -> CrmAdmin:
    """Set-up, as the administrator of SALESFORCE_ADMIN_*, else as the integration user. Raises FixConfig."""
    version = _version(variables.get("SALESFORCE_API_VERSION", "66.0"))
    by_admin = auth.admin_grant_of(variables)
    runtime = auth.grant_of(variables) if auth.connected(variables) else None
    if runtime is not None and runtime.kind == "refresh":
        if by_admin is None:
            raise FixConfig(
                "A rotating refresh token belongs to the running connector; set-up must not use it up.",
                next_step="Set SALESFORCE_ADMIN_* to an administrator's credential.",
            )
        runtime = None
    if by_admin is None and runtime is None:
        raise FixConfig(
            "There is no credential to set Salesforce up with.",
            next_step="Set SALESFORCE_ADMIN_* to an administrator's credential; it is used once and kept nowhere.",
        )
    own = _door(runtime, clock, version) if runtime is not None else None
    door = _door(by_admin, clock, version) if by_admin is not None else own
    assert door is not None
    return Admin(door, own, clock)


def _door(grant: auth.Grant, clock: Clock, version: str) -> Door:
    login = auth.Login(grant, clock, None)
    http = _transport(login, clock, Limiter(CALLS_AT_ONCE, AT_ONCE_NOT_PER_TIME, clock))
    return Door(login, http, Rest(http, clock, version, 1.0))


def _transport(login: auth.Login, clock: Clock, limiter: Limiter) -> Transport:
    return Transport(
        login.instance_url,
        auth=login,
        limits={"default": limiter},
        classify=classify,
        clock=clock,
        name="Salesforce",
        correlation_header="x-sfdc-request-id",
    )


PLUGIN = Plugin(
    crm=CRM,
    title="Salesforce",
    variables=auth.VARIABLES,
    connected=auth.connected,
    connect=connect,
    build_sandbox=build_sandbox,
    admin=admin,
    admin_variables=auth.ADMIN_VARIABLES,
    as_source=as_source,
    reject_reason="MQL_Reject_Reason__c",
    access=access,
    switches=SWITCHES,
)
