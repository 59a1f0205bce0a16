"""Put the parts together: scan the adapters, read their variables, open the ledger, load the definition.

The one place that scans; no CRM is named here either.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, partial
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

import adapters as adapters_package
from connector.app.daily_calls import DailyCalls
from connector.app.definition import by_the_clock_of, in_zone, load_definition, read_texts, refuse_red
from connector.app.erasure_key import key_box
from connector.app.in_force import InForce, in_force
from connector.app.observed import calls_told
from connector.app.settings import Settings, interval_of, variables_of
from connector.app.tokens import SealedTokens
from connector.core.definition import Definition
from connector.core.names import nearest
from connector.errors import FixConfig
from connector.ledger import SqlLedger, open_ledger
from connector.ports import Adapter, Clock, Plugin, TokenStore
from connector.transport import watch_calls

log = structlog.get_logger(__name__)


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


@cache
def plugins() -> Mapping[str, Plugin]:
    """Every folder under `adapters/`, by CRM name. A new folder is found here, nothing else is edited."""
    found: dict[str, Plugin] = {}
    for info in pkgutil.iter_modules(adapters_package.__path__):
        if info.ispkg:
            plugin: Plugin = importlib.import_module(f"adapters.{info.name}").PLUGIN
            found[plugin.crm] = plugin
    return dict(sorted(found.items()))


def chosen(names: Sequence[str]) -> list[Plugin]:
    """The plugins of these names; all when none is named. FixConfig for an unknown one."""
    known = plugins()
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise FixConfig(
                f"There is no CRM called `{name}`.",
                next_step=f"Did you mean `{hint}`?" if hint else f"Known: {', '.join(known)}.",
            )
    return [known[name] for name in (dict.fromkeys(names) or known)]


@cache
def holder() -> str:
    """Who holds our leases: this process on this host. Containers may share a host's name, and each has a process 1:
    so a few random digits tell them apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Wired:
    """Everything a run needs."""

    adapters: Mapping[str, Adapter]
    definition: Definition
    ledger: SqlLedger
    clock: SystemClock
    holder: str
    skipped: tuple[str, ...] = ()  # CRMs without credentials
    intervals: Mapping[str, timedelta] = field(default_factory=dict)  # between two scheduled syncs, by CRM
    look: Callable[[], Awaitable[InForce]] | None = None  # which definition is in force now
    told: str = ""  # where the folder says something else than what is in force
    load: Callable[[], Definition] | None = None  # the folder's files, whatever is in force
    zone: tzinfo = UTC  # of days, nights and working hours (CONNECTOR_TIMEZONE)
    calls: DailyCalls = field(default_factory=DailyCalls)  # of this process to the CRMs
    reconnect: Callable[[], Awaitable[list[str]]] | None = None  # with what their mounted secrets say now

    def of(self, crms: Iterable[str]) -> Wired:
        """The same with these CRMs alone."""
        return replace(self, adapters={crm: self.adapters[crm] for crm in sorted(crms)})

    async def read_again(self) -> Wired:
        """The same with what is in force now. Raises FixConfig where that lacks a CRM that is connected."""
        found = await self.look() if self.look is not None else InForce(self.definition)
        missing = [crm for crm in self.adapters if crm not in found.definition.mappings]
        if missing:
            raise FixConfig(
                f"There is no {missing[0]}.yaml any more.",
                next_step="Put it back, or take away the credentials of that CRM and start again.",
            )
        return replace(self, definition=found.definition, told=found.told)


def read_version(texts: Mapping[str, str], settings: Settings) -> Definition | None:
    """The definition in the files of a version; None where there are none, or not right by today's rules."""
    return read_in(texts, ZoneInfo(settings.timezone))


def read_in(texts: Mapping[str, str], zone: tzinfo) -> Definition | None:
    """The same, with days, nights and working hours in this zone."""
    kept = read_texts(texts, plugins()) if texts else None
    return by_the_clock_of(kept, zone) if kept is not None else None


@asynccontextmanager
async def wired(
    settings: Settings,
    names: Sequence[str] = (),
    *,
    environ: Mapping[str, str] | None = None,
    mappings_dir: Path | None = None,
    edited: bool = False,
    strict: bool = True,
) -> AsyncIterator[Wired]:
    """Open the ledger and connect the named CRMs (all with credentials, when none is named); close them after.

    The definition is the one in force; `edited`: the folder's files, whatever is. Raises FixConfig when nothing is
    connected, a named CRM has no credentials, or a file is wrong (not `strict`: and no earlier version is in force).
    """
    clock = SystemClock()
    folder = mappings_dir or settings.mappings_dir

    def load() -> Definition:
        found = in_zone(load_definition(folder, plugins()), settings)
        refuse_red(found.criteria)
        return found

    ledger = open_ledger(settings.database_url)
    ledger.box = key_box(settings)

    async def look(*, strict: bool = False) -> InForce:
        return await in_force(
            load,
            partial(read_version, settings=settings),
            ledger,
            clock,
            owner=settings.config_owner,
            strict=strict,
        )

    connected: dict[str, Adapter] = {}
    former: list[Adapter] = []  # whoever was at work with one of them ends with it
    ready: dict[str, tuple[Plugin, dict[str, str]]] = {}

    async def reconnect() -> list[str]:
        """The CRMs whose variables are others than before. Nothing changes where any of them is wrong (FixConfig)."""
        now = {crm: variables_of(plugin.variables, environ) for crm, (plugin, _) in ready.items()}
        changed = [
            crm for crm, (plugin, known) in ready.items() if now[crm] != known and plugin.connected(now[crm])
        ]
        for crm in changed:
            plugin, _ = ready[crm]
            fresh = await connect(plugin, now[crm], clock, ledger, token_store(settings, ledger, clock))
            former.append(connected[crm])
            connected[crm], ready[crm] = fresh, (plugin, now[crm])
        return changed

    calls = DailyCalls()
    watch_calls(calls_told(by_crm(calls.count)))
    try:
        found = InForce(load()) if edited else await look(strict=strict)
        asked, skipped, intervals = _ready(settings, names, found.definition, environ)
        ready.update(asked)
        tokens = token_store(settings, ledger, clock)
        for crm, (plugin, variables) in ready.items():
            connected[crm] = await connect(plugin, variables, clock, ledger, tokens)
        yield Wired(
            connected, found.definition, ledger, clock, holder(), tuple(skipped), intervals, look, found.told, load,
            ZoneInfo(settings.timezone), calls, reconnect,
        )  # fmt: skip
    finally:
        watch_calls(None)
        for adapter in (*connected.values(), *former):
            await adapter.close()
        await calls.keep(ledger, clock.now())
        await ledger.close()


def by_crm(count: Callable[[str, str], None]) -> Callable[[str, str], None]:
    """Counts a request to a vendor (and what it is for) under its CRM. Those for tokens are nobody's allowance."""
    crms = {plugin.title: crm for crm, plugin in plugins().items()}

    def counted(vendor: str, feature: str) -> None:
        if vendor in crms:
            count(crms[vendor], feature)

    return counted


def _ready(
    settings: Settings, names: Sequence[str], definition: Definition, environ: Mapping[str, str] | None
) -> tuple[dict[str, tuple[Plugin, dict[str, str]]], list[str], dict[str, timedelta]]:
    """The CRMs to connect with their variables, those without credentials, and how often each is synced. FixConfig
    where a CRM lacks its credentials or its mapping, or nothing is left."""
    ready: dict[str, tuple[Plugin, dict[str, str]]] = {}
    skipped: list[str] = []
    intervals: dict[str, timedelta] = {}
    for plugin in chosen(names):
        variables = variables_of(plugin.variables, environ)
        with suppress(FixConfig):  # set-up's alone: hidden as well, and asked for nothing here
            variables_of(plugin.admin_variables, environ)
        intervals[plugin.crm] = interval_of(settings, plugin.crm, environ)
        if not plugin.connected(variables):
            if plugin.crm in names:
                raise unconnected(plugin)
            skipped.append(plugin.crm)
            continue
        if plugin.crm not in definition.mappings:
            raise FixConfig(
                f"{plugin.title} has credentials but no mapping file.",
                next_step=f"Add {plugin.crm}.yaml to the mappings folder; `connector init` writes a starter.",
            )
        ready[plugin.crm] = (plugin, variables)
    if not ready:
        raise nothing_connected()
    return ready, skipped, intervals


def token_store(settings: Settings, ledger: SqlLedger, clock: Clock) -> TokenStore | None:
    """Where rotated refresh tokens are kept; None without CONNECTOR_SECRET_KEY."""
    if settings.secret_key is None:
        return None
    return SealedTokens(ledger, settings.secret_key.get_secret_value(), holder(), clock)


async def connect(
    plugin: Plugin,
    variables: Mapping[str, str],
    clock: Clock,
    ledger: SqlLedger | None,
    tokens: TokenStore | None,
) -> Adapter:
    """The CRM, with the switches that earlier probes of its account have set. Raises FixConfig; asks no CRM."""
    if tokens is None and has_refresh_token(variables):
        log.warning(
            "refresh_tokens_are_not_kept",
            crm=plugin.crm,
            next_step="Set CONNECTOR_SECRET_KEY: a refresh token that is renewed would be lost at the next start.",
        )
    adapter = plugin.connect(variables, clock, tokens)
    if ledger is not None:
        adapter.use({each.switch: each.value for each, _ in await ledger.learned(plugin.crm) if each.switch})
    return adapter


def has_refresh_token(variables: Mapping[str, str]) -> bool:
    """Whether a CRM is reached by a token that its vendor may renew."""
    return any(name.endswith("_REFRESH_TOKEN") and value for name, value in variables.items())


def nothing_connected() -> FixConfig:
    """What to tell when no CRM at all has credentials."""
    return FixConfig(
        "No CRM is connected.",
        next_step="Set the credentials of at least one (docs/how-to), or try `connector demo`.",
    )


def unconnected(plugin: Plugin) -> FixConfig:
    """What to tell when a CRM is asked for that has no credentials."""
    first = next(variable.name for variable in plugin.variables if variable.secret)
    return FixConfig(
        f"{plugin.title} is not connected.",
        next_step=f"Set its credentials: {first}, or another way in (docs/how-to/connect-{plugin.crm}.md).",
    )
